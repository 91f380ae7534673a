use std::collections::BTreeMap;

use mused_data::audit::Leak;
use mused_data::{Arrangement, Description, Kind, Layout, Response, SplitPlan};
use mused_model::{
    BrainFormerConfig, DecoderConfig, Depth, EncoderConfig, Identity, Levels, LossConfig,
    MlpConfig, Orthogonality, RoiTransformerConfig, RsaForm, Tokenizer,
};
use serde::{Deserialize, Serialize};

use crate::linear::LinearConfig;
use crate::model_file::Architecture;
use crate::{Error, Result};

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
    /// Subject tested but never trained on; empty = none.
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

/// Names of the presets and what they are.
pub const PRESETS: [(&str, &str); 3] = [
    (
        "default",
        "small and well regularised, for tens to thousands of stimuli",
    ),
    (
        "clip-mused",
        "the published optimiser, schedule and loss coefficients",
    ),
    (
        "clip-mused-hcp",
        "the published volume model and recipe for HCP 7T movies, batch 64 in 13 GB",
    ),
];

impl Default for Config {
    fn default() -> Self {
        Self {
            split: SplitConfig {
                folds: 1,
                test_fraction: 0.2,
                validation_fraction: 0.1,
                holdout_subject: String::new(),
                seed: 0,
            },
            model: ModelConfig {
                family: Family::Transformer,
                subjects: Sharing::Tokens,
                alignment: Alignment::None,
                alignment_components: 50,
                levels: Levels::Both,
                tokenizer: TokenizerKind::Auto,
                patch_size: 8,
                grid: Vec::new(),
                zscore: true,
                roi_components: 0,
                dim: 128,
                depth: 1,
                heads: 4,
                mlp_ratio: 2.0,
                dropout: 0.2,
                attention_dropout: 0.2,
                input_dropout: 0.7,
                shuffled_brain: false,
            },
            brainformer: BrainFormerSize {
                depth: Depth::Eighteen,
                stem: [32, 64],
                stages: [64, 128, 512, 512],
                heads: 4,
                head_dim: 64,
                mlp: [256, 512],
            },
            guidance: GuidanceConfig {
                high: "auto".to_owned(),
                low: "auto".to_owned(),
            },
            loss: LossConfig {
                high: 0.3,
                low: 0.03,
                orthogonality: 0.03,
                orthogonality_form: Orthogonality::Cosine,
                rsa_form: RsaForm::Centred,
            },
            train: TrainConfig {
                seed: 0,
                epochs: 25,
                batch_size: 64,
                micro_batch: 0,
                optimizer: OptimizerKind::AdamW,
                learning_rate: 3e-3,
                rate_factors: BTreeMap::new(),
                schedule: ScheduleKind::Cosine,
                warmup: 0.1,
                step_epochs: 25,
                step_factor: 0.7,
                weight_decay: 0.5,
                gradient_clip: 1.0,
                ema_decay: 0.99,
            },
            audit: AuditConfig {
                near_duplicate: 0.98,
                allow: Vec::new(),
            },
        }
    }
}

impl Config {
    /// The preset called `name`, see [`PRESETS`].
    ///
    /// # Errors
    /// Names the presets there are.
    pub fn preset(name: &str) -> Result<Self> {
        match name {
            "default" => Ok(Self::default()),
            "clip-mused" => Ok(Self::clip_mused()),
            "clip-mused-hcp" => Ok(Self::clip_mused_hcp()),
            _ => {
                let known: Vec<&str> = PRESETS.iter().map(|(name, _)| *name).collect();
                Err(Error::Config(format!(
                    "unknown preset {name:?}: expected one of {}",
                    known.join(", ")
                )))
            }
        }
    }

