//! Tokens of regions, written where they belong, and their gradients.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::layer_norm_cpu::column_sums;
use crate::matmul::{self, Packed, TILE, Target, View};
use crate::memory::{self, Scratch};
use crate::simd::arch;

/// Most rows of weights of one task.
const ROWS: usize = 144;

/// What the tokens are made of.
#[derive(Clone, Copy)]
pub(crate) struct Sizes<'a> {
    pub(crate) batch: usize,
    /// Values of an input row.
    pub(crate) width: usize,
    /// Tokens before those of the regions.
    pub(crate) read: usize,
    pub(crate) dim: usize,
    pub(crate) columns: &'a [Range<usize>],
}

impl Sizes<'_> {
    /// Values of a sample's tokens.
    fn sequence(self) -> usize {
        (self.read + self.columns.len()) * self.dim
    }

    fn weights(self) -> usize {
        self.columns.iter().map(Range::len).sum()
    }

    fn threads(self) -> usize {
        matmul::threads([self.batch, self.weights(), self.dim])
    }
}

/// `[batch, read + regions, dim]`
pub(crate) fn forward(
    sizes: Sizes<'_>,
    leading: &[f32],
    inputs: &[f32],
    weight: &[f32],
    bias: &[f32],
) -> Vec<f32> {
    let mut out = vec![0.0; sizes.batch * sizes.sequence()];
    let mut storage = memory::take(Scratch::Right);
    arch().dispatch(Forward {
        sizes,
        leading,
        inputs,
        weight,
        bias,
        out: &mut out,
        storage: &mut storage,
    });
    memory::put_back(Scratch::Right, storage);
    out
}

struct Forward<'a> {
    sizes: Sizes<'a>,
    leading: &'a [f32],
    inputs: &'a [f32],
    weight: &'a [f32],
    bias: &'a [f32],
    out: &'a mut [f32],
    storage: &'a mut Vec<f32>,
}

impl WithSimd for Forward<'_> {
    type Output = ();

    fn with_simd<S: Simd>(self, simd: S) {
        let (
            sizes,
            Sizes {
                width, read, dim, ..
            },
        ) = (self.sizes, self.sizes);
        let (leading, inputs, bias) = (self.leading, self.inputs, self.bias);
        let threads = sizes.threads();
        let mut end = 0;
        let weights = sizes.columns.iter().map(|own| {
            let first = end;
            end += own.len();
            (View::rows(&self.weight[first * dim..], dim), own.len())
        });
        let packed = matmul::pack_all(simd, weights.collect(), dim, threads, self.storage);
        let share = matmul::share(sizes.batch, threads, TILE);
        let rows = |(task, out): (usize, &mut [f32])| {
            let first = task * share;
            let samples = out.len() / sizes.sequence();
            let leading = leading[first * read * dim..].chunks(read * dim);
            for (sample, leading) in out.chunks_mut(sizes.sequence()).zip(leading) {
                sample[..read * dim].copy_from_slice(leading);
            }
            for (region, (own, weight)) in sizes.columns.iter().zip(&packed).enumerate() {
                let target = Target {
                    data: &mut out[(read + region) * dim..],
                    row_stride: sizes.sequence(),
                    bias: Some(&bias[region * dim..][..dim]),
                    add: false,
                };
                let left = View::rows(&inputs[first * width + own.start..], width);
                matmul::serial_packed(simd, left, *weight, samples, target);
            }
        };
        let size = share * sizes.sequence();
        if threads > 1 {
            self.out.par_chunks_mut(size).enumerate().for_each(rows);
        } else {
            self.out.chunks_mut(size).enumerate().for_each(rows);
        }
    }
}

/// Gradients of the weights, `[sum of columns, dim]`, and of the biases, `[regions, dim]`.
pub(crate) fn gradient(sizes: Sizes<'_>, inputs: &[f32], gradient: &[f32]) -> [Vec<f32>; 2] {
    let mut weight = vec![0.0; sizes.weights() * sizes.dim];
    let mut storage = memory::take(Scratch::Right);
    arch().dispatch(Gradient {
        sizes,
        inputs,
        gradient,
        weight: &mut weight,
        storage: &mut storage,
    });
    memory::put_back(Scratch::Right, storage);
    let sums = column_sums(gradient, sizes.sequence());
    [weight, sums[sizes.read * sizes.dim..].to_vec()]
}

struct Gradient<'a> {
    sizes: Sizes<'a>,
    inputs: &'a [f32],
    gradient: &'a [f32],
    weight: &'a mut [f32],
    storage: &'a mut Vec<f32>,
}

impl WithSimd for Gradient<'_> {
    type Output = ();

    fn with_simd<S: Simd>(self, simd: S) {
        let (
            sizes,
            Sizes {
                batch, width, dim, ..
            },
        ) = (self.sizes, self.sizes);
        let inputs = self.inputs;
        let threads = sizes.threads();
        let tokens = (0..sizes.columns.len()).map(|region| {
            let first = (sizes.read + region) * dim;
            (View::rows(&self.gradient[first..], sizes.sequence()), batch)
        });
        let packed = matmul::pack_all(simd, tokens.collect(), dim, threads, self.storage);
        let mut rest = self.weight;
        let mut tasks = Vec::new();
        for (own, token) in sizes.columns.iter().zip(packed) {
            for first in own.clone().step_by(ROWS) {
                let (rows, after) = rest.split_at_mut(ROWS.min(own.end - first) * dim);
                rest = after;
                tasks.push((first, token, rows));
            }
        }
        let run = |(first, token, rows): (usize, Packed<'_>, &mut [f32])| {
            let left = View::rows(&inputs[first..], width).transposed();
            let count = rows.len() / dim;
            let target = Target {
                data: rows,
                row_stride: dim,
                bias: None,
                add: false,
            };
            matmul::serial_packed(simd, left, token, count, target);
        };
        if threads > 1 {
            tasks.into_par_iter().for_each(run);
        } else {
            tasks.into_iter().for_each(run);
        }
    }
}
