use std::fs;
use std::time::{Duration, Instant};

use burn::module::AutodiffModule;
use mused_kernels::TrainBackend;
use mused_model::{Decoder, LossConfig};
use mused_run::{Config, EpochLosses, Run, Task, ValidationScores};
use ndarray::Array2;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::architecture::losses;
use super::network::Network;
use crate::fold_data::{FoldData, Guides};
use crate::journal::Journal;
use crate::learner::{Epoch, Fit, Model as _, record};
use crate::optimizer::Optimizer;
use crate::parameters::{NamedTensors, collect, restore};
use crate::random::{Purpose, stream};
use crate::schedule::learning_rate;
use crate::scoring::validation_scores;
use crate::update::{Chosen, losses_and_gradients};
use crate::{Error, Progress, Result, checkpoint};

/// Least time between saved states: a killed run loses no more, unless its state is so large that
/// writing it would take more than a twentieth of the time.
const SAVE_EVERY: Duration = Duration::from_secs(20);

/// Where a network stands between two steps, beside its tensors.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Standing {
    /// Steps done.
    step: usize,
    /// Sums over the steps of the current epoch.
    sums: EpochLosses,
    /// Best validation average precision so far.
    best: Option<f64>,
}

/// Steps a task has done, as its saved state tells.
pub(crate) fn saved_step(run: &Run, task: &Task) -> usize {
    checkpoint::read_description::<Standing>(&run.state_path(task))
        .map_or(0, |standing| standing.step)
}

/// One network in training.
pub(crate) struct Trainer<'f, B: TrainBackend> {
    run: &'f Run,
    task: &'f Task,
    config: &'f Config,
    losses: LossConfig,
    data: &'f FoldData<'f>,
    guides: &'f Guides,
    journal: &'f Journal<'f>,
    progress: &'f dyn Progress,
    /// Steps in all.
    total: usize,
    device: B::Device,
    model: Decoder<B>,
    optimizer: Optimizer<B>,
    standing: Standing,
    best: Option<NamedTensors>,
    /// Order of the training samples in the current epoch.
    order: Vec<usize>,
    /// Inputs of the step after this one, read while this one was computed.
    ahead: Option<Array2<f32>>,
    saved: Instant,
    save_every: Duration,
}

impl<'f, B: TrainBackend> Trainer<'f, B> {
    /// A network at its start, or where its saved state left it.
    pub(crate) fn new(fit: &Fit<'f, '_>, config: &'f Config, total: usize) -> Result<Self> {
        let Fit { run, task, .. } = *fit;
        let folder = run.task_folder(task);
        fs::create_dir_all(&folder).map_err(Error::io("cannot create", &folder))?;
        let device = B::Device::default();
        let seed = stream(config.train.seed, task.index, Purpose::Weights, 0);
        let network = fit.data.description.model.network()?;
        let mut trainer = Self {
            run,
            task,
            config,
            losses: losses(&config.loss),
            data: fit.data,
            guides: fit.guides,
            journal: fit.journal,
            progress: fit.progress,
            total,
            model: network.init::<B>(&mut ChaCha8Rng::seed_from_u64(seed), &device)?,
            device,
            optimizer: Optimizer::new(),
            standing: Standing::default(),
            best: None,
            order: Vec::new(),
            ahead: None,
            saved: Instant::now(),
            save_every: SAVE_EVERY,
        };
        if run.state_path(task).exists() {
            trainer.load()?;
        }
        trainer.order = trainer.epoch_order(trainer.standing.step);
        Ok(trainer)
    }

    fn steps_per_epoch(&self) -> usize {
        self.data.train.len().div_ceil(self.config.train.batch_size)
    }

    pub(crate) fn finished(&self) -> bool {
        self.standing.step >= self.total
    }

    /// Order of the training samples in the epoch of a step.
    fn epoch_order(&self, step: usize) -> Vec<usize> {
        let epoch = step / self.steps_per_epoch();
        let seed = stream(
            self.config.train.seed,
            self.task.index,
            Purpose::Order,
            epoch,
        );
        let mut order: Vec<usize> = (0..self.data.train.len()).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        order
    }

    /// One optimisation step; at the end of an epoch also validation and the journal.
    pub(crate) fn step(&mut self) -> Result<()> {
        let (config, step) = (self.config, self.standing.step);
        let (per_epoch, size) = (self.steps_per_epoch(), config.train.batch_size);
        let of_step = |order: &[usize], step: usize| -> Vec<usize> {
            let rest = &order[step % per_epoch * size..];
            rest[..size.min(rest.len())].to_vec()
        };
        let samples = of_step(&self.order, step);
        let last = (step + 1).is_multiple_of(per_epoch);
        if last {
            self.order = self.epoch_order(step + 1);
        }
        let next = of_step(&self.order, step + 1);
        let total_steps = self.total;
        let set = &self.data.train;
        let inputs = match self.ahead.take() {
            Some(inputs) => inputs,
            None => set.inputs(&samples)?,
        };
        let chosen = Chosen {
            set,
            samples: &samples,
            inputs: &inputs,
            seed: stream(config.train.seed, self.task.index, Purpose::Dropout, step),
        };
        let (model, guides, device) = (&mut self.model, self.guides, &self.device);
        let (losses, micro_batch) = (&self.losses, config.train.micro_batch);
        let ((losses, gradients), ahead) = rayon::join(
            || losses_and_gradients(model, &chosen, guides, losses, micro_batch, device),
            || {
                (step + 1 < total_steps)
                    .then(|| set.inputs(&next))
                    .transpose()
            },
        );
        self.ahead = ahead?;

        let rate = learning_rate(&config.train, step, total_steps, per_epoch);
        if !losses.total.is_finite() {
            self.standing.step += 1;
            return Err(self.diverged(losses.total, rate));
        }
        let model = self.model.clone();
        self.model = self.optimizer.step(model, gradients, rate, &config.train);
        self.standing.step += 1;
        add(&mut self.standing.sums, &losses, 1.0);
        self.progress.step(&self.task.name(), &losses);
        if last {
            self.end_epoch(rate)?;
        }
        if self.saved.elapsed() > self.save_every {
            self.save()?;
        }
        Ok(())
    }

