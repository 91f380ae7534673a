//! What a file is that is not of the format it was taken for, or not there.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::{Error, Result};

/// Starts of files that are met in the place of others.
const STARTS: [(&[u8], &str); 11] = [
    (
        b"version https://git-lfs",
        "a Git LFS pointer: `git lfs pull` fetches the file",
    ),
    (
        b"/annex/objects/",
        "a git-annex pointer: `git annex get` fetches the file",
    ),
    (
        b"\x89HDF\r\n\x1a\n",
        "an HDF5 file (a MATLAB 7.3 file is one)",
    ),
    (b"MATLAB 5.0 MAT-file", "a MATLAB file of version 5"),
    (b"\x93NUMPY", "a NumPy array (.npy)"),
    (b"PK\x03\x04", "a zip file (.npz is one)"),
    (&[0x1f, 0x8b], "a file compressed by gzip"),
    (b"\xff\xfe", "text in UTF-16: save it as UTF-8"),
    (
        &[0, 0, 0, 1, 0, 0],
        "a FreeSurfer volume (.mgh, .mgz): `mri_convert` makes NIfTI of it",
    ),
    (b"\xff\xff\xfe", "a FreeSurfer surface"),
    (b"\xff\xff\xff", "a FreeSurfer quantity on a surface"),
];

/// Opens a file; a link that leads nowhere is named, for git-annex leaves them.
///
/// # Errors
/// An unreadable file; a folder, a pipe or a device.
pub fn open(path: &Path) -> Result<File> {
    // Asked first: to open a pipe waits for who writes into it, and some devices have no end.
    let other = match path.metadata() {
        Ok(there) if there.is_file() => None,
        Ok(there) if there.is_dir() => Some("a folder"),
        Ok(_) => Some("a pipe or a device"),
        Err(_) => None,
    };
    if let Some(other) = other {
        return Err(Error::malformed("the path", "a file", other));
    }
    File::open(path).map_err(|error| match path.read_link() {
        Ok(target) if error.kind() == io::ErrorKind::NotFound => {
            let found = format!(
                "none at {}: in a git-annex dataset `git annex get` fetches it",
                target.display()
            );
            Error::malformed("link", "a file that it leads to", found)
        }
        _ => error.into(),
    })
}

/// The bytes of a whole file.
///
/// # Errors
/// An unreadable file; a link that leads nowhere.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = open(path).and_then(|mut file| Ok(file.read_to_end(&mut bytes)?));
    read.map_err(|error| error.in_file(path))?;
    Ok(bytes)
}

/// What a file with these first bytes is, where it is something well known.
pub fn recognised(bytes: &[u8]) -> Option<&'static str> {
    if bytes.is_empty() {
        return Some("an empty file");
    }
    let known = STARTS.iter().find(|(start, _)| bytes.starts_with(start));
    known.map(|(_, name)| *name).or_else(|| {
        let text = bytes.trim_ascii_start().to_ascii_lowercase();
        let is = |start: &&[u8]| text.starts_with(start);
        let html: [&[u8]; 2] = [b"<!doctype html", b"<html"];
        match () {
            () if html.iter().any(is) => Some("a web page: the download failed, or needs a login"),
            () if text.starts_with(b"<?xml") => Some("an XML file (GIFTI is one)"),
            () => level_4(bytes).then_some("a MATLAB file of version 4: save it again with -v7"),
        }
    })
}

/// Whether the first matrix's type is one of MATLAB 4 (MOPT: byte order, 0, precision, kind), its dimensions are some and
/// its name ends.
fn level_4(bytes: &[u8]) -> bool {
    let Some((&head, rest)) = bytes.split_first_chunk::<20>() else {
        return false;
    };
    [u32::from_le_bytes, u32::from_be_bytes]
        .into_iter()
        .zip([0, 1])
        .any(|(read, order)| {
            let mut fields = head.as_chunks::<4>().0.iter().map(|field| read(*field));
            let [
                Some(kind),
                Some(rows),
                Some(columns),
                Some(complex),
                Some(name),
            ] = std::array::from_fn(|_| fields.next())
            else {
                return false;
            };
            let digits = [kind / 1000, kind / 100 % 10, kind / 10 % 10, kind % 10];
            let name = name as usize;
            digits[0] == order
                && digits[1] == 0
                && digits[2] <= 5
                && digits[3] <= 2
                && rows.min(columns) > 0
                && complex <= 1
                && name > 0
                && rest.get(name - 1) == Some(&0)
        })
}

/// That a file is something else than `expected`, where these first bytes say what.
pub(crate) fn instead_of(expected: &str, bytes: &[u8]) -> Option<Error> {
    recognised(bytes).map(|found| Error::malformed("byte 0", expected, found))
}
