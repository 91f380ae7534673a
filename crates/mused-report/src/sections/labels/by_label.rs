use std::cmp::Ordering;

use mused_run::{IntervalResult, LabelResult, LabelTest, Results, Stated};

use super::{overlays, panels, single};
use crate::figure::{By, Figure};
use crate::figures::{Mark, Row, RowsChart};
use crate::input::Scores;
use crate::number::{of, three};
use crate::table::Table;

/// A label, means over subjects.
struct LabelRow<'a> {
    index: usize,
    name: &'a str,
    prevalence: f64,
    /// AP of a random ranking.
    floor: Option<f64>,
    positives: usize,
    ap: Metric,
    auc: Metric,
}

struct Metric {
    value: Option<f64>,
    interval: Option<(f64, f64)>,
    /// p and q.
    test: Option<(f64, f64)>,
}

/// Labels that are shown at either end.
const ENDS: usize = 15;

pub(super) fn figure(results: &Results, scores: &Scores) -> Figure {
    let rows: Vec<LabelRow<'_>> = (results.labels.iter().zip(&scores.random_average_precision))
        .enumerate()
        .map(row)
        .collect();
    let shown = shown(&rows);
    let chart = chart(&rows, &shown);
    let subjects = scores.subjects.len();
    let overlay = |subject: usize| {
        let own = shown.iter().map(|row| single(scores, row.index, subject));
        chart.overlay(&own.collect::<Vec<_>>())
    };
    let markup = std::iter::once(String::new()).chain((0..subjects).map(overlay));
    let variants = overlays("labels-subject", By::Subject, subjects, markup.collect());
    let svg = chart.draw(Some(("labels-subject", "")));
    Figure::new(
        "by-label",
        "Scores of every label",
        alt(&shown),
        svg,
        table(&rows),
    )
    .caption(caption(&rows, shown.len()))
    .variants(variants)
}

fn row<'a>((index, (label, floor)): (usize, (&'a LabelResult, &Option<f64>))) -> LabelRow<'a> {
    LabelRow {
        index,
        name: &label.name,
        prevalence: label.prevalence,
        floor: *floor,
        positives: label.positives,
        ap: Metric::new(
            label.average_precision,
            &label.average_precision_interval,
            &label.average_precision_test,
        ),
        auc: Metric::new(label.roc_auc, &label.roc_auc_interval, &label.roc_auc_test),
    }
}

impl Metric {
    fn new(
        value: Option<f64>,
        interval: &Stated<IntervalResult>,
        test: &Stated<LabelTest>,
    ) -> Self {
        Self {
            value,
            interval: interval
                .value()
                .map(|interval| (interval.low, interval.high)),
            test: test.value().map(|test| (test.p, test.q)),
        }
    }

    fn mark(&self, name: &str, reference: Option<f64>) -> Option<Mark> {
        let value = self.value?;
        let q = self.test.map(|(_, q)| q);
        let tested = q.map_or("not tested".to_owned(), |q| format!("q = {}", three(q)));
        Some(Mark {
            value,
            interval: self.interval,
            reference,
            ceiling: None,
            strong: q.is_some_and(|q| q < 0.05),
            title: format!("{name}: {} ({tested})", three(value)),
        })
    }
}

/// By AUC, the best first: the best and the worst of those that can be scored.
fn shown<'r, 'a>(rows: &'r [LabelRow<'a>]) -> Vec<&'r LabelRow<'a>> {
    let scored = rows.iter().filter(|row| row.auc.value.is_some());
    let mut shown: Vec<_> = scored.collect();
    shown.sort_by(|a, b| {
        b.auc
            .value
            .partial_cmp(&a.auc.value)
            .unwrap_or(Ordering::Equal)
    });
    if shown.len() > 2 * ENDS {
        shown.drain(ENDS..shown.len() - ENDS);
    }
    shown
}

fn chart(rows: &[LabelRow<'_>], shown: &[&LabelRow<'_>]) -> RowsChart {
    let drawn = shown.iter().map(|row| {
        let marks = [
            row.ap.mark(row.name, row.floor),
            row.auc.mark(row.name, None),
        ];
        Row::new(row.name, marks).picking("label", row.index)
    });
    let lowest = rows.iter().flat_map(|row| {
        let (low, _) = row.auc.interval.unzip();
        [row.auc.value, low].into_iter().flatten()
    });
    RowsChart::new(drawn.collect(), panels(lowest).into())
}

fn table(rows: &[LabelRow<'_>]) -> Table {
    Table::of(
        rows,
        &[
            ("label", |row| row.name.into()),
            ("prevalence", |row| row.prevalence.into()),
            ("positives", |row| row.positives.into()),
            ("random_ap", |row| row.floor.into()),
            ("average_precision", |row| row.ap.value.into()),
            ("ap_low", |row| row.ap.interval.unzip().0.into()),
            ("ap_high", |row| row.ap.interval.unzip().1.into()),
            ("ap_p", |row| row.ap.test.unzip().0.into()),
            ("ap_q", |row| row.ap.test.unzip().1.into()),
            ("roc_auc", |row| row.auc.value.into()),
            ("auc_low", |row| row.auc.interval.unzip().0.into()),
            ("auc_high", |row| row.auc.interval.unzip().1.into()),
            ("auc_p", |row| row.auc.test.unzip().0.into()),
            ("auc_q", |row| row.auc.test.unzip().1.into()),
        ],
    )
}

fn alt(shown: &[&LabelRow<'_>]) -> String {
    format!(
        "Average precision and ROC-AUC of {} labels, sorted; highest: {}",
        shown.len(),
        shown.first().map_or("–", |row| row.name)
    )
}

fn caption(rows: &[LabelRow<'_>], shown: usize) -> String {
    let scored = rows.iter().filter(|row| row.auc.value.is_some()).count();
    let cut = match scored > shown {
        true => format!(" Shown: the best and the worst, {shown} of {scored} labels."),
        false => String::new(),
    };
    let without = match rows.len() - scored {
        0 => String::new(),
        without => format!(
            " Not shown: {}, for no subject has test samples both with and without.",
            of(
                without,
                "label that cannot be scored",
                "labels that cannot be scored"
            )
        ),
    };
    format!(
        "Means over subjects. Grey tick and dashed: chance. Filled: above chance at a false discovery rate of 0.05. \
         Orange: the picked subject.{cut}{without}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_labels_the_best_and_the_worst_are_shown() {
        let names: Vec<String> = (0..40).map(|label| label.to_string()).collect();
        let metric = |value: Option<f64>| Metric {
            value,
            interval: None,
            test: None,
        };
        let rows: Vec<LabelRow<'_>> = (names.iter().enumerate())
            .map(|(index, name)| LabelRow {
                index,
                name,
                prevalence: 0.1,
                floor: None,
                positives: 1,
                ap: metric(None),
                auc: metric((index != 7).then_some(index as f64 / 40.0)),
            })
            .collect();
        let shown = shown(&rows);
        let places: Vec<usize> = shown.iter().map(|row| row.index).collect();
        let expected: Vec<usize> = (25..40)
            .rev()
            .chain([15, 14, 13, 12, 11, 10, 9, 8])
            .chain((0..7).rev())
            .collect();
        assert_eq!(places, expected);
        let said = caption(&rows, shown.len());
        assert!(
            said.contains("the best and the worst, 30 of 39 labels"),
            "{said}"
        );
        assert!(said.contains("1 label that cannot be scored"), "{said}");
    }
}
