//! Everything that determines a training run: its values, their presets, their rules, and the network they ask for.

mod check;
mod network;
mod presets;

use std::collections::BTreeMap;

use mused_data::audit::Leak;
use mused_data::{Published, SplitPlan};
use mused_model::{Depth, Levels, LossConfig};
use serde::{Deserialize, Serialize};

pub use presets::PRESETS;

/// Everything that determines the result of a training run on a given dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Division into training, validation and test stimuli.
    pub split: SplitConfig,
    /// What the network reads, and the Transformer over regions or patches.
    pub model: ModelConfig,
    /// The 3-D network that reads whole volumes.
    pub brainformer: BrainFormerSize,
    /// Which stimulus geometry guides the tokens.
    pub guidance: GuidanceConfig,
    /// Loss terms.
    pub loss: LossConfig,
    /// Optimisation.
    pub train: TrainConfig,
    /// Search for leaks before training.
    pub audit: AuditConfig,
}

/// Search for leaks before training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditConfig {
    /// Cosine of features above which two stimuli are near-duplicates.
    pub near_duplicate: f64,
    /// Leaks that are recorded in `run.json` and let pass.
    pub allow: Vec<Leak>,
}

/// Division into training, validation and test stimuli.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitConfig {
    /// Cross-validation folds; 1 = one split, by the dataset's `split` column where it has one.
    pub folds: usize,
    /// Share of stimuli tested when there is one fold and no `split` column.
    pub test_fraction: f64,
    /// Share of each training side that selects the weights; 0 = keep the last weights.
    pub validation_fraction: f64,
    /// Subject tested but never trained on; empty = none; `each` = every subject by a model trained on the others.
    pub holdout_subject: String,
    /// Seed of the assignment to folds.
    pub seed: u64,
}

/// How responses become tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenizerKind {
    /// Patches for a dataset of kind volume, regions for others.
    Auto,
    /// A token a region of interest, each with its own Linear.
    Regions,
    /// A token a cube of voxels, one Linear for all.
    Patches,
    /// 3-D convolutions: the published volume model, BrainFormer.
    Convolutions,
}

/// Which network decodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// A Transformer over regions or patches, or BrainFormer.
    Transformer,
    /// One hidden layer over the whole input row, without tokens or guidance.
    Mlp,
    /// Ridge regression of the labels, in closed form, without guidance.
    Ridge,
    /// How frequent each label is among the training samples, whatever the response.
    Prevalence,
}

impl Family {
    /// Whether a model is computed at once instead of by gradient steps.
    pub(crate) fn closed_form(self) -> bool {
        matches!(self, Self::Ridge | Self::Prevalence)
    }
}

/// How subjects come into one space before ridge regression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Alignment {
    /// They stay in the input row, region by region.
    None,
    /// Hyperalignment: principal components of each subject, rotated to a common template.
    Procrustes,
    /// The deterministic shared response model.
    Srm,
}

/// How subjects share a model and are told apart in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sharing {
    /// One model; two tokens of each subject.
    Tokens,
    /// One model; a vector of each subject added to every token, the tokens are everybody's.
    Embedding,
    /// One model that is not told whose responses it reads.
    Shared,
    /// A model for each subject.
    Separate,
}

/// What the network reads, and the Transformer over regions or patches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Which network decodes.
    pub family: Family,
    /// How subjects share it.
    pub subjects: Sharing,
    /// How subjects come into one space before ridge regression.
    pub alignment: Alignment,
    /// Most dimensions of that space; fewer where stimuli or voxels are fewer.
    pub alignment_components: usize,
    /// Tokens that the logits are read from: both, high or low.
    pub levels: Levels,
    /// How responses become tokens.
    pub tokenizer: TokenizerKind,
    /// Voxels a side of a patch.
    pub patch_size: usize,
    /// Part of the volume that patches and convolutions read: [from, to] on each axis, in voxels
    /// of the dataset; beyond the brain it is zero. Empty = the smallest box around all brains.
    pub grid: Vec<[i32; 2]>,
    /// Whether voxels are z-scored with training statistics, a subject.
    pub zscore: bool,
    /// Regions as this many principal components, fitted on each subject's training samples; 0 =
    /// voxels, with zeros where a subject has fewer than others.
    pub roi_components: usize,
    /// Width of a token.
    pub dim: usize,
    /// Transformer blocks.
    pub depth: usize,
    /// Attention heads; divides `dim`.
    pub heads: usize,
    /// Hidden width of the MLP as a multiple of `dim`.
    pub mlp_ratio: f64,
    /// Dropout after attention and in the MLP.
    pub dropout: f64,
    /// Dropout of attention weights.
    pub attention_dropout: f64,
    /// Dropout of single input values.
    pub input_dropout: f64,
    /// Control: each subject's responses are dealt anew to the stimuli of the same run.
    pub shuffled_brain: bool,
}

/// Size of the published volume model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrainFormerSize {
    /// Layers as ResNets are counted: 10, 18 or 34.
    pub depth: Depth,
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
}

/// Which stimulus geometry guides the tokens: the name of a folder in `features/`, `auto` (the
/// one whose `feature.json` names the level) or `none`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuidanceConfig {
    /// For the high-level token.
    pub high: String,
    /// For the low-level token.
    pub low: String,
}

/// Optimiser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// Weight decay as part of the gradient.
    Adam,
    /// Weight decay apart from it.
    AdamW,
}

/// Course of the learning rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// The same throughout, after warm-up.
    Constant,
    /// Linear warm-up, then half a cosine to 0.
    Cosine,
    /// Cosine up from 1/25 during warm-up, then cosine down to 1/250,000.
    OneCycle,
    /// Linear warm-up, then × `step_factor` every `step_epochs`.
    Step,
}

/// Optimisation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Seed of weights, batches and dropout.
    pub seed: u64,
    /// Passes over the training samples.
    pub epochs: usize,
    /// Samples a step, subjects mixed.
    pub batch_size: usize,
    /// Samples that pass the network at once, to bound memory; 0 = the whole batch. Losses and
    /// guidance are of the whole batch all the same; batch normalisation sees this many.
    pub micro_batch: usize,
    /// Optimiser.
    pub optimizer: OptimizerKind,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Learning-rate factors of parameters whose name contains the key, e.g. `attention = 0.1`.
    pub rate_factors: BTreeMap<String, f64>,
    /// Course of the learning rate.
    pub schedule: ScheduleKind,
    /// Share of all steps spent warming up.
    pub warmup: f64,
    /// Epochs between steps of the `step` schedule.
    pub step_epochs: usize,
    /// Factor of each step of the `step` schedule.
    pub step_factor: f64,
    /// Weight decay of weight matrices; biases, norms and tokens are never decayed.
    pub weight_decay: f64,
    /// Largest norm of the whole gradient; 0 = unlimited.
    pub gradient_clip: f64,
    /// Decay a step of the averaged weights that are evaluated; 0 = evaluate the raw weights.
    pub ema_decay: f64,
}

impl Config {
    pub(crate) fn split_plan(&self) -> SplitPlan {
        SplitPlan {
            folds: (self.split.folds > 1).then_some(self.split.folds),
            published: Published::Use,
            test_fraction: self.split.test_fraction,
            validation_fraction: self.split.validation_fraction,
            seed: self.split.seed,
        }
    }
}
