use std::collections::BTreeMap;

use mused_run::EpochRecord;

use crate::escape::slug;
use crate::figure::Figure;
use crate::figures::{Line, learning};
use crate::input::ScoredRun;

/// Runs whose curves are drawn.
const RUNS: usize = 6;

/// A value of each epoch: its title and where it stands.
type Value = (&'static str, fn(&EpochRecord) -> Option<f64>);

const VALUES: [Value; 8] = [
    ("Total loss", |epoch| Some(epoch.train.total)),
    ("Classification loss", |epoch| {
        Some(epoch.train.classification)
    }),
    ("Orthogonality", |epoch| epoch.train.orthogonality),
    ("RSA of the high-level token", |epoch| epoch.train.high),
    ("RSA of the low-level token", |epoch| epoch.train.low),
    ("Validation AP", |epoch| {
        Some(epoch.validation.as_ref()?.average_precision)
    }),
    ("Validation AUC", |epoch| {
        Some(epoch.validation.as_ref()?.roc_auc)
    }),
    ("Learning rate", |epoch| Some(epoch.learning_rate)),
];

/// The run, and those that differ from it in their seed alone.
pub(super) fn runs<'a>(runs: &[&'a ScoredRun]) -> Vec<&'a ScoredRun> {
    let Some((first, others)) = runs.split_first() else {
        return Vec::new();
    };
    let seeds = others.iter().filter(|other| first.same_but_for_seed(other));
    std::iter::once(first)
        .chain(seeds)
        .take(RUNS)
        .copied()
        .collect()
}

/// What the lines are, in words.
pub(super) fn words(runs: &[&ScoredRun]) -> String {
    let mut epochs = runs.iter().flat_map(|run| &run.epochs);
    let model = match epochs.any(|epoch| epoch.holdout.is_some()) {
        true => "fold and subject left out of training",
        false => "fold",
    };
    let many = match runs.len() {
        1 => String::new(),
        count => format!(", a colour for each of {count} runs that differ in their seed alone"),
    };
    format!(
        "Thin: a line for each {model}{many}; bold: their mean. Loss terms are before their weights."
    )
}

/// A figure for each value that some epoch has.
pub(super) fn figures(runs: &[&ScoredRun]) -> impl Iterator<Item = Figure> {
    let names: Vec<String> = runs.iter().map(|run| run.name.clone()).collect();
    VALUES.into_iter().filter_map(move |(title, value)| {
        let each = runs.iter().enumerate();
        let lines: Vec<Line> = each
            .flat_map(|(place, run)| lines(place, &run.epochs, value))
            .collect();
        learning(&format!("learning-{}", slug(title)), title, &lines, &names)
    })
}

/// A line for each model that has the value.
fn lines(run: usize, epochs: &[EpochRecord], value: fn(&EpochRecord) -> Option<f64>) -> Vec<Line> {
    let mut models: BTreeMap<_, Vec<(f64, f64)>> = BTreeMap::new();
    for epoch in epochs {
        if let Some(value) = value(epoch) {
            let points = models.entry(epoch.model()).or_default();
            points.push((epoch.epoch as f64, value));
        }
    }
    let lines = models
        .into_iter()
        .map(|((fold, subject, holdout), points)| Line {
            model: match (subject, holdout) {
                (None, None) => format!("fold {fold}"),
                (Some(subject), _) => format!("fold {fold}, {subject}"),
                (None, Some(holdout)) => format!("fold {fold}, without {holdout}"),
            },
            run,
            points,
        });
    lines.collect()
}
