//! One chapter of the report a file.

mod brain;
mod headline;
mod labels;
mod methods;
mod representations;
mod runs;
mod stimuli;
mod training;

use crate::input::{OtherRun, RunFiles, Scores};

pub(crate) use brain::{brain, importance_maps};
pub(crate) use headline::{headline, lead};
pub(crate) use labels::labels;
pub(crate) use methods::methods;
pub(crate) use representations::representations;
pub(crate) use runs::runs;
pub(crate) use stimuli::stimuli;
pub(crate) use training::training;

/// What every section is made from.
pub(crate) struct Input<'a> {
    pub(crate) files: &'a RunFiles,
    /// Scores of single labels and subjects, where there are predictions.
    pub(crate) scores: Option<&'a Scores>,
    pub(crate) others: &'a [OtherRun],
    pub(crate) labels: &'a [String],
    pub(crate) subjects: &'a [String],
    /// Label that is picked at first: the most frequent one.
    pub(crate) picked: usize,
    /// Whether token maps are made by t-SNE.
    pub(crate) tsne: bool,
    /// The command that made the report.
    pub(crate) command: &'a str,
}
