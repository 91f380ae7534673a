//! What a family of models can do: the rest of the crate fits, saves and asks models without knowing which they are.

use mused_data::{FitBytes, Layout};
use mused_formats::{make_folder, npy};
use mused_run::{Config, EpochLosses, EpochRecord, Run, Task, ValidationScores};
use ndarray::{Array2, Array3, ArrayView2};

use crate::crew::Worker;
use crate::fold_data::{FoldData, Guides};
use crate::journal::{Journal, now};
use crate::model_file::Architecture;
use crate::parameters::NamedTensors;
use crate::sample_set::SampleSet;
use crate::watch::Watch;
use crate::{Cause, Error, Result, checkpoint, inputs};

/// A family of models under a configuration.
pub(crate) trait Learner: Sync {
    /// The model that reads inputs of such a layout.
    ///
    /// # Errors
    /// A layout that no model of the family reads.
    fn architecture(&self, layout: &Layout, subjects: usize, labels: usize)
    -> Result<Architecture>;

    /// Bytes of fitting such a model on so many samples, with those that are kept `beside` them: of a step, or of the whole
    /// of a closed form.
    ///
    /// # Errors
    /// More than the machine has, with what would fit.
    fn memory(
        &self,
        architecture: &Architecture,
        layout: &Layout,
        samples: usize,
        beside: u64,
    ) -> Result<FitBytes>;

    /// By what a device beside the processor is reached that fits models of the family; `None` of the processor.
    fn device(&self) -> Option<String> {
        None
    }

    /// Whether this machine can fit such models as they are asked for.
    ///
    /// # Errors
    /// What it lacks.
    fn check_here(&self) -> Result<()> {
        Ok(())
    }

    /// Steps on so many samples.
    fn steps(&self, samples: usize) -> usize;

    /// Fits a model on the training part alone; `None` when it was asked to stop and has saved where it stands.
    fn fit(&self, fit: &mut Fit<'_, '_>) -> Result<Option<Box<dyn Model>>>;
}

/// A fitted model.
pub(crate) trait Model: Send + Sync {
    /// Label probabilities of all samples of a set: samples × labels.
    fn predict(&self, set: &SampleSet<'_>) -> Result<Array2<f32>>;

    /// Outputs for the samples `chosen` of a set, whose inputs are given.
    fn outputs(
        &self,
        set: &SampleSet<'_>,
        chosen: &[usize],
        inputs: ArrayView2<'_, f32>,
    ) -> Result<Outputs>;

    /// Attention of the subject tokens to the slots of the input row, see [`mused_model::Decoder::attention`]: samples ×
    /// tokens × slots; `None` of a model that has none.
    fn attention(
        &self,
        _set: &SampleSet<'_>,
        _chosen: &[usize],
        _inputs: ArrayView2<'_, f32>,
    ) -> Result<Option<Array3<f32>>> {
        Ok(None)
    }

    /// Label scores of the samples `chosen`, whose inputs are given, before they are clipped: samples × labels; `None` of a
    /// model that is not linear.
    fn linear(
        &self,
        _set: &SampleSet<'_>,
        _chosen: &[usize],
        _inputs: ArrayView2<'_, f32>,
    ) -> Result<Option<Array2<f64>>> {
        Ok(None)
    }

    /// Whether predictions depend on responses.
    fn reads(&self) -> bool {
        true
    }

    /// Everything that a file needs to bring it back.
    fn tensors(&self) -> Result<NamedTensors>;
}

/// What a model makes of some samples.
pub(crate) struct Outputs {
    /// samples × labels
    pub(crate) probabilities: Array2<f32>,
    /// The subject tokens that the network has, the high-level one first: its name, and samples × dim, those of
    /// several networks side by side.
    pub(crate) tokens: Vec<(&'static str, Array2<f32>)>,
}

/// Writes what a task leaves after so many steps: its model, what makes the model's inputs, and last its test probabilities.
///
/// # Errors
/// Probabilities that are not finite: the model is then not written either.
pub(crate) fn save(
    run: &Run,
    task: &Task,
    data: &FoldData<'_>,
    model: &dyn Model,
    steps: usize,
    config: &Config,
) -> Result<()> {
    let probabilities = model.predict(&data.test)?;
    if probabilities.iter().any(|value| !value.is_finite()) {
        let by_steps = config.model.family.by_steps();
        let rate = by_steps.then_some(config.train.learning_rate);
        return Err(Error::Diverged {
            model: task.name(),
            step: steps,
            broken: "predictions of test samples are not finite".to_owned(),
            cause: Cause::of(data, &[], rate)?,
        });
    }
    let folder = run.task_folder(task);
    make_folder(&folder).map_err(Error::io("cannot create", &folder))?;
    checkpoint::write(&run.model_path(task), &data.description, &model.tensors()?)?;
    inputs::write(&run.inputs_path(task), &data.transform)?;
    let path = run.task_predictions_path(task);
    npy::write_npy_f32(path, probabilities.view())?;
    Ok(run.seal_task(task)?)
}

/// A model in the making: what it is fitted on, and who is told.
pub(crate) struct Fit<'f, 'w> {
    pub(crate) run: &'f Run,
    pub(crate) task: &'f Task,
    pub(crate) data: &'f FoldData<'f>,
    pub(crate) guides: &'f Guides,
    pub(crate) journal: &'f Journal<'f>,
    pub(crate) watch: &'f Watch<'f>,
    pub(crate) worker: &'f mut Worker<'w>,
}

/// An epoch that has ended, for the journal.
pub(crate) struct Epoch {
    /// From 1.
    pub(crate) epoch: usize,
    /// Steps so far.
    pub(crate) step: usize,
    pub(crate) learning_rate: f64,
    pub(crate) train: EpochLosses,
    pub(crate) validation: Option<ValidationScores>,
}

/// Writes an epoch of a task to the journal, where the run is still this process's.
pub(crate) fn record(
    watch: &Watch<'_>,
    journal: &Journal<'_>,
    task: &Task,
    epoch: Epoch,
) -> Result<()> {
    watch.refuse_lost(journal.run)?;
    let record = EpochRecord {
        fold: task.fold,
        subject: task.subject.clone(),
        holdout: task.holdout.clone(),
        epoch: epoch.epoch,
        step: epoch.step,
        learning_rate: epoch.learning_rate,
        train: epoch.train,
        validation: epoch.validation,
        time: now(),
    };
    journal.write(task, &record)
}
