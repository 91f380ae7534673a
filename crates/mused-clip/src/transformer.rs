use burn::tensor::{Tensor, TensorData};
use mused_kernels::{
    KernelBackend, attention, attention_readout, causal_attention, dropout_add, layer_norm, linear,
    linear_activated,
};

use crate::Result;
use crate::config::Activation;
use crate::weights::Weights;

/// Shapes of tensors by their names in the file.
pub(crate) type Shapes = Vec<(String, Vec<usize>)>;

/// Sizes of a stack of blocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockConfig {
    pub(crate) dim: usize,
    pub(crate) hidden: usize,
    pub(crate) heads: usize,
    pub(crate) activation: Activation,
    pub(crate) epsilon: f64,
    pub(crate) causal: bool,
}

/// The tensor of `values`.
pub(crate) fn tensor<B: KernelBackend, const D: usize>(
    values: Vec<f32>,
    shape: [usize; D],
    device: &B::Device,
) -> Tensor<B, D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// A matrix product with weights `[in, out]`; files hold the transpose.
#[derive(Clone, Debug)]
pub(crate) struct Affine<B: KernelBackend> {
    weight: Tensor<B, 2>,
    bias: Option<Tensor<B, 1>>,
}

impl<B: KernelBackend> Affine<B> {
    /// From the rows of matrices `[out, in]`, one below the other, which are transposed.
    pub(crate) fn from_rows(
        rows: &[f32],
        inputs: usize,
        bias: Option<Vec<f32>>,
        device: &B::Device,
    ) -> Self {
        let outputs = rows.len() / inputs;
        Self {
            weight: tensor(transposed(rows, inputs), [inputs, outputs], device),
            bias: bias.map(|bias| tensor(bias, [outputs], device)),
        }
    }

    fn load(weights: &Weights, name: &str, inputs: usize, device: &B::Device) -> Result<Self> {
        let rows = weights.read(&format!("{name}.weight"))?;
        let bias = weights.read(&format!("{name}.bias"))?;
        Ok(Self::from_rows(&rows, inputs, Some(bias), device))
    }

    /// Without a bias.
    pub(crate) fn load_projection(
        weights: &Weights,
        name: &str,
        inputs: usize,
        device: &B::Device,
    ) -> Result<Self> {
        let rows = weights.read(&format!("{name}.weight"))?;
        Ok(Self::from_rows(&rows, inputs, None, device))
    }

    /// Its weight, `[in, out]`, and its bias, `[out]`: zeros where it has none.
    fn both(&self) -> (Tensor<B, 2>, Tensor<B, 1>) {
        let [_, outputs] = self.weight.dims();
        let none = || Tensor::zeros([outputs], &self.weight.device());
        let bias = self.bias.clone().unwrap_or_else(none);
        (self.weight.clone(), bias)
    }

    /// # Shapes
    /// `[rows, in]` → `[rows, out]`
    pub(crate) fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        linear(x, self.weight.clone(), self.bias.clone())
    }
}

/// The transpose of a matrix with `columns` columns, in blocks that stay in the cache.
fn transposed(rows: &[f32], columns: usize) -> Vec<f32> {
    const BLOCK: usize = 32;
    let count = rows.len() / columns.max(1);
    let mut result = vec![0.0; rows.len()];
    for first_row in (0..count).step_by(BLOCK) {
        for first in (0..columns).step_by(BLOCK) {
            for row in first_row..(first_row + BLOCK).min(count) {
                for column in first..(first + BLOCK).min(columns) {
                    result[column * count + row] = rows[row * columns + column];
                }
            }
        }
    }
    result
}

#[derive(Clone, Debug)]
pub(crate) struct Norm<B: KernelBackend> {
    gamma: Tensor<B, 1>,
    beta: Tensor<B, 1>,
    epsilon: f64,
}

impl<B: KernelBackend> Norm<B> {
    pub(crate) fn load(
        weights: &Weights,
        name: &str,
        epsilon: f64,
        device: &B::Device,
    ) -> Result<Self> {
        let gamma = weights.read(&format!("{name}.weight"))?;
        let beta = weights.read(&format!("{name}.bias"))?;
        let dim = gamma.len();
        Ok(Self {
            gamma: tensor(gamma, [dim], device),
            beta: tensor(beta, [dim], device),
            epsilon,
        })
    }

    /// # Shapes
    /// `[rows, dim]` → `[rows, dim]`
    pub(crate) fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        layer_norm(x, self.gamma.clone(), self.beta.clone(), self.epsilon)
    }

    pub(crate) fn shapes(name: &str, dim: usize) -> Shapes {
        ["weight", "bias"]
            .map(|part| (format!("{name}.{part}"), vec![dim]))
            .into()
    }
}

/// A pre-norm Transformer block: x + attention(norm(x)), then x + mlp(norm(x)) (Radford et al. 2021, §2.4).
#[derive(Clone, Debug)]
pub(crate) struct Block<B: KernelBackend> {
    config: BlockConfig,
    attention_norm: Norm<B>,
    attention_in: Affine<B>,
    attention_out: Affine<B>,
    mlp_norm: Norm<B>,
    mlp_in: Affine<B>,
    mlp_out: Affine<B>,
}

impl<B: KernelBackend> Block<B> {
    /// What a file holds for the block `name`.
    pub(crate) fn shapes(name: &str, config: &BlockConfig) -> Shapes {
        let BlockConfig { dim, hidden, .. } = *config;
        let mut shapes = vec![];
        for (part, outputs, inputs) in [
            ("self_attn.q_proj", dim, dim),
            ("self_attn.k_proj", dim, dim),
            ("self_attn.v_proj", dim, dim),
            ("self_attn.out_proj", dim, dim),
            ("mlp.fc1", hidden, dim),
            ("mlp.fc2", dim, hidden),
        ] {
            shapes.push((format!("{name}.{part}.weight"), vec![outputs, inputs]));
            shapes.push((format!("{name}.{part}.bias"), vec![outputs]));
        }
        for part in ["layer_norm1", "layer_norm2"] {
            shapes.extend(Norm::<B>::shapes(&format!("{name}.{part}"), dim));
        }
        shapes
    }

