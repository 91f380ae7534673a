use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;

use crate::backend::{KernelBackend, unwrap, wrap};
use crate::dropout::Dropout;

/// What [`attention_readout`] reads.
#[derive(Clone, Debug)]
pub struct Readout<B: Backend> {
    /// `[batch, tokens, dim]`
    pub x: FloatTensor<B>,
    /// To queries, keys and values, `[dim, 3 · dim]`.
    pub weight: FloatTensor<B>,
    /// `[3 · dim]`
    pub bias: FloatTensor<B>,
    /// Tokens that are read.
    pub read: usize,
    /// Heads of the attention.
    pub heads: usize,
    /// `[batch, tokens]`
    pub key_mask: Option<FloatTensor<B>>,
    /// Dropout of the probabilities.
    pub dropout: Option<Dropout>,
}

/// The first `read` tokens of [`attention`](crate::attention()) of `linear(x, weight, bias)`: the last block of a
/// Transformer whose other tokens nobody reads.
///
/// A processor makes neither the queries of the other tokens nor keys and values: a score `q · (W_kᵀ x)` is `(W_k q) · x`,
/// and a mean of values the value of a mean.
///
/// # Shapes
/// - `x`: `[batch, tokens, dim]`
/// - `weight`: `[dim, 3 · dim]`, `bias`: `[3 · dim]`, to q, k, v, each with its heads one after another
/// - `key_mask`: `[batch, tokens]`, 1 = attend, 0 = ignore; never tracked
/// - output: `[batch, read, dim]`
///
/// # Panics
/// When shapes disagree, `dim` is not a multiple of `heads`, or there are fewer tokens than `read`.
pub fn attention_readout<B: KernelBackend>(
    x: Tensor<B, 3>,
    (weight, bias): (Tensor<B, 2>, Tensor<B, 1>),
    read: usize,
    heads: usize,
    key_mask: Option<Tensor<B, 2>>,
    dropout: Option<Dropout>,
) -> Tensor<B, 3> {
    let [batch, tokens, dim] = x.dims();
    assert!(
        heads > 0 && dim % heads == 0 && read <= tokens,
        "attention_readout: {read} of {tokens} tokens, {heads} heads of {dim} channels"
    );
    assert_eq!(
        ([dim, 3 * dim], [3 * dim]),
        (weight.dims(), bias.dims()),
        "attention_readout: weight and bias against x"
    );
    if let Some(mask) = &key_mask {
        let sizes = [batch, tokens];
        assert_eq!(sizes, mask.dims(), "attention_readout: mask against x");
    }
    wrap(B::kernel_attention_readout(Readout {
        x: unwrap(x),
        weight: unwrap(weight),
        bias: unwrap(bias),
        read,
        heads,
        key_mask: key_mask.map(unwrap),
        dropout: dropout.filter(|dropout| dropout.rate > 0.0),
    }))
}

fn projected<B: KernelBackend>(readout: &Readout<B>) -> FloatTensor<B> {
    let x = wrap::<B, 3>(readout.x.clone());
    let [batch, tokens, dim] = x.dims();
    let rows = unwrap(x.reshape([batch * tokens, dim]));
    let bias = Some(readout.bias.clone());
    let qkv = wrap::<B, 2>(B::kernel_linear(rows, readout.weight.clone(), bias));
    unwrap(qkv.reshape([batch, tokens, 3 * dim]))
}

pub(crate) fn plain<B: KernelBackend>(readout: Readout<B>) -> FloatTensor<B> {
    let qkv = projected(&readout);
    let all = B::kernel_attention(qkv, readout.heads, readout.key_mask, readout.dropout);
    unwrap(wrap::<B, 3>(all).narrow(1, 0, readout.read))
}

/// The output, and queries, keys and values and probabilities of all tokens.
pub(crate) fn plain_forward<B: KernelBackend>(
    readout: Readout<B>,
) -> (FloatTensor<B>, [FloatTensor<B>; 2]) {
    let qkv = projected(&readout);
    let (heads, mask, dropout) = (readout.heads, readout.key_mask, readout.dropout);
    let (all, probabilities) = B::kernel_attention_forward(qkv.clone(), heads, mask, dropout);
    let output = wrap::<B, 3>(all).narrow(1, 0, readout.read);
    (unwrap(output), [qkv, probabilities])
}

pub(crate) fn plain_gradient<B: KernelBackend>(
    readout: Readout<B>,
    kept: Vec<FloatTensor<B>>,
    gradient: FloatTensor<B>,
) -> [FloatTensor<B>; 3] {
    let whole = <[_; 2]>::try_from(kept);
    let [qkv, probabilities] = whole.unwrap_or_else(|_| plain_forward(readout.clone()).1);
    let x = wrap::<B, 3>(readout.x);
    let [batch, tokens, dim] = x.dims();
    let gradient = wrap::<B, 3>(gradient);
    let all = x.zeros_like();
    let all = all.slice_assign([0..batch, 0..readout.read, 0..dim], gradient);
    let (heads, dropout) = (readout.heads, readout.dropout);
    let all = B::kernel_attention_gradient(qkv, probabilities, unwrap(all), heads, dropout);
    let all = unwrap(wrap::<B, 3>(all).reshape([batch * tokens, 3 * dim]));
    let rows = unwrap(x.reshape([batch * tokens, dim]));
    let of_rows = B::kernel_linear_input_gradient(all.clone(), readout.weight);
    let of_rows = wrap::<B, 2>(of_rows).reshape([batch, tokens, dim]);
    [
        unwrap(of_rows),
        B::kernel_linear_weight_gradient(rows, all.clone()),
        B::kernel_linear_bias_gradient(all),
    ]
}

#[derive(Debug)]
struct AttentionReadout;

impl<B: KernelBackend> Backward<B, 3> for AttentionReadout {
    type State = (Readout<B>, Vec<FloatTensor<B>>);

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = grads.consume::<B>(&ops.node);
        let (readout, kept) = ops.state;
        let values = B::kernel_attention_readout_gradient(readout, kept, gradient);
        for (node, value) in ops.parents.into_iter().zip(values) {
            if let Some(node) = node {
                grads.register::<B>(node.id, value);
            }
        }
    }
}

pub(crate) fn tracked<B: KernelBackend, C: CheckpointStrategy>(
    readout: Readout<Autodiff<B, C>>,
) -> FloatTensor<Autodiff<B, C>> {
    let nodes = [readout.x.node, readout.weight.node, readout.bias.node];
    let inner = Readout {
        x: readout.x.primitive,
        weight: readout.weight.primitive,
        bias: readout.bias.primitive,
        read: readout.read,
        heads: readout.heads,
        key_mask: readout.key_mask.map(|mask| mask.primitive),
        dropout: readout.dropout,
    };
    match AttentionReadout
        .prepare::<C>(nodes)
        .compute_bound()
        .stateful()
    {
        OpsKind::Tracked(prep) => {
            let (output, kept) = B::kernel_attention_readout_forward(inner.clone());
            prep.finish((inner, kept), output)
        }
        OpsKind::UnTracked(prep) => prep.finish(B::kernel_attention_readout(inner)),
    }
}