    fn diverged(&self, loss: f64, learning_rate: f64) -> Error {
        Error::Diverged {
            model: self.task.name(),
            step: self.standing.step,
            loss: loss as f32,
            learning_rate,
        }
    }

    fn end_epoch(&mut self, rate: f64) -> Result<()> {
        let per_epoch = self.steps_per_epoch();
        let epoch = self.standing.step / per_epoch;
        let sums = std::mem::take(&mut self.standing.sums);
        let mut train = EpochLosses::default();
        add(&mut train, &sums, 1.0 / per_epoch as f64);
        let validation = match self.data.validation.len() {
            0 => None,
            _ => self.validate(rate)?,
        };
        self.progress.epoch(epoch, validation.as_ref());
        let ended = Epoch {
            epoch,
            step: self.standing.step,
            learning_rate: rate,
            train,
            validation,
        };
        record(self.journal, self.task, ended)
    }

    /// Scores the validation part and keeps the weights if they are the best so far.
    fn validate(&mut self, rate: f64) -> Result<Option<ValidationScores>> {
        let weights = self.evaluated_weights()?;
        let probabilities = self
            .network(weights.clone())?
            .predict(&self.data.validation)?;
        if let Some(broken) = probabilities.iter().find(|value| !value.is_finite()) {
            return Err(self.diverged(f64::from(*broken), rate));
        }
        let scores = validation_scores(&self.data.validation, &probabilities)?;
        if let Some(scores) = &scores
            && self
                .standing
                .best
                .is_none_or(|best| scores.average_precision > best)
        {
            self.standing.best = Some(scores.average_precision);
            self.best = Some(weights);
        }
        Ok(scores)
    }

    /// The averaged weights, or the raw ones where no average is kept.
    fn evaluated_weights(&self) -> Result<NamedTensors> {
        match self.optimizer.averaged()? {
            Some(averaged) if !averaged.is_empty() => {
                // A parameter without a gradient (guidance off, one subject) has no average.
                let mut weights = collect(&self.model)?;
                weights.extend(averaged);
                Ok(weights)
            }
            _ => collect(&self.model),
        }
    }

    /// Saves everything needed to go on later to the same bits.
    pub(crate) fn save(&mut self) -> Result<()> {
        let start = Instant::now();
        let mut tensors = self.optimizer.state()?;
        let mut put = |prefix: &str, named: NamedTensors| {
            tensors.extend(
                named
                    .into_iter()
                    .map(|(name, t)| (format!("{prefix}.{name}"), t)),
            );
        };
        put("model", collect(&self.model)?);
        if let Some(best) = &self.best {
            put("best", best.clone());
        }
        checkpoint::write(&self.run.state_path(self.task), &self.standing, &tensors)?;
        self.saved = Instant::now();
        self.save_every = SAVE_EVERY.max(20 * (self.saved - start));
        Ok(())
    }

    fn load(&mut self) -> Result<()> {
        let path = self.run.state_path(self.task);
        let (standing, mut tensors) = checkpoint::read::<Standing>(&path)?;
        let mut take = |prefix: &str| -> NamedTensors {
            let prefix = format!("{prefix}.");
            let names: Vec<String> = tensors
                .keys()
                .filter(|name| name.starts_with(&prefix))
                .cloned()
                .collect();
            names
                .into_iter()
                .filter_map(|name| Some((name[prefix.len()..].to_owned(), tensors.remove(&name)?)))
                .collect()
        };
        let (weights, best) = (take("model"), take("best"));
        self.model = restore(self.model.clone(), weights)?;
        self.best = (!best.is_empty()).then_some(best);
        self.optimizer = Optimizer::from_state(tensors, standing.step as u64, &self.device);
        self.standing = standing;
        Ok(())
    }

    /// The network with the selected weights.
    pub(crate) fn finish(&mut self) -> Result<Network<B::InnerBackend>> {
        let weights = match self.best.take() {
            Some(best) => best,
            None => self.evaluated_weights()?,
        };
        self.network(weights)
    }

    fn network(&self, weights: NamedTensors) -> Result<Network<B::InnerBackend>> {
        let model = restore(self.model.valid(), weights)?;
        Ok(Network::new(model, self.device.clone()))
    }
}

fn add(sum: &mut EpochLosses, losses: &EpochLosses, weight: f64) {
    let add_optional = |sum: &mut Option<f64>, value: Option<f64>| {
        if let Some(value) = value {
            *sum = Some(sum.unwrap_or(0.0) + weight * value);
        }
    };
    sum.total += weight * losses.total;
    sum.classification += weight * losses.classification;
    add_optional(&mut sum.orthogonality, losses.orthogonality);
    add_optional(&mut sum.high, losses.high);
    add_optional(&mut sum.low, losses.low);
}
