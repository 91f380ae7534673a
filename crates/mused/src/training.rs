use std::iter;
use std::path::Path;
use std::time::Duration;

use mused_data::Dataset;
use mused_run::{Config, EpochLosses, Layers, Run, Task, ValidationScores};
use mused_train::{Cancel, Outcome, Progress, TrainRequest};
use ndarray::{ArrayView1, Axis};

use crate::device::chosen;
use crate::kept::{opened, refuse_other_data};
use crate::{Error, Result, ridge};

/// Trains a new run on all processors, in silence; beside a network, ridge regression. See [`Training`] for progress, threads and cancellation.
///
/// # Errors
/// When the run directory exists, the dataset has problems, the configuration does not fit it, leaks are found, or
/// training fails. Nothing is created before everything has been checked.
pub fn train(dataset: &Dataset, config: Config, run: impl AsRef<Path>) -> Result<Run> {
    Training::new(dataset).config(&config)?.train(run)
}

/// A training run, with what it is to be told and how it may be stopped.
///
/// ```no_run
/// # fn main() -> mused::Result<()> {
/// # let dataset = mused::Dataset::open("data")?;
/// let stop = mused::Cancel::default();
/// let training = mused::Training::new(&dataset).threads(2).cancel(&stop);
/// let run = training.config(&mused::Config::default())?.train("runs/a")?;
/// # Ok(())
/// # }
/// ```
pub struct Training<'a> {
    dataset: &'a Dataset,
    layers: Option<Layers>,
    threads: usize,
    progress: &'a dyn Progress,
    cancel: Option<&'a Cancel>,
    /// The one of its models that is made, by itself.
    part: Option<&'a Task>,
}

impl<'a> Training<'a> {
    /// With the default configuration, on all processors, in silence.
    pub fn new(dataset: &'a Dataset) -> Self {
        Self {
            dataset,
            layers: None,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            progress: &(),
            cancel: None,
            part: None,
        }
    }

    /// With this configuration.
    ///
    /// # Errors
    /// A value that TOML does not have.
    pub fn config(self, config: &Config) -> Result<Self> {
        let layers = Layers::of(config)?;
        Ok(self.layers(&layers))
    }

    /// With a configuration whose values remember where they came from.
    pub fn layers(self, layers: &Layers) -> Self {
        Self {
            layers: Some(layers.clone()),
            ..self
        }
    }

    /// On so many threads. The result does not depend on it.
    pub fn threads(self, threads: usize) -> Self {
        Self { threads, ..self }
    }

    /// Telling `progress`.
    pub fn progress(self, progress: &'a dyn Progress) -> Self {
        Self { progress, ..self }
    }

    /// Until `cancel` is asked to stop.
    pub fn cancel(self, cancel: &'a Cancel) -> Self {
        Self {
            cancel: Some(cancel),
            ..self
        }
    }

    /// One of the models alone.
    pub(crate) fn part(self, task: &'a Task) -> Self {
        Self {
            part: Some(task),
            ..self
        }
    }

    /// Trains a new run, and a ridge regression beside a network (`train.ridge`), to be held against it: a run of its own
    /// in the folder [`Run::ridge_path`].
    ///
    /// # Errors
    /// As [`train`]; [`Error::Interrupted`] when it was stopped.
    pub fn train(&self, run: impl AsRef<Path>) -> Result<Run> {
        let run = run.as_ref();
        let layers = self.own_layers()?;
        note_small_parts(self.dataset, &layers.config()?, self.progress);
        let request = TrainRequest {
            dataset: self.dataset,
            layers: &layers,
            run,
            threads: self.threads,
        };
        let outcome = on_device!(chosen(), Engine => {
            type Backend = mused_kernels::Training<Engine>;
            match self.part {
                Some(task) => mused_train::train_part::<Backend>(&request, task, &self.watched()),
                None => mused_train::train::<Backend>(&request, &self.watched()),
            }
        })?;
        self.with_ridge(ended(run, outcome)?)
    }

    /// The complete run of this configuration on this data: trained where there is none, gone on with where it was stopped,
    /// else kept.
    ///
    /// # Errors
    /// A run made with other settings ([`Error::OtherSettings`]) or on other data ([`Error::OtherData`]); as
    /// [`Self::train`].
    pub fn complete(&self, run: impl AsRef<Path>) -> Result<Run> {
        let run = run.as_ref();
        refuse_other_data(self.dataset, iter::once(run))?;
        match opened(run, &self.own_layers()?)? {
            Some(_) => self.resume(run),
            None => self.train(run),
        }
    }

    fn own_layers(&self) -> Result<Layers> {
        Ok(match &self.layers {
            Some(layers) => layers.clone(),
            None => Layers::preset("default")?,
        })
    }

