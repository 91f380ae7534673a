//! Attention one sequence and head at a time: scores, softmax, mask, dropout and the product with the values never leave
//! the cache for the token counts of an ROI model.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::dropout::{self, Dropout};
use crate::matmul::{self, Target, View};
use crate::memory::{self, Scratch};
use crate::simd::{self, arch};

/// Queries handled at a time: bounds the scratch space of long sequences.
const QUERIES: usize = 96;

#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) batch: usize,
    pub(crate) tokens: usize,
    pub(crate) heads: usize,
    pub(crate) head_dim: usize,
}

impl Sizes {
    /// From the shape `[batch, tokens, 3 · heads · head_dim]`.
    pub(crate) fn of(shape: &[usize], heads: usize) -> Self {
        Self {
            batch: shape[0],
            tokens: shape[1],
            heads,
            head_dim: shape[2] / (3 * heads),
        }
    }

    pub(crate) fn dim(self) -> usize {
        self.heads * self.head_dim
    }

    pub(crate) fn is_empty(self) -> bool {
        self.batch * self.tokens * self.dim() == 0
    }

    /// Whether sequences are worth handing to several threads.
    fn shared(self) -> bool {
        self.batch > 1 && simd::worth_sharing(self.batch * self.tokens * (self.dim() + self.tokens))
    }
}

/// The output `[batch, tokens, dim]` and the probabilities before dropout `[batch, heads, tokens, tokens]`.
pub(crate) fn forward(
    sizes: Sizes,
    qkv: &[f32],
    mask: Option<&[f32]>,
    dropout: Option<Dropout>,
) -> (Vec<f32>, Vec<f32>) {
    let Sizes {
        batch,
        tokens,
        heads,
        ..
    } = sizes;
    let dim = sizes.dim();
    let mut output = memory::zeros(batch * tokens * dim);
    let mut probabilities = memory::zeros(batch * heads * tokens * tokens);
    if sizes.is_empty() {
        return (output, probabilities);
    }
    let run = |(index, (output, probabilities)): (usize, (&mut [f32], &mut [f32]))| {
        arch().dispatch(Forward {
            sizes,
            qkv: &qkv[index * tokens * 3 * dim..][..tokens * 3 * dim],
            mask: mask.map(|mask| &mask[index * tokens..][..tokens]),
            dropout,
            index,
            output,
            probabilities,
        });
    };
    let (rows, squares) = (tokens * dim, heads * tokens * tokens);
    if sizes.shared() {
        let parts = output
            .par_chunks_mut(rows)
            .zip(probabilities.par_chunks_mut(squares));
        parts.enumerate().for_each(run);
    } else {
        let parts = output
            .chunks_mut(rows)
            .zip(probabilities.chunks_mut(squares));
        parts.enumerate().for_each(run);
    }
    (output, probabilities)
}

/// One sequence of the batch.
struct Forward<'a> {
    sizes: Sizes,
    qkv: &'a [f32],
    mask: Option<&'a [f32]>,
    dropout: Option<Dropout>,
    index: usize,
    output: &'a mut [f32],
    probabilities: &'a mut [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            sizes,
            qkv,
            mask,
            dropout,
            index,
            output,
            probabilities,
        } = self;
        let Sizes {
            tokens,
            heads,
            head_dim,
            ..
        } = sizes;
        let (dim, square) = (sizes.dim(), tokens * tokens);
        let scale = 1.0 / (head_dim as f32).sqrt();
        let mut storage = memory::take(Scratch::Right);
        let mut dropped = vec![0.0; if dropout.is_some() { square } else { 0 }];
        for head in 0..heads {
            let part = |part: usize| View::rows(&qkv[part * dim + head * head_dim..], 3 * dim);
            let p = &mut probabilities[head * square..][..square];
            let target = Target {
                data: p,
                row_stride: tokens,
                bias: None,
                add: false,
            };
            let (q, k, v) = (part(0), part(1), part(2));
            let score_sizes = [tokens, head_dim, tokens];
            matmul::serial(simd, q, k.transposed(), score_sizes, target, &mut storage);
            for row in p.chunks_exact_mut(tokens) {
                softmax(simd, row, mask, scale);
            }
            let p = match dropout {
                Some(dropout) => {
                    dropped.copy_from_slice(p);
                    drop_elements(simd, dropout, (index * heads + head) * square, &mut dropped);
                    &dropped[..]
                }
                None => &*p,
            };
            let target = Target {
                data: &mut output[head * head_dim..],
                row_stride: dim,
                bias: None,
                add: false,
            };
            let p = View::rows(p, tokens);
            matmul::serial(simd, p, v, [tokens, tokens, head_dim], target, &mut storage);
        }
        memory::put_back(Scratch::Right, storage);
    }
}

