//! What the Python package `mused` is made of: the facade's datasets, trainings and runs as Python sees them. Tables, words
//! and bars are made in Python.
#![cfg(feature = "python")]

mod command;
mod dataset;
mod error;
mod run;
mod training;
mod watched;

use pyo3::prelude::pymodule;

#[pymodule]
mod _mused {
    #[pymodule_export]
    use super::command::{import_files, main};
    #[pymodule_export]
    use super::dataset::Dataset;
    #[pymodule_export]
    use super::run::Run;
    #[pymodule_export]
    use super::training::{benchmark, models, train};

    #[pymodule_export]
    #[allow(non_upper_case_globals)]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
