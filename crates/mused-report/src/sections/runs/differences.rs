use mused_results::{Comparison, MetricDifference};

use crate::figure::Figure;
use crate::figures::{Mark, Panel, Row, RowsChart};
use crate::svg::range_of;
use crate::table::{Cell, Table};

/// How a model differs from the reference.
pub(super) struct DifferenceRow {
    pub(super) name: String,
    pub(super) found: Comparison,
}

/// A metric with its panel.
struct Metric {
    name: &'static str,
    title: &'static str,
    of: fn(&Comparison) -> &MetricDifference,
}

const METRICS: [Metric; 2] = [
    Metric {
        name: "average_precision",
        title: "Difference of macro AP",
        of: |found| &found.average_precision,
    },
    Metric {
        name: "roc_auc",
        title: "Difference of macro AUC",
        of: |found| &found.roc_auc,
    },
];

pub(super) fn figure(reference: &str, rows: &[DifferenceRow]) -> Figure {
    let alt = format!(
        "Differences of {} runs from {reference}, with 95 % intervals",
        rows.len()
    );
    let title = format!("Differences from {reference}");
    Figure::new("differences", &title, alt, chart(rows).draw(None), table(rows))
        .caption(
            "Other minus reference, mean over subjects with its 95 % interval; filled where the interval leaves out 0. \
             Means over seeds where there are several. A p for other subjects, other stimuli and both is in the table.",
        )
        .wide()
}

fn chart(rows: &[DifferenceRow]) -> RowsChart {
    let mark = |row: &DifferenceRow, metric: &Metric| {
        let found = (metric.of)(&row.found).interval.value()?;
        let interval = Some((found.low, found.high));
        Some(Mark::difference(&row.name, found.estimate, interval))
    };
    let drawn = rows.iter().map(|row| Row {
        name: row.name.clone(),
        pick: None,
        marks: METRICS.iter().map(|metric| mark(row, metric)).collect(),
    });
    let panel = |metric: Metric| {
        let marks = rows.iter().filter_map(|row| mark(row, &metric));
        let ends = marks.flat_map(|mark| mark.ends());
        Panel {
            title: metric.title.to_owned(),
            domain: range_of(ends.chain([0.0])).unwrap_or((-1.0, 1.0)),
            reference: Some(0.0),
        }
    };
    RowsChart::new(drawn.collect(), METRICS.map(panel).into())
}

fn table(rows: &[DifferenceRow]) -> Table {
    let mut table = Table::new(&[
        "run",
        "metric",
        "difference",
        "low",
        "high",
        "p_over_subjects",
        "p_over_stimuli",
        "p_over_both",
        "generalises_to",
    ]);
    for row in rows {
        for metric in METRICS {
            table.push(cells(row, &metric));
        }
    }
    table
}

fn cells(row: &DifferenceRow, metric: &Metric) -> [Cell; 9] {
    let found = (metric.of)(&row.found);
    let interval = found.interval.value();
    [
        (&row.name).into(),
        metric.name.into(),
        interval.map(|interval| interval.estimate).into(),
        interval.map(|interval| interval.low).into(),
        interval.map(|interval| interval.high).into(),
        found.p_over_subjects.value().copied().into(),
        found.p_over_stimuli.value().copied().into(),
        found.p_over_both.value().copied().into(),
        interval.map(|interval| &interval.generalises_to).into(),
    ]
}
