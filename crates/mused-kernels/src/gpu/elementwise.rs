//! One unit an element.

use burn::tensor::TensorMetadata as _;
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::launch::{cube_sum, elementwise, empty, owned, rows};
use crate::adam::AdamStep;
use crate::dropout::Dropout;

/// As [`crate::dropout::random_bits`].
#[cube]
fn random_bits(index: u32, first: u32, second: u32) -> u32 {
    mixed(mixed(index ^ first) ^ second)
}

#[cube]
fn mixed(state: u32) -> u32 {
    let x = state ^ (state >> 16u32);
    let x = x * 0x7feb_352du32;
    let x = x ^ (x >> 15u32);
    let x = x * 0x846c_a68bu32;
    x ^ (x >> 16u32)
}

/// What an element is multiplied by: 0 or `scale`.
#[cube]
pub(super) fn kept(index: usize, first: u32, second: u32, threshold: u32, scale: f32) -> f32 {
    select(
        random_bits(index as u32, first, second) >= threshold,
        scale,
        0.0f32,
    )
}

#[cube(launch)]
fn dropout_kernel(
    x: &Array<f32>,
    residual: &Array<f32>,
    y: &mut Array<f32>,
    first: u32,
    second: u32,
    threshold: u32,
    scale: f32,
    #[comptime] add: bool,
) {
    let index = ABSOLUTE_POS;
    if index < y.len() {
        let value = x[index] * kept(index, first, second, threshold, scale);
        if add {
            y[index] = value + residual[index];
        } else {
            y[index] = value;
        }
    }
}

/// Dropout of `x`, plus the residual where there is one.
pub(super) fn dropout<R: CubeRuntime>(
    x: CubeTensor<R>,
    residual: Option<CubeTensor<R>>,
    dropout: Dropout,
) -> CubeTensor<R> {
    let x = rows(x);
    let elements = x.shape().num_elements();
    assert!(
        elements <= u32::MAX as usize,
        "dropout of more elements than a GPU counts"
    );
    let y = empty(&x, x.shape());
    let add = residual.is_some();
    let residual = residual.map_or_else(|| x.clone(), rows);
    let client = x.client.clone();
    let (cubes, units) = elementwise(&client, elements);
    let [first, second] = dropout.keys(0);
    dropout_kernel::launch::<R>(
        &client,
        cubes,
        units,
        x.into_array_arg(),
        residual.into_array_arg(),
        y.clone().into_array_arg(),
        first,
        second,
        dropout.threshold(),
        dropout.scale(),
        add,
    );
    y
}

#[cube(launch)]
fn gelu_kernel(x: &Array<f32>, y: &mut Array<f32>, #[comptime] quick: bool) {
    let index = ABSOLUTE_POS;
    if index < y.len() {
        let value = x[index];
        if quick {
            y[index] = value / (1.0f32 + (-1.702f32 * value).exp());
        } else {
            y[index] = value * normal_cdf(value);
        }
    }
}

#[cube]
fn normal_cdf(x: f32) -> f32 {
    0.5f32 * (1.0f32 + Erf::erf(x * comptime!(std::f32::consts::FRAC_1_SQRT_2)))
}

#[cube(launch)]
fn gelu_gradient_kernel(x: &Array<f32>, gradient: &Array<f32>, y: &mut Array<f32>) {
    let index = ABSOLUTE_POS;
    if index < y.len() {
        let value = x[index];
        let density = (-0.5f32 * value * value).exp() * 0.398_942_3f32;
        y[index] = gradient[index] * (normal_cdf(value) + value * density);
    }
}

fn activated<R: CubeRuntime>(x: CubeTensor<R>, quick: bool) -> CubeTensor<R> {
    let x = rows(x);
    let y = empty(&x, x.shape());
    let client = x.client.clone();
    let (cubes, units) = elementwise(&client, x.shape().num_elements());
    let (x, to) = (x.into_array_arg(), y.clone().into_array_arg());
    gelu_kernel::launch::<R>(&client, cubes, units, x, to, quick);
    y
}

pub(super) fn gelu<R: CubeRuntime>(x: CubeTensor<R>) -> CubeTensor<R> {
    activated(x, false)
}

pub(super) fn quick_gelu<R: CubeRuntime>(x: CubeTensor<R>) -> CubeTensor<R> {
    activated(x, true)
}

pub(super) fn gelu_gradient<R: CubeRuntime>(
    x: CubeTensor<R>,
    gradient: CubeTensor<R>,
) -> CubeTensor<R> {
    let (x, gradient) = (rows(x), rows(gradient));
    let y = empty(&x, x.shape());
    let client = x.client.clone();
    let (cubes, units) = elementwise(&client, x.shape().num_elements());
    let (x, gradient, to) = (
        x.into_array_arg(),
        gradient.into_array_arg(),
        y.clone().into_array_arg(),
    );
    gelu_gradient_kernel::launch::<R>(&client, cubes, units, x, gradient, to);
    y
}

