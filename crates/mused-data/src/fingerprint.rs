use std::fmt::Debug;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

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
