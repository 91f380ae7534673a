use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use half::f16;

use super::header::START;
use super::{ByteOrder, Dtype, Header};
use crate::lock::is_at;
use crate::{Error, Result, recognise};

/// A matrix of float16 or float32 in C order in a file, of which a row is read when it is asked for.
///
/// The file stays the one that was opened, also where another takes its name.
#[derive(Debug)]
pub struct NpyMatrix {
    path: PathBuf,
    file: File,
    header: Header,
    rows: usize,
    columns: usize,
}

/// What changes when somebody writes to an open file, or gives its name to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileState {
    /// Bytes.
    pub length: u64,
    /// When it was last written to, where the system says so.
    pub modified: Option<SystemTime>,
    /// Whether its name is still its own.
    pub in_place: bool,
}

thread_local! {
    /// A row as it is stored, before it is decoded.
    static STORED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl NpyMatrix {
    /// Opens a file and checks its header.
    ///
    /// # Errors
    /// An unreadable file; as [`Header::parse`]; anything but a 2-D, C-order array of float16 or float32.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let open = || {
            let file = recognise::open(path)?;
            let length = file.metadata()?.len();
            let mut start = Vec::new();
            (&file).take(START as u64).read_to_end(&mut start)?;
            Self::new(file, Header::of_start(&start, length)?, path)
        };
        open().map_err(|error: Error| error.in_file(path))
    }

    fn new(file: File, header: Header, path: &Path) -> Result<Self> {
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
            file,
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

    /// How the file stands now.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn state(&self) -> Result<FileState> {
        let state = || {
            let metadata = self.file.metadata()?;
            Ok(FileState {
                length: metadata.len(),
                modified: metadata.modified().ok(),
                in_place: is_at(&self.file, &self.path)?,
            })
        };
        state().map_err(|error: io::Error| Error::from(error).in_file(&self.path))
    }

    /// Copies a row (from 0) into `out` \[columns\].
    ///
    /// # Errors
    /// A row that does not exist; an `out` of another length than [`Self::columns`]; a file that was shortened since it
    /// was opened.
    pub fn read_row(&self, row: usize, out: &mut [f32]) -> Result<()> {
        if out.len() != self.columns {
            return Err(self.mismatch("length of the output", self.columns, out.len()));
        }
        STORED.with_borrow_mut(|data| {
            data.resize(self.row_size(), 0);
            self.read_stored(row, data)?;
            match (self.header.dtype, self.header.byte_order) {
                (Dtype::F16, ByteOrder::Little) => {
                    fill(out, data, |b| f16::from_le_bytes(b).to_f32());
                }
                (Dtype::F16, ByteOrder::Big) => {
                    fill(out, data, |b| f16::from_be_bytes(b).to_f32());
                }
                (_, ByteOrder::Little) => fill(out, data, f32::from_le_bytes),
                (_, ByteOrder::Big) => fill(out, data, f32::from_be_bytes),
            }
            Ok(())
        })
    }

    /// The values of a row (from 0) as they are stored, little-endian whatever order the file has.
    ///
    /// # Errors
    /// As [`Self::read_row`].
    pub fn row_bytes(&self, row: usize) -> Result<Vec<u8>> {
        let mut data = vec![0; self.row_size()];
        self.read_stored(row, &mut data)?;
        if self.header.byte_order == ByteOrder::Big {
            let values = data.chunks_exact_mut(self.header.dtype.size());
            values.for_each(<[u8]>::reverse);
        }
        Ok(data)
    }

    fn row_size(&self) -> usize {
        self.columns * self.header.dtype.size()
    }

    fn read_stored(&self, row: usize, data: &mut [u8]) -> Result<()> {
        if row >= self.rows {
            return Err(self.mismatch("row", format!("one of {} rows", self.rows), row));
        }
        let start = (self.header.data_offset + row * data.len()) as u64;
        match read_exact_at(&self.file, data, start) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Error::malformed(
                format!("row {row}"),
                "the values that were there when the file was opened",
                "its end: somebody shortened the file meanwhile",
            )
            .in_file(&self.path)),
            Err(error) => Err(Error::from(error).in_file(&self.path)),
        }
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

#[cfg(unix)]
fn read_exact_at(file: &File, data: &mut [u8], start: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, data, start)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut data: &mut [u8], mut start: u64) -> io::Result<()> {
    while !data.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, data, start)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                data = &mut data[read..];
                start += read as u64;
            }
        }
    }
    Ok(())
}
