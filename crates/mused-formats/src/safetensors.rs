//! Files of safetensors: a header in JSON, then tensors, read when asked for.
//!
//! Format: <https://huggingface.co/docs/safetensors>. Read: floating-point tensors, as f32.

use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ::safetensors::Dtype;
use ::safetensors::tensor::{Metadata, TensorInfo};
use half::{bf16, f16};

use crate::{Budget, Error, Result, plain, recognise};

/// Longest header accepted, as in the safetensors library.
const LONGEST_HEADER: u64 = 100_000_000;

trait Source: Read + Seek + Send {}
impl<T: Read + Seek + Send> Source for T {}

/// An open file.
pub struct SafetensorsFile {
    path: Option<PathBuf>,
    source: Mutex<Box<dyn Source>>,
    metadata: Metadata,
    /// Where tensor data starts.
    data: u64,
    /// For each reading.
    budget: Budget,
}

impl std::fmt::Debug for SafetensorsFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SafetensorsFile")
            .field("path", &self.path)
            .field("metadata", &self.metadata)
            .finish_non_exhaustive()
    }
}

impl SafetensorsFile {
    /// Opens a file and checks its header.
    ///
    /// # Errors
    /// An unreadable file; a header that is longer than the file, is not of the format, or has tensors that overlap, leave
    /// gaps or do not end where the file ends.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = recognise::open(path).and_then(|file| Self::new(Box::new(file)));
        let file = file.map_err(|error| error.in_file(path))?;
        Ok(Self {
            path: Some(path.to_owned()),
            ..file
        })
    }

    /// [`Self::open`] from the bytes of a whole file.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self> {
        Self::new(Box::new(Cursor::new(bytes)))
    }

    fn new(mut source: Box<dyn Source>) -> Result<Self> {
        let malformed = |found: String| Error::malformed("header", "a safetensors file", found);
        let length = source.seek(SeekFrom::End(0))?;
        source.rewind()?;
        let mut word = [0; 8];
        if length < 8 {
            return Err(malformed(format!("{length} bytes")));
        }
        source.read_exact(&mut word)?;
        let header = u64::from_le_bytes(word);
        if header > LONGEST_HEADER || header > length - 8 {
            return Err(malformed(format!(
                "a header of {header} bytes in a file of {length}"
            )));
        }
        let mut bytes = vec![0; header as usize];
        source.read_exact(&mut bytes)?;
        // Its parser also checks that data types, shapes and places of the tensors agree and leave no gap.
        let metadata: Metadata =
            serde_json::from_slice(&bytes).map_err(|error| malformed(plain(error)))?;
        let end = metadata
            .tensors()
            .values()
            .map(|info| info.data_offsets.1)
            .max()
            .unwrap_or(0);
        let data = 8 + header;
        if data.checked_add(end as u64) != Some(length) {
            return Err(malformed(format!(
                "a header for {end} bytes of tensors, {} bytes of them",
                length - data
            )));
        }
        Ok(Self {
            path: None,
            source: Mutex::new(source),
            metadata,
            data,
            budget: Budget::of(length),
        })
    }

    /// Names and shapes of the tensors.
    pub fn shapes(&self) -> Vec<(String, Vec<usize>)> {
        let tensors = self.metadata.tensors();
        tensors
            .into_iter()
            .map(|(name, info)| (name, info.shape.clone()))
            .collect()
    }

    /// The values of a floating-point tensor of any precision, in row-major order.
    ///
    /// # Errors
    /// No such tensor; one of integers; a file that was shortened meanwhile.
    pub fn read_f32(&self, name: &str) -> Result<Vec<f32>> {
        self.values(name).map_err(|error| match &self.path {
            Some(path) => error.in_file(path),
            None => error,
        })
    }

    fn values(&self, name: &str) -> Result<Vec<f32>> {
        let place = || format!("tensor `{name}`");
        let Some(info) = self.metadata.info(name) else {
            let names = self.metadata.tensors();
            let names = names.keys().map(String::as_str).take(20);
            return Err(Error::missing("tensor", name, names));
        };
        let decode: fn(&[u8]) -> Vec<f32> = match info.dtype {
            Dtype::F16 => |bytes| words(bytes, |word| f16::from_le_bytes(word).to_f32()),
            Dtype::BF16 => |bytes| words(bytes, |word| bf16::from_le_bytes(word).to_f32()),
            Dtype::F32 => |bytes| words(bytes, f32::from_le_bytes),
            Dtype::F64 => |bytes| words(bytes, |word| f64::from_le_bytes(word) as f32),
            other => return Err(Error::unsupported(place(), format!("the type {other:?}"))),
        };
        let bytes = self.bytes(info).map_err(|error| error.within(&place()))?;
        Ok(decode(&bytes))
    }

    fn bytes(&self, info: &TensorInfo) -> Result<Vec<u8>> {
        let (start, end) = info.data_offsets;
        let length = end.saturating_sub(start);
        // The bytes, and their values as f32.
        let mut budget = self.budget;
        budget.take_elements("data_offsets", length, 3)?;
        let mut bytes = vec![0; length];
        // Every read seeks anew, whatever another reader panicked at.
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        source.seek(SeekFrom::Start(self.data + start as u64))?;
        source.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

fn words<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    let words = bytes.as_chunks().0.iter();
    words.map(|word| value(*word)).collect()
}
