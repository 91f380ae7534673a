use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::lock::open_alone;
use crate::together::Later;
use crate::{Error, Result};

/// A file that appears under its name whole or not at all.
///
/// It is written beside its destination, by one writer at a time, synced (or left to [`Together`](crate::Together)) and
/// renamed by [`finish`](Self::finish): a reader sees the old content or the new, never a part. Dropped before, it leaves the destination as it was. What a
/// killed process leaves beside it is taken over by the next writer.
#[derive(Debug)]
pub struct WholeFile {
    destination: PathBuf,
    /// Where it is written; `None` when it has its name.
    partial: Option<PathBuf>,
    file: BufWriter<File>,
}

impl WholeFile {
    /// Starts the file that will be `destination`.
    ///
    /// # Errors
    /// A file that cannot be created, or that another writer is at work on.
    pub fn create(destination: impl AsRef<Path>) -> Result<Self> {
        let destination = destination.as_ref().to_owned();
        let mut partial = destination.clone().into_os_string();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let create = || {
            let (file, own) = open_alone(&partial)?;
            if !own {
                return Err(io::Error::other(
                    "another process is writing this file: wait until it has ended",
                ));
            }
            file.set_len(0)?;
            Ok(file)
        };
        let file = create().map_err(|error| {
            let error = match error.kind() {
                io::ErrorKind::NotFound => io::Error::other("there is no folder to write it to"),
                _ => error,
            };
            Error::from(error).in_file(&destination)
        })?;
        Ok(Self {
            destination,
            partial: Some(partial),
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
        let mut finish = || {
            self.file.flush()?;
            let later = Later::of(&self.destination);
            if later.is_none() {
                self.file.get_ref().sync_all()?;
            }
            if let Some(partial) = &self.partial {
                fs::rename(partial, &self.destination)?;
                self.partial = None;
            }
            if let Some(later) = &later {
                later.wait(&self.destination);
            }
            sync_names(&self.destination)
        };
        finish().map_err(|error: io::Error| Error::from(error).in_file(&self.destination))
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
        if let Some(partial) = &self.partial {
            // A failed clean-up has nobody to tell.
            let _ = fs::remove_file(partial);
        }
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

/// Copies a file as the [`WholeFile`] `to`.
///
/// # Errors
/// A file that cannot be read, or created; a full disk.
pub fn copy_file(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<()> {
    let from = from.as_ref();
    let mut source = File::open(from).map_err(|error| Error::from(error).in_file(from))?;
    let mut file = WholeFile::create(to)?;
    io::copy(&mut source, &mut file)
        .map_err(|error| Error::from(error).in_file(&file.destination))?;
    file.finish()
}

/// Makes a folder, and those above it that are missing, such that they are there after a power cut too.
///
/// # Errors
/// Folders that cannot be made.
pub fn make_folder(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref();
    // No name is where the process stands.
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_folder(parent)?;
    }
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made.and_then(|()| sync_names(path)),
    }
}

/// Gives a folder, whose files are on disk, another name.
///
/// # Errors
/// A destination that is something else than an empty folder.
pub fn move_folder(whole: &Path, destination: &Path) -> io::Result<()> {
    sync_folder(whole)?;
    fs::rename(whole, destination)?;
    sync_names(destination)
}

/// Brings to disk what was made, moved and removed in a folder: a power cut may undo it otherwise, and leave what was
/// done after it.
///
/// # Errors
/// A folder that cannot be opened.
#[cfg(unix)]
pub fn sync_folder(path: impl AsRef<Path>) -> io::Result<()> {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};

    match File::open(path).and_then(|folder| folder.sync_all()) {
        // Some network file systems have no such request; and who may write in a folder may not be let read it.
        Err(error) if matches!(error.kind(), InvalidInput | PermissionDenied | Unsupported) => {
            Ok(())
        }
        synced => synced,
    }
}

/// Folders cannot be synced here.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn sync_folder(_path: impl AsRef<Path>) -> io::Result<()> {
    Ok(())
}

/// Brings the name of a file or folder to disk.
fn sync_names(path: &Path) -> io::Result<()> {
    if let Some(later) = Later::of(path) {
        later.wait(path.parent().unwrap_or(path));
        return Ok(());
    }
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => sync_folder("."),
        Some(parent) => sync_folder(parent),
        None => Ok(()),
    }
}

/// Puts the folder `whole` in the place of `destination`, which is at every moment what it was, what it will be, or
/// nowhere. What a killed process left of the one before is removed.
///
/// # Errors
/// Folders that cannot be moved.
pub fn replace_folder(whole: &Path, destination: &Path) -> Result<()> {
    let name = destination.file_name().unwrap_or_default();
    let before = destination.with_file_name(format!(".{}.before", name.display()));
    let replace = || {
        let remove = || match before.exists() {
            true => fs::remove_dir_all(&before),
            false => Ok(()),
        };
        remove()?;
        if destination.exists() {
            fs::rename(destination, &before)?;
        }
        move_folder(whole, destination)?;
        remove()
    };
    replace().map_err(|error| Error::from(error).in_file(destination))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_made_once_and_files_copied_whole() {
        let folder = tempfile::TempDir::new().unwrap();
        let deep = folder.path().join("a/b/c");
        for path in [&deep, &deep, Path::new("")] {
            make_folder(path).unwrap();
        }
        let file = deep.join("d");
        replace_file(&file, b"content").unwrap();
        make_folder(file.join("e")).unwrap_err();
        copy_file(&file, deep.join("copy")).unwrap();
        assert_eq!(fs::read(deep.join("copy")).unwrap(), b"content");
        let moved = folder.path().join("moved");
        move_folder(&deep, &moved).unwrap();
        assert!(moved.join("copy").is_file() && !deep.exists());
    }

    #[test]
    fn two_writers_of_a_file_do_not_mix() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("a.txt");
        // Of a process that was killed.
        fs::write(folder.path().join("a.txt.partial"), "left over, and longer").unwrap();
        let mut first = WholeFile::create(&path).unwrap();
        let refused = WholeFile::create(&path).unwrap_err().to_string();
        assert!(refused.contains("another process"), "{refused}");
        first.write_all(b"first").unwrap();
        first.finish().unwrap();
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 1);
        replace_file(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
    }
}
