use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use mused_data::Identity;
use mused_data::audit::Report;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{Config, Onto, Task};

/// The content of `run.json`. What an older version did not write has its default; what a newer one adds is passed over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunRecord {
    /// `mused-run/2`.
    pub schema: String,
    /// Version of mused that made the run.
    pub version: String,
    /// What it was made on.
    pub dataset: DatasetReference,
    /// Subjects trained on.
    pub subjects: Vec<String>,
    /// Number of folds.
    pub folds: usize,
    /// The models of the run.
    #[serde(rename = "models")]
    pub tasks: Vec<Task>,
    /// Every value of the configuration the run was started with: `config.toml` is for people to read, and to copy.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "config_of_run"
    )]
    pub config: Option<Config>,
    /// What the configuration came to on this dataset; `None` of runs of version 0.1.0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Resolved>,
    /// Leaks that were let pass, and what could not be searched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit: Option<Report>,
    /// What it was adapted from, where its networks were trained on others than the subject that it is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapted: Option<Adapted>,
    /// Whether it is one of the models of another run, which takes it in.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub part: bool,
    /// Why no ridge regression lies beside a network that should have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_ridge: Option<String>,
    /// Where it was made.
    pub machine: Machine,
    /// When training began.
    pub started: String,
    /// When it ended; `None` while it has not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished: Option<String>,
}

impl RunRecord {
    /// The schema that this version writes.
    pub const SCHEMA: &str = "mused-run/2";

    /// The time now, as `started` and `finished` have it.
    pub fn now() -> String {
        humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
    }

    /// About how long it took, pauses included; `None` of what has not ended.
    pub fn took(&self) -> Option<Duration> {
        let time = |text: &str| humantime::parse_rfc3339(text).ok();
        let (started, finished) = (time(&self.started)?, time(self.finished.as_ref()?)?);
        finished.duration_since(started).ok()
    }
}

fn config_of_run<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Config>, D::Error> {
    let table = Option::<toml::Table>::deserialize(from)?;
    table
        .map(Config::of_run)
        .transpose()
        .map_err(D::Error::custom)
}

/// The dataset of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DatasetReference {
    /// Its name.
    pub name: String,
    /// Where it was; `None` of data that were in memory alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// What the run read of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// Of runs of version 0.1.0: SHA-256 over every file of the folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Whether its responses were computed, not measured.
    pub simulated: bool,
}

/// A run that was made of another one for a new person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adapted {
    /// Name of the run whose networks it has.
    pub run: String,
    /// Whom it was trained on.
    pub subjects: Vec<String>,
    /// Training stimuli of the new person that its maps were fitted on, a fold.
    pub calibration: Vec<usize>,
}

impl Adapted {
    /// How many training stimuli, over folds: `20`, or `73 to 74`.
    pub fn trials(&self) -> String {
        let counts = self.calibration.iter();
        match (counts.clone().min(), counts.max()) {
            (Some(least), Some(most)) if least < most => format!("{least} to {most}"),
            (least, _) => least.copied().unwrap_or_default().to_string(),
        }
    }
}

/// The machine of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// Operating system.
    pub os: String,
    /// Processor architecture.
    pub architecture: String,
    /// Processors there were.
    pub cpus: usize,
    /// Threads that were used.
    pub threads: usize,
    /// By what the GPU that networks ran on was reached, where it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
}

impl Machine {
    /// This machine.
    pub fn here(threads: usize) -> Self {
        Self {
            os: std::env::consts::OS.to_owned(),
            architecture: std::env::consts::ARCH.to_owned(),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            threads,
            device: None,
        }
    }
}

/// What the configuration came to on a dataset: facts, where `config.toml` has wishes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resolved {
    /// Guidance of the high-level token.
    pub guidance_high: GuidanceUse,
    /// Guidance of the low-level token.
    pub guidance_low: GuidanceUse,
    /// What was read of responses.
    pub inputs: Inputs,
    /// Whether a validation part chose the weights; else the last ones were kept.
    pub weights_chosen_by_validation: bool,
    /// Subjects that were tested and not trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out: Option<HeldOut>,
    /// Control: responses were dealt anew within runs.
    #[serde(default)]
    pub shuffled_brain: bool,
    /// Number of the relabelling, from 1, where stimuli carried the labels of others (`mused permute`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relabelling: Option<u64>,
}

/// Whether a token was guided, and by what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum GuidanceUse {
    /// By a feature set of the dataset.
    Used {
        /// Its name.
        features: String,
        /// Weight of the loss.
        weight: f64,
    },
    /// It was not.
    Unused {
        /// Why.
        unused: String,
    },
}

impl GuidanceUse {
    /// Why `auto` guides nothing on most datasets.
    pub const NO_SET: &str = "no feature set of the dataset names this level";

    /// The feature set that guided and its weight.
    pub fn used(&self) -> Option<(&str, f64)> {
        match self {
            Self::Used { features, weight } => Some((features, *weight)),
            Self::Unused { .. } => None,
        }
    }
}

/// What was read of responses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inputs {
    /// `regions`, `components` (of regions), `aligned` (regions), `patches` or `grid`.
    pub arrangement: String,
    /// What regions were mapped onto, as `model.inputs` has it, and why; `None` where voxels were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aligned: Option<AlignedInputs>,
    /// Whether voxels were z-scored with training statistics of the subject.
    pub zscored: bool,
    /// Regions, cubes, or 1 for the grid.
    pub slots: usize,
    /// Values of an input row.
    pub width: usize,
}

/// What subjects' regions were mapped onto.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlignedInputs {
    /// As `model.inputs` has it.
    pub onto: Onto,
    /// The feature set whose components are among that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guidance: Option<String>,
    /// Why that.
    pub because: String,
}

/// Subjects that were tested and not trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldOut {
    /// Who: one subject, or every one in turn by a model of the others.
    pub subjects: Vec<String>,
    /// What their input statistics came from.
    pub statistics: String,
}
