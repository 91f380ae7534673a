use std::path::PathBuf;

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A dataset is at fault.
    #[error(transparent)]
    Data(#[from] mused_data::Error),
    /// A run directory or a configuration is at fault.
    #[error(transparent)]
    Run(#[from] mused_run::Error),
    /// Training, prediction or explanation failed.
    #[error(transparent)]
    Train(#[from] mused_train::Error),
    /// A run cannot be scored or compared.
    #[error(transparent)]
    Results(#[from] mused_results::Error),
    /// A run that is there was made on other data.
    #[error(
        "{} was made on another dataset (what differs: {difference}), and its scores cannot stand beside new ones: choose \
         another --out, or remove it", path.display()
    )]
    OtherData {
        /// The run.
        path: PathBuf,
        /// What differs.
        difference: String,
    },
    /// A run that is there was made with other settings.
    #[error(
        "{} was made with other settings; choose another --out, or remove it", path.display()
    )]
    OtherSettings {
        /// The run.
        path: PathBuf,
    },
    /// A device that networks cannot run on.
    #[error("expected a device that is here, found --device {name}; here: {here}{build}")]
    Device {
        /// What was asked for.
        name: String,
        /// What there is.
        here: String,
        /// What this build lacks, if it does.
        build: String,
    },
    /// Training was asked to stop; everything is saved, and [`crate::Training::resume`] goes on.
    #[error("training of {} was stopped and saved", .0.display())]
    Interrupted(PathBuf),
}

/// A `Result` with this crate's [`enum@Error`].
pub type Result<T> = std::result::Result<T, Error>;
