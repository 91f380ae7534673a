//! The volume model "BrainFormer" of CLIP-MUSED (ICLR 2024, section 4.1 and its published code).

mod attention;
mod block;
mod config;
#[cfg(test)]
mod golden_tests;
mod layers;
mod state;

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use mused_kernels::{BatchNormTail, KernelBackend, linear};
use rand::Rng;

use crate::{Error, Result, TokenOutput, initial};
use attention::{DeepAttention, DeepAttentionSizes, ShallowAttention, Tokens};
use block::BasicBlock;
use layers::{BatchNorm, Convolution, Linear, Mode, Volume};
use state::{Check, Collect, Load};

pub use config::{BrainFormerConfig, Depth};
pub use state::{NamedTensors, StateTensor};

/// Standard deviation the subject tokens start with (published code).
const TOKEN_SD: f32 = 0.02;

impl BrainFormerConfig {
    /// A model with freshly drawn weights.
    ///
    /// # Errors
    /// Sizes that no model can have; the message names the field.
    pub fn init<B: KernelBackend>(
        &self,
        rng: &mut impl Rng,
        device: &B::Device,
    ) -> Result<BrainFormer<B>> {
        let [_, shallow, _] = self.grids()?;
        let [stem1, stem2] = self.stem;
        let [_, second, third, fourth] = self.stages;
        let mut stages = vec![];
        let mut inputs = stem2;
        for (stage, blocks) in self.depth.blocks().into_iter().enumerate() {
            let stride = [1, 2, 2, 1][stage];
            let mut layer = vec![];
            for block in 0..blocks {
                let stride = if block == 0 { stride } else { 1 };
                let outputs = self.stages[stage];
                layer.push(BasicBlock::init([inputs, outputs], stride, rng, device));
                inputs = outputs;
            }
            stages.push(layer);
        }
        let deep = |channels, hidden| DeepAttentionSizes {
            channels,
            heads: self.heads,
            head_dim: self.head_dim,
            hidden,
        };
        let token = |rng: &mut _| initial::normal([self.subjects, third], TOKEN_SD, rng, device);
        Ok(BrainFormer {
            high_level_token: token(rng),
            low_level_token: token(rng),
            conv1: Convolution::init([1, stem1], 7, 2, rng, device),
            bn1: BatchNorm::init(stem1, 1.0, device),
            conv2: Convolution::init([stem1, stem2], 7, 2, rng, device),
            bn2: BatchNorm::init(stem2, 1.0, device),
            stages,
            attention2: ShallowAttention::init(second, shallow.iter().product(), rng, device),
            attention3: DeepAttention::init(deep(third, self.mlp[0]), rng, device),
            attention4: DeepAttention::init(deep(fourth, self.mlp[1]), rng, device),
            head: Linear::init([2 * fourth, self.labels], rng, device),
            grid: self.grid,
        })
    }
}

/// Inputs of one batch, subjects mixed.
#[derive(Clone, Debug)]
pub struct VolumeBatch<B: Backend> {
    /// [batch, depth, height, width]
    pub volumes: Tensor<B, 4>,
    /// [batch, subjects]: each row a weighted mean of subject tokens; one-hot for a known subject.
    pub subject_weights: Tensor<B, 2>,
}

/// Multi-label decoder of whole-brain volumes, one network for all subjects.
///
/// Training updates the running statistics of its batch normalisations, which are among its parameters but take no
/// gradient.
#[derive(Module, Debug)]
pub struct BrainFormer<B: Backend> {
    high_level_token: Param<Tensor<B, 2>>,
    low_level_token: Param<Tensor<B, 2>>,
    conv1: Convolution<B>,
    bn1: BatchNorm<B>,
    conv2: Convolution<B>,
    bn2: BatchNorm<B>,
    stages: Vec<Vec<BasicBlock<B>>>,
    attention2: ShallowAttention<B>,
    attention3: DeepAttention<B>,
    attention4: DeepAttention<B>,
    head: Linear<B>,
    grid: [usize; 3],
}

/// What attention leaves: its patches added to those it read, its tokens in place of them.
fn added<B: Backend>(read: &Tokens<B>, out: Tokens<B>) -> Tokens<B> {
    let values = read.patches.values.clone() + out.patches.values;
    Tokens {
        patches: Volume { values },
        ..out
    }
}

impl<B: KernelBackend> BrainFormer<B> {
    /// Voxels along the three axes of a volume.
    pub fn grid(&self) -> [usize; 3] {
        self.grid
    }

    /// A training pass: normalises with the statistics of the batch and moves the running ones towards them.
    ///
    /// # Shapes
    /// See [`VolumeBatch`] and [`TokenOutput`].
    ///
    /// # Panics
    /// When the volumes have another grid than the configuration, or the weights another number of subjects.
    pub fn forward_train(&mut self, batch: VolumeBatch<B>) -> TokenOutput<B> {
        self.pass(batch, Mode::Train).0
    }