    /// Published code: Adam 1e-3, batch 64, × 0.7 every 25 epochs, attention at a tenth of the
    /// rate, 1 · BCE + 1e-3 · orthogonality F + 1e-3 · high RSA + 1e-1 · low RSA.
    fn clip_mused() -> Self {
        let mut config = Self::default();
        config.loss.rsa_form = RsaForm::SquaredError;
        config.loss.high = 1e-3;
        config.loss.low = 1e-1;
        config.loss.orthogonality = 1e-3;
        config.loss.orthogonality_form = Orthogonality::F;
        config.model.dim = 512;
        config.model.depth = 6;
        config.model.heads = 8;
        config.model.mlp_ratio = 4.0;
        config.model.dropout = 0.0;
        config.model.attention_dropout = 0.0;
        config.model.input_dropout = 0.0;
        config.train = TrainConfig {
            seed: 0,
            epochs: 500,
            batch_size: 64,
            micro_batch: 0,
            optimizer: OptimizerKind::Adam,
            learning_rate: 1e-3,
            rate_factors: BTreeMap::from([("attention".to_owned(), 0.1)]),
            schedule: ScheduleKind::Step,
            warmup: 0.0,
            step_epochs: 25,
            step_factor: 0.7,
            weight_decay: 0.0,
            gradient_clip: 0.0,
            ema_decay: 0.0,
        };
        config
    }

    /// Published code for HCP 7T movies: as [`Self::clip_mused`], with BrainFormer-18 on the
    /// 1.6 mm volume from voxel (2, 4, 0), 112 × 128 × 112, as the import scaled it.
    fn clip_mused_hcp() -> Self {
        let mut config = Self::clip_mused();
        config.model.tokenizer = TokenizerKind::Convolutions;
        config.model.grid = vec![[2, 114], [4, 132], [0, 112]];
        config.model.zscore = false;
        config
    }

    /// Checks ranges that types do not express.
    ///
    /// # Errors
    /// Names the key, what is expected and what was found.
    pub fn check(&self) -> Result<()> {
        let (model, train) = (&self.model, &self.train);
        let share = |value: f64| (0.0..1.0).contains(&value);
        let factor = |value: f64| value.is_finite() && value >= 0.0;
        let rules = [
            (self.split.folds > 0, "split.folds", "at least 1"),
            (
                model.family == Family::Transformer
                    || matches!(model.subjects, Sharing::Shared | Sharing::Separate),
                "model.subjects",
                "shared or separate for a family without tokens",
            ),
            (
                model.alignment == Alignment::None
                    || (model.family == Family::Ridge && model.subjects == Sharing::Shared),
                "model.alignment",
                "none unless model.family is ridge and model.subjects is shared",
            ),
            (
                model.alignment_components > 0,
                "model.alignment_components",
                "at least 1",
            ),
            (
                model.tokenizer != TokenizerKind::Convolutions
                    || (model.levels == Levels::Both && model.subjects != Sharing::Embedding),
                "model.levels and model.subjects",
                "both and anything but embedding where model.tokenizer is convolutions",
            ),
            (
                model.subjects != Sharing::Separate || self.split.holdout_subject.is_empty(),
                "model.subjects",
                "another one than separate: a model a subject cannot read a held-out subject",
            ),
            (model.patch_size > 0, "model.patch_size", "at least 1"),
            (
                [0, 3].contains(&model.grid.len()),
                "model.grid",
                "empty or three pairs [from, to]",
            ),
            (model.dim > 0, "model.dim", "at least 1"),
            (model.depth > 0, "model.depth", "at least 1"),
            (
                model.heads > 0 && model.dim.is_multiple_of(model.heads),
                "model.heads",
                "a divisor of model.dim",
            ),
            (
                model.mlp_ratio.is_finite() && model.mlp_ratio > 0.0,
                "model.mlp_ratio",
                "above 0",
            ),
            (
                share(model.dropout),
                "model.dropout",
                "0 or more and below 1",
            ),
            (
                share(model.attention_dropout),
                "model.attention_dropout",
                "0 or more and below 1",
            ),
            (
                share(model.input_dropout),
                "model.input_dropout",
                "0 or more and below 1",
            ),
            (factor(self.loss.high), "loss.high", "0 or more"),
            (factor(self.loss.low), "loss.low", "0 or more"),
            (
                factor(self.loss.orthogonality),
                "loss.orthogonality",
                "0 or more",
            ),
            (train.epochs > 0, "train.epochs", "at least 1"),
            (train.batch_size > 0, "train.batch_size", "at least 1"),
            (
                train.learning_rate.is_finite() && train.learning_rate > 0.0,
                "train.learning_rate",
                "above 0",
            ),
            (
                train.rate_factors.values().all(|&value| factor(value)),
                "train.rate_factors",
                "0 or more each",
            ),
            (share(train.warmup), "train.warmup", "0 or more and below 1"),
            (train.step_epochs > 0, "train.step_epochs", "at least 1"),
            (factor(train.step_factor), "train.step_factor", "0 or more"),
            (
                factor(train.weight_decay),
                "train.weight_decay",
                "0 or more",
            ),
            (
                factor(train.gradient_clip),
                "train.gradient_clip",
                "0 or more",
            ),
            (
                share(train.ema_decay),
                "train.ema_decay",
                "0 or more and below 1",
            ),
            (
                (-1.0..=1.0).contains(&self.audit.near_duplicate),
                "audit.near_duplicate",
                "a cosine, from -1 to 1",
            ),
        ];
        match rules.iter().find(|(holds, _, _)| !holds) {
            None => Ok(()),
            Some((_, key, expected)) => Err(Error::Config(format!(
                "{key} must be {expected} (see its value in the configuration given)"
            ))),
        }
    }

