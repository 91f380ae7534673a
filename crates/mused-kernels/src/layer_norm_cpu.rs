//! Layer normalisation and column sums over rows that stay in the first-level cache.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::memory;
use crate::simd::{arch, threads, worth_sharing};

/// Rows of one task, and of one partial sum over rows: fixed, so that sums do not depend on the number of threads.
const ROWS: usize = 64;

/// Mean and reciprocal standard deviation of a row, by vectors.
#[inline(always)]
fn moments<S: Simd>(simd: S, x: &[f32], epsilon: f32) -> (f32, f32) {
    let (body, tail) = S::as_simd_f32s(x);
    let mut sums = [simd.splat_f32s(0.0); 2];
    for (i, v) in body.iter().enumerate() {
        sums[i % 2] = simd.add_f32s(sums[i % 2], *v);
    }
    sums[0] = simd.add_f32s(sums[0], simd.partial_load_f32s(tail));
    let len = x.len() as f32;
    let mean = simd.reduce_sum_f32s(simd.add_f32s(sums[0], sums[1])) / len;
    let centre = simd.splat_f32s(mean);
    let mut squares = [simd.splat_f32s(0.0); 2];
    for (i, v) in body.iter().enumerate() {
        let d = simd.sub_f32s(*v, centre);
        squares[i % 2] = simd.mul_add_f32s(d, d, squares[i % 2]);
    }
    let mut sum = simd.reduce_sum_f32s(simd.add_f32s(squares[0], squares[1]));
    for v in tail {
        sum += (v - mean) * (v - mean);
    }
    (mean, 1.0 / (sum / len + epsilon).sqrt())
}

struct Forward<'a> {
    x: &'a [f32],
    gamma: &'a [f32],
    beta: &'a [f32],
    y: &'a mut [f32],
    epsilon: f32,
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let columns = self.gamma.len();
        let (gamma, gamma_tail) = S::as_simd_f32s(self.gamma);
        let (beta, beta_tail) = S::as_simd_f32s(self.beta);
        for (x, y) in self
            .x
            .chunks_exact(columns)
            .zip(self.y.chunks_exact_mut(columns))
        {
            let (mean, scale) = moments(simd, x, self.epsilon);
            let (mean, scale) = (simd.splat_f32s(mean), simd.splat_f32s(scale));
            let normalised = |x, gamma, beta| {
                let z = simd.mul_f32s(simd.sub_f32s(x, mean), scale);
                simd.mul_add_f32s(z, gamma, beta)
            };
            let (x, x_tail) = S::as_simd_f32s(x);
            let (y, y_tail) = S::as_mut_simd_f32s(y);
            for (((y, x), gamma), beta) in y.iter_mut().zip(x).zip(gamma).zip(beta) {
                *y = normalised(*x, *gamma, *beta);
            }
            if !y_tail.is_empty() {
                let load = |tail| simd.partial_load_f32s(tail);
                let value = normalised(load(x_tail), load(gamma_tail), load(beta_tail));
                simd.partial_store_f32s(y_tail, value);
            }
        }
    }
}

pub(crate) fn forward(x: &[f32], gamma: &[f32], beta: &[f32], epsilon: f32) -> Vec<f32> {
    let task = ROWS * gamma.len();
    if task == 0 {
        return vec![0.0; x.len()];
    }
    memory::written(x.len(), task, threads(x.len()), |index, y| {
        arch().dispatch(Forward {
            x: &x[index * task..][..y.len()],
            gamma,
            beta,
            y,
            epsilon,
        });
    })
}

/// What the lanes of a gradient need of one row: its mean, its scale, and the two row means of the formula.
struct Row<S: Simd> {
    mean: S::f32s,
    scale: S::f32s,
    inner: S::f32s,
    along: S::f32s,
}

struct Gradient<'a> {
    x: &'a [f32],
    gamma: &'a [f32],
    gradient: &'a mut [f32],
    gamma_sum: &'a mut [f32],
    beta_sum: &'a mut [f32],
    epsilon: f32,
}