/// In place; `numbers` are those of [`AdamNumbers`].
#[cube(launch)]
fn adam_kernel(
    gradient: &Array<f32>,
    param: &mut Array<f32>,
    mean: &mut Array<f32>,
    square: &mut Array<f32>,
    shrink: f32,
    decay_into_gradient: f32,
    gradient_scale: f32,
    new_mean: f32,
    beta2: f32,
    new_square: f32,
    second_correction: f32,
    epsilon: f32,
    step_size: f32,
) {
    let index = ABSOLUTE_POS;
    if index < param.len() {
        let value = param[index];
        let slope = gradient[index] * gradient_scale + value * decay_into_gradient;
        let first = mean[index] + (slope - mean[index]) * new_mean;
        let second = square[index] * beta2 + slope * slope * new_square;
        let root = second.sqrt() / second_correction + epsilon;
        param[index] = value * shrink - first / root * step_size;
        mean[index] = first;
        square[index] = second;
    }
}

pub(super) fn adam<R: CubeRuntime>(
    param: CubeTensor<R>,
    gradient: CubeTensor<R>,
    exp_avg: CubeTensor<R>,
    exp_avg_sq: CubeTensor<R>,
    step: &AdamStep,
) -> [CubeTensor<R>; 3] {
    let gradient = rows(gradient);
    let [param, exp_avg, exp_avg_sq] = [param, exp_avg, exp_avg_sq].map(owned);
    let client = param.client.clone();
    let (cubes, units) = elementwise(&client, param.shape().num_elements());
    let decay = step.weight_decay;
    let (shrink, into_gradient) = match step.decoupled {
        true => (1.0 - step.learning_rate * decay, 0.0),
        false => (1.0, decay),
    };
    adam_kernel::launch::<R>(
        &client,
        cubes,
        units,
        gradient.into_array_arg(),
        param.clone().into_array_arg(),
        exp_avg.clone().into_array_arg(),
        exp_avg_sq.clone().into_array_arg(),
        shrink as f32,
        into_gradient as f32,
        step.gradient_scale as f32,
        (1.0 - step.beta1) as f32,
        step.beta2 as f32,
        (1.0 - step.beta2) as f32,
        step.second_correction() as f32,
        step.epsilon as f32,
        step.step_size() as f32,
    );
    [param, exp_avg, exp_avg_sq]
}

#[cube(launch)]
fn ema_kernel(param: &Array<f32>, ema: &mut Array<f32>, decay: f32, fresh: f32) {
    let index = ABSOLUTE_POS;
    if index < ema.len() {
        ema[index] = ema[index] * decay + param[index] * fresh;
    }
}

pub(super) fn ema<R: CubeRuntime>(
    ema: CubeTensor<R>,
    param: CubeTensor<R>,
    decay: f64,
) -> CubeTensor<R> {
    let (param, ema) = (rows(param), owned(ema));
    let client = ema.client.clone();
    let (cubes, units) = elementwise(&client, ema.shape().num_elements());
    let (param, to) = (param.into_array_arg(), ema.clone().into_array_arg());
    ema_kernel::launch::<R>(
        &client,
        cubes,
        units,
        param,
        to,
        decay as f32,
        (1.0 - decay) as f32,
    );
    ema
}

/// Cubes that share a sum of squares, and units of each.
const PARTS: u32 = 64;
const UNITS: u32 = 256;

#[cube(launch)]
fn squares_kernel(x: &Array<f32>, sums: &mut Array<f32>, first: usize) {
    let mut sum = 0.0f32;
    let mut index = ABSOLUTE_POS;
    while index < x.len() {
        let value = x[index];
        sum += value * value;
        index += comptime!((PARTS * UNITS) as usize);
    }
    let sum = cube_sum(sum, UNITS);
    if UNIT_POS == 0 {
        sums[first + CUBE_POS] = sum;
    }
}

/// The sum of squares of each tensor: parts of it on the device, the parts here.
pub(super) fn sums_of_squares<R: CubeRuntime>(xs: Vec<CubeTensor<R>>) -> Vec<f64> {
    let Some(like) = xs.first().cloned() else {
        return Vec::new();
    };
    let parts = PARTS as usize;
    let sums = empty(&like, [xs.len(), parts]);
    for (index, x) in xs.into_iter().enumerate() {
        squares_kernel::launch::<R>(
            &like.client,
            CubeCount::Static(PARTS, 1, 1),
            CubeDim::new_1d(UNITS),
            rows(x).into_array_arg(),
            sums.clone().into_array_arg(),
            index * parts,
        );
    }
    let bytes = like.client.read_one_unchecked(sums.handle);
    let (words, _) = bytes.as_chunks::<4>();
    let value = |word: &[u8; 4]| f64::from(f32::from_ne_bytes(*word));
    words
        .chunks(parts)
        .map(|of| of.iter().map(value).sum())
        .collect()
}