    /// The held-out subject, if there is one.
    pub fn holdout_subject(&self) -> Option<&str> {
        (!self.split.holdout_subject.is_empty()).then_some(self.split.holdout_subject.as_str())
    }

    pub(crate) fn split_plan(&self) -> SplitPlan {
        SplitPlan {
            folds: (self.split.folds > 1).then_some(self.split.folds),
            test_fraction: self.split.test_fraction,
            validation_fraction: self.split.validation_fraction,
            seed: self.split.seed,
        }
    }

    /// How the voxels of a dataset of some kind are arranged for the model.
    pub(crate) fn arrangement(&self, kind: Kind) -> Arrangement {
        let range = <[_; 3]>::try_from(self.model.grid.as_slice()).ok();
        let patches = Arrangement::Patches {
            edge: self.model.patch_size,
            range,
        };
        match (self.model.tokenizer, kind) {
            (TokenizerKind::Auto, Kind::Volume) | (TokenizerKind::Patches, _) => patches,
            (TokenizerKind::Auto | TokenizerKind::Regions, _) => match self.model.roi_components {
                0 => Arrangement::Regions,
                most => Arrangement::Components { most },
            },
            (TokenizerKind::Convolutions, _) => Arrangement::Grid { range },
        }
    }

    /// Refuses what a dataset of some kind cannot be read with.
    pub(crate) fn check_for(&self, description: &Description) -> Result<()> {
        let by_regions = matches!(
            self.arrangement(description.kind),
            Arrangement::Components { .. }
        );
        let profiles = description.response == Response::SimilarityProfiles;
        if self.model.roi_components == 0 || (by_regions && !profiles) {
            return Ok(());
        }
        let found = if profiles {
            "similarity profiles, which are as long for every subject"
        } else {
            "patches or convolutions of a volume (model.tokenizer)"
        };
        Err(Error::Config(format!(
            "model.roi_components is for regions of voxels and must be 0 for {found}"
        )))
    }

    /// The model that reads inputs of such a layout.
    pub(crate) fn architecture(
        &self,
        layout: &Layout,
        subjects: usize,
        labels: usize,
    ) -> Architecture {
        if self.model.family.closed_form() {
            Architecture::Linear(LinearConfig {
                family: self.model.family,
                alignment: self.model.alignment,
                inputs: layout.width(),
                labels,
            })
        } else {
            Architecture::Network(self.decoder(layout, subjects, labels))
        }
    }

