//! Imports: what studies publish, made a dataset directory.
//!
//! Every import goes the same way. A recipe ([`bids`], [`hcp`], [`npy`], [`nsd`], [`rdm`]) looks at the files and plans
//! the dataset: stimuli, labels, each subject's trials. The driver hashes the files, takes up what a killed process has
//! recorded, has the recipe read one subject after another, checks and writes them, and completes the dataset. Another
//! kind of data is another recipe.

mod atlas;
pub mod bids;
mod checks;
mod data_folder;
mod driver;
pub mod hcp;
pub mod npy;
pub mod nsd;
mod pattern;
pub mod rdm;

use std::collections::HashMap;
use std::path::Path;

use crate::Trial;
pub use checks::Check;
pub(crate) use checks::Findings;

/// What an import found, for its user to compare with the paper.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Subjects, sorted, with their numbers of runs (NSD, RDMs: of sessions), trials and voxels.
    pub subjects: Vec<(String, [usize; 3])>,
    /// Number of stimuli.
    pub stimuli: usize,
    /// Names of the labels.
    pub labels: Vec<String>,
    /// What was not there and is not needed.
    pub notes: Vec<String>,
    /// Checks that were let pass, and what was left out.
    pub warnings: Vec<String>,
}

/// Name of a dataset that its user gave none.
fn name_of(folder: &Path) -> String {
    let folder = folder.canonicalize().ok();
    let name = folder.as_deref().and_then(Path::file_name);
    let name = name.and_then(|name| name.to_str());
    name.unwrap_or("imported").to_owned()
}

/// Numbers the showings of each stimulus, from 1.
fn count_repeats(trials: &mut [Trial]) {
    let mut seen: HashMap<usize, u32> = HashMap::new();
    for trial in trials {
        let count = seen.entry(trial.stimulus).or_default();
        *count += 1;
        trial.repeat = *count;
    }
}
