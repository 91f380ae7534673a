use super::affine::{Affine, Qform, centred};
use crate::fields::{Fields, text};
use crate::npy::{ByteOrder, Dtype};
use crate::{Error, Result, number};

pub(super) const BYTES_1: usize = 348;
pub(super) const BYTES_2: usize = 540;
/// Bits of `xyzt_units` that say what time is measured in.
const TIME_UNIT: i32 = 0x38;
const SINGLE_1: &[u8] = b"n+1\0";
const PAIR_1: &[u8] = b"ni1\0";
const SINGLE_2: &[u8] = b"n+2\0\r\n\x1a\n";
const PAIR_2: &[u8] = b"ni2\0\r\n\x1a\n";
/// Extensions are text; a CIFTI-2 header of 91,282 brain models takes 4 MB.
pub(super) const MAX_EXTENSION_BYTES: usize = 1 << 26;

/// What stands before the values.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// 1 or 2; 0 for an MGH file.
    pub version: u8,
    /// Element type in the file.
    pub dtype: Dtype,
    /// Byte order of the file.
    pub byte_order: ByteOrder,
    /// Lengths of the dimensions, 1 to 7 of them, first index fastest: i, j, k, time, ….
    pub shape: Vec<usize>,
    /// Steps of the dimensions as stored, one each: mm for the first three, where they are 0 taken as 1.
    pub zooms: Vec<f64>,
    /// As nibabel's `img.affine`: the sform where its code is 1 to 5, else the qform where its code is, else centred.
    pub affine: Affine,
    /// Seconds between volumes: the fourth zoom in its unit (a unit the header leaves open is taken for seconds). `None`
    /// where there are fewer than 4 dimensions, it is not positive, or its unit is not one of time.
    pub tr: Option<f64>,
    /// Whether the header names a unit of `tr`. Where it does not, 1 is mostly a default that nobody has set.
    pub tr_has_unit: bool,
    /// Stored values are multiplied and added to; `None` where the header asks for neither.
    pub scaling: Option<(f64, f64)>,
    /// What the values mean, by the code list of `nifti1.h`.
    pub intent_code: i32,
    /// Free text of at most 79 bytes.
    pub description: String,
    /// Whether the values stand in this file, not in an .img.
    pub single_file: bool,
    /// Byte at which the values start in their file.
    pub data_offset: u64,
}

/// Further data between header and values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// What it is: 32 for CIFTI-2's XML.
    pub code: i32,
    /// Its bytes, padding and all.
    pub data: Vec<u8>,
}

/// The fields of both versions that something is made of.
struct Raw {
    dimensions: [i64; 8],
    datatype: i16,
    pixdim: [f64; 8],
    offset: f64,
    slope: f64,
    inter: f64,
    qform_code: i32,
    sform_code: i32,
    quaternion: [f64; 3],
    qoffset: [f64; 3],
    srow: [[f64; 4]; 3],
    units: i32,
    intent_code: i32,
    description: String,
}

impl Header {
    /// Parses the header at the start of a file (unpacked, where it is compressed): 348 bytes for NIfTI-1, 540 for
    /// NIfTI-2.
    ///
    /// # Errors
    /// Another format; fewer bytes; a field that breaks the format's rules, named; a data type that is not read; a shape
    /// whose bytes cannot be counted.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let (version, order) = version(bytes)?;
        let fields = Fields::new(bytes, order, 0);
        let (magic, raw) = match version {
            1 => (fields.at(344).take(4)?, Raw::version_1(fields)?),
            _ => (fields.at(4).take(8)?, Raw::version_2(fields)?),
        };
        let single_file = match (version, magic) {
            (1, SINGLE_1) | (2, SINGLE_2) => true,
            (1, PAIR_1) | (2, PAIR_2) => false,
            (1, [0, ..]) => return Err(Error::unsupported("header field magic", "Analyze 7.5")),
            (_, other) => {
                let expected = "n+1, ni1, n+2 or ni2";
                let found = other.escape_ascii().to_string();
                return Err(Error::malformed("header field magic", expected, found));
            }
        };
        raw.header(version, order, single_file)
    }

    /// Number of values of a volume: the product of the first three dimensions.
    pub fn voxels(&self) -> usize {
        self.shape.iter().take(3).product()
    }

    /// Number of volumes: the product of the dimensions from the fourth on.
    pub fn volumes(&self) -> usize {
        self.shape.iter().skip(3).product()
    }

    /// Number of volumes of a time series, which has four dimensions; further ones of length 1 say nothing. `None` for
    /// another shape.
    pub fn series(&self) -> Option<usize> {
        let (series, further) = self.shape.split_at_checked(4)?;
        let four = further.iter().all(|length| *length == 1);
        series.last().copied().filter(|_| four)
    }

    /// Bytes of the header itself.
    pub(crate) fn bytes(version: u8) -> usize {
        if version == 1 { BYTES_1 } else { BYTES_2 }
    }
}

