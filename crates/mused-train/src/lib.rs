//! From a dataset directory to a run directory: configuration, training, resume and prediction.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod audit_run;
mod batches;
mod checkpoint;
mod config;
mod error;
mod explain;
mod fold;
mod inputs;
mod journal;
mod layers;
mod linear;
mod memory;
mod model_file;
mod models;
mod optimizer;
mod parameters;
mod permute;
mod plan;
mod predict;
mod progress;
mod published;
mod restored;
mod run;
mod schedule;
mod search;
mod tensorboard;
mod update;

pub use audit_run::audit_run;
pub use config::{
    Alignment, AuditConfig, BrainFormerSize, Config, Family, GuidanceConfig, ModelConfig,
    OptimizerKind, PRESETS, ScheduleKind, Sharing, SplitConfig, TokenizerKind, TrainConfig,
};
pub use error::{Error, Result};
pub use explain::{Explanation, PartDrop, TokenGeometry, explain};
pub use layers::Layers;
pub use models::{MODELS, NamedModel};
pub use permute::retrain_relabelled;
pub use predict::predict;
pub use progress::{EpochLosses, Progress, ValidationScores};
pub use published::{PublishedRequest, export_published, import_published};
pub use run::{Outcome, TrainRequest, dataset_of, resume, train};
pub use search::{Settings, candidates, choose};
