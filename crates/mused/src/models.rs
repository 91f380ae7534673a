use std::path::Path;

use mused_data::Dataset;
use mused_kernels::CpuTraining;
use mused_run::{Config, Layers, Run, Task};
use mused_train::Progress;

use crate::plan::{Piece, Piecewise, no_such_run, refuse_others};
use crate::{Result, Training};

/// The models of one run, of its folds or of those and of subjects, made one by one; training the run takes them in.
#[derive(Debug)]
pub struct Models<'a> {
    /// The data.
    pub dataset: &'a Dataset,
    /// Configuration with origins.
    pub layers: &'a Layers,
    /// The run directory to come.
    pub run: &'a Path,
    /// CPU threads.
    pub threads: usize,
}

impl Models<'_> {
    fn tasks(&self) -> Result<Vec<Task>> {
        Ok(mused_train::models_of::<CpuTraining>(
            self.dataset,
            self.layers,
        )?)
    }
}

impl Piecewise for Models<'_> {
    fn dataset(&self) -> &Dataset {
        self.dataset
    }

    fn config(&self) -> Result<Config> {
        Ok(self.layers.config()?)
    }

    fn runs(&self) -> Result<Vec<Piece>> {
        Run::refuse_occupied(self.run)?;
        let piece = |task: &Task| Piece {
            model: String::new(),
            run: Run::part(self.run, task),
            layers: self.layers.clone(),
        };
        let pieces: Vec<Piece> = self.tasks()?.iter().map(piece).collect();
        refuse_others(self.dataset, &pieces)?;
        Ok(pieces)
    }

    fn make<P: Progress>(&self, run: &Path, progress: P) -> Result<()> {
        let tasks = self.tasks()?;
        let here = |task: &&Task| {
            std::path::absolute(Run::part(self.run, task)).is_ok_and(|path| path == run)
        };
        let task = tasks.iter().find(here).ok_or_else(|| no_such_run(run))?;
        let training = Training::new(self.dataset).layers(self.layers).part(task);
        training
            .threads(self.threads)
            .progress(&progress)
            .complete(run)?;
        Ok(())
    }
}
