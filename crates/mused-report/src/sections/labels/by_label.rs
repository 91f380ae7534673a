use std::cmp::Reverse;

use mused_results::{IntervalResult, LabelResult, LabelTest, Results, Stated};

use super::{ROWS, overlays, panels, single};
use crate::figure::{By, Figure};
use crate::figures::{Mark, Row, RowsChart};
use crate::input::Scores;
use crate::number::three;
use crate::table::{Cell, Table};

/// A label, means over subjects.
struct LabelRow<'a> {
    index: usize,
    name: &'a str,
    prevalence: f64,
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

pub(super) fn figure(results: &Results, scores: &Scores) -> Figure {
    let rows: Vec<LabelRow<'_>> = results.labels.iter().enumerate().map(row).collect();
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
    .caption(caption(rows.len()))
    .variants(variants)
    .wide()
}

fn row((index, label): (usize, &LabelResult)) -> LabelRow<'_> {
    LabelRow {
        index,
        name: &label.name,
        prevalence: label.prevalence,
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

    fn cells(&self) -> [Cell; 5] {
        let ((low, high), (p, q)) = (self.interval.unzip(), self.test.unzip());
        [self.value, low, high, p, q].map(Cell::from)
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

/// The most frequent labels, the best first.
fn shown<'r, 'a>(rows: &'r [LabelRow<'a>]) -> Vec<&'r LabelRow<'a>> {
    let mut shown: Vec<_> = rows.iter().collect();
    shown.sort_by_key(|row| Reverse(row.positives));
    shown.truncate(ROWS);
    let ap = |row: &LabelRow<'_>| row.ap.value.unwrap_or(-1.0);
    shown.sort_by(|a, b| ap(b).total_cmp(&ap(a)));
    shown
}

fn chart(rows: &[LabelRow<'_>], shown: &[&LabelRow<'_>]) -> RowsChart {
    let drawn = shown.iter().map(|row| Row {
        name: row.name.to_owned(),
        pick: Some(("label", row.index)),
        marks: vec![
            row.ap.mark(row.name, Some(row.prevalence)),
            row.auc.mark(row.name, None),
        ],
    });
    let lowest = rows.iter().flat_map(|row| {
        let low = row.auc.interval.map(|(low, _)| low);
        [row.auc.value, low].into_iter().flatten()
    });
    RowsChart::new(drawn.collect(), panels(lowest).into())
}

fn table(rows: &[LabelRow<'_>]) -> Table {
    let mut table = Table::new(&[
        "label",
        "prevalence",
        "positives",
        "average_precision",
        "ap_low",
        "ap_high",
        "ap_p",
        "ap_q",
        "roc_auc",
        "auc_low",
        "auc_high",
        "auc_p",
        "auc_q",
    ]);
    for row in rows {
        let first = [row.name.into(), row.prevalence.into(), row.positives.into()];
        table.push(
            first
                .into_iter()
                .chain(row.ap.cells())
                .chain(row.auc.cells()),
        );
    }
    table
}

fn alt(shown: &[&LabelRow<'_>]) -> String {
    format!(
        "Average precision and ROC-AUC of {} labels, sorted; highest: {}",
        shown.len(),
        shown.first().map_or("–", |row| row.name)
    )
}

fn caption(labels: usize) -> String {
    let cut = match labels > ROWS {
        true => {
            format!(" Shown are the {ROWS} most frequent of {labels} labels; the table has all.")
        }
        false => String::new(),
    };
    format!(
        "Means over subjects. Grey tick: prevalence, the floor of AP; dashed: one half. Filled: above chance at a \
         false discovery rate of 0.05. Click a name to pick it; orange: the picked subject.{cut}"
    )
}
