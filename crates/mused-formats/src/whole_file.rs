use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// A file that appears under its name whole or not at all.
///
/// It is written beside its destination, synced and renamed by [`finish`](Self::finish): a reader sees the old content
/// or the new, never a part. Dropped before, it leaves the destination as it was.
#[derive(Debug)]
pub struct WholeFile {
    destination: PathBuf,
    partial: PathBuf,
    file: BufWriter<File>,
}

impl WholeFile {
    /// Starts the file that will be `destination`.
    ///
    /// # Errors
    /// A file that cannot be created.
    pub fn create(destination: impl AsRef<Path>) -> Result<Self> {
        let destination = destination.as_ref().to_owned();
        let mut partial = destination.clone().into_os_string();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let file =
            File::create(&partial).map_err(|error| Error::from(error).in_file(&destination))?;
        Ok(Self {
            destination,
            partial,
            file: BufWriter::new(file),
        })
    }

    /// Where the file will be.
    pub fn destination(&self) -> &Path {
        &self.destination
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// A full disk, a destination that is a folder.
    pub fn finish(mut self) -> Result<()> {
        self.file
            .flush()
            .and_then(|()| self.file.get_ref().sync_all())
            .and_then(|()| fs::rename(&self.partial, &self.destination))
            .map_err(|error| Error::from(error).in_file(&self.destination))
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        // After `finish` it is no longer there; a failed clean-up has nobody to tell.
        let _ = fs::remove_file(&self.partial);
    }
}

/// Writes `content` as the [`WholeFile`] `path`.
///
/// # Errors
/// A file that cannot be created; a full disk.
pub fn replace_file(path: impl AsRef<Path>, content: &[u8]) -> Result<()> {
    let mut file = WholeFile::create(path)?;
    file.write_all(content)
        .map_err(|error| Error::from(error).in_file(&file.destination))?;
    file.finish()
}
