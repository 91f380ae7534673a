use std::path::Path;

use mused_data::Dataset;
use mused_run::{Config, Layers, Run};
use mused_train::Progress;

use crate::plan::{Piece, Piecewise, no_such_run};
use crate::{Result, Training};

/// A run trained again and again on exchanged labels.
#[derive(Debug)]
pub struct Permutations<'a> {
    /// The run.
    pub run: &'a Run,
    /// Its data.
    pub dataset: &'a Dataset,
    /// How often, over all.
    pub count: usize,
    /// CPU threads.
    pub threads: usize,
}

impl Permutations<'_> {
    /// The relabellings that are not scored yet, from 1.
    ///
    /// # Errors
    /// Scores that cannot be read.
    pub fn missing(&self) -> Result<std::ops::RangeInclusive<usize>> {
        Ok(self.run.retrained()?.roc_auc.len() + 1..=self.count)
    }

    /// Trains one of them, goes on with it, or keeps it.
    ///
    /// # Errors
    /// As [`Training::relabelled`].
    pub fn relabelled(&self, index: usize, progress: &dyn Progress) -> Result<Run> {
        let training = Training::new(self.dataset)
            .progress(progress)
            .threads(self.threads);
        training.relabelled(self.run, index as u64, self.run.relabelled_run(index))
    }
}

impl Piecewise for Permutations<'_> {
    fn dataset(&self) -> &Dataset {
        self.dataset
    }

    fn config(&self) -> Result<Config> {
        Ok(self.run.resolved_config()?)
    }

    fn runs(&self) -> Result<Vec<Piece>> {
        let layers = Layers::of(&self.config()?)?;
        let piece = |index| Piece {
            model: String::new(),
            run: self.run.relabelled_run(index),
            layers: layers.clone(),
        };
        Ok(self.missing()?.map(piece).collect())
    }

    fn make<P: Progress>(&self, run: &Path, progress: P) -> Result<()> {
        let here = |index: &usize| {
            std::path::absolute(self.run.relabelled_run(*index)).is_ok_and(|path| path == run)
        };
        let index = (1..=self.count)
            .find(here)
            .ok_or_else(|| no_such_run(run))?;
        self.relabelled(index, &progress)?;
        Ok(())
    }
}
