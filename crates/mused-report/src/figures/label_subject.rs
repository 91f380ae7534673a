use mused_stats::summary;
use ndarray::Array2;

use super::cells::{Cells, Colours};
use crate::colour::sequential;
use crate::figure::Figure;
use crate::input::Scores;
use crate::number::{rounded, three};
use crate::svg::Svg;
use crate::table::Table;

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
    .caption(
        "Area under the ROC curve; both from the best to the worst, dark: chance or below. Blank: undefined, for the \
         subject's test samples all have the label or none has.",
    )
}

/// Labels and subjects from the best to the worst.
struct Matrix<'a> {
    scores: &'a Scores,
    labels: &'a [String],
    rows: Vec<usize>,
    columns: Vec<usize>,
}

impl<'a> Matrix<'a> {
    fn new(scores: &'a Scores, labels: &'a [String]) -> Self {
        let auc = &scores.roc_auc;
        let rows = best_first(labels.len(), |row| mean(auc.row(row).iter()));
        let columns = best_first(scores.subjects.len(), |column| {
            mean(auc.column(column).iter())
        });
        Self {
            scores,
            labels,
            rows,
            columns,
        }
    }

    fn draw(&self) -> Svg {
        let values = self.cells_in_order().map(|at| self.scores.roc_auc[at]);
        let shape = (self.rows.len(), self.columns.len());
        let (rows, columns) = (self.rows.iter(), self.columns.iter());
        Cells {
            rows: rows.map(|&row| self.labels[row].as_str()).collect(),
            columns: columns
                .map(|&column| self.scores.subjects[column].as_str())
                .collect(),
            // As many values as cells, by construction.
            values: Array2::from_shape_vec(shape, values.collect()).unwrap_or_default(),
            colours: Colours {
                share: &share,
                colour: sequential,
                words: ["≤ 0.5", "AUC", "1"],
            },
            title: &|label, subject, value| format!("{label}, {subject}: {}", three(value)),
            kinds: ["labels", "subjects"],
        }
        .draw()
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
