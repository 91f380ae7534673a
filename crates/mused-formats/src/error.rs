use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::refusal;

/// Why a file could not be read or written: what was expected, what was found, in which file and where in it.
#[derive(Debug, thiserror::Error)]
pub struct Error {
    path: Option<PathBuf>,
    // Boxed, so that a Result stays as small as its value.
    kind: Box<ErrorKind>,
}

/// Result of reading or writing.
pub type Result<T> = std::result::Result<T, Error>;

/// The kinds of [`Error`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The operating system refused.
    #[error("{}", refusal(.0))]
    Io(io::Error),
    /// The contents break the format's rules, or the caller's.
    #[error("{place}: expected {expected}, found {found}")]
    Malformed {
        /// Field, row or byte.
        place: String,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The contents may be right, but this crate does not read them.
    #[error("{place}: {what} is not supported")]
    Unsupported {
        /// Field, row or byte.
        place: String,
        /// What was found.
        what: String,
    },
    /// A small file that would take much memory, as damaged and hostile ones do ([`Budget`](crate::Budget)).
    #[error(
        "{place}: expected at most {most} bytes of memory (320 times the file, 256 MiB at least), found {}; if the file \
         is right, save it without compression",
        .needed.map_or("more".to_owned(), |needed| needed.to_string())
    )]
    TooLarge {
        /// Field, row or byte.
        place: String,
        /// Bytes that it would take, where they can be told before they are taken.
        needed: Option<u64>,
        /// Bytes that the file may take.
        most: u64,
    },
    /// Something asked for by name is not there.
    #[error("no {what} `{name}`; there is: {}", .available.join(", "))]
    Missing {
        /// What was asked for: column, variable, field.
        what: &'static str,
        /// The name asked for.
        name: String,
        /// The names that exist.
        available: Vec<String>,
    },
    /// An argument does not fit the file.
    #[error("{what}: expected {expected}, given {found}")]
    Mismatch {
        /// Which argument.
        what: &'static str,
        /// What the file needs.
        expected: String,
        /// What was given.
        found: String,
    },
}

impl Error {
    /// What went wrong.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// The file it went wrong in, where there is one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    pub(crate) fn malformed(
        place: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        let (place, expected, found) = (place.into(), expected.into(), found.into());
        ErrorKind::Malformed {
            place,
            expected,
            found,
        }
        .into()
    }

    pub(crate) fn unsupported(place: impl Into<String>, what: impl Into<String>) -> Self {
        ErrorKind::Unsupported {
            place: place.into(),
            what: what.into(),
        }
        .into()
    }

    pub(crate) fn mismatch(
        what: &'static str,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        ErrorKind::Mismatch {
            what,
            expected: expected.into(),
            found: found.into(),
        }
        .into()
    }

    pub(crate) fn missing<'a>(
        what: &'static str,
        name: &str,
        available: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let available = available.into_iter().map(str::to_owned).collect();
        ErrorKind::Missing {
            what,
            name: name.to_owned(),
            available,
        }
        .into()
    }

    /// The same error, its byte offset now said to be one within `part` of the file.
    pub(crate) fn within(mut self, part: &str) -> Self {
        if let ErrorKind::Malformed { place, .. } | ErrorKind::TooLarge { place, .. } =
            &mut *self.kind
            && place.starts_with("byte ")
        {
            *place = format!("{part}, {place}");
        }
        self
    }

    /// The same error, now naming its file.
    pub fn in_file(mut self, path: &Path) -> Self {
        self.path.get_or_insert_with(|| path.to_owned());
        self
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self {
            path: None,
            kind: Box::new(kind),
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        ErrorKind::Io(error).into()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{}: ", path.display())?;
        }
        self.kind.fmt(f)
    }
}
