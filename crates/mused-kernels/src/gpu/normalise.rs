//! Layer normalisation of rows and batch normalisation of columns.

use burn::tensor::{Shape, Tensor, TensorMetadata as _};
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{BoolElement, CubeBackend, CubeRuntime};
use cubecl::prelude::*;

use super::launch::{cube_sum, elementwise, empty, rows, rowwise, units};
use crate::backend::{unwrap, wrap};
use crate::batch_norm::BatchNormState;

#[cube(launch)]
fn layer_norm_kernel(
    x: &Array<f32>,
    gamma: &Array<f32>,
    beta: &Array<f32>,
    y: &mut Array<f32>,
    epsilon: f32,
    #[comptime] units: u32,
) {
    let dim = gamma.len();
    let start = CUBE_POS * dim;
    if start < y.len() {
        let (mean, scale) = row_moments(x, start, dim, epsilon, units);
        let mut i = UNIT_POS as usize;
        while i < dim {
            y[start + i] = (x[start + i] - mean) * scale * gamma[i] + beta[i];
            i += units as usize;
        }
    }
}

/// Mean and reciprocal standard deviation of a row.
#[cube]
fn row_moments(
    x: &Array<f32>,
    start: usize,
    dim: usize,
    epsilon: f32,
    #[comptime] units: u32,
) -> (f32, f32) {
    let mut sum = 0.0f32;
    let mut i = UNIT_POS as usize;
    while i < dim {
        sum += x[start + i];
        i += units as usize;
    }
    let mean = cube_sum(sum, units) / dim as f32;
    let mut squares = 0.0f32;
    let mut i = UNIT_POS as usize;
    while i < dim {
        let centred = x[start + i] - mean;
        squares += centred * centred;
        i += units as usize;
    }
    let variance = cube_sum(squares, units) / dim as f32;
    (mean, 1.0f32 / (variance + epsilon).sqrt())
}

pub(super) fn layer_norm<R: CubeRuntime>(
    x: CubeTensor<R>,
    gamma: CubeTensor<R>,
    beta: CubeTensor<R>,
    epsilon: f64,
) -> CubeTensor<R> {
    let (x, gamma, beta) = (rows(x), rows(gamma), rows(beta));
    let (count, dim) = (x.shape()[0], x.shape()[1]);
    let y = empty(&x, x.shape());
    let client = x.client.clone();
    let (cubes, cube) = rowwise(&client, count, dim);
    layer_norm_kernel::launch::<R>(
        &client,
        cubes,
        cube,
        x.into_array_arg(),
        gamma.into_array_arg(),
        beta.into_array_arg(),
        y.clone().into_array_arg(),
        epsilon as f32,
        units(dim),
    );
    y
}

/// The gradient of a row, and the row's gradients times its normalised values, whose sums are gamma's.
#[cube(launch)]
fn layer_norm_gradient_kernel(
    x: &Array<f32>,
    gamma: &Array<f32>,
    gradient: &Array<f32>,
    x_gradient: &mut Array<f32>,
    products: &mut Array<f32>,
    epsilon: f32,
    #[comptime] units: u32,
) {
    let dim = gamma.len();
    let start = CUBE_POS * dim;
    if start < x_gradient.len() {
        let (mean, scale) = row_moments(x, start, dim, epsilon, units);
        let mut sum = 0.0f32;
        let mut along = 0.0f32;
        let mut i = UNIT_POS as usize;
        while i < dim {
            let slope = gradient[start + i];
            let z = (x[start + i] - mean) * scale;
            let inner = slope * gamma[i];
            products[start + i] = slope * z;
            sum += inner;
            along += inner * z;
            i += units as usize;
        }
        let sum = cube_sum(sum, units) / dim as f32;
        let along = cube_sum(along, units) / dim as f32;
        let mut i = UNIT_POS as usize;
        while i < dim {
            let z = (x[start + i] - mean) * scale;
            x_gradient[start + i] = (gradient[start + i] * gamma[i] - sum - z * along) * scale;
            i += units as usize;
        }
    }
}

pub(super) fn layer_norm_gradient<R: CubeRuntime>(
    x: CubeTensor<R>,
    gamma: CubeTensor<R>,
    gradient: CubeTensor<R>,
    epsilon: f64,
) -> [CubeTensor<R>; 3] {
    let (x, gamma, gradient) = (rows(x), rows(gamma), rows(gradient));
    let (count, dim) = (x.shape()[0], x.shape()[1]);
    let (x_gradient, products) = (empty(&x, x.shape()), empty(&x, x.shape()));
    let client = x.client.clone();
    let (cubes, cube) = rowwise(&client, count, dim);
    layer_norm_gradient_kernel::launch::<R>(
        &client,
        cubes,
        cube,
        x.into_array_arg(),
        gamma.into_array_arg(),
        gradient.clone().into_array_arg(),
        x_gradient.clone().into_array_arg(),
        products.clone().into_array_arg(),
        epsilon as f32,
        units(dim),
    );
    [x_gradient, column_sums(products), column_sums(gradient)]
}

