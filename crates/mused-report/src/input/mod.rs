//! What a report is made from.

mod explain;
mod images;
mod run_files;
mod scored_run;
mod scores;

pub(crate) use explain::{
    About, Attention, Explain, LabelDrop, Occlusion, Patterns, RdmRow, TokenRow,
};
pub(crate) use images::thumbnail;
pub use images::{Images, NoImages, Pixels};
pub use run_files::RunFiles;
pub use scored_run::ScoredRun;
pub(crate) use scores::{LabelCurves, Scores};

/// A thing of a run, or why it is not there.
pub(crate) type Part<T> = std::result::Result<T, String>;

fn part<T, E: ToString>(found: std::result::Result<T, E>) -> Part<T> {
    found.map_err(|error| error.to_string())
}
