//! Which trials are imported, and which image each showed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::design::Design;
use super::regions::{self, Regions};
use super::tree::SubjectFiles;
use super::{NsdConfig, Repeats, betas};
use crate::import::checks::{Check, Findings};
use crate::{Error, Result, Trial};

/// Trials of a session.
const SESSION_TRIALS: usize = 750;

/// Session and trial within it of every showing that a response is the mean of, by response.
pub(super) type Showings = Vec<Vec<[usize; 2]>>;

/// A subject before its betas are read.
pub(super) struct Planned {
    pub(super) files: SubjectFiles,
    pub(super) regions: Regions,
    /// Image of every trial, by session.
    pub(super) shown: Vec<Vec<usize>>,
}

/// Looks at every file of betas before any is read.
pub(super) fn plan(
    root: &Path,
    config: &NsdConfig,
    subjects: Vec<SubjectFiles>,
    design: &Design,
    findings: &mut Findings,
) -> Result<Vec<Planned>> {
    let mut planned = Vec::new();
    let mut first: Option<(usize, PathBuf)> = None;
    for files in subjects {
        let regions = regions::select(root, &files, config, findings)?;
        let all = design.shown(files.number);
        let mut shown = Vec::new();
        for (number, path) in &files.sessions {
            let trials = betas::trials(path, &regions, findings)?;
            let (length, origin) = first.get_or_insert_with(|| (trials, path.clone()));
            if trials != *length {
                // Which trials of the design would the others be?
                let message = format!(
                    "expected {length} trials, as in {}, found {trials}",
                    origin.display()
                );
                return Err(Error::invalid(path, message));
            }
            if trials != SESSION_TRIALS {
                let message = format!(
                    "{}: expected {SESSION_TRIALS} trials, found {trials}",
                    path.display()
                );
                findings.report(Check::TrialCount, message)?;
            }
            let end = trials * *number as usize;
            let own = all.get(end - trials..end).filter(|own| !own.is_empty());
            let own = own.ok_or_else(|| {
                let message = format!(
                    "expected session {number} within the {} trials of nsd_expdesign.mat, found trials \
                     to {end}",
                    all.len()
                );
                Error::invalid(path, message)
            })?;
            let training = own.iter().filter(|&&image| !design.images[image].shared);
            if config.zscore && training.count() < 2 {
                let message = "expected at least 2 trials of images that are not shared, for mean and \
                               standard deviation, found fewer";
                return Err(Error::invalid(path, message));
            }
            shown.push(own.to_vec());
        }
        planned.push(Planned {
            files,
            regions,
            shown,
        });
    }
    Ok(planned)
}

/// Trials in the order they were shown, and the showings that each is the mean of.
pub(super) fn list(
    subject: &Planned,
    config: &NsdConfig,
    design: &Design,
    index: &HashMap<usize, usize>,
) -> (Vec<Trial>, Showings) {
    let mut trials: Vec<Trial> = Vec::new();
    let mut showings = Showings::new();
    let mut places: HashMap<usize, usize> = HashMap::new();
    // Showings in sessions that are not imported count too.
    let mut counts: HashMap<usize, u32> = HashMap::new();
    let repeats: Vec<u32> = design
        .shown(subject.files.number)
        .iter()
        .map(|&image| {
            let count = counts.entry(image).or_default();
            *count += 1;
            *count
        })
        .collect();
    let average = config.repeats == Repeats::Average;
    for (place, ((session, _), shown)) in subject
        .files
        .sessions
        .iter()
        .zip(&subject.shown)
        .enumerate()
    {
        let start = shown.len() * (*session as usize - 1);
        for (trial, &image) in shown.iter().enumerate() {
            let showing = [place, trial];
            if let Some(&known) = places.get(&image).filter(|_| average) {
                showings[known].push(showing);
                continue;
            }
            places.insert(image, trials.len());
            trials.push(Trial {
                stimulus: index.get(&image).copied().unwrap_or_default(),
                session: *session,
                run: 1,
                onset: None,
                repeat: if average { 1 } else { repeats[start + trial] },
            });
            showings.push(vec![showing]);
        }
    }
    (trials, showings)
}
