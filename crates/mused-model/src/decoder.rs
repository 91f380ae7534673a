use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use mused_kernels::KernelBackend;
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::{
    BrainFormer, BrainFormerConfig, Error, Mlp, MlpConfig, NamedTensors, Noise, Result,
    RoiTransformer, RoiTransformerConfig, SubjectLinear, SubjectLinearConfig, VolumeBatch,
};

/// Everything that determines the shapes of a [`Decoder`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "architecture")]
pub enum DecoderConfig {
    /// A Transformer over regions or patches.
    Roi(RoiTransformerConfig),
    /// 3-D convolutions over the whole volume.
    BrainFormer(BrainFormerConfig),
    /// One hidden layer, without tokens.
    Mlp(MlpConfig),
    /// A linear layer of each subject in front of one network.
    #[serde(rename = "subject-linear")]
    SubjectLinear(SubjectLinearConfig),
}

/// Inputs of one batch, subjects mixed.
#[derive(Clone, Debug)]
pub struct Batch<B: Backend> {
    /// [batch, width]: regions or patches side by side, or a grid with its last axis fastest.
    pub inputs: Tensor<B, 2>,
    /// [batch, subjects]: each row a weighted mean of subject tokens; one-hot for a known
    /// subject, uniform for a new one.
    pub subject_weights: Tensor<B, 2>,
    /// [batch, regions or patches], 1 = present, 0 = the subject has no voxel there; `None` = all
    /// present.
    pub mask: Option<Tensor<B, 2>>,
}

/// What a decoder makes of a batch.
#[derive(Clone, Debug)]
pub struct TokenOutput<B: Backend> {
    /// [batch, labels]
    pub logits: Tensor<B, 2>,
    /// [batch, dim]; `None` where the network has no such token.
    pub high_level: Option<Tensor<B, 2>>,
    /// [batch, dim]; `None` where the network has no such token.
    pub low_level: Option<Tensor<B, 2>>,
}

/// A multi-label decoder.
#[derive(Module, Debug)]
// There is one of it at a time.
#[allow(clippy::large_enum_variant)]
pub enum Decoder<B: Backend> {
    /// A Transformer over regions or patches.
    Roi(RoiTransformer<B>),
    /// 3-D convolutions over the whole volume.
    BrainFormer(BrainFormer<B>),
    /// One hidden layer, without tokens.
    Mlp(Mlp<B>),
    /// A linear layer of each subject in front of one network.
    SubjectLinear(SubjectLinear<B>),
}

impl DecoderConfig {
    /// Subjects that are told apart; 1 = nobody is.
    pub fn subjects(&self) -> usize {
        match self {
            Self::Roi(config) => config.subjects,
            Self::BrainFormer(config) => config.subjects,
            Self::SubjectLinear(config) => config.subjects,
            Self::Mlp(_) => 1,
        }
    }

    /// About the bytes of training with steps that `samples` pass at once: either what is kept of them for the backward
    /// pass beside seven values a weight (itself, its gradient, two moments, their average, the best so far, the new one), or
    /// eleven a weight while all but the gradient are saved. Of the volume model, whose activations come and go while
    /// gradients are made, four stand beside them.
    ///
    /// # Errors
    /// Sizes that no model can have; the message names the field.
    pub fn step_bytes(&self, samples: usize) -> Result<u64> {
        let (weights, beside, values) = match self {
            Self::Roi(config) => (config.weights(), 7.0, config.activations()),
            Self::BrainFormer(config) => (config.convolution_weights(), 4.0, config.activations()?),
            Self::Mlp(config) => {
                let [inputs, hidden, labels] =
                    [config.inputs, config.hidden, config.labels].map(|size| size as f64);
                (hidden * (inputs + labels), 7.0, 2.0 * inputs + 4.0 * hidden)
            }
            Self::SubjectLinear(config) => (config.weights(), 7.0, config.activations()),
        };
        let values = (beside * weights + samples as f64 * values).max(11.0 * weights);
        // Whole numbers up to 2^53 are exact, and beyond them no machine has the memory.
        Ok((4.0 * values) as u64)
    }

