//! Named tensors of a model directory, read one at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use mused_formats::safetensors::SafetensorsFile;
use mused_formats::sha256::{self, hexadecimal};
use mused_formats::torch_pickle::{self, StateDict, TensorEntry};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::{Error, Result};

/// Files of weights, in order of preference.
const FILES: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

enum Part {
    Safetensors(SafetensorsFile),
    Torch(StateDict),
}

impl Part {
    fn open(path: &Path) -> Result<Self> {
        if path.extension().is_some_and(|end| end == "safetensors") {
            Ok(Self::Safetensors(SafetensorsFile::open(path)?))
        } else {
            Ok(Self::Torch(torch_pickle::open(path)?))
        }
    }

    fn shapes(&self) -> Vec<(String, Vec<usize>)> {
        match self {
            Self::Safetensors(file) => file.shapes(),
            Self::Torch(file) => {
                let shape = |(name, tensor): (&str, &TensorEntry)| {
                    (name.to_owned(), tensor.shape().to_vec())
                };
                file.tensors().map(shape).collect()
            }
        }
    }

    fn read(&self, name: &str) -> Result<Vec<f32>> {
        Ok(match self {
            Self::Safetensors(file) => file.read_f32(name)?,
            Self::Torch(file) => file.read_f32(name)?,
        })
    }
}

/// The weights of a model directory.
pub(crate) struct Weights {
    /// The file of weights, or the index of its parts.
    path: PathBuf,
    parts: Vec<(PathBuf, Part)>,
    /// Shape of each tensor and the part that holds it.
    tensors: BTreeMap<String, (Vec<usize>, usize)>,
}

/// The part of each tensor.
type Index = BTreeMap<String, String>;

#[derive(Deserialize)]
struct IndexFile {
    weight_map: Index,
}

impl Weights {
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let files = Files::of(folder)?;
        let mut parts = vec![];
        let mut held = vec![];
        for name in &files.parts {
            let path = folder.join(name);
            let part = Part::open(&path)?;
            held.push(BTreeMap::from_iter(part.shapes()));
            parts.push((path, part));
        }
        let mut tensors = BTreeMap::new();
        match &files.index {
            None => {
                for (name, shape) in held.into_iter().flatten() {
                    tensors.insert(name, (shape, 0));
                }
            }
            Some(index) => {
                let mut absent = vec![];
                for (name, part) in index {
                    let place = files.parts.iter().position(|file| file == part);
                    let found = place.and_then(|place| Some((held[place].remove(name)?, place)));
                    match found {
                        Some(found) => drop(tensors.insert(name.clone(), found)),
                        None => absent.push(format!("no `{name}` in {part}")),
                    }
                }
                if !absent.is_empty() {
                    let expected = "tensors in the files it names for them";
                    return Err(Error::malformed(&files.path, expected, absent.join(", ")));
                }
            }
        }
        Ok(Self {
            path: files.path,
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

    /// The values of a tensor that [`Self::check`] found, all of them finite.
    pub(crate) fn read(&self, name: &str) -> Result<Vec<f32>> {
        let part = self.tensors.get(name).map(|(_, part)| &self.parts[*part]);
        let Some((path, part)) = part else {
            return Err(Error::Contradiction {
                path: self.path.clone(),
                differences: vec![format!("{name}: missing")],
            });
        };
        let values = part.read(name)?;
        match values.iter().find(|value| !value.is_finite()) {
            None => Ok(values),
            Some(value) => {
                let expected = format!("finite values in `{name}`");
                Err(Error::malformed(path, expected, value.to_string()))
            }
        }
    }
}

/// The files of weights of a directory.
struct Files {
    /// The file of weights, or the index that names its parts.
    path: PathBuf,
    index: Option<Index>,
    /// Names of the files that hold tensors, sorted.
    parts: Vec<String>,
}

impl Files {
    fn of(folder: &Path) -> Result<Self> {
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
            return Ok(Self {
                path,
                index: None,
                parts: vec![(*name).to_owned()],
            });
        }
        let index = index(&path)?;
        let parts = distinct(&index);
        let absent = parts.iter().filter(|part| !folder.join(part).is_file());
        let absent: Vec<&str> = absent.map(String::as_str).collect();
        if !absent.is_empty() {
            let found = format!("no {}", absent.join(", "));
            let expected = "the files of weights it names beside it";
            return Err(Error::malformed(&path, expected, found));
        }
        Ok(Self {
            path,
            index: Some(index),
            parts,
        })
    }
}

fn index(path: &Path) -> Result<Index> {
    let bytes = mused_formats::read(path)?;
    let file: IndexFile = serde_json::from_slice(&bytes).map_err(|error| {
        Error::malformed(path, "an index of weights", mused_formats::plain(error))
    })?;
    if file.weight_map.is_empty() {
        return Err(Error::malformed(path, "files of weights", "none"));
    }
    for part in file.weight_map.values() {
        // An index comes from outside: it may name files beside it and no others.
        let plain = Path::new(part).file_name() == Some(part.as_ref());
        if !plain {
            let expected = "names of files in the same folder";
            return Err(Error::malformed(path, expected, format!("`{part}`")));
        }
    }
    Ok(file.weight_map)
}

fn distinct(index: &Index) -> Vec<String> {
    let parts: BTreeSet<&String> = index.values().collect();
    parts.into_iter().cloned().collect()
}

/// The files an index of weights names.
#[cfg(feature = "hub")]
pub(crate) fn parts(path: &Path) -> Result<Vec<String>> {
    Ok(distinct(&index(path)?))
}

/// SHA-256 of the weights of a model directory, in hexadecimal: of the one file of weights, or of the digests of the
/// index and its parts in the order of their names.
///
/// # Errors
/// A directory without weights; a file that cannot be read.
pub fn weights_sha256(folder: impl AsRef<Path>) -> Result<String> {
    let folder = folder.as_ref();
    let Files { path, index, parts } = Files::of(folder)?;
    if index.is_none() {
        return file_sha256(&path);
    }
    let mut digests = file_sha256(&path)?;
    for part in parts {
        digests += &file_sha256(&folder.join(part))?;
    }
    Ok(hexadecimal(&Sha256::digest(digests)))
}

/// SHA-256 of a file, in hexadecimal.
pub(crate) fn file_sha256(path: &Path) -> Result<String> {
    Ok(hexadecimal(&sha256::of_file(path)?))
}