    /// Continues an interrupted run with its own configuration, to the same result, bit for bit; and the ridge regression
    /// beside it.
    ///
    /// # Errors
    /// When there is no such run, the dataset is another one, or training fails; [`Error::Interrupted`] when it was
    /// stopped again.
    pub fn resume(&self, run: impl AsRef<Path>) -> Result<Run> {
        let (run, watched) = (run.as_ref(), self.watched());
        let outcome = on_device!(chosen(), Engine => mused_train::resume::<mused_kernels::Training<Engine>>(
            self.dataset, run, self.threads, &watched
        ))?;
        self.with_ridge(ended(run, outcome)?)
    }

    /// Trains `out` as `run` was trained, its stimuli labelled as others are: relabelling `index`, from 1. Goes on where
    /// it was interrupted.
    ///
    /// # Errors
    /// When training fails; [`Error::Interrupted`] when it was stopped.
    pub fn relabelled(&self, run: &Run, index: u64, out: impl AsRef<Path>) -> Result<Run> {
        let (out, watched) = (out.as_ref(), self.watched());
        let outcome = on_device!(chosen(), Engine => mused_train::retrain_relabelled::<mused_kernels::Training<Engine>>(
            run,
            self.dataset,
            index,
            out,
            self.threads,
            &watched,
        ))?;
        ended(out, outcome)
    }

    /// Completes the ridge regression beside a run that is complete. Where none can be trained, the run has on record why.
    fn with_ridge(&self, run: Run) -> Result<Run> {
        let config = run.config()?;
        let alone = !config.train.ridge || !config.model.family.by_steps();
        if alone || run.record().part {
            return Ok(run);
        }
        let watched = self.watched();
        watched.trained();
        let why = match ridge::complete(&run, &config, self.dataset, self.threads, &watched) {
            Ok(Outcome::Complete) => None,
            Ok(Outcome::Interrupted) => return Err(Error::Interrupted(run.path().to_owned())),
            Err(error) => {
                watched.note(&format!("no ridge regression beside the network: {error}"));
                Some(error.to_string())
            }
        };
        Ok(run.leave_ridge_out(why)?)
    }

    fn watched(&self) -> Watched<'a> {
        Watched {
            progress: self.progress,
            cancel: self.cancel,
        }
    }
}

/// Says what a few groups of stimuli are too few for.
fn note_small_parts(dataset: &Dataset, config: &Config, progress: &dyn Progress) {
    // Whatever is wrong with the folds, training says.
    let Ok(folds) = config.split_plan().folds(dataset) else {
        return;
    };
    let selects = config.model.family.by_steps() && config.split.validation_fraction > 0.0;
    if selects && folds.iter().any(|fold| fold.validation.is_empty()) {
        progress.note(
            "the training stimuli of a fold are of one group, or of two of which either is half of them, and groups stay \
             whole: no validation part selects the weights, the last ones are kept",
        );
    }
    let tested: Vec<usize> = folds.into_iter().flat_map(|fold| fold.test).collect();
    let labels = dataset.labels.matrix.select(Axis(0), &tested);
    let scored = |label: ArrayView1<'_, u8>| label.iter().any(|value| Some(value) != label.first());
    if !labels.columns().into_iter().any(scored) {
        progress.note(&format!(
            "no label is had by some and not by others of the {} test stimuli: it cannot be scored how well labels are \
             ranked; with --folds every stimulus is tested once",
            tested.len()
        ));
    }
}

fn ended(run: &Path, outcome: Outcome) -> Result<Run> {
    match outcome {
        Outcome::Complete => Ok(Run::open(run)?),
        Outcome::Interrupted => Err(Error::Interrupted(run.to_owned())),
    }
}

/// Progress that may also be stopped by a handle.
struct Watched<'p> {
    progress: &'p dyn Progress,
    cancel: Option<&'p Cancel>,
}

impl Progress for Watched<'_> {
    fn start(&self, done: usize, total: usize, bytes: u64) {
        self.progress.start(done, total, bytes);
    }

    fn aligned(&self, done: usize, total: usize) {
        self.progress.aligned(done, total);
    }

    fn step(&self, model: &str, losses: &EpochLosses) {
        self.progress.step(model, losses);
    }

    fn epoch(&self, epoch: usize, validation: Option<&ValidationScores>) {
        self.progress.epoch(epoch, validation);
    }

    fn trained(&self) {
        self.progress.trained();
    }

    fn beside(&self, model: &str, run: &Path, took: Duration) {
        self.progress.beside(model, run, took);
    }

    fn note(&self, message: &str) {
        self.progress.note(message);
    }

    fn interrupted(&self) -> bool {
        self.progress.interrupted() || self.cancel.is_some_and(Cancel::is_cancelled)
    }
}
