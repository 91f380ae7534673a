//! From the predictions of single models to those of a run.

use std::fs;
use std::path::Path;

use mused_formats::{Together, copy_file, make_folder, npy, replace_file};
use ndarray::{Array2, ArrayView2, Axis, Ix2, concatenate};

use super::Run;
use super::places::{CONFIG, LABELS, PREDICTIONS, SHOWN, SPLIT, TARGETS, TRIALS};
use crate::{Error, PredictionRow, Result, Task};

impl Run {
    /// Test probabilities of a task that is done: samples × labels.
    fn task_predictions(&self, task: &Task) -> Result<Array2<f32>> {
        let path = self.task_predictions_path(task);
        self.check(&path)?;
        let array = npy::read_npy_f32(&path)?.into_dimensionality::<Ix2>();
        array.map_err(|error| Error::invalid(&path, error.to_string()))
    }

    /// Puts the test probabilities of all tasks together, in the order of the tasks; the run is complete then. `rows`
    /// says what they are of, `targets` is rows × labels.
    ///
    /// # Errors
    /// A task that is not done, or has predicted something else.
    pub fn gather(&self, rows: &[PredictionRow], targets: ArrayView2<'_, u8>) -> Result<()> {
        let each = self.tasks().iter().map(|task| self.task_predictions(task));
        let all = together(&each.collect::<Result<Vec<_>>>()?, &self.path)?;
        if all.dim() != targets.dim() || all.nrows() != rows.len() {
            return Err(Error::invalid(
                &self.path,
                format!(
                    "expected the predictions of its models to be {:?} in all, found {:?}",
                    targets.dim(),
                    all.dim()
                ),
            ));
        }
        let together = Together::new();
        together.include(&self.path);
        self.files().write(rows, all.view(), targets)?;
        let synced = together.sync();
        synced.map_err(Error::io("cannot write", &self.path))?;
        drop(together);
        self.seal()
    }

    /// Puts a run together whose tasks are taken from complete runs of the same tasks, one for each, in order.
    ///
    /// # Errors
    /// No run at all, or files that cannot be copied.
    pub fn assemble(path: &Path, chosen: &[(&Self, &Task)]) -> Result<Self> {
        let Some((first, _)) = chosen.first() else {
            return Err(Error::invalid(path, "there is no run to take models from"));
        };
        make_folder(path).map_err(Error::io("cannot create", path))?;
        let written = Together::new();
        written.include(path);
        let mut metrics = String::new();
        let mut predictions = Vec::with_capacity(chosen.len());
        let made = Self {
            path: path.to_owned(),
            record: first.record.clone(),
        };
        for (run, task) in chosen {
            let (from, to) = (run.task_folder(task), made.task_folder(task));
            make_folder(&to).map_err(Error::io("cannot create", &to))?;
            for entry in fs::read_dir(&from).map_err(Error::io("cannot list", &from))? {
                let entry = entry.map_err(Error::io("cannot list", &from))?;
                copy_file(entry.path(), to.join(entry.file_name()))?;
            }
            predictions.push(run.task_predictions(task)?);
            for record in run.epochs()?.iter().filter(|record| record.is_of(task)) {
                metrics.push_str(&record.line()?);
            }
        }
        for name in [CONFIG, LABELS, SPLIT, TRIALS, SHOWN, TARGETS] {
            // Runs of version 0.1.0 have no record of the order shown.
            if name != SHOWN || first.path.join(name).is_file() {
                copy_file(first.path.join(name), path.join(name))?;
            }
        }
        replace_file(made.metrics_path(), metrics.as_bytes())?;
        let all = together(&predictions, path)?;
        npy::write_npy_f32(path.join(PREDICTIONS), all.view())?;
        made.seal()?;
        written.sync().map_err(Error::io("cannot write", path))?;
        drop(written);
        made.finish()
    }
}

fn together(parts: &[Array2<f32>], run: &Path) -> Result<Array2<f32>> {
    let views: Vec<_> = parts.iter().map(|array| array.view()).collect();
    concatenate(Axis(0), &views).map_err(|error| {
        Error::invalid(run, format!("its models predict different labels: {error}"))
    })
}
