//! Importance and patterns where they are: in the brain seen through, and on surfaces that were given.

use std::collections::HashMap;
use std::rc::Rc;

use mused_data::{Dataset, Subject};

use super::importance::{self, Importance};
use super::patterns;
use super::space::Space;
use crate::figure::{Figure, Section};
use crate::figures::Cortex;
use crate::input::{Explain, Part, Patterns};
use crate::sections::Input;

/// What a picture is called, and from where it is seen.
const GLASS: [&str; 3] = [
    "",
    "in the brain",
    "seen through from the right, from behind and from above, the largest value along each line",
];
const SURFACES: [&str; 3] = [
    "-surface",
    "on the cortex",
    "seen from outside and from the middle, on the surfaces that were given (of voxels a vertex has the nearest: right where \
     surfaces lie in the scanner's millimetres, as white, middle and pial ones do)",
];

/// Figures of importance and of patterns. What cannot be drawn is told in the section.
pub(super) fn figures(section: &mut Section, input: &Input<'_>, explain: &Explain) -> Vec<Figure> {
    let dataset = match &input.files.dataset {
        Ok(dataset) => dataset,
        Err(why) => {
            section.missing(format!(
                "The dataset cannot be read, and with it the places of voxels: {why}"
            ));
            return Vec::new();
        }
    };
    let of_vertices = |subject: &Subject| matches!(subject.grayordinates(), Ok(Some(_)));
    let of_vertices = dataset.subjects.first().is_some_and(of_vertices);
    let mut voxels = (dataset.subjects.iter()).flat_map(|subject| subject.voxels.iter());
    if !of_vertices && voxels.all(|voxel| voxel.coordinate.is_none()) {
        section.missing(
            "The dataset has no positions of voxels: importance cannot be shown on a brain.",
        );
        return Vec::new();
    }
    let found = Found::new(dataset, explain);
    if let (true, Some(why)) = (found.importance.is_empty(), &found.failure) {
        section.missing(format!("Importance cannot be shown on a brain: {why}"));
    }
    if of_vertices && input.surfaces.is_empty() {
        section.missing(
            "Responses are those of vertices of the cortex, drawn where `mused report` is given the surfaces: \
             --surface lh=FILE --surface rh=FILE.",
        );
    }
    let mut figures = found.figures(input, explain, GLASS, |subjects| {
        Ok(Space::glass(dataset, subjects))
    });
    if !input.surfaces.is_empty() {
        let drawn = match Cortex::new(input.surfaces.to_vec()) {
            Some(cortex) => {
                let cortex = Rc::new(cortex);
                found.figures(input, explain, SURFACES, |subjects| {
                    Space::surfaces(&cortex, subjects)
                })
            }
            None => Err("their vertices take no room".to_owned()),
        };
        match (drawn, &mut figures) {
            (Ok(drawn), Ok(figures)) => figures.extend(drawn),
            (Err(why), _) => {
                section.missing(format!("Nothing can be drawn on the surfaces: {why}."));
            }
            _ => {}
        }
    }
    figures.unwrap_or_default()
}

/// What is known of each subject's voxels.
struct Found<'a> {
    dataset: &'a Dataset,
    importance: Importance,
    patterns: HashMap<String, Patterns>,
    /// Why importance of a subject is not known.
    failure: Option<String>,
}

impl<'a> Found<'a> {
    fn new(dataset: &'a Dataset, explain: &Explain) -> Self {
        let mut found = Self {
            dataset,
            importance: HashMap::new(),
            patterns: HashMap::new(),
            failure: None,
        };
        let labels = explain.pattern_labels();
        for subject in &dataset.subjects {
            match explain.importance(&subject.id, subject.voxels.len()) {
                Ok(values) => {
                    found.importance.insert(subject.id.clone(), values);
                }
                Err(why) => {
                    found.failure.get_or_insert(why);
                }
            }
            // Runs without a linear model have none, of which `mused explain` said why.
            if let Ok(patterns) = explain.patterns(&subject.id, subject.voxels.len(), &labels) {
                found.patterns.insert(subject.id.clone(), patterns);
            }
        }
        found
    }

    fn figures(
        &self,
        input: &Input<'_>,
        explain: &Explain,
        [ending, place, seen]: [&str; 3],
        space: impl Fn(&[&'a Subject]) -> Part<Space<'a>>,
    ) -> Part<Vec<Figure>> {
        let names = [input.subjects, input.labels];
        let best = best_first(input);
        let those = |has: &dyn Fn(&str) -> bool| -> Vec<&'a Subject> {
            let all = self.dataset.subjects.iter();
            all.filter(|subject| has(&subject.id)).collect()
        };
        let mut figures = Vec::new();
        let subjects = those(&|id| self.importance.contains_key(id));
        if !subjects.is_empty() {
            let drops = explain.label_drops.as_deref().unwrap_or_default();
            let (id, title) = (format!("brain{ending}"), format!("Importance {place}"));
            let words = (id.as_str(), title.as_str(), seen);
            let space = space(&subjects)?;
            figures.extend(importance::figure(
                words,
                &space,
                &self.importance,
                drops,
                names,
                &best,
            ));
        }
        let subjects = those(&|id| self.patterns.contains_key(id));
        if !subjects.is_empty() {
            let (id, title) = (
                format!("patterns{ending}"),
                format!("Patterns of labels {place}"),
            );
            let words = (id.as_str(), title.as_str(), seen);
            let space = space(&subjects)?;
            figures.extend(patterns::figure(
                words,
                &space,
                &self.patterns,
                names,
                &best,
            ));
        }
        Ok(figures)
    }
}

/// Labels by their AUC, the highest first.
fn best_first(input: &Input<'_>) -> Vec<usize> {
    let results = input.first().results.as_ref().ok();
    let auc = |label: usize| {
        let label = results.and_then(|results| results.labels.get(label));
        label.and_then(|label| label.roc_auc).unwrap_or(-1.0)
    };
    let mut best: Vec<usize> = (0..input.labels.len()).collect();
    best.sort_by(|a, b| auc(*b).total_cmp(&auc(*a)));
    best
}
