use std::path::PathBuf;

use mused_formats::table::Table;

use crate::{Error, Result};

/// The run directories that paths name: runs as they are, and of a folder of `mused benchmark` every run it lists.
///
/// # Errors
/// A benchmark's table that cannot be read, or lists no run.
pub fn run_directories(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut runs = Vec::new();
    for path in paths {
        let table = path.join("benchmark.tsv");
        if path.join("run.json").is_file() || !table.is_file() {
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
