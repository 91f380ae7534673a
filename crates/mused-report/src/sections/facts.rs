use std::path::Path;
use std::time::UNIX_EPOCH;

use mused_data::audit::Report;
use mused_run::{Config, EACH};

use crate::input::ScoredRun;

/// How the run was made, as far as sections say it: `run.json` and `config.toml` are read here and in the methods alone.
pub(crate) struct Facts<'a> {
    pub(crate) dataset: &'a str,
    pub(crate) dataset_path: Option<&'a Path>,
    pub(crate) simulated: bool,
    pub(crate) holdout: Holdout<'a>,
    /// Whether the model is computed at once, without epochs.
    pub(crate) at_once: bool,
    pub(crate) audit: Option<&'a Report>,
    /// Unix times; `None` where they cannot be read, or it has not finished.
    pub(crate) started: Option<f64>,
    pub(crate) finished: Option<f64>,
    /// Whether it says that it has finished.
    pub(crate) complete: bool,
}

/// Who is tested and never trained on.
#[derive(Clone, Copy)]
pub(crate) enum Holdout<'a> {
    Nobody,
    One(&'a str),
    /// Everybody, by a model without them.
    Each,
}

impl<'a> Holdout<'a> {
    pub(crate) fn of(config: &'a Config) -> Self {
        match config.split.holdout_subject.as_str() {
            "" => Self::Nobody,
            EACH => Self::Each,
            subject => Self::One(subject),
        }
    }
}

impl<'a> Facts<'a> {
    pub(crate) fn of(scored: &'a ScoredRun) -> Self {
        let record = scored.run.record();
        let config = scored.config.as_ref().ok();
        Self {
            dataset: &record.dataset.name,
            dataset_path: record.dataset.path.as_deref(),
            simulated: record.dataset.simulated,
            holdout: config.map_or(Holdout::Nobody, Holdout::of),
            at_once: config.is_some_and(|config| !config.model.family.by_steps()),
            audit: record.audit.as_ref(),
            started: seconds(&record.started),
            finished: record.finished.as_deref().and_then(seconds),
            complete: record.finished.is_some(),
        }
    }

    /// The dataset as commands name it.
    pub(crate) fn dataset_word(&self) -> String {
        let path = self.dataset_path.map(|path| path.display().to_string());
        path.unwrap_or_else(|| "DATASET".to_owned())
    }
}

fn seconds(time: &str) -> Option<f64> {
    let time = humantime::parse_rfc3339(time).ok()?;
    Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs_f64())
}
