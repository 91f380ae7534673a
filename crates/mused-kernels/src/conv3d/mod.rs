//! Three-dimensional convolution of channels-last volumes.

mod cpu;
mod gather;
mod weight_gradient;
mod winograd;

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::backend::Backend;
use burn::tensor::ops::{ConvOptions, FloatTensor};
use burn::tensor::{Tensor, module};

use crate::backend::{KernelBackend, unwrap, wrap};

pub(crate) use cpu::{Sizes, forward, input_gradient};
pub(crate) use weight_gradient::weight_gradient;

/// How the kernel of a convolution moves over a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Steps along depth, height and width, at least 1.
    pub stride: [usize; 3],
    /// Planes of zeros before and after each axis.
    pub padding: [usize; 3],
}

impl Window {
    /// The same stride and padding along all axes.
    pub fn cubic(stride: usize, padding: usize) -> Self {
        Self {
            stride: [stride; 3],
            padding: [padding; 3],
        }
    }

    /// The grid a kernel makes of an input grid; `None` where the kernel does not fit or a stride is 0.
    pub fn output(&self, input: [usize; 3], kernel: [usize; 3]) -> Option<[usize; 3]> {
        let mut output = [0; 3];
        for axis in 0..3 {
            let free = (input[axis] + 2 * self.padding[axis]).checked_sub(kernel[axis])?;
            output[axis] = free.checked_div(self.stride[axis])? + 1;
        }
        (kernel.iter().all(|&n| n > 0)).then_some(output)
    }
}

/// Cross-correlation without bias: `y[o] = Σ x[o · stride + tap − padding] · weight[tap]`.
///
/// The gradient of an input that is not tracked (raw data) is not computed.
///
/// # Shapes
/// - `x`: `[batch, depth, height, width, in]`, channels last
/// - `weight`: `[kernel depth, kernel height, kernel width, in, out]` (PyTorch's is `[out, in, …]`)
/// - output: `[batch, depth, height, width, out]`, the grid of [`Window::output`]
///
/// # Panics
/// When the channels disagree or the kernel does not fit into the padded grid.
pub fn conv3d<B: KernelBackend>(
    x: Tensor<B, 5>,
    weight: Tensor<B, 5>,
    window: Window,
) -> Tensor<B, 5> {
    let ([_, d, h, w, x_in], [kd, kh, kw, w_in, _]) = (x.dims(), weight.dims());
    assert_eq!(
        x_in, w_in,
        "conv3d: x has {x_in} channels, weight takes {w_in}"
    );
    let output = window.output([d, h, w], [kd, kh, kw]);
    assert!(
        output.is_some(),
        "conv3d: a kernel of {kd}×{kh}×{kw} with {window:?} does not fit into {d}×{h}×{w}"
    );
    wrap(B::kernel_conv3d(unwrap(x), unwrap(weight), window))
}

/// Burn's order of axes: channels after the batch.
fn channels_first<B: Backend>(x: FloatTensor<B>) -> Tensor<B, 5> {
    wrap::<B, 5>(x).permute([0, 4, 1, 2, 3])
}

fn channels_last<B: Backend>(x: Tensor<B, 5>) -> FloatTensor<B> {
    unwrap(x.permute([0, 2, 3, 4, 1]))
}

/// `[out, in, …]` of `[…, in, out]`.
fn kernel_last<B: Backend>(weight: FloatTensor<B>) -> Tensor<B, 5> {
    wrap::<B, 5>(weight).permute([4, 3, 0, 1, 2])
}

fn options(window: Window) -> ConvOptions<3> {
    ConvOptions::new(window.stride, window.padding, [1; 3], 1)
}

pub(crate) fn plain<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    window: Window,
) -> FloatTensor<B> {
    channels_last(module::conv3d(
        channels_first::<B>(x),
        kernel_last::<B>(weight),
        None,
        options(window),
    ))
}

pub(crate) fn plain_input_gradient<B: Backend>(
    gradient: FloatTensor<B>,
    weight: FloatTensor<B>,
    input: [usize; 3],
    window: Window,
) -> FloatTensor<B> {
    let gradient = channels_first::<B>(gradient);
    let weight = kernel_last::<B>(weight);
    let [d, h, w] = input;
    let shape = [gradient.dims()[0], weight.dims()[1], d, h, w];
    let x = Tensor::<B, 5>::zeros(shape, &gradient.device()).cast(gradient.dtype());
    channels_last::<B>(wrap(B::conv3d_x_backward(
        unwrap(x),
        unwrap(weight),
        unwrap(gradient),
        options(window),
    )))
}

pub(crate) fn plain_weight_gradient<B: Backend>(
    x: FloatTensor<B>,
    gradient: FloatTensor<B>,
    kernel: [usize; 3],
    window: Window,
) -> FloatTensor<B> {
    let (x, gradient) = (channels_first::<B>(x), channels_first::<B>(gradient));
    let [d, h, w] = kernel;
    let shape = [gradient.dims()[1], x.dims()[1], d, h, w];
    let weight = Tensor::<B, 5>::zeros(shape, &x.device()).cast(x.dtype());
    let value =
        B::conv3d_weight_backward(unwrap(x), unwrap(weight), unwrap(gradient), options(window));
    unwrap(wrap::<B, 5>(value).permute([2, 3, 4, 1, 0]))
}

#[derive(Debug)]
struct Conv3d;

impl<B: KernelBackend> Backward<B, 2> for Conv3d {
    type State = (FloatTensor<B>, FloatTensor<B>, Window);

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = grads.consume::<B>(&ops.node);
        let (x, weight, window) = ops.state;
        let [x_node, weight_node] = ops.parents;
        let (x, weight) = (wrap::<B, 5>(x), wrap::<B, 5>(weight));
        let [_, d, h, w, _] = x.dims();
        let [kd, kh, kw, _, _] = weight.dims();
        if let Some(node) = weight_node {
            let value =
                B::kernel_conv3d_weight_gradient(unwrap(x), gradient.clone(), [kd, kh, kw], window);
            grads.register::<B>(node.id, value);
        }
        if let Some(node) = x_node {
            let value =
                B::kernel_conv3d_input_gradient(gradient, unwrap(weight), [d, h, w], window);
            grads.register::<B>(node.id, value);
        }
    }
}

pub(crate) fn tracked<B: KernelBackend, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<B, C>>,
    weight: FloatTensor<Autodiff<B, C>>,
    window: Window,
) -> FloatTensor<Autodiff<B, C>> {
    let state = (x.primitive.clone(), weight.primitive.clone(), window);
    let y = B::kernel_conv3d(x.primitive, weight.primitive, window);
    match Conv3d
        .prepare::<C>([x.node, weight.node])
        .compute_bound()
        .stateful()
    {
        OpsKind::Tracked(prep) => prep.finish(state, y),
        OpsKind::UnTracked(prep) => prep.finish(y),
    }
}
