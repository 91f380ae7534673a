//! Which files stand in a folder of a run, by the SHA-256 of what was written: `sha256.tsv`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mused_formats::sha256::{hexadecimal, of_file};
use mused_formats::table::{Table, TableWriter};

use super::Run;
use super::places::{
    DIGESTS, INPUTS, LABELS, MODEL, PREDICTIONS, RESULTS, SHOWN, SPLIT, TARGETS, TRIALS,
};
use crate::{Error, Result, Task};

impl Run {
    /// Records the files of a task that is done.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn seal_task(&self, task: &Task) -> Result<()> {
        seal(&self.task_folder(task), &[MODEL, INPUTS, PREDICTIONS])
    }

    /// Whether all files of a task are on record, or the run is of a version that kept none.
    ///
    /// # Errors
    /// A record that cannot be read.
    pub fn is_sealed(&self, task: &Task) -> Result<bool> {
        if !self.path.join(DIGESTS).is_file() {
            return Ok(true);
        }
        let recorded = read(&self.task_folder(task).join(DIGESTS))?;
        Ok([MODEL, INPUTS, PREDICTIONS]
            .iter()
            .all(|name| recorded.contains_key(*name)))
    }

    /// Whether nothing of a complete run is missing or damaged.
    pub fn is_whole(&self) -> bool {
        let whole = |task: &Task| {
            let folder = self.task_folder(task);
            let there = [MODEL, INPUTS, PREDICTIONS]
                .iter()
                .all(|name| folder.join(name).is_file());
            let damaged = self.damaged_files(task);
            there
                && self.is_sealed(task).is_ok_and(|sealed| sealed)
                && damaged.is_ok_and(|damaged| damaged.is_empty())
        };
        self.predictions().is_ok() && self.tasks().iter().all(whole)
    }

    /// Records the files of the run that scores are computed from.
    pub(super) fn seal(&self) -> Result<()> {
        seal(
            &self.path,
            &[SPLIT, LABELS, SHOWN, TRIALS, TARGETS, PREDICTIONS],
        )
    }

    /// Records the scores, in a run that has its files on record.
    pub(super) fn seal_results(&self) -> Result<()> {
        match read(&self.path.join(DIGESTS))?.is_empty() {
            true => Ok(()),
            false => seal(&self.path, &[RESULTS]),
        }
    }

    /// Refuses a file of the run that is not the one that was written. Files of earlier versions are taken as they are:
    /// those had no record.
    ///
    /// # Errors
    /// What to do.
    pub fn check(&self, path: &Path) -> Result<()> {
        check(path).map_err(|error| self.damaged(&error))
    }

    /// The files of a task that are not those that were written, with why.
    ///
    /// # Errors
    /// Files that cannot be read.
    pub fn damaged_files(&self, task: &Task) -> Result<Vec<(PathBuf, String)>> {
        let mut damaged = Vec::new();
        for name in [MODEL, INPUTS, PREDICTIONS] {
            let path = self.task_folder(task).join(name);
            match check(&path) {
                Ok(()) => {}
                Err(error @ Error::Invalid { .. }) => damaged.push((path, error.to_string())),
                Err(error) => return Err(error),
            }
        }
        Ok(damaged)
    }
}

fn read(table: &Path) -> Result<BTreeMap<String, String>> {
    if !table.is_file() {
        return Ok(BTreeMap::new());
    }
    let columns = || {
        let table = Table::read(table)?;
        let column = |name| -> mused_formats::Result<Vec<String>> {
            let cells = table.column(name)?.strings()?;
            Ok(cells.into_iter().map(str::to_owned).collect())
        };
        Ok((column("file")?, column("sha256")?))
    };
    let (files, digests) = columns()
        .map_err(|error: mused_formats::Error| Error::invalid(table, error.to_string()))?;
    Ok(files.into_iter().zip(digests).collect())
}

/// Records these files of a folder, where they are there, as they are now. What is on record of others stays.
fn seal(folder: &Path, names: &[&str]) -> Result<()> {
    let path = folder.join(DIGESTS);
    // What cannot be read is lost, and files without a digest are taken as they are.
    let mut recorded = read(&path).unwrap_or_default();
    for name in names {
        let file = folder.join(name);
        match file.is_file() {
            true => recorded.insert((*name).to_owned(), hexadecimal(&of_file(&file)?)),
            false => recorded.remove(*name),
        };
    }
    let mut table = TableWriter::create(path, &["file", "sha256"])?;
    for (name, digest) in &recorded {
        table.write_row([name, digest])?;
    }
    Ok(table.finish()?)
}

/// Refuses a file that is not the one that its folder has on record.
pub(super) fn check(path: &Path) -> Result<()> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(());
    };
    let recorded = read(&folder.join(DIGESTS))?;
    match recorded.get(&*name.to_string_lossy()) {
        Some(recorded) if path.is_file() && hexadecimal(&of_file(path)?) != *recorded => {
            let message = format!(
                "expected the file that {DIGESTS} beside it has on record, found other content"
            );
            Err(Error::invalid(path, message))
        }
        _ => Ok(()),
    }
}
