use mused_data::{Arrangement, Kind, Layout};
use mused_model::{
    BrainFormerConfig, DecoderConfig, EncoderConfig, Identity, MlpConfig, RoiTransformerConfig,
    Tokenizer,
};

use super::{Config, Family, Sharing, TokenizerKind};
use crate::linear::LinearConfig;
use crate::model_file::Architecture;

impl Config {
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
