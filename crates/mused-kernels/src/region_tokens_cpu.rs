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
/// About the most values that are packed at a time, where it is more than one region: threads keep them.
const PACKED: usize = 1 << 18;

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
    let Sizes {
        read, dim, columns, ..
    } = sizes;
    let mut out = memory::zeros(sizes.batch * sizes.sequence());
    let samples = out.chunks_exact_mut(sizes.sequence());
    for (sample, leading) in samples.zip(leading.chunks_exact(read * dim)) {
        sample[..read * dim].copy_from_slice(leading);
    }
    let longest = columns.iter().map(Range::len).max().unwrap_or(1);
    let mut storage = memory::take(Scratch::Right);
    let (mut token, mut first) = (read, 0);
    for columns in columns.chunks((PACKED / (longest * dim)).max(1)) {
        arch().dispatch(Forward {
            sizes: Sizes { columns, ..sizes },
            sequence: sizes.sequence(),
            token,
            inputs,
            weight: &weight[first * dim..],
            bias: &bias[(token - read) * dim..],
            out: &mut out,
            storage: &mut storage,
        });
        token += columns.len();
        first += columns.iter().map(Range::len).sum::<usize>();
    }
    memory::put_back(Scratch::Right, storage);
    out
}

/// Some regions that lie next to one another.
struct Forward<'a> {
    sizes: Sizes<'a>,
    /// Values of a sample's tokens, all of them.
    sequence: usize,
    /// Of the first region.
    token: usize,
    inputs: &'a [f32],
    weight: &'a [f32],
    bias: &'a [f32],
    out: &'a mut [f32],
    storage: &'a mut Vec<f32>,
}

impl WithSimd for Forward<'_> {
    type Output = ();

    fn with_simd<S: Simd>(self, simd: S) {
        let (sizes, Sizes { width, dim, .. }) = (self.sizes, self.sizes);
        let (sequence, token) = (self.sequence, self.token);
        let (inputs, bias) = (self.inputs, self.bias);
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
            let (first, samples) = (task * share, out.len() / sequence);
            for (region, (own, weight)) in sizes.columns.iter().zip(&packed).enumerate() {
                let target = Target {
                    data: &mut out[(token + region) * dim..],
                    row_stride: sequence,
                    bias: Some(&bias[region * dim..][..dim]),
                    add: false,
                };
                let left = View::rows(&inputs[first * width + own.start..], width);
                matmul::serial_packed(simd, left, *weight, samples, target);
            }
        };
        if threads > 1 {
            let tasks = self.out.par_chunks_mut(share * sequence);
            tasks.enumerate().for_each(rows);
        } else {
            let tasks = self.out.chunks_mut(share * sequence);
            tasks.enumerate().for_each(rows);
        }
    }
}

/// Gradients of the weights, `[sum of columns, dim]`, and of the biases, `[regions, dim]`.
pub(crate) fn gradient(sizes: Sizes<'_>, inputs: &[f32], gradient: &[f32]) -> [Vec<f32>; 2] {
    let Sizes {
        batch,
        read,
        dim,
        columns,
        ..
    } = sizes;
    let sequence = sizes.sequence();
    let mut weight = memory::zeros(sizes.weights() * dim);
    let mut storage = memory::take(Scratch::Right);
    let (mut token, mut rest) = (read, weight.as_mut_slice());
    for columns in columns.chunks((PACKED / (batch * dim)).max(1)) {
        let sizes = Sizes { columns, ..sizes };
        let (own, after) = rest.split_at_mut(sizes.weights() * dim);
        rest = after;
        arch().dispatch(Gradient {
            sizes,
            inputs,
            tokens: View::rows(&gradient[token * dim..], sequence),
            weight: own,
            storage: &mut storage,
        });
        token += columns.len();
    }
    memory::put_back(Scratch::Right, storage);
    let sums = column_sums(gradient, sequence);
    [weight, sums[read * dim..].to_vec()]
}

/// Some regions that lie next to one another.
struct Gradient<'a> {
    sizes: Sizes<'a>,
    inputs: &'a [f32],
    /// Gradients of the tokens, from that of the first region on.
    tokens: View<'a>,
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
        let tokens = (0..sizes.columns.len()).map(|region| (self.tokens.from(region * dim), batch));
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
