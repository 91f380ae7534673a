use std::path::{Path, PathBuf};

use mused_results::Results;

use super::{Epoch, Part, Settings, journal, run_files};
use crate::Result;

/// A run that the first one is compared with: its scores, without its predictions.
#[derive(Debug)]
pub struct OtherRun {
    pub(crate) path: PathBuf,
    pub(crate) name: String,
    pub(crate) results: Part<Results>,
    pub(crate) settings: Settings,
    pub(crate) epochs: Vec<Epoch>,
}

impl OtherRun {
    /// Reads a run directory; scores that are missing or of another version are computed and written.
    ///
    /// # Errors
    /// When `results.json` cannot be written.
    pub fn read(path: &Path) -> Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            name: run_files::name_of(path),
            results: run_files::results(path, &mut Vec::new())?,
            settings: Settings::read(&path.join("config.toml")),
            epochs: journal::read(&path.join("metrics.jsonl")),
        })
    }
}