impl WithSimd for Gradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let columns = self.gamma.len();
        let (gamma, gamma_tail) = S::as_simd_f32s(self.gamma);
        let (gamma_sum, gamma_sum_tail) = S::as_mut_simd_f32s(self.gamma_sum);
        let (beta_sum, beta_sum_tail) = S::as_mut_simd_f32s(self.beta_sum);
        let load = |tail: &[f32]| simd.partial_load_f32s(tail);
        let zero = simd.splat_f32s(0.0);
        let rows = self.x.chunks_exact(columns);
        for (x, gradient) in rows.zip(self.gradient.chunks_exact_mut(columns)) {
            let (mean, scale) = moments(simd, x, self.epsilon);
            let (x, x_tail) = S::as_simd_f32s(x);
            let (gradient, gradient_tail) = S::as_mut_simd_f32s(gradient);
            let mut row = Row::<S> {
                mean: simd.splat_f32s(mean),
                scale: simd.splat_f32s(scale),
                inner: zero,
                along: zero,
            };
            // Lanes past the end of a row have gradient and gamma 0 and drop out of both sums.
            let mut add = |x, gradient, gamma| {
                let z = simd.mul_f32s(simd.sub_f32s(x, row.mean), row.scale);
                let inner = simd.mul_f32s(gradient, gamma);
                row.inner = simd.add_f32s(row.inner, inner);
                row.along = simd.mul_add_f32s(inner, z, row.along);
            };
            for ((x, gradient), gamma) in x.iter().zip(gradient.iter()).zip(gamma) {
                add(*x, *gradient, *gamma);
            }
            add(load(x_tail), load(gradient_tail), load(gamma_tail));
            let per_column = 1.0 / columns as f32;
            row.inner = simd.splat_f32s(simd.reduce_sum_f32s(row.inner) * per_column);
            row.along = simd.splat_f32s(simd.reduce_sum_f32s(row.along) * per_column);
            let finish = |x, g, gamma, gamma_sum, beta_sum| {
                let z = simd.mul_f32s(simd.sub_f32s(x, row.mean), row.scale);
                let inner = simd.sub_f32s(simd.mul_f32s(g, gamma), row.inner);
                let inner = simd.sub_f32s(inner, simd.mul_f32s(z, row.along));
                (
                    simd.mul_f32s(inner, row.scale),
                    simd.mul_add_f32s(g, z, gamma_sum),
                    simd.add_f32s(beta_sum, g),
                )
            };
            for i in 0..gamma.len() {
                (gradient[i], gamma_sum[i], beta_sum[i]) =
                    finish(x[i], gradient[i], gamma[i], gamma_sum[i], beta_sum[i]);
            }
            if !gradient_tail.is_empty() {
                let (g, gamma_s, beta_s) = finish(
                    load(x_tail),
                    load(gradient_tail),
                    load(gamma_tail),
                    load(gamma_sum_tail),
                    load(beta_sum_tail),
                );
                simd.partial_store_f32s(gradient_tail, g);
                simd.partial_store_f32s(gamma_sum_tail, gamma_s);
                simd.partial_store_f32s(beta_sum_tail, beta_s);
            }
        }
    }
}

/// Turns the output's gradient into the input's in place; returns those of gamma and beta.
pub(crate) fn gradient(
    x: &[f32],
    gamma: &[f32],
    gradient: &mut [f32],
    epsilon: f32,
) -> [Vec<f32>; 2] {
    let columns = gamma.len();
    if columns == 0 {
        return [vec![], vec![]];
    }
    let task = ROWS * columns;
    let tasks = x.len().div_ceil(task);
    let mut sums = vec![0.0; tasks * 2 * columns];
    let run = |((x, gradient), sums): ((&[f32], &mut [f32]), &mut [f32])| {
        let (gamma_sum, beta_sum) = sums.split_at_mut(columns);
        arch().dispatch(Gradient {
            x,
            gamma,
            gradient,
            gamma_sum,
            beta_sum,
            epsilon,
        });
    };
    if worth_sharing(x.len()) {
        x.par_chunks(task)
            .zip(gradient.par_chunks_mut(task))
            .zip(sums.par_chunks_mut(2 * columns))
            .for_each(run);
    } else {
        x.chunks(task)
            .zip(gradient.chunks_mut(task))
            .zip(sums.chunks_mut(2 * columns))
            .for_each(run);
    }
    let both = arch().dispatch(|| add_rows(&sums, 2 * columns));
    [both[..columns].to_vec(), both[columns..].to_vec()]
}

/// The sum of rows, first to last.
#[inline(always)]
fn add_rows(rows: &[f32], columns: usize) -> Vec<f32> {
    let mut sums = vec![0.0; columns];
    for row in rows.chunks_exact(columns) {
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum += value;
        }
    }
    sums
}

/// Sum of each column of a row-major matrix.
pub(crate) fn column_sums(x: &[f32], columns: usize) -> Vec<f32> {
    if columns == 0 {
        return vec![];
    }
    let task = ROWS * columns;
    let run = |rows: &[f32]| arch().dispatch(|| add_rows(rows, columns));
    let partial: Vec<Vec<f32>> = if worth_sharing(x.len()) {
        x.par_chunks(task).map(run).collect()
    } else {
        x.chunks(task).map(run).collect()
    };
    run(&partial.concat())
}
