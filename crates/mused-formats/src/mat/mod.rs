//! MATLAB .mat files, version 5 to 7 (not 7.3, which is HDF5): numbers, characters, structures and cells.
//!
//! Format: "MAT-File Format", MathWorks, chapter 1. Not read: sparse and complex arrays, objects, function handles.
//!
//! A **selector** names a value: `categoryVectors`, `RDMs[0,1,0].RDM`, `stimuli[0,3].image`, `names[0,2]`. Indices count
//! from 0, one a dimension, and pick an element of a structure or cell array; a structure array of one element needs
//! none.

mod element;
mod selector;
mod value;

use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use flate2::read::ZlibDecoder;
use ndarray::ArrayD;

use crate::{Error, Result};
use element::{ByteOrder, Cursor, DataType};
use selector::Selector;
use value::Matrix;

const HEADER_BYTES: usize = 128;
/// Enough of a compressed variable to hold its name: 16 bytes of flags, 32 dimensions and 63 characters fit twice.
const NAME_PREFIX_BYTES: u64 = 1024;
/// MATLAB itself writes no larger variable to files of these versions.
const MAX_VARIABLE_BYTES: u64 = 1 << 31;

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

/// A file whose variables are known by name and inflated when asked for.
#[derive(Debug)]
pub struct MatFile {
    path: Option<PathBuf>,
    bytes: Vec<u8>,
    order: ByteOrder,
    variables: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    contents: Range<usize>,
    compressed: bool,
}

impl MatFile {
    /// Reads a file.
    ///
    /// # Errors
    /// An unreadable file; as [`MatFile::parse`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = std::fs::read(path)
            .map_err(Error::from)
            .and_then(Self::parse);
        let file = file.map_err(|error| error.in_file(path))?;
        Ok(Self {
            path: Some(path.to_owned()),
            ..file
        })
    }

    /// Finds the variables in the bytes of a whole file.
    ///
    /// # Errors
    /// Not a version 5 file (7.3 is named as such); a file cut short; a broken variable header.
    pub fn parse(bytes: Vec<u8>) -> Result<Self> {
        let order = check_header(&bytes)?;
        let mut variables = Vec::new();
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
            let name = match compressed {
                true => inflate(element.data, NAME_PREFIX_BYTES, element.start)
                    .and_then(|prefix| value::name_of(matrix_contents(&prefix, order)?, order)),
                false => value::name_of(element.data, order),
            };
            let name =
                name.map_err(|error| error.within(&format!("variable at byte {}", element.start)))?;
            variables.push(Entry {
                name,
                contents,
                compressed,
            });
        }
        Ok(Self {
            path: None,
            bytes,
            order,
            variables,
        })
    }

    /// Names of the variables, in file order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().map(|variable| variable.name.as_str())
    }

    /// Inflates a variable.
    ///
    /// # Errors
    /// No variable of that name (the message gives those that exist); damaged compression; more than 2 GiB.
    pub fn variable(&self, name: &str) -> Result<Variable> {
        let located = |error: Error| match &self.path {
            Some(path) => error.in_file(path),
            None => error,
        };
        let entry = self.variables.iter().find(|entry| entry.name == name);
        let entry = entry.ok_or_else(|| located(Error::missing("variable", name, self.names())))?;
        let stored = self.bytes.get(entry.contents.clone()).unwrap_or_default();
        let contents = match entry.compressed {
            true => inflate(stored, MAX_VARIABLE_BYTES, entry.contents.start)
                .and_then(|inflated| Ok(matrix_contents(&inflated, self.order)?.to_vec()))
                .map_err(located)?,
            false => stored.to_vec(),
        };
        let (path, name) = (self.path.clone(), name.to_owned());
        Ok(Variable {
            path,
            name,
            order: self.order,
            contents,
        })
    }
}

/// An inflated variable. Selectors are relative to it: the empty one is the variable itself, `[0,3].image` a field of
/// one of its elements.
#[derive(Clone, Debug)]
pub struct Variable {
    path: Option<PathBuf>,
    name: String,
    order: ByteOrder,
    contents: Vec<u8>,
}

impl Variable {
    /// A numeric or logical array, indexed as in MATLAB (from 0) and in standard layout. Whole numbers beyond 2^53 are
    /// rounded.
    ///
    /// # Errors
    /// A selector that does not parse or leads nowhere (the message gives the fields or the shape that exist); a value
    /// that is not numeric, or is complex or sparse; damaged contents.
    pub fn array(&self, selector: &str) -> Result<ArrayD<f64>> {
        self.select(selector, |matrix| matrix.numbers())
    }

    /// The rows of a character array (blanks that pad several rows to one length removed), or the strings of a cell
    /// array, first index fastest.
    ///
    /// # Errors
    /// As [`Self::array`], for a value that is neither; a cell that is not one row of characters.
    pub fn strings(&self, selector: &str) -> Result<Vec<String>> {
        self.select(selector, |matrix| matrix.strings())
    }

    /// Lengths of the dimensions of any value.
    ///
    /// # Errors
    /// A selector that does not parse or leads nowhere; damaged contents.
    pub fn shape(&self, selector: &str) -> Result<Vec<usize>> {
        self.select(selector, |matrix| Ok(matrix.shape))
    }

    fn select<T>(&self, selector: &str, take: impl FnOnce(Matrix<'_>) -> Result<T>) -> Result<T> {
        let value = Selector::parse(&self.name, selector).and_then(|selector| {
            let mut matrix = Matrix::parse(&self.contents, self.order, self.name.clone())?;
            for step in selector.steps {
                matrix = matrix.step(&step)?;
            }
            take(matrix)
        });
        value
            .map_err(|error| error.within(&self.name))
            .map_err(|error| match &self.path {
                Some(path) => error.in_file(path),
                None => error,
            })
    }
}

fn check_header(bytes: &[u8]) -> Result<ByteOrder> {
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
        0x0100 => Ok(order),
        0x0200 => Err(Error::unsupported("header", "a MATLAB 7.3 file (HDF5)")),
        other => Err(Error::malformed(
            "byte 124",
            "version 0x0100",
            format!("{other:#06x}"),
        )),
    }
}

/// Inflates at most `limit` bytes. A stream that is longer is cut, and found short when it is parsed.
fn inflate(compressed: &[u8], limit: u64, at: usize) -> Result<Vec<u8>> {
    let mut inflated = Vec::new();
    let result = ZlibDecoder::new(compressed)
        .take(limit)
        .read_to_end(&mut inflated);
    match result {
        Ok(_) => Ok(inflated),
        Err(error) => {
            let place = format!("compressed variable at byte {at}");
            Err(Error::malformed(place, "a zlib stream", error.to_string()))
        }
    }
}

/// What follows the tag of the one matrix in an inflated variable: as much of it as was inflated.
fn matrix_contents(inflated: &[u8], order: ByteOrder) -> Result<&[u8]> {
    match inflated.split_first_chunk::<8>() {
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
