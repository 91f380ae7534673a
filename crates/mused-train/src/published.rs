//! Checkpoints of the published code: in as a run, out as safetensors.

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use mused_data::Dataset;
use mused_formats::{replace_file, replace_folder, torch_pickle};
use mused_kernels::{KernelBackend, TrainBackend};
use mused_model::{BrainFormerConfig, NamedTensors, StateTensor};
use mused_run::{Family, Layers, Run};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use safetensors::tensor::{Dtype, View};
use safetensors::{SafeTensors, serialize};

use crate::families::{Network, learner};
use crate::learner::save;
use crate::model_file::ModelDescription;
use crate::plan::Plan;
use crate::training::record;
use crate::{Error, Result, checkpoint};

/// PyTorch's count of batches a normalisation has seen, an integer that changes no output.
const BATCH_COUNT: &str = "num_batches_tracked";

/// A checkpoint of the published code and what it is to decode.
#[derive(Debug)]
pub struct PublishedRequest<'a> {
    /// A state dict: `.safetensors`, or anything `torch.save` writes.
    pub checkpoint: &'a Path,
    /// The data to decode; its test part is predicted.
    pub dataset: &'a Dataset,
    /// Configuration; the sizes of the network are taken from the checkpoint.
    pub layers: &'a Layers,
    /// Subjects in the order of the checkpoint's tokens; empty = those of the dataset.
    pub subjects: &'a [String],
    /// Run directory to create.
    pub run: &'a Path,
}

/// Makes a complete run of a checkpoint of the published code, as if it had been trained here, and
/// predicts the test part of the dataset with it.
///
/// # Errors
/// A file that is no state dict; every missing, surplus and mis-shaped tensor; subjects or labels
/// that are not those of the dataset. Nothing is created then.
pub fn import_published<B: TrainBackend>(request: &PublishedRequest<'_>) -> Result<()> {
    let PublishedRequest {
        dataset,
        subjects,
        run,
        ..
    } = *request;
    Run::refuse_occupied(run)?;
    let state = read_state(request.checkpoint)?;
    let refused = |message: String| Error::invalid(request.checkpoint, message);
    let mut layers = request.layers.clone();
    layers.insert("model.family", "brainformer", "the checkpoint")?;
    let Family::BrainFormer(model) = layers.config()?.model.family else {
        return Err(refused("expected the sizes of a volume model".to_owned()));
    };
    let sizes = BrainFormerConfig::of_state(&state, model.heads)
        .map_err(|error| refused(error.to_string()))?;
    set_sizes(&mut layers, &sizes)?;
    let config = layers.config()?;

    let learner = learner::<B>(&config);
    let mut plan = Plan::new(dataset, &config, learner.as_ref())?;
    if !subjects.is_empty() {
        let lacking: Vec<&str> = subjects
            .iter()
            .filter(|id| dataset.subject(id).is_err())
            .map(String::as_str)
            .collect();
        if !lacking.is_empty() {
            let known: Vec<&str> = dataset.subjects.iter().map(|s| s.id.as_str()).collect();
            return Err(Error::Request(format!(
                "{} has no subjects {}; it has {}",
                dataset.description.name,
                lacking.join(", "),
                known.join(", ")
            )));
        }
        let index = |id: &String| Ok(dataset.subject(id)?);
        plan.trained = subjects.iter().map(index).collect::<Result<_>>()?;
    }
    let [tokens, given] = [sizes.subjects, plan.trained.len()];
    if tokens != given {
        return Err(refused(format!(
            "expected the tokens of {given} subjects ({}), found those of {tokens}: name the \
             checkpoint's subjects, in its order, with --subjects",
            plan.trained_ids(dataset).join(", ")
        )));
    }
    let labels = dataset.labels.names.len();
    if sizes.labels != labels {
        return Err(refused(format!(
            "expected the {labels} labels of {}, found {}: import the dataset with the labels, in \
             the order, that the checkpoint was trained on",
            dataset.description.name, sizes.labels
        )));
    }
    let [task] = plan.tasks.as_slice() else {
        let message = "a checkpoint is one model: model.subjects cannot be separate";
        return Err(Error::Request(message.to_owned()));
    };
    let made = plan.transform(dataset, &config, task, |_, fit| Ok(fit()?))?;
    let data = plan.load(dataset, &config, learner.as_ref(), task, made)?;
    let device = B::Device::default();
    // The drawn weights are all replaced.
    let rng = &mut ChaCha8Rng::seed_from_u64(0);
    let network = data.description.model.network()?;
    let mut model = network.init::<B::InnerBackend>(rng, &device)?;
    model
        .load_state(state)
        .map_err(|error| refused(error.to_string()))?;

    let record = record(dataset, &plan, None, rayon::current_num_threads())?;
    // Its place is taken when it is complete: what a killed process left there would be trained by --resume.
    let name = run.file_name().unwrap_or_default();
    let work = run.with_file_name(format!(".{}.partial", name.display()));
    let alone = Run::claim(&work)?;
    let partial = &work.join("run");
    if partial.exists() {
        fs::remove_dir_all(partial).map_err(Error::io("cannot remove", partial))?;
    }
    let made = Run::create(partial, record, &layers, dataset, &plan.folds)?;
    save(
        &made,
        task,
        &data,
        &Network::<B::InnerBackend>::new(vec![model], device),
        0,
        &config,
    )?;
    plan.gather(dataset, &made)?;
    made.finish()?;
    replace_folder(partial, run)?;
    drop(alone);
    fs::remove_dir(&work).map_err(Error::io("cannot remove", &work))
}

