use std::fs;
use std::path::{Path, PathBuf};

use mused_formats::sha256::{hexadecimal, of_file as sha256_file};
use sha2::{Digest, Sha256};

use crate::{Dataset, Error, Result};

impl Dataset {
    /// SHA-256 over the names and bytes of all files, in hexadecimal: two datasets with the same
    /// fingerprint train to the same result.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn fingerprint(&self) -> Result<String> {
        let mut files = Vec::new();
        collect(&self.root, &mut files)?;
        files.sort();
        let mut all = Sha256::new();
        for path in files {
            let name = path.strip_prefix(&self.root).unwrap_or(&path);
            all.update(name.as_os_str().as_encoded_bytes());
            all.update([0]);
            all.update(sha256_file(&path)?);
        }
        Ok(hexadecimal(&all.finalize()))
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(Error::io("cannot list", folder))? {
        let path = entry.map_err(Error::io("cannot list", folder))?.path();
        if path.is_dir() {
            collect(&path, files)?
        } else {
            files.push(path)
        }
    }
    Ok(())
}
