use std::io::Write;
use std::path::Path;

use half::f16;
use ndarray::{ArrayView, Dimension};

use super::{Dtype, Header};
use crate::{Error, Result, WholeFile};

/// Writes a matrix row by row, in C order, for arrays that do not fit in memory.
///
/// The file appears with [`NpyWriter::finish`].
#[derive(Debug)]
pub struct NpyWriter {
    file: WholeFile,
    dtype: Dtype,
    rows: usize,
    columns: usize,
    written: usize,
    encoded: Vec<u8>,
}

impl NpyWriter {
    /// Starts a file for a matrix of `rows` × `columns`.
    ///
    /// # Errors
    /// A file that cannot be created; a dtype other than float16, float32, float64 and uint8.
    pub fn create(
        path: impl AsRef<Path>,
        dtype: Dtype,
        rows: usize,
        columns: usize,
    ) -> Result<Self> {
        let path = path.as_ref();
        if !matches!(dtype, Dtype::F16 | Dtype::F32 | Dtype::F64 | Dtype::U8) {
            let expected = "float16, float32, float64 or uint8";
            return Err(Error::mismatch("dtype", expected, dtype.to_string()).in_file(path));
        }
        let file = create(path, dtype, &[rows, columns])?;
        Ok(Self {
            file,
            dtype,
            rows,
            columns,
            written: 0,
            encoded: Vec::new(),
        })
    }

    /// Appends a row \[columns\].
    ///
    /// # Errors
    /// A length other than the number of columns; one row too many; a finite value that the dtype cannot hold (beyond
    /// the range of float16, not a whole number from 0 to 255 for uint8); a full disk.
    pub fn write_row(&mut self, row: &[f32]) -> Result<()> {
        self.append(row)
            .map_err(|error| error.in_file(self.file.destination()))
    }

    fn append(&mut self, row: &[f32]) -> Result<()> {
        if row.len() != self.columns {
            let (expected, found) = (self.columns.to_string(), row.len().to_string());
            return Err(Error::mismatch("length of the row", expected, found));
        }
        if self.written == self.rows {
            return Err(Error::mismatch(
                "number of rows",
                self.rows.to_string(),
                "one more",
            ));
        }
        self.encoded.clear();
        for (column, &value) in row.iter().enumerate() {
            match self.dtype {
                Dtype::F16 => {
                    let short = f16::from_f32(value);
                    if value.is_finite() && short.is_infinite() {
                        return Err(self.does_not_fit("a value within ±65504", column, value));
                    }
                    self.encoded.extend(short.to_le_bytes());
                }
                Dtype::F64 => self.encoded.extend(f64::from(value).to_le_bytes()),
                Dtype::U8 => {
                    if f32::from(value as u8) != value {
                        return Err(self.does_not_fit(
                            "a whole number from 0 to 255",
                            column,
                            value,
                        ));
                    }
                    self.encoded.push(value as u8);
                }
                _ => self.encoded.extend(value.to_le_bytes()),
            }
        }
        self.file.write_all(&self.encoded)?;
        self.written += 1;
        Ok(())
    }

    fn does_not_fit(&self, expected: &str, column: usize, value: f32) -> Error {
        let place = format!("row {}, column {column}", self.written);
        Error::malformed(place, expected, value.to_string())
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// Fewer rows than announced; a full disk.
    pub fn finish(self) -> Result<()> {
        if self.written != self.rows {
            let (expected, found) = (self.rows.to_string(), self.written.to_string());
            return Err(
                Error::mismatch("number of rows", expected, found).in_file(self.file.destination())
            );
        }
        self.file.finish()
    }
}

macro_rules! write_npy {
    ($name:ident, $type:ty, $dtype:expr, $doc:literal) => {
        #[doc = $doc]
        ///
        /// # Errors
        /// A file that cannot be created; a full disk.
        pub fn $name<D: Dimension>(
            path: impl AsRef<Path>,
            array: ArrayView<'_, $type, D>,
        ) -> Result<()> {
            let path = path.as_ref();
            let mut file = create(path, $dtype, array.shape())?;
            array
                .iter()
                .try_for_each(|value| file.write_all(&value.to_le_bytes()))
                .map_err(|error| Error::from(error).in_file(path))?;
            file.finish()
        }
    };
}
write_npy!(
    write_npy_f32,
    f32,
    Dtype::F32,
    "Writes an array of any shape as float32, in C order."
);
write_npy!(
    write_npy_f64,
    f64,
    Dtype::F64,
    "Writes an array of any shape as float64, in C order."
);
write_npy!(
    write_npy_u8,
    u8,
    Dtype::U8,
    "Writes an array of any shape as uint8, in C order."
);

fn create(path: &Path, dtype: Dtype, shape: &[usize]) -> Result<WholeFile> {
    let mut file = WholeFile::create(path)?;
    file.write_all(&Header::encode(dtype, shape))
        .map_err(|error| Error::from(error).in_file(path))?;
    Ok(file)
}