type Engine<R, BT> = CubeBackend<R, f32, i32, BT>;

/// Sums of each column over every so many rows: neighbouring units read neighbouring elements.
#[cube(launch)]
fn column_sums_kernel(x: &Array<f32>, sums: &mut Array<f32>) {
    let unit = ABSOLUTE_POS;
    if unit < sums.len() {
        let mut sum = 0.0f32;
        let mut index = unit;
        while index < x.len() {
            sum += x[index];
            index += sums.len();
        }
        sums[unit] = sum;
    }
}

/// Sums of the columns of `[rows, columns]`, in two rounds: enough units for a GPU, then one a column.
pub(super) fn column_sums<R: CubeRuntime>(x: CubeTensor<R>) -> CubeTensor<R> {
    let x = rows(x);
    let (count, columns) = (x.shape()[0], x.shape()[1]);
    let lanes = (UNITS / columns.max(1)).clamp(1, count.max(1));
    let round = |x: CubeTensor<R>, shape: Shape| {
        let sums = empty(&x, shape.clone());
        let client = x.client.clone();
        let (cubes, units) = elementwise(&client, shape.num_elements());
        let (from, to) = (x.into_array_arg(), sums.clone().into_array_arg());
        column_sums_kernel::launch::<R>(&client, cubes, units, from, to);
        sums
    };
    let sums = match lanes {
        1 => x,
        lanes => round(x, [lanes, columns].into()),
    };
    round(sums, [columns].into())
}

/// Units that share the sums of columns in the first round.
const UNITS: usize = 1 << 16;

/// Partial sums are over rows so far apart: neighbouring units read neighbouring elements.
const LANES: usize = 2048;

/// Sums of the deviations from the first row, and of their squares, of each channel over every [`LANES`]th row.
#[cube(launch)]
fn moments_kernel(
    x: &Array<f32>,
    sums: &mut Array<f32>,
    squares: &mut Array<f32>,
    channels: usize,
) {
    let unit = ABSOLUTE_POS;
    if unit < sums.len() {
        let first = x[unit % channels];
        let mut sum = 0.0f32;
        let mut square = 0.0f32;
        let mut index = unit;
        while index < x.len() {
            let deviation = x[index] - first;
            sum += deviation;
            square += deviation * deviation;
            index += sums.len();
        }
        sums[unit] = sum;
        squares[unit] = square;
    }
}

#[cube(launch)]
fn affine_kernel(
    x: &Array<f32>,
    scale: &Array<f32>,
    shift: &Array<f32>,
    residual: &Array<f32>,
    y: &mut Array<f32>,
    #[comptime] add: bool,
    #[comptime] relu: bool,
) {
    let index = ABSOLUTE_POS;
    if index < y.len() {
        let channel = index % scale.len();
        let mut value = x[index] * scale[channel] + shift[channel];
        if add {
            value += residual[index];
        }
        if relu {
            value = max(value, 0.0f32);
        }
        y[index] = value;
    }
}

pub(super) fn affine<R: CubeRuntime>(
    x: CubeTensor<R>,
    scale: CubeTensor<R>,
    shift: CubeTensor<R>,
    residual: Option<CubeTensor<R>>,
    relu: bool,
) -> CubeTensor<R> {
    let x = rows(x);
    let y = empty(&x, x.shape());
    let add = residual.is_some();
    let residual = residual.map_or_else(|| x.clone(), rows);
    let client = x.client.clone();
    let (cubes, units) = elementwise(&client, x.shape().num_elements());
    affine_kernel::launch::<R>(
        &client,
        cubes,
        units,
        x.into_array_arg(),
        rows(scale).into_array_arg(),
        rows(shift).into_array_arg(),
        residual.into_array_arg(),
        y.clone().into_array_arg(),
        add,
        relu,
    );
    y
}

pub(super) fn batch_norm<R: CubeRuntime, BT: BoolElement>(
    x: CubeTensor<R>,
    gamma: CubeTensor<R>,
    beta: CubeTensor<R>,
    residual: Option<CubeTensor<R>>,
    relu: bool,
    epsilon: f64,
) -> [CubeTensor<R>; 3] {
    let x = rows(x);
    let (count, channels) = (x.shape()[0], x.shape()[1]);
    let lanes = count.min(LANES);
    let (sums, squares) = (empty(&x, [lanes, channels]), empty(&x, [lanes, channels]));
    let client = x.client.clone();
    let (cubes, units) = elementwise(&client, lanes * channels);
    moments_kernel::launch::<R>(
        &client,
        cubes,
        units,
        x.clone().into_array_arg(),
        sums.clone().into_array_arg(),
        squares.clone().into_array_arg(),
        channels,
    );
    let vector = |x: CubeTensor<R>| -> Tensor<Engine<R, BT>, 1> { wrap(x) };
    let [sum, square] = [sums, squares].map(|x| vector(column_sums(x)));
    let first = wrap::<Engine<R, BT>, 2>(x.clone())
        .narrow(0, 0, 1)
        .squeeze_dim::<1>(0);
    let deviation = sum / count as f64;
    let variance = (square / count as f64 - deviation.clone() * deviation.clone()).clamp_min(0.0);
    let mean = first + deviation;
    let scale = vector(gamma) / (variance.clone() + epsilon).sqrt();
    let shift = vector(beta) - mean.clone() * scale.clone();
    let y = affine(x, unwrap(scale), unwrap(shift), residual, relu);
    [y, unwrap(mean), unwrap(variance)]
}

