//! The families there are. Network or closed form is decided here, once.

mod alignment;
mod architecture;
mod linear;
mod network;
mod trainer;

use mused_kernels::{KernelBackend, TrainBackend};
use mused_run::{Config, Family, Run, Task};

use crate::learner::{Learner, Model};
use crate::model_file::{Architecture, ModelDescription};
use crate::{Result, checkpoint};

#[cfg(test)]
pub(crate) use architecture::{losses, network as network_of};
pub(crate) use network::{Network, evaluation_batch};
pub(crate) use trainer::saved_step;

/// The learner of a configuration.
pub(crate) fn learner<B: TrainBackend>(config: &Config) -> Box<dyn Learner + '_> {
    match &config.model.family {
        Family::Transformer(_) | Family::BrainFormer(_) | Family::Mlp(_) => {
            Box::new(network::Networks::<B>::new(config))
        }
        Family::Ridge(_) | Family::AlignedRidge(_) | Family::Prevalence(_) => {
            Box::new(linear::ClosedForms::new(config))
        }
    }
}

/// The model of a task that is done.
pub(crate) fn restore<B: KernelBackend>(
    run: &Run,
    task: &Task,
) -> Result<(ModelDescription, Box<dyn Model>)> {
    let path = run.model_path(task);
    let (description, tensors) = checkpoint::read::<ModelDescription>(&path)?;
    let model: Box<dyn Model> = match &description.model {
        Architecture::Network(network) => Box::new(Network::<B>::restore(network, tensors)?),
        Architecture::Linear(linear) => Box::new(linear::LinearModel::restore(linear, tensors)?),
    };
    Ok((description, model))
}
