//! From a dataset directory to a run directory: configuration, training, resume and prediction.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod batches;
mod checkpoint;
mod config;
mod error;
mod fold;
mod inputs;
mod journal;
mod layers;
mod optimizer;
mod parameters;
mod predict;
mod progress;
mod run;
mod schedule;
mod tensorboard;
mod update;

pub use config::{
    BrainFormerSize, Config, GuidanceConfig, ModelConfig, OptimizerKind, PRESETS, ScheduleKind,
    SplitConfig, TokenizerKind, TrainConfig,
};
pub use error::{Error, Result};
pub use layers::Layers;
pub use predict::predict;
pub use progress::{EpochLosses, Progress, ValidationScores};
pub use run::{Outcome, TrainRequest, resume, train};
