use std::path::Path;

use half::f16;
use ndarray::{ArrayD, IxDyn, ShapeBuilder};

use super::{ByteOrder, Dtype, Header};
use crate::{Error, Result};

/// Reads an array of any [`Dtype`] and order as f64; whole numbers beyond 2^53 are rounded.
///
/// # Errors
/// An unreadable file; as [`Header::parse`].
pub fn read_npy(path: impl AsRef<Path>) -> Result<ArrayD<f64>> {
    read(path.as_ref(), parse)
}

/// Reads an array of any [`Dtype`] and order as f32, each value rounded to the nearest.
///
/// # Errors
/// As [`read_npy`].
pub fn read_npy_f32(path: impl AsRef<Path>) -> Result<ArrayD<f32>> {
    read(path.as_ref(), parse_f32)
}

/// Reads an array of uint8 or bool.
///
/// # Errors
/// As [`read_npy`], and any other element type.
pub fn read_npy_u8(path: impl AsRef<Path>) -> Result<ArrayD<u8>> {
    read(path.as_ref(), parse_u8)
}

/// [`read_npy`] from the bytes of a whole file. The result is in standard layout whatever order the file has.
///
/// # Errors
/// As [`Header::parse`].
pub fn parse(bytes: &[u8]) -> Result<ArrayD<f64>> {
    let header = Header::parse(bytes)?;
    let data = values(&header, bytes)?;
    shaped(
        &header,
        decode(data, header.dtype, header.byte_order, |value| value),
    )
}

/// [`read_npy_f32`] from the bytes of a whole file.
///
/// # Errors
/// As [`Header::parse`].
pub fn parse_f32(bytes: &[u8]) -> Result<ArrayD<f32>> {
    let header = Header::parse(bytes)?;
    let data = values(&header, bytes)?;
    shaped(
        &header,
        decode(data, header.dtype, header.byte_order, |value| value as f32),
    )
}

/// [`read_npy_u8`] from the bytes of a whole file.
///
/// # Errors
/// As [`Header::parse`], and any other element type.
pub fn parse_u8(bytes: &[u8]) -> Result<ArrayD<u8>> {
    let header = Header::parse(bytes)?;
    match header.dtype {
        Dtype::U8 | Dtype::Bool => shaped(&header, values(&header, bytes)?.to_vec()),
        other => Err(Error::malformed(
            "header field descr",
            "uint8 or bool",
            other.to_string(),
        )),
    }
}

fn read<T>(path: &Path, parse: impl FnOnce(&[u8]) -> Result<T>) -> Result<T> {
    let bytes = std::fs::read(path).map_err(|error| Error::from(error).in_file(path))?;
    parse(&bytes).map_err(|error| error.in_file(path))
}

fn values<'b>(header: &Header, bytes: &'b [u8]) -> Result<&'b [u8]> {
    let start = header.data_offset;
    // `Header::parse` has checked that they are there.
    Ok(bytes
        .get(start..start + header.data_bytes()?)
        .unwrap_or_default())
}

/// Every element type goes through f64, which holds all of them but the largest 64-bit integers exactly.
fn decode<T>(data: &[u8], dtype: Dtype, order: ByteOrder, convert: impl Fn(f64) -> T) -> Vec<T> {
    macro_rules! elements {
        ($type:ty) => {{
            let (chunks, _) = data.as_chunks::<{ size_of::<$type>() }>();
            let read = match order {
                ByteOrder::Little => <$type>::from_le_bytes,
                ByteOrder::Big => <$type>::from_be_bytes,
            };
            chunks
                .iter()
                .map(|&chunk| convert(read(chunk).to_f64()))
                .collect()
        }};
    }
    match dtype {
        Dtype::Bool | Dtype::U8 => elements!(u8),
        Dtype::I8 => elements!(i8),
        Dtype::I16 => elements!(i16),
        Dtype::U16 => elements!(u16),
        Dtype::I32 => elements!(i32),
        Dtype::U32 => elements!(u32),
        Dtype::I64 => elements!(i64),
        Dtype::U64 => elements!(u64),
        Dtype::F16 => elements!(f16),
        Dtype::F32 => elements!(f32),
        Dtype::F64 => elements!(f64),
    }
}

/// `as f64` for the numbers of all element types, which have no trait in common.
trait ToF64 {
    fn to_f64(self) -> f64;
}

macro_rules! to_f64 {
    ($($type:ty)*) => {$(
        impl ToF64 for $type {
            fn to_f64(self) -> f64 {
                self as f64
            }
        }
    )*};
}
to_f64!(u8 i8 u16 i16 u32 i32 u64 i64 f32 f64);

impl ToF64 for f16 {
    fn to_f64(self) -> f64 {
        f16::to_f64(self)
    }
}

fn shaped<T: Clone>(header: &Header, values: Vec<T>) -> Result<ArrayD<T>> {
    let shape = IxDyn(&header.shape).set_f(header.fortran_order);
    let array = ArrayD::from_shape_vec(shape, values);
    let array = array.map_err(|error| {
        Error::malformed(
            "header field shape",
            "a shape that fits the values",
            error.to_string(),
        )
    })?;
    match array.is_standard_layout() {
        true => Ok(array),
        // Callers take rows as slices, which needs C order.
        false => Ok(array.as_standard_layout().into_owned()),
    }
}
