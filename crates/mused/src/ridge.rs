//! The ridge regression beside a network: the same data, folds, control and seed, so that what the network adds is seen.

use std::time::Instant;

use mused_data::{Arrangement, Dataset, Kind};
use mused_kernels::CpuTraining;
use mused_results::seeds::Seeded;
use mused_results::verdict;
use mused_run::{Config, Layers, Run, Standing, Tokenizer, Verdict};
use mused_stats::summary::mean;
use mused_train::{Outcome, Progress, TrainRequest};

use crate::benchmark::{Entry, by_model, opened};
use crate::{Error, Result};

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
        progress.beside(model, path, started.elapsed());
    }
    Ok(outcome)
}

/// Which ridge regression it is, and its configuration: that of the network, but voxels are read as they are.
///
/// # Errors
/// A division that no ridge regression can follow.
pub(crate) fn layers(config: &Config, dataset: &Dataset) -> Result<(&'static str, Layers)> {
    let held_out = !config.split.holdout_subject.is_empty();
    if held_out && !dataset.shares_space() {
        let why = Run::RIDGE_OF_OTHERS.to_owned();
        return Err(Error::from(mused_run::Error::Request(why)));
    }
    let mut layers = Layers::inherited(config, ORIGIN)?;
    layers.insert("model.inputs", "voxels", ORIGIN)?;
    layers.insert("model.roi_components", 0, ORIGIN)?;
    if config.model.inputs.tokenizer == Tokenizer::Grid {
        // The grid is mostly no brain.
        layers.insert("model.tokenizer", Tokenizer::Auto.name(), ORIGIN)?;
    }
    // In a space of all, one regression learns from everybody, as the network does. Whole volumes of all at once are more
    // than most machines hold.
    let kind = dataset.description.kind;
    let space_of_all = kind != Kind::Volume && dataset.shares_space();
    let pooled = held_out || (space_of_all && dataset.subjects.len() > 1);
    let mut model = match pooled {
        true => "ridge-pooled",
        false => "ridge-separate",
    };
    layers.model(model)?;
    let arrangement = layers.config()?.arrangement(kind);
    if !pooled && arrangement == Arrangement::Regions && dataset.roi_names().len() > 1 {
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

/// The best network of a benchmark against every ridge regression in it.
#[derive(Debug)]
pub struct AgainstRidges {
    /// Name of the network.
    pub network: String,
    /// Networks that it is the best of.
    pub of: usize,
    /// Each regression, the best first, and how the network stands to it or why that is not known.
    pub ridges: Vec<(String, std::result::Result<Verdict, String>)>,
}

/// Holds the network with the highest average precision against every ridge regression; `None` where one of them is
/// missing. Controls with shuffled responses are no competitors.
pub fn against_ridges(entries: &[Entry]) -> Option<AgainstRidges> {
    let (mut networks, mut ridges) = (Vec::new(), Vec::new());
    for model in by_model(entries) {
        let scores = model.runs.iter().map(|(_, entry)| {
            let results = entry.results.as_ref().ok()?;
            results.macro_scores.average_precision.mean
        });
        let score = scores.collect::<Option<Vec<f64>>>().and_then(|s| mean(&s));
        let first = model.runs.first();
        let config = first.and_then(|(_, entry)| Run::open(&entry.run).ok()?.config().ok());
        let (Some(score), Some(config)) = (score, config) else {
            continue;
        };
        let family = &config.model.family;
        match config.model.inputs.shuffled_brain {
            false if family.by_steps() => networks.push((score, model)),
            false if family.is_ridge() => ridges.push((score, model)),
            _ => {}
        }
    }
    // Of equals the first of the table.
    for models in [&mut networks, &mut ridges] {
        models.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    }
    let (_, network) = networks.first()?;
    let stands = |ridge: &Seeded<&Entry>| {
        let (of_ridge, of_network) = opened(ridge, network).map_err(|error| error.to_string())?;
        verdict(&of_ridge, &of_network).map_err(|error| error.to_string())
    };
    let ridges: Vec<_> = (ridges.iter())
        .map(|(_, ridge)| (ridge.model.clone(), stands(ridge)))
        .collect();
    (!ridges.is_empty()).then(|| AgainstRidges {
        network: network.model.clone(),
        of: networks.len(),
        ridges,
    })
}

impl AgainstRidges {
    /// The verdicts in words, and what follows from them.
    pub fn sentences(&self) -> Vec<String> {
        let network = &self.network;
        let mut sentences: Vec<String> = (self.ridges.iter())
            .map(|(ridge, verdict)| match verdict {
                Ok(verdict) => verdict.sentence(network, ridge),
                Err(why) => format!("{network} is not held against {ridge}: {why}."),
            })
            .collect();
        if let Some((ridge, Ok(verdict))) = self.ridges.first()
            && verdict.standing == Standing::Below
        {
            sentences.push(format!("Use {ridge}."));
        }
        if self.of > 1 {
            sentences.push(format!(
                "{network} is the best of {} networks by these very scores, which flatters it.",
                self.of
            ));
        }
        sentences
    }
}
