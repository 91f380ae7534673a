/// Why a model could not be made or loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A size that no model can have.
    #[error("{0}")]
    Config(String),
    /// Tensors that are not those of the model; every mismatch is listed.
    #[error("the tensors do not fit the model: {0}")]
    State(String),
}

/// A `Result` with this crate's [`enum@Error`].
pub type Result<T> = std::result::Result<T, Error>;
