//! What a model directory makes of images and texts depends on: SHA-256 of its files.

use std::collections::BTreeMap;
use std::path::Path;

use crate::weights::file_sha256;
use crate::{Result, preprocess, tokenizer};

/// SHA-256, in hexadecimal, of the files beside its weights that a model directory's outputs depend on: `config.json`,
/// the settings of the image processor where `images` are encoded, the vocabulary where `texts` are.
///
/// # Errors
/// A file that is missing or cannot be read.
pub fn settings_sha256(
    folder: impl AsRef<Path>,
    images: bool,
    texts: bool,
) -> Result<BTreeMap<&'static str, String>> {
    let folder = folder.as_ref();
    let mut names = vec!["config.json"];
    if images {
        let there = |name: &&str| folder.join(name).is_file();
        names.extend(preprocess::FILES.into_iter().filter(there));
    }
    if texts {
        names.extend(tokenizer::files(folder)?);
    }
    let digest = |name| Ok((name, file_sha256(&folder.join(name))?));
    names.into_iter().map(digest).collect()
}
