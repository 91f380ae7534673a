use mused_run::{FloorScores, MetricInference, Results};
use mused_stats::summary::{mean, sample_sd};

use super::models::Model;
use crate::figure::Figure;
use crate::figures::{Mark, Panel, Row, RowsChart};
use crate::table::Table;

/// A model's scores.
struct LeagueRow<'a> {
    name: &'a str,
    seeds: usize,
    ap: Metric,
    auc: Metric,
    hamming: Metric,
}

/// Over seeds.
struct Metric {
    mean: Option<f64>,
    sd: Option<f64>,
    /// The lowest and the highest seed, or the 95 % interval where no model has several.
    line: Option<(f64, f64)>,
}

/// `None` where no run has scores.
pub(super) fn figure(models: &[Model<'_>]) -> Option<Figure> {
    let results = models.iter().flat_map(|model| &model.runs).next();
    let floors = &results?.1.results.floors;
    let several = models.iter().any(|model| model.runs.len() > 1);
    let rows: Vec<LeagueRow<'_>> = models.iter().map(|model| row(model, several)).collect();
    let ranked = ranked(&rows);
    let alt = format!(
        "Scores of {} models; highest average precision: {}",
        rows.len(),
        ranked.first().map_or("", |row| row.name)
    );
    let line = match several {
        true => {
            "Dot: mean over seeds; line: from the lowest seed to the highest, which says nothing about other subjects"
        }
        false => "Line: 95 % interval",
    };
    let svg = chart(&ranked, floors).draw(None);
    Some(
        Figure::new("league", "All runs", alt, svg, table(&rows)).caption(format!(
            "Sorted by average precision. {line}. Dashed: chance."
        )),
    )
}

fn row<'a>(model: &'a Model<'_>, several: bool) -> LeagueRow<'a> {
    let first = model.runs.first().map(|(_, run)| &run.results.inference);
    let metric = |value: fn(&Results) -> Option<f64>, interval: Option<(f64, f64)>| {
        let values = model.runs.iter().filter_map(|(_, run)| value(run.results));
        let values: Vec<f64> = values.collect();
        let ends = values
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (value.min(low), value.max(high))
            });
        Metric {
            mean: mean(&values),
            sd: sample_sd(&values),
            line: if several { Some(ends) } else { interval },
        }
    };
    let interval = |inferred: &MetricInference| {
        inferred
            .interval
            .value()
            .map(|interval| (interval.low, interval.high))
    };
    LeagueRow {
        name: &model.name,
        seeds: model.runs.len(),
        ap: metric(
            |results| results.macro_scores.average_precision.mean,
            first.and_then(|first| interval(&first.average_precision)),
        ),
        auc: metric(
            |results| results.macro_scores.roc_auc.mean,
            first.and_then(|first| interval(&first.roc_auc)),
        ),
        hamming: metric(|results| results.macro_scores.hamming_loss.mean, None),
    }
}

/// The highest average precision first.
fn ranked<'r, 'a>(rows: &'r [LeagueRow<'a>]) -> Vec<&'r LeagueRow<'a>> {
    let mut ranked: Vec<_> = rows.iter().collect();
    let ap = |row: &LeagueRow<'_>| row.ap.mean.unwrap_or(-1.0);
    ranked.sort_by(|a, b| ap(b).total_cmp(&ap(a)));
    ranked
}

fn chart(ranked: &[&LeagueRow<'_>], floors: &FloorScores) -> RowsChart {
    let drawn = ranked.iter().map(|row| {
        let mark = |metric: &Metric| {
            Some(Mark {
                interval: metric.line,
                ..Mark::plain(row.name, metric.mean?)
            })
        };
        Row::new(row.name, [mark(&row.ap), mark(&row.auc)])
    });
    let drawn: Vec<Row> = drawn.collect();
    let panel = |place: usize, title: &str, floor: Option<f64>| {
        let marks = drawn.iter().filter_map(|row| row.marks[place].as_ref());
        Panel::around(title, marks.flat_map(Mark::ends), floor)
    };
    let random = floors.random_average_precision;
    let panels = vec![
        panel(0, "Macro AP", random),
        panel(1, "Macro AUC", Some(floors.roc_auc)),
    ];
    RowsChart::new(drawn, panels)
}

fn table(rows: &[LeagueRow<'_>]) -> Table {
    Table::of(
        rows,
        &[
            ("run", |row| row.name.into()),
            ("seeds", |row| row.seeds.into()),
            ("macro_ap", |row| row.ap.mean.into()),
            ("sd_ap", |row| row.ap.sd.into()),
            ("macro_auc", |row| row.auc.mean.into()),
            ("sd_auc", |row| row.auc.sd.into()),
            ("hamming_loss", |row| row.hamming.mean.into()),
            ("sd_hamming", |row| row.hamming.sd.into()),
        ],
    )
}
