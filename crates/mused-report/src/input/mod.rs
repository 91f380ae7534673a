//! What a report is made from.

mod directories;
mod explain;
mod images;
mod journal;
mod other_run;
mod run_files;
mod scores;
mod settings;

pub use directories::run_directories;
pub(crate) use explain::{About, Attention, Explain, Occlusion, RdmRow, TokenRow};
pub(crate) use images::thumbnail;
pub use images::{Images, NoImages, Pixels};
pub(crate) use journal::Epoch;
pub use other_run::OtherRun;
pub use run_files::RunFiles;
pub(crate) use run_files::{Audit, FoldSizes, Part};
pub(crate) use scores::{LabelCurves, Scores};
pub(crate) use settings::Settings;
