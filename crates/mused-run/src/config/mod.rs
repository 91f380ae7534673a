//! Everything that determines a training run: its values, their meaning and ranges, presets, named models, and the layers
//! it is put together from.

mod check;
mod layers;
mod legacy;
mod model;
mod named;
mod page;
mod presets;
mod reading;
pub(crate) mod settings;
mod settled;
mod trials;

use std::collections::BTreeMap;

use mused_data::audit::Leak;
use mused_data::{Arrangement, Kind, SplitPlan};
use serde::{Deserialize, Serialize};

pub use layers::Layers;
pub use model::{
    AlignedRidgeConfig, Alignment, BrainFormerConfig, FAMILIES, Family, Identity, InputConfig,
    Levels, MlpConfig, ModelConfig, Pooling, PrevalenceConfig, Regions, RidgeConfig,
    SubjectLinearConfig, Tokenizer, TransformerConfig, VolumeIdentity,
};
pub use named::{MODELS, NamedModel};
pub use presets::PRESETS;
pub use reading::{Onto, Reading};
pub use settings::{Range, Setting};
pub use settled::Settled;
pub use trials::Trials;

use settings::{choices, settings};

/// Value of `split.holdout_subject` for a model without each subject.
pub const EACH: &str = "each";

choices! {
    /// What becomes of a published division: the `split` column of the stimuli.
    Published {
        /// One fold tests the published test part; several folds are refused, which would train on it.
        Use = "use",
        /// All stimuli are divided anew.
        Ignore = "ignore",
    }
}

settings! {
    /// Division into training, validation and test stimuli.
    "split" SplitConfig {
        /// Cross-validation folds; 1 = one split, by the dataset's `split` column where it has one.
        folds: usize = 1, in Range::AtLeast(1);
        /// What becomes of the dataset's `split` column, where it has one.
        published: Published = Published::Use;
        /// Share of stimuli tested when there is one fold and no `split` column.
        test_fraction: f64 = 0.2, in Range::ProperShare;
        /// Share of each training side that selects the weights; 0 = all of it trains and the last weights are kept, as where
        /// the side is of one group, or of two that are as large.
        validation_fraction: f64 = 0.0, in Range::Share;
        /// Subjects whose responses are read; empty = all of the dataset. One who is left out may be another one.
        subjects: Vec<String> = Vec::new();
        /// Subject tested but never trained on; empty = none; `each` = every subject by a model trained on the others.
        holdout_subject: String = String::new();
        /// How many training stimuli of each subject a model is trained on.
        trials: Trials = Trials::All;
        /// How many training stimuli of a left-out subject its own maps are fitted on, where voxels are mapped onto something
        /// (`model.inputs`) or subjects are aligned before ridge regression (which takes all where this is none).
        calibration: Trials = Trials::None;
        /// Which draw of `trials` and `calibration`: the first ones of another order of each subject's stimuli.
        draw: u64 = 0;
        /// Seed of the assignment to folds.
        seed: u64 = 0;
    }
}

settings! {
    /// Which stimulus geometry guides the tokens.
    "guidance" GuidanceConfig {
        /// For the high-level token: a folder of `features/`, `auto` (the one whose `feature.json` names the level) or `none`.
        high: String = "auto".to_owned(), from "CLIP-MUSED, section 3.3";
        /// For the low-level token: a folder of `features/`, `auto` (the one whose `feature.json` names the level) or `none`.
        low: String = "auto".to_owned(), from "CLIP-MUSED, section 3.3";
    }
}

choices! {
    /// How the high-level and low-level token of a sample are pushed apart.
    Orthogonality {
        /// Mean of squared inner products over all pairs of the batch (published).
        F = "f" | "F",
        /// Mean absolute inner product of a sample's two tokens.
        L1 = "l1" | "L1",
        /// Mean squared inner product of a sample's two tokens.
        L2 = "l2" | "L2",
        /// Mean of squared cosines over all pairs of the batch: bounded whatever the tokens' norms.
        Cosine = "cosine" | "Cosine",
    }
}

choices! {
    /// How a token's RDM is compared with the stimulus RDM.
    RsaForm {
        /// Mean squared difference over all pairs (published).
        SquaredError = "squared-error",
        /// Mean squared difference over pairs of different stimuli, after the mean of each RDM is taken off.
        Centred = "centred",
    }
}

