//! mused decodes *what* several people see from their fMRI, with one model for all of them.
//!
//! The method is CLIP-MUSED (ICLR 2024): a Transformer over regions of interest plus two learnable
//! tokens a subject, guided by the geometry of the stimuli. The stages, each a module here and a
//! verb of the binary:
//!
//! 1. [`data`]: import or simulate a dataset directory,
//! 2. [`features`]: CLIP features of its stimuli,
//! 3. [`train`]: train a run directory, predict,
//! 4. [`results`]: score it,
//! 5. [`benchmark`]: compare models.
//!
//! [`stats`], [`formats`], [`model`] and [`kernels`] are the parts they are made of.

pub mod benchmark;
pub mod features;

pub use mused_clip as clip;
pub use mused_data as data;
pub use mused_formats as formats;
pub use mused_kernels as kernels;
pub use mused_model as model;
pub use mused_report as report;
pub use mused_results as results;
pub use mused_stats as stats;
pub use mused_train as train;
