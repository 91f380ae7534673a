use std::path::{Path, PathBuf};

use mused_data::audit::Finding;
use mused_formats::refusal;

use crate::overflow::Cause;

/// Why training or prediction stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A run directory or a configuration is at fault.
    #[error(transparent)]
    Run(#[from] mused_run::Error),
    /// The dataset is at fault or does not offer what was asked.
    #[error(transparent)]
    Data(#[from] mused_data::Error),
    /// A file could not be read or written as what it should be.
    #[error(transparent)]
    Format(#[from] mused_formats::Error),
    /// Scores of validation samples could not be computed.
    #[error(transparent)]
    Stats(#[from] mused_stats::Error),
    /// Sizes that no network can have, or weights of another one.
    #[error(transparent)]
    Model(#[from] mused_model::Error),
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
        /// Expected against found.
        message: String,
    },
    /// The request cannot be met.
    #[error("{0}")]
    Request(String),
    /// Test data could reach training.
    #[error("{}", leaks(findings))]
    Leaks {
        /// What the audit found and was not told to let pass.
        findings: Vec<Finding>,
    },
    /// Stopped on request, with everything saved.
    #[error("stopped on request; --resume goes on")]
    Interrupted,
    /// A fault of the program; every other model has saved where it stands.
    #[error(
        "{model}: a fault of mused itself: {message}; the run can be continued with --resume, please report this"
    )]
    Panicked {
        /// Name of the model.
        model: String,
        /// What the program said.
        message: String,
    },
    /// Training left the finite numbers. What was saved before stays.
    #[error("{model}, step {step}: {broken}; {cause}")]
    Diverged {
        /// Name of the model: its fold, and its subject where each has one.
        model: String,
        /// Step, from 1.
        step: usize,
        /// What is no longer finite.
        broken: String,
        /// What most likely took it there.
        cause: Cause,
    },
}

fn leaks(findings: &[Finding]) -> String {
    let listed: Vec<String> = findings.iter().map(ToString::to_string).collect();
    let first = findings.first().map_or("", |finding| finding.leak.name());
    format!(
        "test data could reach training:\n  {}\nmend the dataset or its groups, or let it pass, on record, with \
         --allow {first}",
        listed.join("\n  ")
    )
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
