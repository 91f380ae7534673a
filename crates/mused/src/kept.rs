//! Runs of a folder from before: what is complete is kept, what was interrupted goes on, what was made otherwise is refused.

use std::collections::BTreeSet;
use std::path::Path;

use mused_data::Dataset;
use mused_run::{Layers, Run};
use mused_train::Progress;

use crate::{Error, Result, Training};

/// Refuses runs that are there and read something else of the dataset than there is now. The dataset is read once for
/// all of them; what cannot be opened is left to who opens it.
pub(crate) fn refuse_other_data<'p>(
    dataset: &Dataset,
    folders: impl Iterator<Item = &'p Path>,
) -> Result<()> {
    let runs: Vec<Run> = folders
        .filter_map(|folder| Run::open(folder).ok())
        .collect();
    let features: BTreeSet<&str> = runs.iter().flat_map(Run::features).collect();
    let features: Vec<&str> = features.into_iter().collect();
    let known = (!runs.is_empty()).then(|| dataset.identity(&features));
    let known = known.transpose()?;
    for run in &runs {
        if let Some(difference) = run.difference(dataset, known.as_ref())? {
            return Err(Error::OtherData {
                path: run.path().to_owned(),
                difference,
            });
        }
    }
    Ok(())
}

/// Opens the run at a place, or `None` where there is none.
///
/// # Errors
/// One with other settings.
pub(crate) fn opened(path: &Path, layers: &Layers) -> Result<Option<Run>> {
    if !Run::exists(path) {
        return Ok(None);
    }
    let run = Run::open(path)?;
    match run.config()? == layers.config()? {
        true => Ok(Some(run)),
        false => Err(Error::OtherSettings {
            path: path.to_owned(),
        }),
    }
}

/// The complete run of these settings: trained, gone on with, or kept. `progress` is asked for where something is trained.
pub(crate) fn complete<P: Progress>(
    (dataset, threads): (&Dataset, usize),
    path: &Path,
    layers: &Layers,
    progress: impl FnOnce() -> P,
) -> Result<Run> {
    let training = Training::new(dataset).layers(layers).threads(threads);
    match opened(path, layers)? {
        Some(run) if run.is_complete() => {
            // A process that was killed at its end left its lock, which goes with this one.
            drop(Run::claim(path)?);
            Ok(run)
        }
        Some(_) => training.progress(&progress()).resume(path),
        None => training.progress(&progress()).train(path),
    }
}