/// Sums of the gradients, and of the gradients times the normalised values, of each channel over every [`LANES`]th row.
#[cube(launch)]
fn batch_norm_sums_kernel(
    x: &Array<f32>,
    y: &Array<f32>,
    gradient: &Array<f32>,
    mean: &Array<f32>,
    scale: &Array<f32>,
    sums: &mut Array<f32>,
    products: &mut Array<f32>,
    #[comptime] relu: bool,
) {
    let unit = ABSOLUTE_POS;
    if unit < sums.len() {
        let channel = unit % mean.len();
        let centre = mean[channel];
        let factor = scale[channel];
        let mut sum = 0.0f32;
        let mut product = 0.0f32;
        let mut index = unit;
        while index < x.len() {
            let mut slope = gradient[index];
            if relu {
                slope = select(y[index] > 0.0f32, slope, 0.0f32);
            }
            sum += slope;
            product += slope * (x[index] - centre) * factor;
            index += sums.len();
        }
        sums[unit] = sum;
        products[unit] = product;
    }
}

/// `x_gradient`, and the gradient that passed the ReLU.
#[cube(launch)]
fn batch_norm_gradient_kernel(
    x: &Array<f32>,
    y: &Array<f32>,
    gradient: &Array<f32>,
    mean: &Array<f32>,
    scale: &Array<f32>,
    gamma: &Array<f32>,
    sum: &Array<f32>,
    product: &Array<f32>,
    x_gradient: &mut Array<f32>,
    passed: &mut Array<f32>,
    reciprocal: f32,
    #[comptime] relu: bool,
) {
    let index = ABSOLUTE_POS;
    if index < x_gradient.len() {
        let channel = index % mean.len();
        let mut slope = gradient[index];
        if relu {
            slope = select(y[index] > 0.0f32, slope, 0.0f32);
            passed[index] = slope;
        }
        let factor = scale[channel];
        let z = (x[index] - mean[channel]) * factor;
        let inner = slope - (sum[channel] + z * product[channel]) * reciprocal;
        x_gradient[index] = inner * factor * gamma[channel];
    }
}

pub(super) fn batch_norm_gradient<R: CubeRuntime, BT: BoolElement>(
    state: BatchNormState<Engine<R, BT>>,
    gradient: CubeTensor<R>,
) -> [CubeTensor<R>; 4] {
    let (x, gradient, gamma) = (rows(state.x), rows(gradient), rows(state.gamma));
    let mean = rows(state.mean);
    let (count, channels) = (x.shape()[0], x.shape()[1]);
    let variance: Tensor<Engine<R, BT>, 1> = wrap(state.variance);
    let scale = rows(unwrap((variance + state.epsilon).sqrt().recip()));
    let relu = state.relu_output.is_some();
    let y = state.relu_output.map_or_else(|| x.clone(), rows);
    let lanes = count.min(LANES);
    let (sums, products) = (empty(&x, [lanes, channels]), empty(&x, [lanes, channels]));
    let client = x.client.clone();
    let (cubes, units) = elementwise(&client, lanes * channels);
    batch_norm_sums_kernel::launch::<R>(
        &client,
        cubes,
        units,
        x.clone().into_array_arg(),
        y.clone().into_array_arg(),
        gradient.clone().into_array_arg(),
        mean.clone().into_array_arg(),
        scale.clone().into_array_arg(),
        sums.clone().into_array_arg(),
        products.clone().into_array_arg(),
        relu,
    );
    let [sum, product] = [sums, products].map(|x| rows(column_sums(x)));
    let x_gradient = empty(&x, x.shape());
    let passed = if relu {
        empty(&x, x.shape())
    } else {
        gradient.clone()
    };
    let (cubes, units) = elementwise(&client, count * channels);
    // Without a ReLU nothing is written to what passed: any array will do.
    let target = if relu {
        passed.clone()
    } else {
        x_gradient.clone()
    };
    batch_norm_gradient_kernel::launch::<R>(
        &client,
        cubes,
        units,
        x.into_array_arg(),
        y.into_array_arg(),
        gradient.into_array_arg(),
        mean.into_array_arg(),
        scale.into_array_arg(),
        gamma.into_array_arg(),
        sum.clone().into_array_arg(),
        product.clone().into_array_arg(),
        x_gradient.clone().into_array_arg(),
        target.into_array_arg(),
        1.0 / count as f32,
        relu,
    );
    [x_gradient, product, sum, passed]
}
