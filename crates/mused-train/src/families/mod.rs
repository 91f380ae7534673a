//! The families there are. Network or closed form is decided here, once.

mod alignment;
mod architecture;
mod linear;
mod network;
mod precision;
mod trainer;

use mused_data::InputTransform;
use mused_kernels::{KernelBackend, TrainBackend};
use mused_run::{Config, Family, Run, Task};

use crate::learner::{Learner, Model};
use crate::model_file::{Architecture, ModelDescription};
use crate::{Error, Result, checkpoint, inputs};

#[cfg(test)]
pub(crate) use architecture::{losses, network as network_of};
pub(crate) use linear::{LinearModel, parts};
pub(crate) use network::{Network, evaluation_batch};
pub(crate) use trainer::{forget_states, sound_step};

/// The learner of a configuration.
pub(crate) fn learner<B: TrainBackend>(config: &Config) -> Box<dyn Learner + '_> {
    match &config.model.family {
        Family::Transformer(_)
        | Family::BrainFormer(_)
        | Family::Mlp(_)
        | Family::SubjectLinear(_) => Box::new(network::Networks::<B>::new(config)),
        Family::Ridge(_) | Family::AlignedRidge(_) | Family::Prevalence(_) => {
            Box::new(linear::ClosedForms::new(config))
        }
    }
}

/// The model of a task that is done, and what makes its inputs.
///
/// # Errors
/// Files that are not those that the run has on record, or that do not fit one another.
pub(crate) fn restore<B: KernelBackend>(
    run: &Run,
    task: &Task,
) -> Result<(ModelDescription, Box<dyn Model>, InputTransform)> {
    let path = run.model_path(task);
    let (description, tensors) = checkpoint::read_of::<ModelDescription>(run, &path)?;
    let transform = inputs::read(run, task)?;
    if let Some(found) = description.misfit(&transform.layout) {
        let inputs = run.inputs_path(task);
        let message = format!(
            "expected the model of the inputs that {} makes, found {found}: it is of another run",
            inputs.display()
        );
        return Err(run.damaged(&Error::invalid(path, message)).into());
    }
    let model = match &description.model {
        Architecture::Network(network) => {
            Network::<B>::restore(network, description.members, tensors)
                .map(|model| Box::new(model) as Box<dyn Model>)
        }
        Architecture::Linear(linear) => {
            linear::LinearModel::restore(linear, tensors).map(|model| Box::new(model) as _)
        }
    };
    let model = model.map_err(|error| run.damaged(&Error::invalid(path, error.to_string())))?;
    Ok((description, model, transform))
}
