//! Ways in which test data can reach training, searched for in a dataset and its division.

mod responses;
mod stimuli;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Dataset, Error, Fold, Result};

/// A way for test data to reach training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Leak {
    /// A stimulus is trained on and tested.
    SameStimulus,
    /// A clip, run or scene is on both sides of the division.
    SameGroup,
    /// Frames of one film, a second or less apart, are on both sides.
    NeighbouringFrames,
    /// Two stimuli that look alike to the encoder are on either side.
    NearDuplicates,
    /// Two subjects have the same responses, to the last bit.
    IdenticalSubjects,
    /// A voxel follows a label as no brain does.
    LabelColumns,
    /// Responses were z-scored together with test trials.
    #[serde(rename = "zscored-with-test")]
    ZScoredWithTest,
    /// Input statistics of a run are not those of its training samples.
    Statistics,
}

impl Leak {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::SameStimulus,
        Self::SameGroup,
        Self::NeighbouringFrames,
        Self::NearDuplicates,
        Self::IdenticalSubjects,
        Self::LabelColumns,
        Self::ZScoredWithTest,
        Self::Statistics,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::SameStimulus => "same-stimulus",
            Self::SameGroup => "same-group",
            Self::NeighbouringFrames => "neighbouring-frames",
            Self::NearDuplicates => "near-duplicates",
            Self::IdenticalSubjects => "identical-subjects",
            Self::LabelColumns => "label-columns",
            Self::ZScoredWithTest => "zscored-with-test",
            Self::Statistics => "statistics",
        }
    }
}

impl fmt::Display for Leak {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Leak {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|leak| leak.name() == name);
        found.ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::Request(format!(
                "expected the name of a leak ({known}), found {name:?}"
            ))
        })
    }
}

/// A leak that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Which.
    pub leak: Leak,
    /// Where it was seen, the strongest case first.
    pub evidence: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.leak, self.evidence)
    }
}

/// What an audit looked at and found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Leaks.
    pub findings: Vec<Finding>,
    /// What could not be looked at, and why.
    pub skipped: Vec<String>,
}

/// Searches a dataset, divided by `folds`, for leaks. Stimuli are near-duplicates when the cosine of their features
/// exceeds `near_duplicate`; the features are those of the high level.
///
/// Reads every response once.
///
/// # Errors
/// When features or responses cannot be read.
pub fn audit(dataset: &Dataset, folds: &[Fold], near_duplicate: f64) -> Result<Report> {
    let mut report = Report::default();
    stimuli::audit(dataset, folds, near_duplicate, &mut report)?;
    responses::audit(dataset, folds, &mut report)?;
    Ok(report)
}

/// Counts cases and keeps the first few in words.
#[derive(Default)]
struct Cases {
    count: usize,
    shown: Vec<String>,
}

impl Cases {
    const SHOWN: usize = 3;

    fn add(&mut self, case: impl FnOnce() -> String) {
        self.count += 1;
        if self.shown.len() < Self::SHOWN {
            self.shown.push(case());
        }
    }

    /// `what` says what there are so many of.
    fn report(self, leak: Leak, what: &str, report: &mut Report) {
        if self.count > 0 {
            let more = match self.count - self.shown.len() {
                0 => String::new(),
                more => format!("; and {more} more"),
            };
            report.findings.push(Finding {
                leak,
                evidence: format!("{} {what}: {}{more}", self.count, self.shown.join("; ")),
            });
        }
    }
}
