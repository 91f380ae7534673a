use mused_run::{OverSubjects, Results, SubjectResult};

use super::{ROWS, overlays, panels, single};
use crate::figure::{By, Figure};
use crate::figures::{Mark, Row, RowsChart};
use crate::input::Scores;
use crate::number::{three, three_or_dash};
use crate::table::Table;

/// A subject, means over labels.
struct SubjectRow<'a> {
    index: usize,
    name: &'a str,
    scores: &'a SubjectResult,
}

pub(super) fn figure(results: &Results, scores: &Scores) -> Figure {
    let subjects = results.subjects.iter().enumerate();
    let rows: Vec<SubjectRow<'_>> = subjects
        .map(|(index, (name, scores))| SubjectRow {
            index,
            name,
            scores,
        })
        .collect();
    let shown = shown(&rows);
    let chart = chart(&rows, &shown, results.floors.random_average_precision);
    let labels = results.labels.len();
    let overlay = |label: usize| {
        let own = shown.iter().map(|row| single(scores, label, row.index));
        chart.overlay(&own.collect::<Vec<_>>())
    };
    let markup = std::iter::once(String::new()).chain((0..labels).map(overlay));
    let variants = overlays("subjects-label", By::Label, labels, markup.collect());
    let svg = chart.draw(Some(("subjects-label", "")));
    let alt = format!(
        "Macro average precision and ROC-AUC of {} subjects, sorted",
        shown.len()
    );
    Figure::new(
        "by-subject",
        "Scores of every subject",
        alt,
        svg,
        table(&rows),
    )
    .caption(caption(results))
    .variants(variants)
}

/// The best first.
fn shown<'r, 'a>(rows: &'r [SubjectRow<'a>]) -> Vec<&'r SubjectRow<'a>> {
    let mut shown: Vec<_> = rows.iter().collect();
    let ap = |row: &SubjectRow<'_>| row.scores.average_precision.unwrap_or(-1.0);
    shown.sort_by(|a, b| ap(b).total_cmp(&ap(a)));
    shown.truncate(ROWS);
    shown
}

fn chart(rows: &[SubjectRow<'_>], shown: &[&SubjectRow<'_>], floor: Option<f64>) -> RowsChart {
    let drawn = shown.iter().map(|row| {
        let values = [row.scores.average_precision, row.scores.roc_auc];
        let marks = values.map(|value| Some(Mark::plain(row.name, value?)));
        Row::new(row.name, marks).picking("subject", row.index)
    });
    let [mut ap, mut auc] = panels(rows.iter().filter_map(|row| row.scores.roc_auc));
    ap.reference = floor;
    ap.title = "Macro AP".to_owned();
    auc.title = "Macro AUC".to_owned();
    RowsChart::new(drawn.collect(), vec![ap, auc])
}

fn table(rows: &[SubjectRow<'_>]) -> Table {
    Table::of(
        rows,
        &[
            ("subject", |row| row.name.into()),
            ("samples", |row| row.scores.samples.into()),
            ("average_precision", |row| {
                row.scores.average_precision.into()
            }),
            ("roc_auc", |row| row.scores.roc_auc.into()),
            ("hamming_loss", |row| row.scores.hamming_loss.into()),
            ("subset_accuracy", |row| row.scores.subset_accuracy.into()),
            ("labels_without_ap", |row| {
                row.scores.unscorable_average_precision.into()
            }),
            ("labels_without_auc", |row| {
                row.scores.unscorable_roc_auc.into()
            }),
        ],
    )
}

fn caption(results: &Results) -> String {
    let spread = |name: &str, metric: &OverSubjects| match (metric.mean, metric.sd) {
        (Some(mean), Some(sd)) => format!("{name} {} ± {}", three(mean), three(sd)),
        (Some(mean), None) => format!("{name} {}", three(mean)),
        _ => format!("{name} undefined"),
    };
    let scores = &results.macro_scores;
    format!(
        "Means over labels; over subjects (mean ± standard deviation) {}, {}, {} (predicting no label: {}), {}, {}. \
         Dashed: chance. Orange: the picked label.",
        spread("AP", &scores.average_precision),
        spread("AUC", &scores.roc_auc),
        spread("Hamming loss", &scores.hamming_loss),
        three_or_dash(results.floors.hamming_loss),
        spread("subset accuracy", &scores.subset_accuracy),
        spread("micro AP", &scores.micro_average_precision),
    )
}
