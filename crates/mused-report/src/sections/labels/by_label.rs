use std::cmp::Reverse;

use mused_run::{IntervalResult, LabelResult, LabelTest, Results, Stated};

use super::{ROWS, overlays, panels, single};
use crate::figure::{By, Figure};
use crate::figures::{Mark, Row, RowsChart};
use crate::input::Scores;
use crate::number::three;
use crate::table::Table;

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
    let drawn = shown.iter().map(|row| {
        let prevalence = Some(row.prevalence);
        let marks = [
            row.ap.mark(row.name, prevalence),
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
