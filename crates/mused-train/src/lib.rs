//! From a dataset to a run directory: training, resume, prediction, explanation.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod adapt;
mod audit_run;
mod calibration;
mod checkpoint;
mod crew;
mod error;
mod explain;
mod families;
mod fold_data;
mod inputs;
mod journal;
mod learner;
mod maps;
mod memory;
mod model_file;
mod optimizer;
mod overflow;
mod parameters;
mod permute;
mod plan;
mod predict;
mod progress;
mod published;
mod random;
mod reading;
mod sample_set;
mod schedule;
mod scoring;
mod search;
mod tensorboard;
mod training;
mod update;

pub use adapt::{AdaptRequest, adapt};
pub use audit_run::audit_run;
pub use calibration::training_trials;
pub use error::{Error, Result};
pub use explain::{Explanation, PartDrop, ScoreDrop, TokenGeometry, explain};
pub use overflow::Cause;
pub use permute::retrain_relabelled;
pub use predict::{Probabilities, predict};
pub use progress::{Cancel, Progress};
pub use published::{PublishedRequest, export_published, import_published};
pub use search::{Settings, candidates, choose};
pub use training::{Outcome, TrainRequest, resume, train};
