//! Batch normalisation over rows: statistics in one pass over memory, the gradient in two.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::memory;
use crate::simd::{arch, worth_sharing};

/// Values of one task: they stay in the second-level cache for a second look. Fixed, so that sums do not depend on the
/// number of threads.
const VALUES: usize = 1 << 15;

/// Rows of one task.
fn rows_of_task(channels: usize) -> usize {
    (VALUES / channels.max(1)).max(1)
}

/// Runs tasks over chunks of rows and collects what they return, in order.
fn tasks<T: Send>(
    values: usize,
    chunks: impl IndexedParallelIterator<Item = T>,
    run: impl Fn(T) -> Vec<f32> + Sync + Send,
) -> Vec<Vec<f32>> {
    // One thread at a time where it is not worth waking others.
    let least = if worth_sharing(values) { 1 } else { usize::MAX };
    chunks.with_min_len(least).map(run).collect()
}

/// Of these rows, for each channel: the first value, the mean distance from it, and the sum of squared distances from the
/// mean. (Distances, because sums of values far from 0 lose their last digits.)
struct Moments<'a> {
    x: &'a [f32],
    channels: usize,
}

impl WithSimd for Moments<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> Vec<f32> {
        let Self { x, channels } = self;
        let mut all = vec![0.0; 3 * channels];
        let (origin, rest) = all.split_at_mut(channels);
        let (means, squares) = rest.split_at_mut(channels);
        origin.copy_from_slice(&x[..channels]);
        for row in x.chunks_exact(channels) {
            for i in 0..channels {
                means[i] += row[i] - origin[i];
            }
        }
        let count = (x.len() / channels) as f32;
        means.iter_mut().for_each(|mean| *mean /= count);
        for row in x.chunks_exact(channels) {
            for i in 0..channels {
                let distance = row[i] - origin[i] - means[i];
                squares[i] += distance * distance;
            }
        }
        all
    }
}

/// Mean and biased variance of each channel: moments of chunks, put together as Chan, Golub & LeVeque (1979), eq. 2.1,
/// in double precision.
pub(crate) fn statistics(x: &[f32], channels: usize) -> [Vec<f32>; 2] {
    if channels == 0 {
        return [vec![], vec![]];
    }
    let task = rows_of_task(channels) * channels;
    let chunks = tasks(x.len(), x.par_chunks(task), |x| {
        arch().dispatch(Moments { x, channels })
    });
    let mut means = vec![0.0_f64; channels];
    let mut squares = vec![0.0_f64; channels];
    let mut before = 0.0;
    for (index, chunk) in chunks.iter().enumerate() {
        let rows = (task.min(x.len() - index * task) / channels) as f64;
        let (origin, rest) = chunk.split_at(channels);
        let (mean, square) = rest.split_at(channels);
        for channel in 0..channels {
            let mean = f64::from(origin[channel]) + f64::from(mean[channel]);
            let distance = mean - means[channel];
            means[channel] += distance * rows / (before + rows);
            squares[channel] +=
                f64::from(square[channel]) + distance * distance * before * rows / (before + rows);
        }
        before += rows;
    }
    [
        means.iter().map(|mean| *mean as f32).collect(),
        squares.iter().map(|sum| (sum / before) as f32).collect(),
    ]
}

struct Affine<'a> {
    x: &'a [f32],
    residual: Option<&'a [f32]>,
    /// Taken off before scaling.
    centre: &'a [f32],
    scale: &'a [f32],
    shift: &'a [f32],
    relu: bool,
    y: &'a mut [f32],
}

impl WithSimd for Affine<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> Vec<f32> {
        let channels = self.scale.len();
        // Of one length, so that the compiler can leave out the checks.
        let (centre, scale, shift) = (
            &self.centre[..channels],
            &self.scale[..channels],
            &self.shift[..channels],
        );
        let floor = if self.relu { 0.0 } else { f32::NEG_INFINITY };
        let rows = self.x.chunks_exact(channels);
        let outs = self.y.chunks_exact_mut(channels);
        match self.residual {
            None => {
                for (x, y) in rows.zip(outs) {
                    for i in 0..channels {
                        let value = (x[i] - centre[i]) * scale[i] + shift[i];
                        // Not max: it would turn NaN into a number.
                        y[i] = if value < floor { floor } else { value };
                    }
                }
            }
            Some(residual) => {
                let rows = rows.zip(residual.chunks_exact(channels));
                for ((x, residual), y) in rows.zip(outs) {
                    for i in 0..channels {
                        let value = (x[i] - centre[i]) * scale[i] + shift[i] + residual[i];
                        y[i] = if value < floor { floor } else { value };
                    }
                }
            }
        }
        vec![]
    }
}

/// `(x − centre) · scale + shift + residual`, then a ReLU where wanted.
pub(crate) fn affine(
    x: &[f32],
    [centre, scale, shift]: [&[f32]; 3],
    residual: Option<&[f32]>,
    relu: bool,
) -> Vec<f32> {
    let mut y = memory::zeros(x.len());
    let channels = scale.len();
    if channels == 0 {
        return y;
    }
    let task = rows_of_task(channels) * channels;
    let chunks = x.par_chunks(task).zip(y.par_chunks_mut(task)).enumerate();
    tasks(x.len(), chunks, |(index, (x, y))| {
        arch().dispatch(Affine {
            x,
            residual: residual.map(|all| &all[index * task..][..x.len()]),
            centre,
            scale,
            shift,
            relu,
            y,
        })
    });
    y
}

