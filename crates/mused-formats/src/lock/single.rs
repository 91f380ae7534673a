//! Locks that one kernel keeps.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use super::claim::Claim;
use super::{Locked, open_alone, this_process};
use crate::{Error, Result};

/// The right to be the only writer of something: held by one process at a time, and gone with it however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock that the file `path` stands for, which stays when it ends: two could hold it otherwise.
    ///
    /// # Errors
    /// A file that cannot be made.
    pub fn take(path: impl AsRef<Path>) -> Result<Locked> {
        let path = path.as_ref();
        let take = || -> io::Result<Locked> {
            let (mut file, own) = open_alone(path)?;
            if !own {
                return Ok(Claim::of(&mut file)?.holder());
            }
            file.set_len(0)?;
            write!(file, "{}", this_process())?;
            Ok(Locked::Own(Self { _file: file }))
        };
        take().map_err(|error| Error::from(error).in_file(path))
    }

    /// As [`Self::take`], which waits for nobody.
    ///
    /// # Errors
    /// As there.
    pub fn take_at_once(path: impl AsRef<Path>) -> Result<Locked> {
        Self::take(path)
    }

    /// Nobody is shown how much is done.
    pub fn tell(&self, _done: u32) {}

    /// Nobody takes it over.
    pub fn is_lost(&self) -> bool {
        false
    }
}
