//! One chapter of the report a module, and in it a figure a file: its rows, the table and the chart made of them, its words.

mod brain;
mod facts;
mod headline;
mod labels;
mod lead;
mod methods;
mod representations;
mod retrieval;
mod runs;
mod stimuli;
mod training;

use crate::figures::Side;
use crate::input::{RunFiles, ScoredRun, Scores};
use mused_data::quality::Quality;
use mused_formats::surface::Surface;

pub(crate) use brain::{brain, importance_maps};
pub(crate) use facts::Facts;
pub(crate) use headline::headline;
pub(crate) use labels::labels;
pub(crate) use lead::{lead, subtitle, title};
pub(crate) use methods::methods;
pub(crate) use representations::representations;
pub(crate) use retrieval::retrieval;
pub(crate) use runs::{against_best_ridge, runs};
pub(crate) use stimuli::stimuli;

/// What every section is made from.
pub(crate) struct Input<'a> {
    pub(crate) files: &'a RunFiles,
    pub(crate) facts: Facts<'a>,
    /// The run, then those that it is compared with.
    pub(crate) runs: Vec<&'a ScoredRun>,
    /// Who looks unlike the others, where the dataset is there.
    pub(crate) quality: Option<Quality>,
    /// Scores of single labels and subjects, where there are predictions.
    pub(crate) scores: Option<&'a Scores>,
    pub(crate) labels: &'a [String],
    pub(crate) subjects: &'a [String],
    /// Surfaces of the cortex, where they were given.
    pub(crate) surfaces: &'a [(Side, Surface)],
    /// Whether token maps are made by t-SNE.
    pub(crate) tsne: bool,
    /// The command that made the report.
    pub(crate) command: &'a str,
}

impl Input<'_> {
    /// The run that the page is about.
    pub(crate) fn first(&self) -> &ScoredRun {
        &self.files.scored
    }
}
