use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;

use crate::backend::{KernelBackend, unwrap, wrap};
use crate::gelu::Activation;

/// `x · weight + bias`.
///
/// The gradient of an input that is not tracked (raw data) is not computed.
///
/// # Shapes
/// - `x`: `[rows, in]`; flatten batch and token axes into `rows` first
/// - `weight`: `[in, out]`, Burn's convention (PyTorch's is the transpose)
/// - `bias`: `[out]`
/// - output: `[rows, out]`
///
/// # Panics
/// When the shapes disagree.
pub fn linear<B: KernelBackend>(
    x: Tensor<B, 2>,
    weight: Tensor<B, 2>,
    bias: Option<Tensor<B, 1>>,
) -> Tensor<B, 2> {
    check(&x, &weight, bias.as_ref());
    wrap(B::kernel_linear(
        unwrap(x),
        unwrap(weight),
        bias.map(unwrap),
    ))
}

/// An activation of `x · weight + bias`; without gradients in one pass.
///
/// # Shapes
/// As [`linear`].
///
/// # Panics
/// When the shapes disagree.
pub fn linear_activated<B: KernelBackend>(
    x: Tensor<B, 2>,
    weight: Tensor<B, 2>,
    bias: Tensor<B, 1>,
    activation: Activation,
) -> Tensor<B, 2> {
    check(&x, &weight, Some(&bias));
    wrap(B::kernel_linear_activated(
        unwrap(x),
        unwrap(weight),
        unwrap(bias),
        activation,
    ))
}

fn check<B: Backend>(x: &Tensor<B, 2>, weight: &Tensor<B, 2>, bias: Option<&Tensor<B, 1>>) {
    let ([_, x_in], [w_in, w_out]) = (x.dims(), weight.dims());
    assert_eq!(
        x_in, w_in,
        "linear: x has {x_in} columns, weight {w_in} rows"
    );
    if let Some(bias) = bias {
        let [len] = bias.dims();
        assert_eq!(
            len, w_out,
            "linear: bias has {len} entries, weight {w_out} columns"
        );
    }
}

pub(crate) fn plain_activated<B: KernelBackend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: FloatTensor<B>,
    activation: Activation,
) -> FloatTensor<B> {
    let x = B::kernel_linear(x, weight, Some(bias));
    match activation {
        Activation::Gelu => B::kernel_gelu(x),
        Activation::QuickGelu => B::kernel_quick_gelu(x),
    }
}

pub(crate) fn plain<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: Option<FloatTensor<B>>,
) -> FloatTensor<B> {
    let y = wrap::<B, 2>(x).matmul(wrap::<B, 2>(weight));
    unwrap(match bias {
        Some(bias) => y + wrap::<B, 1>(bias).unsqueeze::<2>(),
        None => y,
    })
}

pub(crate) fn plain_input_gradient<B: Backend>(
    gradient: FloatTensor<B>,
    weight: FloatTensor<B>,
) -> FloatTensor<B> {
    unwrap(wrap::<B, 2>(gradient).matmul(wrap::<B, 2>(weight).transpose()))
}

pub(crate) fn plain_weight_gradient<B: Backend>(
    x: FloatTensor<B>,
    gradient: FloatTensor<B>,
) -> FloatTensor<B> {
    unwrap(wrap::<B, 2>(x).transpose().matmul(wrap::<B, 2>(gradient)))
}

pub(crate) fn plain_bias_gradient<B: Backend>(gradient: FloatTensor<B>) -> FloatTensor<B> {
    unwrap(wrap::<B, 2>(gradient).sum_dim(0).squeeze_dim::<1>(0))
}

#[derive(Debug)]
struct Linear;

#[derive(Debug)]
struct LinearBias;

impl<B: KernelBackend> Backward<B, 2> for Linear {
    type State = (FloatTensor<B>, FloatTensor<B>);

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = grads.consume::<B>(&ops.node);
        let (x, weight) = ops.state;
        let [x_node, weight_node] = ops.parents;
        if let Some(node) = weight_node {
            let value = B::kernel_linear_weight_gradient(x, gradient.clone());
            grads.register::<B>(node.id, value);
        }
        if let Some(node) = x_node {
            let value = B::kernel_linear_input_gradient(gradient, weight);
            grads.register::<B>(node.id, value);
        }
    }
}

impl<B: KernelBackend> Backward<B, 3> for LinearBias {
    type State = (FloatTensor<B>, FloatTensor<B>);

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = grads.consume::<B>(&ops.node);
        let (x, weight) = ops.state;
        let [x_node, weight_node, bias_node] = ops.parents;
        if let Some(node) = bias_node {
            let value = B::kernel_linear_bias_gradient(gradient.clone());
            grads.register::<B>(node.id, value);
        }
        if let Some(node) = weight_node {
            let value = B::kernel_linear_weight_gradient(x, gradient.clone());
            grads.register::<B>(node.id, value);
        }
        if let Some(node) = x_node {
            let value = B::kernel_linear_input_gradient(gradient, weight);
            grads.register::<B>(node.id, value);
        }
    }
}

pub(crate) fn tracked<B: KernelBackend, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<B, C>>,
    weight: FloatTensor<Autodiff<B, C>>,
    bias: Option<FloatTensor<Autodiff<B, C>>>,
) -> FloatTensor<Autodiff<B, C>> {
    let state = (x.primitive.clone(), weight.primitive.clone());
    let y = B::kernel_linear(
        x.primitive,
        weight.primitive,
        bias.as_ref().map(|bias| bias.primitive.clone()),
    );
    match bias {
        Some(bias) => {
            let nodes = [x.node, weight.node, bias.node];
            match LinearBias.prepare::<C>(nodes).compute_bound().stateful() {
                OpsKind::Tracked(prep) => prep.finish(state, y),
                OpsKind::UnTracked(prep) => prep.finish(y),
            }
        }
        None => match Linear
            .prepare::<C>([x.node, weight.node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish(state, y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        },
    }
}
