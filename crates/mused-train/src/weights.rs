//! Weights of a run's models out to other programs and back in, and what those models read.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use mused_data::{Dataset, InputReader, samples};
use mused_formats::make_folder;
use mused_kernels::{KernelBackend, TrainBackend};
use mused_run::{Division, Layers, Run, Task};
use ndarray::Array2;

use crate::families::{Network, learner, restore};
use crate::journal::Journal;
use crate::learner::save;
use crate::model_file::ModelDescription;
use crate::parameters::below_one_another;
use crate::plan::Plan;
use crate::reading::settle;
use crate::sample_set::SampleSet;
use crate::training::{controlled, record};
use crate::{Error, Result, checkpoint};

/// Tensors by name: shape and values in C order.
pub type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// Why a run of foreign weights has no ridge regression beside it.
const NO_RIDGE: &str = "the weights of the run were brought in from outside, not trained here";

/// The weights of a model, and as JSON what they are of: `model`, `subjects`, `labels`, `members`.
///
/// # Errors
/// A run that is not complete; a file that is missing or damaged.
pub fn weights(run: &Run, task: &Task) -> Result<(String, Tensors)> {
    run.refuse_incomplete()?;
    let path = run.model_path(task);
    let (description, tensors) = checkpoint::read_of::<ModelDescription>(run, &path)?;
    let tensors = match description.model.network() {
        Ok(network) => below_one_another(tensors, network),
        Err(_) => tensors,
    };
    let description = serde_json::to_string(&description)
        .map_err(|error| Error::invalid(&path, error.to_string()))?;
    Ok((description, tensors))
}

/// What a model reads of some samples.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelInputs {
    /// Subject and stimulus of each row.
    pub rows: Vec<(String, String)>,
    /// rows × input width
    pub inputs: Array2<f32>,
    /// rows × subject tokens; each row sums to 1.
    pub subject_weights: Array2<f32>,
    /// rows × regions, 1 where a subject has one.
    pub mask: Array2<f32>,
}

/// What a model reads of everything in a dataset.
///
/// # Errors
/// A run that is not complete, a subject or region unknown to it, or responses that do not fit.
pub fn model_inputs<B: KernelBackend>(
    run: &Run,
    task: &Task,
    dataset: &Dataset,
) -> Result<ModelInputs> {
    run.refuse_incomplete()?;
    let (description, _, transform) = restore::<B>(run, task)?;
    let subjects: Vec<usize> = match &task.subject {
        None => (0..dataset.subjects.len()).collect(),
        Some(id) => vec![dataset.subject(id)?],
    };
    let stimuli: Vec<usize> = (0..dataset.stimuli.len()).collect();
    let samples = samples(dataset, &subjects, &stimuli);
    let names = samples.iter().map(|sample| {
        let subject = dataset.subjects[sample.subject].id.clone();
        (subject, dataset.stimuli[sample.stimulus].id.clone())
    });
    let rows = names.collect();
    let reader = Arc::new(InputReader::new(dataset, Arc::new(transform), &subjects)?);
    let tokens = description.model.subjects();
    let set = SampleSet::new(reader, samples, &description.subjects, tokens)?;
    let all: Vec<usize> = (0..set.len()).collect();
    Ok(ModelInputs {
        rows,
        inputs: set.inputs(&all)?,
        subject_weights: set.subject_weights(&all),
        mask: set.slots(&all),
    })
}

/// A run like a trained one, whose networks have other weights: those of its models in their order. Test samples are
/// predicted anew, the rest is that of `source`.
///
/// # Errors
/// A source that is not complete, was adapted or made on another dataset, or whose models are no networks; weights of other
/// names or shapes; a folder that exists.
pub fn reweigh<B: TrainBackend>(
    source: &Run,
    dataset: &Dataset,
    weights: Vec<Tensors>,
    path: &Path,
) -> Result<Run> {
    source.refuse_incomplete()?;
    if source.record().adapted.is_some() {
        return Err(Error::invalid(
            source.path(),
            "the run was adapted: bring weights into the run that it was adapted from, and adapt that one",
        ));
    }
    source.check_dataset(dataset)?;
    Run::refuse_occupied(path)?;
    let mut config = source.resolved_config()?;
    let asked = config.clone();
    let given = dataset;
    let dataset = &controlled(dataset, &config);
    let aligned = settle(&mut config, dataset)?;
    let learner = learner::<B>(&config);
    let mut plan = Plan::new(dataset, &config, learner.as_ref())?;
    plan.resolved.inputs.aligned = aligned;
    let divided =
        source.tasks() == plan.tasks && source.division()? == Division::of(dataset, &plan.folds);
    if !divided || weights.len() != plan.tasks.len() {
        return Err(Error::invalid(
            source.path(),
            format!(
                "expected the weights of {} models, divided as this version of mused does, found those of {}",
                source.tasks().len(),
                weights.len()
            ),
        ));
    }
    // Nothing is created before everything fits.
    let mut models = Vec::new();
    for (task, tensors) in plan.tasks.iter().zip(weights) {
        let (description, _, transform) = restore::<B::InnerBackend>(source, task)?;
        let network = description.model.network()?;
        let model = Network::<B::InnerBackend>::restore(network, description.members, tensors)
            .map_err(|error| Error::Request(format!("{}: {error}", task.name())))?;
        let data = plan.load(dataset, &config, learner.as_ref(), task, (transform, None))?;
        models.push((data, model));
    }
    let mut record = record(
        given,
        &plan,
        source.record().audit.clone(),
        rayon::current_num_threads(),
    )?;
    record.config = Some(asked);
    record.no_ridge = Some(NO_RIDGE.to_owned());
    let _alone = Run::claim(path)?;
    let run = Run::create(path, record, &Layers::of(&config)?, dataset, &plan.folds)?;
    Journal::open(&run, &[])?;
    for (task, (data, model)) in plan.tasks.iter().zip(&models) {
        let folder = run.task_folder(task);
        make_folder(&folder).map_err(Error::io("cannot create", &folder))?;
        save(&run, task, data, model, 0, &config)?;
    }
    plan.gather(dataset, &run)?;
    Ok(run.finish()?)
}
