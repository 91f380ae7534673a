use std::path::{Path, PathBuf};

use mused_formats::refusal;

/// Why a report could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written as what it should be.
    #[error(transparent)]
    Format(#[from] mused_formats::Error),
    /// The run directory is at fault.
    #[error(transparent)]
    Run(#[from] mused_run::Error),
    /// Predictions cannot be scored, or runs not compared.
    #[error(transparent)]
    Results(#[from] mused_results::Error),
    /// The operating system refused.
    #[error("{}: {}", path.display(), refusal(source))]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A figure cannot be turned into pixels.
    #[error("figure {id}: {message}")]
    Picture {
        /// The figure.
        id: String,
        /// Why.
        message: String,
    },
}

/// A `Result` with this crate's [`enum@Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}