/// Stands for a masked score: finite, so that no row ends in ∞ − ∞.
const LOW: f32 = -1e30;

/// `e^(score · scale + shift)`, 0 for a masked score. (A closure would be compiled without the vector instructions.)
#[inline(always)]
fn weight<S: Simd>(simd: S, score: S::f32s, scale: S::f32s, shift: S::f32s) -> S::f32s {
    let zero = simd.splat_f32s(0.0);
    let value = simd::exp(simd, simd.mul_add_f32s(score, scale, shift));
    // Keeps a NaN score a NaN: `exp` would hide it.
    let value = simd.mul_add_f32s(score, zero, value);
    let masked = simd.less_than_or_equal_f32s(score, simd.splat_f32s(LOW));
    simd.select_f32s(masked, zero, value)
}

/// Scores to probabilities in place; masked keys get 0, and so does a row without any other.
#[inline(always)]
pub(crate) fn softmax<S: Simd>(simd: S, row: &mut [f32], mask: Option<&[f32]>, scale: f32) {
    if let Some(mask) = mask {
        for (score, mask) in row.iter_mut().zip(mask) {
            *score = if *mask == 0.0 { LOW } else { *score };
        }
    }
    let scale = simd.splat_f32s(scale);
    let (body, tail) = S::as_mut_simd_f32s(row);
    let mut largest = simd.splat_f32s(LOW);
    for v in body.iter() {
        largest = simd.max_f32s(largest, *v);
    }
    let mut top = simd.reduce_max_f32s(largest);
    for v in tail.iter() {
        top = top.max(*v);
    }
    let shift = simd.neg_f32s(simd.mul_f32s(simd.splat_f32s(top), scale));
    let mut sum = simd.splat_f32s(0.0);
    for v in body.iter_mut() {
        *v = weight(simd, *v, scale, shift);
        sum = simd.add_f32s(sum, *v);
    }
    if !tail.is_empty() {
        let w = weight(simd, simd.partial_load_f32s(tail), scale, shift);
        simd.partial_store_f32s(tail, w);
        sum = simd.add_f32s(sum, simd.partial_load_f32s(tail));
    }
    let sum = simd.reduce_sum_f32s(sum);
    let factor = simd.splat_f32s(if sum == 0.0 { 0.0 } else { 1.0 / sum });
    for v in body.iter_mut() {
        *v = simd.mul_f32s(*v, factor);
    }
    let last = simd.mul_f32s(simd.partial_load_f32s(tail), factor);
    simd.partial_store_f32s(tail, last);
}

/// Dropout of consecutive elements of which the first has position `index`.
#[inline(always)]
pub(crate) fn drop_elements<S: Simd>(simd: S, dropout: Dropout, index: usize, values: &mut [f32]) {
    let (body, tail) = S::as_mut_simd_f32s(values);
    let mut position = index;
    for v in body {
        *v = simd.mul_f32s(*v, dropout::factors(simd, dropout, position));
        position += S::F32_LANES;
    }
    let last = simd.partial_load_f32s(tail);
    let last = simd.mul_f32s(last, dropout::factors(simd, dropout, position));
    simd.partial_store_f32s(tail, last);
}

/// Gradient for `qkv`.
pub(crate) fn gradient(
    sizes: Sizes,
    qkv: &[f32],
    probabilities: &[f32],
    gradient: &[f32],
    dropout: Option<Dropout>,
) -> Vec<f32> {
    let Sizes { tokens, heads, .. } = sizes;
    let dim = sizes.dim();
    let mut result = memory::zeros(qkv.len());
    if sizes.is_empty() {
        return result;
    }
    let run = |(index, result): (usize, &mut [f32])| {
        let square = heads * tokens * tokens;
        arch().dispatch(Gradient {
            sizes,
            qkv: &qkv[index * tokens * 3 * dim..][..tokens * 3 * dim],
            probabilities: &probabilities[index * square..][..square],
            gradient: &gradient[index * tokens * dim..][..tokens * dim],
            dropout,
            index,
            result,
        });
    };
    if sizes.shared() {
        result
            .par_chunks_mut(tokens * 3 * dim)
            .enumerate()
            .for_each(run);
    } else {
        result
            .chunks_mut(tokens * 3 * dim)
            .enumerate()
            .for_each(run);
    }
    result
}

