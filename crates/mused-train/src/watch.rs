use std::sync::{Mutex, OnceLock};

use mused_data::Dataset;
use mused_formats::Lock;
use mused_formats::npy::FileState;
use mused_run::Run;

use crate::{Error, Progress, Result};

/// Watches over the data of a run in training, so that nothing is saved that was fitted to other data than those on
/// record, and tells how it goes.
pub(crate) struct Watch<'w> {
    /// As they were given, before any control.
    dataset: &'w Dataset,
    pub(crate) progress: &'w dyn Progress,
    /// How its files stood when their content was last known.
    known: Mutex<Vec<Option<FileState>>>,
    /// The right to write the run.
    alone: OnceLock<Lock>,
}

impl<'w> Watch<'w> {
    /// To be called before the identity of the data is computed.
    pub(crate) fn new(dataset: &'w Dataset, progress: &'w dyn Progress) -> Result<Self> {
        Ok(Self {
            dataset,
            progress,
            known: Mutex::new(states(dataset)?),
            alone: OnceLock::new(),
        })
    }

    /// Keeps the right to write the run, and looks whether it is still there before anything is saved.
    pub(crate) fn hold(&self, alone: Lock) {
        // A watch is over one run.
        let _ = self.alone.set(alone);
    }

    /// Refuses to write a run any more that another process took over.
    ///
    /// # Errors
    /// That it did.
    pub(crate) fn refuse_lost(&self, run: &Run) -> Result<()> {
        match self.alone.get().is_some_and(Lock::is_lost) {
            true => Err(Error::invalid(
                run.path(),
                "another process took the run over, for this one had given no sign of life for minutes: it goes on there, \
                 and here nothing more is saved",
            )),
            false => Ok(()),
        }
    }

    /// Refuses to save what may have been fitted to data that changed after the run began. Reads them only where somebody
    /// has written to their files.
    ///
    /// # Errors
    /// What changed, and what to do; a run that another process took over.
    pub(crate) fn check(&self, run: &Run) -> Result<()> {
        self.refuse_lost(run)?;
        let mut known = self.known.lock().unwrap_or_else(|p| p.into_inner());
        let found = states(self.dataset)?;
        if *known == found {
            return Ok(());
        }
        let recorded = run.record().dataset.identity.as_ref();
        let now = self.dataset.identity(&[])?;
        if let Some(difference) = recorded.and_then(|recorded| {
            let recorded = recorded.clone().with_features(&[]);
            recorded.difference(&now)
        }) {
            return Err(Error::invalid(
                run.path(),
                format!(
                    "{} changed while the run was trained (what differs: {difference}); nothing that was fitted to the \
                     new data is kept: bring the old ones back and go on with --resume, or train a new run",
                    self.dataset.place()
                ),
            ));
        }
        let in_place = |states: &[Option<FileState>]| states.iter().flatten().all(|s| s.in_place);
        if in_place(&known) && !in_place(&found) {
            self.progress.note(&format!(
                "files of {} were replaced: the run goes on with the old ones, which it has on record",
                self.dataset.place()
            ));
        }
        *known = found;
        Ok(())
    }
}

fn states(dataset: &Dataset) -> Result<Vec<Option<FileState>>> {
    let states = dataset.subjects.iter().map(|s| s.responses.state());
    Ok(states.collect::<mused_data::Result<_>>()?)
}