settings! {
    /// Weights and forms of the loss terms beside the cross-entropy.
    "loss" LossConfig {
        /// Weight of the high-level RSA loss.
        high: f64 = 0.3, in Range::NotNegative, from "mild on purpose (CORRECTNESS.md, Guidance); published: 1e-3";
        /// Weight of the low-level RSA loss.
        low: f64 = 0.03, in Range::NotNegative, from "mild on purpose (CORRECTNESS.md, Guidance); published: 1e-1";
        /// Weight of the orthogonality loss.
        orthogonality: f64 = 0.03, in Range::NotNegative, from "CORRECTNESS.md, Guidance; published: 1e-3";
        /// Form of the orthogonality loss.
        orthogonality_form: Orthogonality = Orthogonality::Cosine, from "CORRECTNESS.md, Guidance; published: f";
        /// Form of the RSA losses.
        rsa_form: RsaForm = RsaForm::Centred, from "CORRECTNESS.md, Guidance; published: squared-error";
    }
}

choices! {
    /// Optimiser.
    Optimizer {
        /// Weight decay as part of the gradient.
        Adam = "adam",
        /// Weight decay apart from it.
        AdamW = "adamw",
    }
}

choices! {
    /// Course of the learning rate.
    Schedule {
        /// The same throughout, after warm-up.
        Constant = "constant",
        /// Linear warm-up, then half a cosine to 0.
        Cosine = "cosine",
        /// Cosine up from 1/25 during warm-up, then cosine down to 1/250,000.
        OneCycle = "one-cycle",
        /// Linear warm-up, then × `step_factor` every `step_epochs`.
        Step = "step",
    }
}

choices! {
    /// Numbers that linear layers multiply.
    Precision {
        /// 32 bits throughout.
        Single = "single",
        /// Factors rounded to 16 bits (bfloat16), sums in 32: on processors with avx512_bf16 alone, refused elsewhere. No faster
        /// than `single` on those of Intel.
        Bf16 = "bf16",
    }
}

settings! {
    /// Optimisation of networks; models in closed form read the seed alone.
    "train" TrainConfig {
        /// Seed of weights, batches and dropout.
        seed: u64 = 0;
        /// Passes over the training samples.
        epochs: usize = 25, in Range::AtLeast(1), from "published: 500";
        /// Samples a step, subjects mixed.
        batch_size: usize = 64, in Range::AtLeast(1), from "published code";
        /// Samples that pass the network at once, to bound memory; 0 = the whole batch. Losses and guidance are of the
        /// whole batch all the same; batch normalisation sees this many.
        micro_batch: usize = 0, in Range::AtLeast(0);
        /// Numbers that linear layers multiply in training steps, but for the queries, keys and values of the last block.
        /// Weights, what passes between layers, all other operations and predictions are in 32 bits either way.
        precision: Precision = Precision::Single;
        /// Optimiser.
        optimizer: Optimizer = Optimizer::AdamW, from "published: adam";
        /// Highest learning rate.
        learning_rate: f64 = 3e-3, in Range::Positive, from "published: 1e-3";
        /// Learning-rate factors of parameters whose name contains the key, e.g. `attention = 0.1`.
        rate_factors: BTreeMap<String, f64> = BTreeMap::new(), in Range::NotNegative, from "published: attention = 0.1";
        /// Course of the learning rate.
        schedule: Schedule = Schedule::Cosine, from "published: step";
        /// Share of all steps spent warming up.
        warmup: f64 = 0.1, in Range::Share;
        /// Epochs between steps of the `step` schedule.
        step_epochs: usize = 25, in Range::AtLeast(1), from "published code";
        /// Factor of each step of the `step` schedule.
        step_factor: f64 = 0.7, in Range::NotNegative, from "published code";
        /// Weight decay of weight matrices; biases, norms, embeddings and tokens are never decayed.
        weight_decay: f64 = 0.5, in Range::NotNegative, from "published: 0";
        /// Largest norm of the whole gradient; 0 = unlimited.
        gradient_clip: f64 = 1.0, in Range::NotNegative, from "published: 0";
        /// Decay a step of the averaged weights that are evaluated; 0 = evaluate the raw weights.
        ema_decay: f64 = 0.99, in Range::Share, from "published: 0";
        /// Networks of a model, trained from weights of their own on the same batches; the model's logits are their mean.
        ensemble: usize = 1, in Range::AtLeast(1);
        /// Whether a ridge regression is trained beside a network, in the folder `ridge` of its run, to be held against it.
        ridge: bool = true;
    }
}

