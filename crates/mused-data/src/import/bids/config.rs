//! What to import and how.

use std::path::{Path, PathBuf};

use super::entities::NONE;
use crate::import::{Check, name_of};
use crate::{Description, Error, Kind, Response, Result};

/// How a trial's response is read from the time series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Estimate {
    /// Mean of the volumes from one number of seconds after the onset to before another; `None` = from 4
    /// seconds, for as long as the event lasts and at least 4 seconds.
    Window(Option<[f64; 2]>),
    /// Least-squares betas, all trials of a run in one model.
    Lsa,
    /// Least-squares betas, a model a trial: the trial, and all others as one regressor.
    Lss,
}

/// Slow drift that a model of betas allows for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Drift {
    /// Cosines slower than `high_pass`, in Hz.
    Cosine {
        /// The cut-off, e.g. 0.01.
        high_pass: f64,
    },
    /// Powers of time up to `order`.
    Polynomial {
        /// Highest power.
        order: u32,
    },
}

/// Which voxels are imported, by region. Paths may hold `{subject}`, and start from the derivatives
/// or the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Region {
    /// A mask of zeros and ones.
    Mask {
        /// Name of the region.
        name: String,
        /// Pattern of the mask's path.
        path: String,
    },
    /// Whole numbers, one a region; 0 is none.
    Atlas {
        /// Pattern of the image's path.
        path: String,
        /// Pattern of a table with columns `index` and `name`; regions it does not list are left out.
        names: Option<String>,
    },
}

/// Where files lie that have no BIDS names: patterns below the root with `{subject}`, `{session}`,
/// `{task}` and `{run}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePatterns {
    /// The runs.
    pub bold: String,
    /// Their events.
    pub events: String,
    /// Their confounds.
    pub confounds: Option<String>,
}

/// What to import and how.
#[derive(Clone, Debug)]
pub struct BidsConfig {
    /// Name of the dataset; the root folder's where `None`.
    pub name: Option<String>,
    /// Licence of the data.
    pub licence: Option<String>,
    /// How to cite the data.
    pub citation: Option<String>,
    /// Folder of the preprocessed runs, where it is not the root.
    pub derivatives: Option<PathBuf>,
    /// Where files without BIDS names lie.
    pub patterns: Option<FilePatterns>,
    /// Subjects, without `sub-`; empty = all.
    pub subjects: Vec<String>,
    /// The task, where there are several.
    pub task: Option<String>,
    /// The space, where there are several.
    pub space: Option<String>,
    /// Other entities that the recordings must have, as `res` and `2`; `none` = must not have.
    pub entities: Vec<(String, String)>,
    /// Regions; empty = every voxel, as region `brain`.
    pub regions: Vec<Region>,
    /// How responses are read.
    pub estimate: Estimate,
    /// Drift of a model of betas.
    pub drift: Drift,
    /// Confound columns in a model of betas; a `*` at the end stands for any ending.
    pub confounds: Vec<String>,
    /// Whether each voxel's time series is brought to mean 0 and variance 1 in each run.
    pub zscore: bool,
    /// Columns of the events that hold labels, several in a cell separated by `;` or `,`.
    pub label_columns: Vec<String>,
    /// Column that names the stimulus; `None` = `stim_file` where there is one.
    pub stimulus_column: Option<String>,
    /// Values of `trial_type` whose events are left out, and labels that are.
    pub exclude: Vec<String>,
    /// Values of `trial_type` that are no trials but in the model of betas, a regressor each.
    pub nuisance: Vec<String>,
    /// Events of one kind at most this many seconds after one another are one block.
    pub merge_gap: Option<f64>,
    /// Repetition time in seconds, against what files say.
    pub tr: Option<f64>,
    /// Checks that become warnings.
    pub allow: Vec<Check>,
}

