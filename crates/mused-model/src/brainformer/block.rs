//! Residual blocks (He et al. 2016, figure 2) of three-dimensional convolutions.

use burn::module::Module;
use burn::tensor::backend::Backend;
use mused_kernels::{BatchNormTail, KernelBackend};
use rand::Rng;

use super::layers::{BatchNorm, Convolution, Mode, Volume};
use super::state::StateVisitor;

/// relu(x + bn(conv(relu(bn(conv(x)))))), with a projected x where grid or width change.
#[derive(Module, Debug)]
pub(crate) struct BasicBlock<B: Backend> {
    conv1: Convolution<B>,
    bn1: BatchNorm<B>,
    conv2: Convolution<B>,
    bn2: BatchNorm<B>,
    shortcut: Option<Shortcut<B>>,
}

#[derive(Module, Debug)]
struct Shortcut<B: Backend> {
    conv: Convolution<B>,
    bn: BatchNorm<B>,
}

impl<B: KernelBackend> BasicBlock<B> {
    pub(crate) fn init(
        [inputs, outputs]: [usize; 2],
        stride: usize,
        rng: &mut impl Rng,
        device: &B::Device,
    ) -> Self {
        let shortcut = (stride != 1 || inputs != outputs).then(|| Shortcut {
            conv: Convolution::init([inputs, outputs], 1, stride, rng, device),
            bn: BatchNorm::init(outputs, 1.0, device),
        });
        Self {
            conv1: Convolution::init([inputs, outputs], 3, stride, rng, device),
            bn1: BatchNorm::init(outputs, 1.0, device),
            conv2: Convolution::init([outputs, outputs], 3, 1, rng, device),
            // A block starts as its shortcut.
            bn2: BatchNorm::init(outputs, 0.0, device),
            shortcut,
        }
    }

    /// # Shapes
    /// [batch, d, h, w, in] → [batch, ⌈d / stride⌉, …, out]
    pub(crate) fn forward(&mut self, x: &Volume<B>, mode: Mode) -> Volume<B> {
        let residual = match &mut self.shortcut {
            None => x.rows(),
            Some(Shortcut { conv, bn }) => {
                bn.forward(conv.forward(x).rows(), BatchNormTail::none(), mode)
            }
        };
        let hidden = self.conv1.forward(x);
        let rows = self.bn1.forward(hidden.rows(), BatchNormTail::relu(), mode);
        let hidden = self.conv2.forward(&hidden.with_rows(rows));
        let tail = BatchNormTail {
            residual: Some(residual),
            relu: true,
        };
        let rows = self.bn2.forward(hidden.rows(), tail, mode);
        hidden.with_rows(rows)
    }

    pub(crate) fn visit_state(&mut self, name: &str, visitor: &mut impl StateVisitor<B>) {
        self.conv1.visit_state(&format!("{name}.conv1"), visitor);
        self.bn1.visit_state(&format!("{name}.bn1"), visitor);
        self.conv2.visit_state(&format!("{name}.conv2"), visitor);
        self.bn2.visit_state(&format!("{name}.bn2"), visitor);
        if let Some(Shortcut { conv, bn }) = &mut self.shortcut {
            conv.visit_state(&format!("{name}.downsample.0"), visitor);
            bn.visit_state(&format!("{name}.downsample.1"), visitor);
        }
    }
}
