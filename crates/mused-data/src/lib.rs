//! The dataset directory every stage of mused reads: what it holds, how it is written, checked,
//! split and turned into model inputs without leaking held-out stimuli.
//!
//! ```text
//! dataset.json                 name, kind, what a response is, sources
//! stimuli.tsv                  stimulus_id, group, optional split, file, frame, caption
//! captions.tsv                 optional: stimulus_id, caption, several a stimulus
//! labels.tsv  labels.npy       label names; stimuli × labels, u8
//! subjects/<id>/trials.tsv     stimulus_id, session, run, onset, repeat
//! subjects/<id>/responses.npy  trials × voxels, f16 or f32
//! subjects/<id>/voxels.tsv     voxel → roi, optional i j k, optional reference_stimulus
//! subjects/<id>/mask.nii.gz    optional: the grid that i j k count in, 1 where a voxel is
//! subjects/<id>/motion.tsv      optional: framewise displacement of each run, in mm
//! subjects/<id>/grayordinates.dscalar.nii  optional, from CIFTI: vertex or voxel → column, from 1
//! features/<name>/             features.npy or rdm.npy, and feature.json
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod audit;
mod builder;
mod checks;
mod dataset;
mod error;
mod fingerprint;
mod geometry;
mod grid;
mod guidance;
mod identity;
pub mod import;
mod inputs;
mod json;
pub mod map;
mod meant;
mod motion;
mod order;
mod places;
pub mod quality;
mod read;
mod responses;
mod save;
pub mod simulate;
mod split;
mod views;
mod writer;

pub use builder::DatasetBuilder;
pub use checks::{Problem, Severity};
pub use dataset::{
    Dataset, Description, FeatureSet, Kind, Labels, Level, Part, Response, Source, Stimulus,
    Subject, Trial, Voxel,
};
pub use error::{Error, Result};
pub use geometry::{common_stimuli, feature_rdm, mean_responses, response_rdm, response_rdms};
pub use grid::Grid;
pub use guidance::{Guidance, GuidanceTarget};
pub use identity::Identity;
pub use import::Imported;
pub use inputs::{
    Aligned, Alignment, Arrangement, Cuboid, FeatureSpace, FitBytes, InputReader, InputTransform,
    Layout, Projection, Sample, Slot, SubjectInputs, ZScore, samples,
};
pub use meant::{meant, one_of};
pub use motion::Motion;
pub use order::order_shown;
pub use places::Grayordinates;
pub use responses::{Responses, Rows};
pub use split::{Fold, Published, SplitPlan, partition};
pub use writer::{DatasetWriter, SubjectWriter};
