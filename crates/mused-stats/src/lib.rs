//! Metrics of multi-label decoding, representational dissimilarity, principal components, ridge regression and
//! alignment of subjects, in f64.
//!
//! Everything here is a function of arrays: no files, no engine, no state. Definitions follow scikit-learn, scipy and
//! numpy, and the tests hold them to those programs' numbers.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod error;
pub mod metrics;
pub mod pca;
pub mod procrustes;
mod product;
pub mod rdm;
pub mod ridge;
pub mod rsa;
mod shared_space;
pub mod srm;
pub mod summary;

pub use error::{Error, Result};
pub use shared_space::{SharedSpace, SubjectMap};
