use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use mused_kernels::{
    Dropout, KernelBackend, attention, dropout, dropout_add, gelu, layer_norm, linear,
};
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::initial;

/// PyTorch's default for LayerNorm.
const NORM_EPSILON: f64 = 1e-5;

/// Size and regularisation of the Transformer encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderConfig {
    /// Width of a token.
    pub dim: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Attention heads; divides `dim`.
    pub heads: usize,
    /// Hidden width of the MLP as a multiple of `dim`.
    pub mlp_ratio: f64,
    /// Dropout after attention and in the MLP.
    pub dropout: f64,
    /// Dropout of attention weights.
    pub attention_dropout: f64,
}

/// Source of the dropout masks of one forward pass: a seed a site, in the order of use, so that
/// a step's masks depend on its seed alone. Without a seed nothing is dropped.
#[derive(Debug)]
pub struct Noise {
    seed: Option<u64>,
    sites: u64,
}

impl Noise {
    /// Masks of a training step.
    pub fn training(seed: u64) -> Self {
        Self {
            seed: Some(seed),
            sites: 0,
        }
    }

    /// No masks.
    pub fn none() -> Self {
        Self {
            seed: None,
            sites: 0,
        }
    }

    pub(crate) fn site(&mut self, rate: f64) -> Option<Dropout> {
        self.sites += 1;
        let seed = self
            .seed?
            .wrapping_add(self.sites.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        (rate > 0.0).then_some(Dropout { rate, seed })
    }
}

/// A weight, [in, out], and a bias, [out].
#[derive(Module, Debug)]
pub(crate) struct Affine<B: Backend> {
    pub(crate) weight: Param<Tensor<B, 2>>,
    pub(crate) bias: Param<Tensor<B, 1>>,
}

impl<B: KernelBackend> Affine<B> {
    pub(crate) fn init(
        inputs: usize,
        outputs: usize,
        rng: &mut impl Rng,
        device: &B::Device,
    ) -> Self {
        Self {
            weight: initial::uniform([inputs, outputs], inputs, rng, device),
            bias: initial::uniform([outputs], inputs, rng, device),
        }
    }

    /// # Shapes
    /// [rows, in] → [rows, out]
    pub(crate) fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        linear(x, self.weight.val(), Some(self.bias.val()))
    }
}

#[derive(Module, Debug)]
pub(crate) struct Norm<B: Backend> {
    weight: Param<Tensor<B, 1>>,
    bias: Param<Tensor<B, 1>>,
}

impl<B: KernelBackend> Norm<B> {
    pub(crate) fn init(dim: usize, device: &B::Device) -> Self {
        Self {
            weight: initial::constant([dim], 1.0, device),
            bias: initial::constant([dim], 0.0, device),
        }
    }

    /// # Shapes
    /// [rows, dim] → [rows, dim]
    pub(crate) fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        layer_norm(x, self.weight.val(), self.bias.val(), NORM_EPSILON)
    }
}

/// A pre-norm Transformer block: x + attention(norm(x)), then x + mlp(norm(x)).
#[derive(Module, Debug)]
pub(crate) struct Block<B: Backend> {
    attention_norm: Norm<B>,
    attention_in: Affine<B>,
    attention_out: Affine<B>,
    mlp_norm: Norm<B>,
    mlp_in: Affine<B>,
    mlp_out: Affine<B>,
    heads: usize,
    dropout: f64,
    attention_dropout: f64,
}

impl<B: KernelBackend> Block<B> {
    pub(crate) fn init(config: &EncoderConfig, rng: &mut impl Rng, device: &B::Device) -> Self {
        let dim = config.dim;
        let hidden = ((dim as f64 * config.mlp_ratio).round() as usize).max(1);
        Self {
            attention_norm: Norm::init(dim, device),
            // As PyTorch's MultiheadAttention starts: Xavier over the joint q, k, v projection,
            // no bias.
            attention_in: Affine {
                weight: initial::uniform_within(
                    [dim, 3 * dim],
                    (6.0 / (4 * dim) as f32).sqrt(),
                    rng,
                    device,
                ),
                bias: initial::constant([3 * dim], 0.0, device),
            },
            attention_out: Affine {
                weight: initial::uniform([dim, dim], dim, rng, device),
                bias: initial::constant([dim], 0.0, device),
            },
            mlp_norm: Norm::init(dim, device),
            mlp_in: Affine::init(dim, hidden, rng, device),
            mlp_out: Affine::init(hidden, dim, rng, device),
            heads: config.heads,
            dropout: config.dropout,
            attention_dropout: config.attention_dropout,
        }
    }

    /// The first `kept` tokens after the block. All tokens are attended to; what nobody reads
    /// afterwards is not computed.
    ///
    /// # Shapes
    /// - x: [batch, tokens, dim]
    /// - key_mask: [batch, tokens], 1 = attend, 0 = ignore
    /// - output: [batch, kept, dim]
    pub(crate) fn forward(
        &self,
        x: Tensor<B, 3>,
        key_mask: Option<Tensor<B, 2>>,
        kept: usize,
        noise: &mut Noise,
    ) -> Tensor<B, 3> {
        let [batch, tokens, dim] = x.dims();
        let normed = self
            .attention_norm
            .forward(x.clone().reshape([batch * tokens, dim]));
        let qkv = self
            .attention_in
            .forward(normed)
            .reshape([batch, tokens, 3 * dim]);
        let attended = attention(
            qkv,
            self.heads,
            key_mask,
            noise.site(self.attention_dropout),
        );
        let (attended, x) = if kept < tokens {
            (attended.narrow(1, 0, kept), x.narrow(1, 0, kept))
        } else {
            (attended, x)
        };
        let rows = batch * kept;
        let attended = self.attention_out.forward(attended.reshape([rows, dim]));
        let x = residual(attended, x.reshape([rows, dim]), noise.site(self.dropout));
        let hidden = gelu(self.mlp_in.forward(self.mlp_norm.forward(x.clone())));
        let hidden = match noise.site(self.dropout) {
            Some(Dropout { rate, seed }) => dropout(hidden, rate, seed),
            None => hidden,
        };
        residual(self.mlp_out.forward(hidden), x, noise.site(self.dropout))
            .reshape([batch, kept, dim])
    }
}

fn residual<B: KernelBackend>(
    update: Tensor<B, 2>,
    x: Tensor<B, 2>,
    dropped: Option<Dropout>,
) -> Tensor<B, 2> {
    match dropped {
        Some(Dropout { rate, seed }) => dropout_add(update, x, rate, seed),
        None => x + update,
    }
}
