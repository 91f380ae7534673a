//! MATLAB .mat files, version 5 to 7 and 7.3 (which is HDF5): numbers, characters, structures and cells.
//!
//! Format of 5 to 7: "MAT-File Format", MathWorks, chapter 1; 7.3 as MATLAB and h5py show it. Not read: sparse and complex arrays, objects, function handles.
//!
//! A **selector** names a value: `categoryVectors`, `RDMs[0,1,0].RDM`, `stimuli[0,3].image`, `names[0,2]`. Indices count
//! from 0, one a dimension, and pick an element of a structure or cell array; a structure array of one element needs
//! none.

mod element;
mod object;
mod selector;
mod value;

use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use flate2::read::ZlibDecoder;
use ndarray::ArrayD;

use crate::{Budget, Error, Result, hdf5, recognise};
use element::{ByteOrder, Cursor, DataType};
use object::Object;
use selector::{Selector, Step};
use value::Matrix;

const HEADER_BYTES: usize = 128;
const TAG_BYTES: usize = 8;
/// Enough of a compressed variable to hold its name: 16 bytes of flags, 32 dimensions and 63 characters fit twice.
const NAME_PREFIX_BYTES: u64 = 1024;

/// Reads the numeric or logical array that `selector` names.
///
/// The result is indexed as in MATLAB (from 0) and in standard layout. Complex and sparse arrays are refused.
///
/// # Errors
/// An unreadable file; as [`MatFile::parse`], [`MatFile::variable`] and [`Variable::array`].
pub fn read_mat(path: impl AsRef<Path>, selector: &str) -> Result<ArrayD<f64>> {
    let (name, rest) = selector::split_variable(selector);
    MatFile::read(path)?.variable(name)?.array(rest)
}

/// Reads the text that `selector` names: the rows of a character array, or the strings of a cell array.
///
/// # Errors
/// An unreadable file; as [`MatFile::parse`], [`MatFile::variable`] and [`Variable::strings`].
pub fn read_mat_strings(path: impl AsRef<Path>, selector: &str) -> Result<Vec<String>> {
    let (name, rest) = selector::split_variable(selector);
    MatFile::read(path)?.variable(name)?.strings(rest)
}

/// A file whose variables are known by name and read when asked for.
#[derive(Debug)]
pub struct MatFile {
    path: Option<PathBuf>,
    stored: Stored,
}

#[derive(Debug)]
enum Stored {
    Version5 {
        bytes: Vec<u8>,
        order: ByteOrder,
        entries: Vec<Entry>,
    },
    Version73 {
        file: hdf5::File,
        names: Vec<String>,
    },
}

#[derive(Debug)]
struct Entry {
    name: String,
    contents: Range<usize>,
    compressed: bool,
}

impl MatFile {
    /// Reads a file; of version 7.3 only the names of its variables.
    ///
    /// # Errors
    /// An unreadable file; as [`MatFile::parse`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let stored = Stored::read(path).map_err(|error| error.in_file(path))?;
        let path = Some(path.to_owned());
        Ok(Self { path, stored })
    }

    /// Finds the variables in the bytes of a whole file.
    ///
    /// # Errors
    /// Neither a version 5 nor a 7.3 file; a file cut short; a broken variable header.
    pub fn parse(bytes: Vec<u8>) -> Result<Self> {
        let stored = Stored::parse(bytes)?;
        Ok(Self { path: None, stored })
    }

    /// Names of the variables, in file order; of version 7.3 sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let (entries, names) = match &self.stored {
            Stored::Version5 { entries, .. } => (entries.as_slice(), [].as_slice()),
            Stored::Version73 { names, .. } => ([].as_slice(), names.as_slice()),
        };
        let entries = entries.iter().map(|entry| entry.name.as_str());
        entries.chain(names.iter().map(String::as_str))
    }

    /// Reads a variable; of version 7.3 what a selector asks of it later.
    ///
    /// # Errors
    /// No variable of that name (the message gives those that exist); damaged compression; a variable that takes more
    /// memory than the [`Budget`] of such a file.
    pub fn variable(&self, name: &str) -> Result<Variable> {
        let located = |error: Error| match &self.path {
            Some(path) => error.in_file(path),
            None => error,
        };
        if !self.names().any(|known| known == name) {
            return Err(located(Error::missing("variable", name, self.names())));
        }
        let contents = match &self.stored {
            Stored::Version5 {
                bytes,
                order,
                entries,
            } => {
                let entry = entries.iter().find(|entry| entry.name == name);
                let mut budget = Budget::of(bytes.len() as u64);
                let contents = entry.map_or(Ok(Vec::new()), |entry| {
                    entry.read(bytes, *order, &mut budget)
                });
                Contents::Bytes {
                    bytes: contents.map_err(located)?,
                    order: *order,
                    budget,
                }
            }
            Stored::Version73 { file, .. } => Contents::Hdf5(file.clone()),
        };
        let (path, name) = (self.path.clone(), name.to_owned());
        Ok(Variable {
            path,
            name,
            contents,
        })
    }
}

