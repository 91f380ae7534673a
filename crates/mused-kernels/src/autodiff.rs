//! The one implementation for every differentiating backend: each operation becomes a single node of the graph.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::tensor::ops::FloatTensor;

use crate::attention_readout::{self, Readout};
use crate::backend::KernelBackend;
use crate::conv3d::{self, Window};
use crate::dropout::{self, Dropout};
use crate::region_tokens::{self, Regions};
use crate::{attention, batch_norm, gelu, layer_norm, linear};

// The gradient methods keep their plain bodies: they run only where someone differentiates a gradient.
impl<B: KernelBackend, C: CheckpointStrategy> KernelBackend for Autodiff<B, C> {
    fn device_name(device: &Self::Device) -> Option<String> {
        B::device_name(device)
    }

    fn kernel_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
    ) -> FloatTensor<Self> {
        linear::tracked::<B, C>(x, weight, bias)
    }

    fn kernel_region_tokens(
        leading: FloatTensor<Self>,
        regions: Regions<Self>,
    ) -> FloatTensor<Self> {
        region_tokens::tracked::<B, C>(leading, regions)
    }

    fn kernel_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        gelu::tracked::<B, C>(x)
    }

    fn kernel_layer_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        layer_norm::tracked::<B, C>(x, gamma, beta, epsilon)
    }

    fn kernel_conv3d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self> {
        conv3d::tracked::<B, C>(x, weight, window)
    }

    fn kernel_batch_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        residual: Option<FloatTensor<Self>>,
        relu: bool,
        epsilon: f64,
    ) -> [FloatTensor<Self>; 3] {
        batch_norm::tracked::<B, C>(x, gamma, beta, residual, relu, epsilon)
    }

    fn kernel_attention(
        qkv: FloatTensor<Self>,
        heads: usize,
        key_mask: Option<FloatTensor<Self>>,
        dropout: Option<Dropout>,
    ) -> FloatTensor<Self> {
        attention::tracked::<B, C>(qkv, heads, key_mask, dropout)
    }

    fn kernel_attention_readout(readout: Readout<Self>) -> FloatTensor<Self> {
        attention_readout::tracked::<B, C>(readout)
    }

    fn kernel_dropout(x: FloatTensor<Self>, dropout: Dropout) -> FloatTensor<Self> {
        dropout::tracked::<B, C>(x, dropout)
    }

    fn kernel_dropout_add(
        x: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        dropout: Dropout,
    ) -> FloatTensor<Self> {
        dropout::tracked_add::<B, C>(x, residual, dropout)
    }
}