    /// The network, where there is one, that reads inputs of such a layout.
    pub(crate) fn decoder(&self, layout: &Layout, subjects: usize, labels: usize) -> DecoderConfig {
        let (model, volume) = (&self.model, &self.brainformer);
        let (subjects, identity) = match model.subjects {
            Sharing::Tokens => (subjects, Identity::Tokens),
            Sharing::Embedding => (subjects, Identity::Embedding),
            Sharing::Shared | Sharing::Separate => (1, Identity::Tokens),
        };
        if model.family == Family::Mlp {
            return DecoderConfig::Mlp(MlpConfig {
                inputs: layout.width(),
                hidden: ((model.dim as f64 * model.mlp_ratio).round() as usize).max(1),
                labels,
                input_dropout: model.input_dropout,
                dropout: model.dropout,
            });
        }
        let tokenizer = match layout {
            Layout::Grid { cuboid } => {
                return DecoderConfig::BrainFormer(BrainFormerConfig {
                    depth: volume.depth,
                    grid: cuboid.shape,
                    stem: volume.stem,
                    stages: volume.stages,
                    heads: volume.heads,
                    head_dim: volume.head_dim,
                    mlp: volume.mlp,
                    subjects,
                    labels,
                });
            }
            Layout::Regions { slots } => Tokenizer::Regions {
                lengths: slots.iter().map(|slot| slot.length).collect(),
            },
            Layout::Patches { edge, slots, .. } => Tokenizer::Patches {
                count: slots.len(),
                length: edge.pow(3),
            },
        };
        DecoderConfig::Roi(RoiTransformerConfig {
            tokenizer,
            identity,
            levels: model.levels,
            subjects,
            labels,
            input_dropout: model.input_dropout,
            encoder: EncoderConfig {
                dim: model.dim,
                depth: model.depth,
                heads: model.heads,
                mlp_ratio: model.mlp_ratio,
                dropout: model.dropout,
                attention_dropout: model.attention_dropout,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use burn::module::Module as _;
    use mused_data::{Cuboid, Slot};
    use mused_kernels::Cpu;
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// 18 regions of 90 values, 23 subjects, 32 labels, counted by hand from the layers; and the
    /// published count of the volume model with 9 subjects and 53 labels.
    #[test]
    fn parameter_counts_of_the_presets() {
        let slot = |roi: usize| Slot {
            name: roi.to_string(),
            offset: 90 * roi,
            length: 90,
        };
        let regions = Layout::Regions {
            slots: (0..18).map(slot).collect(),
        };
        let grid = Layout::Grid {
            cuboid: Cuboid {
                origin: [2, 4, 0],
                shape: [112, 128, 112],
            },
        };
        let expected = [
            ("default", &regions, 23, 32, 356_768),
            ("clip-mused", &regions, 23, 32, 19_811_360),
            ("clip-mused-hcp", &grid, 9, 53, 65_865_461),
        ];
        assert_eq!(
            expected.map(|(name, ..)| name),
            PRESETS.map(|(name, _)| name)
        );
        for (name, layout, subjects, labels, count) in expected {
            let config = Config::preset(name).unwrap();
            config.check().unwrap();
            let decoder = config.decoder(layout, subjects, labels);
            let rng = &mut ChaCha8Rng::seed_from_u64(0);
            let model = decoder.init::<Cpu>(rng, &Default::default()).unwrap();
            let statistics = match decoder {
                DecoderConfig::Roi(_) | DecoderConfig::Mlp(_) => 0,
                DecoderConfig::BrainFormer(_) => running_statistics(&model),
            };
            assert_eq!(model.num_params() - statistics, count, "{name}");
        }
    }

    /// Values that training moves but no gradient does.
    fn running_statistics(model: &mused_model::Decoder<Cpu>) -> usize {
        let tensors = crate::parameters::collect(model).unwrap();
        let running = tensors.iter().filter(|(name, _)| name.contains("running_"));
        running.map(|(_, (_, values))| values.len()).sum()
    }
}
