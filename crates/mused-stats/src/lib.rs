//! Metrics of multi-label decoding, representational dissimilarity and principal components, in f64.
//!
//! Everything here is a function of arrays: no files, no engine, no state. Definitions follow scikit-learn, scipy and
//! numpy, and the tests hold them to those programs' numbers.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod error;
pub mod metrics;
pub mod pca;
pub mod rdm;
pub mod rsa;
pub mod summary;

pub use error::{Error, Result};
