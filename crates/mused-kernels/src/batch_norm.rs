use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;

use crate::backend::{KernelBackend, unwrap, wrap};

/// What comes after the normalisation, in the same pass over the rows.
#[derive(Clone, Debug)]
pub struct BatchNormTail<B: Backend> {
    /// Added to the normalised rows, `[rows, channels]`.
    pub residual: Option<Tensor<B, 2>>,
    /// Whether a ReLU follows.
    pub relu: bool,
}

impl<B: Backend> BatchNormTail<B> {
    /// Nothing.
    pub fn none() -> Self {
        Self {
            residual: None,
            relu: false,
        }
    }

    /// A ReLU.
    pub fn relu() -> Self {
        Self {
            residual: None,
            relu: true,
        }
    }
}

/// Rows normalised by the statistics of their batch, and these statistics.
#[derive(Clone, Debug)]
pub struct BatchNormOutput<B: Backend> {
    /// `[rows, channels]`
    pub rows: Tensor<B, 2>,
    /// Mean of each channel, `[channels]`, not tracked.
    pub mean: Tensor<B, 1>,
    /// Biased variance of each channel, `[channels]`, not tracked.
    pub variance: Tensor<B, 1>,
}

/// `(x − mean) / √(variance + epsilon) · gamma + beta` with the mean and the biased variance of each channel over
/// the rows (Ioffe & Szegedy 2015, algorithm 1), then the tail: + residual, ReLU.
///
/// Volumes with channels last are rows once batch and grid are flattened, so that one function serves PyTorch's
/// BatchNorm1d and BatchNorm3d.
///
/// # Shapes
/// - `x`: `[rows, channels]`
/// - `gamma`, `beta`: `[channels]`
///
/// # Panics
/// When the shapes disagree, or without rows.
pub fn batch_norm<B: KernelBackend>(
    x: Tensor<B, 2>,
    gamma: Tensor<B, 1>,
    beta: Tensor<B, 1>,
    tail: BatchNormTail<B>,
    epsilon: f64,
) -> BatchNormOutput<B> {
    check(&x, [&gamma, &beta], &tail);
    assert!(x.dims()[0] > 0, "batch_norm: statistics of no rows");
    let [rows, mean, variance] = B::kernel_batch_norm(
        unwrap(x),
        unwrap(gamma),
        unwrap(beta),
        tail.residual.map(unwrap),
        tail.relu,
        epsilon,
    );
    BatchNormOutput {
        rows: wrap(rows),
        mean: wrap(mean),
        variance: wrap(variance),
    }
}

/// [`batch_norm`] with statistics that are given (in evaluation: the running ones).
///
/// # Shapes
/// - `x`: `[rows, channels]` → the same
/// - `gamma`, `beta`, `mean`, `variance`: `[channels]`
///
/// # Panics
/// When the shapes disagree.
pub fn batch_norm_with<B: KernelBackend>(
    x: Tensor<B, 2>,
    [gamma, beta]: [Tensor<B, 1>; 2],
    [mean, variance]: [Tensor<B, 1>; 2],
    tail: BatchNormTail<B>,
    epsilon: f64,
) -> Tensor<B, 2> {
    check(&x, [&gamma, &beta], &tail);
    check(&x, [&mean, &variance], &tail);
    let scale = gamma / (variance + epsilon).sqrt();
    let shift = beta - mean * scale.clone();
    wrap(B::kernel_batch_affine(
        unwrap(x),
        unwrap(scale),
        unwrap(shift),
        tail.residual.map(unwrap),
        tail.relu,
    ))
}

fn check<B: Backend>(x: &Tensor<B, 2>, vectors: [&Tensor<B, 1>; 2], tail: &BatchNormTail<B>) {
    let [_, channels] = x.dims();
    for vector in vectors {
        assert_eq!([channels], vector.dims(), "batch_norm: a value a channel");
    }
    if let Some(residual) = &tail.residual {
        assert_eq!(x.dims(), residual.dims(), "batch_norm: residual against x");
    }
}

pub(crate) fn plain_affine<B: Backend>(
    x: FloatTensor<B>,
    scale: FloatTensor<B>,
    shift: FloatTensor<B>,
    residual: Option<FloatTensor<B>>,
    with_relu: bool,
) -> FloatTensor<B> {
    let row = |vector| wrap::<B, 1>(vector).unsqueeze::<2>();
    let mut y = wrap::<B, 2>(x) * row(scale) + row(shift);
    if let Some(residual) = residual {
        y = y + wrap::<B, 2>(residual);
    }
    unwrap(if with_relu { relu(y) } else { y })
}