    /// An evaluation pass: normalises with the running statistics.
    ///
    /// # Shapes
    /// See [`VolumeBatch`] and [`TokenOutput`].
    ///
    /// # Panics
    /// As [`Self::forward_train`].
    pub fn forward(&self, batch: VolumeBatch<B>) -> TokenOutput<B> {
        self.forward_with_features(batch).0
    }

    /// As [`Self::forward`], with the last feature map.
    ///
    /// # Shapes
    /// The map: [batch, depth, height, width, channels], each axis a sixteenth of the volume's, rounded up.
    ///
    /// # Panics
    /// As [`Self::forward_train`].
    pub fn forward_with_features(&self, batch: VolumeBatch<B>) -> (TokenOutput<B>, Tensor<B, 5>) {
        // A clone shares its tensors, and evaluation replaces none.
        self.clone().pass(batch, Mode::Evaluate)
    }

    fn pass(&mut self, batch: VolumeBatch<B>, mode: Mode) -> (TokenOutput<B>, Tensor<B, 5>) {
        let [_, d, h, w] = batch.volumes.dims();
        assert_eq!([d, h, w], self.grid, "volumes: the grid of the model");
        let token =
            |token: &Param<Tensor<B, 2>>| linear(batch.subject_weights.clone(), token.val(), None);
        let (high, low) = (token(&self.high_level_token), token(&self.low_level_token));
        let x = Volume {
            values: batch.volumes.unsqueeze_dim(4),
        };
        let x = self.conv1.forward(&x);
        let x = x.with_rows(self.bn1.forward(x.rows(), BatchNormTail::relu(), mode));
        let x = self.conv2.forward(&x);
        let x = x.with_rows(self.bn2.forward(x.rows(), BatchNormTail::relu(), mode));
        let x = self.stage(0, x, mode);
        let x = self.stage(1, x, mode);
        let x = self.attention2.forward(&x, mode);
        let patches = self.stage(2, x, mode);
        let tokens = Tokens { patches, high, low };
        let tokens = added(&tokens, self.attention3.forward(&tokens, mode));
        let patches = self.stage(3, tokens.patches.clone(), mode);
        let tokens = Tokens { patches, ..tokens };
        let tokens = added(&tokens, self.attention4.forward(&tokens, mode));
        let read = Tensor::cat(vec![tokens.high.clone(), tokens.low.clone()], 1);
        let output = TokenOutput {
            logits: self.head.forward(read),
            high_level: Some(tokens.high),
            low_level: Some(tokens.low),
        };
        (output, tokens.patches.values)
    }

    fn stage(&mut self, index: usize, mut x: Volume<B>, mode: Mode) -> Volume<B> {
        for block in &mut self.stages[index] {
            x = block.forward(&x, mode);
        }
        x
    }

    /// All weights and running statistics under the names, and in the shapes, of the published code's state dict.
    ///
    /// # Errors
    /// A device that does not give its values as `f32`.
    pub fn state(&self) -> Result<NamedTensors> {
        let mut collect = Collect::default();
        self.clone().visit_state(&mut collect);
        if collect.problems.is_empty() {
            Ok(collect.tensors)
        } else {
            Err(Error::State(collect.problems.join("; ")))
        }
    }

    /// Replaces all weights and running statistics; counts of batches (`num_batches_tracked`) are passed over.
    ///
    /// # Errors
    /// Lists every missing, surplus and mis-shaped tensor; nothing is loaded then.
    pub fn load_state(&mut self, tensors: NamedTensors) -> Result<()> {
        let mut check = Check::new(&tensors);
        self.visit_state(&mut check);
        check.finish()?;
        self.visit_state(&mut Load { tensors });
        Ok(())
    }

    fn visit_state(&mut self, visitor: &mut impl state::StateVisitor<B>) {
        let token = state::Layout::Token;
        visitor.tensor("hlv_token", token, &mut self.high_level_token);
        visitor.tensor("llv_token", token, &mut self.low_level_token);
        self.conv1.visit_state("conv1", visitor);
        self.bn1.visit_state("bn1", visitor);
        self.conv2.visit_state("conv2", visitor);
        self.bn2.visit_state("bn2", visitor);
        for (stage, blocks) in self.stages.iter_mut().enumerate() {
            for (index, block) in blocks.iter_mut().enumerate() {
                block.visit_state(&format!("layer{}.{index}", stage + 1), visitor);
            }
        }
        self.head.visit_state("fc1", visitor);
        self.attention2.visit_state("attention2", visitor);
        self.attention3.visit_state("attention3", visitor);
        self.attention4.visit_state("attention4", visitor);
    }
}
