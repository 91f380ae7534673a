use std::fmt;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::affine::{Affine, Qform, zooms_of};
use super::header::{BYTES_1, DTYPES};
use crate::npy::Dtype;
use crate::{Error, Result, WholeFile, number};

/// Codes of `nifti1.h`: coordinates aligned to another file's, millimetres, seconds.
const ALIGNED: i16 = 2;
const MILLIMETRES: u8 = 2;
const SECONDS: u8 = 8;

/// What a new NIfTI-1 file says of its values.
#[derive(Clone, Debug, PartialEq)]
pub struct NewNifti {
    /// Element type in the file: any but bool and float16.
    pub dtype: Dtype,
    /// Lengths of 1 to 7 dimensions, each 1 to 32767, first index fastest.
    pub shape: Vec<usize>,
    /// Stored as sform, and as qform where that can say the same (no shears).
    pub affine: Affine,
    /// Seconds between volumes.
    pub tr: Option<f64>,
}

/// Writes a file volume by volume. It appears with [`NiftiWriter::finish`].
pub struct NiftiWriter {
    output: Output,
    dtype: Dtype,
    voxels: usize,
    volumes: usize,
    written: usize,
    encoded: Vec<u8>,
}

enum Output {
    Plain(WholeFile),
    Gzip(Box<GzEncoder<WholeFile>>),
}

impl fmt::Debug for NiftiWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NiftiWriter")
            .field("destination", &self.output.file().destination())
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

impl Output {
    fn file(&self) -> &WholeFile {
        match self {
            Self::Plain(file) => file,
            Self::Gzip(encoder) => encoder.get_ref(),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Plain(file) => file.write_all(bytes),
            Self::Gzip(encoder) => encoder.write_all(bytes),
        }
    }
}

impl NiftiWriter {
    /// Starts a file, compressed where its name ends in .gz.
    ///
    /// # Errors
    /// A file that cannot be created; a dtype, shape or affine that NIfTI-1 cannot hold.
    pub fn create(path: impl AsRef<Path>, new: &NewNifti) -> Result<Self> {
        let path = path.as_ref();
        let header = header_bytes(new).map_err(|error| error.in_file(path))?;
        let file = WholeFile::create(path)?;
        let zipped = path.extension().is_some_and(|extension| extension == "gz");
        let output = match zipped {
            true => Output::Gzip(Box::new(GzEncoder::new(file, Compression::default()))),
            false => Output::Plain(file),
        };
        let mut writer = Self {
            output,
            dtype: new.dtype,
            voxels: new.shape.iter().take(3).product(),
            volumes: new.shape.iter().skip(3).product(),
            written: 0,
            encoded: Vec::new(),
        };
        let written = writer.output.write(&header);
        written.map_err(|error| writer.located(error.into()))?;
        Ok(writer)
    }

    /// Appends a volume, i fastest.
    ///
    /// # Errors
    /// A number of values other than the voxels of a volume; one volume too many; a value that the dtype cannot hold (for
    /// integers: out of range, or not whole); a full disk. A volume that was refused leaves nothing in the file.
    pub fn write_volume(&mut self, values: &[f32]) -> Result<()> {
        self.append(values).map_err(|error| self.located(error))
    }

