use mused_results::{Comparison, MetricDifference};
use mused_run::IntervalResult;

use crate::figure::Figure;
use crate::figures::{Mark, Panel, Row, RowsChart};
use crate::table::Table;

/// Metrics of a model, a panel each.
const PANELS: [&str; 2] = ["Macro AP, difference", "Macro AUC, difference"];

/// How a model differs from the reference in a metric.
pub(super) struct DifferenceRow {
    model: String,
    metric: &'static str,
    found: MetricDifference,
}

impl DifferenceRow {
    /// Those of a model, one a panel.
    pub(super) fn of(model: &str, found: Comparison) -> [Self; PANELS.len()] {
        [
            ("average_precision", found.average_precision),
            ("roc_auc", found.roc_auc),
        ]
        .map(|(metric, found)| Self {
            model: model.to_owned(),
            metric,
            found,
        })
    }

    fn interval(&self) -> Option<&IntervalResult> {
        self.found.interval.value()
    }

    fn mark(&self) -> Option<Mark> {
        let found = self.interval()?;
        let interval = Some((found.low, found.high));
        Some(Mark::difference(&self.model, found.estimate, interval))
    }
}

pub(super) fn figure(reference: &str, rows: &[DifferenceRow]) -> Figure {
    let alt = format!(
        "Differences of {} runs from {reference}, with 95 % intervals",
        rows.len() / PANELS.len()
    );
    let title = format!("Differences from {reference}");
    Figure::new("differences", &title, alt, chart(rows).draw(None), table(rows))
        .caption(
            "Other minus reference, mean over subjects with its 95 % interval; filled where the interval leaves out 0. \
             Means over seeds where there are several. A p for other subjects, other stimuli and both is in the table.",
        )
}

fn chart(rows: &[DifferenceRow]) -> RowsChart {
    let models = rows.chunks_exact(PANELS.len());
    let drawn = models.map(|own| Row::new(&own[0].model, own.iter().map(DifferenceRow::mark)));
    let panels = PANELS.iter().enumerate().map(|(place, title)| {
        let own = rows.iter().skip(place).step_by(PANELS.len());
        let ends = own
            .filter_map(DifferenceRow::mark)
            .flat_map(|mark| mark.ends());
        Panel::around(title, ends, Some(0.0))
    });
    RowsChart::new(drawn.collect(), panels.collect())
}

fn table(rows: &[DifferenceRow]) -> Table {
    Table::of(
        rows,
        &[
            ("run", |row| (&row.model).into()),
            ("metric", |row| row.metric.into()),
            ("difference", |row| {
                row.interval().map(|found| found.estimate).into()
            }),
            ("low", |row| row.interval().map(|found| found.low).into()),
            ("high", |row| row.interval().map(|found| found.high).into()),
            ("p_over_subjects", |row| {
                row.found.p_over_subjects.value().copied().into()
            }),
            ("p_over_stimuli", |row| {
                row.found.p_over_stimuli.value().copied().into()
            }),
            ("p_over_both", |row| {
                row.found.p_over_both.value().copied().into()
            }),
            ("generalises_to", |row| {
                row.interval().map(|found| &found.generalises_to).into()
            }),
        ],
    )
}
