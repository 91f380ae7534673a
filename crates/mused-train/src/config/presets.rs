use std::collections::BTreeMap;

use mused_model::{Depth, Levels, LossConfig, Orthogonality, RsaForm};

use super::{
    Alignment, AuditConfig, BrainFormerSize, Config, Family, GuidanceConfig, ModelConfig,
    OptimizerKind, ScheduleKind, Sharing, SplitConfig, TokenizerKind, TrainConfig,
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
}

#[cfg(test)]
mod tests {
    use burn::module::Module as _;
    use mused_data::{Cuboid, Layout, Slot};
    use mused_kernels::Cpu;
    use mused_model::DecoderConfig;
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
