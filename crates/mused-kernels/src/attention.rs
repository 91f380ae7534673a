use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;

use crate::backend::{KernelBackend, unwrap, wrap};
use crate::dropout::{Dropout, mask_tensor};

/// Multi-head self-attention `softmax(q kᵀ / √(dim / heads)) v` (Vaswani et al. 2017, eq. 1), without the projections.
///
/// A query whose keys are all masked gets zeros. Dropout acts on the probabilities, after the softmax.
///
/// # Shapes
/// - `qkv`: `[batch, tokens, 3 · dim]`, the last axis being q, k, v, each with its heads one after another
///   (the order of PyTorch's `nn.MultiheadAttention`)
/// - `key_mask`: `[batch, tokens]`, 1 = attend, 0 = ignore; never tracked
/// - output: `[batch, tokens, dim]`
///
/// # Panics
/// When the last axis is not a multiple of `3 · heads`, or the mask's shape is another.
pub fn attention<B: KernelBackend>(
    qkv: Tensor<B, 3>,
    heads: usize,
    key_mask: Option<Tensor<B, 2>>,
    dropout: Option<Dropout>,
) -> Tensor<B, 3> {
    let [batch, tokens, width] = qkv.dims();
    assert!(
        heads > 0 && width % (3 * heads) == 0,
        "attention: last axis {width} is not 3 · {heads} heads · a head's dimension"
    );
    if let Some(mask) = &key_mask {
        assert_eq!([batch, tokens], mask.dims(), "attention: mask against qkv");
    }
    let dropout = dropout.filter(|dropout| dropout.rate > 0.0);
    wrap(B::kernel_attention(
        unwrap(qkv),
        heads,
        key_mask.map(unwrap),
        dropout,
    ))
}

/// [`attention`] in which a token attends to itself and to earlier tokens only, as in CLIP's text encoder.
///
/// # Shapes
/// - `qkv`: `[batch, tokens, 3 · dim]`, as for [`attention`]
/// - output: `[batch, tokens, dim]`
///
/// # Panics
/// When the last axis is not a multiple of `3 · heads`.
pub fn causal_attention<B: KernelBackend>(qkv: Tensor<B, 3>, heads: usize) -> Tensor<B, 3> {
    let [_, _, width] = qkv.dims();
    assert!(
        heads > 0 && width % (3 * heads) == 0,
        "causal_attention: last axis {width} is not 3 · {heads} heads · a head's dimension"
    );
    wrap(B::kernel_causal_attention(unwrap(qkv), heads))
}

/// q, k and v, each `[batch, heads, tokens, head_dim]`.
fn split<B: Backend>(qkv: Tensor<B, 3>, heads: usize) -> [Tensor<B, 4>; 3] {
    let [batch, tokens, width] = qkv.dims();
    let dim = width / 3;
    [0, 1, 2].map(|part| {
        qkv.clone()
            .narrow(2, part * dim, dim)
            .reshape([batch, tokens, heads, dim / heads])
            .swap_dims(1, 2)
    })
}

fn merge<B: Backend>(x: Tensor<B, 4>) -> Tensor<B, 3> {
    let [batch, heads, tokens, head_dim] = x.dims();
    x.swap_dims(1, 2).reshape([batch, tokens, heads * head_dim])
}

fn dropped<B: Backend>(x: Tensor<B, 4>, dropout: Option<Dropout>) -> Tensor<B, 4> {
    match dropout {
        Some(dropout) => {
            let mask = wrap::<B, 4>(mask_tensor::<B>(dropout, x.shape(), &x.device()));
            let mask = mask.cast(x.dtype());
            x * mask
        }
        None => x,
    }
}

