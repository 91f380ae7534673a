use std::marker::PhantomData;

use burn::tensor::Tensor;
use mused_data::Layout;
use mused_kernels::{KernelBackend, TrainBackend};
use mused_model::{Decoder, DecoderConfig};
use mused_run::Config;
use ndarray::{Array2, Array3, ArrayView2};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::architecture::network;
use super::trainer::Trainer;
use crate::learner::{Fit, Learner, Model, Outputs};
use crate::model_file::Architecture;
use crate::parameters::{NamedTensors, collect, restore, to_host};
use crate::sample_set::SampleSet;
use crate::{Error, Result, memory};

/// Most samples, and most values of inputs, of a forward pass without gradients.
const EVALUATION_BATCH: (usize, usize) = (256, 1 << 24);

/// Networks, trained by gradient steps.
pub(crate) struct Networks<'c, B> {
    config: &'c Config,
    backend: PhantomData<fn() -> B>,
}

impl<'c, B> Networks<'c, B> {
    pub(crate) fn new(config: &'c Config) -> Self {
        Self {
            config,
            backend: PhantomData,
        }
    }
}

impl<B: TrainBackend> Learner for Networks<'_, B> {
    fn architecture(
        &self,
        layout: &Layout,
        subjects: usize,
        labels: usize,
    ) -> Result<Architecture> {
        network(self.config, layout, subjects, labels).map(Architecture::Network)
    }

    fn memory(&self, architecture: &Architecture, samples: usize) -> Result<u64> {
        let network = architecture.network()?;
        // Aligned inputs of training samples are made once, by maps of their own.
        let kept = match (network, self.config.model.inputs.inputs.onto().is_some()) {
            (DecoderConfig::Roi(config), true) => 4 * samples as u64 * config.width() as u64,
            (DecoderConfig::Mlp(config), true) => 4 * samples as u64 * config.inputs as u64,
            _ => 0,
        };
        match self.device() {
            None => memory::check(network, &self.config.train, kept),
            // What a GPU has left, it does not say.
            Some(_) => Ok(kept),
        }
    }

    fn device(&self) -> Option<String> {
        B::device_name(&Default::default())
    }

    fn steps(&self, samples: usize) -> usize {
        samples.div_ceil(self.config.train.batch_size) * self.config.train.epochs
    }

    fn fit(&self, fit: &mut Fit<'_, '_>) -> Result<Option<Box<dyn Model>>> {
        let total = self.steps(fit.data.train.len());
        let mut trainer = Trainer::<B>::new(fit, self.config, total)?;
        while !trainer.finished() {
            fit.worker.run(|| trainer.step())?;
            if fit.watch.progress.interrupted() || fit.worker.stopped() {
                fit.worker.stop();
                trainer.save()?;
                return Ok(None);
            }
        }
        let network = fit.worker.run(|| trainer.finish())?;
        Ok(Some(Box::new(network)))
    }
}

/// A trained network.
pub(crate) struct Network<B: KernelBackend> {
    decoder: Decoder<B>,
    device: B::Device,
}

impl<B: KernelBackend> Network<B> {
    pub(crate) fn new(decoder: Decoder<B>, device: B::Device) -> Self {
        Self { decoder, device }
    }

    /// The network of stored tensors.
    ///
    /// # Errors
    /// Every missing, surplus and mis-shaped tensor.
    pub(crate) fn restore(config: &DecoderConfig, tensors: NamedTensors) -> Result<Self> {
        let device = B::Device::default();
        // The drawn weights are all replaced.
        let drawn = config.init::<B>(&mut ChaCha8Rng::seed_from_u64(0), &device)?;
        Ok(Self::new(restore(drawn, tensors)?, device))
    }

    pub(crate) fn decoder(&self) -> &Decoder<B> {
        &self.decoder
    }
}

impl<B: KernelBackend> Model for Network<B> {
    fn predict(&self, set: &SampleSet<'_>) -> Result<Array2<f32>> {
        let rows: Vec<usize> = (0..set.len()).collect();
        let mut values = Vec::new();
        let mut labels = 0;
        for chosen in rows.chunks(evaluation_batch(set.width())) {
            let inputs = set.inputs(chosen)?;
            let batch = set.batch::<B>(chosen, inputs.view(), &self.device);
            let logits = self.decoder.forward(batch).logits;
            labels = logits.dims()[1];
            values.extend(to_host(logits)?.into_iter().map(probability));
        }
        Array2::from_shape_vec((set.len(), labels), values).map_err(unexpected)
    }

    fn outputs(
        &self,
        set: &SampleSet<'_>,
        chosen: &[usize],
        inputs: ArrayView2<'_, f32>,
    ) -> Result<Outputs> {
        let batch = set.batch::<B>(chosen, inputs, &self.device);
        let output = self.decoder.forward(batch);
        let mut tokens = Vec::new();
        for (level, token) in [("high", output.high_level), ("low", output.low_level)] {
            if let Some(token) = token {
                tokens.push((level, matrix(token)?));
            }
        }
        let mut probabilities = matrix(output.logits)?;
        probabilities.mapv_inplace(probability);
        Ok(Outputs {
            probabilities,
            tokens,
        })
    }

    fn attention(
        &self,
        set: &SampleSet<'_>,
        chosen: &[usize],
        inputs: ArrayView2<'_, f32>,
    ) -> Result<Option<Array3<f32>>> {
        let batch = set.batch::<B>(chosen, inputs, &self.device);
        let Some(found) = self.decoder.attention(batch) else {
            return Ok(None);
        };
        let [samples, tokens, slots] = found.dims();
        let values = Array3::from_shape_vec((samples, tokens, slots), to_host(found)?);
        values.map(Some).map_err(unexpected)
    }

    fn tensors(&self) -> Result<NamedTensors> {
        collect(&self.decoder)
    }
}

/// Samples of a forward pass without gradients, for inputs of `width` values.
pub(crate) fn evaluation_batch(width: usize) -> usize {
    let (samples, most_values) = EVALUATION_BATCH;
    (most_values / width.max(1)).clamp(1, samples)
}

fn probability(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

fn matrix<B: KernelBackend>(tensor: Tensor<B, 2>) -> Result<Array2<f32>> {
    let [rows, columns] = tensor.dims();
    Array2::from_shape_vec((rows, columns), to_host(tensor)?).map_err(unexpected)
}

fn unexpected(error: ndarray::ShapeError) -> Error {
    Error::Request(format!("model output of unexpected shape: {error}"))
}
