//! FreeSurfer's files: surfaces, quantities on them, labels, annotations, volumes (.mgh, .mgz).
//!
//! Formats: <https://surfer.nmr.mgh.harvard.edu/fswiki/FileFormats>, and nibabel where that is silent. Not read: surfaces
//! of quadrangles, annotations without a colour table.

mod annotation;
mod mgh;

use std::path::Path;

use ndarray::Array2;

use crate::fields::Fields;
use crate::npy::{ByteOrder, Dtype};
pub use crate::surface::Surface;
use crate::{Error, Result, number, recognise};
pub use annotation::{Annotation, Region, parse_annotation, read_annotation};
pub use mgh::{new_mgh, open_mgh};

const TRIANGLES: [u8; 3] = [0xFF, 0xFF, 0xFE];
const QUADRANGLES: [[u8; 3]; 2] = [[0xFF, 0xFF, 0xFF], [0xFF, 0xFF, 0xFD]];
const NEW_MORPH: [u8; 3] = [0xFF, 0xFF, 0xFF];

/// The vertices of a .label file.
#[derive(Clone, Debug, PartialEq)]
pub struct VertexLabel {
    /// Indices of vertices, from 0.
    pub vertices: Vec<usize>,
    /// Their coordinates in mm \[vertices, 3\].
    pub coordinates: Array2<f32>,
    /// A value each.
    pub values: Vec<f32>,
}

/// Reads a surface of triangles: `lh.white`, `lh.inflated`, ….
///
/// # Errors
/// An unreadable file; as [`parse_surface`].
pub fn read_surface(path: impl AsRef<Path>) -> Result<Surface> {
    read(path.as_ref(), parse_surface)
}

/// Reads a value for each vertex: `lh.curv`, `lh.thickness`, ….
///
/// # Errors
/// An unreadable file; as [`parse_morph`].
pub fn read_morph(path: impl AsRef<Path>) -> Result<Vec<f32>> {
    read(path.as_ref(), parse_morph)
}

/// Reads the vertices of a .label file.
///
/// # Errors
/// An unreadable file; as [`parse_label`].
pub fn read_label(path: impl AsRef<Path>) -> Result<VertexLabel> {
    read(path.as_ref(), parse_label)
}

fn read<T>(path: &Path, parse: impl FnOnce(&[u8]) -> Result<T>) -> Result<T> {
    let bytes = recognise::read(path)?;
    parse(&bytes).map_err(|error| error.in_file(path))
}

/// [`read_surface`] from the bytes of a whole file.
///
/// # Errors
/// Not a surface, or one of quadrangles; a file cut short; a triangle of vertices that do not exist.
pub fn parse_surface(bytes: &[u8]) -> Result<Surface> {
    let mut fields = Fields::new(bytes, ByteOrder::Big, 0);
    let magic = fields.take(3)?;
    if QUADRANGLES.iter().any(|quadrangles| quadrangles == magic) {
        return Err(Error::unsupported("byte 0", "a surface of quadrangles"));
    }
    if magic != TRIANGLES {
        let found = format!("{magic:02x?}");
        return Err(Error::malformed("byte 0", "the mark of a surface", found));
    }
    // Who made it and when, then an empty line.
    for _ in 0..2 {
        let end = fields.rest().iter().position(|&byte| byte == b'\n');
        let place = fields.place();
        let end = end.ok_or_else(|| Error::malformed(place, "a line of text", "no line's end"))?;
        fields.take(end + 1)?;
    }
    let vertices = count(&mut fields, "vertices")?;
    let triangles = count(&mut fields, "triangles")?;
    let coordinates = fields.take(size(vertices, 3, 4))?;
    let coordinates = number::decode(coordinates, Dtype::F32, ByteOrder::Big, |v| v as f32);
    let place = fields.place();
    let indices = fields.take(size(triangles, 3, 4))?;
    let indices = number::decode(indices, Dtype::I32, ByteOrder::Big, |v| v);
    if let Some(outside) = indices
        .iter()
        .find(|&&index| index < 0. || index >= vertices as f64)
    {
        let expected = format!("triangles of vertices 0 to {vertices}");
        return Err(Error::malformed(place, expected, outside.to_string()));
    }
    let indices = indices.into_iter().map(|index| index as u32).collect();
    Ok(Surface {
        vertices: matrix(coordinates)?,
        triangles: matrix(indices)?,
        structure: String::new(),
    })
}

