//! The ridge regression beside a network.

use mused_formats::quoted;
use std::path::Path;

use super::Run;
use crate::verdict::ridge_in_words;
use crate::{Error, Family, Pooling, Result};

/// A ridge regression that lies beside a network.
#[derive(Clone, Debug)]
pub struct RidgeBeside {
    /// A run like any other, complete.
    pub run: Run,
    /// Whether each subject has one of its own.
    pub subjects: Pooling,
}

impl Run {
    /// Why there is no ridge regression beside a network that is tested on somebody with voxels of their own.
    pub const RIDGE_OF_OTHERS: &str = "a subject is left out, and ridge regression of the others cannot read voxels in a space of its own";

    /// The ridge regression that was trained beside a network, or why there is none. `None` of what is no network of mused.
    pub fn ridge(&self) -> Option<std::result::Result<RidgeBeside, String>> {
        let path = self.ridge_path();
        if Self::exists(&path) {
            return Some(RidgeBeside::of(&path).map_err(|error| error.to_string()));
        }
        let config = self.config().ok()?;
        let network = config.model.family.by_steps();
        let held_out = !config.split.holdout_subject.is_empty();
        let resolved = self.record.resolved.as_ref();
        if network && held_out && resolved.is_some_and(|of| of.inputs.arrangement == "aligned") {
            return Some(Err(Self::RIDGE_OF_OTHERS.to_owned()));
        }
        let model = match held_out {
            false => "ridge-stacked",
            true => "ridge-pooled",
        };
        let unrecorded = || {
            format!(
                "none was trained; `mused train {} --config {} --model {model} --out {}` trains one",
                self.dataset_place(),
                quoted(self.config_path()),
                quoted(&path)
            )
        };
        network.then(|| Err(self.record.no_ridge.clone().unwrap_or_else(unrecorded)))
    }

    /// Puts on record why no ridge regression lies beside the run, or that nothing stands in the way of one.
    ///
    /// # Errors
    /// When `run.json` cannot be written.
    pub fn leave_ridge_out(mut self, why: Option<String>) -> Result<Self> {
        if self.record.no_ridge != why {
            self.record.no_ridge = why;
            self.write()?;
        }
        Ok(self)
    }
}

impl RidgeBeside {
    /// What it is, in words.
    pub fn name(&self) -> &'static str {
        ridge_in_words(self.subjects)
    }

    fn of(path: &Path) -> Result<Self> {
        let run = Run::open(path)?;
        run.refuse_incomplete()?;
        let subjects = match run.config()?.model.family {
            Family::Ridge(ridge) => ridge.subjects,
            Family::AlignedRidge(_) => Pooling::Shared,
            other => {
                let message = format!(
                    "expected ridge regression in this place, found model.family = {:?}: move the run elsewhere",
                    other.name()
                );
                return Err(Error::invalid(path, message));
            }
        };
        Ok(Self { run, subjects })
    }
}
