//! mused decodes *what* several people see from their fMRI, with one model for all of them.
//!
//! The method is CLIP-MUSED (ICLR 2024): a Transformer over regions of interest plus two learnable
//! tokens a subject, guided by the geometry of the stimuli. The whole way, from arrays to scores:
//!
//! ```
#![doc = include_str!("../examples/ten_lines.rs")]
//! ```
//!
//! [`data`] holds datasets, imports and the simulator, [`features`] CLIP features of stimuli, [`benchmark`] compares
//! models, [`command_line`] is what the binary does, [`curve`] says how many trials or people are enough, [`plan`] has many
//! processes make their runs, [`report`] makes pages of runs; [`stats`] and [`formats`] are parts
//! they are made of.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

// The files of the command name the library as other programs do.
extern crate self as mused;

pub mod benchmark;
pub mod curve;
#[macro_use]
mod device;
mod error;
pub mod features;
mod kept;
mod models;
mod permutations;
pub mod plan;
pub mod retrieval;
mod ridge;
mod runs;
mod training;
#[macro_use]
mod terminal;
mod args;
mod bars;
pub mod command_line;
mod commands;
mod signals;

pub use device::{DEVICE_NAMES, devices, use_device};
pub use error::{Error, Fault, Result};
pub use models::Models;
pub use mused_data as data;
pub use mused_data::Dataset;
pub use mused_formats as formats;
pub use mused_kernels::{Device, Found};
pub use mused_report as report;
pub use mused_results::{
    Comparison, LabelComparison, LabelMetricDifference, MetricDifference, seeds,
};
pub use mused_run as run;
pub use mused_run::{Config, Layers, Results, Run};
pub use mused_stats as stats;
pub use mused_train::{
    AdaptRequest, Cancel, Explanation, ModelInputs, PartDrop, Probabilities, Progress,
    PublishedRequest, ScoreDrop, Tensors, TokenGeometry, limit_memory,
};
pub use permutations::Permutations;
pub use runs::{
    adapt, audit_run, compare, compare_seeds, evaluate, evaluate_with, explain, export_published,
    import_published, model_inputs, predict, reweigh, unique_contributions, weights,
};
pub use training::{Training, train};
