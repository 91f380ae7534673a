//! Where in the brain a model reads, and what it needs.

mod attention;
mod by_label;
mod importance;
mod maps;
mod occlusion;
mod patterns;
mod pictures;
mod places;
mod space;

use std::path::PathBuf;

use mused_formats::quoted;

use super::Input;
use crate::escape::escaped;
use crate::figure::{By, Section, Variants};
use crate::figures::RowsChart;
use crate::input::Part;

pub(crate) use maps::importance_maps;

/// Rows in a picture; the table has all.
const ROWS: usize = 30;

/// Attention to regions, the score's drop without them, and where they are. `maps` are images of each subject's
/// importance that stand beside the page.
pub(crate) fn brain(input: &Input<'_>, maps: &[(String, Part<PathBuf>)]) -> Section {
    let mut section = Section::new("brain", "Where in the brain");
    let explain = match &input.files.explain {
        Ok(explain) => explain,
        Err(why) => {
            section.missing(format!(
                "Nothing is known about places: {why}. Run `mused explain {}` and make the report again.",
                quoted(input.files.run().path())
            ));
            return section;
        }
    };
    let mut figures = Vec::new();
    figures.extend(places::figures(&mut section, input, explain));
    match &explain.occlusion {
        Ok(found) => match occlusion::figure(found, input.subjects) {
            Some(figure) => figures.push(figure),
            None => {
                section.missing("explain/occlusion.tsv has no rows.");
            }
        },
        Err(why) => {
            section.missing(format!("There is no occlusion importance: {why}"));
        }
    }
    figures.extend(
        explain
            .label_drops
            .as_ref()
            .ok()
            .and_then(|drops| by_label::figure(drops)),
    );
    match &explain.attention {
        Ok(found) => match attention::figure(&explain.about, found, input.subjects) {
            Some(figure) => figures.push(figure),
            None => {
                section.missing("explain/attention.tsv has no rows.");
            }
        },
        Err(_) => {
            section.missing("The network has no attention over regions or cubes, or explain/attention.tsv is missing.");
        }
    }
    if !figures.is_empty() {
        section.figures(figures);
    }
    let mut images = Section::inside();
    add_maps(&mut images, maps);
    section.fold("Importance as images", images);
    section
}

fn add_maps(section: &mut Section, maps: &[(String, Part<PathBuf>)]) {
    for (subject, map) in maps {
        match map {
            Ok(path) => section.paragraph(format!(
                "{}: <code>{}</code>, beside this page",
                escaped(subject),
                escaped(&path.file_name().unwrap_or_default().to_string_lossy())
            )),
            Err(why) => section.missing(format!("No image of {subject}: {why}")),
        };
    }
}

/// The picked subject's dots over a chart: `values(subject)[row][panel]`, and none for the mean.
fn overlays(
    target: &str,
    chart: &RowsChart,
    subjects: &[String],
    values: impl Fn(&str) -> Vec<Vec<Option<f64>>>,
) -> Variants {
    let each = subjects
        .iter()
        .map(|subject| chart.overlay(&values(subject)));
    Variants {
        target: target.to_owned(),
        by: By::Subject,
        markup: std::iter::once(String::new()).chain(each).collect(),
        rest: String::new(),
    }
}

fn cut(parts: usize) -> String {
    match parts > ROWS {
        true => format!(" Shown are the first {ROWS} of {parts}; the table has all."),
        false => String::new(),
    }
}
