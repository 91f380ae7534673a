use std::fs;
use std::path::{Path, PathBuf};

use mused_formats::sha256::{hexadecimal, of_file as sha256_file};
use sha2::{Digest, Sha256};

use crate::{Dataset, Error, Result};

impl Dataset {
    /// SHA-256 over the names and bytes of all files, in hexadecimal: by it runs of version 0.1.0 know their dataset,
    /// newer ones by [`Identity`](crate::Identity). `None` in memory.
    ///
    /// Links to files are read, links to folders are not entered.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn folder_sha256(&self) -> Result<Option<String>> {
        let Some(root) = self.root() else {
            return Ok(None);
        };
        let mut files = Vec::new();
        collect(root, &mut files)?;
        files.sort();
        let mut all = Sha256::new();
        for path in files {
            let name = path.strip_prefix(root).unwrap_or(&path);
            all.update(name.as_os_str().as_encoded_bytes());
            all.update([0]);
            all.update(sha256_file(&path)?);
        }
        Ok(Some(hexadecimal(&all.finalize())))
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(Error::io("cannot list", folder))? {
        let entry = entry.map_err(Error::io("cannot list", folder))?;
        let (path, kind) = (entry.path(), entry.file_type());
        if kind.map_err(Error::io("cannot list", &path))?.is_dir() {
            collect(&path, files)?
        } else if path.is_file() {
            // A pipe or a device would never end.
            files.push(path)
        }
    }
    Ok(())
}
