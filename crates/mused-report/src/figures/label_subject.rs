use mused_stats::summary;

use crate::colour::{hex, sequential};
use crate::escape::shortened;
use crate::figure::Figure;
use crate::input::Scores;
use crate::number::{rounded, three};
use crate::svg::{Anchor, Ink, Svg, colour_bar, entry, palette, pixels_url};
use crate::table::Table;

/// Cells up to which each is a mark of its own with its value under the mouse.
const SINGLE_CELLS: usize = 6000;
const LEFT: f64 = 170.0;
const TOP: f64 = 74.0;

/// AUC of every label and subject, both from the best to the worst.
pub(crate) fn label_subject(scores: &Scores, labels: &[String]) -> Figure {
    let matrix = Matrix::new(scores, labels);
    Figure::new(
        "label-subject",
        "Every label of every subject",
        matrix.alt(),
        matrix.draw(),
        matrix.table(),
    )
    .wide()
}

/// Labels and subjects from the best to the worst, and the size of a cell.
struct Matrix<'a> {
    scores: &'a Scores,
    labels: &'a [String],
    rows: Vec<usize>,
    columns: Vec<usize>,
    cell: (f64, f64),
}

impl<'a> Matrix<'a> {
    fn new(scores: &'a Scores, labels: &'a [String]) -> Self {
        let auc = &scores.roc_auc;
        let rows = best_first(labels.len(), |row| mean(auc.row(row).iter()));
        let columns = best_first(scores.subjects.len(), |column| {
            mean(auc.column(column).iter())
        });
        let side = |count: usize, room: f64| (room / count.max(1) as f64).clamp(0.5, 34.0);
        // Up to a hundred labels have their names beside them.
        let room = if rows.len() <= 100 { 1400.0 } else { 900.0 };
        let cell = (side(columns.len(), 560.0), side(rows.len(), room).min(18.0));
        Self {
            scores,
            labels,
            rows,
            columns,
            cell,
        }
    }

    fn size(&self) -> (f64, f64) {
        (
            self.cell.0 * self.columns.len() as f64,
            self.cell.1 * self.rows.len() as f64,
        )
    }

    fn draw(&self) -> Svg {
        let (width, height) = self.size();
        let mut svg = Svg::new((LEFT + width + 20.0).max(420.0), TOP + height + 46.0);
        self.subject_names(&mut svg);
        self.label_names(&mut svg);
        if self.rows.len() * self.columns.len() <= SINGLE_CELLS {
            self.cells(&mut svg);
        } else {
            self.pixels(&mut svg);
        }
        let place = (LEFT, TOP + height + 14.0);
        colour_bar(&mut svg, place, 200.0, sequential, ["≤ 0.5", "AUC", "1"]);
        svg
    }

    fn subject_names(&self, svg: &mut Svg) {
        if self.cell.0 < 11.0 {
            let count = format!("{} subjects", self.columns.len());
            svg.text((LEFT, TOP - 8.0), Anchor::Start, Ink::Quiet, &count);
            return;
        }
        for (place, &column) in self.columns.iter().enumerate() {
            let x = LEFT + (place as f64 + 0.5) * self.cell.0 + 4.0;
            let name = shortened(&self.scores.subjects[column], 11);
            svg.turned_text((x, TOP - 6.0), Anchor::Start, -60.0, &name);
        }
    }

    fn label_names(&self, svg: &mut Svg) {
        if self.cell.1 < 13.0 {
            let count = format!("{} labels", self.rows.len());
            svg.text((LEFT - 8.0, TOP + 12.0), Anchor::End, Ink::Quiet, &count);
            return;
        }
        for (place, &row) in self.rows.iter().enumerate() {
            let y = TOP + (place as f64 + 0.5) * self.cell.1 + 4.0;
            let name = shortened(&self.labels[row], 24);
            svg.text((LEFT - 8.0, y), Anchor::End, Ink::Text, &name);
        }
    }

    fn cells(&self, svg: &mut Svg) {
        for (y, &row) in self.rows.iter().enumerate() {
            for (x, &column) in self.columns.iter().enumerate() {
                let value = self.scores.roc_auc[[row, column]];
                if !value.is_finite() {
                    continue;
                }
                let title = format!(
                    "{}, {}: {}",
                    self.labels[row],
                    self.scores.subjects[column],
                    three(value)
                );
                let (x, y) = (LEFT + x as f64 * self.cell.0, TOP + y as f64 * self.cell.1);
                svg.cell(x, y, self.cell, &hex(sequential(share(value))), &title);
            }
        }
    }

    fn pixels(&self, svg: &mut Svg) {
        let values = self.cells_in_order();
        let pixels: Vec<u8> = values
            .map(|at| entry(share(self.scores.roc_auc[at])))
            .collect();
        let shape = (self.columns.len(), self.rows.len());
        let url = pixels_url(&pixels, shape, &palette(sequential));
        svg.image(LEFT, TOP, self.size(), &url, false);
    }

    /// Label and subject of each cell, row by row.
    fn cells_in_order(&self) -> impl Iterator<Item = [usize; 2]> {
        let rows = self.rows.iter();
        rows.flat_map(|&row| self.columns.iter().map(move |&column| [row, column]))
    }

    fn table(&self) -> Table {
        let mut table = Table::new(&["label", "subject", "average_precision", "roc_auc"]);
        for at @ [row, column] in self.cells_in_order() {
            table.push([
                (&self.labels[row]).into(),
                (&self.scores.subjects[column]).into(),
                rounded(self.scores.average_precision[at]).into(),
                rounded(self.scores.roc_auc[at]).into(),
            ]);
        }
        table
    }

    fn alt(&self) -> String {
        let best = |order: &[usize], names: &'a [String]| {
            let best = order.first().map(|&place| names[place].as_str());
            best.unwrap_or("–")
        };
        format!(
            "Area under the ROC curve of {} labels for {} subjects; highest on average: {} and {}",
            self.rows.len(),
            self.columns.len(),
            best(&self.rows, self.labels),
            best(&self.columns, &self.scores.subjects),
        )
    }
}

fn best_first(count: usize, value: impl Fn(usize) -> f64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|a, b| value(*b).total_cmp(&value(*a)));
    order
}

/// Of those that are defined.
fn mean<'v>(values: impl Iterator<Item = &'v f64>) -> f64 {
    let defined: Vec<f64> = values.copied().filter(|value| value.is_finite()).collect();
    summary::mean(&defined).unwrap_or(-1.0)
}

/// One half to one: what is below chance is as dark as chance.
fn share(auc: f64) -> f64 {
    (auc - 0.5) * 2.0
}
