use std::fmt::Write as _;

use crate::escape::{escaped, json_for_script};
use crate::number::compact;

/// Cells up to which a table stands on the page as a whole; of larger ones the first rows do.
const SHOWN_CELLS: usize = 4000;
/// Rows of a table that is not shown as a whole.
const SHOWN_ROWS: usize = 40;

/// One value of a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Words.
    Text(String),
    /// A number; the page shows four digits, a file all.
    Number(f64),
    /// A whole number.
    Count(usize),
    /// Not available.
    None,
}

/// A cell of a TSV, in quotes where it holds a quote, a tab or a line break.
fn quoted(text: &str) -> String {
    match text.contains(['"', '\t', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<&String> for Cell {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<f64> for Cell {
    fn from(value: f64) -> Self {
        if value.is_finite() {
            Self::Number(value)
        } else {
            Self::None
        }
    }
}

impl From<usize> for Cell {
    fn from(value: usize) -> Self {
        Self::Count(value)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::None, Into::into)
    }
}

impl Cell {
    fn plain(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::Number(value) => value.to_string(),
            Self::Count(value) => value.to_string(),
            Self::None => "n/a".to_owned(),
        }
    }
}

/// Name of a column, and its cell of a row.
pub(crate) type Column<'n, R> = (&'n str, fn(&R) -> Cell);

/// The data behind a figure.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// As many cells each.
    pub rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new(columns: &[&str]) -> Self {
        Self {
            columns: columns.iter().map(|&name| name.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// A row for each of `rows`.
    pub(crate) fn of<'r, R: 'r>(
        rows: impl IntoIterator<Item = &'r R>,
        columns: &[Column<'_, R>],
    ) -> Self {
        let cells = |row: &'r R| columns.iter().map(|(_, cell)| cell(row)).collect();
        Self {
            columns: columns.iter().map(|(name, _)| (*name).to_owned()).collect(),
            rows: rows.into_iter().map(cells).collect(),
        }
    }

    pub(crate) fn push(&mut self, row: impl IntoIterator<Item = Cell>) {
        self.rows.push(row.into_iter().collect());
    }

    /// Tab-separated, with a header; `n/a` where nothing is available.
    pub fn to_tsv(&self) -> String {
        let names: Vec<String> = self.columns.iter().map(|name| quoted(name)).collect();
        let mut text = names.join("\t");
        text.push('\n');
        for row in &self.rows {
            let cells: Vec<String> = row.iter().map(Cell::plain).collect();
            text.push_str(&cells.join("\t"));
            text.push('\n');
        }
        text
    }

    /// As HTML that the script lets sort, filter and save.
    pub(crate) fn to_html(&self, caption: &str) -> String {
        let whole = self.rows.len() * self.columns.len() <= SHOWN_CELLS;
        let shown = if whole { self.rows.len() } else { SHOWN_ROWS };
        let mut html = format!(
            r#"<div class="scroll" tabindex="0" role="group" aria-label="{0}"><table><caption>{0}</caption><thead><tr>"#,
            escaped(caption)
        );
        for (index, name) in self.columns.iter().enumerate() {
            let numeric = self
                .rows
                .iter()
                .any(|row| matches!(row.get(index), Some(Cell::Number(_) | Cell::Count(_))));
            let class = if numeric { r#" class="n""# } else { "" };
            let _ = write!(html, r#"<th scope="col"{class}>{}</th>"#, escaped(name));
        }
        html.push_str("</tr></thead><tbody>");
        for row in self.rows.iter().take(shown) {
            html.push_str("<tr>");
            for cell in row {
                html.push_str(&match cell {
                    Cell::Text(text) => format!("<td>{}</td>", escaped(text)),
                    Cell::Number(value) => {
                        format!(r#"<td class="n" data-v="{value}">{}</td>"#, compact(*value))
                    }
                    Cell::Count(value) => format!(r#"<td class="n">{value}</td>"#),
                    Cell::None => r#"<td class="n">–</td>"#.to_owned(),
                });
            }
            html.push_str("</tr>");
        }
        html.push_str("</tbody></table></div>");
        if !whole {
            let _ = write!(
                html,
                r#"<p class="note">The first {shown} of {} rows; the TSV has all.</p><script type="application/json" class="tsv">{}</script>"#,
                self.rows.len(),
                json_for_script(&self.to_tsv()).unwrap_or_default()
            );
        }
        html
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_tsv_and_html() {
        let mut table = Table::new(&["label", "AP"]);
        table.push(["<b>\t".into(), 0.125.into()]);
        table.push(["car".into(), Cell::None]);
        table.push(["\"red\" car".into(), Cell::None]);
        assert_eq!(
            table.to_tsv(),
            "label\tAP\n\"<b>\t\"\t0.125\ncar\tn/a\n\"\"\"red\"\" car\"\tn/a\n"
        );
        let html = table.to_html("what");
        assert!(
            html.contains("&lt;b&gt;") && !html.contains("<b>"),
            "{html}"
        );
    }

    #[test]
    fn a_long_table_shows_its_start_and_carries_the_rest() {
        let mut table = Table::new(&["label"]);
        for row in 0..SHOWN_CELLS + 1 {
            table.push([format!("</script>\"{row}\" & ‹b›").as_str().into()]);
        }
        let html = table.to_html("what");
        assert_eq!(html.matches("<tr>").count(), SHOWN_ROWS + 1);
        assert_eq!(html.matches("</script>").count(), 1);
        // The script saves exactly what a file of the figure holds.
        let (_, carried) = html.split_once("class=\"tsv\">").unwrap();
        let (carried, _) = carried.split_once("</script>").unwrap();
        let carried: String = serde_json::from_str(carried).unwrap();
        assert_eq!(carried, table.to_tsv());
    }
}
