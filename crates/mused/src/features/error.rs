use std::path::{Path, PathBuf};

use mused_formats::refusal;

/// Why features could not be made. What was written before stays.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model or an image is at fault.
    #[error(transparent)]
    Clip(#[from] mused_clip::Error),
    /// The dataset is at fault.
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
    /// The request does not fit the dataset.
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
