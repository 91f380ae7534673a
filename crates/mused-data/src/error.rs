use std::path::{Path, PathBuf};

use mused_formats::refusal;

/// What went wrong with a dataset: what was expected, what was found, and where.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of the dataset could not be read or written as what it should be.
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
    /// A file is readable but its content contradicts the rest of the dataset.
    #[error("{}: {message}", path.display())]
    Invalid {
        /// The file at fault.
        path: PathBuf,
        /// Expected against found.
        message: String,
    },
    /// The destination already holds something.
    #[error("{} already exists: choose another name or remove it first", .0.display())]
    Exists(PathBuf),
    /// A named check of an import found something; its user may let it pass.
    #[error("{message}; `--allow {check}` lets it pass")]
    Check {
        /// The check.
        check: crate::import::Check,
        /// Expected against found.
        message: String,
    },
    /// A request that this dataset cannot satisfy.
    #[error("{0}")]
    Request(String),
}

/// A `Result` with this crate's [`enum@Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn invalid(path: impl AsRef<Path>, message: impl Into<String>) -> Self {
        Self::Invalid {
            path: path.as_ref().to_owned(),
            message: message.into(),
        }
    }

    pub(crate) fn io(
        action: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io {
            action,
            path: path.as_ref().to_owned(),
            source,
        }
    }
}
