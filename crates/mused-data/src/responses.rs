use std::sync::Arc;

use mused_formats::npy::{Dtype, FileState, NpyMatrix};
use ndarray::{ArcArray2, Array2};

use crate::{Error, Result};

/// A subject's responses, trials × voxels, read a row at a time. Clones share the values.
#[derive(Clone, Debug)]
pub enum Responses {
    /// An open `responses.npy`.
    File(Arc<NpyMatrix>),
    /// An array.
    Memory(ArcArray2<f32>),
}

impl Responses {
    /// Number of trials.
    pub fn rows(&self) -> usize {
        match self {
            Self::File(matrix) => matrix.rows(),
            Self::Memory(array) => array.nrows(),
        }
    }

    /// Number of voxels.
    pub fn columns(&self) -> usize {
        match self {
            Self::File(matrix) => matrix.columns(),
            Self::Memory(array) => array.ncols(),
        }
    }

    /// Element type: [`Dtype::F16`] or [`Dtype::F32`].
    pub fn dtype(&self) -> Dtype {
        match self {
            Self::File(matrix) => matrix.dtype(),
            Self::Memory(_) => Dtype::F32,
        }
    }

    /// Copies a row (from 0) into `out` \[columns\].
    ///
    /// # Errors
    /// A row that does not exist; an `out` of another length than [`Self::columns`].
    pub fn read_row(&self, row: usize, out: &mut [f32]) -> Result<()> {
        match self {
            Self::File(matrix) => Ok(matrix.read_row(row, out)?),
            Self::Memory(array) if row < array.nrows() && out.len() == array.ncols() => {
                for (out, value) in out.iter_mut().zip(array.row(row)) {
                    *out = *value;
                }
                Ok(())
            }
            Self::Memory(array) => Err(Error::Request(format!(
                "expected one of {} rows and an output of {} values, found row {row} and {}",
                array.nrows(),
                array.ncols(),
                out.len()
            ))),
        }
    }

    /// How their file stands now; `None` in memory.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn state(&self) -> Result<Option<FileState>> {
        match self {
            Self::File(matrix) => Ok(Some(matrix.state()?)),
            Self::Memory(_) => Ok(None),
        }
    }

    /// The values of a row that exists, little-endian.
    pub(crate) fn row_bytes(&self, row: usize) -> Result<Vec<u8>> {
        Ok(match self {
            Self::File(matrix) => matrix.row_bytes(row)?,
            Self::Memory(array) => {
                let values = array.row(row).into_iter();
                values.flat_map(|value| value.to_le_bytes()).collect()
            }
        })
    }
}

impl From<NpyMatrix> for Responses {
    fn from(matrix: NpyMatrix) -> Self {
        Self::File(Arc::new(matrix))
    }
}

impl From<Array2<f32>> for Responses {
    fn from(array: Array2<f32>) -> Self {
        Self::Memory(array.into_shared())
    }
}