    pub(crate) fn load(
        weights: &Weights,
        name: &str,
        config: BlockConfig,
        device: &B::Device,
    ) -> Result<Self> {
        let BlockConfig {
            dim,
            hidden,
            epsilon,
            ..
        } = config;
        let (mut rows, mut bias) = (vec![], vec![]);
        for part in ["q", "k", "v"] {
            rows.extend(weights.read(&format!("{name}.self_attn.{part}_proj.weight"))?);
            bias.extend(weights.read(&format!("{name}.self_attn.{part}_proj.bias"))?);
        }
        let norm = |part: &str| Norm::load(weights, &format!("{name}.{part}"), epsilon, device);
        let affine =
            |part: &str, inputs| Affine::load(weights, &format!("{name}.{part}"), inputs, device);
        Ok(Self {
            config,
            attention_norm: norm("layer_norm1")?,
            attention_in: Affine::from_rows(&rows, dim, Some(bias), device),
            attention_out: affine("self_attn.out_proj", dim)?,
            mlp_norm: norm("layer_norm2")?,
            mlp_in: affine("mlp.fc1", dim)?,
            mlp_out: affine("mlp.fc2", hidden)?,
        })
    }

    /// # Shapes
    /// `[batch, tokens, dim]` → the same
    pub(crate) fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let [batch, tokens, dim] = x.dims();
        let heads = self.config.heads;
        let qkv = self.attention_in.forward(self.normed(x.clone()));
        let qkv = qkv.reshape([batch, tokens, 3 * dim]);
        let attended = if self.config.causal {
            causal_attention(qkv, heads)
        } else {
            attention(qkv, heads, None, None)
        };
        self.after_attention(attended, x)
    }

    /// The class token, which comes first, after the block; the others are not computed.
    ///
    /// # Shapes
    /// `[batch, tokens, dim]` → `[batch, 1, dim]`
    fn class_token(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let (sizes, heads) = (x.dims(), self.config.heads);
        let normed = self.normed(x.clone()).reshape(sizes);
        let attended = attention_readout(normed, self.attention_in.both(), 1, heads, None, None);
        self.after_attention(attended, x.narrow(1, 0, 1))
    }

    /// `[batch, tokens, dim]` → `[batch · tokens, dim]`
    fn normed(&self, x: Tensor<B, 3>) -> Tensor<B, 2> {
        let [batch, tokens, dim] = x.dims();
        self.attention_norm
            .forward(x.reshape([batch * tokens, dim]))
    }

    /// All `[batch, tokens, dim]`.
    fn after_attention(&self, attended: Tensor<B, 3>, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let [batch, tokens, dim] = x.dims();
        let attended = attended.reshape([batch * tokens, dim]);
        let x = x.reshape([batch * tokens, dim]);
        // Without dropout: the addition alone, in place and on all threads.
        let x = dropout_add(self.attention_out.forward(attended), x, 0.0, 0);
        let activation = match self.config.activation {
            Activation::QuickGelu => mused_kernels::Activation::QuickGelu,
            Activation::Gelu => mused_kernels::Activation::Gelu,
        };
        let (weight, bias) = self.mlp_in.both();
        let normed = self.mlp_norm.forward(x.clone());
        let hidden = linear_activated(normed, weight, bias, activation);
        dropout_add(self.mlp_out.forward(hidden), x, 0.0, 0).reshape([batch, tokens, dim])
    }
}

/// The states between the blocks of an encoder, computed one block at a time as they are asked for: item 0 is what
/// enters the first block, item k leaves the k-th. Nothing past the last item taken is computed.
///
/// # Shapes
/// `[batch, tokens, dim]` each.
#[derive(Debug)]
pub struct HiddenStates<'a, B: KernelBackend> {
    /// The item given last, or the first one before anything was given.
    state: Tensor<B, 3>,
    started: bool,
    blocks: std::slice::Iter<'a, Block<B>>,
}

impl<'a, B: KernelBackend> HiddenStates<'a, B> {
    pub(crate) fn new(embedded: Tensor<B, 3>, blocks: &'a [Block<B>]) -> Self {
        Self {
            state: embedded,
            started: false,
            blocks: blocks.iter(),
        }
    }

    /// The class token that leaves the last block, `[batch, 1, dim]`: an image encoder's, where it comes first.
    pub fn class_token(self) -> Tensor<B, 3> {
        match self.blocks.as_slice() {
            [] => self.state.narrow(1, 0, 1),
            [earlier @ .., last] => {
                let states = earlier.iter();
                last.class_token(states.fold(self.state, |state, block| block.forward(state)))
            }
        }
    }

    /// Runs the blocks that are left.
    pub(crate) fn finish(self) -> Tensor<B, 3> {
        self.blocks
            .fold(self.state, |state, block| block.forward(state))
    }
}

impl<B: KernelBackend> Iterator for HiddenStates<'_, B> {
    type Item = Tensor<B, 3>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.started {
            self.state = self.blocks.next()?.forward(self.state.clone());
        }
        self.started = true;
        Some(self.state.clone())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.blocks.len() + usize::from(!self.started);
        (left, Some(left))
    }
}

impl<B: KernelBackend> ExactSizeIterator for HiddenStates<'_, B> {}