    fn append(&mut self, values: &[f32]) -> Result<()> {
        if values.len() != self.voxels {
            let (expected, found) = (self.voxels.to_string(), values.len().to_string());
            return Err(Error::mismatch("number of values", expected, found));
        }
        if self.written == self.volumes {
            let expected = format!("{} volumes", self.volumes);
            return Err(Error::mismatch("volumes", expected, "one more"));
        }
        self.encoded.clear();
        for &value in values {
            if !number::encode(value.into(), self.dtype, &mut self.encoded) {
                let expected = format!("values that {} can hold", self.dtype);
                return Err(Error::mismatch("value", expected, value.to_string()));
            }
        }
        self.output.write(&self.encoded)?;
        self.written += 1;
        Ok(())
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// Fewer volumes than the shape has; a full disk.
    pub fn finish(self) -> Result<()> {
        if self.written < self.volumes {
            let expected = format!("{} volumes", self.volumes);
            let error = Error::mismatch("volumes", expected, self.written.to_string());
            return Err(self.located(error));
        }
        let destination = self.output.file().destination().to_owned();
        let file = match self.output {
            Output::Plain(file) => Ok(file),
            Output::Gzip(encoder) => encoder.finish(),
        };
        file.map_err(|error| Error::from(error).in_file(&destination))?
            .finish()
    }

    fn located(&self, error: Error) -> Error {
        error.in_file(self.output.file().destination())
    }
}

/// The 348 bytes and the 4 that say that no extension follows.
fn header_bytes(new: &NewNifti) -> Result<Vec<u8>> {
    let code = DTYPES.iter().find(|(dtype, _)| *dtype == new.dtype);
    let Some(&(dtype, code)) = code else {
        let expected = "an integer type, float32 or float64";
        return Err(Error::mismatch("dtype", expected, new.dtype.to_string()));
    };
    let lengths: Vec<i16> = new
        .shape
        .iter()
        .filter_map(|&length| i16::try_from(length).ok().filter(|&length| length > 0))
        .collect();
    if lengths.len() != new.shape.len() || !(1..=7).contains(&lengths.len()) {
        let (expected, found) = ("1 to 7 lengths of 1 to 32767", format!("{:?}", new.shape));
        return Err(Error::mismatch("shape", expected, found));
    }
    let zooms = zooms_of(&new.affine);
    if !zooms.iter().all(|zoom| zoom.is_normal()) {
        let (expected, found) = (
            "columns that are finite and not 0",
            format!("{:?}", new.affine),
        );
        return Err(Error::mismatch("affine", expected, found));
    }
    let qform = Qform::representing(&new.affine);
    let mut dim = [1_i16; 8];
    let mut pixdim = [1_f64; 8];
    for (slot, length) in dim
        .iter_mut()
        .zip([lengths.len() as i16].into_iter().chain(lengths))
    {
        *slot = length;
    }
    let steps = zooms.into_iter().chain([new.tr.unwrap_or(0.)]);
    let qfac = qform.map_or(1., |qform| qform.qfac);
    for (slot, value) in pixdim.iter_mut().zip([qfac].into_iter().chain(steps)) {
        *slot = value;
    }
    let Qform {
        quaternion, offset, ..
    } = qform.unwrap_or(Qform {
        quaternion: [0.; 3],
        qfac,
        offset: [0.; 3],
    });

    let mut bytes = Vec::with_capacity(BYTES_1 + 4);
    bytes.extend((BYTES_1 as i32).to_le_bytes());
    bytes.resize(40, 0);
    bytes.extend(dim.iter().flat_map(|length| length.to_le_bytes()));
    bytes.resize(70, 0);
    bytes.extend(code.to_le_bytes());
    bytes.extend((dtype.size() as i16 * 8).to_le_bytes());
    bytes.resize(76, 0);
    floats(&mut bytes, &pixdim);
    floats(&mut bytes, &[(BYTES_1 + 4) as f64, 1., 0.]);
    bytes.resize(123, 0);
    bytes.push(MILLIMETRES | SECONDS);
    bytes.resize(252, 0);
    bytes.extend(if qform.is_some() { ALIGNED } else { 0 }.to_le_bytes());
    bytes.extend(ALIGNED.to_le_bytes());
    floats(&mut bytes, &quaternion);
    floats(&mut bytes, &offset);
    let [x, y, z, _] = &new.affine;
    for row in [x, y, z] {
        floats(&mut bytes, row);
    }
    bytes.resize(344, 0);
    bytes.extend(b"n+1\0\0\0\0\0");
    Ok(bytes)
}

fn floats(bytes: &mut Vec<u8>, values: &[f64]) {
    let stored = values.iter().map(|&value| value as f32);
    bytes.extend(stored.flat_map(f32::to_le_bytes));
}
