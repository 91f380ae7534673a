use std::collections::BTreeMap;

use super::Input;
use crate::escape::slug;
use crate::figure::{Block, Section};
use crate::figures::{Line, learning};
use crate::input::Epoch;
use crate::table::{Cell, Table};

/// Runs whose curves are drawn.
const RUNS: usize = 6;

/// Learning curves of every loss term, the learning rate, and the time of stages.
pub(crate) fn training(input: &Input<'_>) -> Section {
    let mut section = Section::new("training", "Training");
    let files = input.files;
    if files.run.finished.is_none() {
        section.missing(format!(
            "The run was interrupted or is still training: `mused train {} --out {} --resume` continues it.",
            files.run.dataset.path.display(),
            files.path.display()
        ));
    }
    if files.epochs.is_empty() {
        section.missing(match files.settings.text_at("model.family") {
            "ridge" | "prevalence" => "The model is computed at once: there are no epochs.",
            _ => "metrics.jsonl holds no epoch yet.",
        });
        return section;
    }
    let seeds = input
        .others
        .iter()
        .filter(|other| other.settings.same_but_for_seed(&files.settings));
    let mut runs: Vec<(String, &[Epoch])> = vec![(files.name.clone(), &files.epochs)];
    runs.extend(seeds.map(|other| (other.name.clone(), other.epochs.as_slice())));
    runs.truncate(RUNS);
    let names: Vec<String> = runs.iter().map(|(name, _)| name.clone()).collect();
    let curve = |title: &str, value: &dyn Fn(&Epoch) -> Option<f64>| {
        let lines: Vec<Line> = runs
            .iter()
            .enumerate()
            .flat_map(|(run, (_, epochs))| lines(run, epochs, value))
            .collect();
        learning(&format!("learning-{}", slug(title)), title, &lines, &names)
    };
    let figures = [
        curve("Total loss", &|epoch| Some(epoch.train.total)),
        curve("Classification loss", &|epoch| {
            Some(epoch.train.classification)
        }),
        curve("Orthogonality", &|epoch| epoch.train.orthogonality),
        curve("RSA of the high-level token", &|epoch| epoch.train.high),
        curve("RSA of the low-level token", &|epoch| epoch.train.low),
        curve("Validation AP", &|epoch| {
            Some(epoch.validation.as_ref()?.average_precision)
        }),
        curve("Validation AUC", &|epoch| {
            Some(epoch.validation.as_ref()?.roc_auc)
        }),
        curve("Learning rate", &|epoch| Some(epoch.learning_rate)),
    ];
    let many = match runs.len() {
        1 => String::new(),
        count => format!(", a colour for each of {count} runs that differ in their seed alone"),
    };
    section.paragraph(format!(
        "Thin: a line for each fold{many}; bold: their mean. Loss terms are before their weights."
    ));
    section.figures(figures.into_iter().flatten());
    if files.epochs.iter().all(|epoch| epoch.validation.is_none()) {
        section.missing("There are no validation scores: split.validation_fraction is 0, the last weights were kept.");
    }
    section.push(Block::Table("Time of each stage".to_owned(), times(input)));
    section
}

/// A line for each model that has the value.
fn lines(run: usize, epochs: &[Epoch], value: &dyn Fn(&Epoch) -> Option<f64>) -> Vec<Line> {
    let mut models: BTreeMap<_, Vec<(f64, f64)>> = BTreeMap::new();
    for epoch in epochs {
        if let Some(value) = value(epoch) {
            models
                .entry(epoch.model())
                .or_default()
                .push((epoch.epoch as f64, value));
        }
    }
    let models = models.into_iter();
    let lines = models.map(|((fold, subject), points)| Line {
        model: match subject {
            None => format!("fold {fold}"),
            Some(subject) => format!("fold {fold}, {subject}"),
        },
        run,
        points,
    });
    lines.collect()
}

fn times(input: &Input<'_>) -> Table {
    let files = input.files;
    let seconds = |time: &str| {
        let time = humantime::parse_rfc3339(time).ok()?;
        let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(since.as_secs_f64())
    };
    let started = seconds(&files.run.started);
    let finished = files.run.finished.as_deref().and_then(seconds);
    let times = || files.epochs.iter().map(|epoch| epoch.time);
    let (first, last) = (
        times().fold(f64::INFINITY, f64::min),
        times().fold(0.0, f64::max),
    );
    let mut table = Table::new(&["stage", "seconds"]);
    let mut row = |stage: &str, value: Option<f64>| {
        // Times are rounded to seconds where a run starts and ends.
        table.push([
            stage.into(),
            value.map_or(Cell::None, |value| {
                ((value.max(0.0) * 10.0).round() / 10.0).into()
            }),
        ]);
    };
    row(
        "reading, checks and the first epoch",
        started.map(|started| first - started),
    );
    row("other epochs of all folds", Some(last - first));
    row(
        "last epoch to the end: predictions",
        finished.map(|finished| finished - last),
    );
    row(
        "whole run",
        started
            .zip(finished)
            .map(|(started, finished)| finished - started),
    );
    table
}
