//! How well every label and every subject is decoded.

mod by_label;
mod by_subject;

use super::Input;
use crate::figure::{By, Section, Variants};
use crate::figures::{Kind, Panel, calibration, confusion, curves, label_subject, named};
use crate::input::Scores;

/// Subjects in a picture; the table has all.
const ROWS: usize = 40;
/// Letters of markup up to which overlays are light enough for the page.
const OVERLAYS: usize = 2_000_000;

/// Scores of labels and subjects, curves, calibration, confusion.
pub(crate) fn labels(input: &Input<'_>) -> Section {
    let mut section = Section::new("labels", "Labels and subjects");
    let (Ok(results), Some(scores)) = (&input.first().results, input.scores) else {
        section.missing("There are no test predictions: the run is not complete.");
        return section;
    };
    let mut all = vec![
        by_label::figure(results, scores),
        by_subject::figure(results, scores),
    ];
    let named = results
        .accuracy
        .as_ref()
        .map(|found| named(found, input.labels));
    let predictions = input.files.predictions.as_ref().ok();
    all.extend(named.or_else(|| confusion(predictions?)));
    section.figures(all);
    section.figures([
        curves(Kind::PrecisionRecall, scores, input.labels),
        curves(Kind::Roc, scores, input.labels),
        calibration(&results.calibration),
    ]);
    if input.labels.len() > 1 && input.subjects.len() > 1 {
        let mut every = Section::inside();
        every.figures([label_subject(scores, input.labels)]);
        section.fold("Every label of every subject", every);
    }
    section
}

/// AP from 0 to 1, and AUC from 0.4 or the smallest value that is shown to 1.
fn panels(auc: impl Iterator<Item = f64>) -> [Panel; 2] {
    let auc = auc.filter(|value| value.is_finite());
    let low = (auc.fold(0.4, f64::min) * 20.0).floor() / 20.0;
    [
        Panel {
            title: "AP".to_owned(),
            domain: (0.0, 1.0),
            reference: None,
        },
        Panel {
            title: "AUC".to_owned(),
            domain: (low, 1.0),
            reference: Some(0.5),
        },
    ]
}

/// AP and AUC of a label in a subject.
fn single(scores: &Scores, label: usize, subject: usize) -> Vec<Option<f64>> {
    let of = [&scores.average_precision, &scores.roc_auc];
    of.map(|scores| scores.get([label, subject]).copied())
        .into()
}

/// What the picked label or subject lays over a chart. `None` of one alone, which the mean equals, and where it would be
/// too much for the page.
fn overlays(target: &str, by: By, picks: usize, markup: Vec<String>) -> Option<Variants> {
    let fits = markup.iter().map(String::len).sum::<usize>() < OVERLAYS;
    (picks > 1 && fits).then(|| Variants {
        target: target.to_owned(),
        by,
        markup,
        rest: String::new(),
    })
}
