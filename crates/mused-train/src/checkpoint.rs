use std::collections::HashMap;
use std::fs;
use std::path::Path;

use mused_formats::replace_file;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use serde::Serialize;
use serde::de::DeserializeOwned;

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
    let refused = |error: &dyn std::fmt::Display| Error::invalid(path, error.to_string());
    let description = serde_json::to_string(description).map_err(|error| refused(&error))?;
    let bytes: Vec<(&String, &Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, (shape, values))| {
            (
                name,
                shape,
                values
                    .iter()
                    .flat_map(|value| value.to_le_bytes())
                    .collect(),
            )
        })
        .collect();
    let mut views = Vec::with_capacity(bytes.len());
    for (name, shape, bytes) in &bytes {
        let view = TensorView::new(Dtype::F32, shape.to_vec(), bytes);
        views.push((name.as_str(), view.map_err(|error| refused(&error))?));
    }
    let metadata = HashMap::from([(DESCRIPTION.to_owned(), description)]);
    let content = serialize(views, Some(metadata)).map_err(|error| refused(&error))?;
    Ok(replace_file(path, &content)?)
}

/// Reads what [`write`] wrote.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<(T, NamedTensors)> {
    let content = fs::read(path).map_err(Error::io("cannot read", path))?;
    let refused = |error: &dyn std::fmt::Display| {
        Error::invalid(
            path,
            format!("expected weights written by mused, found: {error}"),
        )
    };
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
