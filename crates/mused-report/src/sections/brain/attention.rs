use std::collections::BTreeMap;

use mused_stats::summary::{mean, sample_sd};

use super::{ROWS, cut, overlays};
use crate::figure::Figure;
use crate::figures::{Mark, Panel, Row, RowsChart};
use crate::input::{About, Attention};
use crate::svg::range_of;
use crate::table::Table;

/// Attention to a part, an entry for each level.
struct PartRow<'a> {
    part: &'a str,
    levels: Vec<Weights<'a>>,
}

/// Weights of a part and level.
struct Weights<'a> {
    subjects: Vec<(&'a str, f64)>,
    /// Over subjects.
    mean: Option<f64>,
    sd: Option<f64>,
}

/// `None` where there is nothing.
pub(super) fn figure(about: &About, found: &[Attention], subjects: &[String]) -> Option<Figure> {
    let levels: Vec<&str> = (about.levels.iter().map(String::as_str))
        .filter(|level| found.iter().any(|row| row.level == *level))
        .collect();
    let rows = rows(about, found, &levels);
    let most = rows.first()?.part;
    let shown = rows.get(..ROWS).unwrap_or(&rows);
    let chart = chart(shown, panels(found, &rows, &levels)?);
    let variants = overlays("attention-subject", &chart, subjects, |subject| {
        let of = |weights: &Weights<'_>| weights.of(subject);
        let each = shown.iter();
        each.map(|row| row.levels.iter().map(of).collect())
            .collect()
    });
    let alt = format!(
        "Attention weights of {} {}s; most: {most}",
        rows.len(),
        about.part_kind
    );
    let svg = chart.draw(Some(("attention-subject", "")));
    let caption = format!(
        "Weights of the last block, mean over heads, test samples and subjects; line: ± standard deviation over \
         subjects. Dashed: as much to every part. Orange: the picked subject. Attention tells where a network reads, \
         not what it needs.{}",
        cut(rows.len())
    );
    let figure = Figure::new("attention", "Attention of tokens", alt, svg, table(found));
    Some(figure.caption(caption).variants([variants]))
}

/// Parts that the first level has weights of, the heaviest first.
fn rows<'a>(about: &'a About, found: &'a [Attention], levels: &[&str]) -> Vec<PartRow<'a>> {
    let mut own: BTreeMap<(&str, &str), Vec<(&str, f64)>> = BTreeMap::new();
    for row in found {
        let place = own.entry((&row.part, &row.level)).or_default();
        place.push((&row.subject, row.weight));
    }
    let weights = |part, level| Weights::new(own.get(&(part, level)).cloned().unwrap_or_default());
    let parts = about.parts.iter().map(|part| PartRow {
        part,
        levels: levels.iter().map(|level| weights(part, *level)).collect(),
    });
    let weight = |row: &PartRow<'_>| row.levels.first().and_then(|weights| weights.mean);
    let mut rows: Vec<PartRow<'a>> = parts.filter(|row| weight(row).is_some()).collect();
    let order = |row: &PartRow<'_>| weight(row).unwrap_or_default();
    rows.sort_by(|a, b| order(b).total_cmp(&order(a)));
    rows
}

impl<'a> Weights<'a> {
    fn new(subjects: Vec<(&'a str, f64)>) -> Self {
        let values: Vec<f64> = subjects.iter().map(|(_, weight)| *weight).collect();
        Self {
            subjects,
            mean: mean(&values),
            sd: sample_sd(&values),
        }
    }

    fn of(&self, subject: &str) -> Option<f64> {
        let found = self.subjects.iter().find(|(name, _)| *name == subject);
        found.map(|(_, weight)| *weight)
    }

    fn mark(&self, part: &str) -> Option<Mark> {
        let mean = self.mean?;
        Some(Mark {
            interval: self.sd.map(|sd| ((mean - sd).max(0.0), mean + sd)),
            ..Mark::plain(part, mean)
        })
    }
}

fn chart(shown: &[PartRow<'_>], panels: Vec<Panel>) -> RowsChart {
    let drawn = shown.iter().map(|row| {
        let marks = row.levels.iter().map(|weights| weights.mark(row.part));
        Row::new(row.part, marks)
    });
    RowsChart::new(drawn.collect(), panels)
}

/// A token attends to the other tokens too: what is left for the parts, shared evenly, is what each is held against.
fn panels(found: &[Attention], rows: &[PartRow<'_>], levels: &[&str]) -> Option<Vec<Panel>> {
    let (_, high) = range_of(found.iter().map(|row| row.weight))?;
    let even = |level: usize| {
        let own = rows.iter().filter_map(|row| row.levels.get(level)?.mean);
        mean(&own.collect::<Vec<f64>>())
    };
    let panels = levels.iter().enumerate().map(|(place, level)| Panel {
        title: format!("{level}-level token"),
        domain: (0.0, high),
        reference: even(place),
    });
    Some(panels.collect())
}

fn table(found: &[Attention]) -> Table {
    Table::of(
        found,
        &[
            ("subject", |row| (&row.subject).into()),
            ("level", |row| (&row.level).into()),
            ("part", |row| (&row.part).into()),
            ("weight", |row| row.weight.into()),
            ("sd", |row| row.sd.into()),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A token attends to the other token too: .4 of .4 + .6 is left for two parts.
    #[test]
    fn even_attention_is_that_of_what_is_left_for_parts() {
        let about = About {
            levels: vec!["high".to_owned()],
            parts: vec!["V1".to_owned(), "FFA".to_owned()],
            ..About::default()
        };
        let row = |part: &str, weight: f64| Attention {
            subject: "anna".to_owned(),
            level: "high".to_owned(),
            part: part.to_owned(),
            weight,
            sd: None,
        };
        let found = [row("V1", 0.1), row("FFA", 0.3)];
        let rows = rows(&about, &found, &["high"]);
        let panels = panels(&found, &rows, &["high"]).unwrap();
        assert_eq!(panels[0].reference, Some(0.2));
    }
}
