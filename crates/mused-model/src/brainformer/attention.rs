//! The two attention modules: a "shallow" one of two MLPs, and a "deep" one with subject tokens.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use mused_kernels::{BatchNormTail, KernelBackend, attention, gelu};
use rand::Rng;

use super::layers::{BatchNorm, Linear, Mode, Volume};
use super::state::StateVisitor;

/// y = x + bn(mlp over channels); y + bn(mlp over positions).
#[derive(Module, Debug)]
pub(crate) struct ShallowAttention<B: Backend> {
    channels_in: Linear<B>,
    channels_out: Linear<B>,
    norm1: BatchNorm<B>,
    positions_in: Linear<B>,
    positions_out: Linear<B>,
    norm2: BatchNorm<B>,
}

impl<B: KernelBackend> ShallowAttention<B> {
    pub(crate) fn init(
        channels: usize,
        positions: usize,
        rng: &mut impl Rng,
        device: &B::Device,
    ) -> Self {
        let half = (channels / 2, positions / 2);
        Self {
            channels_in: Linear::init([channels, half.0], rng, device).pointwise(),
            channels_out: Linear::init([half.0, channels], rng, device).pointwise(),
            norm1: BatchNorm::init(channels, 1.0, device),
            positions_in: Linear::init([positions, half.1], rng, device),
            positions_out: Linear::init([half.1, positions], rng, device),
            norm2: BatchNorm::init(channels, 1.0, device),
        }
    }

    /// # Shapes
    /// [batch, d, h, w, channels], with as many positions as the module was made for → the same
    pub(crate) fn forward(&mut self, x: &Volume<B>, mode: Mode) -> Volume<B> {
        let [batch, d, h, w, channels] = x.values.dims();
        let positions = d * h * w;
        let rows = x.rows();
        let mixed = gelu(self.channels_in.forward(rows.clone()));
        let mixed = self.channels_out.forward(mixed);
        let added = |residual| BatchNormTail {
            residual: Some(residual),
            relu: false,
        };
        let y = self.norm1.forward(mixed, added(rows), mode);
        let swapped = y.clone().reshape([batch, positions, channels]);
        let swapped = swapped.swap_dims(1, 2);
        let mixed = gelu(
            self.positions_in
                .forward(swapped.reshape([batch * channels, positions])),
        );
        let mixed = self.positions_out.forward(mixed);
        let mixed = mixed.reshape([batch, channels, positions]).swap_dims(1, 2);
        let mixed = mixed.reshape([batch * positions, channels]);
        x.with_rows(self.norm2.forward(mixed, added(y), mode))
    }

    pub(crate) fn visit_state(&mut self, name: &str, visitor: &mut impl StateVisitor<B>) {
        let under = |part: &str| format!("{name}.{part}");
        self.channels_in.visit_state(&under("mlp1.0"), visitor);
        self.channels_out.visit_state(&under("mlp1.2"), visitor);
        self.norm1.visit_state(&under("norm1"), visitor);
        self.positions_in.visit_state(&under("mlp2.0"), visitor);
        self.positions_out.visit_state(&under("mlp2.2"), visitor);
        self.norm2.visit_state(&under("norm2"), visitor);
    }
}

/// What passes a deep attention module: patches and the two tokens of each sample's subject.
#[derive(Clone, Debug)]
pub(crate) struct Tokens<B: Backend> {
    pub(crate) patches: Volume<B>,
    /// [batch, channels]
    pub(crate) high: Tensor<B, 2>,
    /// [batch, channels]
    pub(crate) low: Tensor<B, 2>,
}

/// Sizes of a deep attention module.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeepAttentionSizes {
    pub(crate) channels: usize,
    pub(crate) heads: usize,
    pub(crate) head_dim: usize,
    pub(crate) hidden: usize,
}

/// bn(mlp(bn(attention([high; low; patches])))), without a residual.
#[derive(Module, Debug)]
pub(crate) struct DeepAttention<B: Backend> {
    to_qkv: Linear<B>,
    to_out: Linear<B>,
    norm1: BatchNorm<B>,
    mlp_in: Linear<B>,
    mlp_out: Linear<B>,
    norm2: BatchNorm<B>,
    heads: usize,
}

impl<B: KernelBackend> DeepAttention<B> {
    pub(crate) fn init(sizes: DeepAttentionSizes, rng: &mut impl Rng, device: &B::Device) -> Self {
        let DeepAttentionSizes {
            channels,
            heads,
            head_dim,
            hidden,
        } = sizes;
        let inner = heads * head_dim;
        Self {
            to_qkv: Linear::init([channels, 3 * inner], rng, device).without_bias(),
            to_out: Linear::init([inner, channels], rng, device),
            norm1: BatchNorm::init(channels, 1.0, device),
            mlp_in: Linear::init([channels, hidden], rng, device),
            mlp_out: Linear::init([hidden, channels], rng, device),
            // The model adds the patches: for them, the module starts as the identity.
            norm2: BatchNorm::init(channels, 0.0, device),
            heads,
        }
    }

    pub(crate) fn forward(&mut self, x: &Tokens<B>, mode: Mode) -> Tokens<B> {
        let [batch, d, h, w, channels] = x.patches.values.dims();
        let positions = d * h * w;
        let token = |token: &Tensor<B, 2>| token.clone().unsqueeze_dim::<3>(1);
        let patches = x
            .patches
            .values
            .clone()
            .reshape([batch, positions, channels]);
        let all = Tensor::cat(vec![token(&x.high), token(&x.low), patches], 1);
        let rows = batch * (positions + 2);
        let qkv = self.to_qkv.forward(all.reshape([rows, channels]));
        let width = qkv.dims()[1];
        let qkv = qkv.reshape([batch, positions + 2, width]);
        let attended = attention(qkv, self.heads, None, None).reshape([rows, width / 3]);
        let out = self.to_out.forward(attended);
        let out = self.norm1.forward(out, BatchNormTail::none(), mode);
        let out = self.mlp_out.forward(gelu(self.mlp_in.forward(out)));
        let out = self.norm2.forward(out, BatchNormTail::none(), mode);
        let out = out.reshape([batch, positions + 2, channels]);
        let token = |index| out.clone().narrow(1, index, 1).squeeze_dim::<2>(1);
        let (high, low) = (token(0), token(1));
        let patches = out.narrow(1, 2, positions);
        let patches = patches.reshape([batch, d, h, w, channels]);
        Tokens {
            patches: Volume { values: patches },
            high,
            low,
        }
    }

    pub(crate) fn visit_state(&mut self, name: &str, visitor: &mut impl StateVisitor<B>) {
        let under = |part: &str| format!("{name}.{part}");
        self.to_qkv.visit_state(&under("attention.to_qkv"), visitor);
        self.to_out
            .visit_state(&under("attention.to_out.0"), visitor);
        self.norm1.visit_state(&under("norm1"), visitor);
        self.mlp_in
            .visit_state(&under("FeedForward.net.0"), visitor);
        self.mlp_out
            .visit_state(&under("FeedForward.net.3"), visitor);
        self.norm2.visit_state(&under("norm2"), visitor);
    }
}
