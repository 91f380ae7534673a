//! Metrics of multi-label decoding, representational dissimilarity, principal components, ridge regression and
//! alignment of subjects, in f64.
//!
//! Everything here is a function of arrays: no files, no engine, no state. Definitions follow scikit-learn, scipy and
//! numpy, and the tests hold them to those programs' numbers.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod accuracy;
pub mod anchors;
pub mod banded;
pub mod calibration;
pub mod ceiling;
pub mod contrast;
pub mod curves;
pub mod decoding_patterns;
mod error;
pub mod interval;
mod left_out;
pub mod metrics;
pub mod moments;
pub mod multiple;
pub mod outlier;
pub mod paired;
pub mod patterns;
pub mod pca;
pub mod permutation;
pub mod power_law;
pub mod procrustes;
mod product;
mod ranking;
pub mod rdm;
mod relabelled_scores;
mod relabelling;
pub mod retrieval;
pub mod ridge;
pub mod rsa;
mod samples;
mod shared_space;
pub mod srm;
pub mod stacking;
mod student;
pub mod summary;
pub mod tsne;

pub use error::{Answer, Error, Result, Unavailable};
pub use samples::{Samples, evenly};
pub use shared_space::{SharedSpace, SubjectMap};
