use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use mused_formats::sha256::hexadecimal;
use mused_formats::{WholeFile, plain};
use mused_run::Run;
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::parameters::NamedTensors;
use crate::{Error, Result};

/// Key of the JSON description in a file's metadata.
const DESCRIPTION: &str = "mused";
/// Key of the digest of everything else; files of earlier versions have none.
const DIGEST: &str = "sha256";

/// Named tensors whose values are owned or borrowed: shape and data.
pub(crate) type Tensors<V> = BTreeMap<String, (Vec<usize>, V)>;

/// Writes named tensors and their description as one safetensors file, atomically. The file carries its own digest.
pub(crate) fn write<T: Serialize, V: AsRef<[f32]>>(
    path: &Path,
    description: &T,
    tensors: &Tensors<V>,
) -> Result<()> {
    let refused = |error: serde_json::Error| Error::invalid(path, error.to_string());
    let description = serde_json::to_string(description).map_err(refused)?;
    let digest = digest(&description, tensors);
    let mut header = BTreeMap::from([(
        "__metadata__",
        json!({ DESCRIPTION: description, DIGEST: digest }),
    )]);
    let mut end = 0;
    for (name, (shape, values)) in tensors {
        let offsets = [end, end + 4 * values.as_ref().len()];
        end = offsets[1];
        let entry: Value = json!({ "dtype": "F32", "shape": shape, "data_offsets": offsets });
        header.insert(name, entry);
    }
    let mut header = serde_json::to_vec(&header).map_err(refused)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut file = WholeFile::create(path)?;
    let mut content = || {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        (tensors.values()).try_for_each(|(_, values)| {
            pieces(values.as_ref()).try_for_each(|piece| file.write_all(&piece))
        })
    };
    content().map_err(Error::io("cannot write", path))?;
    Ok(file.finish()?)
}

/// The bytes of values, a piece at a time, so that no tensor is in memory twice.
fn pieces(values: &[f32]) -> impl Iterator<Item = Vec<u8>> {
    let bytes = |piece: &[f32]| piece.iter().flat_map(|value| value.to_le_bytes()).collect();
    values.chunks(1 << 14).map(bytes)
}

/// SHA-256 of a description and of names, shapes and values of tensors, each text behind its length.
fn digest<V: AsRef<[f32]>>(description: &str, tensors: &Tensors<V>) -> String {
    let mut hash = Sha256::new();
    let text = |hash: &mut Sha256, text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    text(&mut hash, description);
    for (name, (shape, values)) in tensors {
        text(&mut hash, name);
        text(&mut hash, &format!("{shape:?}"));
        pieces(values.as_ref()).for_each(|piece| hash.update(piece));
    }
    hexadecimal(&hash.finalize())
}

/// Reads what [`write`] wrote.
///
/// # Errors
/// A file that is not what was written, to the bit.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<(T, NamedTensors)> {
    let content = fs::read(path).map_err(Error::io("cannot read", path))?;
    let refused = |found: &dyn Display| {
        Error::invalid(
            path,
            format!("expected weights written by mused, found: {found}"),
        )
    };
    let (_, header) = SafeTensors::read_metadata(&content).map_err(|error| refused(&error))?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let Some(text) = metadata.get(DESCRIPTION) else {
        return Err(refused(&"no description"));
    };
    let file = SafeTensors::deserialize(&content).map_err(|error| refused(&error))?;
    let mut tensors = NamedTensors::new();
    for (name, view) in file.tensors() {
        if view.dtype() != Dtype::F32 {
            let found = format!("tensor {name} of type {:?}", view.dtype());
            return Err(refused(&found));
        }
        let (words, _) = view.data().as_chunks::<4>();
        let values = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
        tensors.insert(name, (view.shape().to_vec(), values));
    }
    let same = match metadata.get(DIGEST) {
        Some(recorded) => *recorded == digest(text, &tensors),
        None => metadata.len() == 1,
    };
    if !same {
        return Err(refused(
            &"values other than those that were written: the file is damaged",
        ));
    }
    let description = serde_json::from_str(text).map_err(|error| refused(&plain(error)))?;
    Ok((description, tensors))
}

/// Reads a file of a run, which must be the one that the run has on record.
///
/// # Errors
/// As [`read`], with what to do.
pub(crate) fn read_of<T: DeserializeOwned>(run: &Run, path: &Path) -> Result<(T, NamedTensors)> {
    run.check(path)?;
    read(path).map_err(|error| run.damaged(&error).into())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn no_bit_can_change() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("state.safetensors");
        let tensors = NamedTensors::from([
            ("a".to_owned(), (vec![2], vec![1.0, f32::NAN])),
            ("b".to_owned(), (vec![1, 1], vec![-0.0])),
        ]);
        write(&path, &vec![7_usize], &tensors).unwrap();
        let whole = fs::read(&path).unwrap();
        let bits = |tensors: &NamedTensors| digest("", tensors);
        for byte in 0..whole.len() {
            for bit in [0, 3, 7] {
                let mut damaged = whole.clone();
                damaged[byte] ^= 1 << bit;
                fs::write(&path, &damaged).unwrap();
                // Blanks of the header say nothing.
                if let Ok((found, read)) = read::<Vec<usize>>(&path) {
                    assert_eq!(
                        (found, bits(&read)),
                        (vec![7], bits(&tensors)),
                        "byte {byte}"
                    );
                }
            }
        }
        fs::write(&path, &whole[..whole.len() - 8]).unwrap();
        assert!(read::<Vec<usize>>(&path).is_err());
        fs::write(&path, &whole).unwrap();
        let (found, read) = read::<Vec<usize>>(&path).unwrap();
        assert_eq!((found, bits(&read)), (vec![7], bits(&tensors)));
    }

    /// As they were written before files carried a digest, by the crate that reads them.
    #[test]
    fn files_of_earlier_versions_open() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("model.safetensors");
        let bytes = 1.5_f32.to_le_bytes();
        let view = safetensors::tensor::TensorView::new(Dtype::F32, vec![1], &bytes).unwrap();
        let metadata = [(DESCRIPTION.to_owned(), "[7]".to_owned())]
            .into_iter()
            .collect();
        let content = safetensors::serialize([("a", view)], Some(metadata)).unwrap();
        fs::write(&path, content).unwrap();
        let (found, read) = read::<Vec<usize>>(&path).unwrap();
        assert_eq!((found, &read["a"].1[..]), (vec![7], &[1.5][..]));
    }
}