/// One sequence of the batch, backwards.
struct Gradient<'a> {
    sizes: Sizes,
    qkv: &'a [f32],
    probabilities: &'a [f32],
    gradient: &'a [f32],
    dropout: Option<Dropout>,
    index: usize,
    result: &'a mut [f32],
}

impl WithSimd for Gradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            sizes,
            qkv,
            probabilities,
            gradient,
            dropout,
            index,
            result,
        } = self;
        let Sizes {
            tokens,
            heads,
            head_dim,
            ..
        } = sizes;
        let (dim, square) = (sizes.dim(), tokens * tokens);
        let scale = 1.0 / (head_dim as f32).sqrt();
        let block = QUERIES.min(tokens) * tokens;
        let mut storage = memory::take(Scratch::Right);
        let mut score_gradient = vec![0.0; block];
        let mut dropped = vec![0.0; if dropout.is_some() { block } else { 0 }];
        for head in 0..heads {
            let part = |part: usize, row: usize| {
                View::rows(
                    &qkv[row * 3 * dim + part * dim + head * head_dim..],
                    3 * dim,
                )
            };
            for first in (0..tokens).step_by(QUERIES) {
                let rows = QUERIES.min(tokens - first);
                let p = &probabilities[head * square + first * tokens..][..rows * tokens];
                let position = (index * heads + head) * square + first * tokens;
                let ds = &mut score_gradient[..rows * tokens];
                let g = View::rows(&gradient[first * dim + head * head_dim..], dim);
                let v = part(2, 0).transposed();
                let target = Target {
                    data: ds,
                    row_stride: tokens,
                    bias: None,
                    add: false,
                };
                matmul::serial(simd, g, v, [rows, head_dim, tokens], target, &mut storage);
                let kept = match dropout {
                    Some(dropout) => {
                        let kept = &mut dropped[..rows * tokens];
                        kept.copy_from_slice(p);
                        drop_elements(simd, dropout, position, kept);
                        drop_elements(simd, dropout, position, ds);
                        &*kept
                    }
                    None => p,
                };
                for (ds, p) in ds.chunks_exact_mut(tokens).zip(p.chunks_exact(tokens)) {
                    softmax_gradient(simd, ds, p, scale);
                }
                let (ds, kept) = (View::rows(ds, tokens), View::rows(kept, tokens));
                let mut put = |part: usize, row: usize, left, right, sizes, add| {
                    let data = &mut result[row * 3 * dim + part * dim + head * head_dim..];
                    let target = Target {
                        data,
                        row_stride: 3 * dim,
                        bias: None,
                        add,
                    };
                    matmul::serial(simd, left, right, sizes, target, &mut storage);
                };
                let again = first > 0;
                put(0, first, ds, part(1, 0), [rows, tokens, head_dim], false);
                put(
                    1,
                    0,
                    ds.transposed(),
                    part(0, first),
                    [tokens, rows, head_dim],
                    again,
                );
                put(2, 0, kept.transposed(), g, [tokens, rows, head_dim], again);
            }
        }
        memory::put_back(Scratch::Right, storage);
    }
}

/// `scale · p · (dp − Σ dp · p)`, in place of `dp`.
#[inline(always)]
pub(crate) fn softmax_gradient<S: Simd>(simd: S, dp: &mut [f32], p: &[f32], scale: f32) {
    let (p, p_tail) = S::as_simd_f32s(p);
    let (dp, dp_tail) = S::as_mut_simd_f32s(dp);
    let p_last = simd.partial_load_f32s(p_tail);
    let dp_last = simd.partial_load_f32s(dp_tail);
    let mut along = simd.mul_f32s(p_last, dp_last);
    for (dp, p) in dp.iter().zip(p) {
        along = simd.mul_add_f32s(*dp, *p, along);
    }
    let along = simd.splat_f32s(simd.reduce_sum_f32s(along));
    let scale = simd.splat_f32s(scale);
    for (dp, p) in dp.iter_mut().zip(p) {
        *dp = simd.mul_f32s(simd.mul_f32s(simd.sub_f32s(*dp, along), *p), scale);
    }
    let last = simd.mul_f32s(simd.mul_f32s(simd.sub_f32s(dp_last, along), p_last), scale);
    simd.partial_store_f32s(dp_tail, last);
}
