use std::path::{Path, PathBuf};

use mused_data::audit::Finding;

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

/// What is at fault, for programs that treat one fault in another way than another.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Fault<'e> {
    /// A dataset.
    Data,
    /// A configuration, or what it is to be used on.
    Config,
    /// The division: test data could reach training.
    Leaks(&'e [Finding]),
    /// Nobody: it was stopped, and goes on.
    Stopped,
    /// Something else.
    Other,
}

impl Error {
    /// What is at fault.
    pub fn fault(&self) -> Fault<'_> {
        match self {
            Self::Data(_)
            | Self::Run(mused_run::Error::Data(_))
            | Self::Train(
                mused_train::Error::Data(_) | mused_train::Error::Run(mused_run::Error::Data(_)),
            )
            | Self::Results(
                mused_results::Error::Data(_)
                | mused_results::Error::Run(mused_run::Error::Data(_)),
            ) => Fault::Data,
            Self::Run(mused_run::Error::Config(_))
            | Self::Train(mused_train::Error::Run(mused_run::Error::Config(_)))
            | Self::OtherData { .. }
            | Self::OtherSettings { .. }
            | Self::Device { .. } => Fault::Config,
            Self::Train(mused_train::Error::Leaks { findings }) => Fault::Leaks(findings),
            Self::Interrupted(_) => Fault::Stopped,
            Self::Run(_) | Self::Train(_) | Self::Results(_) => Fault::Other,
        }
    }

    /// The file or folder at fault, where there is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Data(error) => of_data(error),
            Self::Run(error) => of_run(error),
            Self::Train(error) => match error {
                mused_train::Error::Data(error) => of_data(error),
                mused_train::Error::Run(error) => of_run(error),
                mused_train::Error::Io { path, .. } | mused_train::Error::Invalid { path, .. } => {
                    Some(path)
                }
                _ => None,
            },
            Self::Results(error) => match error {
                mused_results::Error::Data(error) => of_data(error),
                mused_results::Error::Run(error) => of_run(error),
                _ => None,
            },
            Self::OtherData { path, .. }
            | Self::OtherSettings { path }
            | Self::Interrupted(path) => Some(path),
            Self::Device { .. } => None,
        }
    }
}

fn of_data(error: &mused_data::Error) -> Option<&Path> {
    match error {
        mused_data::Error::Io { path, .. }
        | mused_data::Error::Invalid { path, .. }
        | mused_data::Error::Exists(path) => Some(path),
        _ => None,
    }
}

fn of_run(error: &mused_run::Error) -> Option<&Path> {
    match error {
        mused_run::Error::Data(error) => of_data(error),
        mused_run::Error::Io { path, .. } | mused_run::Error::Invalid { path, .. } => Some(path),
        _ => None,
    }
}
