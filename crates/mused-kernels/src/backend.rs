use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorPrimitive};

use crate::adam::{self, AdamStep};
use crate::attention;
use crate::attention_readout::{self, Readout};
use crate::batch_norm::{self, BatchNormState};
use crate::conv3d::{self, Window};
use crate::dropout::{self, Dropout};
use crate::gelu::{self, Activation};
use crate::layer_norm;
use crate::linear;
use crate::region_tokens::{self, Regions};

/// The CPU backend the fast paths are written for.
pub type Cpu = burn::backend::Flex;

/// A backend with gradients.
pub type Training<B> = burn::backend::Autodiff<B>;

/// [`Cpu`] with gradients.
pub type CpuTraining = Training<Cpu>;

/// A backend the operations of this crate run on.
///
/// The default bodies are plain Burn operations, so `impl KernelBackend for X {}` is a correct implementation for any
/// backend; it is also the definition the fast paths are tested against. Call the functions of this crate rather than
/// these methods: they check shapes.
pub trait KernelBackend: Backend {
    /// By what a device beside the processor is reached; `None` of the processor itself.
    fn device_name(_device: &Self::Device) -> Option<String> {
        None
    }

    /// `x · weight + bias`. Shapes: `[rows, in]`, `[in, out]`, `[out]` → `[rows, out]`.
    fn kernel_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
    ) -> FloatTensor<Self> {
        linear::plain::<Self>(x, weight, bias)
    }

    /// An activation of [`Self::kernel_linear`].
    fn kernel_linear_activated(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        linear::plain_activated::<Self>(x, weight, bias, activation)
    }

    /// `gradient · weightᵀ`. Shapes: `[rows, out]`, `[in, out]` → `[rows, in]`.
    fn kernel_linear_input_gradient(
        gradient: FloatTensor<Self>,
        weight: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        linear::plain_input_gradient::<Self>(gradient, weight)
    }

    /// `xᵀ · gradient`. Shapes: `[rows, in]`, `[rows, out]` → `[in, out]`.
    fn kernel_linear_weight_gradient(
        x: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        linear::plain_weight_gradient::<Self>(x, gradient)
    }

    /// Sums of the columns. Shapes: `[rows, out]` → `[out]`.
    fn kernel_linear_bias_gradient(gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        linear::plain_bias_gradient::<Self>(gradient)
    }

    /// Tokens that are there, then one of each region. Shapes: `[batch, read, dim]` → `[batch, read + regions, dim]`.
    fn kernel_region_tokens(
        leading: FloatTensor<Self>,
        regions: Regions<Self>,
    ) -> FloatTensor<Self> {
        region_tokens::plain::<Self>(leading, regions)
    }

    /// Gradients of [`Self::kernel_region_tokens`] for the weights and biases of the regions.
    fn kernel_region_tokens_gradient(
        regions: Regions<Self>,
        gradient: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 2] {
        region_tokens::plain_gradient::<Self>(regions, gradient)
    }

    /// `x Φ(x)`, any shape.
    fn kernel_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        gelu::plain::<Self>(x)
    }

    /// `x · sigmoid(1.702 x)`, any shape.
    fn kernel_quick_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        gelu::plain_quick::<Self>(x)
    }

    /// `gradient (Φ(x) + x φ(x))`, any shape.
    fn kernel_gelu_gradient(
        x: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        gelu::plain_gradient::<Self>(x, gradient)
    }

    /// Layer normalisation of rows. Shapes: `[rows, dim]`, `[dim]`, `[dim]` → `[rows, dim]`.
    fn kernel_layer_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        layer_norm::plain::<Self>(x, gamma, beta, epsilon)
    }

    /// Gradients of [`Self::kernel_layer_norm`] for `x`, `gamma` and `beta`.
    fn kernel_layer_norm_gradient(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f64,
    ) -> [FloatTensor<Self>; 3] {
        layer_norm::plain_gradient::<Self>(x, gamma, gradient, epsilon)
    }

    /// Convolution. Shapes: `[batch, d, h, w, in]`, `[kd, kh, kw, in, out]` → `[batch, d, h, w, out]`.
    fn kernel_conv3d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self> {
        conv3d::plain::<Self>(x, weight, window)
    }

    /// Gradient of [`Self::kernel_conv3d`] for `x`, whose grid is `input`.
    fn kernel_conv3d_input_gradient(
        gradient: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        input: [usize; 3],
        window: Window,
    ) -> FloatTensor<Self> {
        conv3d::plain_input_gradient::<Self>(gradient, weight, input, window)
    }

    /// Gradient of [`Self::kernel_conv3d`] for `weight`, whose grid is `kernel`.
    fn kernel_conv3d_weight_gradient(
        x: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        kernel: [usize; 3],
        window: Window,
    ) -> FloatTensor<Self> {
        conv3d::plain_weight_gradient::<Self>(x, gradient, kernel, window)
    }

    /// Batch normalisation of columns, + residual, ReLU: the rows, the mean and the biased variance of each column.
    /// Shapes: `[rows, channels]`, `[channels]`, `[channels]`, `[rows, channels]` → the same, `[channels]`, `[channels]`.
    fn kernel_batch_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        residual: Option<FloatTensor<Self>>,
        relu: bool,
        epsilon: f64,
    ) -> [FloatTensor<Self>; 3] {
        batch_norm::plain::<Self>(x, gamma, beta, residual, relu, epsilon)
    }

    /// Gradients of [`Self::kernel_batch_norm`] for `x`, `gamma`, `beta` and the residual; the last means nothing where
    /// there was no residual.
    fn kernel_batch_norm_gradient(
        state: BatchNormState<Self>,
        gradient: FloatTensor<Self>,
        _residual: bool,
    ) -> [FloatTensor<Self>; 4] {
        batch_norm::plain_gradient::<Self>(state, gradient)
    }

    /// `x · scale + shift` of columns, + residual, ReLU. Shapes as [`Self::kernel_batch_norm`].
    fn kernel_batch_affine(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        residual: Option<FloatTensor<Self>>,
        relu: bool,
    ) -> FloatTensor<Self> {
        batch_norm::plain_affine::<Self>(x, scale, shift, residual, relu)
    }

    /// Multi-head attention. Shapes: `[batch, tokens, 3 dim]`, mask `[batch, tokens]` → `[batch, tokens, dim]`.
    fn kernel_attention(
        qkv: FloatTensor<Self>,
        heads: usize,
        key_mask: Option<FloatTensor<Self>>,
        dropout: Option<Dropout>,
    ) -> FloatTensor<Self> {
        Self::kernel_attention_forward(qkv, heads, key_mask, dropout).0
    }

    /// Attention to the token itself and earlier ones. Shapes: `[batch, tokens, 3 dim]` → `[batch, tokens, dim]`.
    fn kernel_causal_attention(qkv: FloatTensor<Self>, heads: usize) -> FloatTensor<Self> {
        attention::plain_causal::<Self>(qkv, heads)
    }

    /// As [`Self::kernel_attention`], with what the gradient needs: the probabilities before dropout,
    /// `[batch, heads, tokens, tokens]`.
    fn kernel_attention_forward(
        qkv: FloatTensor<Self>,
        heads: usize,
        key_mask: Option<FloatTensor<Self>>,
        dropout: Option<Dropout>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        attention::plain::<Self>(qkv, heads, key_mask, dropout)
    }

    /// Gradient of [`Self::kernel_attention`] for `qkv`.
    fn kernel_attention_gradient(
        qkv: FloatTensor<Self>,
        probabilities: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        heads: usize,
        dropout: Option<Dropout>,
    ) -> FloatTensor<Self> {
        attention::plain_gradient::<Self>(qkv, probabilities, gradient, heads, dropout)
    }

    /// The first tokens of attention with its projections. Shapes: `[batch, tokens, dim]` → `[batch, read, dim]`.
    fn kernel_attention_readout(readout: Readout<Self>) -> FloatTensor<Self> {
        attention_readout::plain(readout)
    }

    /// As [`Self::kernel_attention_readout`], with what the gradient of this backend needs.
    fn kernel_attention_readout_forward(
        readout: Readout<Self>,
    ) -> (FloatTensor<Self>, Vec<FloatTensor<Self>>) {
        let (output, kept) = attention_readout::plain_forward(readout);
        (output, kept.into())
    }

    /// Gradients of [`Self::kernel_attention_readout`] for `x`, `weight` and `bias`; `kept` is what the forward pass kept.
    fn kernel_attention_readout_gradient(
        readout: Readout<Self>,
        kept: Vec<FloatTensor<Self>>,
        gradient: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3] {
        attention_readout::plain_gradient(readout, kept, gradient)
    }

    /// Inverted dropout, any shape. Its own gradient: the mask depends on the position alone.
    fn kernel_dropout(x: FloatTensor<Self>, dropout: Dropout) -> FloatTensor<Self> {
        dropout::plain::<Self>(x, dropout)
    }

    /// `dropout(x) + residual`, any shape.
    fn kernel_dropout_add(
        x: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        dropout: Dropout,
    ) -> FloatTensor<Self> {
        dropout::plain_add::<Self>(x, residual, dropout)
    }

    /// One step of Adam or AdamW: `[param, exp_avg, exp_avg_sq]` after it, any shape.
    fn kernel_adam(
        param: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        exp_avg: FloatTensor<Self>,
        exp_avg_sq: FloatTensor<Self>,
        step: &AdamStep,
    ) -> [FloatTensor<Self>; 3] {
        adam::plain::<Self>(param, gradient, exp_avg, exp_avg_sq, step)
    }

    /// `decay · ema + (1 − decay) · param`, any shape.
    fn kernel_ema(
        ema: FloatTensor<Self>,
        param: FloatTensor<Self>,
        decay: f64,
    ) -> FloatTensor<Self> {
        adam::plain_ema::<Self>(ema, param, decay)
    }

    /// Sums of squares, any shapes.
    fn kernel_sums_of_squares(xs: Vec<FloatTensor<Self>>) -> Vec<f64> {
        adam::plain_sums_of_squares::<Self>(xs)
    }
}

/// A backend to train on: it differentiates, and the backend underneath has the kernels too.
pub trait TrainBackend: KernelBackend + AutodiffBackend<InnerBackend: KernelBackend> {}

impl<B> TrainBackend for B where B: KernelBackend + AutodiffBackend<InnerBackend: KernelBackend> {}

/// The tensor around a primitive.
pub(crate) fn wrap<B: Backend, const D: usize>(primitive: FloatTensor<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

/// The primitive inside a tensor.
pub(crate) fn unwrap<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> FloatTensor<B> {
    tensor.into_primitive().tensor()
}
