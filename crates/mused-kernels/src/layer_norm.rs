use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;

use crate::backend::{KernelBackend, unwrap, wrap};

/// `(x − mean) / √(variance + epsilon) · gamma + beta` with the mean and the biased variance of each row
/// (Ba, Kiros & Hinton 2016, eq. 3).
///
/// # Shapes
/// - `x`: `[rows, dim]`
/// - `gamma`, `beta`: `[dim]`
/// - output: `[rows, dim]`
///
/// # Panics
/// When the shapes disagree.
pub fn layer_norm<B: KernelBackend>(
    x: Tensor<B, 2>,
    gamma: Tensor<B, 1>,
    beta: Tensor<B, 1>,
    epsilon: f64,
) -> Tensor<B, 2> {
    let [_, dim] = x.dims();
    assert_eq!([dim], gamma.dims(), "layer_norm: gamma against x's columns");
    assert_eq!([dim], beta.dims(), "layer_norm: beta against x's columns");
    wrap(B::kernel_layer_norm(
        unwrap(x),
        unwrap(gamma),
        unwrap(beta),
        epsilon,
    ))
}

/// The normalised rows and the reciprocal of their standard deviations, `[rows, 1]`.
fn normalised<B: Backend>(x: FloatTensor<B>, epsilon: f64) -> (Tensor<B, 2>, Tensor<B, 2>) {
    let x = wrap::<B, 2>(x);
    let centred = x.clone() - x.mean_dim(1);
    let variance = (centred.clone() * centred.clone()).mean_dim(1);
    let scale = (variance + epsilon).sqrt().recip();
    (centred * scale.clone(), scale)
}

pub(crate) fn plain<B: Backend>(
    x: FloatTensor<B>,
    gamma: FloatTensor<B>,
    beta: FloatTensor<B>,
    epsilon: f64,
) -> FloatTensor<B> {
    let (z, _) = normalised::<B>(x, epsilon);
    let gamma = wrap::<B, 1>(gamma).unsqueeze::<2>();
    let beta = wrap::<B, 1>(beta).unsqueeze::<2>();
    unwrap(z * gamma + beta)
}

pub(crate) fn plain_gradient<B: Backend>(
    x: FloatTensor<B>,
    gamma: FloatTensor<B>,
    gradient: FloatTensor<B>,
    epsilon: f64,
) -> [FloatTensor<B>; 3] {
    let (z, scale) = normalised::<B>(x, epsilon);
    let gradient = wrap::<B, 2>(gradient);
    let inner = gradient.clone() * wrap::<B, 1>(gamma).unsqueeze::<2>();
    let along = (inner.clone() * z.clone()).mean_dim(1);
    let x_gradient = (inner.clone() - inner.mean_dim(1) - z.clone() * along) * scale;
    let gamma_gradient = (gradient.clone() * z).sum_dim(0).squeeze_dim::<1>(0);
    let beta_gradient = gradient.sum_dim(0).squeeze_dim::<1>(0);
    [
        unwrap(x_gradient),
        unwrap(gamma_gradient),
        unwrap(beta_gradient),
    ]
}

#[derive(Debug)]
struct LayerNorm;

impl<B: KernelBackend> Backward<B, 3> for LayerNorm {
    type State = (FloatTensor<B>, FloatTensor<B>, f64);

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = grads.consume::<B>(&ops.node);
        let (x, gamma, epsilon) = ops.state;
        let values = B::kernel_layer_norm_gradient(x, gamma, gradient, epsilon);
        for (node, value) in ops.parents.into_iter().zip(values) {
            if let Some(node) = node {
                grads.register::<B>(node.id, value);
            }
        }
    }
}

pub(crate) fn tracked<B: KernelBackend, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<B, C>>,
    gamma: FloatTensor<Autodiff<B, C>>,
    beta: FloatTensor<Autodiff<B, C>>,
    epsilon: f64,
) -> FloatTensor<Autodiff<B, C>> {
    let state = (x.primitive.clone(), gamma.primitive.clone(), epsilon);
    let y = B::kernel_layer_norm(x.primitive, gamma.primitive, beta.primitive, epsilon);
    match LayerNorm
        .prepare::<C>([x.node, gamma.node, beta.node])
        .compute_bound()
        .stateful()
    {
        OpsKind::Tracked(prep) => prep.finish(state, y),
        OpsKind::UnTracked(prep) => prep.finish(y),
    }
}