    /// A decoder with freshly drawn weights.
    ///
    /// # Errors
    /// Sizes that no model can have; the message names the field.
    pub fn init<B: KernelBackend>(
        &self,
        rng: &mut impl Rng,
        device: &B::Device,
    ) -> Result<Decoder<B>> {
        Ok(match self {
            Self::Roi(config) => Decoder::Roi(config.init(rng, device)),
            Self::BrainFormer(config) => Decoder::BrainFormer(config.init(rng, device)?),
            Self::Mlp(config) => Decoder::Mlp(config.init(rng, device)),
            Self::SubjectLinear(config) => Decoder::SubjectLinear(config.init(rng, device)),
        })
    }
}

impl<B: KernelBackend> Decoder<B> {
    /// As [`RoiTransformer::set_prior`]; other networks have none.
    pub fn set_prior(&mut self, logits: Tensor<B, 1>) {
        if let Self::Roi(model) = self {
            model.set_prior(logits);
        }
    }

    /// A training pass: dropout masks by `seed`; batch normalisation with the statistics of the
    /// batch, which move the running ones.
    ///
    /// # Shapes
    /// See [`Batch`] and [`TokenOutput`].
    pub fn forward_train(&mut self, batch: Batch<B>, seed: u64) -> TokenOutput<B> {
        match self {
            Self::Roi(model) => model.forward(batch, Noise::training(seed)),
            Self::BrainFormer(model) => model.forward_train(volumes(model, batch)),
            Self::Mlp(model) => model.forward(batch, Noise::training(seed)),
            Self::SubjectLinear(model) => model.forward(batch, Noise::training(seed)),
        }
    }

    /// An evaluation pass: no dropout, running statistics.
    ///
    /// # Shapes
    /// See [`Batch`] and [`TokenOutput`].
    pub fn forward(&self, batch: Batch<B>) -> TokenOutput<B> {
        match self {
            Self::Roi(model) => model.decode(batch),
            Self::BrainFormer(model) => model.forward(volumes(model, batch)),
            Self::Mlp(model) => model.forward(batch, Noise::none()),
            Self::SubjectLinear(model) => model.forward(batch, Noise::none()),
        }
    }

    /// As [`RoiTransformer::attention`]; `None` where no token attends to parts of the input. (Those of the volume model
    /// attend to places of a feature map, each of which has seen a large part of the brain.)
    ///
    /// # Shapes
    /// [batch, subject tokens (the high-level one first), regions or patches]
    pub fn attention(&self, batch: Batch<B>) -> Option<Tensor<B, 3>> {
        match self {
            Self::Roi(model) => model.attention(batch),
            Self::BrainFormer(_) | Self::Mlp(_) | Self::SubjectLinear(_) => None,
        }
    }
}

impl<B: KernelBackend> Decoder<B> {
    /// As [`BrainFormer::state`].
    ///
    /// # Errors
    /// Any other network, which has no published names.
    pub fn state(&self) -> Result<NamedTensors> {
        match self {
            Self::BrainFormer(model) => model.state(),
            Self::Roi(_) | Self::Mlp(_) | Self::SubjectLinear(_) => Err(unpublished()),
        }
    }

    /// As [`BrainFormer::load_state`].
    ///
    /// # Errors
    /// As [`BrainFormer::load_state`]; any other network.
    pub fn load_state(&mut self, tensors: NamedTensors) -> Result<()> {
        match self {
            Self::BrainFormer(model) => model.load_state(tensors),
            Self::Roi(_) | Self::Mlp(_) | Self::SubjectLinear(_) => Err(unpublished()),
        }
    }
}

fn unpublished() -> Error {
    Error::State(
        "only the volume model (model.family = \"brainformer\") has names in the published code"
            .to_owned(),
    )
}

fn volumes<B: KernelBackend>(model: &BrainFormer<B>, batch: Batch<B>) -> VolumeBatch<B> {
    let [size, _] = batch.inputs.dims();
    let [d, h, w] = model.grid();
    VolumeBatch {
        volumes: batch.inputs.reshape([size, d, h, w]),
        subject_weights: batch.subject_weights,
    }
}
