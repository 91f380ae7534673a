use std::path::Path;
use std::time::UNIX_EPOCH;

use mused_results::Results;

use crate::input::{Audit, Epoch, OtherRun, Part, RunFiles, Settings};

/// How the run was made, as far as sections say it: `run.json` and `config.toml` are read here and in the methods alone.
pub(crate) struct Facts<'a> {
    pub(crate) dataset: &'a str,
    pub(crate) dataset_path: &'a Path,
    pub(crate) simulated: bool,
    pub(crate) holdout: Holdout<'a>,
    /// Whether the model is computed at once, without epochs.
    pub(crate) at_once: bool,
    pub(crate) audit: Option<&'a Audit>,
    /// Unix times; `None` where they cannot be read, or it has not finished.
    pub(crate) started: Option<f64>,
    pub(crate) finished: Option<f64>,
    /// Whether it says that it has finished.
    pub(crate) complete: bool,
}

/// Who is tested and never trained on.
pub(crate) enum Holdout<'a> {
    Nobody,
    One(&'a str),
    /// Everybody, by a model without them.
    Each,
}

impl<'a> Facts<'a> {
    pub(crate) fn of(files: &'a RunFiles) -> Self {
        let (run, settings) = (&files.run, &files.settings);
        Self {
            dataset: &run.dataset.name,
            dataset_path: &run.dataset.path,
            simulated: run.dataset.simulated,
            holdout: match settings.text_at("split.holdout_subject") {
                "" => Holdout::Nobody,
                "each" => Holdout::Each,
                subject => Holdout::One(subject),
            },
            at_once: matches!(settings.text_at("model.family"), "ridge" | "prevalence"),
            audit: run.audit.as_ref(),
            started: seconds(&run.started),
            finished: run.finished.as_deref().and_then(seconds),
            complete: run.finished.is_some(),
        }
    }
}

fn seconds(time: &str) -> Option<f64> {
    let time = humantime::parse_rfc3339(time).ok()?;
    Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs_f64())
}

/// One of the runs that a page compares.
#[derive(Clone, Copy)]
pub(crate) struct Run<'a> {
    pub(crate) name: &'a str,
    pub(crate) path: &'a Path,
    /// `None` where no configuration tells it.
    pub(crate) seed: Option<u64>,
    pub(crate) results: &'a Part<Results>,
    pub(crate) epochs: &'a [Epoch],
    settings: &'a Settings,
}

impl<'a> Run<'a> {
    pub(crate) fn first(run: &'a RunFiles) -> Self {
        Self {
            name: &run.name,
            path: &run.path,
            seed: run.settings.seed(),
            results: &run.results,
            epochs: &run.epochs,
            settings: &run.settings,
        }
    }

    pub(crate) fn other(run: &'a OtherRun) -> Self {
        Self {
            name: &run.name,
            path: &run.path,
            seed: run.settings.seed(),
            results: &run.results,
            epochs: &run.epochs,
            settings: &run.settings,
        }
    }

    /// Whether both have a configuration, the same but for the seed.
    pub(crate) fn same_but_for_seed(&self, other: &Self) -> bool {
        !self.settings.text.is_empty() && self.settings.same_but_for_seed(other.settings)
    }
}
