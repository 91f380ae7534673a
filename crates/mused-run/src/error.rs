use std::path::{Path, PathBuf};

use mused_formats::refusal;

/// What is wrong with a run directory or a configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The dataset of the run is at fault.
    #[error(transparent)]
    Data(#[from] mused_data::Error),
    /// A file could not be read or written as what it should be.
    #[error(transparent)]
    Format(#[from] mused_formats::Error),
    /// The operating system refused.
    #[error("{action} {}: {}", path.display(), refusal(source))]
    Io {
        /// What was tried, e.g. "cannot create".
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A file of a run directory is not what it should be.
    #[error("{}: {message}", path.display())]
    Invalid {
        /// The file at fault.
        path: PathBuf,
        /// Expected against found, and what to do.
        message: String,
    },
    /// The configuration is at fault; the message names the key and where it was set.
    #[error("{0}")]
    Config(String),
    /// The request cannot be met.
    #[error("{0}")]
    Request(String),
}

/// A `Result` with this crate's [`enum@Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A file that is not what it should be.
    pub fn invalid(path: impl AsRef<Path>, message: impl Into<String>) -> Self {
        Self::Invalid {
            path: path.as_ref().to_owned(),
            message: message.into(),
        }
    }

    /// What the operating system refused.
    pub fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io {
            action,
            path: path.as_ref().to_owned(),
            source,
        }
    }
}
