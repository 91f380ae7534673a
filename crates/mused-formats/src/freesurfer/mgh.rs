use std::io::{Read, Seek};
use std::path::Path;

use crate::byte_source::ByteSource;
use crate::fields::Fields;
use crate::nifti::{Affine, Header, Nifti};
use crate::npy::{ByteOrder, Dtype};
use crate::{Error, Result, recognise};

const DATA_OFFSET: usize = 284;
/// What FreeSurfer's `mghRead` takes for a file that says nothing of its space: coronal slices, x to the left, y down, z to
/// the front. (nibabel 5.4 has the matrix transposed.)
const DEFAULT_COSINES: [[f64; 3]; 3] = [[-1., 0., 0.], [0., 0., -1.], [0., 1., 0.]];

/// Opens an .mgh or .mgz (compressed by gzip), read as a NIfTI file is.
///
/// Its [`Header::version`] is 0, its TR unknown: that stands behind the values.
///
/// # Errors
/// An unreadable file; as [`new_mgh`].
pub fn open_mgh(path: impl AsRef<Path>) -> Result<Nifti> {
    let path = path.as_ref();
    let file = recognise::open(path).and_then(new_mgh);
    file.map(|file| file.at_path(path))
        .map_err(|error| error.in_file(path))
}

/// [`open_mgh`] from anything that can be read.
///
/// # Errors
/// Another version than 1; a header that breaks the format's rules; a plain file too short for its values.
pub fn new_mgh(input: impl Read + Seek + Send + 'static) -> Result<Nifti> {
    let mut source = ByteSource::new(input)?;
    let bytes = source.read_up_to(DATA_OFFSET)?;
    let mut fields = Fields::new(&bytes, ByteOrder::Big, 0);
    fields.take(DATA_OFFSET)?;
    Nifti::with_header(header(fields.at(0))?, source)
}

fn header(mut fields: Fields<'_>) -> Result<Header> {
    let version = fields.i32()?;
    if version != 1 {
        let found = version.to_string();
        return Err(Error::malformed("header field version", "1", found));
    }
    let lengths = [fields.i32()?, fields.i32()?, fields.i32()?, fields.i32()?];
    let shape: Option<Vec<usize>> = lengths
        .iter()
        .map(|&length| usize::try_from(length).ok().filter(|&length| length > 0))
        .collect();
    let mut shape = shape.ok_or_else(|| {
        let found = format!("{lengths:?}");
        Error::malformed(
            "header fields width to nframes",
            "lengths of at least 1",
            found,
        )
    })?;
    if shape.last() == Some(&1) {
        shape.truncate(3);
    }
    let dtype = match fields.i32()? {
        0 => Dtype::U8,
        1 => Dtype::I32,
        3 => Dtype::F32,
        4 => Dtype::I16,
        10 => Dtype::U16,
        other => {
            return Err(Error::unsupported(
                "header field type",
                format!("code {other}"),
            ));
        }
    };
    fields.i32()?;
    let has_space = fields.i16()? > 0;
    let mut floats = [0.; 15];
    for value in &mut floats {
        *value = f64::from(fields.f32()?);
    }
    let [dx, dy, dz, xr, xa, xs, yr, ya, ys, zr, za, zs, cr, ca, cs] = floats;
    let (zooms, cosines, centre) = match has_space {
        true => (
            [dx, dy, dz],
            [[xr, xa, xs], [yr, ya, ys], [zr, za, zs]],
            [cr, ca, cs],
        ),
        false => ([1.; 3], DEFAULT_COSINES, [0.; 3]),
    };
    Ok(Header {
        version: 0,
        dtype,
        byte_order: ByteOrder::Big,
        zooms: zooms.into_iter().chain([1.]).take(shape.len()).collect(),
        affine: affine(&shape, zooms, cosines, centre),
        tr: None,
        tr_has_unit: false,
        scaling: None,
        intent_code: 0,
        description: String::new(),
        single_file: true,
        data_offset: DATA_OFFSET as u64,
        shape,
    })
}

/// Directions of the axes times the lengths of voxels, the middle of the volume at `centre`.
fn affine(shape: &[usize], zooms: [f64; 3], cosines: [[f64; 3]; 3], centre: [f64; 3]) -> Affine {
    let mut affine = [[0., 0., 0., 1.]; 4];
    for ((row, coordinate), middle) in affine.iter_mut().zip(0..3).zip(centre) {
        let mut offset = middle;
        for (axis, &length) in shape.iter().take(3).enumerate() {
            let step = cosines[axis][coordinate] * zooms[axis];
            row[axis] = step;
            offset -= step * length as f64 / 2.;
        }
        row[3] = offset;
    }
    affine
}