settings! {
    /// Search for leaks before training.
    "audit" AuditConfig {
        /// Cosine of features above which two stimuli are near-duplicates.
        near_duplicate: f64 = 0.98, in Range::Cosine;
        /// Leaks that are recorded in `run.json` and let pass.
        allow: Vec<Leak> = Vec::new();
    }
}

/// Everything that determines the result of a training run on a given dataset.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Division into training, validation and test stimuli.
    pub split: SplitConfig,
    /// What is read of a response, and the family that decodes it.
    pub model: ModelConfig,
    /// Which stimulus geometry guides the tokens.
    pub guidance: GuidanceConfig,
    /// Loss terms.
    pub loss: LossConfig,
    /// Optimisation.
    pub train: TrainConfig,
    /// Search for leaks before training.
    pub audit: AuditConfig,
}

impl Config {
    /// The same, cross-validated over `folds` folds of stimulus groups.
    pub fn folds(mut self, folds: usize) -> Self {
        self.split.folds = folds;
        self
    }

    /// The same with another seed of weights, batches and dropout.
    pub fn seed(mut self, seed: u64) -> Self {
        self.train.seed = seed;
        self
    }

    /// The same with the settings of a named model, see [`MODELS`].
    ///
    /// # Errors
    /// Names the models there are.
    pub fn model(self, name: &str) -> crate::Result<Self> {
        let mut layers = Layers::of(&self)?;
        layers.model(name)?;
        layers.config()
    }

    /// The same with one value, given as `key=value`.
    ///
    /// # Errors
    /// An unknown key, or a value it does not take.
    pub fn set(self, assignment: &str) -> crate::Result<Self> {
        let mut layers = Layers::of(&self)?;
        layers.set(assignment)?;
        layers.config()
    }

    /// How the configuration divides stimuli.
    pub fn split_plan(&self) -> SplitPlan {
        SplitPlan {
            folds: (self.split.folds > 1).then_some(self.split.folds),
            published: match self.split.published {
                Published::Use => mused_data::Published::Use,
                Published::Ignore => mused_data::Published::Ignore,
            },
            test_fraction: self.split.test_fraction,
            validation_fraction: self.split.validation_fraction,
            seed: self.split.seed,
        }
    }

    /// How the voxels of a dataset of some kind are arranged for the model.
    pub fn arrangement(&self, kind: Kind) -> Arrangement {
        let inputs = &self.model.inputs;
        let range = <[_; 3]>::try_from(inputs.grid.as_slice()).ok();
        if let Family::BrainFormer(_) = self.model.family {
            return Arrangement::Grid { range };
        }
        match (inputs.tokenizer, kind) {
            (Tokenizer::Grid, _) => Arrangement::Grid { range },
            (Tokenizer::Auto, Kind::Volume) if inputs.inputs == Reading::Voxels => {
                Arrangement::Patches {
                    edge: inputs.patch_size,
                    range,
                }
            }
            (Tokenizer::Patches, _) => Arrangement::Patches {
                edge: inputs.patch_size,
                range,
            },
            (Tokenizer::Auto | Tokenizer::Regions, _) => match inputs.roi_components {
                0 => Arrangement::Regions,
                most => Arrangement::Components { most },
            },
        }
    }

    /// Every key there is, in the order of `config.toml`; keys of families one after another.
    pub fn settings() -> Vec<Setting> {
        let family = Setting {
            key: "model.family".to_owned(),
            family: None,
            kind: "one of a few".to_owned(),
            joined: false,
            choices: FAMILIES
                .iter()
                .map(|(name, meaning)| (*name, (*meaning).to_owned()))
                .collect(),
            range: None,
            default: "transformer".into(),
            meaning: "Which model decodes; each family has keys of its own.".to_owned(),
            source: Some("transformer: CLIP-MUSED, section 3.2"),
        };
        [
            SplitConfig::settings(),
            vec![family],
            InputConfig::settings(),
            Family::settings(),
            GuidanceConfig::settings(),
            LossConfig::settings(),
            TrainConfig::settings(),
            AuditConfig::settings(),
        ]
        .concat()
    }
}
