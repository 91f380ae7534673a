//! What every part of a BrainFormer is made of.

use burn::module::{Module, Param, ParamId};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use mused_kernels::{
    BatchNormTail, KernelBackend, Window, batch_norm, batch_norm_with, conv3d, linear,
};
use rand::Rng;

use super::state::{Layout, StateVisitor};
use crate::initial;

/// PyTorch's defaults.
const EPSILON: f64 = 1e-5;
const MOMENTUM: f64 = 0.1;

/// Whether batch normalisation uses the statistics of its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Those of the batch, which also move the running ones.
    Train,
    /// The running ones.
    Evaluate,
}

/// A volume's grid and its rows: positions of a batch, channels last.
#[derive(Clone, Debug)]
pub(crate) struct Volume<B: Backend> {
    /// [batch, depth, height, width, channels]
    pub(crate) values: Tensor<B, 5>,
}

impl<B: Backend> Volume<B> {
    /// [batch, depth, height, width, channels] → [batch · positions, channels]
    pub(crate) fn rows(&self) -> Tensor<B, 2> {
        let [batch, d, h, w, channels] = self.values.dims();
        self.values.clone().reshape([batch * d * h * w, channels])
    }

    /// The same grid with other rows: [batch · positions, channels].
    pub(crate) fn with_rows(&self, rows: Tensor<B, 2>) -> Self {
        let [batch, d, h, w, _] = self.values.dims();
        let channels = rows.dims()[1];
        Self {
            values: rows.reshape([batch, d, h, w, channels]),
        }
    }
}

/// A convolution without bias; weight [depth, height, width, in, out].
#[derive(Module, Debug)]
pub(crate) struct Convolution<B: Backend> {
    weight: Param<Tensor<B, 5>>,
    stride: usize,
}

impl<B: KernelBackend> Convolution<B> {
    /// Kaiming-normal, fan-out (He et al. 2015, eq. 14).
    pub(crate) fn init(
        [inputs, outputs]: [usize; 2],
        size: usize,
        stride: usize,
        rng: &mut impl Rng,
        device: &B::Device,
    ) -> Self {
        let fan_out = (outputs * size.pow(3)).max(1);
        let sd = (2.0 / fan_out as f32).sqrt();
        Self {
            weight: initial::normal([size, size, size, inputs, outputs], sd, rng, device),
            stride,
        }
    }

    /// Padding keeps the grid but for the stride.
    pub(crate) fn forward(&self, x: &Volume<B>) -> Volume<B> {
        let [size, ..] = self.weight.dims();
        let window = Window::cubic(self.stride, size / 2);
        Volume {
            values: conv3d(x.values.clone(), self.weight.val(), window),
        }
    }

    pub(crate) fn visit_state(&mut self, name: &str, visitor: &mut impl StateVisitor<B>) {
        visitor.tensor(
            &format!("{name}.weight"),
            Layout::Convolution,
            &mut self.weight,
        );
    }
}

/// Batch normalisation of the last axis.
#[derive(Module, Debug)]
pub(crate) struct BatchNorm<B: Backend> {
    weight: Param<Tensor<B, 1>>,
    bias: Param<Tensor<B, 1>>,
    running_mean: Param<Tensor<B, 1>>,
    running_var: Param<Tensor<B, 1>>,
}

/// Values of a module that no optimiser touches.
fn untrained<B: Backend>(value: Tensor<B, 1>) -> Param<Tensor<B, 1>> {
    Param::initialized(ParamId::new(), value.detach())
}

impl<B: KernelBackend> BatchNorm<B> {
    /// Bias starts at 0.
    pub(crate) fn init(channels: usize, weight: f32, device: &B::Device) -> Self {
        Self {
            weight: initial::constant([channels], weight, device),
            bias: initial::constant([channels], 0.0, device),
            running_mean: untrained(Tensor::zeros([channels], device)),
            running_var: untrained(Tensor::ones([channels], device)),
        }
    }

    /// # Shapes
    /// [rows, channels] → [rows, channels]
    pub(crate) fn forward(
        &mut self,
        x: Tensor<B, 2>,
        tail: BatchNormTail<B>,
        mode: Mode,
    ) -> Tensor<B, 2> {
        let affine = [self.weight.val(), self.bias.val()];
        if mode == Mode::Evaluate {
            let statistics = [self.running_mean.val(), self.running_var.val()];
            return batch_norm_with(x, affine, statistics, tail, EPSILON);
        }
        let count = x.dims()[0] as f64;
        let [weight, bias] = affine;
        let output = batch_norm(x, weight, bias, tail, EPSILON);
        // PyTorch keeps the unbiased variance; of a single row there is none.
        let unbiased = output.variance * (count / (count - 1.0).max(1.0));
        for (running, new) in [
            (&mut self.running_mean, output.mean),
            (&mut self.running_var, unbiased),
        ] {
            let moved = running.val() * (1.0 - MOMENTUM) + new * MOMENTUM;
            *running = Param::initialized(running.id, moved.detach());
        }
        output.rows
    }

    pub(crate) fn visit_state(&mut self, name: &str, visitor: &mut impl StateVisitor<B>) {
        for (part, value) in [
            ("weight", &mut self.weight),
            ("bias", &mut self.bias),
            ("running_mean", &mut self.running_mean),
            ("running_var", &mut self.running_var),
        ] {
            visitor.tensor(&format!("{name}.{part}"), Layout::AsIs, value);
        }
    }
}

/// A Linear, weight [in, out].
#[derive(Module, Debug)]
pub(crate) struct Linear<B: Backend> {
    weight: Param<Tensor<B, 2>>,
    bias: Option<Param<Tensor<B, 1>>>,
    /// PyTorch holds it as a convolution of size 1 along one axis.
    pointwise: bool,
}

impl<B: KernelBackend> Linear<B> {
    /// PyTorch's default start.
    pub(crate) fn init(
        [inputs, outputs]: [usize; 2],
        rng: &mut impl Rng,
        device: &B::Device,
    ) -> Self {
        Self {
            weight: initial::uniform([inputs, outputs], inputs, rng, device),
            bias: Some(initial::uniform([outputs], inputs, rng, device)),
            pointwise: false,
        }
    }

    pub(crate) fn without_bias(self) -> Self {
        Self { bias: None, ..self }
    }

    pub(crate) fn pointwise(self) -> Self {
        Self {
            pointwise: true,
            ..self
        }
    }

    /// # Shapes
    /// [rows, in] → [rows, out]
    pub(crate) fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        linear(x, self.weight.val(), self.bias.as_ref().map(Param::val))
    }

    pub(crate) fn visit_state(&mut self, name: &str, visitor: &mut impl StateVisitor<B>) {
        let layout = if self.pointwise {
            Layout::Pointwise
        } else {
            Layout::Transposed
        };
        visitor.tensor(&format!("{name}.weight"), layout, &mut self.weight);
        if let Some(bias) = &mut self.bias {
            visitor.tensor(&format!("{name}.bias"), Layout::AsIs, bias);
        }
    }
}
