use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use burn::module::AutodiffModule;
use mused_data::{Guidance, InputTransform};
use mused_formats::npy;
use mused_kernels::{KernelBackend, TrainBackend};
use mused_model::Decoder;
use mused_stats::metrics::{Undefined, score};
use ndarray::Array2;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::batches::SampleSet;
use crate::journal::{EpochRecord, Journal, now};
use crate::model_file::{MODEL, ModelDescription};
use crate::optimizer::Optimizer;
use crate::parameters::{NamedTensors, collect, restore, to_host};
use crate::plan::Task;
use crate::schedule::learning_rate;
use crate::update::{Chosen, losses_and_gradients};
use crate::{Config, EpochLosses, Error, Progress, Result, ValidationScores, checkpoint, inputs};

/// Most samples, and most values of inputs, of a forward pass without gradients.
const EVALUATION_BATCH: (usize, usize) = (256, 1 << 24);

/// Least time between saved states: a killed run loses no more, unless its state is so large that
/// writing it would take more than a twentieth of the time.
const SAVE_EVERY: Duration = Duration::from_secs(20);

/// What a fold is trained on; read-only while it trains.
pub(crate) struct FoldData<'d> {
    pub(crate) train: SampleSet<'d>,
    pub(crate) validation: SampleSet<'d>,
    pub(crate) test: SampleSet<'d>,
    /// A held-out subject's responses to the training stimuli, where it is to be aligned by them.
    pub(crate) unlabelled: Option<SampleSet<'d>>,
    pub(crate) transform: Arc<InputTransform>,
    pub(crate) description: ModelDescription,
}

/// Guidance of the two levels.
pub(crate) struct Guides {
    pub(crate) high: Option<Guidance>,
    pub(crate) low: Option<Guidance>,
}

/// Where a fold stands between two steps, beside its tensors.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Standing {
    /// Steps done.
    step: usize,
    /// Sums over the steps of the current epoch.
    sums: EpochLosses,
    /// Best validation average precision so far.
    best: Option<f64>,
}

/// One fold in training.
pub(crate) struct FoldTrainer<'r, B: TrainBackend> {
    task: &'r Task,
    config: &'r Config,
    data: FoldData<'r>,
    guides: &'r Guides,
    folder: PathBuf,
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

/// The interrupted state of a fold; gone when the fold is done.
const STATE: &str = "state.safetensors";
/// Input transform.
pub(crate) const INPUTS: &str = "inputs.safetensors";
/// Test probabilities: the last file written, so its presence says that the fold is done.
pub(crate) const PREDICTIONS: &str = "predictions.npy";

/// Steps of a fold with so many training samples.
pub(crate) fn steps(config: &Config, samples: usize) -> usize {
    if config.model.family.closed_form() {
        return 1;
    }
    samples.div_ceil(config.train.batch_size) * config.train.epochs
}

/// Steps a fold has done, as its saved state tells.
pub(crate) fn saved_step(run: &Path, task: &Task) -> usize {
    let state = task.folder(run).join(STATE);
    checkpoint::read::<Standing>(&state).map_or(0, |(standing, _)| standing.step)
}

impl<'r, B: TrainBackend> FoldTrainer<'r, B> {
    /// A fold at its start, or where its saved state left it.
    pub(crate) fn new(
        run: &Path,
        task: &'r Task,
        config: &'r Config,
        data: FoldData<'r>,
        guides: &'r Guides,
    ) -> Result<Self> {
        let folder = task.folder(run);
        fs::create_dir_all(&folder).map_err(Error::io("cannot create", &folder))?;
        let device = B::Device::default();
        let mut rng =
            ChaCha8Rng::seed_from_u64(stream(config.train.seed, task.index, Purpose::Weights, 0));
        let model = data.description.model.network()?;
        let model = model.init::<B>(&mut rng, &device)?;
        let mut trainer = Self {
            task,
            config,
            data,
            guides,
            folder,
            device,
            model,
            optimizer: Optimizer::new(),
            standing: Standing::default(),
            best: None,
            order: Vec::new(),
            ahead: None,
            saved: Instant::now(),
            save_every: SAVE_EVERY,
        };
        if trainer.folder.join(STATE).exists() {
            trainer.load()?;
        }
        trainer.order = trainer.epoch_order(trainer.standing.step);
        Ok(trainer)
    }

