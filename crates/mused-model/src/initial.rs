use burn::module::Param;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};

/// Uniform in ±1/√`fan_in`, PyTorch's default for a Linear's weight and bias.
pub(crate) fn uniform<B: Backend, const D: usize>(
    shape: [usize; D],
    fan_in: usize,
    rng: &mut impl Rng,
    device: &B::Device,
) -> Param<Tensor<B, D>> {
    uniform_within(shape, bound(fan_in), rng, device)
}

/// Of PyTorch's default for a Linear.
pub(crate) fn bound(fan_in: usize) -> f32 {
    1.0 / (fan_in.max(1) as f32).sqrt()
}

/// Uniform in ±`bound`.
pub(crate) fn uniform_within<B: Backend, const D: usize>(
    shape: [usize; D],
    bound: f32,
    rng: &mut impl Rng,
    device: &B::Device,
) -> Param<Tensor<B, D>> {
    filled(shape, || within(bound, rng), device)
}

/// A value uniform in ±`bound`.
pub(crate) fn within(bound: f32, rng: &mut impl Rng) -> f32 {
    rng.random_range(-bound..=bound)
}

/// Normal with mean 0 and the given standard deviation.
pub(crate) fn normal<B: Backend, const D: usize>(
    shape: [usize; D],
    sd: f32,
    rng: &mut impl Rng,
    device: &B::Device,
) -> Param<Tensor<B, D>> {
    filled(shape, || around_0(sd, rng), device)
}

/// A value of a normal distribution with mean 0 and the given standard deviation.
pub(crate) fn around_0(sd: f32, rng: &mut impl Rng) -> f32 {
    let drawn: f32 = StandardNormal.sample(rng);
    sd * drawn
}

/// The same value everywhere.
pub(crate) fn constant<B: Backend, const D: usize>(
    shape: [usize; D],
    value: f32,
    device: &B::Device,
) -> Param<Tensor<B, D>> {
    filled(shape, || value, device)
}

fn filled<B: Backend, const D: usize>(
    shape: [usize; D],
    mut value: impl FnMut() -> f32,
    device: &B::Device,
) -> Param<Tensor<B, D>> {
    let values = (0..shape.iter().product()).map(|_| value()).collect();
    parameter(shape, values, device)
}

/// These values.
pub(crate) fn parameter<B: Backend, const D: usize>(
    shape: [usize; D],
    values: Vec<f32>,
    device: &B::Device,
) -> Param<Tensor<B, D>> {
    Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), device))
}
