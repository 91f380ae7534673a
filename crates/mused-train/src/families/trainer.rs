use std::fs;
use std::panic::resume_unwind;
use std::time::{Duration, Instant};

use burn::module::AutodiffModule;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use mused_formats::make_folder;
use mused_kernels::{Bf16, Queue, TrainBackend};
use mused_model::{Decoder, LossConfig};
use mused_run::{Config, EpochLosses, Run, Task, ValidationScores};
use ndarray::ArrayView1;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::ThreadPool;
use serde::{Deserialize, Serialize};

use super::architecture::losses;
use super::network::{Network, joined, members_of};
use super::precision::products;
use crate::crew::pool_of;
use crate::fold_data::{FoldData, Guides};
use crate::journal::Journal;
use crate::learner::{Epoch, Fit, Model as _, record};
use crate::optimizer::Optimizer;
use crate::overflow::{in_use, unreadable};
use crate::parameters::{NamedTensors, below_one_another, collect, restore};
use crate::random::{Purpose, stream};
use crate::sample_set::{SampleSet, tensor};
use crate::schedule::learning_rate;
use crate::scoring::validation_scores;
use crate::update::{Chosen, losses_and_gradients};
use crate::watch::Watch;
use crate::{Cause, Error, Progress, Result, checkpoint};

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

/// Makes the newest state of a task that is sound the one that it goes on from, and tells its steps; what is damaged is
/// removed, and said.
pub(crate) fn sound_step(run: &Run, task: &Task, progress: &dyn Progress) -> Result<usize> {
    let (newest, before) = (run.state_path(task), run.state_before_path(task));
    let mut lost = Vec::new();
    for path in [&newest, &before] {
        if !path.is_file() {
            continue;
        }
        match checkpoint::read::<Standing>(path) {
            Ok((standing, _)) => {
                if path == &before {
                    fs::rename(&before, &newest).map_err(Error::io("cannot rename", &before))?;
                }
                for lost in lost {
                    let step = standing.step;
                    progress.note(&format!(
                        "{lost}; going on from the state before it, step {step}"
                    ));
                }
                return Ok(standing.step);
            }
            Err(error @ Error::Invalid { .. }) => {
                fs::remove_file(path).map_err(Error::io("cannot remove", path))?;
                lost.push(error);
            }
            Err(error) => return Err(error),
        }
    }
    for lost in lost {
        progress.note(&format!("{lost}; {} is trained anew", task.name()));
    }
    Ok(0)
}

/// Removes the states of a task that is done.
pub(crate) fn forget_states(run: &Run, task: &Task) {
    for path in [run.state_path(task), run.state_before_path(task)] {
        // Absent where the task was shorter than one interval.
        let _ = fs::remove_file(path);
    }
}

/// One network of a model, and what its optimiser remembers.
struct Member<B: TrainBackend> {
    decoder: Decoder<B>,
    optimizer: Optimizer<B>,
}

/// Inputs of a step, read and handed to the device while the step before is computed.
struct Inputs<B: Backend> {
    /// samples × input width
    on_device: Tensor<B, 2>,
    /// Why no network can read them.
    unreadable: Option<Cause>,
}

/// The networks of a model in training: they pass the same batches, each with weights and dropout masks of its own.
pub(crate) struct Trainer<'f, B: TrainBackend> {
    run: &'f Run,
    task: &'f Task,
    config: &'f Config,
    losses: LossConfig,
    /// What the linear layers multiply by in steps; `None` in single precision.
    products: Option<Bf16>,
    data: &'f FoldData<'f>,
    guides: &'f Guides,
    journal: &'f Journal<'f>,
    watch: &'f Watch<'f>,
    /// Steps in all.
    total: usize,
    device: B::Device,
    /// Where all steps stand, whatever threads take them.
    queue: Queue,
    members: Vec<Member<B>>,
    /// One for each of the members that take their steps at a time; none for one alone.
    pools: Vec<ThreadPool>,
    standing: Standing,
    /// Weights of each network when they did best together.
    best: Option<Vec<NamedTensors>>,
    /// Order of the training samples in the current epoch.
    order: Vec<usize>,
    /// What the step after this one reads.
    ahead: Option<Inputs<B::InnerBackend>>,
    saved: Instant,
    save_every: Duration,
}

