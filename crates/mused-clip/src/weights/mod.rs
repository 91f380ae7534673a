//! Named tensors of a model directory, read one at a time.

mod safetensors_file;
mod torch_file;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::{Error, Result};
use safetensors_file::SafetensorsFile;
use torch_file::TorchFile;

/// Files of weights, in order of preference.
const FILES: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

/// Data types weights are stored in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    F16,
    Bf16,
    F32,
    F64,
}

impl Kind {
    fn size(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// Little-endian values; `bytes` is a multiple of [`Self::size`] long.
    fn decode(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::F16 => {
                let words = bytes.as_chunks().0.iter();
                words
                    .map(|word| f16::from_le_bytes(*word).to_f32())
                    .collect()
            }
            Self::Bf16 => {
                let words = bytes.as_chunks().0.iter();
                words
                    .map(|word| bf16::from_le_bytes(*word).to_f32())
                    .collect()
            }
            Self::F32 => {
                let words = bytes.as_chunks().0.iter();
                words.map(|word| f32::from_le_bytes(*word)).collect()
            }
            Self::F64 => {
                let words = bytes.as_chunks().0.iter();
                words.map(|word| f64::from_le_bytes(*word) as f32).collect()
            }
        }
    }
}

enum Part {
    Safetensors(SafetensorsFile),
    Torch(TorchFile),
}

impl Part {
    fn open(path: &Path) -> Result<Self> {
        if path.extension().is_some_and(|end| end == "safetensors") {
            Ok(Self::Safetensors(SafetensorsFile::open(path)?))
        } else {
            Ok(Self::Torch(TorchFile::open(path)?))
        }
    }

    fn shapes(&self) -> Vec<(String, Vec<usize>)> {
        match self {
            Self::Safetensors(file) => file.shapes(),
            Self::Torch(file) => file.shapes(),
        }
    }

    fn read(&self, name: &str) -> Result<Vec<f32>> {
        match self {
            Self::Safetensors(file) => file.read(name),
            Self::Torch(file) => file.read(name),
        }
    }
}

/// The weights of a model directory.
pub(crate) struct Weights {
    /// The file of weights, or the index of its parts.
    path: PathBuf,
    parts: Vec<Part>,
    /// Shape of each tensor and the part that holds it.
    tensors: BTreeMap<String, (Vec<usize>, usize)>,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Weights {
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let (path, paths) = files(folder)?;
        let mut parts = vec![];
        let mut tensors = BTreeMap::new();
        for (index, part) in paths.iter().enumerate() {
            let part = Part::open(part)?;
            for (name, shape) in part.shapes() {
                tensors.insert(name, (shape, index));
            }
            parts.push(part);
        }
        Ok(Self {
            path,
            parts,
            tensors,
        })
    }

    /// Checks that the tensors expected are there and have the shapes expected.
    ///
    /// # Errors
    /// [`Error::Contradiction`] with every difference.
    pub(crate) fn check(&self, expected: &[(String, Vec<usize>)]) -> Result<()> {
        let differences: Vec<String> = expected
            .iter()
            .filter_map(|(name, shape)| match self.tensors.get(name) {
                None => Some(format!("{name}: expected {shape:?}, missing")),
                Some((found, _)) if found != shape => {
                    Some(format!("{name}: expected {shape:?}, found {found:?}"))
                }
                Some(_) => None,
            })
            .collect();
        if differences.is_empty() {
            return Ok(());
        }
        Err(Error::Contradiction {
            path: self.path.clone(),
            differences,
        })
    }

    /// The values of a tensor that [`Self::check`] found.
    pub(crate) fn read(&self, name: &str) -> Result<Vec<f32>> {
        match self.tensors.get(name).map(|(_, part)| &self.parts[*part]) {
            Some(part) => part.read(name),
            None => Err(Error::Contradiction {
                path: self.path.clone(),
                differences: vec![format!("{name}: missing")],
            }),
        }
    }
}

/// The file of weights of a directory (or the index that names its parts), and the files that hold tensors.
fn files(folder: &Path) -> Result<(PathBuf, Vec<PathBuf>)> {
    let found = FILES.iter().find(|name| folder.join(name).is_file());
    let Some(name) = found else {
        return Err(Error::MissingFile {
            folder: folder.to_owned(),
            what: "weights",
            looked_for: FILES.to_vec(),
        });
    };
    let path = folder.join(name);
    if !name.ends_with(".json") {
        return Ok((path.clone(), vec![path]));
    }
    let parts = parts(&path)?;
    let parts = parts.iter().map(|part| folder.join(part)).collect();
    Ok((path, parts))
}

/// The files an index of weights names.
pub(crate) fn parts(path: &Path) -> Result<Vec<String>> {
    let bytes = fs::read(path).map_err(Error::io(path))?;
    let index: Index = serde_json::from_slice(&bytes)
        .map_err(|error| Error::malformed(path, "an index of weights", error.to_string()))?;
    let mut parts: Vec<String> = index.weight_map.into_values().collect();
    parts.sort_unstable();
    parts.dedup();
    if parts.is_empty() {
        return Err(Error::malformed(path, "files of weights", "none"));
    }
    for part in &parts {
        // An index comes from outside: it may name files beside it and no others.
        let plain = Path::new(part).file_name() == Some(part.as_ref());
        if !plain {
            let expected = "names of files in the same folder";
            return Err(Error::malformed(path, expected, format!("`{part}`")));
        }
    }
    Ok(parts)
}

/// SHA-256 of the weights of a model directory, in hexadecimal: of the one file of weights, or of the digests of its
/// parts in the order of their names.
///
/// # Errors
/// A directory without weights; a file that cannot be read.
pub fn weights_sha256(folder: impl AsRef<Path>) -> Result<String> {
    let (_, paths) = files(folder.as_ref())?;
    let digests = paths.iter().map(|path| file_sha256(path));
    let digests = digests.collect::<Result<Vec<String>>>()?;
    match <[String; 1]>::try_from(digests) {
        Ok([digest]) => Ok(digest),
        Err(several) => Ok(hexadecimal(&Sha256::digest(several.concat()))),
    }
}

/// SHA-256 of a file, in hexadecimal.
pub(crate) fn file_sha256(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(Error::io(path))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = file.read(&mut buffer).map_err(Error::io(path))?;
        if count == 0 {
            return Ok(hexadecimal(&hasher.finalize()));
        }
        hasher.update(&buffer[..count]);
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
