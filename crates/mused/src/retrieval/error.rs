use std::path::{Path, PathBuf};

use mused_formats::refusal;

/// Why nothing could be looked up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The run's responses cannot be decoded.
    #[error(transparent)]
    Train(#[from] mused_train::Error),
    /// The run directory is at fault.
    #[error(transparent)]
    Run(#[from] mused_run::Error),
    /// A dataset is at fault.
    #[error(transparent)]
    Data(#[from] mused_data::Error),
    /// Pictures or words cannot be encoded.
    #[error(transparent)]
    Features(#[from] crate::features::Error),
    /// A file could not be read or written as what it should be.
    #[error(transparent)]
    Format(#[from] mused_formats::Error),
    /// What was found cannot be scored.
    #[error(transparent)]
    Stats(#[from] mused_stats::Error),
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
    /// The request cannot be met.
    #[error("{0}")]
    Request(String),
}

/// A `Result` with this module's [`enum@Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(super) fn io(
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
