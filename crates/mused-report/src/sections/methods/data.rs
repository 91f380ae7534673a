use std::collections::BTreeSet;

use mused_data::{Dataset, Response};
use mused_run::{FoldSizes, RunRecord};

use super::facts::{Division, Made};
use crate::input::RunFiles;
use crate::number::{count, of};
use crate::sections::facts::Holdout;

/// What was measured, what was done to it as a control, and how it was divided.
pub(super) fn words(
    files: &RunFiles,
    division: Option<&Division>,
    made: Option<&Made<'_>>,
) -> Vec<String> {
    let record = files.run().record();
    let mut sentences = vec![match record.dataset.simulated {
        true => format!(
            "The data are simulated ({}): no brain was measured.",
            record.dataset.name
        ),
        false => format!("The data are {}.", record.dataset.name),
    }];
    sentences.extend(files.dataset().into_iter().flat_map(measured));
    sentences.extend(made.and_then(used));
    sentences.extend(controls(record, made));
    sentences.extend(division.and_then(divided));
    sentences.extend(made.into_iter().flat_map(held_out));
    sentences
}

fn measured(dataset: &Dataset) -> Vec<String> {
    let description = &dataset.description;
    let subjects = dataset.subjects.iter();
    let trials: usize = subjects.clone().map(|subject| subject.trials.len()).sum();
    let values = match description.response {
        Response::SimilarityProfiles => "similarities to reference stimuli",
        _ => "voxels",
    };
    let mut sentences = vec![format!(
        "{} saw {} in {} trials in all, carrying {}. A response is {} {values} a subject in {}.",
        of(dataset.subjects.len(), "subject", "subjects"),
        of(dataset.stimuli.len(), "stimulus", "stimuli"),
        count(trials),
        of(dataset.labels.names.len(), "label", "labels"),
        range(subjects.map(|subject| subject.voxels.len())),
        of(
            dataset.roi_names().len(),
            "region of interest",
            "regions of interest"
        ),
    )];
    sentences.extend(description.processing.clone());
    let space = description.space.as_ref();
    sentences.extend(space.map(|space| format!("Anatomical space: {space}.")));
    sentences.extend(description.tr.map(|tr| format!("Repetition time {tr} s.")));
    sentences
}

/// Whose responses were read, where not everybody's were.
fn used(made: &Made<'_>) -> Option<String> {
    let subjects = &made.config.split.subjects;
    let names: BTreeSet<&str> = subjects.iter().map(String::as_str).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let verb = if names.len() == 1 { "was" } else { "were" };
    (!names.is_empty()).then(|| {
        format!(
            "Of these subjects {} {verb} used: {}.",
            count(names.len()),
            names.join(", ")
        )
    })
}

fn controls(record: &RunRecord, made: Option<&Made<'_>>) -> Vec<String> {
    let resolved = record.resolved.as_ref();
    let shuffled = match resolved {
        Some(resolved) => resolved.shuffled_brain,
        None => made.is_some_and(|made| made.config.model.inputs.shuffled_brain),
    };
    let shuffled = shuffled.then(|| {
        "As a control each subject's responses were dealt anew to the stimuli of the same run."
            .to_owned()
    });
    let relabelling = resolved.and_then(|resolved| resolved.relabelling);
    let relabelled = relabelling.map(|number| {
        format!("As a control stimuli carried the labels of others (relabelling {number}).")
    });
    shuffled.into_iter().chain(relabelled).collect()
}

/// `None` where there is no fold.
fn divided(division: &Division) -> Option<String> {
    let sizes = |part: fn(&FoldSizes) -> usize| range(division.folds.iter().map(part));
    let unit = match division.grouped {
        true => "whole groups of stimuli (clips, runs or scenes)",
        false => "stimuli",
    };
    let seed = division
        .seed
        .map_or(String::new(), |seed| format!(" (seed {seed})"));
    let (how, each) = match (division.folds.len(), division.published) {
        (0, _) => return None,
        (1, Some(true)) => ("The published test part was kept".to_owned(), ""),
        (1, Some(false)) => (format!("One division by {unit}{seed}"), ""),
        // The seed did not divide where a published division did.
        (1, None) => (format!("One division by {unit}"), ""),
        (folds, _) => (
            format!("{folds}-fold cross-validation over {unit}{seed}"),
            " a fold",
        ),
    };
    let validation = match division.validates() {
        true => format!(", {} validation stimuli", sizes(|fold| fold.validation)),
        false => String::new(),
    };
    Some(format!(
        "{how}: {} training stimuli{validation} and {} test stimuli{each}.",
        sizes(|fold| fold.train),
        sizes(|fold| fold.test),
    ))
}

fn held_out(made: &Made<'_>) -> Vec<String> {
    let whom = match made.holdout {
        Holdout::Nobody => {
            return vec!["No test stimulus was trained on in any subject.".to_owned()];
        }
        Holdout::One(subject) => {
            format!("Subject {subject} was tested and never trained on.")
        }
        Holdout::Each => "Each subject was tested by models trained on the others.".to_owned(),
    };
    let statistics = made.held_out_statistics.map(|statistics| {
        format!("The input statistics of held-out subjects came from {statistics}.")
    });
    let stimuli = "No test stimulus was trained on in any subject.".to_owned();
    [whom, stimuli].into_iter().chain(statistics).collect()
}

/// `3`, or `3 to 5`.
fn range(values: impl Iterator<Item = usize> + Clone) -> String {
    let ends = values.clone().min().zip(values.max());
    match ends {
        None => "–".to_owned(),
        Some((low, high)) if low == high => count(low),
        Some((low, high)) => format!("{} to {}", count(low), count(high)),
    }
}
