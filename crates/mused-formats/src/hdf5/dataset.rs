use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use hdf5_reader::{Datatype, H5Type, SliceInfo, SliceInfoElem, VarLenKind};
use ndarray::ArrayD;

use super::number_type::{AsF32, AsF64, AsU8, number_type};
use super::{File, from_hdf5};
use crate::npy::Dtype;
use crate::{Error, Result, number};

/// Elements that are not numbers are read through references of this size at most.
const MAX_REFERENCE_BYTES: usize = 16;

/// What the elements of a dataset are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DataType {
    /// Numbers or booleans.
    Number(Dtype),
    /// Text of fixed or variable length.
    Text,
    /// References to other objects of the file.
    Reference,
    /// Something that is not read, described.
    Other(String),
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(dtype) => dtype.fmt(f),
            Self::Text => f.write_str("text"),
            Self::Reference => f.write_str("references"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

/// A dataset, its values still in the file.
#[derive(Clone)]
pub struct Dataset {
    pub(super) file: File,
    pub(super) path: String,
    pub(super) dataset: Box<hdf5_reader::Dataset>,
    pub(super) shape: Vec<usize>,
    pub(super) dtype: DataType,
}

impl fmt::Debug for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dataset")
            .field("path", &self.path)
            .field("shape", &self.shape)
            .field("dtype", &self.dtype)
            .finish_non_exhaustive()
    }
}

impl Dataset {
    pub(super) fn new(dataset: hdf5_reader::Dataset, path: &str, file: File) -> Result<Self> {
        let lengths = dataset.shape().iter().copied().map(usize::try_from);
        let shape: Option<Vec<usize>> = lengths.map(std::result::Result::ok).collect();
        let size =
            number_type(dataset.dtype()).map_or(MAX_REFERENCE_BYTES, |(dtype, _)| dtype.size());
        let shape = shape.filter(|shape| number::byte_count(shape, size).is_some());
        let shape = shape.ok_or_else(|| {
            let expected = "lengths whose product fits in memory";
            let found = format!("{:?}", dataset.shape());
            file.in_file(Error::malformed(format!("{path}, shape"), expected, found))
        })?;
        let raw = dataset.raw_datatype();
        let raw = raw.map_err(|error| file.located(error, path))?;
        let dtype = match data_type(dataset.dtype()) {
            DataType::Number(dtype) if !is_ieee(dtype, &raw) => {
                DataType::Other(format!("floats of {size} bytes in a form of their own"))
            }
            dtype => dtype,
        };
        Ok(Self {
            dtype,
            path: path.to_owned(),
            file,
            dataset: Box::new(dataset),
            shape,
        })
    }

    /// Lengths of the dimensions, last index fastest; empty for a single value.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// What the elements are.
    pub fn dtype(&self) -> &DataType {
        &self.dtype
    }

    /// Reads all numbers as f64; whole numbers beyond 2^53 are rounded.
    ///
    /// # Errors
    /// Elements that are not numbers; a filter that is not read; damaged contents; more bytes than the file can hold.
    pub fn read(&self) -> Result<ArrayD<f64>> {
        let values = self.numbers::<AsF64>(None)?;
        Ok(values.mapv(|AsF64(value)| value))
    }