/// [`read_morph`] from the bytes of a whole file, of the new form (f32) or the old (hundredths).
///
/// # Errors
/// A file cut short; more than one value a vertex.
pub fn parse_morph(bytes: &[u8]) -> Result<Vec<f32>> {
    let mut fields = Fields::new(bytes, ByteOrder::Big, 0);
    let first = fields.take(3)?;
    if first == NEW_MORPH {
        let vertices = count(&mut fields, "vertices")?;
        fields.i32()?;
        let place = fields.place();
        let values = fields.i32()?;
        if values != 1 {
            let found = values.to_string();
            return Err(Error::malformed(place, "1 value a vertex", found));
        }
        let values = fields.take(size(vertices, 1, 4))?;
        return Ok(number::decode(values, Dtype::F32, ByteOrder::Big, |v| {
            v as f32
        }));
    }
    let vertices = Fields::new(first, ByteOrder::Big, 0).unsigned(3)?;
    let vertices = usize::try_from(vertices).unwrap_or(usize::MAX);
    fields.take(3)?;
    let values = fields.take(size(vertices, 1, 2))?;
    Ok(number::decode(values, Dtype::I16, ByteOrder::Big, |v| {
        (v / 100.) as f32
    }))
}

/// [`read_label`] from the bytes of a whole file: a comment, the number of vertices, then a line for each: index, x, y, z,
/// value.
///
/// # Errors
/// Text that is not UTF-8; a line, named, that does not have its numbers; fewer vertices than the file says.
pub fn parse_label(bytes: &[u8]) -> Result<VertexLabel> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let place = format!("byte {}", error.valid_up_to());
        Error::malformed(place, "UTF-8 text", "other bytes")
    })?;
    let mut lines = text.lines().zip(1..).skip(1);
    let stated = lines.next().and_then(|(line, _)| line.trim().parse().ok());
    let stated: usize = stated
        .ok_or_else(|| Error::malformed("line 2", "the number of vertices", "something else"))?;
    let (mut vertices, mut coordinates, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for (line, row) in lines.filter(|(line, _)| !line.trim().is_empty()) {
        let malformed = || {
            let expected = "a vertex, three coordinates and a value";
            Error::malformed(format!("line {row}"), expected, format!("{line:?}"))
        };
        let mut words = line.split_ascii_whitespace();
        let vertex = words.next().and_then(|word| word.parse().ok());
        let numbers: Option<Vec<f32>> = words.map(|word| word.parse().ok()).collect();
        let (Some(vertex), Some(&[x, y, z, value])) = (vertex, numbers.as_deref()) else {
            return Err(malformed());
        };
        vertices.push(vertex);
        coordinates.extend([x, y, z]);
        values.push(value);
    }
    if vertices.len() != stated {
        let (expected, found) = (format!("{stated} vertices"), vertices.len().to_string());
        return Err(Error::malformed("line 2", expected, found));
    }
    Ok(VertexLabel {
        vertices,
        coordinates: matrix(coordinates)?,
        values,
    })
}

/// A number of things, which are never fewer than none.
fn count(fields: &mut Fields<'_>, what: &str) -> Result<usize> {
    let place = fields.place();
    let count = fields.i32()?;
    usize::try_from(count).map_err(|_| {
        let expected = format!("a number of {what}");
        Error::malformed(place, expected, count.to_string())
    })
}

/// Bytes of that many; more than there are where they cannot be counted.
fn size(count: usize, columns: usize, element: usize) -> usize {
    count.saturating_mul(columns).saturating_mul(element)
}

fn matrix<T>(values: Vec<T>) -> Result<Array2<T>> {
    let rows = values.len() / 3;
    let array = Array2::from_shape_vec((rows, 3), values);
    array.map_err(|error| Error::malformed("values", "threes", error.to_string()))
}
