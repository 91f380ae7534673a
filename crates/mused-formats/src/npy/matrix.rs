use std::borrow::Cow;
use std::fs::File;
use std::path::{Path, PathBuf};

use half::f16;
use memmap2::Mmap;

use super::{ByteOrder, Dtype, Header};
use crate::{Error, Result};

/// A memory-mapped matrix of float16 or float32 in C order: a row is read from disk when it is asked for.
#[derive(Debug)]
pub struct NpyMatrix {
    path: PathBuf,
    map: Mmap,
    header: Header,
    rows: usize,
    columns: usize,
}

impl NpyMatrix {
    /// Maps a file and checks its header.
    ///
    /// The file must not be shortened while it is open: reading past its new end kills the process.
    ///
    /// # Errors
    /// An unreadable file; as [`Header::parse`]; anything but a 2-D, C-order array of float16 or float32.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let map = map(path).map_err(|error| Error::from(error).in_file(path))?;
        Self::new(map, path).map_err(|error| error.in_file(path))
    }

    fn new(map: Mmap, path: &Path) -> Result<Self> {
        let header = Header::parse(&map)?;
        let [rows, columns] = header.shape[..] else {
            let found = format!("shape {:?}", header.shape);
            return Err(Error::malformed(
                "header field shape",
                "two dimensions",
                found,
            ));
        };
        if !matches!(header.dtype, Dtype::F16 | Dtype::F32) {
            let found = header.dtype.to_string();
            return Err(Error::malformed(
                "header field descr",
                "float16 or float32",
                found,
            ));
        }
        if header.fortran_order {
            let (expected, found) = ("False (C order, so that a row is contiguous)", "True");
            return Err(Error::malformed(
                "header field fortran_order",
                expected,
                found,
            ));
        }
        Ok(Self {
            path: path.to_owned(),
            map,
            header,
            rows,
            columns,
        })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Element type in the file: [`Dtype::F16`] or [`Dtype::F32`].
    pub fn dtype(&self) -> Dtype {
        self.header.dtype
    }

    /// Copies a row (from 0) into `out` \[columns\].
    ///
    /// # Errors
    /// A row that does not exist; an `out` of another length than [`Self::columns`].
    pub fn read_row(&self, row: usize, out: &mut [f32]) -> Result<()> {
        let data = self.row(row)?;
        if out.len() != self.columns {
            return Err(self.mismatch("length of the output", self.columns, out.len()));
        }
        match (self.header.dtype, self.header.byte_order) {
            (Dtype::F16, ByteOrder::Little) => fill(out, data, |b| f16::from_le_bytes(b).to_f32()),
            (Dtype::F16, ByteOrder::Big) => fill(out, data, |b| f16::from_be_bytes(b).to_f32()),
            (_, ByteOrder::Little) => fill(out, data, f32::from_le_bytes),
            (_, ByteOrder::Big) => fill(out, data, f32::from_be_bytes),
        }
        Ok(())
    }

    /// The values of a row (from 0) as they are stored, little-endian whatever order the file has.
    ///
    /// # Errors
    /// A row that does not exist.
    pub fn row_bytes(&self, row: usize) -> Result<Cow<'_, [u8]>> {
        let mut data = Cow::Borrowed(self.row(row)?);
        if self.header.byte_order == ByteOrder::Big {
            let values = data.to_mut().chunks_exact_mut(self.header.dtype.size());
            values.for_each(<[u8]>::reverse);
        }
        Ok(data)
    }

    fn row(&self, row: usize) -> Result<&[u8]> {
        if row >= self.rows {
            return Err(self.mismatch("row", format!("one of {} rows", self.rows), row));
        }
        let bytes = self.columns * self.header.dtype.size();
        let start = self.header.data_offset + row * bytes;
        // `Header::parse` has checked that every row is there.
        Ok(self.map.get(start..start + bytes).unwrap_or_default())
    }

    fn mismatch(&self, what: &'static str, expected: impl ToString, found: usize) -> Error {
        Error::mismatch(what, expected.to_string(), found.to_string()).in_file(&self.path)
    }
}

fn fill<const SIZE: usize>(out: &mut [f32], data: &[u8], decode: impl Fn([u8; SIZE]) -> f32) {
    let (chunks, _) = data.as_chunks::<SIZE>();
    for (value, chunk) in out.iter_mut().zip(chunks) {
        *value = decode(*chunk);
    }
}

// A mapping is unsound only where someone else changes the file under it. Dataset arrays are written once, under
// another name, and renamed into place; there is no safe way to map, and reading a row through `pread` instead would
// copy each one twice.
#[allow(unsafe_code)]
fn map(path: &Path) -> std::io::Result<Mmap> {
    let file = File::open(path)?;
    // SAFETY: read-only, private to this value, and see above for the file itself.
    unsafe { Mmap::map(&file) }
}
