use std::collections::BTreeSet;

use mused_run::Results;

use super::Input;
use super::facts::{Facts, Holdout};
use crate::escape::escaped;
use crate::number::of;

/// The result, in a sentence that fits a title.
pub(crate) fn title(input: &Input<'_>) -> String {
    match &input.first().results {
        Ok(results) => results.in_a_title(),
        Err(_) => "No scores yet".to_owned(),
    }
}

/// What was decoded from whom, in a sentence or two: the page's subtitle.
pub(crate) fn lead(input: &Input<'_>) -> String {
    let sentence = match &input.first().results {
        Ok(results) => decoded(input, results),
        Err(_) => format!(
            "Run <em>{}</em> on <em>{}</em>, {}: not complete, so there are no scores yet.",
            escaped(&input.first().name),
            escaped(input.facts.dataset),
            subjects(input)
        ),
    };
    subtitle(input.facts.simulated, &sentence)
}

/// Below the title: that data are simulated, where they are, and a sentence, which is markup.
pub(crate) fn subtitle(simulated: bool, sentence: &str) -> String {
    let simulated = match simulated {
        true => {
            r#"<p class="simulated">Simulated data: no brain was measured. The numbers below say how well the method finds what the simulation put in.</p>"#
        }
        false => "",
    };
    format!(r#"{simulated}<p class="lead">{sentence}</p>"#)
}

fn subjects(input: &Input<'_>) -> String {
    of(input.subjects.len(), "subject", "subjects")
}

fn decoded(input: &Input<'_>, results: &Results) -> String {
    let facts = &input.facts;
    let keys = input.files.predictions.iter().flat_map(|found| &found.keys);
    let stimuli: BTreeSet<&String> = keys.map(|(_, stimulus)| stimulus).collect();
    let division = match results.folds {
        0 | 1 => "held out from training".to_owned(),
        folds => format!("each held out once in {folds}-fold cross-validation"),
    };
    format!(
        "{} decoded from the {} responses of {} to {}, {division}.{}",
        of(results.labels.len(), "label", "labels"),
        if facts.simulated { "simulated" } else { "fMRI" },
        subjects(input),
        of(stimuli.len(), "stimulus", "stimuli"),
        never_trained_on(facts),
    )
}

fn never_trained_on(facts: &Facts<'_>) -> String {
    match facts.holdout {
        Holdout::Nobody => String::new(),
        Holdout::One(subject) => format!(" Subject {} was never trained on.", escaped(subject)),
        Holdout::Each => {
            " Each subject was decoded by models that never saw that subject.".to_owned()
        }
    }
}