/// Sums over rows of the gradient and of its product with the centred input; clears the gradient where the ReLU did.
struct Sums<'a> {
    x: &'a [f32],
    relu_output: Option<&'a [f32]>,
    mean: &'a [f32],
    gradient: &'a mut [f32],
}

impl WithSimd for Sums<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> Vec<f32> {
        let channels = self.mean.len();
        if let Some(y) = self.relu_output {
            for (gradient, y) in self.gradient.iter_mut().zip(y) {
                *gradient = if *y <= 0.0 { 0.0 } else { *gradient };
            }
        }
        let mut both = vec![0.0; 2 * channels];
        let (sums, products) = both.split_at_mut(channels);
        let (products, mean) = (&mut products[..channels], &self.mean[..channels]);
        let rows = self.x.chunks_exact(channels);
        for (x, gradient) in rows.zip(self.gradient.chunks_exact(channels)) {
            for i in 0..channels {
                sums[i] += gradient[i];
                products[i] += gradient[i] * (x[i] - mean[i]);
            }
        }
        both
    }
}

/// The gradient for the input, in place: `gradient · factor + (x − mean) · slope + constant`.
struct InputGradient<'a> {
    x: &'a [f32],
    mean: &'a [f32],
    factor: &'a [f32],
    slope: &'a [f32],
    constant: &'a [f32],
    gradient: &'a mut [f32],
}

impl WithSimd for InputGradient<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> Vec<f32> {
        let channels = self.mean.len();
        let [mean, factor, slope, constant] =
            [self.mean, self.factor, self.slope, self.constant].map(|all| &all[..channels]);
        let rows = self.x.chunks_exact(channels);
        for (x, gradient) in rows.zip(self.gradient.chunks_exact_mut(channels)) {
            for i in 0..channels {
                gradient[i] = gradient[i] * factor[i] + (x[i] - mean[i]) * slope[i] + constant[i];
            }
        }
        vec![]
    }
}

/// What the forward pass had and left.
pub(crate) struct Forward<'a> {
    pub(crate) x: &'a [f32],
    pub(crate) relu_output: Option<&'a [f32]>,
    pub(crate) gamma: &'a [f32],
    pub(crate) mean: &'a [f32],
    pub(crate) variance: &'a [f32],
    pub(crate) epsilon: f64,
}

/// The output's gradient, cleared in place where the ReLU was, is that of the residual; returns those of gamma and
/// beta.
pub(crate) fn gradient_sums(forward: &Forward<'_>, gradient: &mut [f32]) -> [Vec<f32>; 2] {
    let channels = forward.mean.len();
    if channels == 0 {
        return [vec![], vec![]];
    }
    let task = rows_of_task(channels) * channels;
    let chunks = forward
        .x
        .par_chunks(task)
        .zip(gradient.par_chunks_mut(task));
    let sums = tasks(
        forward.x.len(),
        chunks.enumerate(),
        |(index, (x, gradient))| {
            arch().dispatch(Sums {
                x,
                relu_output: forward.relu_output.map(|y| &y[index * task..][..x.len()]),
                mean: forward.mean,
                gradient,
            })
        },
    );
    let mut both = vec![0.0_f64; 2 * channels];
    for chunk in sums {
        for (sum, value) in both.iter_mut().zip(chunk) {
            *sum += f64::from(value);
        }
    }
    let (beta, products) = both.split_at(channels);
    let gamma = products.iter().zip(forward.variance);
    let gamma = gamma.map(|(sum, v)| (sum / (f64::from(*v) + forward.epsilon).sqrt()) as f32);
    [
        gamma.collect(),
        beta.iter().map(|sum| *sum as f32).collect(),
    ]
}

/// Turns the cleared gradient into the input's, in place.
pub(crate) fn input_gradient(
    forward: &Forward<'_>,
    [gamma_gradient, beta_gradient]: [&[f32]; 2],
    gradient: &mut [f32],
) {
    let channels = forward.mean.len();
    if channels == 0 {
        return;
    }
    let count = (forward.x.len() / channels) as f64;
    let (mut factor, mut slope, mut constant) = (vec![], vec![], vec![]);
    for i in 0..channels {
        let scale = 1.0 / (f64::from(forward.variance[i]) + forward.epsilon).sqrt();
        let both = scale * f64::from(forward.gamma[i]);
        factor.push(both as f32);
        slope.push((-both * scale * f64::from(gamma_gradient[i]) / count) as f32);
        constant.push((-both * f64::from(beta_gradient[i]) / count) as f32);
    }
    let task = rows_of_task(channels) * channels;
    let chunks = forward
        .x
        .par_chunks(task)
        .zip(gradient.par_chunks_mut(task));
    tasks(forward.x.len(), chunks, |(x, gradient)| {
        arch().dispatch(InputGradient {
            x,
            mean: forward.mean,
            factor: &factor,
            slope: &slope,
            constant: &constant,
            gradient,
        })
    });
}