pub(crate) fn plain<B: Backend>(
    qkv: FloatTensor<B>,
    heads: usize,
    key_mask: Option<FloatTensor<B>>,
    dropout: Option<Dropout>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let [q, k, v] = split(wrap::<B, 3>(qkv), heads);
    let [batch, heads, tokens, head_dim] = q.dims();
    let mut scores = q.matmul(k.transpose()) / (head_dim as f64).sqrt();
    let masked = key_mask.map(|mask| {
        let mask = wrap::<B, 2>(mask).reshape([batch, 1, 1, tokens]);
        mask.equal_elem(0.0).expand([batch, heads, tokens, tokens])
    });
    if let Some(masked) = &masked {
        // Finite, so that a row with every key masked has no ∞ − ∞; the zeros below clear it.
        scores = scores.mask_fill(masked.clone(), -1e30);
    }
    let mut weights = (scores.clone() - scores.max_dim(3)).exp();
    if let Some(masked) = masked {
        weights = weights.mask_fill(masked, 0.0);
    }
    // At least 1 wherever a key is attended to, since the largest score has weight e⁰.
    let sum = weights.clone().sum_dim(3).clamp_min(1e-30);
    let probabilities = weights / sum;
    let output = merge(dropped(probabilities.clone(), dropout).matmul(v));
    (unwrap(output), unwrap(probabilities))
}

pub(crate) fn plain_causal<B: Backend>(qkv: FloatTensor<B>, heads: usize) -> FloatTensor<B> {
    let [q, k, v] = split(wrap::<B, 3>(qkv), heads);
    let [batch, heads, tokens, head_dim] = q.dims();
    let scores = q.matmul(k.transpose()) / (head_dim as f64).sqrt();
    let later = Tensor::<B, 2>::ones([tokens, tokens], &scores.device())
        .triu(1)
        .greater_elem(0.5)
        .reshape([1, 1, tokens, tokens])
        .expand([batch, heads, tokens, tokens]);
    let scores = scores.mask_fill(later.clone(), -1e30);
    let weights = (scores.clone() - scores.max_dim(3)).exp();
    let weights = weights.mask_fill(later, 0.0);
    let sum = weights.clone().sum_dim(3);
    unwrap(merge((weights / sum).matmul(v)))
}

pub(crate) fn plain_gradient<B: Backend>(
    qkv: FloatTensor<B>,
    probabilities: FloatTensor<B>,
    gradient: FloatTensor<B>,
    heads: usize,
    dropout: Option<Dropout>,
) -> FloatTensor<B> {
    let [q, k, v] = split(wrap::<B, 3>(qkv), heads);
    let [batch, _, tokens, head_dim] = q.dims();
    let probabilities = wrap::<B, 4>(probabilities);
    let gradient = wrap::<B, 3>(gradient)
        .reshape([batch, tokens, heads, head_dim])
        .swap_dims(1, 2);
    let v_gradient = dropped(probabilities.clone(), dropout)
        .transpose()
        .matmul(gradient.clone());
    let p_gradient = dropped(gradient.matmul(v.transpose()), dropout);
    let along = (p_gradient.clone() * probabilities.clone()).sum_dim(3);
    let s_gradient = (p_gradient - along) * probabilities / (head_dim as f64).sqrt();
    let q_gradient = s_gradient.clone().matmul(k);
    let k_gradient = s_gradient.transpose().matmul(q);
    unwrap(Tensor::cat(
        vec![merge(q_gradient), merge(k_gradient), merge(v_gradient)],
        2,
    ))
}

#[derive(Debug)]
struct Attention;

impl<B: KernelBackend> Backward<B, 1> for Attention {
    type State = (FloatTensor<B>, FloatTensor<B>, usize, Option<Dropout>);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = grads.consume::<B>(&ops.node);
        let (qkv, probabilities, heads, dropout) = ops.state;
        let [node] = ops.parents;
        if let Some(node) = node {
            let value = B::kernel_attention_gradient(qkv, probabilities, gradient, heads, dropout);
            grads.register::<B>(node.id, value);
        }
    }
}

pub(crate) fn tracked<B: KernelBackend, C: CheckpointStrategy>(
    qkv: FloatTensor<Autodiff<B, C>>,
    heads: usize,
    key_mask: Option<FloatTensor<Autodiff<B, C>>>,
    dropout: Option<Dropout>,
) -> FloatTensor<Autodiff<B, C>> {
    let key_mask = key_mask.map(|mask| mask.primitive);
    match Attention
        .prepare::<C>([qkv.node])
        .compute_bound()
        .stateful()
    {
        OpsKind::Tracked(prep) => {
            let (output, probabilities) =
                B::kernel_attention_forward(qkv.primitive.clone(), heads, key_mask, dropout);
            prep.finish((qkv.primitive, probabilities, heads, dropout), output)
        }
        OpsKind::UnTracked(prep) => {
            prep.finish(B::kernel_attention(qkv.primitive, heads, key_mask, dropout))
        }
    }
}
