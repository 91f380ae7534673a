use std::io;
use std::path::{Path, PathBuf};

use mused_formats::refusal;

/// What this crate refuses, and where it found it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("{}: {}", .path.display(), refusal(.source))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file's contents break its format's rules.
    #[error("{}: expected {expected}, found {found}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A file's contents may be right, but this crate does not read them.
    #[error("{}: {what} is not supported", .path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// A model directory lacks a file.
    #[error("{}: no {what} there; looked for {}", .folder.display(), .looked_for.join(", "))]
    MissingFile {
        /// The directory.
        folder: PathBuf,
        /// What the file would hold.
        what: &'static str,
        /// The accepted names.
        looked_for: Vec<&'static str>,
    },
    /// Weights that are not those `config.json` describes: every difference.
    #[error("{}: not the weights that config.json describes:\n  {}", .path.display(), .differences.join("\n  "))]
    Contradiction {
        /// The file of weights, or the index of its parts.
        path: PathBuf,
        /// One a tensor: its name, what was expected, what was found.
        differences: Vec<String>,
    },
    /// A checkpoint of PyTorch, or another file that `mused-formats` reads.
    #[error(transparent)]
    Format(#[from] mused_formats::Error),
    /// A caption without any character left after cleaning.
    #[error("caption {index} (counted from 0) is empty")]
    EmptyCaption {
        /// Its place in the batch.
        index: usize,
    },
    /// An argument that does not fit the model.
    #[error("{what}: expected {expected}, given {found}")]
    Mismatch {
        /// Which argument.
        what: &'static str,
        /// What the model needs.
        expected: String,
        /// What was given.
        found: String,
    },
    /// A model hub refused, or sent something else.
    #[error("{url}: {reason}")]
    Hub {
        /// What was asked for.
        url: String,
        /// Why it failed.
        reason: String,
    },
}

/// Result of everything here.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    #[cfg(feature = "hub")]
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Io { path, source }
    }

    pub(crate) fn malformed(
        path: &Path,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::Malformed {
            path: path.to_owned(),
            expected: expected.into(),
            found: found.into(),
        }
    }

    pub(crate) fn unsupported(path: &Path, what: impl Into<String>) -> Self {
        Self::Unsupported {
            path: path.to_owned(),
            what: what.into(),
        }
    }
}
