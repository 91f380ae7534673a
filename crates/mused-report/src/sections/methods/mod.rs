//! A methods paragraph with this run's numbers, and what is needed to make it again. What is known stands apart from
//! its words: a sentence says no more than the facts.

mod data;
mod facts;
mod fitting;
mod guidance;
mod model;
mod reproduction;
mod statistics;

use self::facts::{Division, Made};

use super::Input;
use super::training::training;
use crate::escape::escaped;
use crate::figure::{Block, Section};

/// The methods paragraph, and what is needed to make the run again.
pub(crate) fn methods(input: &Input<'_>) -> Section {
    let mut section = Section::new("methods", "Methods and reproduction");
    if !input.facts.complete {
        section.missing(format!(
            "The run was interrupted or is still training: {} continues it.",
            input.files.run().same_again()
        ));
    }
    let paragraphs = paragraphs(input)
        .into_iter()
        .filter(|text| !text.is_empty());
    let text = paragraphs.map(|sentences| format!("<p>{}</p>", escaped(&sentences.join(" "))));
    let text: String = text.collect();
    section.push(Block::Html(format!(r#"<div class="prose">{text}</div>"#)));
    section.fold("Training", training(input));
    reproduction::add(&mut section, input);
    section
}

/// Sentences of each paragraph.
fn paragraphs(input: &Input<'_>) -> Vec<Vec<String>> {
    let record = input.files.run().record();
    let division = Division::of(input.files);
    let made = input.first().config.as_ref().ok();
    let made = made.map(|config| Made::of(input.files, config));
    let mut paragraphs = vec![data::words(input.files, division.as_ref(), made.as_ref())];
    if let Some(made) = &made {
        paragraphs.extend([
            [model::words(made), guidance::words(made)].concat(),
            fitting::words(made, division.as_ref()),
        ]);
    }
    if let Ok(results) = &input.first().results {
        paragraphs.push(statistics::words(results, &record.version));
    }
    paragraphs
}