/// Version and byte order, by the first field.
pub(crate) fn version(bytes: &[u8]) -> Result<(u8, ByteOrder)> {
    let Some(size) = bytes.first_chunk::<4>() else {
        let found = format!("the end after {}", bytes.len());
        return Err(Error::malformed("header", "348 or 540 bytes", found));
    };
    match (i32::from_le_bytes(*size), i32::from_be_bytes(*size)) {
        (348, _) => Ok((1, ByteOrder::Little)),
        (_, 348) => Ok((1, ByteOrder::Big)),
        (540, _) => Ok((2, ByteOrder::Little)),
        (_, 540) => Ok((2, ByteOrder::Big)),
        (other, _) => Err(Error::malformed(
            "header field sizeof_hdr",
            "348 or 540",
            other.to_string(),
        )),
    }
}

impl Raw {
    fn version_1(fields: Fields<'_>) -> Result<Self> {
        let float = |at: usize| fields.at(at).f32().map(f64::from);
        let short = |at: usize| fields.at(at).i16();
        Ok(Self {
            dimensions: array(|i| short(40 + 2 * i).map(i64::from))?,
            datatype: short(70)?,
            pixdim: array(|i| float(76 + 4 * i))?,
            offset: float(108)?,
            slope: float(112)?,
            inter: float(116)?,
            qform_code: short(252)?.into(),
            sform_code: short(254)?.into(),
            quaternion: array(|i| float(256 + 4 * i))?,
            qoffset: array(|i| float(268 + 4 * i))?,
            srow: array(|row| array(|i| float(280 + 16 * row + 4 * i)))?,
            units: fields.at(123).u8()?.into(),
            intent_code: short(68)?.into(),
            description: text(fields.at(148).take(80)?),
        })
    }

    fn version_2(fields: Fields<'_>) -> Result<Self> {
        let float = |at: usize| fields.at(at).f64();
        let word = |at: usize| fields.at(at).i32();
        // A header that is cut in its unused end is cut nonetheless.
        fields.at(0).take(BYTES_2)?;
        Ok(Self {
            dimensions: array(|i| fields.at(16 + 8 * i).i64())?,
            datatype: fields.at(12).i16()?,
            pixdim: array(|i| float(104 + 8 * i))?,
            offset: fields.at(168).i64()? as f64,
            slope: float(176)?,
            inter: float(184)?,
            qform_code: word(344)?,
            sform_code: word(348)?,
            quaternion: array(|i| float(352 + 8 * i))?,
            qoffset: array(|i| float(376 + 8 * i))?,
            srow: array(|row| array(|i| float(400 + 32 * row + 8 * i)))?,
            units: word(500)?,
            intent_code: word(504)?,
            description: text(fields.at(240).take(80)?),
        })
    }

    fn header(self, version: u8, byte_order: ByteOrder, single_file: bool) -> Result<Header> {
        let dtype = dtype(self.datatype)?;
        let shape = self.shape()?;
        if number::byte_count(&shape, dtype.size()).is_none() {
            let expected = "lengths whose product fits in memory";
            return Err(Error::malformed(
                "header field dim",
                expected,
                format!("{shape:?}"),
            ));
        }
        let least = match (single_file, version) {
            (false, _) => 0,
            (true, 1) => BYTES_1 + 4,
            (true, _) => BYTES_2 + 4,
        };
        // Below 2^53, so that a float holds it.
        if !(least as f64..9e15).contains(&self.offset) {
            let (expected, found) = (format!("{least} or more"), self.offset.to_string());
            return Err(Error::malformed("header field vox_offset", expected, found));
        }
        let spatial = self.spatial_zooms();
        let zooms = (0..shape.len()).map(|axis| match spatial.get(axis) {
            Some(zoom) => *zoom,
            None => self.pixdim.get(axis + 1).copied().unwrap_or(1.),
        });
        Ok(Header {
            version,
            dtype,
            byte_order,
            zooms: zooms.collect(),
            affine: self.affine(version, &shape, spatial)?,
            tr: self.tr(&shape),
            tr_has_unit: self.units & TIME_UNIT != 0,
            scaling: self.scaling()?,
            intent_code: self.intent_code,
            description: self.description,
            single_file,
            data_offset: self.offset as u64,
            shape,
        })
    }

    fn shape(&self) -> Result<Vec<usize>> {
        let [count, lengths @ ..] = self.dimensions;
        let count = usize::try_from(count)
            .ok()
            .filter(|count| (1..=7).contains(count));
        let Some(lengths) = count.and_then(|count| lengths.get(..count)) else {
            let found = self.dimensions[0].to_string();
            return Err(Error::malformed(
                "header field dim[0]",
                "1 to 7 dimensions",
                found,
            ));
        };
        let length = |&length: &i64| usize::try_from(length).ok().filter(|&length| length > 0);
        let shape: Option<Vec<usize>> = lengths.iter().map(length).collect();
        shape.ok_or_else(|| {
            let found = format!("{lengths:?}");
            Error::malformed("header field dim", "lengths of at least 1", found)
        })
    }

