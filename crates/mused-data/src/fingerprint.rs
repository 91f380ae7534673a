use std::fmt::Debug;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

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

pub(crate) fn sha256_file(path: &Path) -> Result<Vec<u8>> {
    let mut file = File::open(path).map_err(Error::io("cannot read", path))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file
            .read(&mut buffer)
            .map_err(Error::io("cannot read", path))?
        {
            0 => break,
            read => hash.update(&buffer[..read]),
        }
    }
    Ok(hash.finalize().to_vec())
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 over what an import was told and the sizes and times of its files: equal for the same work.
pub(crate) fn of_import<'p>(
    config: &impl Debug,
    files: impl Iterator<Item = &'p Path>,
) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(format!("{} {config:?}", env!("CARGO_PKG_VERSION")));
    for path in files {
        let metadata = fs::metadata(path).map_err(Error::io("cannot read", path))?;
        let modified = metadata.modified().ok();
        hash.update(format!("{path:?} {} {modified:?}", metadata.len()));
    }
    Ok(hexadecimal(&hash.finalize()))
}
