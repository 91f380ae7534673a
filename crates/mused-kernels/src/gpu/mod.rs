//! The operations as CubeCL kernels, for every GPU that CubeCL has a runtime for: one source for CUDA, Vulkan and Metal.
//!
//! Matrix products are the engine's, chosen here (`product`). What stands here is what it would make of many small kernels
//! (dropout, GELU, the optimiser, the norms, softmax), of the host (dropout masks), or slowly (convolution gradients).
//! Every sum runs in a fixed order: nothing is added by atomics.
// A kernel's arguments are what it reads and writes, one by one.
#![allow(clippy::too_many_arguments)]

mod attention;
#[cfg(feature = "cuda")]
mod compiled;
mod conv3d;
mod elementwise;
mod launch;
mod normalise;
mod product;
mod region_tokens;

use burn::tensor::ops::FloatTensor;
use burn_cubecl::{BoolElement, CubeBackend, CubeRuntime};

use crate::adam::AdamStep;
use crate::backend::{KernelBackend, unwrap, wrap};
use crate::batch_norm::BatchNormState;
use crate::conv3d::Window;
use crate::dropout::Dropout;
use crate::region_tokens::Regions;
use product::product;

#[cfg(feature = "cuda")]
pub use compiled::keep_compiled_kernels;

/// GPUs of NVIDIA, without gradients.
#[cfg(feature = "cuda")]
pub type Cuda = burn_cuda::Cuda;
/// GPUs by Vulkan, by Metal on macOS.
#[cfg(feature = "gpu")]
pub type Wgpu = burn_wgpu::Wgpu;

impl<R: CubeRuntime, BT: BoolElement> KernelBackend for CubeBackend<R, f32, i32, BT> {
    fn device_name(device: &R::Device) -> Option<String> {
        let client = R::client(device);
        Some(R::name(&client).to_owned())
    }

    fn kernel_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
    ) -> FloatTensor<Self> {
        let y = product::<R, BT, 2>(wrap(x), wrap(weight));
        unwrap(match bias {
            Some(bias) => y + wrap::<Self, 1>(bias).unsqueeze::<2>(),
            None => y,
        })
    }

    fn kernel_linear_input_gradient(
        gradient: FloatTensor<Self>,
        weight: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let weight = wrap::<Self, 2>(weight).transpose();
        unwrap(product::<R, BT, 2>(wrap(gradient), weight))
    }

    fn kernel_linear_weight_gradient(
        x: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let x = wrap::<Self, 2>(x).transpose();
        unwrap(product::<R, BT, 2>(x, wrap(gradient)))
    }

    fn kernel_linear_bias_gradient(gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        normalise::column_sums(gradient)
    }

    fn kernel_region_tokens(
        leading: FloatTensor<Self>,
        regions: Regions<Self>,
    ) -> FloatTensor<Self> {
        region_tokens::forward::<R, BT>(leading, regions)
    }

    fn kernel_region_tokens_gradient(
        regions: Regions<Self>,
        gradient: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 2] {
        region_tokens::gradient::<R, BT>(regions, gradient)
    }

    fn kernel_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        elementwise::gelu(x)
    }

    fn kernel_quick_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        elementwise::quick_gelu(x)
    }

    fn kernel_gelu_gradient(
        x: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        elementwise::gelu_gradient(x, gradient)
    }

    fn kernel_layer_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        normalise::layer_norm(x, gamma, beta, epsilon)
    }

    fn kernel_layer_norm_gradient(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f64,
    ) -> [FloatTensor<Self>; 3] {
        normalise::layer_norm_gradient(x, gamma, gradient, epsilon)
    }

    fn kernel_conv3d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self> {
        conv3d::forward::<R, BT>(x, weight, window)
    }

    fn kernel_conv3d_input_gradient(
        gradient: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        input: [usize; 3],
        window: Window,
    ) -> FloatTensor<Self> {
        conv3d::input_gradient::<R, BT>(gradient, weight, input, window)
    }

    fn kernel_conv3d_weight_gradient(
        x: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        kernel: [usize; 3],
        window: Window,
    ) -> FloatTensor<Self> {
        conv3d::weight_gradient::<R, BT>(x, gradient, kernel, window)
    }

    fn kernel_batch_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        residual: Option<FloatTensor<Self>>,
        relu: bool,
        epsilon: f64,
    ) -> [FloatTensor<Self>; 3] {
        normalise::batch_norm::<R, BT>(x, gamma, beta, residual, relu, epsilon)
    }

    fn kernel_batch_norm_gradient(
        state: BatchNormState<Self>,
        gradient: FloatTensor<Self>,
        _residual: bool,
    ) -> [FloatTensor<Self>; 4] {
        normalise::batch_norm_gradient::<R, BT>(state, gradient)
    }

    fn kernel_batch_affine(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        residual: Option<FloatTensor<Self>>,
        relu: bool,
    ) -> FloatTensor<Self> {
        normalise::affine(x, scale, shift, residual, relu)
    }

    fn kernel_attention_forward(
        qkv: FloatTensor<Self>,
        heads: usize,
        key_mask: Option<FloatTensor<Self>>,
        dropout: Option<Dropout>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        attention::forward::<R, BT>(qkv, heads, key_mask, dropout, false)
    }

    fn kernel_causal_attention(qkv: FloatTensor<Self>, heads: usize) -> FloatTensor<Self> {
        attention::forward::<R, BT>(qkv, heads, None, None, true).0
    }

    fn kernel_attention_gradient(
        qkv: FloatTensor<Self>,
        probabilities: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        heads: usize,
        dropout: Option<Dropout>,
    ) -> FloatTensor<Self> {
        attention::gradient::<R, BT>(qkv, probabilities, gradient, heads, dropout)
    }

    fn kernel_dropout(x: FloatTensor<Self>, dropout: Dropout) -> FloatTensor<Self> {
        elementwise::dropout(x, None, dropout)
    }

    fn kernel_dropout_add(
        x: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        dropout: Dropout,
    ) -> FloatTensor<Self> {
        elementwise::dropout(x, Some(residual), dropout)
    }

    fn kernel_adam(
        param: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        exp_avg: FloatTensor<Self>,
        exp_avg_sq: FloatTensor<Self>,
        step: &AdamStep,
    ) -> [FloatTensor<Self>; 3] {
        elementwise::adam(param, gradient, exp_avg, exp_avg_sq, step)
    }

    fn kernel_ema(
        ema: FloatTensor<Self>,
        param: FloatTensor<Self>,
        decay: f64,
    ) -> FloatTensor<Self> {
        elementwise::ema(ema, param, decay)
    }

    fn kernel_sums_of_squares(xs: Vec<FloatTensor<Self>>) -> Vec<f64> {
        elementwise::sums_of_squares(xs)
    }
}
