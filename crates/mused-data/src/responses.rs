use std::fmt::Debug;
use std::sync::Arc;

use mused_formats::npy::{Dtype, FileState, NpyMatrix};
use ndarray::{ArcArray2, Array2};

use crate::{Error, Result};

/// Rows of single precision that belong to another program, which lends them where a copy would be one too many.
pub trait Rows: Debug + Send + Sync {
    /// Number of rows and columns.
    fn shape(&self) -> (usize, usize);

    /// Copies a row (from 0) that exists into `out` \[columns\].
    ///
    /// # Errors
    /// When the values are there no more.
    fn read_row(&self, row: usize, out: &mut [f32]) -> Result<()>;
}

/// A subject's responses, trials × voxels, read a row at a time. Clones share the values.
#[derive(Clone, Debug)]
pub enum Responses {
    /// An open `responses.npy`.
    File(Arc<NpyMatrix>),
    /// An array.
    Memory(ArcArray2<f32>),
    /// Rows that are lent.
    Lent(Arc<dyn Rows>),
}

impl Responses {
    /// Number of trials.
    pub fn rows(&self) -> usize {
        match self {
            Self::File(matrix) => matrix.rows(),
            Self::Memory(array) => array.nrows(),
            Self::Lent(rows) => rows.shape().0,
        }
    }

    /// Number of voxels.
    pub fn columns(&self) -> usize {
        match self {
            Self::File(matrix) => matrix.columns(),
            Self::Memory(array) => array.ncols(),
            Self::Lent(rows) => rows.shape().1,
        }
    }

    /// Element type: [`Dtype::F16`] or [`Dtype::F32`].
    pub fn dtype(&self) -> Dtype {
        match self {
            Self::File(matrix) => matrix.dtype(),
            Self::Memory(_) | Self::Lent(_) => Dtype::F32,
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
            Self::Lent(rows) if row < self.rows() && out.len() == self.columns() => {
                rows.read_row(row, out)
            }
            Self::Memory(_) | Self::Lent(_) => Err(Error::Request(format!(
                "expected one of {} rows and an output of {} values, found row {row} and {}",
                self.rows(),
                self.columns(),
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
            Self::Memory(_) | Self::Lent(_) => Ok(None),
        }
    }

    /// The values of a row that exists, little-endian.
    pub(crate) fn row_bytes(&self, row: usize) -> Result<Vec<u8>> {
        Ok(match self {
            Self::File(matrix) => matrix.row_bytes(row)?,
            Self::Memory(_) | Self::Lent(_) => {
                let mut values = vec![0.0; self.columns()];
                self.read_row(row, &mut values)?;
                values.into_iter().flat_map(f32::to_le_bytes).collect()
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

impl From<Arc<dyn Rows>> for Responses {
    fn from(rows: Arc<dyn Rows>) -> Self {
        Self::Lent(rows)
    }
}
