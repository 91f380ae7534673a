use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use super::Kind;
use crate::{Error, Result};

/// Longest header accepted, as in the safetensors library.
const LONGEST_HEADER: u64 = 100_000_000;

/// A safetensors file: its header in memory, its tensors read when asked for.
pub(super) struct SafetensorsFile {
    path: PathBuf,
    metadata: Metadata,
    /// Where tensor data starts.
    data: u64,
}

impl SafetensorsFile {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let malformed = |found: String| Error::malformed(path, "a safetensors file", found);
        let mut file = File::open(path).map_err(Error::io(path))?;
        let length = file.metadata().map_err(Error::io(path))?.len();
        let mut word = [0; 8];
        if length < 8 {
            return Err(malformed(format!("{length} bytes")));
        }
        file.read_exact(&mut word).map_err(Error::io(path))?;
        let header = u64::from_le_bytes(word);
        if header > LONGEST_HEADER || header > length - 8 {
            return Err(malformed(format!(
                "a header of {header} bytes in a file of {length}"
            )));
        }
        let mut bytes = vec![0; header as usize];
        file.read_exact(&mut bytes).map_err(Error::io(path))?;
        // Its parser also checks that data types, shapes and places of the tensors agree and leave no gap.
        let metadata: Metadata = serde_json::from_slice(&bytes)
            .map_err(|error| malformed(format!("header: {error}")))?;
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
            path: path.to_owned(),
            metadata,
            data,
        })
    }

    pub(super) fn shapes(&self) -> Vec<(String, Vec<usize>)> {
        let tensors = self.metadata.tensors();
        tensors
            .into_iter()
            .map(|(name, info)| (name, info.shape.clone()))
            .collect()
    }

    pub(super) fn read(&self, name: &str) -> Result<Vec<f32>> {
        let missing = || Error::malformed(&self.path, format!("a tensor `{name}`"), "none");
        let info: &TensorInfo = self.metadata.info(name).ok_or_else(missing)?;
        let kind = match info.dtype {
            Dtype::F16 => Kind::F16,
            Dtype::BF16 => Kind::Bf16,
            Dtype::F32 => Kind::F32,
            Dtype::F64 => Kind::F64,
            other => {
                let what = format!("tensor `{name}` of type {other:?}");
                return Err(Error::unsupported(&self.path, what));
            }
        };
        let (start, end) = info.data_offsets;
        let elements = info
            .shape
            .iter()
            .try_fold(1, |n: usize, d| n.checked_mul(*d));
        if elements.and_then(|n| n.checked_mul(kind.size())) != end.checked_sub(start) {
            let found = format!("bytes {start} to {end}");
            return Err(Error::malformed(
                &self.path,
                format!("`{name}` of {:?}", info.shape),
                found,
            ));
        }
        let mut file = File::open(&self.path).map_err(Error::io(&self.path))?;
        file.seek(SeekFrom::Start(self.data + start as u64))
            .map_err(Error::io(&self.path))?;
        let mut bytes = vec![0; end - start];
        file.read_exact(&mut bytes).map_err(Error::io(&self.path))?;
        Ok(kind.decode(&bytes))
    }
}
