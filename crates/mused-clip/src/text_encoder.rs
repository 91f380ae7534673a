use burn::tensor::{Int, Tensor, TensorData};
use mused_kernels::KernelBackend;

use crate::config::{ClipConfig, TextConfig};
use crate::image_encoder::Encoded;
use crate::transformer::{Affine, Block, BlockConfig, HiddenStates, Norm, Shapes, tensor};
use crate::weights::Weights;
use crate::{Error, Result};

/// The end token that early published configurations name although their vocabulary has another.
pub(crate) const LEGACY_END: usize = 2;

/// CLIP's text encoder.
#[derive(Clone, Debug)]
pub struct TextEncoder<B: KernelBackend> {
    config: TextConfig,
    token_embedding: Tensor<B, 2>,
    position_embedding: Tensor<B, 2>,
    blocks: Vec<Block<B>>,
    final_norm: Norm<B>,
    projection: Affine<B>,
    device: B::Device,
}

const EMBEDDINGS: &str = "text_model.embeddings";

impl<B: KernelBackend> TextEncoder<B> {
    fn blocks(config: &TextConfig) -> BlockConfig {
        BlockConfig {
            dim: config.hidden_size,
            hidden: config.intermediate_size,
            heads: config.num_attention_heads,
            activation: config.hidden_act,
            epsilon: config.layer_norm_eps,
            causal: true,
        }
    }

    pub(crate) fn shapes(config: &ClipConfig) -> Shapes {
        let text = &config.text;
        let dim = text.hidden_size;
        let mut shapes = vec![
            (
                format!("{EMBEDDINGS}.token_embedding.weight"),
                vec![text.vocab_size, dim],
            ),
            (
                format!("{EMBEDDINGS}.position_embedding.weight"),
                vec![text.max_position_embeddings, dim],
            ),
        ];
        for layer in 0..text.num_hidden_layers {
            let name = format!("text_model.encoder.layers.{layer}");
            shapes.extend(Block::<B>::shapes(&name, &Self::blocks(text)));
        }
        shapes.extend(Norm::<B>::shapes("text_model.final_layer_norm", dim));
        let projection = vec![config.projection_dim, dim];
        shapes.push(("text_projection.weight".into(), projection));
        shapes
    }

    /// The weights must have been checked against [`Self::shapes`].
    pub(crate) fn load(weights: &Weights, config: &ClipConfig, device: &B::Device) -> Result<Self> {
        let text = &config.text;
        let dim = text.hidden_size;
        let tokens = weights.read(&format!("{EMBEDDINGS}.token_embedding.weight"))?;
        let positions = weights.read(&format!("{EMBEDDINGS}.position_embedding.weight"))?;
        let block = |layer| {
            let name = format!("text_model.encoder.layers.{layer}");
            Block::load(weights, &name, Self::blocks(text), device)
        };
        Ok(Self {
            config: text.clone(),
            token_embedding: tensor(tokens, [text.vocab_size, dim], device),
            position_embedding: tensor(positions, [text.max_position_embeddings, dim], device),
            blocks: (0..text.num_hidden_layers)
                .map(block)
                .collect::<Result<_>>()?,
            final_norm: Norm::load(
                weights,
                "text_model.final_layer_norm",
                text.layer_norm_eps,
                device,
            )?,
            projection: Affine::load_projection(weights, "text_projection", dim, device)?,
            device: device.clone(),
        })
    }

    /// Its sizes.
    pub fn config(&self) -> &TextConfig {
        &self.config
    }

