//! What was shown: stimuli with their labels, and each subject's trials.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use ndarray::Array2;

use super::events::RunEvents;
use super::runs::Run;
use crate::import::{Check, Findings, count_repeats};
use crate::{Labels, Result, Stimulus, Trial};

/// Events by the run's recording.
pub(super) type EventsOf<'r> = BTreeMap<&'r PathBuf, RunEvents>;

/// Stimuli in the order of their first showing, with the labels of all their trials.
pub(super) fn stimuli(
    root: &Path,
    subjects: &BTreeMap<String, Vec<Run>>,
    events: &EventsOf<'_>,
    findings: &mut Findings,
) -> Result<(Vec<Stimulus>, Labels)> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut stimuli: Vec<Stimulus> = Vec::new();
    let mut has: Vec<BTreeSet<String>> = Vec::new();
    let mut contradicted = BTreeSet::new();
    for run in subjects.values().flatten() {
        for event in &events[&run.bold].trials {
            let labels: BTreeSet<String> = event.labels.iter().cloned().collect();
            match places.get(event.stimulus.as_str()) {
                None => {
                    places.insert(&event.stimulus, stimuli.len());
                    let mut stimulus = Stimulus::new(&event.stimulus);
                    if event.named {
                        let file = root.join("stimuli").join(&event.stimulus);
                        let file = file.canonicalize().ok().filter(|file| file.is_file());
                        stimulus.file = file.and_then(|file| file.to_str().map(str::to_owned));
                    } else {
                        stimulus.group.clone_from(&run.group);
                    }
                    stimuli.push(stimulus);
                    has.push(labels);
                }
                Some(&place) if has[place] != labels => {
                    let list = |labels: &BTreeSet<String>| {
                        labels.iter().cloned().collect::<Vec<_>>().join(", ")
                    };
                    let message = format!(
                        "{}: expected the labels {} of stimulus {}, as in its first trial, found {} \
                         at {} s",
                        run.events.display(),
                        list(&has[place]),
                        event.stimulus,
                        list(&labels),
                        event.interval.onset
                    );
                    if contradicted.insert(place) {
                        findings.report(Check::LabelConflict, message)?;
                    }
                    has[place].extend(labels);
                }
                Some(_) => {}
            }
        }
    }
    let names: BTreeSet<&String> = has.iter().flatten().collect();
    let names: Vec<String> = names.into_iter().cloned().collect();
    let matrix = Array2::from_shape_fn((stimuli.len(), names.len()), |(row, column)| {
        u8::from(has[row].contains(&names[column]))
    });
    Ok((stimuli, Labels { names, matrix }))
}

/// A subject's trials, run by run.
pub(super) fn trials(
    runs: &[Run],
    events: &EventsOf<'_>,
    index: &HashMap<String, usize>,
) -> Vec<Trial> {
    let mut trials = Vec::new();
    for run in runs {
        let shown = events[&run.bold].trials.iter();
        trials.extend(shown.map(|event| Trial {
            stimulus: index.get(&event.stimulus).copied().unwrap_or_default(),
            session: run.numbers[0],
            run: run.numbers[1],
            onset: Some(event.interval.onset),
            repeat: 1,
        }));
    }
    count_repeats(&mut trials);
    trials
}
