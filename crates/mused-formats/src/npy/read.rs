use std::path::Path;

use ndarray::{ArrayD, IxDyn, ShapeBuilder};

use super::{Dtype, Header};
use crate::number::decode;
use crate::{Error, Result, recognise};

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
    let bytes = recognise::read(path)?;
    parse(&bytes).map_err(|error| error.in_file(path))
}

fn values<'b>(header: &Header, bytes: &'b [u8]) -> Result<&'b [u8]> {
    let start = header.data_offset;
    // `Header::parse` has checked that they are there.
    Ok(bytes
        .get(start..start + header.data_bytes()?)
        .unwrap_or_default())
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