    fn steps_per_epoch(&self) -> usize {
        self.data.train.len().div_ceil(self.config.train.batch_size)
    }

    pub(crate) fn finished(&self) -> bool {
        self.standing.step >= steps(self.config, self.data.train.len())
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
    pub(crate) fn step(&mut self, journal: &Journal, progress: &dyn Progress) -> Result<()> {
        let (config, step) = (self.config, self.standing.step);
        let (per_epoch, size) = (self.steps_per_epoch(), config.train.batch_size);
        let within = |step: usize| step % per_epoch * size..;
        let samples: Vec<usize> = self.order[within(step)]
            .iter()
            .copied()
            .take(size)
            .collect();
        let last = (step + 1).is_multiple_of(per_epoch);
        if last {
            self.order = self.epoch_order(step + 1);
        }
        let next: Vec<usize> = self.order[within(step + 1)]
            .iter()
            .copied()
            .take(size)
            .collect();
        let total_steps = steps(config, self.data.train.len());

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
        let ((losses, gradients), ahead) = rayon::join(
            || losses_and_gradients(model, &chosen, guides, config, device),
            || {
                (step + 1 < total_steps)
                    .then(|| set.inputs(&next))
                    .transpose()
            },
        );
        self.ahead = ahead?;

        let rate = learning_rate(&config.train, step, total_steps, per_epoch);
        if !losses.total.is_finite() {
            return Err(Error::Diverged {
                model: self.task.name(),
                step: step + 1,
                loss: losses.total as f32,
                learning_rate: rate,
            });
        }
        let model = self.model.clone();
        self.model = self.optimizer.step(model, gradients, rate, &config.train);
        self.standing.step += 1;
        add(&mut self.standing.sums, &losses, 1.0);
        progress.step(&self.task.name(), &losses);
        if last {
            self.end_epoch(rate, journal, progress)?;
        }
        if self.saved.elapsed() > self.save_every {
            self.save()?;
        }
        Ok(())
    }

    fn end_epoch(&mut self, rate: f64, journal: &Journal, progress: &dyn Progress) -> Result<()> {
        let per_epoch = self.steps_per_epoch();
        let epoch = self.standing.step / per_epoch;
        let sums = std::mem::take(&mut self.standing.sums);
        let mut train = EpochLosses::default();
        add(&mut train, &sums, 1.0 / per_epoch as f64);
        let validation = if self.data.validation.len() == 0 {
            None
        } else {
            self.validate()?
        };
        progress.epoch(epoch, validation.as_ref());
        let record = EpochRecord {
            fold: self.task.fold,
            subject: self.task.subject.clone(),
            holdout: self.task.holdout.clone(),
            epoch,
            step: self.standing.step,
            learning_rate: rate,
            train,
            validation,
            time: now(),
        };
        journal.write(self.task, &record)
    }

    /// Scores the validation part and keeps the weights if they are the best so far.
    fn validate(&mut self) -> Result<Option<ValidationScores>> {
        let weights = self.evaluated_weights()?;
        let model = restore(self.model.valid(), weights.clone())?;
        let probabilities = probabilities(&model, &self.data.validation, &self.device)?;
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
        checkpoint::write(&self.folder.join(STATE), &self.standing, &tensors)?;
        self.saved = Instant::now();
        self.save_every = SAVE_EVERY.max(20 * (self.saved - start));
        Ok(())
    }

    fn load(&mut self) -> Result<()> {
        let (standing, mut tensors) = checkpoint::read::<Standing>(&self.folder.join(STATE))?;
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

    /// Writes the selected weights, the input transform and the test probabilities.
    pub(crate) fn finish(&mut self) -> Result<()> {
        let weights = match self.best.take() {
            Some(best) => best,
            None => self.evaluated_weights()?,
        };
        let model = restore(self.model.valid(), weights.clone())?;
        write_fold(&self.folder, &self.data, &weights, &model, &self.device)?;
        // Absent where the fold was shorter than one interval.
        let _ = fs::remove_file(self.folder.join(STATE));
        Ok(())
    }
}

/// Writes the weights of a fold's model, its input transform and its test probabilities.
pub(crate) fn write_fold<B: KernelBackend>(
    folder: &Path,
    data: &FoldData<'_>,
    weights: &NamedTensors,
    model: &Decoder<B>,
    device: &B::Device,
) -> Result<()> {
    checkpoint::write(&folder.join(MODEL), &data.description, weights)?;
    inputs::write(&folder.join(INPUTS), &data.transform)?;
    let probabilities = probabilities(model, &data.test, device)?;
    Ok(npy::write_npy_f32(
        folder.join(PREDICTIONS),
        probabilities.view(),
    )?)
}

/// Label probabilities of all samples of a set: samples × labels.
pub(crate) fn probabilities<B: KernelBackend>(
    model: &Decoder<B>,
    set: &SampleSet<'_>,
    device: &B::Device,
) -> Result<Array2<f32>> {
    let rows: Vec<usize> = (0..set.len()).collect();
    let size = evaluation_batch(set.width());
    let mut values = Vec::new();
    let mut labels = 0;
    for chosen in rows.chunks(size) {
        let inputs = set.inputs(chosen)?;
        let output = model.forward(set.batch::<B>(chosen, inputs.view(), device));
        labels = output.logits.dims()[1];
        let logits = to_host(output.logits)?;
        values.extend(logits.into_iter().map(|logit| 1.0 / (1.0 + (-logit).exp())));
    }
    Array2::from_shape_vec((set.len(), labels), values)
        .map_err(|error| Error::Request(format!("model output of unexpected shape: {error}")))
}

/// Mean over subjects of the scores of a validation part; none where no label can be scored.
pub(crate) fn validation_scores(
    set: &SampleSet<'_>,
    probabilities: &Array2<f32>,
) -> Result<Option<ValidationScores>> {
    let mut subjects: Vec<usize> = set.samples.iter().map(|sample| sample.subject).collect();
    subjects.dedup();
    let (mut average_precisions, mut aucs) = (Vec::new(), Vec::new());
    for subject in subjects {
        let rows: Vec<usize> = (0..set.len())
            .filter(|&row| set.samples[row].subject == subject)
            .collect();
        let scores = probabilities
            .select(ndarray::Axis(0), &rows)
            .mapv(f64::from);
        let targets = set.target_rows(&rows);
        let scores = score(scores.view(), targets.view(), Undefined::Exclude)?;
        average_precisions.extend(scores.macro_average_precision);
        aucs.extend(scores.macro_roc_auc);
    }
    let mean = mused_stats::summary::mean;
    Ok(mean(&average_precisions)
        .zip(mean(&aucs))
        .map(|(average_precision, roc_auc)| ValidationScores {
            average_precision,
            roc_auc,
        }))
}

/// Samples of a forward pass without gradients, for inputs of `width` values.
pub(crate) fn evaluation_batch(width: usize) -> usize {
    let (samples, most_values) = EVALUATION_BATCH;
    (most_values / width.max(1)).clamp(1, samples)
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

/// What a stream of random numbers is for; each gets its own.
#[derive(Clone, Copy)]
enum Purpose {
    Weights,
    Order,
    Dropout,
}

/// Seed of the `index`-th stream of a task and purpose (splitmix64's finaliser), so that any step
/// can be repeated without the ones before it.
fn stream(seed: u64, task: usize, purpose: Purpose, index: usize) -> u64 {
    let mut mixed = seed;
    for part in [task as u64, purpose as u64, index as u64] {
        mixed = mixed.wrapping_add(part).wrapping_add(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
    }
    mixed
}
