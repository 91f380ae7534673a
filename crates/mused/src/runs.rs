//! What can be done with runs: score, compare, predict, explain, search for leaks, exchange checkpoints.

use std::path::Path;
use std::slice::from_ref;

use mused_data::Dataset;
use mused_data::audit::Report;
use mused_results::Comparison;
use mused_run::{Results, Run, Task};
use mused_stats::metrics::Undefined;
use mused_train::{
    AdaptRequest, Explanation, ModelInputs, PartDrop, Probabilities, PublishedRequest, Tensors,
};

use mused_kernels::Training;

use crate::Result;
use crate::device::chosen;

/// Scores the test predictions of a run, a subject at a time, and writes its `results.json`.
///
/// # Errors
/// When the run is not complete or its files contradict each other.
pub fn evaluate(run: &Run) -> Result<Results> {
    evaluate_with(run, Undefined::Exclude)
}

/// As [`evaluate`], with another rule for labels that cannot be scored.
///
/// # Errors
/// As there.
pub fn evaluate_with(run: &Run, undefined: Undefined) -> Result<Results> {
    let results = mused_results::evaluate(run, undefined)?;
    run.write_results(&results)?;
    Ok(results)
}

/// How run `b` differs from run `a` on the same test samples: b - a.
///
/// # Errors
/// Runs that are not complete, or whose subjects, stimuli, labels or targets differ.
pub fn compare(a: &Run, b: &Run) -> Result<Comparison> {
    compare_seeds(from_ref(a), from_ref(b))
}

/// As [`compare`], of two models that have a run a seed: the mean over seeds.
///
/// # Errors
/// As there; no run, or other numbers of runs.
pub fn compare_seeds(a: &[Run], b: &[Run]) -> Result<Comparison> {
    Ok(mused_results::compare(a, b)?)
}

/// Makes a run of a trained one for a person it was not trained on, from some trials of that person: see
/// [`mused_train::adapt`].
///
/// # Errors
/// As there.
pub fn adapt(request: &AdaptRequest<'_>) -> Result<Run> {
    Ok(on_device!(chosen(), Engine => mused_train::adapt::<Training<Engine>>(request))?)
}

/// Label probabilities of every subject and stimulus of `dataset`, the mean over the run's models. Stimuli of the run's
/// own dataset were trained on by some of them: honest scores are those of [`evaluate`].
///
/// # Errors
/// When the run is not complete, a subject or region is unknown to it, or responses do not fit.
pub fn predict(run: &Run, dataset: &Dataset) -> Result<Probabilities> {
    Ok(on_device!(chosen(), Engine => mused_train::predict::<Engine>(run, dataset))?)
}

/// Writes the folder `explain/` of a run: see [`mused_train::explain`].
///
/// # Errors
/// As there.
pub fn explain(
    run: &Run,
    dataset: &Dataset,
    fold: usize,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Explanation> {
    Ok(
        on_device!(chosen(), Engine => mused_train::explain::<Engine>(run, dataset, fold, progress))?,
    )
}

/// What each region alone says, by ridge regression fitted without it: see [`mused_train::unique_contributions`].
///
/// # Errors
/// As there.
pub fn unique_contributions(
    run: &Run,
    dataset: &Dataset,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<PartDrop>> {
    Ok(mused_train::unique_contributions::<
        mused_kernels::CpuTraining,
    >(run, dataset, progress)?)
}

/// Searches a complete run for ways in which test data reached training.
///
/// # Errors
/// A run that is not complete; a dataset that is not where it was, or not what it was.
pub fn audit_run(run: &Run) -> Result<Report> {
    Ok(mused_train::audit_run::<mused_kernels::CpuTraining>(run)?)
}

/// Makes a complete run of a checkpoint of the published code.
///
/// # Errors
/// A file that is no state dict of the volume model; subjects or labels that are not those of the dataset.
pub fn import_published(request: &PublishedRequest<'_>) -> Result<()> {
    Ok(mused_train::import_published::<mused_kernels::CpuTraining>(
        request,
    )?)
}

/// Writes the weights of a fold under the names and in the shapes of the published code.
///
/// # Errors
/// A run that is not complete or not of the volume model; a fold it does not have; a file that exists.
pub fn export_published(run: &Run, fold: usize, out: &Path) -> Result<()> {
    Ok(mused_train::export_published::<mused_kernels::Cpu>(
        run, fold, out,
    )?)
}

/// The weights of a model of a run, and as JSON what they are of: `model`, `subjects`, `labels`, `members`.
///
/// # Errors
/// A run that is not complete; a file that is missing or damaged.
pub fn weights(run: &Run, task: &Task) -> Result<(String, Tensors)> {
    Ok(mused_train::weights(run, task)?)
}

/// What a model of a run reads of everything in a dataset.
///
/// # Errors
/// A run that is not complete, a subject or region unknown to it, or responses that do not fit.
pub fn model_inputs(run: &Run, task: &Task, dataset: &Dataset) -> Result<ModelInputs> {
    Ok(mused_train::model_inputs::<mused_kernels::Cpu>(
        run, task, dataset,
    )?)
}

/// Makes a run like a trained one whose networks have other weights: see [`mused_train::reweigh`].
///
/// # Errors
/// As there.
pub fn reweigh(run: &Run, dataset: &Dataset, weights: Vec<Tensors>, out: &Path) -> Result<Run> {
    let (source, path) = (run, out);
    Ok(
        on_device!(chosen(), Engine => mused_train::reweigh::<Training<Engine>>(source, dataset, weights, path))?,
    )
}
