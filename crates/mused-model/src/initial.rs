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
    uniform_within(shape, 1.0 / (fan_in.max(1) as f32).sqrt(), rng, device)
}

/// Uniform in ±`bound`.
pub(crate) fn uniform_within<B: Backend, const D: usize>(
    shape: [usize; D],
    bound: f32,
    rng: &mut impl Rng,
    device: &B::Device,
) -> Param<Tensor<B, D>> {
    parameter(shape, || rng.random_range(-bound..=bound), device)
}

/// Normal with mean 0 and the given standard deviation.
pub(crate) fn normal<B: Backend, const D: usize>(
    shape: [usize; D],
    sd: f32,
    rng: &mut impl Rng,
    device: &B::Device,
) -> Param<Tensor<B, D>> {
    let mut draw = || -> f32 { StandardNormal.sample(rng) };
    parameter(shape, || sd * draw(), device)
}

/// The same value everywhere.
pub(crate) fn constant<B: Backend, const D: usize>(
    shape: [usize; D],
    value: f32,
    device: &B::Device,
) -> Param<Tensor<B, D>> {
    parameter(shape, || value, device)
}

fn parameter<B: Backend, const D: usize>(
    shape: [usize; D],
    mut value: impl FnMut() -> f32,
    device: &B::Device,
) -> Param<Tensor<B, D>> {
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| value()).collect();
    Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), device))
}
