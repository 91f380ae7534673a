//! Paths that are no run directories.

use std::path::{Path, PathBuf};

use mused_data::Dataset;
use mused_formats::table::Table;

use super::Run;
use super::places::{BENCHMARK, CONFIG, PARTS, RUN, SPLIT};
use crate::{Error, Result};

/// What a path that is no run directory is, and what takes it.
pub(super) fn not_a_run(path: &Path) -> String {
    if Dataset::exists(path) {
        return "expected a run directory, found a dataset; `mused train` makes a run of it, and `mused info`, `audit`, \
                `features`, `rdm`, `map` and `benchmark` take the dataset itself"
            .to_owned();
    }
    if path.join(BENCHMARK).is_file() {
        return format!(
            "expected a run directory, found a folder of `mused benchmark`: name one of its runs (see {BENCHMARK}); \
             `mused report` and `compare` take the folder"
        );
    }
    if path.join(PARTS).is_dir() {
        return "expected a run directory, found models that are made one by one: the same `mused train` without --plan puts \
                them together"
            .to_owned();
    }
    if path.join(CONFIG).is_file() || path.join(SPLIT).is_file() {
        return match Run::refuse_occupied(path) {
            Ok(()) => "expected a run directory, found one whose training never began: give the command that trains it \
                       without --resume"
                .to_owned(),
            Err(_) => format!(
                "expected a run directory, found one without {RUN}, which was lost: bring back a copy of it, or train \
                 the run again in another folder"
            ),
        };
    }
    match path.exists() {
        true => format!("expected a run directory, found no {RUN} in it; `mused train` makes one"),
        false => "there is nothing at this path; `mused train` makes a run".to_owned(),
    }
}

/// The run directories that paths name: runs as they are, and of a folder of `mused benchmark` every run it lists.
///
/// # Errors
/// A benchmark's table that cannot be read, or lists no run.
pub fn run_directories(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut runs = Vec::new();
    for path in paths {
        let table = Run::benchmark_path(path);
        if Run::exists(path) || !table.is_file() {
            runs.push(path.clone());
            continue;
        }
        let listed = Table::read(&table)?;
        let names = listed.column("run")?.strings()?;
        if names.is_empty() {
            return Err(Error::invalid(&table, "expected a row a run, found none"));
        }
        runs.extend(names.into_iter().map(|name| path.join(name)));
    }
    Ok(runs)
}