    /// The states between its blocks, `[batch, tokens, hidden]`: item 0 is the embedding, item k leaves the k-th block
    /// (the numbering of transformers' `hidden_states`); the final norm is in none of them.
    ///
    /// # Errors
    /// Texts of different lengths, none, longer than the model's or with a token it does not know.
    pub fn hidden_states(&self, ids: &[Vec<u32>]) -> Result<HiddenStates<'_, B>> {
        let limit = self.config.max_position_embeddings;
        let length = ids.first().map_or(0, Vec::len);
        if length == 0 || length > limit || ids.iter().any(|text| text.len() != length) {
            let lengths: Vec<usize> = ids.iter().map(Vec::len).collect();
            return Err(Error::Mismatch {
                what: "texts",
                expected: format!("one or more of the same length, at most {limit} tokens"),
                found: format!("lengths {lengths:?}"),
            });
        }
        let vocabulary = self.config.vocab_size;
        let unknown = ids.iter().flatten().find(|id| **id as usize >= vocabulary);
        if let Some(id) = unknown {
            return Err(Error::Mismatch {
                what: "tokens",
                expected: format!("numbers below {vocabulary}"),
                found: format!("{id}"),
            });
        }
        let (batch, dim) = (ids.len(), self.config.hidden_size);
        let numbers: Vec<i64> = ids.iter().flatten().map(|id| i64::from(*id)).collect();
        let numbers: Tensor<B, 1, Int> =
            Tensor::from_data(TensorData::new(numbers, [batch * length]), &self.device);
        let tokens = self.token_embedding.clone().select(0, numbers);
        let positions = self.position_embedding.clone().narrow(0, 0, length);
        let x = tokens.reshape([batch, length, dim]) + positions.unsqueeze::<3>();
        Ok(HiddenStates::new(x, &self.blocks))
    }

    /// The pooled and projected outputs for the last of [`Self::hidden_states`], `[batch, tokens, hidden]`.
    ///
    /// # Errors
    /// Another number of texts than states; a text without an end token.
    pub fn read_out(&self, ids: &[Vec<u32>], last: Tensor<B, 3>) -> Result<Encoded<B>> {
        let [batch, length, dim] = last.dims();
        if ids.len() != batch || ids.iter().any(|text| text.len() != length) {
            return Err(Error::Mismatch {
                what: "texts",
                expected: format!("{batch} of {length} tokens"),
                found: format!("{}", ids.len()),
            });
        }
        let positions = self.read_positions(ids)?.into_iter().enumerate();
        let rows: Vec<i64> = positions
            .map(|(index, position)| (index * length + position) as i64)
            .collect();
        let rows = Tensor::from_data(TensorData::new(rows, [batch]), &self.device);
        // The norm works row by row: only the rows read are normalised.
        let states = last.reshape([batch * length, dim]).select(0, rows);
        let pooled = self.final_norm.forward(states);
        Ok(Encoded {
            projected: self.projection.forward(pooled.clone()),
            pooled,
        })
    }

    /// Where the states that stand for texts are: the first end token; in models with a
    /// [legacy](TextConfig::eos_token_id) configuration the first token of the highest number.
    fn read_positions(&self, ids: &[Vec<u32>]) -> Result<Vec<usize>> {
        let end = self.config.eos_token_id;
        let position = |(index, ids): (usize, &Vec<u32>)| {
            let wanted = if end == LEGACY_END {
                ids.iter().max().map_or(end, |id| *id as usize)
            } else {
                end
            };
            let position = ids.iter().position(|id| *id as usize == wanted);
            // Any other token would be the same in every text, or not the one the model was trained to fill.
            position.ok_or_else(|| Error::Mismatch {
                what: "tokens of a text",
                expected: format!("the end token {end} (eos_token_id of config.json)"),
                found: format!("none in text {index} (counted from 0)"),
            })
        };
        ids.iter().enumerate().map(position).collect()
    }

    /// All of it: tokens to pooled and projected outputs. No token sees a later one, so what follows the last token
    /// read of the batch is not computed.
    ///
    /// # Errors
    /// As [`Self::hidden_states`] and [`Self::read_out`].
    pub fn encode_ids(&self, ids: &[Vec<u32>]) -> Result<Encoded<B>> {
        // Checks the whole texts before they are cut.
        drop(self.hidden_states(ids)?);
        let needed = self.read_positions(ids)?.into_iter().max().unwrap_or(0) + 1;
        let cut: Vec<Vec<u32>> = ids.iter().map(|ids| ids[..needed].to_vec()).collect();
        let last = self.hidden_states(&cut)?.finish();
        self.read_out(&cut, last)
    }
}