pub(crate) fn plain<B: Backend>(
    x: FloatTensor<B>,
    gamma: FloatTensor<B>,
    beta: FloatTensor<B>,
    residual: Option<FloatTensor<B>>,
    with_relu: bool,
    epsilon: f64,
) -> [FloatTensor<B>; 3] {
    let x = wrap::<B, 2>(x);
    let mean = x.clone().mean_dim(0);
    let centred = x - mean.clone();
    let variance = (centred.clone() * centred.clone()).mean_dim(0);
    let scale = wrap::<B, 1>(gamma).unsqueeze::<2>() / (variance.clone() + epsilon).sqrt();
    let y = plain_affine::<B>(
        unwrap(centred),
        unwrap(scale.squeeze_dim::<1>(0)),
        beta,
        residual,
        with_relu,
    );
    let vector = |row: Tensor<B, 2>| unwrap(row.squeeze_dim::<1>(0));
    [y, vector(mean), vector(variance)]
}

/// What the gradient needs of the forward pass.
#[derive(Clone, Debug)]
pub struct BatchNormState<B: Backend> {
    /// The input, `[rows, channels]`.
    pub x: FloatTensor<B>,
    /// The output, where a ReLU followed: its zeros passed nothing on.
    pub relu_output: Option<FloatTensor<B>>,
    /// `[channels]`
    pub gamma: FloatTensor<B>,
    /// `[channels]`
    pub mean: FloatTensor<B>,
    /// Biased, `[channels]`.
    pub variance: FloatTensor<B>,
    /// Added under the root.
    pub epsilon: f64,
}

pub(crate) fn plain_gradient<B: Backend>(
    state: BatchNormState<B>,
    gradient: FloatTensor<B>,
) -> [FloatTensor<B>; 4] {
    let row = |vector| wrap::<B, 1>(vector).unsqueeze::<2>();
    let mut gradient = wrap::<B, 2>(gradient);
    if let Some(y) = state.relu_output {
        gradient = gradient.mask_fill(wrap::<B, 2>(y).lower_equal_elem(0.0), 0.0);
    }
    let scale = (row(state.variance) + state.epsilon).sqrt().recip();
    let z = (wrap::<B, 2>(state.x) - row(state.mean)) * scale.clone();
    let along = (gradient.clone() * z.clone()).mean_dim(0);
    let inner = gradient.clone() - gradient.clone().mean_dim(0) - z.clone() * along;
    let x_gradient = inner * (scale * row(state.gamma));
    let vector = |rows: Tensor<B, 2>| unwrap(rows.sum_dim(0).squeeze_dim::<1>(0));
    [
        unwrap(x_gradient),
        vector(gradient.clone() * z),
        vector(gradient.clone()),
        unwrap(gradient),
    ]
}

#[derive(Debug)]
struct BatchNorm;

impl<B: KernelBackend> Backward<B, 3> for BatchNorm {
    type State = BatchNormState<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = grads.consume::<B>(&ops.node);
        let values = B::kernel_batch_norm_gradient(ops.state, gradient, false);
        for (node, value) in ops.parents.into_iter().zip(values) {
            if let Some(node) = node {
                grads.register::<B>(node.id, value);
            }
        }
    }
}

#[derive(Debug)]
struct BatchNormResidual;

impl<B: KernelBackend> Backward<B, 4> for BatchNormResidual {
    type State = BatchNormState<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 4>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = grads.consume::<B>(&ops.node);
        let values = B::kernel_batch_norm_gradient(ops.state, gradient, true);
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
    residual: Option<FloatTensor<Autodiff<B, C>>>,
    with_relu: bool,
    epsilon: f64,
) -> [FloatTensor<Autodiff<B, C>>; 3] {
    let [y, mean, variance] = B::kernel_batch_norm(
        x.primitive.clone(),
        gamma.primitive.clone(),
        beta.primitive,
        residual.as_ref().map(|residual| residual.primitive.clone()),
        with_relu,
        epsilon,
    );
    let state = BatchNormState {
        x: x.primitive,
        relu_output: with_relu.then(|| y.clone()),
        gamma: gamma.primitive,
        mean: mean.clone(),
        variance: variance.clone(),
        epsilon,
    };
    let y = match residual {
        Some(residual) => {
            let nodes = [x.node, gamma.node, beta.node, residual.node];
            match BatchNormResidual
                .prepare::<C>(nodes)
                .compute_bound()
                .stateful()
            {
                OpsKind::Tracked(prep) => prep.finish(state, y),
                OpsKind::UnTracked(prep) => prep.finish(y),
            }
        }
        None => match BatchNorm
            .prepare::<C>([x.node, gamma.node, beta.node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish(state, y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        },
    };
    let constant = FloatTensor::<Autodiff<B, C>>::new;
    [y, constant(mean), constant(variance)]
}