impl Default for BidsConfig {
    fn default() -> Self {
        Self {
            name: None,
            licence: None,
            citation: None,
            derivatives: None,
            patterns: None,
            subjects: Vec::new(),
            task: None,
            space: None,
            entities: Vec::new(),
            regions: Vec::new(),
            estimate: Estimate::Window(None),
            drift: Drift::Cosine { high_pass: 0.01 },
            confounds: Vec::new(),
            zscore: false,
            label_columns: vec!["trial_type".to_owned()],
            stimulus_column: None,
            exclude: Vec::new(),
            nuisance: Vec::new(),
            merge_gap: None,
            tr: None,
            allow: Vec::new(),
        }
    }
}

/// Refuses values that are none or contradict one another.
pub(super) fn check(config: &BidsConfig) -> Result<()> {
    let refuse = |message: String| Err(Error::Request(message));
    if let Estimate::Window(Some([from, to])) = config.estimate
        && !(from.is_finite() && to.is_finite() && from < to)
    {
        return refuse(format!(
            "expected a window FROM,TO with FROM before TO, found {from},{to}"
        ));
    }
    if let Drift::Cosine { high_pass } = config.drift
        && !(high_pass.is_finite() && high_pass > 0.0)
    {
        return refuse(format!(
            "expected a high-pass above 0 Hz, found {high_pass}"
        ));
    }
    if let Some(gap) = config
        .merge_gap
        .filter(|gap| !(gap.is_finite() && *gap >= 0.0))
    {
        return refuse(format!("expected a gap of 0 seconds or more, found {gap}"));
    }
    let window = matches!(config.estimate, Estimate::Window(_));
    if window && !(config.confounds.is_empty() && config.nuisance.is_empty()) {
        let message = "confounds and nuisance events are for models of betas (lsa, lss): a window's \
                       mean has no model";
        return refuse(message.to_owned());
    }
    if config.patterns.is_some() && !config.entities.is_empty() {
        let message =
            "entities choose among files with BIDS names: with patterns for others, leave them out";
        return refuse(message.to_owned());
    }
    let mut nuisance = config.nuisance.iter();
    if let Some(both) = nuisance.find(|name| config.exclude.contains(name)) {
        return refuse(format!(
            "expected {both:?} either to be excluded or to be nuisance, found both"
        ));
    }
    if config.label_columns.is_empty() {
        return refuse("expected at least one column with labels, found none".to_owned());
    }
    Ok(())
}

/// The dataset's description; `tr` is the repetition time of all runs.
pub(super) fn describe(root: &Path, config: &BidsConfig, tr: Option<f64>) -> Description {
    let name = config.name.clone().unwrap_or_else(|| name_of(root));
    let mut description = Description::new(name, Kind::Roi, Response::Voxels);
    let space = config.space.as_ref();
    description.space = space.filter(|space| *space != NONE).cloned();
    description.tr = tr;
    description.licence.clone_from(&config.licence);
    description.citation.clone_from(&config.citation);
    let drift = match config.drift {
        Drift::Cosine { high_pass } => format!("cosine drift below {high_pass} Hz"),
        Drift::Polynomial { order } => format!("polynomial drift of order {order}"),
    };
    let model = |which: &str| {
        let confounds = config.confounds.join(", ");
        let confounds = if confounds.is_empty() {
            "none"
        } else {
            &confounds
        };
        format!("{which} betas, canonical double-gamma response, {drift}, confounds: {confounds}")
    };
    let mut processing = match config.estimate {
        Estimate::Window(None) => {
            "mean from 4 s after onset for the event's duration, at least 4 s".to_owned()
        }
        Estimate::Window(Some([from, to])) => format!("mean from {from} to {to} s after onset"),
        Estimate::Lsa => model("least-squares (all trials in one model)"),
        Estimate::Lss => model("least-squares (one model a trial)"),
    };
    if config.zscore {
        processing += "; time series z-scored within run";
    }
    description.processing = Some(processing);
    description
}
