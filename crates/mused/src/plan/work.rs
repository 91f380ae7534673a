use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mused_formats::{Lock, Locked, make_folder, replace_file};
use mused_run::{EpochLosses, Run, ValidationScores};
use mused_train::Progress;

use super::{AT_WORK, Gathered, Piecewise, Plan};
use crate::{Error, Result};

/// How a task ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Worked {
    /// All its runs are complete.
    Done,
    /// They were before.
    Before,
    /// Another process is at work on it: which, where and since when.
    Held(String),
    /// It was asked to stop, and saved.
    Stopped,
    /// Runs of it failed; why is on record.
    Failed(String),
}

impl Plan {
    /// Makes the runs of a task (from 1) that are missing. Where a process of another machine has it, `waits` for a sign of
    /// life from there.
    ///
    /// # Errors
    /// A number that no task has; a folder that cannot be written.
    pub fn work<P: Progress>(
        &self,
        task: usize,
        of: &impl Piecewise,
        waits: bool,
        progress: impl Fn(&Path) -> P,
    ) -> Result<Worked> {
        let runs = self.runs(task)?;
        let claim = self.claim_path(task);
        let done = || {
            let gathered = Gathered::of(runs.iter());
            runs.iter().all(|run| gathered.is_done(run))
        };
        if done() {
            if claim.exists() {
                // Of a process that was killed when all was done: it goes with this one's.
                drop(Lock::take_at_once(claim));
            }
            runs.iter().for_each(|run| Run::tidy(run));
            return Ok(Worked::Before);
        }
        let at_work = self.folder.join(AT_WORK);
        make_folder(&at_work).map_err(mused_run::Error::io("cannot create", &at_work))?;
        let claimed = match waits {
            true => Lock::take(claim),
            false => Lock::take_at_once(claim),
        };
        let lock = match claimed.map_err(mused_run::Error::from)? {
            Locked::Own(lock) => lock,
            Locked::Other(holder) => return Ok(Worked::Held(holder)),
        };
        // Somebody may have done it between the look and the claim.
        if done() {
            return Ok(Worked::Before);
        }
        let mut failures = Vec::new();
        for (index, run) in runs.iter().enumerate() {
            if Gathered::of([run].into_iter()).is_done(run) {
                continue;
            }
            let telling = Telling {
                inner: progress(run),
                lock: &lock,
                before: index,
                runs: runs.len(),
                steps: AtomicUsize::new(0),
                total: AtomicUsize::new(1),
            };
            if telling.interrupted() {
                return Ok(Worked::Stopped);
            }
            match of.make(run, telling) {
                Ok(()) => {}
                Err(Error::Interrupted(_)) => return Ok(Worked::Stopped),
                Err(error) => failures.push(error.to_string()),
            }
        }
        let path = self.failure_path(task);
        if failures.is_empty() {
            // There is none where it did not fail.
            let _ = fs::remove_file(&path);
            return Ok(Worked::Done);
        }
        let failure = failures.join("\n");
        if let Some(folder) = path.parent() {
            make_folder(folder).map_err(mused_run::Error::io("cannot create", folder))?;
        }
        replace_file(&path, failure.as_bytes()).map_err(mused_run::Error::from)?;
        Ok(Worked::Failed(failure))
    }

    /// Whether a task has failed and was not done since.
    pub fn has_failed(&self, task: usize) -> bool {
        self.failure_path(task).is_file()
    }
}

/// Progress of a run, of which the claim of its task tells others.
struct Telling<'l, P> {
    inner: P,
    lock: &'l Lock,
    /// Runs of the task before it, of how many.
    before: usize,
    runs: usize,
    steps: AtomicUsize,
    total: AtomicUsize,
}

impl<P> Telling<'_, P> {
    fn tell(&self, steps: usize) {
        let total = self.total.load(Ordering::Relaxed).max(1);
        let done = (self.before * total + steps.min(total)) * 1000 / (self.runs * total);
        self.lock.tell(u32::try_from(done).unwrap_or(1000));
    }
}

impl<P: Progress> Progress for Telling<'_, P> {
    fn start(&self, done: usize, total: usize, bytes: u64) {
        self.steps.store(done, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
        self.tell(done);
        self.inner.start(done, total, bytes);
    }

    fn step(&self, model: &str, losses: &EpochLosses) {
        self.tell(self.steps.fetch_add(1, Ordering::Relaxed) + 1);
        self.inner.step(model, losses);
    }

    fn aligned(&self, done: usize, total: usize) {
        self.inner.aligned(done, total);
    }

    fn epoch(&self, epoch: usize, validation: Option<&ValidationScores>) {
        self.inner.epoch(epoch, validation);
    }

    fn trained(&self) {
        self.inner.trained();
    }

    fn beside(&self, model: &str, run: &Path, took: Duration) {
        self.inner.beside(model, run, took);
    }

    fn note(&self, message: &str) {
        self.inner.note(message);
    }

    fn interrupted(&self) -> bool {
        self.inner.interrupted()
    }
}
