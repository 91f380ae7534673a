//! File formats of the field as arrays: .npy, MATLAB .mat, tab-separated tables.
//!
//! Parsers take bytes and know no path; the `read_*` functions around them add the file to their errors. Nothing that a
//! file can hold makes them panic, and no length a file states is allocated before it is checked against what is there.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod error;
pub mod mat;
pub mod npy;
pub mod table;
pub mod torch_pickle;
mod whole_file;

pub use error::{Error, ErrorKind, Result};
pub use whole_file::{WholeFile, replace_file};