    /// nibabel repairs lengths of voxels before it uses them.
    fn spatial_zooms(&self) -> [f64; 3] {
        let [_, x, y, z, ..] = self.pixdim;
        [x, y, z].map(|zoom| if zoom == 0. { 1. } else { zoom.abs() })
    }

    fn affine(&self, version: u8, shape: &[usize], zooms: [f64; 3]) -> Result<Affine> {
        if (1..=5).contains(&self.sform_code) {
            let [x, y, z] = self.srow;
            return Ok([x, y, z, [0., 0., 0., 1.]]);
        }
        if (1..=5).contains(&self.qform_code) {
            let qform = Qform {
                quaternion: self.quaternion,
                qfac: if self.pixdim[0] == -1. { -1. } else { 1. },
                offset: self.qoffset,
            };
            let precision = match version {
                1 => f64::from(f32::EPSILON),
                _ => f64::EPSILON,
            };
            return qform.affine(zooms, 3. * precision);
        }
        Ok(centred(shape, zooms))
    }

    fn tr(&self, shape: &[usize]) -> Option<f64> {
        let seconds = match self.units & TIME_UNIT {
            0 | 8 => 1.,
            16 => 1e-3,
            24 => 1e-6,
            _ => return None,
        };
        let step = self.pixdim[4];
        (shape.len() > 3 && step.is_finite() && step > 0.).then_some(step * seconds)
    }

    fn scaling(&self) -> Result<Option<(f64, f64)>> {
        if self.slope == 0. || !self.slope.is_finite() {
            return Ok(None);
        }
        if !self.inter.is_finite() {
            let found = self.inter.to_string();
            return Err(Error::malformed(
                "header field scl_inter",
                "a finite number",
                found,
            ));
        }
        Ok(Some((self.slope, self.inter)).filter(|&scaling| scaling != (1., 0.)))
    }
}

pub(super) const DTYPES: [(Dtype, i16); 10] = [
    (Dtype::U8, 2),
    (Dtype::I16, 4),
    (Dtype::I32, 8),
    (Dtype::F32, 16),
    (Dtype::F64, 64),
    (Dtype::I8, 256),
    (Dtype::U16, 512),
    (Dtype::U32, 768),
    (Dtype::I64, 1024),
    (Dtype::U64, 1280),
];

fn dtype(code: i16) -> Result<Dtype> {
    let known = DTYPES.iter().find(|(_, known)| *known == code);
    known.map(|(dtype, _)| *dtype).ok_or_else(|| {
        let name = match code {
            32 | 1792 | 2048 => " (complex)",
            128 | 2304 => " (RGB)",
            1536 => " (float128)",
            _ => "",
        };
        Error::unsupported("header field datatype", format!("code {code}{name}"))
    })
}

fn array<T: Default + Copy, const N: usize>(value: impl Fn(usize) -> Result<T>) -> Result<[T; N]> {
    let mut values = [T::default(); N];
    for (index, slot) in values.iter_mut().enumerate() {
        *slot = value(index)?;
    }
    Ok(values)
}

/// Extensions, from the bytes between header and values. A size of 0 ends them: the rest is padding.
pub(crate) fn extensions(bytes: &[u8], order: ByteOrder, start: u64) -> Result<Vec<Extension>> {
    let mut fields = Fields::new(bytes, order, start);
    let mut extensions = Vec::new();
    match fields.take(4) {
        Ok([flag, ..]) if *flag != 0 => {}
        _ => return Ok(extensions),
    }
    while fields.rest().len() >= 16 {
        let place = fields.place();
        let size = fields.i32()?;
        if size == 0 {
            break;
        }
        let code = fields.i32()?;
        let content = usize::try_from(size)
            .ok()
            .and_then(|size| size.checked_sub(8));
        let Some(content) = content.filter(|&content| content <= fields.rest().len()) else {
            let expected = format!("an extension of 8 to {} bytes", fields.rest().len() + 8);
            return Err(Error::malformed(place, expected, size.to_string()));
        };
        extensions.push(Extension {
            code,
            data: fields.take(content)?.to_vec(),
        });
    }
    Ok(extensions)
}

/// Bytes between header and values, if they are few enough to be extensions.
pub(crate) fn extension_bytes(header: &Header) -> Result<usize> {
    let between = header
        .data_offset
        .saturating_sub(Header::bytes(header.version) as u64);
    if between > MAX_EXTENSION_BYTES as u64 {
        let expected = format!("at most {MAX_EXTENSION_BYTES} bytes of extensions");
        return Err(Error::malformed(
            "header field vox_offset",
            expected,
            between.to_string(),
        ));
    }
    Ok(usize::try_from(between).unwrap_or(0))
}
