use std::collections::BTreeMap;

use mused_data::one_of;

use super::{
    BrainFormerConfig, Config, Family, MlpConfig, Optimizer, Orthogonality, Precision, Reading,
    RsaForm, Schedule, Tokenizer, TrainConfig, TransformerConfig,
};
use crate::{Error, Result};

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
                    "unknown preset {name:?}: expected {}",
                    one_of(name, &known)
                )))
            }
        }
    }

    /// What a preset has for a family that is not its own: the published networks go without dropout.
    pub(crate) fn family_of_preset(preset: &str, family: &str) -> Option<Family> {
        let published = preset != "default";
        Some(match Family::named(family)? {
            Family::Transformer(_) if published => Family::Transformer(published_transformer()),
            Family::Mlp(_) if published => Family::Mlp(MlpConfig {
                hidden: 2048,
                dropout: 0.0,
                input_dropout: 0.0,
                ..MlpConfig::default()
            }),
            family => family,
        })
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
        config.model.family = Family::Transformer(published_transformer());
        config.model.inputs.inputs = Reading::Voxels;
        config.train = TrainConfig {
            seed: 0,
            epochs: 500,
            batch_size: 64,
            micro_batch: 0,
            precision: Precision::Single,
            optimizer: Optimizer::Adam,
            learning_rate: 1e-3,
            rate_factors: BTreeMap::from([("attention".to_owned(), 0.1)]),
            schedule: Schedule::Step,
            warmup: 0.0,
            step_epochs: 25,
            step_factor: 0.7,
            weight_decay: 0.0,
            gradient_clip: 0.0,
            ema_decay: 0.0,
            ensemble: 1,
            ridge: true,
        };
        config
    }

    /// Published code for HCP 7T movies: as [`Self::clip_mused`], with BrainFormer-18 on the
    /// 1.6 mm volume from voxel (2, 4, 0), 112 × 128 × 112, as the import scaled it.
    fn clip_mused_hcp() -> Self {
        let mut config = Self::clip_mused();
        config.model.family = Family::BrainFormer(BrainFormerConfig::default());
        config.model.inputs.tokenizer = Tokenizer::Grid;
        config.model.inputs.grid = vec![[2, 114], [4, 132], [0, 112]];
        config.model.inputs.zscore = false;
        config
    }
}

fn published_transformer() -> TransformerConfig {
    TransformerConfig {
        dim: 512,
        depth: 6,
        heads: 8,
        mlp_ratio: 4.0,
        dropout: 0.0,
        attention_dropout: 0.0,
        input_dropout: 0.0,
        aligned_dropout: 0.0,
        ..TransformerConfig::default()
    }
}