impl<'f, B: TrainBackend> Trainer<'f, B> {
    /// A network at its start, or where its saved state left it.
    pub(crate) fn new(fit: &Fit<'f, '_>, config: &'f Config, total: usize) -> Result<Self> {
        let Fit { run, task, .. } = *fit;
        let device = B::Device::default();
        let network = fit.data.description.model.network()?;
        let prior = prior(&fit.data.train);
        let member = |index| {
            let seed = stream(config.train.seed, task.index, Purpose::Weights, index);
            let rng = &mut ChaCha8Rng::seed_from_u64(seed);
            let mut decoder = network.init::<B>(rng, &device)?;
            decoder.set_prior(Tensor::from_floats(prior.as_slice(), &device));
            let optimizer = Optimizer::new();
            Ok(Member { decoder, optimizer })
        };
        let members = (0..fit.data.description.members).map(member);
        let mut trainer = Self {
            run,
            task,
            config,
            losses: losses(&config.loss),
            products: products::<B>(&config.train)?,
            data: fit.data,
            guides: fit.guides,
            journal: fit.journal,
            watch: fit.watch,
            total,
            members: members.collect::<Result<_>>()?,
            pools: Vec::new(),
            device,
            queue: Queue::current(),
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
        let (guides, device, queue) = (self.guides, &self.device, self.queue);
        let read = |samples: &[usize]| -> Result<Inputs<B::InnerBackend>> {
            let inputs = set.inputs(samples)?;
            Ok(Inputs {
                unreadable: unreadable(set, samples, &inputs),
                on_device: queue.run(|| tensor(inputs, device)),
            })
        };
        let inputs = match self.ahead.take() {
            Some(inputs) => inputs,
            None => read(&samples)?,
        };
        if let Some(cause) = inputs.unreadable {
            return Err(Error::Diverged {
                model: self.task.name(),
                step: step + 1,
                broken: "its inputs are out of scale".to_owned(),
                cause,
            });
        }
        let dropout = stream(config.train.seed, self.task.index, Purpose::Dropout, step);
        let rate = learning_rate(&config.train, step, total_steps, per_epoch);
        let (of_batch, micro_batch) = (&self.losses, config.train.micro_batch);
        let products = self.products;
        // A member is handed on: weights that somebody else holds too would be copied where they are updated.
        let one = |(index, mut member): (usize, Member<B>)| {
            let chosen = Chosen {
                set,
                samples: &samples,
                inputs: &inputs.on_device,
                seed: match index {
                    0 => dropout,
                    index => stream(dropout, 0, Purpose::Dropout, index),
                },
            };
            let decoder = &mut member.decoder;
            let mut pass =
                || losses_and_gradients(decoder, &chosen, guides, of_batch, micro_batch, device);
            let (losses, gradients) = match products {
                Some(bf16) => bf16.products(pass),
                None => pass(),
            };
            if !losses.total.is_finite() {
                return (member, Err(format!("the loss is {}", losses.total)));
            }
            let train = &config.train;
            let (decoder, finite) = (member.optimizer).step(member.decoder, gradients, rate, train);
            member.decoder = decoder;
            let overflown = || "its update overflows the weights".to_owned();
            (member, finite.then_some(losses).ok_or_else(overflown))
        };
        let threads = rayon::current_num_threads();
        let count = Some(self.members.len().min(threads)).filter(|count| *count > 1);
        let sizes = count.map_or(Vec::new(), |count| vec![threads / count; count]);
        if !(self.pools.iter().map(ThreadPool::current_num_threads)).eq(sizes.iter().copied()) {
            self.pools = sizes.into_iter().map(pool_of).collect::<Result<_>>()?;
        }
        let members = std::mem::take(&mut self.members);
        let ((members, losses), ahead) = rayon::join(
            || {
                let members = members.into_iter().enumerate().collect();
                side_by_side(&self.pools, members, |member| queue.run(|| one(member)))
                    .into_iter()
                    .unzip::<_, _, Vec<_>, Vec<_>>()
            },
            || (step + 1 < total_steps).then(|| read(&next)).transpose(),
        );
        self.members = members;
        self.ahead = ahead?;
        self.standing.step += 1;
        let share = 1.0 / losses.len() as f64;
        let mut mean = EpochLosses::default();
        for losses in losses {
            let losses = losses.map_err(|broken| self.diverged(broken, rate))?;
            add(&mut mean, &losses, share);
        }
        add(&mut self.standing.sums, &mean, 1.0);
        self.watch.progress.step(&self.task.name(), &mean);
        if last {
            self.end_epoch(rate)?;
        }
        if self.saved.elapsed() > self.save_every {
            self.save()?;
        }
        Ok(())
    }

    /// The error of a step after which something is no longer finite.
    fn diverged(&self, broken: String, learning_rate: f64) -> Error {
        let cause = Cause::of(
            self.data,
            &in_use(self.config, self.guides),
            Some(learning_rate),
        );
        match cause {
            Ok(cause) => Error::Diverged {
                model: self.task.name(),
                step: self.standing.step,
                broken,
                cause,
            },
            Err(error) => error,
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
        self.watch.progress.epoch(epoch, validation.as_ref());
        let ended = Epoch {
            epoch,
            step: self.standing.step,
            learning_rate: rate,
            train,
            validation,
        };
        record(self.watch, self.journal, self.task, ended)
    }

    /// Scores the validation part and keeps the weights if they are the best so far.
    fn validate(&mut self, rate: f64) -> Result<Option<ValidationScores>> {
        let weights = self.evaluated_weights()?;
        let probabilities = self
            .network(weights.clone())?
            .predict(&self.data.validation)?;
        if probabilities.iter().any(|value| !value.is_finite()) {
            let broken = "predictions of validation samples are not finite";
            return Err(self.diverged(broken.to_owned(), rate));
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

    /// The averaged weights of each network, or the raw ones where no average is kept.
    fn evaluated_weights(&self) -> Result<Vec<NamedTensors>> {
        let weights = |member: &Member<B>| {
            // A parameter without a gradient (guidance off, one subject) has no average.
            let mut weights = collect(&member.decoder)?;
            weights.extend(member.optimizer.averaged()?.unwrap_or_default());
            Ok(weights)
        };
        self.members.iter().map(weights).collect()
    }

    /// Saves everything needed to go on later to the same bits.
    ///
    /// # Errors
    /// Data that changed meanwhile: then the state before stays.
    pub(crate) fn save(&mut self) -> Result<()> {
        self.watch.check(self.run)?;
        self.journal.sync()?;
        let start = Instant::now();
        let state = |(index, member): (usize, &Member<B>)| {
            let mut tensors = member.optimizer.state()?;
            let mut put = |prefix: &str, named: NamedTensors| {
                let named = named.into_iter();
                tensors.extend(named.map(|(name, t)| (format!("{prefix}.{name}"), t)));
            };
            put("model", collect(&member.decoder)?);
            if let Some(best) = self.best.as_ref().and_then(|best| best.get(index)) {
                put("best", best.clone());
            }
            Ok(tensors)
        };
        let states = self.members.iter().enumerate().map(state);
        let tensors = joined(states.collect::<Result<_>>()?);
        let folder = self.run.task_folder(self.task);
        make_folder(&folder).map_err(Error::io("cannot create", &folder))?;
        let path = self.run.state_path(self.task);
        if path.is_file() {
            let before = self.run.state_before_path(self.task);
            fs::rename(&path, before).map_err(Error::io("cannot rename", &path))?;
        }
        checkpoint::write(&path, &self.standing, &tensors)?;
        self.saved = Instant::now();
        self.save_every = SAVE_EVERY.max(20 * (self.saved - start));
        Ok(())
    }

    fn load(&mut self) -> Result<()> {
        let path = self.run.state_path(self.task);
        let (standing, tensors) = checkpoint::read::<Standing>(&path)?;
        let earlier = tensors.keys().any(|name| name.ends_with("rois.0.weight"));
        if earlier && self.config.train.micro_batch > 0 {
            return Err(Error::invalid(
                &path,
                "the run is of an earlier version, which could lose gradients where a batch passes in parts \
                 (train.micro_batch): train it anew",
            ));
        }
        let tensors = below_one_another(tensors, self.data.description.model.network()?);
        let mut of_members = Vec::new();
        let states = members_of(tensors, self.members.len());
        for (member, mut tensors) in self.members.iter_mut().zip(states) {
            let mut take = |prefix: &str| -> NamedTensors {
                let of_prefix =
                    |name: &str| Some(name.strip_prefix(prefix)?.strip_prefix('.')?.to_owned());
                let (taken, rest) = std::mem::take(&mut tensors)
                    .into_iter()
                    .partition(|(name, _)| of_prefix(name).is_some());
                tensors = rest;
                let taken: NamedTensors = taken;
                let named = taken
                    .into_iter()
                    .filter_map(|(name, t)| Some((of_prefix(&name)?, t)));
                named.collect()
            };
            let (weights, best) = (take("model"), take("best"));
            member.decoder = restore(member.decoder.clone(), weights)?;
            of_members.push(best);
            member.optimizer = Optimizer::from_state(tensors, standing.step as u64, &self.device);
        }
        self.best = (of_members.iter().all(|best| !best.is_empty())).then_some(of_members);
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

    fn network(&self, weights: Vec<NamedTensors>) -> Result<Network<B::InnerBackend>> {
        let members = self.members.iter().zip(weights);
        let members = members.map(|(member, weights)| restore(member.decoder.valid(), weights));
        Ok(Network::new(
            members.collect::<Result<_>>()?,
            self.device.clone(),
        ))
    }
}

/// What `run` makes of each task, some at a time, in the pools if there are any: those of one pool one after another. In one
/// pool for all a thread could begin a second network while it waits for others to go back through the first: the engine
/// locks a network's graph meanwhile, and the end of the second one waits for all locks.
fn side_by_side<T: Send, U: Send>(
    pools: &[ThreadPool],
    mut tasks: Vec<T>,
    run: impl Fn(T) -> U + Sync,
) -> Vec<U> {
    if pools.is_empty() {
        return tasks.into_iter().map(run).collect();
    }
    let (each, run) = (tasks.len().div_ceil(pools.len()), &run);
    let ended = std::thread::scope(|scope| {
        let begin = |pool| {
            let own: Vec<T> = tasks.drain(..each.min(tasks.len())).collect();
            let all = move || own.into_iter().map(run).collect::<Vec<U>>();
            scope.spawn(move || ThreadPool::install(pool, all))
        };
        let begun: Vec<_> = pools.iter().map(begin).collect();
        let ends = begun.into_iter().map(|one| one.join());
        ends.collect::<std::thread::Result<Vec<_>>>()
    });
    match ended {
        Ok(ended) => ended.into_iter().flatten().collect(),
        Err(panic) => resume_unwind(panic),
    }
}

/// Logits of the labels' frequencies among samples, as if each label had one more sample, half with it.
fn prior(train: &SampleSet<'_>) -> Vec<f32> {
    let rows: Vec<usize> = (0..train.len()).collect();
    let logit = |labels: ArrayView1<'_, u8>| {
        let with: f64 = labels.iter().map(|label| f64::from(*label)).sum();
        ((with + 0.5) / (labels.len() as f64 - with + 0.5)).ln() as f32
    };
    train
        .target_rows(&rows)
        .columns()
        .into_iter()
        .map(logit)
        .collect()
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
