use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::Path;

use crate::{Error, Result};

/// The right to be the only writer of something: held by one process at a time, and gone with it however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// What there is where somebody asks for a [`Lock`].
#[derive(Debug)]
pub enum Locked {
    /// It is free, and the caller's now.
    Own(Lock),
    /// Another process has it: its number, as far as it wrote one.
    Other(String),
}

impl Lock {
    /// Takes the lock that the file `path` stands for, which is made where it is missing and stays: removed, it could be
    /// held by two.
    ///
    /// # Errors
    /// A file that cannot be made or locked.
    pub fn take(path: impl AsRef<Path>) -> Result<Locked> {
        let path = path.as_ref();
        let take = || {
            let mut options = OpenOptions::new();
            let mut file = options
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)?;
            match file.try_lock() {
                Ok(()) => {}
                // Some file systems of clusters have no locks: nothing is kept out there, as before.
                Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) => {
                    let mut holder = String::new();
                    file.take(20).read_to_string(&mut holder)?;
                    return Ok(Locked::Other(holder.trim().to_owned()));
                }
            }
            file.set_len(0)?;
            write!(file, "{}", std::process::id())?;
            Ok(Locked::Own(Self { _file: file }))
        };
        take().map_err(|error| Error::from(error).in_file(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holds_it_at_a_time() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("lock");
        let Locked::Own(lock) = Lock::take(&path).unwrap() else {
            panic!("nobody has it");
        };
        let own = std::process::id().to_string();
        assert!(matches!(Lock::take(&path).unwrap(), Locked::Other(holder) if holder == own));
        drop(lock);
        assert!(matches!(Lock::take(&path).unwrap(), Locked::Own(_)));
    }
}
