use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Shape, Tensor, TensorMetadata};

use pulp::Simd;

use crate::backend::{KernelBackend, unwrap, wrap};
use crate::simd::{self, Lanes};

/// The numbers of one step of Adam (Kingma & Ba 2015, algorithm 1) or AdamW (Loshchilov & Hutter 2019, algorithm 2),
/// with the meaning and defaults of PyTorch's `torch.optim.Adam` and `AdamW`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamStep {
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// Decay of the mean of the gradients.
    pub beta1: f64,
    /// Decay of the mean of their squares.
    pub beta2: f64,
    /// Added to the root of the second mean, after its bias correction.
    pub epsilon: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// True: the decay shrinks the parameter (AdamW). False: it is added to the gradient (Adam with L2).
    pub decoupled: bool,
    /// Number of this step, from 1.
    pub step: u64,
    /// Multiplies the gradient before anything else: 1, or the factor of gradient clipping.
    pub gradient_scale: f64,
}

impl AdamStep {
    /// Adam with PyTorch's defaults.
    pub fn adam(learning_rate: f64, step: u64) -> Self {
        Self {
            learning_rate,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
            decoupled: false,
            step,
            gradient_scale: 1.0,
        }
    }

    /// AdamW with PyTorch's defaults but for the weight decay (0.01 there).
    pub fn adamw(learning_rate: f64, weight_decay: f64, step: u64) -> Self {
        Self {
            weight_decay,
            decoupled: true,
            ..Self::adam(learning_rate, step)
        }
    }

    /// The learning rate over the bias correction of the first mean.
    pub(crate) fn step_size(&self) -> f64 {
        self.learning_rate / (1.0 - self.beta1.powf(self.step as f64))
    }

    /// The root of the bias correction of the second mean.
    pub(crate) fn second_correction(&self) -> f64 {
        (1.0 - self.beta2.powf(self.step as f64)).sqrt()
    }
}

/// One optimiser step: the parameter, the mean of the gradients and the mean of their squares after it.
///
/// Runs on a backend without autodiff. Buffers nobody else holds are updated in place. The means start at zero.
///
/// # Shapes
/// All the same.
///
/// # Panics
/// When the shapes differ, or `step.step` is 0.
pub fn adam_update<B: KernelBackend, const D: usize>(
    param: Tensor<B, D>,
    grad: Tensor<B, D>,
    exp_avg: Tensor<B, D>,
    exp_avg_sq: Tensor<B, D>,
    step: &AdamStep,
) -> (Tensor<B, D>, Tensor<B, D>, Tensor<B, D>) {
    assert!(step.step > 0, "adam_update: steps count from 1");
    for other in [&grad, &exp_avg, &exp_avg_sq] {
        assert_eq!(param.dims(), other.dims(), "adam_update: shapes");
    }
    let [param, exp_avg, exp_avg_sq] = B::kernel_adam(
        unwrap(param),
        unwrap(grad),
        unwrap(exp_avg),
        unwrap(exp_avg_sq),
        step,
    );
    (wrap(param), wrap(exp_avg), wrap(exp_avg_sq))
}

/// Exponential moving average of parameters: `decay · ema + (1 − decay) · param`.
///
/// # Shapes
/// Both the same.
///
/// # Panics
/// When the shapes differ.
pub fn ema_update<B: KernelBackend, const D: usize>(
    ema: Tensor<B, D>,
    param: Tensor<B, D>,
    decay: f64,
) -> Tensor<B, D> {
    assert_eq!(ema.dims(), param.dims(), "ema_update: shapes");
    wrap(B::kernel_ema(unwrap(ema), unwrap(param), decay))
}

/// Sum of the squares of all elements of each tensor, for the norm in gradient clipping. Waits for the device, once.
///
/// # Shapes
/// Any.
pub fn sums_of_squares<B: KernelBackend, const D: usize>(
    xs: impl IntoIterator<Item = Tensor<B, D>>,
) -> Vec<f64> {
    B::kernel_sums_of_squares(xs.into_iter().map(unwrap).collect())
}

fn flat<B: Backend>(x: FloatTensor<B>) -> Tensor<B, 1> {
    let len = x.shape().num_elements();
    wrap(B::float_reshape(x, [len].into()))
}

fn shaped<B: Backend>(x: Tensor<B, 1>, shape: &Shape) -> FloatTensor<B> {
    B::float_reshape(unwrap(x), shape.clone())
}

pub(crate) fn plain<B: Backend>(
    param: FloatTensor<B>,
    gradient: FloatTensor<B>,
    exp_avg: FloatTensor<B>,
    exp_avg_sq: FloatTensor<B>,
    step: &AdamStep,
) -> [FloatTensor<B>; 3] {
    let shape = param.shape();
    let mut param = flat::<B>(param);
    let mut gradient = flat::<B>(gradient) * step.gradient_scale;
    let (exp_avg, exp_avg_sq) = (flat::<B>(exp_avg), flat::<B>(exp_avg_sq));
    if step.decoupled {
        param = param * (1.0 - step.learning_rate * step.weight_decay);
    } else if step.weight_decay != 0.0 {
        gradient = gradient + param.clone() * step.weight_decay;
    }
    let exp_avg = exp_avg.clone() + (gradient.clone() - exp_avg) * (1.0 - step.beta1);
    let exp_avg_sq = exp_avg_sq * step.beta2 + gradient.clone() * gradient * (1.0 - step.beta2);
    let root = exp_avg_sq.clone().sqrt() / step.second_correction() + step.epsilon;
    param = param - exp_avg.clone() / root * step.step_size();
    [param, exp_avg, exp_avg_sq].map(|x| shaped(x, &shape))
}