    /// Reads all numbers as f32, each rounded to the nearest.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_f32(&self) -> Result<ArrayD<f32>> {
        self.numbers_f32(None)
    }

    /// Reads a range of the first dimension, and of the file only the chunks it crosses; each number rounded to the
    /// nearest f32. The result has the dataset's dimensions, the first as long as the range.
    ///
    /// # Errors
    /// As [`Self::read`]; a single value, which has no rows; a range beyond the rows.
    pub fn read_rows(&self, rows: Range<usize>) -> Result<ArrayD<f32>> {
        self.numbers_f32(Some(rows))
    }

    /// [`Self::read_rows`] of uint8 or bool, without conversion: images.
    ///
    /// # Errors
    /// As [`Self::read_rows`]; any other element type.
    pub fn read_rows_u8(&self, rows: Range<usize>) -> Result<ArrayD<u8>> {
        if !matches!(self.dtype, DataType::Number(Dtype::U8 | Dtype::Bool)) {
            return Err(self.malformed("uint8 or bool", self.dtype.to_string()));
        }
        if u8::native_copy_compatible(self.dataset.dtype()) {
            return self.numbers::<u8>(Some(rows));
        }
        let values = self.numbers::<AsU8>(Some(rows))?;
        Ok(values.mapv(|AsU8(value)| value))
    }

    fn numbers_f32(&self, rows: Option<Range<usize>>) -> Result<ArrayD<f32>> {
        if f32::native_copy_compatible(self.dataset.dtype()) {
            return self.numbers::<f32>(rows);
        }
        let values = self.numbers::<AsF32>(rows)?;
        Ok(values.mapv(|AsF32(value)| value))
    }

    fn numbers<T: H5Type>(&self, rows: Option<Range<usize>>) -> Result<ArrayD<T>> {
        if !matches!(self.dtype, DataType::Number(_)) {
            return Err(self.malformed("numbers", self.dtype.to_string()));
        }
        let length = self.shape.first().copied().unwrap_or(1);
        let read = rows.as_ref().map_or(length, |rows| rows.len().min(length));
        let row: usize = self.shape.iter().skip(1).product();
        // As they are read, and as the caller wants them.
        self.take_memory(read * row, 2 * size_of::<T>())?;
        let values = match rows {
            None => self.dataset.read_array::<T>(),
            Some(rows) => {
                let length = self.shape.first().copied().unwrap_or(0);
                if rows.start > rows.end || rows.end > length || self.shape.is_empty() {
                    let expected = format!("rows within 0..{length}");
                    let error = Error::mismatch("rows", expected, format!("{rows:?}"));
                    return Err(self.file.in_file(error));
                }
                let mut selection = SliceInfo::all(self.shape.len());
                if let Some(first) = selection.selections.first_mut() {
                    let (start, end) = (rows.start as u64, rows.end as u64);
                    *first = SliceInfoElem::Slice {
                        start,
                        end,
                        step: 1,
                    };
                }
                self.dataset.read_slice::<T>(&selection)
            }
        };
        values.map_err(|error| self.file.located(error, &self.path))
    }

    /// That `count` elements of `size` bytes, beside the chunks they are in, are within what the file may take.
    pub(super) fn take_memory(&self, count: usize, size: usize) -> Result<()> {
        let mut budget = self.file.inner.budget;
        let taken = budget.take_elements(&self.path, count, size);
        taken.map_err(|error| self.file.in_file(error))
    }

    /// Reads all text, last index fastest.
    ///
    /// # Errors
    /// Elements that are not text; damaged contents.
    pub fn strings(&self) -> Result<Vec<String>> {
        if self.dtype != DataType::Text {
            return Err(self.malformed("text", self.dtype.to_string()));
        }
        let count = self.shape.iter().product();
        self.take_memory(count, 2 * size_of::<String>())?;
        let strings = self.dataset.read_strings();
        strings.map_err(|error| self.file.located(error, &self.path))
    }

    /// Paths of the objects that references point to, last index fastest; `None` for one that points nowhere.
    ///
    /// # Errors
    /// Elements that are not references to objects; damaged contents.
    pub fn references(&self) -> Result<Vec<Option<String>>> {
        if self.dtype != DataType::Reference {
            return Err(self.malformed("references", self.dtype.to_string()));
        }
        let count = self.shape.iter().product();
        self.take_memory(count, 3 * size_of::<Option<String>>())?;
        let size = self.file.inner.file.superblock().offset_size;
        let addresses = self
            .dataset
            .read_raw_bytes()
            .and_then(|raw| hdf5_reader::reference::read_object_references(&raw, size));
        let addresses = addresses.map_err(|error| self.file.located(error, &self.path))?;
        let paths = addresses
            .iter()
            .map(|address| self.file.path_of(*address))
            .collect::<Vec<_>>();
        // Many may lead to one object.
        let bytes = paths.iter().flatten().map(|path| path.len()).sum();
        self.take_memory(bytes, 1)?;
        let owned = |path: Option<&str>| path.map(str::to_owned);
        Ok(paths.into_iter().map(owned).collect())
    }

    pub(super) fn stored_attributes(&self) -> Vec<hdf5_reader::Attribute> {
        self.dataset.attributes()
    }

    pub(super) fn malformed(&self, expected: &str, found: String) -> Error {
        let error = Error::malformed(self.path.as_str(), expected, found);
        self.file.in_file(error)
    }
}

