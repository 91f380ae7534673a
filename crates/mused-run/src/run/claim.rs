//! Who may write a run, and what those who were killed left in it.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use mused_formats::{Lock, Locked, make_folder};

use super::Run;
use super::places::{CONFIG, DIGESTS, LABELS, LOCK, PARTS, RUN, SHOWN, SPLIT};
use crate::{Error, Result};

/// What stands in a run directory before its `run.json` does: it follows from the request, and nothing is lost with it.
const PLANNED: [&str; 5] = [CONFIG, SPLIT, LABELS, SHOWN, DIGESTS];
/// What names begin with under which file servers keep a file that was removed while somebody has it open, as the lock has.
const REMOVED: [&str; 2] = [".nfs", ".fuse_hidden"];
/// What a file that is being written ends in.
const PARTIAL: &str = ".partial";

impl Run {
    /// The right to be the only writer of the run, or folder of runs, at `path`, which is made where it is missing. It
    /// ends with the process. Where a process of another machine has it, this waits for a sign of life, see [`Lock::take`].
    ///
    /// # Errors
    /// Who has it.
    pub fn claim(path: &Path) -> Result<Lock> {
        make_folder(path).map_err(Error::io("cannot create", path))?;
        match Lock::take(path.join(LOCK))? {
            Locked::Own(lock) => Ok(lock),
            Locked::Other(holder) => Err(Error::Request(format!(
                "{}: {holder} is writing here: wait until it has ended, or choose another folder",
                path.display()
            ))),
        }
    }

    /// Removes the lock of a process that was killed when the run at `path` was complete; one that is at work keeps its own.
    pub fn tidy(path: &Path) {
        let lock = path.join(LOCK);
        if lock.exists() {
            // It goes with this one's. Where it cannot, the run is no less complete.
            drop(Lock::take_at_once(lock));
        }
    }

    /// Refuses a run directory that holds something.
    ///
    /// # Errors
    /// What to do instead.
    pub fn refuse_occupied(path: &Path) -> Result<()> {
        let occupied = match fs::read_dir(path) {
            Ok(entries) => (entries.flatten()).any(|entry| !of_the_plan(&entry.file_name())),
            Err(_) => path.exists(),
        };
        if !occupied {
            return Ok(());
        }
        let advice = match Self::exists(path) {
            true => "choose another --out, or continue it with --resume",
            false => "choose another --out",
        };
        Err(Error::Request(format!(
            "{} already exists: {advice}",
            path.display()
        )))
    }

    /// Removes what a process left that was killed before the run began: it may be of another request.
    pub(super) fn forget_plan(path: &Path) -> Result<()> {
        for name in PLANNED {
            let file = path.join(name);
            if file.is_file() {
                fs::remove_file(&file).map_err(Error::io("cannot remove", &file))?;
            }
        }
        Ok(())
    }

    /// Removes half-written files of processes that were killed, and those that the first version left under names of
    /// their own. For the run's only writer.
    ///
    /// # Errors
    /// A folder that cannot be read; a file that cannot be removed.
    pub fn sweep(&self) -> Result<()> {
        let tasks = self.tasks().iter();
        let folders =
            tasks.flat_map(|task| [self.task_folder(task), self.tensorboard_folder(task)]);
        let own = |name: &str| name.ends_with(PARTIAL) || name.starts_with(".tmp");
        for folder in folders.filter(|folder| folder.is_dir()) {
            for entry in fs::read_dir(&folder).map_err(Error::io("cannot list", &folder))? {
                let entry = entry.map_err(Error::io("cannot list", &folder))?;
                let path = entry.path();
                if entry.file_name().to_str().is_some_and(own) && path.is_file() {
                    fs::remove_file(&path).map_err(Error::io("cannot remove", &path))?;
                }
            }
        }
        Ok(())
    }
}

/// Whether nothing that could be lost has this name.
fn of_the_plan(name: &OsStr) -> bool {
    let name = name.to_str().unwrap_or_default();
    match name.strip_suffix(PARTIAL) {
        Some(partial) => partial == RUN || PLANNED.contains(&partial),
        None => {
            name.starts_with(LOCK)
                || name == PARTS
                || PLANNED.contains(&name)
                || REMOVED.iter().any(|removed| name.starts_with(removed))
        }
    }
}
