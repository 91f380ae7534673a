//! From the configuration and the layout of an input row to the network that reads it.

use mused_data::Layout;
use mused_model::{
    BrainFormerConfig, DecoderConfig, Depth, EncoderConfig, Identity, Levels, LossConfig,
    MlpConfig, Orthogonality, RoiTransformerConfig, RsaForm, SubjectLinearConfig, Tokenizer,
};
use mused_run::{Config, Family, TransformerConfig, VolumeIdentity};

use crate::{Error, Result};

/// The network that a configuration asks for.
///
/// # Errors
/// A family that is no network, or a layout that it cannot read.
pub(crate) fn network(
    config: &Config,
    layout: &Layout,
    subjects: usize,
    labels: usize,
) -> Result<DecoderConfig> {
    match (&config.model.family, layout) {
        (Family::Mlp(mlp), _) => Ok(DecoderConfig::Mlp(MlpConfig {
            inputs: layout.width(),
            hidden: mlp.hidden,
            labels,
            input_dropout: mlp.input_dropout,
            dropout: mlp.dropout,
        })),
        (Family::SubjectLinear(model), _) => {
            Ok(DecoderConfig::SubjectLinear(SubjectLinearConfig {
                inputs: layout.width(),
                subjects,
                hidden: model.hidden,
                rank: model.rank,
                depth: model.depth,
                labels,
                input_dropout: model.input_dropout,
                dropout: model.dropout,
            }))
        }
        (Family::BrainFormer(model), Layout::Grid { cuboid }) => {
            Ok(DecoderConfig::BrainFormer(BrainFormerConfig {
                depth: depth(model.depth)?,
                grid: cuboid.shape,
                stem: model.stem,
                stages: model.stages,
                heads: model.heads,
                head_dim: model.head_dim,
                mlp: model.mlp,
                subjects: match model.subjects {
                    VolumeIdentity::Tokens => subjects,
                    VolumeIdentity::Shared | VolumeIdentity::Separate => 1,
                },
                labels,
            }))
        }
        (Family::Transformer(model), Layout::Regions { slots }) => {
            let lengths = slots.iter().map(|slot| slot.length).collect();
            let scores = config.model.inputs.inputs.onto().is_some();
            let input_dropout = match scores {
                true => model.aligned_dropout,
                false => model.input_dropout,
            };
            let model = &TransformerConfig {
                input_dropout,
                ..model.clone()
            };
            let tokenizer = Tokenizer::Regions { lengths };
            Ok(transformer(model, tokenizer, scores, subjects, labels))
        }
        (Family::Transformer(model), Layout::Patches { edge, slots, .. }) => {
            let tokenizer = Tokenizer::Patches {
                count: slots.len(),
                length: edge.pow(3),
            };
            Ok(transformer(model, tokenizer, false, subjects, labels))
        }
        (family, _) => Err(Error::Request(format!(
            "a model of family {} cannot read responses arranged like this",
            family.name()
        ))),
    }
}

fn transformer(
    model: &TransformerConfig,
    tokenizer: Tokenizer,
    scores: bool,
    subjects: usize,
    labels: usize,
) -> DecoderConfig {
    let (subjects, identity) = match model.subjects {
        mused_run::Identity::Tokens => (subjects, Identity::Tokens),
        mused_run::Identity::Embedding => (subjects, Identity::Embedding),
        mused_run::Identity::Shared | mused_run::Identity::Separate => (1, Identity::Tokens),
    };
    DecoderConfig::Roi(RoiTransformerConfig {
        tokenizer,
        scores,
        own_share: model.own_share,
        identity,
        levels: match model.levels {
            mused_run::Levels::Both => Levels::Both,
            mused_run::Levels::High => Levels::High,
            mused_run::Levels::Low => Levels::Low,
        },
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

fn depth(layers: usize) -> Result<Depth> {
    match layers {
        10 => Ok(Depth::Ten),
        18 => Ok(Depth::Eighteen),
        34 => Ok(Depth::ThirtyFour),
        _ => Err(Error::Request(format!(
            "BrainFormer has 10, 18 or 34 layers, not {layers}"
        ))),
    }
}

/// The loss terms that a configuration asks for.
pub(crate) fn losses(config: &mused_run::LossConfig) -> LossConfig {
    LossConfig {
        high: config.high,
        low: config.low,
        orthogonality: config.orthogonality,
        orthogonality_form: match config.orthogonality_form {
            mused_run::Orthogonality::F => Orthogonality::F,
            mused_run::Orthogonality::L1 => Orthogonality::L1,
            mused_run::Orthogonality::L2 => Orthogonality::L2,
            mused_run::Orthogonality::Cosine => Orthogonality::Cosine,
        },
        rsa_form: match config.rsa_form {
            mused_run::RsaForm::SquaredError => RsaForm::SquaredError,
            mused_run::RsaForm::Centred => RsaForm::Centred,
        },
    }
}

#[cfg(test)]
mod tests {
    use burn::module::Module as _;
    use mused_data::{Cuboid, Slot};
    use mused_kernels::Cpu;
    use mused_run::PRESETS;
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
            let decoder = network(&config, layout, subjects, labels).unwrap();
            let rng = &mut ChaCha8Rng::seed_from_u64(0);
            let model = decoder.init::<Cpu>(rng, &Default::default()).unwrap();
            let statistics = match decoder {
                DecoderConfig::Roi(_) | DecoderConfig::Mlp(_) | DecoderConfig::SubjectLinear(_) => {
                    0
                }
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
