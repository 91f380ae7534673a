//! The ridge regression beside a network: the same data, folds, control and seed, so that what the network adds is seen.

use std::time::Instant;

use mused_data::{Arrangement, Dataset};
use mused_run::{Config, EpochLosses, Layers, Run, Tokenizer};
use mused_train::{Outcome, Progress, TrainRequest};

use crate::{CpuTraining, Error, Result};

/// Where the values of its configuration come from.
const ORIGIN: &str = "the network beside it";

/// Trains the ridge regression beside a network, goes on with it, or mends what is damaged of it.
///
/// # Errors
/// Data that no ridge regression can be fitted to, or a training that fails.
pub(crate) fn complete(
    network: &Run,
    config: &Config,
    dataset: &Dataset,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Outcome> {
    let started = Instant::now();
    let (model, layers) = layers(config, dataset)?;
    let path = &network.ridge_path();
    let quiet = &Quiet(progress);
    let outcome = match Run::exists(path) {
        true => mused_train::resume::<CpuTraining>(dataset, path, threads, quiet)?,
        false => {
            let request = TrainRequest {
                dataset,
                layers: &layers,
                run: path,
                threads,
            };
            mused_train::train::<CpuTraining>(&request, quiet)?
        }
    };
    if outcome == Outcome::Complete {
        progress.note(&format!(
            "ridge regression beside the network, to be held against it ({model}, {:.1} s): {}",
            started.elapsed().as_secs_f64(),
            path.display()
        ));
    }
    Ok(outcome)
}

/// Which ridge regression it is, and its configuration: that of the network, but voxels are read as they are.
fn layers(config: &Config, dataset: &Dataset) -> Result<(&'static str, Layers)> {
    let held_out = !config.split.holdout_subject.is_empty();
    if held_out && !dataset.shares_space() {
        let why = "a subject is left out, and ridge regression of the others cannot read voxels in a space of its own";
        return Err(Error::from(mused_run::Error::Request(why.to_owned())));
    }
    let mut layers = Layers::inherited(config, ORIGIN)?;
    layers.insert("model.inputs", "voxels", ORIGIN)?;
    layers.insert("model.roi_components", 0, ORIGIN)?;
    if config.model.inputs.tokenizer == Tokenizer::Grid {
        // The grid is mostly no brain.
        layers.insert("model.tokenizer", Tokenizer::Auto.name(), ORIGIN)?;
    }
    let mut model = match held_out {
        true => "ridge-pooled",
        false => "ridge-separate",
    };
    layers.model(model)?;
    let arrangement = layers.config()?.arrangement(dataset.description.kind);
    if !held_out && arrangement == Arrangement::Regions && dataset.roi_names().len() > 1 {
        model = "ridge-stacked";
        layers.model(model)?;
    }
    Ok((model, layers))
}

/// Notes pass, and the wish to stop.
struct Quiet<'p>(&'p dyn Progress);

impl Progress for Quiet<'_> {
    fn note(&self, message: &str) {
        self.0.note(message);
    }

    fn interrupted(&self) -> bool {
        self.0.interrupted()
    }
}
