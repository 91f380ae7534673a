use mused_run::{AccuracyResult, Predictions};
use ndarray::Array2;

use super::cells::{Cells, Colours};
use crate::colour::diverging;
use crate::figure::Figure;
use crate::number::{difference, three};
use crate::svg::Svg;
use crate::table::Table;

/// Labels in the picture: the most frequent.
const LABELS: usize = 20;

/// What is predicted where a label is there.
struct Confusion<'a> {
    names: Vec<&'a String>,
    /// there × predicted; NaN where nothing tells.
    values: Array2<f64>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// How much likelier one label is predicted, wrongly, where another is there.
    Excess,
    /// Of the samples of one label the share for which another is named.
    Named,
}

/// Of designs with one label a stimulus: which is named for which.
pub(crate) fn named(accuracy: &AccuracyResult, labels: &[String]) -> Figure {
    let totals: Vec<usize> = accuracy
        .confusion
        .iter()
        .map(|row| row.iter().sum())
        .collect();
    let order = most(&totals);
    let share = |(row, column): (usize, usize)| {
        let count = accuracy.confusion.get(row).and_then(|row| row.get(column));
        count.map_or(f64::NAN, |&count| count as f64 / totals[row] as f64)
    };
    let found = Confusion {
        names: order
            .iter()
            .filter_map(|&label| labels.get(label))
            .collect(),
        values: Array2::from_shape_fn([order.len(); 2], |(i, j)| share((order[i], order[j]))),
        kind: Kind::Named,
    };
    let title = "Which label is named for which";
    Figure::new("named", title, found.alt(), found.draw(), found.table())
        .caption(format!(
            "Rows: there, columns: named. Of the {} most frequent labels: the share of the test samples of the row's label, of all subjects, for which \
             the column's is the likeliest. The diagonal is right.",
            order.len()
        ))
}

/// For frequent labels: how much likelier label j is predicted, wrongly, where label i is there. `None` with fewer
/// than two labels.
pub(crate) fn confusion(predictions: &Predictions) -> Option<Figure> {
    let order = most_frequent(predictions);
    if order.len() < 2 {
        return None;
    }
    let names = order.iter().map(|&label| &predictions.labels[label]);
    let found = Confusion {
        names: names.collect(),
        values: excess(predictions, &order),
        kind: Kind::Excess,
    };
    let title = "What is taken for what";
    Some(
        Figure::new("confusion", title, found.alt(), found.draw(), found.table())
            .caption(format!(
                "Rows: there, columns: predicted. Of the {} most frequent labels: mean predicted probability of the column's label over test samples that \
                 do not have it but have the row's, minus that over all samples that do not have it. Blue: wrongly \
                 expected together; orange: ruled out by each other.",
                order.len()
            )),
    )
}

fn most_frequent(predictions: &Predictions) -> Vec<usize> {
    let columns = predictions.targets.columns().into_iter();
    let positives: Vec<usize> = columns
        .map(|column| column.iter().filter(|value| **value == 1).count())
        .collect();
    most(&positives)
}

/// The labels of most samples, none of none.
fn most(samples: &[usize]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..samples.len())
        .filter(|&label| samples[label] > 0)
        .collect();
    order.sort_by_key(|&label| std::cmp::Reverse(samples[label]));
    order.truncate(LABELS);
    order
}

impl Confusion<'_> {
    fn draw(&self) -> Svg {
        let finite = self.values.iter().filter(|value| value.is_finite());
        let most = finite.fold(1e-9f64, |most, value| most.max(value.abs()));
        let names: Vec<&str> = self.names.iter().map(|name| name.as_str()).collect();
        let (low, high) = match self.kind {
            Kind::Excess => (difference(-most), difference(most)),
            Kind::Named => ("0".to_owned(), three(most)),
        };
        let (around, from_none) = (
            |value: f64| (value / most + 1.0) / 2.0,
            |value: f64| value / most,
        );
        let likelier = |there: &str, other: &str, value: f64| {
            let value = difference(value);
            format!("{there} there, {other} not: {other} {value} likelier predicted")
        };
        let share_of = |there: &str, other: &str, value: f64| {
            format!("{there} there: {other} named for {}", three(value))
        };
        Cells {
            rows: names.clone(),
            columns: names,
            values: self.values.clone(),
            colours: match self.kind {
                Kind::Excess => Colours {
                    share: &around,
                    colour: |share| diverging(2.0 * share - 1.0),
                    words: [&low, "probability", &high],
                },
                Kind::Named => Colours {
                    share: &from_none,
                    colour: diverging,
                    words: [&low, "share of the row", &high],
                },
            },
            title: match self.kind {
                Kind::Excess => &likelier,
                Kind::Named => &share_of,
            },
            kinds: ["labels", "labels"],
        }
        .draw()
    }

    fn table(&self) -> Table {
        let value = match self.kind {
            Kind::Excess => "excess_probability",
            Kind::Named => "share",
        };
        let mut table = Table::new(&["label_there", "label_predicted", value]);
        for ((row, column), value) in self.values.indexed_iter() {
            if row != column || self.kind == Kind::Named {
                let (there, predicted) = (self.names[row], self.names[column]);
                table.push([there.into(), predicted.into(), (*value).into()]);
            }
        }
        table
    }

    fn alt(&self) -> String {
        let finite = self.values.indexed_iter();
        let finite = finite.filter(|((row, column), value)| row != column && value.is_finite());
        let largest = finite.max_by(|a, b| a.1.total_cmp(b.1));
        let worst = largest.map_or(String::new(), |((row, column), value)| {
            let (there, named) = (self.names[row], self.names[column]);
            match self.kind {
                Kind::Excess => {
                    let value = difference(*value);
                    format!("; most: where {there} is there, {named} is {value} likelier predicted")
                }
                Kind::Named => {
                    format!("; most: {named} is named for {} of {there}", three(*value))
                }
            }
        });
        format!(
            "Which of {} frequent labels is taken for which{worst}",
            self.names.len()
        )
    }
}

/// labels × labels; NaN on the diagonal and where no sample tells.
fn excess(predictions: &Predictions, order: &[usize]) -> Array2<f64> {
    let count = order.len();
    let mut sums = Array2::<f64>::zeros((count, count));
    let mut numbers = Array2::<f64>::zeros((count, count));
    let (mut base, mut base_numbers) = (vec![0.0; count], vec![0.0; count]);
    let rows = predictions
        .targets
        .rows()
        .into_iter()
        .zip(predictions.probabilities.rows());
    for (targets, probabilities) in rows {
        for (j, &predicted) in order.iter().enumerate() {
            if targets[predicted] == 1 {
                continue;
            }
            let probability = probabilities[predicted];
            base[j] += probability;
            base_numbers[j] += 1.0;
            for (i, &there) in order.iter().enumerate() {
                if targets[there] == 1 {
                    sums[[i, j]] += probability;
                    numbers[[i, j]] += 1.0;
                }
            }
        }
    }
    Array2::from_shape_fn((count, count), |(i, j)| {
        if i == j {
            f64::NAN
        } else {
            sums[[i, j]] / numbers[[i, j]] - base[j] / base_numbers[j]
        }
    })
}