fn set_sizes(layers: &mut Layers, sizes: &BrainFormerConfig) -> Result<()> {
    let origin = "the checkpoint";
    let list = |values: &[usize]| -> toml::Value {
        values
            .iter()
            .map(|&value| value as i64)
            .collect::<Vec<_>>()
            .into()
    };
    let depth = i64::from(sizes.depth.layers());
    layers.insert("model.depth", depth, origin)?;
    layers.insert("model.stem", list(&sizes.stem), origin)?;
    layers.insert("model.stages", list(&sizes.stages), origin)?;
    layers.insert("model.head_dim", sizes.head_dim as i64, origin)?;
    layers.insert("model.mlp", list(&sizes.mlp), origin)?;
    layers.insert("split.folds", 1, origin)?;
    // Nothing is selected, so nothing needs to be set apart.
    Ok(layers.insert("split.validation_fraction", 0.0, origin)?)
}

/// Reads the floating-point tensors of a state dict.
fn read_state(path: &Path) -> Result<NamedTensors> {
    let mut state = NamedTensors::new();
    if path
        .extension()
        .is_some_and(|extension| extension == "safetensors")
    {
        let bytes = fs::read(path).map_err(Error::io("cannot read", path))?;
        let refused = |message: String| Error::invalid(path, message);
        let file = SafeTensors::deserialize(&bytes).map_err(|error| refused(error.to_string()))?;
        for (name, view) in file.tensors() {
            if name.ends_with(BATCH_COUNT) {
                continue;
            }
            if view.dtype() != Dtype::F32 {
                let found = view.dtype();
                return Err(refused(format!(
                    "{name}: expected f32 values, found {found:?}"
                )));
            }
            let (words, _) = view.data().as_chunks::<4>();
            let tensor = StateTensor {
                shape: view.shape().to_vec(),
                values: words.iter().map(|word| f32::from_le_bytes(*word)).collect(),
            };
            state.insert(name, tensor);
        }
    } else {
        let file = torch_pickle::open(path)?;
        let entries: Vec<(String, Vec<usize>)> = file
            .tensors()
            .filter(|(name, _)| !name.ends_with(BATCH_COUNT))
            .map(|(name, entry)| (name.to_owned(), entry.shape().to_vec()))
            .collect();
        for (name, shape) in entries {
            let values = file.read_f32(&name)?;
            state.insert(name, StateTensor { shape, values });
        }
    }
    // As saved from several GPUs.
    let parallel = "module.";
    if !state.is_empty() && state.keys().all(|name| name.starts_with(parallel)) {
        let named = state.into_iter();
        state = named
            .map(|(name, tensor)| (name[parallel.len()..].to_owned(), tensor))
            .collect();
    }
    Ok(state)
}

/// Writes the weights of a fold of a run under the names and in the shapes of the published code,
/// as a safetensors file that PyTorch's `load_state_dict` takes.
///
/// # Errors
/// A run that is not complete or not of the volume model; a fold it does not have; a file that
/// exists.
pub fn export_published<B: KernelBackend>(run: &Run, fold: usize, out: &Path) -> Result<()> {
    if out.exists() {
        return Err(mused_data::Error::Exists(out.to_owned()).into());
    }
    run.refuse_incomplete()?;
    let models = run.tasks();
    let task = models
        .iter()
        .find(|model| model.fold == fold)
        .ok_or_else(|| {
            let last = models.iter().map(|model| model.fold).max();
            Error::Request(format!(
                "{} has no fold {fold}: expected one of 0 to {}",
                run.path().display(),
                last.unwrap_or(0)
            ))
        })?;
    let path = run.model_path(task);
    let (description, weights) = checkpoint::read_of::<ModelDescription>(run, &path)?;
    let model = description.model.network()?;
    let network = Network::<B>::restore(model, description.members, weights)?;
    let state = match network.single() {
        Some(network) => network.state()?,
        None => {
            let message = "a checkpoint is one network: train with train.ensemble=1";
            return Err(Error::Request(message.to_owned()));
        }
    };
    let counts: Vec<String> = state
        .keys()
        .filter_map(|name| name.strip_suffix("running_mean"))
        .map(|norm| format!("{norm}{BATCH_COUNT}"))
        .collect();
    let counts = counts.into_iter().map(|name| (name, Exported::Count));
    let tensors = state
        .into_iter()
        .map(|(name, tensor)| (name, Exported::Weights(tensor)));
    let content = serialize(tensors.chain(counts), None);
    let content = content.map_err(|error| Error::invalid(out, error.to_string()))?;
    Ok(replace_file(out, &content)?)
}

/// A tensor of an exported state dict.
enum Exported {
    Weights(StateTensor),
    /// A scalar 0.
    Count,
}

impl View for Exported {
    fn dtype(&self) -> Dtype {
        match self {
            Self::Weights(_) => Dtype::F32,
            Self::Count => Dtype::I64,
        }
    }

    fn shape(&self) -> &[usize] {
        match self {
            Self::Weights(tensor) => &tensor.shape,
            Self::Count => &[],
        }
    }

    fn data(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Weights(tensor) => tensor.values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Self::Count => Cow::Borrowed(&[0; 8]),
        }
    }

    fn data_len(&self) -> usize {
        match self {
            Self::Weights(tensor) => 4 * tensor.values.len(),
            Self::Count => 8,
        }
    }
}