impl Entry {
    fn read(&self, bytes: &[u8], order: ByteOrder, budget: &mut Budget) -> Result<Vec<u8>> {
        let stored = bytes.get(self.contents.clone()).unwrap_or_default();
        match self.compressed {
            true => {
                let mut inflated = inflate(stored, u64::MAX, self.contents.start, budget)?;
                let contents = matrix_contents(&inflated, order)?.len();
                inflated.truncate(TAG_BYTES + contents);
                inflated.drain(..TAG_BYTES);
                Ok(inflated)
            }
            false => Ok(stored.to_vec()),
        }
    }
}

impl Stored {
    fn read(path: &Path) -> Result<Self> {
        let mut header = Vec::new();
        let mut file = recognise::open(path)?;
        (&mut file)
            .take(HEADER_BYTES as u64)
            .read_to_end(&mut header)?;
        if check_header(&header)?.1 == Version::Hdf5 {
            return Self::version_73(hdf5::File::open(path)?);
        }
        file.read_to_end(&mut header)?;
        Self::parse(header)
    }

    fn parse(bytes: Vec<u8>) -> Result<Self> {
        let (order, version) = check_header(&bytes)?;
        match version {
            Version::Five => Self::version_5(bytes, order),
            Version::Hdf5 => Self::version_73(hdf5::File::parse(bytes)?),
        }
    }

    fn version_73(file: hdf5::File) -> Result<Self> {
        let mut names = file.keys("/")?;
        // MATLAB's own: what references point to, and the classes of objects.
        names.retain(|name| !name.starts_with('#'));
        Ok(Self::Version73 { file, names })
    }

    fn version_5(bytes: Vec<u8>, order: ByteOrder) -> Result<Self> {
        let mut entries = Vec::new();
        let mut cursor = Cursor::new(&bytes, HEADER_BYTES, order);
        while !cursor.at_end() {
            let element = cursor.next()?;
            let compressed = match element.data_type {
                DataType::Compressed => true,
                DataType::Matrix => false,
                other => {
                    let (place, found) = (format!("byte {}", element.start), format!("{other:?}"));
                    return Err(Error::malformed(place, "a variable", found));
                }
            };
            let contents = element.start..element.start + element.data.len();
            let mut budget = Budget::of(bytes.len() as u64);
            let name = match compressed {
                true => inflate(element.data, NAME_PREFIX_BYTES, element.start, &mut budget)
                    .and_then(|prefix| value::name_of(matrix_contents(&prefix, order)?, order)),
                false => value::name_of(element.data, order),
            };
            let name =
                name.map_err(|error| error.within(&format!("variable at byte {}", element.start)))?;
            entries.push(Entry {
                name,
                contents,
                compressed,
            });
        }
        Ok(Self::Version5 {
            bytes,
            order,
            entries,
        })
    }
}

/// A variable. Selectors are relative to it: the empty one is the variable itself, `[0,3].image` a field of one of its
/// elements.
#[derive(Clone, Debug)]
pub struct Variable {
    path: Option<PathBuf>,
    name: String,
    contents: Contents,
}

#[derive(Clone, Debug)]
enum Contents {
    Bytes {
        bytes: Vec<u8>,
        order: ByteOrder,
        /// What is left for what is decoded of them.
        budget: Budget,
    },
    Hdf5(hdf5::File),
}

/// What a selector has led to.
enum Value<'a> {
    Matrix(Matrix<'a>),
    Object(Object),
}

impl Value<'_> {
    fn step(self, step: &Step) -> Result<Self> {
        Ok(match self {
            Self::Matrix(matrix) => Self::Matrix(matrix.step(step)?),
            Self::Object(object) => Self::Object(object.step(step)?),
        })
    }
}

