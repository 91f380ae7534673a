//! Attention where nobody asks for a gradient: the probabilities of a few queries at a time, never those of a sequence.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::attention_cpu::{Sizes, softmax};
use crate::matmul::{self, Target, View};
use crate::memory;
use crate::simd::{arch, worth_sharing};

/// Queries handled at a time: their scores against some hundreds of keys stay in the second-level cache.
const QUERIES: usize = 96;

/// Which keys a query attends to.
#[derive(Clone, Copy)]
pub(crate) enum Attend<'a> {
    /// All.
    All,
    /// Those whose entry of `[batch, tokens]` is not 0.
    Mask(&'a [f32]),
    /// Itself and earlier ones.
    Earlier,
}

/// `[batch, tokens, 3 · dim]` → `[batch, tokens, dim]`.
pub(crate) fn run(sizes: Sizes, qkv: &[f32], attend: Attend<'_>) -> Vec<f32> {
    let Sizes { batch, tokens, .. } = sizes;
    let dim = sizes.dim();
    let mut output = memory::zeros(batch * tokens * dim);
    if sizes.is_empty() {
        return output;
    }
    let threads = rayon::current_num_threads();
    let shared = worth_sharing(batch * tokens * (dim + tokens));
    // Few sequences are cut into ranges of queries. A row's bits do not depend on where.
    let rows = if shared && batch < threads {
        tokens.div_ceil(threads.div_ceil(batch))
    } else {
        tokens
    };
    let run = |index: usize, part: usize, output: &mut [f32]| {
        arch().dispatch(Range {
            sizes,
            qkv: &qkv[index * tokens * 3 * dim..][..tokens * 3 * dim],
            attend: match attend {
                Attend::Mask(mask) => Attend::Mask(&mask[index * tokens..][..tokens]),
                other => other,
            },
            first: part * rows,
            output,
        });
    };
    if shared {
        let sequences = output.par_chunks_mut(tokens * dim).enumerate();
        sequences.for_each(|(index, output)| {
            let ranges = output.par_chunks_mut(rows * dim).enumerate();
            ranges.for_each(|(part, output)| run(index, part, output));
        });
    } else {
        let sequences = output.chunks_mut(tokens * dim).enumerate();
        sequences.for_each(|(index, output)| run(index, 0, output));
    }
    output
}

/// A range of queries of one sequence.
struct Range<'a> {
    sizes: Sizes,
    qkv: &'a [f32],
    attend: Attend<'a>,
    first: usize,
    output: &'a mut [f32],
}

impl WithSimd for Range<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            sizes,
            qkv,
            attend,
            first,
            output,
        } = self;
        let Sizes {
            tokens,
            heads,
            head_dim,
            ..
        } = sizes;
        let dim = sizes.dim();
        let count = output.len() / dim;
        let scale = 1.0 / (head_dim as f32).sqrt();
        let mask = match attend {
            Attend::Mask(mask) => Some(mask),
            Attend::All | Attend::Earlier => None,
        };
        let (mut k_storage, mut v_storage) = (vec![], vec![]);
        let mut scores = vec![0.0; QUERIES.min(count) * tokens];
        for head in 0..heads {
            let part = |part: usize, row: usize| {
                let start = row * 3 * dim + part * dim + head * head_dim;
                View::rows(&qkv[start..], 3 * dim)
            };
            let k = part(1, 0).transposed();
            let k = matmul::pack(simd, k, head_dim, tokens, &mut k_storage);
            let v = matmul::pack(simd, part(2, 0), tokens, head_dim, &mut v_storage);
            for start in (0..count).step_by(QUERIES) {
                let rows = QUERIES.min(count - start);
                let p = &mut scores[..rows * tokens];
                let target = Target {
                    data: p,
                    row_stride: tokens,
                    bias: None,
                    add: false,
                };
                matmul::serial_packed(simd, part(0, first + start), k, rows, target);
                for (row, p) in p.chunks_exact_mut(tokens).enumerate() {
                    let seen = match attend {
                        Attend::Earlier => first + start + row + 1,
                        Attend::All | Attend::Mask(_) => tokens,
                    };
                    let (seen, later) = p.split_at_mut(seen);
                    softmax(simd, seen, mask, scale);
                    later.fill(0.0);
                }
                let target = Target {
                    data: &mut output[start * dim + head * head_dim..],
                    row_stride: dim,
                    bias: None,
                    add: false,
                };
                matmul::serial_packed(simd, View::rows(p, tokens), v, rows, target);
            }
        }
    }
}
