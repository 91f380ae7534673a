//! How training went.

mod curves;
mod times;

use super::Input;
use crate::figure::{Block, Section};

/// Learning curves of every loss term, the learning rate, and the time of stages.
pub(crate) fn training(input: &Input<'_>) -> Section {
    let mut section = Section::inside();
    let epochs = &input.first().epochs;
    if epochs.is_empty() {
        section.missing(match input.facts.at_once {
            true => "The model is computed at once: there are no epochs.",
            false => "metrics.jsonl holds no epoch yet.",
        });
        return section;
    }
    let runs = curves::runs(&input.runs);
    section.paragraph(curves::words(&runs));
    section.figures(curves::figures(&runs));
    if epochs.iter().all(|epoch| epoch.validation.is_none()) {
        section.missing("There are no validation scores: no validation part can be scored.");
    }
    let times = times::table(&input.facts, epochs);
    section.push(Block::Table("Time of each stage".to_owned(), times));
    section
}
