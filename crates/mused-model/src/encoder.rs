use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use burn::tensor::backend::Backend;
use mused_kernels::{
    Activation, Dropout, KernelBackend, attention, attention_readout, dropout, dropout_add,
    layer_norm, linear, linear_activated,
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

    /// # Shapes
    /// [batch, tokens, dim] → [batch, tokens, 3 · dim], as [`attention`] reads it
    fn queries_keys_values(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let [batch, tokens, dim] = x.dims();
        let qkv = self.attention_in.forward(self.normed(x));
        qkv.reshape([batch, tokens, 3 * dim])
    }

    /// # Shapes
    /// [batch, tokens, dim] → [batch · tokens, dim]
    fn normed(&self, x: Tensor<B, 3>) -> Tensor<B, 2> {
        let [batch, tokens, dim] = x.dims();
        self.attention_norm
            .forward(x.reshape([batch * tokens, dim]))
    }

    /// How much the first `queries` tokens attend to each token: the probabilities that the fused [`attention`] keeps
    /// to itself, without dropout. The rows sum to 1; masked tokens get 0.
    ///
    /// # Shapes
    /// - x: [batch, tokens, dim]
    /// - key_mask: [batch, tokens], 1 = attend, 0 = ignore
    /// - output: [batch, heads, queries, tokens]
    pub(crate) fn attention_probabilities(
        &self,
        x: Tensor<B, 3>,
        key_mask: Option<Tensor<B, 2>>,
        queries: usize,
    ) -> Tensor<B, 4> {
        let [batch, tokens, dim] = x.dims();
        let qkv = self.queries_keys_values(x);
        let head_dim = dim / self.heads;
        let by_head = |part: usize| {
            let values = qkv.clone().narrow(2, part * dim, dim);
            let values = values.reshape([batch, tokens, self.heads, head_dim]);
            values.swap_dims(1, 2)
        };
        let (q, k) = (by_head(0).narrow(2, 0, queries), by_head(1));
        let mut scores = q.matmul(k.transpose()) / (head_dim as f64).sqrt();
        if let Some(mask) = key_mask {
            let ignored = mask.reshape([batch, 1, 1, tokens]).equal_elem(0.0);
            let ignored = ignored.expand([batch, self.heads, queries, tokens]);
            // Far enough below any score for e to its power to be 0; subject tokens are never masked.
            scores = scores.mask_fill(ignored, -1e30);
        }
        softmax(scores, 3)
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
        let (heads, dropped) = (self.heads, noise.site(self.attention_dropout));
        let (attended, x) = if kept < tokens {
            let normed = self.normed(x.clone()).reshape([batch, tokens, dim]);
            let to_qkv = (self.attention_in.weight.val(), self.attention_in.bias.val());
            let attended = attention_readout(normed, to_qkv, kept, heads, key_mask, dropped);
            (attended, x.narrow(1, 0, kept))
        } else {
            let qkv = self.queries_keys_values(x.clone());
            (attention(qkv, heads, key_mask, dropped), x)
        };
        let rows = batch * kept;
        let attended = self.attention_out.forward(attended.reshape([rows, dim]));
        let x = residual(attended, x.reshape([rows, dim]), noise.site(self.dropout));
        let Affine { weight, bias } = &self.mlp_in;
        let normed = self.mlp_norm.forward(x.clone());
        let hidden = linear_activated(normed, weight.val(), bias.val(), Activation::Gelu);
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

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;
    use mused_kernels::Cpu;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const BATCH: usize = 3;
    const TOKENS: usize = 7;
    const DIM: usize = 12;
    const HEADS: usize = 3;
    const QUERIES: usize = 2;

    fn drawn<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<Cpu, D> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let count = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|_| random.random_range(-1.5..1.5)).collect();
        Tensor::from_data(TensorData::new(values, shape), &Default::default())
    }

    fn values<const D: usize>(tensor: Tensor<Cpu, D>) -> Vec<f32> {
        tensor.into_data().into_vec().unwrap()
    }

    fn block() -> Block<Cpu> {
        let config = EncoderConfig {
            dim: DIM,
            depth: 1,
            heads: HEADS,
            mlp_ratio: 2.0,
            dropout: 0.0,
            attention_dropout: 0.0,
        };
        let mut block = Block::init(
            &config,
            &mut ChaCha8Rng::seed_from_u64(1),
            &Default::default(),
        );
        // Far from uniform attention, so that mistakes show.
        block.attention_in.weight = Param::from_tensor(drawn([DIM, 3 * DIM], 2));
        block.attention_in.bias = Param::from_tensor(drawn([3 * DIM], 3));
        block
    }

    /// The last token of the first sample and two of the second are masked.
    fn mask() -> Tensor<Cpu, 2> {
        let mut values = vec![1.0_f32; BATCH * TOKENS];
        for place in [TOKENS - 1, TOKENS + 3, TOKENS + 4] {
            values[place] = 0.0;
        }
        Tensor::from_data(
            TensorData::new(values, [BATCH, TOKENS]),
            &Default::default(),
        )
    }

    #[test]
    fn probabilities_times_values_are_what_the_fused_kernel_gives() {
        let (block, x) = (block(), drawn([BATCH, TOKENS, DIM], 4));
        for mask in [None, Some(mask())] {
            let qkv = block.queries_keys_values(x.clone());
            let fused = values(attention(qkv.clone(), HEADS, mask.clone(), None));
            let probabilities = block.attention_probabilities(x.clone(), mask, QUERIES);
            let v = qkv.narrow(2, 2 * DIM, DIM);
            let v = v
                .reshape([BATCH, TOKENS, HEADS, DIM / HEADS])
                .swap_dims(1, 2);
            let own = probabilities.matmul(v).swap_dims(1, 2);
            let own = values(own.reshape([BATCH, QUERIES, DIM]));
            for (sample, own) in own.chunks(QUERIES * DIM).enumerate() {
                for (own, fused) in own.iter().zip(&fused[sample * TOKENS * DIM..]) {
                    assert!((own - fused).abs() < 1e-5, "{own} {fused}");
                }
            }
        }
    }

    /// LayerNorm, projection and softmax once more, number by number in f64.
    #[test]
    fn probabilities_are_those_of_a_plain_computation() {
        let (block, x) = (block(), drawn([BATCH, TOKENS, DIM], 4));
        let found = values(block.attention_probabilities(x.clone(), Some(mask()), QUERIES));
        let (x, mask) = (values(x), values(mask()));
        let weight = values(block.attention_in.weight.val());
        let bias = values(block.attention_in.bias.val());
        let projected: Vec<Vec<f64>> = x
            .chunks(DIM)
            .map(|row| {
                let row: Vec<f64> = row.iter().map(|&value| f64::from(value)).collect();
                let mean = row.iter().sum::<f64>() / DIM as f64;
                let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / DIM as f64;
                let scale = (variance + NORM_EPSILON).sqrt().recip();
                let column = |column: usize| {
                    let terms = row.iter().enumerate().map(|(input, value)| {
                        (value - mean) * scale * f64::from(weight[input * 3 * DIM + column])
                    });
                    terms.sum::<f64>() + f64::from(bias[column])
                };
                (0..3 * DIM).map(column).collect()
            })
            .collect();
        let head_dim = DIM / HEADS;
        for (place, found) in found.chunks(TOKENS).enumerate() {
            let query = place % QUERIES;
            let head = place / QUERIES % HEADS;
            let first = place / QUERIES / HEADS * TOKENS;
            let weight = |key: usize| {
                let products = (head * head_dim..(head + 1) * head_dim)
                    .map(|d| projected[first + query][d] * projected[first + key][DIM + d]);
                let score = products.sum::<f64>() / (head_dim as f64).sqrt();
                f64::from(mask[first + key]) * score.exp()
            };
            let sum: f64 = (0..TOKENS).map(weight).sum();
            for (key, found) in found.iter().enumerate() {
                assert!((f64::from(*found) - weight(key) / sum).abs() < 1e-5);
                assert!(mask[first + key] > 0.0 || *found == 0.0);
            }
        }
    }
}
