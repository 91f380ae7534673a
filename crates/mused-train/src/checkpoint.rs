use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Display;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use mused_formats::WholeFile;
use safetensors::tensor::{Dtype, View};
use safetensors::{SafeTensors, serialize_to_file};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::parameters::NamedTensors;
use crate::{Error, Result};

/// Key of the JSON description in a file's metadata.
const DESCRIPTION: &str = "mused";

/// Writes named tensors and their description as one safetensors file, atomically.
pub(crate) fn write<T: Serialize>(
    path: &Path,
    description: &T,
    tensors: &NamedTensors,
) -> Result<()> {
    let refused = |error: &dyn Display| Error::invalid(path, error.to_string());
    let description = serde_json::to_string(description).map_err(|error| refused(&error))?;
    let metadata = HashMap::from([(DESCRIPTION.to_owned(), description)]);
    let file = WholeFile::create(path)?;
    let views = tensors.iter().map(|(name, tensor)| (name, Values(tensor)));
    serialize_to_file(views, Some(metadata), file.partial()).map_err(|error| refused(&error))?;
    Ok(file.finish()?)
}

/// A tensor whose bytes are made when it is its turn, so that only one is in memory twice.
struct Values<'t>(&'t (Vec<usize>, Vec<f32>));

impl View for Values<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.0.0
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.0
            .1
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    }

    fn data_len(&self) -> usize {
        4 * self.0.1.len()
    }
}

fn unexpected(path: &Path, found: &dyn Display) -> Error {
    let message = format!("expected weights written by mused, found: {found}");
    Error::invalid(path, message)
}

/// Reads what [`write`] wrote.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<(T, NamedTensors)> {
    let content = fs::read(path).map_err(Error::io("cannot read", path))?;
    let refused = |error: &dyn Display| unexpected(path, error);
    let (_, header) = SafeTensors::read_metadata(&content).map_err(|error| refused(&error))?;
    let description = header
        .metadata()
        .as_ref()
        .and_then(|metadata| metadata.get(DESCRIPTION));
    let description = description.ok_or_else(|| refused(&"no description"))?;
    let description = serde_json::from_str(description).map_err(|error| refused(&error))?;
    let file = SafeTensors::deserialize(&content).map_err(|error| refused(&error))?;
    let mut tensors = NamedTensors::new();
    for (name, view) in file.tensors() {
        if view.dtype() != Dtype::F32 {
            return Err(refused(&format!(
                "tensor {name} of type {:?}",
                view.dtype()
            )));
        }
        let (words, _) = view.data().as_chunks::<4>();
        let values = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
        tensors.insert(name, (view.shape().to_vec(), values));
    }
    Ok((description, tensors))
}

/// Largest header that is read: that of some ten million tensors.
const MOST_HEADER: u64 = 1 << 30;

/// The description of what [`write`] wrote, without its tensors.
pub(crate) fn read_description<T: DeserializeOwned>(path: &Path) -> Result<T> {
    #[derive(Deserialize)]
    struct Header {
        __metadata__: HashMap<String, String>,
    }
    let refused = |error: &dyn Display| unexpected(path, error);
    let mut file = File::open(path).map_err(Error::io("cannot read", path))?;
    let mut length = [0; 8];
    let mut header = Vec::new();
    let read = file.read_exact(&mut length).and_then(|()| {
        let length = u64::from_le_bytes(length).min(MOST_HEADER);
        file.take(length).read_to_end(&mut header)
    });
    read.map_err(Error::io("cannot read", path))?;
    let header: Header = serde_json::from_slice(&header).map_err(|error| refused(&error))?;
    let description = header.__metadata__.get(DESCRIPTION);
    let description = description.ok_or_else(|| refused(&"no description"))?;
    serde_json::from_str(description).map_err(|error| refused(&error))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_description_is_read_without_its_tensors() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("state.safetensors");
        let tensors = NamedTensors::from([("a".to_owned(), (vec![2], vec![1.0, 2.0]))]);
        write(&path, &vec![7_usize], &tensors).unwrap();
        assert_eq!(read_description::<Vec<usize>>(&path).unwrap(), [7]);
        // Its tensors are not even looked at.
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 8]).unwrap();
        assert_eq!(read_description::<Vec<usize>>(&path).unwrap(), [7]);
        assert!(read::<Vec<usize>>(&path).is_err());
        fs::write(&path, b"no").unwrap();
        assert!(read_description::<Vec<usize>>(&path).is_err());
    }
}
