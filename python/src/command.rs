//! The command `mused`, and what it imports.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use mused::command_line::{self, ImportError};
use pyo3::prelude::*;

use crate::dataset::Dataset;
use crate::error::{ConfigError, raised};
use crate::watched::heard;

/// Does what the command line does with these arguments, of which the first is the name of the program, and returns its
/// exit code.
#[pyfunction]
pub(crate) fn main(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    let code = py.detach(|| command_line::main(arguments));
    // An exit code keeps its number to itself, but not whether it is another's.
    let same = |number: &u8| ExitCode::from(*number) == code;
    (0..=u8::MAX).find(same).unwrap_or(1)
}

/// Makes a dataset of published files with the arguments of `mused import`: the dataset, and notes and warnings.
#[pyfunction]
pub(crate) fn import_files(
    py: Python<'_>,
    arguments: Vec<OsString>,
    out: PathBuf,
) -> PyResult<(Dataset, Vec<String>, Vec<String>)> {
    heard(py, move || {
        let imported = command_line::import(arguments, &mut |_, _| ());
        let imported = imported.map_err(|error| match error {
            ImportError::Data(error) => raised(error),
            other => ConfigError::new_err(other.to_string()),
        })?;
        let dataset = mused::Dataset::open(&out).map_err(raised)?;
        Ok((Dataset::opened(dataset), imported.notes, imported.warnings))
    })
}
