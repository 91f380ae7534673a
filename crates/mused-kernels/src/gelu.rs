use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorMetadata};

use pulp::Simd;

use crate::backend::{KernelBackend, unwrap, wrap};
use crate::simd::{self, InPlace, Lanes};

/// The Gaussian error linear unit `x Φ(x)`, exact rather than its tanh approximation (Hendrycks & Gimpel 2016, §2).
///
/// # Shapes
/// Any; the output has the shape of `x`.
pub fn gelu<B: KernelBackend, const D: usize>(x: Tensor<B, D>) -> Tensor<B, D> {
    wrap(B::kernel_gelu(unwrap(x)))
}

/// `x · sigmoid(1.702 x)`, the approximation of [`gelu`] that OpenAI's CLIP was trained with
/// (Hendrycks & Gimpel 2016, §2).
///
/// # Shapes
/// Any; the output has the shape of `x`.
pub fn quick_gelu<B: KernelBackend, const D: usize>(x: Tensor<B, D>) -> Tensor<B, D> {
    wrap(B::kernel_quick_gelu(unwrap(x)))
}

/// What follows a Linear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// [`gelu`]
    Gelu,
    /// [`quick_gelu`]
    QuickGelu,
}

/// The slope inside [`quick_gelu`]'s sigmoid.
const QUICK: f32 = 1.702;

pub(crate) fn plain_quick<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let shape = x.shape();
    let x = wrap::<B, 1>(B::float_reshape(x, [shape.num_elements()].into()));
    let y = x.clone() * burn::tensor::activation::sigmoid(x * QUICK);
    B::float_reshape(unwrap(y), shape)
}

pub(crate) fn plain<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let shape = x.shape();
    let x = wrap::<B, 1>(B::float_reshape(x, [shape.num_elements()].into()));
    let y = x.clone() * normal_cdf(x);
    B::float_reshape(unwrap(y), shape)
}

pub(crate) fn plain_gradient<B: Backend>(
    x: FloatTensor<B>,
    gradient: FloatTensor<B>,
) -> FloatTensor<B> {
    let shape = x.shape();
    let flat = || [shape.num_elements()].into();
    let x = wrap::<B, 1>(B::float_reshape(x, flat()));
    let gradient = wrap::<B, 1>(B::float_reshape(gradient, flat()));
    let density = (x.clone() * x.clone() * -0.5).exp()
        * (0.5 * std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2);
    let slope = normal_cdf(x.clone()) + x * density;
    B::float_reshape(unwrap(gradient * slope), shape)
}

fn normal_cdf<B: Backend>(x: Tensor<B, 1>) -> Tensor<B, 1> {
    ((x * std::f64::consts::FRAC_1_SQRT_2).erf() + 1.0) * 0.5
}

#[derive(Debug)]
struct Gelu;

impl<B: KernelBackend> Backward<B, 1> for Gelu {
    type State = FloatTensor<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = grads.consume::<B>(&ops.node);
        let [node] = ops.parents;
        if let Some(node) = node {
            let value = B::kernel_gelu_gradient(ops.state, gradient);
            grads.register::<B>(node.id, value);
        }
    }
}

pub(crate) fn tracked<B: KernelBackend, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<B, C>>,
) -> FloatTensor<Autodiff<B, C>> {
    match Gelu.prepare::<C>([x.node]).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(x.primitive.clone(), B::kernel_gelu(x.primitive)),
        OpsKind::UnTracked(prep) => prep.finish(B::kernel_gelu(x.primitive)),
    }
}

/// `Φ(x)` and `φ(x)`, both to a few 1e-7 relative, in the tails too.
///
/// `Φ(−|x|) = e^(−x²/2) · P(t)` with `t = 1 / (1 + 0.35 |x|)`: the form of Abramowitz & Stegun 7.1.26, whose polynomial
/// was fitted anew (degree 9, relative error, |x| ≤ 14.5; beyond, `Φ` is below the smallest float).
#[inline(always)]
fn normal<S: Simd>(simd: S, x: S::f32s) -> (S::f32s, S::f32s) {
    let splat = |value| simd.splat_f32s(value);
    let size = simd.min_f32s(simd.abs_f32s(x), splat(14.5));
    // The square's rounding error would be multiplied by x² / 2 in the exponential: carry it along.
    let square = simd.mul_f32s(size, size);
    let rest = simd.mul_add_f32s(size, size, simd.neg_f32s(square));
    let e = simd::exp(simd, simd.mul_f32s(square, splat(-0.5)));
    let e = simd.mul_add_f32s(e, simd.mul_f32s(rest, splat(-0.5)), e);
    let t = simd.div_f32s(splat(1.0), simd.mul_add_f32s(size, splat(0.35), splat(1.0)));
    let p = simd::polynomial(
        simd,
        t,
        [
            0.139_621_32,
            0.139_863_43,
            0.119_821_97,
            0.105_549_59,
            -0.023_204_874,
            0.159_307_88,
            -0.255_827_76,
            0.144_025,
            -0.029_156_566,
        ],
    );
    let tail = simd.mul_f32s(simd.mul_f32s(p, t), e);
    let upper = simd.sub_f32s(splat(1.0), tail);
    let negative = simd.less_than_f32s(x, splat(0.0));
    (
        simd.select_f32s(negative, tail, upper),
        simd.mul_f32s(e, splat(0.398_942_3)),
    )
}

struct Forward;

impl Lanes<1, 1> for Forward {
    #[inline(always)]
    fn lanes<S: Simd>(
        &self,
        simd: S,
        _index: usize,
        [x]: [S::f32s; 1],
        _: [S::f32s; 1],
    ) -> [S::f32s; 1] {
        [simd.mul_f32s(x, normal(simd, x).0)]
    }
}

struct Quick;

impl Lanes<1, 1> for Quick {
    #[inline(always)]
    fn lanes<S: Simd>(
        &self,
        simd: S,
        _index: usize,
        [x]: [S::f32s; 1],
        _: [S::f32s; 1],
    ) -> [S::f32s; 1] {
        let e = simd::exp(simd, simd.mul_f32s(x, simd.splat_f32s(-QUICK)));
        [simd.div_f32s(x, simd.add_f32s(e, simd.splat_f32s(1.0)))]
    }
}

pub(crate) fn fast_quick(x: &[f32]) -> Vec<f32> {
    simd::map(&Quick, x)
}

pub(crate) fn in_place(activation: Activation, x: &mut [f32]) {
    match activation {
        Activation::Gelu => simd::for_each(&InPlace(Forward), [], [x]),
        Activation::QuickGelu => simd::for_each(&InPlace(Quick), [], [x]),
    }
}

struct Gradient;

impl Lanes<1, 1> for Gradient {
    #[inline(always)]
    fn lanes<S: Simd>(
        &self,
        simd: S,
        _index: usize,
        [x]: [S::f32s; 1],
        [gradient]: [S::f32s; 1],
    ) -> [S::f32s; 1] {
        let (cdf, density) = normal(simd, x);
        [simd.mul_f32s(gradient, simd.mul_add_f32s(x, density, cdf))]
    }
}

pub(crate) fn fast(x: &[f32]) -> Vec<f32> {
    simd::map(&Forward, x)
}

/// Multiplies the gradient in place.
pub(crate) fn fast_gradient(x: &[f32], gradient: &mut [f32]) {
    simd::for_each(&Gradient, [x], [gradient]);
}
