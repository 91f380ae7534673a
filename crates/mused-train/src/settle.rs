//! Tasks that are done, and not yet on disk: what takes a second to make is not worth a wait for the disk of its own.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use mused_formats::Together;
use mused_run::{Run, Task};

use crate::families::forget_states;
use crate::journal::Journal;
use crate::maps::Maps;
use crate::{Error, Result};

/// A power cut undoes no more than this of what is done.
const SETTLE_EVERY: Duration = Duration::from_secs(5);

/// Brings tasks that are done to disk, several at a time. A task that a power cut left in part has other digests than
/// `sha256.tsv`, or none, and is trained anew.
pub(crate) struct Settle<'r> {
    run: &'r Run,
    journal: &'r Journal<'r>,
    maps: &'r Maps<'r>,
    subjects: usize,
    files: Together,
    waiting: Mutex<Waiting<'r>>,
}

struct Waiting<'r> {
    tasks: Vec<&'r Task>,
    since: Instant,
}

impl<'r> Settle<'r> {
    pub(crate) fn new(
        run: &'r Run,
        journal: &'r Journal<'r>,
        maps: &'r Maps<'r>,
        subjects: usize,
    ) -> Self {
        let waiting = Waiting {
            tasks: Vec::new(),
            since: Instant::now(),
        };
        Self {
            run,
            journal,
            maps,
            subjects,
            files: Together::new(),
            waiting: Mutex::new(waiting),
        }
    }

    /// Has `save` write the files of a task that is done.
    pub(crate) fn done(&self, task: &'r Task, save: impl FnOnce() -> Result<()>) -> Result<()> {
        self.files.include(self.run.task_folder(task));
        save()?;
        let mut waiting = self.lock();
        waiting.tasks.push(task);
        match waiting.since.elapsed() < SETTLE_EVERY {
            true => Ok(()),
            false => self.settle(&mut waiting),
        }
    }

    /// Brings all that is done to disk.
    pub(crate) fn all(&self) -> Result<()> {
        self.settle(&mut self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting<'r>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, waiting: &mut Waiting<'r>) -> Result<()> {
        self.journal.sync()?;
        let synced = self.files.sync();
        synced.map_err(Error::io("cannot write", self.run.path()))?;
        for task in waiting.tasks.drain(..) {
            forget(self.run, task, self.maps, self.subjects);
        }
        waiting.since = Instant::now();
        Ok(())
    }
}

/// Removes what a task that is done and on disk was kept by on its way.
pub(crate) fn forget(run: &Run, task: &Task, maps: &Maps<'_>, subjects: usize) {
    forget_states(run, task);
    maps.forget(task, subjects);
}