/// Whether a float has its exponent where IEEE 754 has it, by the bytes of the datatype message (format specification,
/// IV.A.2.d): a bfloat16 is no float16.
fn is_ieee(dtype: Dtype, raw: &[u8]) -> bool {
    let exponent = match dtype {
        Dtype::F16 => (10, 5),
        Dtype::F32 => (23, 8),
        Dtype::F64 => (52, 11),
        _ => return true,
    };
    matches!(raw, [_, _, _, _, _, _, _, _, _, _, _, _, at, size, ..] if (*at, *size) == exponent)
}

fn data_type(datatype: &Datatype) -> DataType {
    if let Some((dtype, _)) = number_type(datatype) {
        return DataType::Number(dtype);
    }
    match datatype {
        Datatype::String { .. }
        | Datatype::VarLen {
            kind: VarLenKind::String,
            ..
        } => DataType::Text,
        Datatype::Reference {
            ref_type: hdf5_reader::ReferenceType::Object,
            ..
        } => DataType::Reference,
        Datatype::Compound { fields, .. } => {
            DataType::Other(format!("a compound of {} fields", fields.len()))
        }
        Datatype::Reference { .. } => DataType::Other("references to regions".to_owned()),
        Datatype::FixedPoint { size, .. } => DataType::Other(format!("integers of {size} bytes")),
        Datatype::FloatingPoint { size, .. } => DataType::Other(format!("floats of {size} bytes")),
        Datatype::Array { .. } => DataType::Other("arrays".to_owned()),
        Datatype::VarLen { .. } => DataType::Other("sequences of variable length".to_owned()),
        _ => DataType::Other("opaque bytes".to_owned()),
    }
}

/// A value attached to a dataset or group.
#[derive(Clone, Debug)]
pub struct Attribute {
    stored: hdf5_reader::Attribute,
    place: String,
    path: Option<PathBuf>,
}

impl Attribute {
    pub(super) fn new(stored: hdf5_reader::Attribute, owner: &str, path: Option<PathBuf>) -> Self {
        let place = format!("{owner}, attribute {}", stored.name);
        Self {
            stored,
            place,
            path,
        }
    }

    /// Its numbers, last index fastest; whole numbers beyond 2^53 are rounded.
    ///
    /// # Errors
    /// Not numbers; fewer bytes than its shape needs.
    pub fn numbers(&self) -> Result<Vec<f64>> {
        let (dtype, order) = number_type(&self.stored.datatype).ok_or_else(|| {
            let found = data_type(&self.stored.datatype).to_string();
            self.located(Error::malformed(self.place.as_str(), "numbers", found))
        })?;
        let values = number::decode(&self.stored.raw_data, dtype, order, |value| value);
        let count = self.stored.num_elements();
        let count = count.map_err(|error| self.located(from_hdf5(error, &self.place)))?;
        match values.len() as u64 == count {
            true => Ok(values),
            false => {
                let (expected, found) = (format!("{count} values"), values.len().to_string());
                Err(self.located(Error::malformed(self.place.as_str(), expected, found)))
            }
        }
    }

    /// Its text, last index fastest.
    ///
    /// # Errors
    /// Not text; damaged contents.
    pub fn strings(&self) -> Result<Vec<String>> {
        let strings = self.stored.read_strings();
        strings.map_err(|error| self.located(from_hdf5(error, &self.place)))
    }

    fn located(&self, error: Error) -> Error {
        match &self.path {
            Some(path) => error.in_file(path),
            None => error,
        }
    }
}
