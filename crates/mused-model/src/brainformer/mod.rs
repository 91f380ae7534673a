//! The volume model "BrainFormer" of CLIP-MUSED (ICLR 2024, section 4.1 and its published code).

mod attention;
mod block;
#[cfg(test)]
mod golden_tests;
mod layers;
mod state;

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use mused_kernels::{BatchNormTail, KernelBackend, Window, linear};
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::{Error, Result, TokenOutput, initial};
use attention::{DeepAttention, DeepAttentionSizes, ShallowAttention, Tokens};
use block::BasicBlock;
use layers::{BatchNorm, Convolution, Linear, Mode, Volume};
use state::{Check, Collect, Load};

pub use state::{NamedTensors, StateTensor};

/// Standard deviation the subject tokens start with (published code).
const TOKEN_SD: f32 = 0.02;

/// Most values one volume may have in its first feature map: beyond, a grid is a mistake.
const MOST_VALUES: usize = 1 << 32;

/// Number of layers of the residual network, counted as ResNets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Depth {
    /// One block a stage.
    #[serde(rename = "10")]
    Ten,
    /// Two blocks a stage.
    #[serde(rename = "18")]
    Eighteen,
    /// 3, 4, 6 and 3 blocks.
    #[serde(rename = "34")]
    ThirtyFour,
}

impl Depth {
    /// Basic blocks of the four stages.
    pub fn blocks(self) -> [usize; 4] {
        match self {
            Self::Ten => [1; 4],
            Self::Eighteen => [2; 4],
            Self::ThirtyFour => [3, 4, 6, 3],
        }
    }
}

/// Everything that determines the shapes of a [`BrainFormer`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrainFormerConfig {
    /// Number of layers.
    pub depth: Depth,
    /// Voxels along the three axes of a volume.
    pub grid: [usize; 3],
    /// Channels of the two convolutions before the blocks.
    pub stem: [usize; 2],
    /// Channels of the four stages; the last two are equal.
    pub stages: [usize; 4],
    /// Attention heads.
    pub heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Hidden widths of the MLPs after the two deep attentions.
    pub mlp: [usize; 2],
    /// Subjects with tokens of their own.
    pub subjects: usize,
    /// Labels to decode.
    pub labels: usize,
}

impl BrainFormerConfig {
    /// The published model for HCP 7T movies (MNI 1.6 mm, cropped and padded to 112 × 128 × 112).
    pub fn published(depth: Depth, subjects: usize, labels: usize) -> Self {
        Self {
            depth,
            grid: [112, 128, 112],
            stem: [32, 64],
            stages: [64, 128, 512, 512],
            heads: 4,
            head_dim: 64,
            mlp: [256, 512],
            subjects,
            labels,
        }
    }

    /// Grids after the second convolution, the second stage and the third.
    ///
    /// # Errors
    /// A size of 0, a grid that leaves fewer than two positions to the second stage, stages that do not fit together.
    fn grids(&self) -> Result<[[usize; 3]; 3]> {
        let sizes = [
            ("stem", self.stem.to_vec()),
            ("stages", self.stages.to_vec()),
            ("heads", vec![self.heads]),
            ("head_dim", vec![self.head_dim]),
            ("mlp", self.mlp.to_vec()),
            ("subjects", vec![self.subjects]),
            ("labels", vec![self.labels]),
            ("grid", self.grid.to_vec()),
        ];
        for (name, values) in sizes {
            if values.contains(&0) {
                let message = format!("{name}: expected sizes of at least 1, found {values:?}");
                return Err(Error::Config(message));
            }
        }
        let [.., third, fourth] = self.stages;
        if third != fourth {
            return Err(Error::Config(format!(
                "stages: expected the last two equal (subject tokens pass both), found {third} and {fourth}"
            )));
        }
        if self.stages[1] < 2 {
            let message = "stages: expected at least 2 channels in the second, found 1";
            return Err(Error::Config(message.to_owned()));
        }
        let mut values = self.grid.iter().chain(&self.stem);
        let values = values.try_fold(1_usize, |product, n| product.checked_mul(*n));
        if values.is_none_or(|n| n > MOST_VALUES) {
            let message = format!("grid: {:?} is larger than any volume", self.grid);
            return Err(Error::Config(message));
        }
        let halved = |grid: [usize; 3]| grid.map(|n| n.div_ceil(2));
        let first = Window::cubic(2, 3).output(self.grid, [7; 3]);
        let second = first.and_then(|grid| Window::cubic(2, 3).output(grid, [7; 3]));
        let grids = second.map(|grid| [grid, halved(grid), halved(halved(grid))]);
        // Statistics of a batch need two rows, the MLP along positions a half of them.
        match grids {
            Some(grids) if grids[1].iter().product::<usize>() >= 2 => Ok(grids),
            _ => Err(Error::Config(format!(
                "grid: {:?} is too small: each axis is halved three times before the first attention, which needs at \
                 least two positions; expected more than 8 voxels along one axis",
                self.grid
            ))),
        }
    }

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
            high_level: tokens.high,
            low_level: tokens.low,
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
