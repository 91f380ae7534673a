use mused_kernels::Window;
use serde::{Deserialize, Serialize};

use super::NamedTensors;
use crate::{Error, Result};

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
    /// The number in its name.
    pub fn layers(self) -> u8 {
        match self {
            Self::Ten => 10,
            Self::Eighteen => 18,
            Self::ThirtyFour => 34,
        }
    }

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

    /// The sizes of a published state dict, but for its grid, which its tensors tell the size of and not the shape,
    /// and its number of `heads`, which they do not tell at all. The grid is left at 0.
    ///
    /// # Errors
    /// A tensor that sizes are read from is missing or of another rank; blocks that no depth has.
    pub fn of_state(state: &NamedTensors, heads: usize) -> Result<Self> {
        let size = |name: &str, axis: usize, rank: usize| match state.get(name) {
            Some(tensor) if tensor.shape.len() == rank => Ok(tensor.shape[axis]),
            Some(tensor) => Err(Error::State(format!(
                "{name}: expected {rank} axes, found shape {:?}",
                tensor.shape
            ))),
            None => Err(Error::State(format!(
                "{name} is missing; a checkpoint of the published volume model has it"
            ))),
        };
        let blocks = |stage: usize| {
            let prefix = format!("layer{stage}.");
            let index = |name: &String| name.strip_prefix(&prefix)?.split('.').next()?.parse().ok();
            let last: Option<usize> = state.keys().filter_map(index).max();
            last.map_or(0, |last| last.saturating_add(1))
        };
        let found = [1, 2, 3, 4].map(blocks);
        let depths = [Depth::Ten, Depth::Eighteen, Depth::ThirtyFour];
        let depth = depths.into_iter().find(|depth| depth.blocks() == found);
        let depth = depth.ok_or_else(|| {
            Error::State(format!(
                "expected 1, 1, 1, 1 or 2, 2, 2, 2 or 3, 4, 6, 3 blocks a stage, found {found:?}"
            ))
        })?;
        let stage = |stage: usize| size(&format!("layer{stage}.0.conv1.weight"), 0, 5);
        let inner = size("attention3.attention.to_qkv.weight", 0, 2)? / 3;
        if heads == 0 || !inner.is_multiple_of(heads) {
            return Err(Error::State(format!(
                "attention of width {inner} cannot have {heads} heads; set brainformer.heads"
            )));
        }
        Ok(Self {
            depth,
            grid: [0; 3],
            stem: [size("conv1.weight", 0, 5)?, size("conv2.weight", 0, 5)?],
            stages: [stage(1)?, stage(2)?, stage(3)?, stage(4)?],
            heads,
            head_dim: inner / heads,
            mlp: [
                size("attention3.FeedForward.net.0.weight", 0, 2)?,
                size("attention4.FeedForward.net.0.weight", 0, 2)?,
            ],
            subjects: size("hlv_token", 0, 3)?,
            labels: size("fc1.weight", 0, 2)?,
        })
    }

    /// Grids after the second convolution, the second stage and the third.
    ///
    /// # Errors
    /// A size of 0, a grid that leaves fewer than two positions to the second stage, stages that do not fit together.
    pub(super) fn grids(&self) -> Result<[[usize; 3]; 3]> {
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

    /// Values that a training pass keeps for its backward pass, of one volume: the volume, and of
    /// every convolution and of the attentions' layers what goes in and out of the normalisation.
    ///
    /// # Errors
    /// As [`Self::init`].
    pub(crate) fn activations(&self) -> Result<f64> {
        let [first, second, third] = self.grids()?;
        let voxels = |grid: [usize; 3]| grid.iter().map(|&side| side as f64).product::<f64>();
        let halved = voxels(self.grid.map(|n| n.div_ceil(2)));
        let blocks = self.depth.blocks();
        let stages = [first, second, third, third].map(voxels);
        // Two convolutions a block, and one more where channels or grid change.
        let channels = self.stages.map(|channels| channels as f64);
        let convolutions: f64 = (0..4)
            .map(|stage| (2 * blocks[stage] + 1) as f64 * stages[stage] * channels[stage])
            .sum();
        let [stem1, stem2] = self.stem.map(|channels| channels as f64);
        let stem = halved * stem1 + voxels(first) * stem2;
        let shallow = 3.0 * voxels(second) * channels[1];
        let heads = self.heads as f64;
        let inner = heads * self.head_dim as f64;
        let deep = |hidden: usize| {
            let tokens = stages[2] + 2.0;
            let width = 4.0 * inner + 4.0 * channels[2] + 2.0 * hidden as f64;
            tokens * width + heads * tokens * tokens
        };
        let attention = shallow + self.mlp.map(deep).iter().sum::<f64>();
        Ok(voxels(self.grid) + 2.0 * (stem + convolutions) + attention)
    }

    /// Weights of the convolutions, nearly all a large model has.
    pub(crate) fn convolution_weights(&self) -> f64 {
        let [stem1, stem2] = self.stem.map(|channels| channels as f64);
        let mut weights = 343.0 * (stem1 + stem1 * stem2);
        let mut inputs = stem2;
        for (outputs, blocks) in self.stages.into_iter().zip(self.depth.blocks()) {
            let (outputs, further) = (outputs as f64, (2 * blocks - 1) as f64);
            weights += 27.0 * outputs * (inputs + further * outputs) + inputs * outputs;
            inputs = outputs;
        }
        weights
    }
}
