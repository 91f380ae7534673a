use super::{ROWS, cut, overlays};
use crate::figure::Figure;
use crate::figures::{Mark, Panel, Row, RowsChart};
use crate::input::Occlusion;
use crate::number::difference;
use crate::table::Table;

/// `None` where there is nothing.
pub(super) fn figure(rows: &[Occlusion], subjects: &[String]) -> Option<Figure> {
    let means = means(rows)?;
    let most = means.first()?;
    let shown = means.get(..ROWS).unwrap_or(&means);
    let chart = chart(rows, shown);
    let variants = overlays("occlusion-subject", &chart, subjects, |subject| {
        let own = |mean: &&Occlusion| {
            let mut own = rows.iter();
            let own = own.find(|row| row.subject == subject && row.part == mean.part);
            METRICS.map(|metric| own.and_then(metric.value)).into()
        };
        shown.iter().map(own).collect()
    });
    let alt = format!(
        "How much scores drop without each of {} parts; most without {}, by {}",
        means.len(),
        most.part,
        most.average_precision.map_or("–".to_owned(), difference)
    );
    let svg = chart.draw(Some(("occlusion-subject", "")));
    let caption = format!(
        "What scores lose where the part's inputs are set to their training mean, without training anew; mean over \
         subjects with its 95 % interval, filled where it leaves out 0. Orange: the picked subject. Parts that carry \
         the same information stand in for each other and look unimportant.{}",
        cut(means.len())
    );
    let figure = Figure::new(
        "occlusion",
        "Importance by occlusion",
        alt,
        svg,
        table(rows),
    );
    Some(figure.caption(caption).variants([variants]))
}

/// A panel of the chart.
struct Metric {
    title: &'static str,
    value: fn(&Occlusion) -> Option<f64>,
    interval: fn(&Occlusion) -> Option<(f64, f64)>,
}

const METRICS: [Metric; 2] = [
    Metric {
        title: "Drop of macro AP",
        value: |row| row.average_precision,
        interval: |row| row.ap_interval,
    },
    Metric {
        title: "Drop of macro AUC",
        value: |row| row.roc_auc,
        interval: |row| row.auc_interval,
    },
];

/// Means over subjects, the largest drop first; of one subject alone, who has no mean, its own. `None` without rows.
fn means(rows: &[Occlusion]) -> Option<Vec<&Occlusion>> {
    let of = |subject: &str| -> Vec<&Occlusion> {
        rows.iter().filter(|row| row.subject == subject).collect()
    };
    let mut means = of("");
    if means.is_empty() {
        means = of(&rows.first()?.subject);
    }
    let drop = |row: &Occlusion| row.average_precision.unwrap_or(0.0);
    means.sort_by(|a, b| drop(b).total_cmp(&drop(a)));
    Some(means)
}

fn chart(rows: &[Occlusion], shown: &[&Occlusion]) -> RowsChart {
    let mark = |row: &Occlusion, metric: Metric| {
        let value = (metric.value)(row)?;
        Some(Mark::difference(&row.part, value, (metric.interval)(row)))
    };
    let drawn = shown
        .iter()
        .map(|row| Row::new(&row.part, METRICS.map(|metric| mark(row, metric))));
    let panel = |metric: Metric| {
        let ends = rows.iter().flat_map(|row| {
            let (low, high) = (metric.interval)(row).unzip();
            [(metric.value)(row), low, high].into_iter().flatten()
        });
        Panel::around(metric.title, ends, Some(0.0))
    };
    RowsChart::new(drawn.collect(), METRICS.map(panel).into())
}

fn table(rows: &[Occlusion]) -> Table {
    Table::of(
        rows,
        &[
            ("part", |row| (&row.part).into()),
            ("subject", |row| match row.subject.as_str() {
                "" => "mean".into(),
                subject => subject.into(),
            }),
            ("average_precision", |row| row.average_precision.into()),
            ("ap_low", |row| row.ap_interval.unzip().0.into()),
            ("ap_high", |row| row.ap_interval.unzip().1.into()),
            ("roc_auc", |row| row.roc_auc.into()),
            ("auc_low", |row| row.auc_interval.unzip().0.into()),
            ("auc_high", |row| row.auc_interval.unzip().1.into()),
        ],
    )
}
