//! Metrics of multi-label decoding, representational dissimilarity and principal components, in f64.
//!
//! Everything here is a function of arrays: no files, no engine, no state. Definitions follow scikit-learn, scipy and
//! numpy, and the tests hold them to those programs' numbers.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod calibration;
pub mod ceiling;
mod error;
pub mod interval;
pub mod metrics;
pub mod multiple;
pub mod paired;
pub mod pca;
pub mod permutation;
mod ranking;
pub mod rdm;
mod relabelled_scores;
mod relabelling;
pub mod rsa;
mod samples;
mod student;
pub mod summary;

pub use error::{Answer, Error, Result, Unavailable};
pub use samples::Samples;
