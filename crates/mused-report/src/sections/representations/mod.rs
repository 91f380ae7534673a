//! What is alike to the model: dissimilarity matrices and maps of tokens.

mod correlations;
mod maps;
mod matrices;
mod rdm_rows;

use mused_formats::quoted;

use super::Input;
use crate::escape::escaped;
use crate::figure::{Block, Section};
use crate::input::Explain;

/// RDMs of stimuli, tokens and regions, their correlations, and maps of the tokens.
pub(crate) fn representations(input: &Input<'_>) -> Section {
    let mut section = Section::new("representations", "Representations");
    let explain = match &input.files.explain {
        Ok(explain) => explain,
        Err(why) => {
            section.missing(format!(
                "There are no representations: {why}. Run `mused explain {}` and make the report again.",
                quoted(input.files.run().path())
            ));
            return section;
        }
    };
    match &explain.rdms {
        Ok(rows) if !rows.is_empty() => matrices::add(&mut section, explain, rows),
        Ok(_) => {
            section.missing("explain/rdms.tsv lists no dissimilarity matrix.");
        }
        Err(why) => {
            section.missing(format!("There are no dissimilarity matrices: {why}"));
        }
    }
    let mut maps = Section::inside();
    add_maps(&mut maps, input, explain);
    section.fold("Maps of the tokens", maps);
    let mut notes = Section::inside();
    add_notes(&mut notes, &explain.about.notes);
    section.fold("What mused explain noted", notes);
    section
}

fn add_notes(section: &mut Section, notes: &[String]) {
    let notes = notes.iter();
    let notes: String = notes
        .map(|note| format!("<li>{}</li>", escaped(note)))
        .collect();
    if !notes.is_empty() {
        section.push(Block::Html(format!(r#"<ul class="note">{notes}</ul>"#)));
    }
}

fn add_maps(section: &mut Section, input: &Input<'_>, explain: &Explain) {
    if explain.about.levels.is_empty() {
        section.missing("The model has no tokens of subjects.");
    }
    let mut all = Vec::new();
    for level in &explain.about.levels {
        match maps::figures(input, explain, level) {
            Ok(figures) => all.extend(figures),
            Err(why) => {
                section.missing(format!(
                    "There is no map of the {level}-level tokens: {why}"
                ));
            }
        }
    }
    if !all.is_empty() {
        section.figures(all);
    }
}