pub(crate) fn plain_ema<B: Backend>(
    ema: FloatTensor<B>,
    param: FloatTensor<B>,
    decay: f64,
) -> FloatTensor<B> {
    let shape = ema.shape();
    let ema = flat::<B>(ema) * decay + flat::<B>(param) * (1.0 - decay);
    shaped(ema, &shape)
}

pub(crate) fn plain_sums_of_squares<B: Backend>(xs: Vec<FloatTensor<B>>) -> Vec<f64> {
    let sum = |x| {
        let x = flat::<B>(x);
        (x.clone() * x).sum()
    };
    let sums: Vec<Tensor<B, 1>> = xs.into_iter().map(sum).collect();
    match sums.is_empty() {
        true => Vec::new(),
        false => Tensor::cat(sums, 0).into_data().iter().collect(),
    }
}

struct Adam {
    shrink: f32,
    decay_into_gradient: f32,
    gradient_scale: f32,
    new_mean: f32,
    beta2: f32,
    new_square: f32,
    second_correction: f32,
    epsilon: f32,
    step_size: f32,
}

impl Lanes<1, 3> for Adam {
    #[inline(always)]
    fn lanes<S: Simd>(
        &self,
        simd: S,
        _index: usize,
        [gradient]: [S::f32s; 1],
        [param, mean, square]: [S::f32s; 3],
    ) -> [S::f32s; 3] {
        let splat = |value| simd.splat_f32s(value);
        let gradient = simd.mul_f32s(gradient, splat(self.gradient_scale));
        let gradient = simd.mul_add_f32s(param, splat(self.decay_into_gradient), gradient);
        let param = simd.mul_f32s(param, splat(self.shrink));
        let mean = simd.mul_add_f32s(simd.sub_f32s(gradient, mean), splat(self.new_mean), mean);
        let fresh = simd.mul_f32s(simd.mul_f32s(gradient, gradient), splat(self.new_square));
        let square = simd.mul_add_f32s(square, splat(self.beta2), fresh);
        let root = simd.div_f32s(simd.sqrt_f32s(square), splat(self.second_correction));
        let root = simd.add_f32s(root, splat(self.epsilon));
        let change = simd.div_f32s(mean, root);
        let param = simd.mul_add_f32s(change, splat(-self.step_size), param);
        [param, mean, square]
    }
}

/// Updates parameter, mean and square in place.
pub(crate) fn fast(step: &AdamStep, gradient: &[f32], state: [&mut [f32]; 3]) {
    let decay = step.weight_decay;
    let op = Adam {
        shrink: if step.decoupled {
            1.0 - step.learning_rate * decay
        } else {
            1.0
        } as f32,
        decay_into_gradient: if step.decoupled { 0.0 } else { decay } as f32,
        gradient_scale: step.gradient_scale as f32,
        new_mean: (1.0 - step.beta1) as f32,
        beta2: step.beta2 as f32,
        new_square: (1.0 - step.beta2) as f32,
        second_correction: step.second_correction() as f32,
        epsilon: step.epsilon as f32,
        step_size: step.step_size() as f32,
    };
    simd::for_each(&op, [gradient], state);
}

struct Ema {
    decay: f32,
    fresh: f32,
}

impl Lanes<1, 1> for Ema {
    #[inline(always)]
    fn lanes<S: Simd>(
        &self,
        simd: S,
        _index: usize,
        [param]: [S::f32s; 1],
        [ema]: [S::f32s; 1],
    ) -> [S::f32s; 1] {
        let fresh = simd.mul_f32s(param, simd.splat_f32s(self.fresh));
        [simd.mul_add_f32s(ema, simd.splat_f32s(self.decay), fresh)]
    }
}

/// Updates the average in place.
pub(crate) fn fast_ema(decay: f64, param: &[f32], ema: &mut [f32]) {
    let op = Ema {
        decay: decay as f32,
        fresh: (1.0 - decay) as f32,
    };
    simd::for_each(&op, [param], [ema]);
}

/// Eight interleaved sums in f64: vectorisable, and in an order that never changes.
pub(crate) fn fast_sum_of_squares(x: &[f32]) -> f64 {
    simd::arch().dispatch(|| {
        let mut sums = [0.0_f64; 8];
        let (body, tail) = x.as_chunks::<8>();
        for chunk in body {
            for (sum, value) in sums.iter_mut().zip(chunk) {
                *sum += f64::from(*value) * f64::from(*value);
            }
        }
        for (sum, value) in sums.iter_mut().zip(tail) {
            *sum += f64::from(*value) * f64::from(*value);
        }
        sums.iter().sum()
    })
}