impl Variable {
    /// A numeric or logical array, indexed as in MATLAB (from 0) and in standard layout. Whole numbers beyond 2^53 are
    /// rounded.
    ///
    /// # Errors
    /// A selector that does not parse or leads nowhere (the message gives the fields or the shape that exist); a value
    /// that is not numeric, or is complex or sparse; damaged contents.
    pub fn array(&self, selector: &str) -> Result<ArrayD<f64>> {
        self.select(selector, |value| match value {
            Value::Matrix(matrix) => matrix.numbers(),
            Value::Object(object) => object.numbers(),
        })
    }

    /// The rows of a character array (blanks that pad several rows to one length removed), or the strings of a cell
    /// array, first index fastest.
    ///
    /// # Errors
    /// As [`Self::array`], for a value that is neither; a cell that is not one row of characters.
    pub fn strings(&self, selector: &str) -> Result<Vec<String>> {
        self.select(selector, |value| match value {
            Value::Matrix(matrix) => matrix.strings(),
            Value::Object(object) => object.strings(),
        })
    }

    /// Lengths of the dimensions of any value.
    ///
    /// # Errors
    /// A selector that does not parse or leads nowhere; damaged contents.
    pub fn shape(&self, selector: &str) -> Result<Vec<usize>> {
        self.select(selector, |value| match value {
            Value::Matrix(matrix) => Ok(matrix.shape),
            Value::Object(object) => Ok(object.shape),
        })
    }

    fn select<T>(&self, selector: &str, take: impl FnOnce(Value<'_>) -> Result<T>) -> Result<T> {
        let value = Selector::parse(&self.name, selector).and_then(|selector| {
            let name = self.name.clone();
            let mut value = match &self.contents {
                Contents::Bytes {
                    bytes,
                    order,
                    budget,
                } => Value::Matrix(Matrix::parse(bytes, *order, *budget, name)?),
                Contents::Hdf5(file) => {
                    let path = format!("/{name}");
                    Value::Object(Object::new(file.clone(), path, name)?)
                }
            };
            for step in selector.steps {
                value = value.step(&step)?;
            }
            take(value)
        });
        value
            .map_err(|error| error.within(&self.name))
            .map_err(|error| match &self.path {
                Some(path) => error.in_file(path),
                None => error,
            })
    }
}

/// The two forms of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    Five,
    Hdf5,
}

fn check_header(bytes: &[u8]) -> Result<(ByteOrder, Version)> {
    let expected = "a .mat file of version 5 or 7.3";
    if !bytes.starts_with(b"MATLAB")
        && let Some(other) = recognise::instead_of(expected, bytes)
    {
        return Err(other);
    }
    let Some(header) = bytes.get(..HEADER_BYTES) else {
        let found = format!("the file's end at byte {}", bytes.len());
        return Err(Error::malformed(
            "header",
            format!("{HEADER_BYTES} bytes"),
            found,
        ));
    };
    let (order, version) = match header[HEADER_BYTES - 4..] {
        [low, high, b'I', b'M'] => (ByteOrder::Little, u16::from_le_bytes([low, high])),
        [high, low, b'M', b'I'] => (ByteOrder::Big, u16::from_be_bytes([high, low])),
        _ => {
            let found = header[HEADER_BYTES - 2..].escape_ascii().to_string();
            return Err(Error::malformed(
                "byte 126",
                "the mark IM or MI of a version 5 .mat file",
                found,
            ));
        }
    };
    match version {
        0x0100 => Ok((order, Version::Five)),
        0x0200 => Ok((order, Version::Hdf5)),
        other => Err(Error::malformed(
            "byte 124",
            "version 0x0100 or 0x0200",
            format!("{other:#06x}"),
        )),
    }
}

/// Inflates at most `limit` bytes: the beginning of a stream that is longer.
fn inflate(compressed: &[u8], limit: u64, at: usize, budget: &mut Budget) -> Result<Vec<u8>> {
    let place = format!("compressed variable at byte {at}");
    let damaged = |found| Error::malformed(place.as_str(), "a zlib stream", found);
    budget.unpack(&place, ZlibDecoder::new(compressed), limit, damaged)
}

/// What follows the tag of the one matrix in an inflated variable: as much of it as was inflated.
fn matrix_contents(inflated: &[u8], order: ByteOrder) -> Result<&[u8]> {
    match inflated.split_first_chunk::<TAG_BYTES>() {
        Some((&[a, b, c, d, size @ ..], contents))
            if order.u32([a, b, c, d]) == element::MATRIX =>
        {
            let size = usize::try_from(order.u32(size)).unwrap_or(usize::MAX);
            Ok(contents.get(..size).unwrap_or(contents))
        }
        _ => Err(Error::malformed(
            "compressed variable",
            "a matrix",
            "something else",
        )),
    }
}
