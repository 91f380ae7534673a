//! Attention of a few tokens without keys and values. Each query is taken back to the tokens' own space, once a head: its
//! scores are its products with the tokens, and what it gets is the value of the tokens' mean.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::attention_cpu::{drop_elements, softmax, softmax_gradient};
use crate::dropout::Dropout;
use crate::layer_norm_cpu::column_sums;
use crate::matmul::{self, Target, View};
use crate::memory::{self, Scratch};
use crate::simd::{arch, worth_sharing};

#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) batch: usize,
    pub(crate) tokens: usize,
    pub(crate) read: usize,
    pub(crate) heads: usize,
    pub(crate) dim: usize,
}

impl Sizes {
    fn head_dim(self) -> usize {
        self.dim / self.heads
    }

    /// Queries of a sequence, one a head.
    fn queries(self) -> usize {
        self.read * self.heads
    }

    fn is_empty(self) -> bool {
        self.batch * self.read * self.dim == 0
    }

    /// Where the probabilities of a query stand among those of all tokens, `[batch, heads, tokens, tokens]`: dropout
    /// acts on the same ones whichever way they are computed.
    fn position(self, sequence: usize, query: usize) -> usize {
        let (token, head) = (query / self.heads, query % self.heads);
        ((sequence * self.heads + head) * self.tokens + token) * self.tokens
    }
}

/// `x`, `[batch, tokens, dim]`, the weight, `[dim, 3 · dim]`, and the bias, `[3 · dim]`.
#[derive(Clone, Copy)]
pub(crate) struct Inputs<'a> {
    pub(crate) x: &'a [f32],
    pub(crate) weight: &'a [f32],
    pub(crate) bias: &'a [f32],
}

impl<'a> Inputs<'a> {
    /// The part of the weight that makes queries (0), keys (1) or values (2).
    fn weight(self, sizes: Sizes, part: usize) -> View<'a> {
        View::rows(&self.weight[part * sizes.dim..], 3 * sizes.dim)
    }

    /// The tokens that are read, `[batch · read, dim]`.
    fn first(self, sizes: Sizes) -> Vec<f32> {
        let sequences = self.x.chunks_exact(sizes.tokens * sizes.dim);
        let first = sequences.flat_map(|tokens| &tokens[..sizes.read * sizes.dim]);
        first.copied().collect()
    }
}

/// What the gradient needs.
pub(crate) struct Kept<T> {
    /// `[batch · read, dim]`
    pub(crate) queries: T,
    /// The queries of each head in the space of the tokens, `[batch · read, heads, dim]`.
    pub(crate) taken_back: T,
    /// Before dropout, `[batch · read, heads, tokens]`.
    pub(crate) probabilities: T,
    /// Means of the tokens by them, after dropout, `[batch · read, heads, dim]`.
    pub(crate) means: T,
    /// Their sums, after dropout, `[batch · read, heads]`.
    pub(crate) sums: T,
}

/// A product for each head: `[rows, inner] · [inner, columns]`.
struct ByHead<'a> {
    /// Of the first head, and how far on the next one's begin.
    left: (View<'a>, usize),
    right: (View<'a>, usize),
    heads: usize,
    sizes: [usize; 3],
}

impl ByHead<'_> {
    /// Writes them into rows of `stride` values, head by head `columns` apart from `first` on.
    fn write(&self, out: &mut [f32], stride: usize, first: usize) {
        let [rows, inner, columns] = self.sizes;
        let part = |first_row: usize, out| {
            arch().dispatch(PartByHead {
                of: self,
                first_row,
                out,
                stride,
                first,
            });
        };
        let out = &mut out[..rows * stride];
        let threads = matmul::threads([rows, inner, columns * self.heads]);
        if threads > 1 {
            // A row's bits do not depend on where they are cut.
            let share = rows.div_ceil(threads).next_multiple_of(matmul::TILE);
            let parts = out.par_chunks_mut(share * stride).enumerate();
            parts.for_each(|(index, out)| part(index * share, out));
        } else {
            part(0, out);
        }
    }
}

struct PartByHead<'a> {
    of: &'a ByHead<'a>,
    first_row: usize,
    out: &'a mut [f32],
    stride: usize,
    first: usize,
}

impl WithSimd for PartByHead<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            of,
            first_row,
            out,
            stride,
            first,
        } = self;
        let [_, inner, columns] = of.sizes;
        let rows = out.len() / stride;
        let ((left, left_step), (right, right_step)) = (of.left, of.right);
        let mut storage = memory::take(Scratch::Right);
        for head in 0..of.heads {
            let left = left.from(first_row * left.row_stride + head * left_step);
            let right = right.from(head * right_step);
            let target = rows_of(&mut out[first + head * columns..], stride);
            let sizes = [rows, inner, columns];
            matmul::serial(simd, left, right, sizes, target, &mut storage);
        }
        memory::put_back(Scratch::Right, storage);
    }
}

/// The output, `[batch, read, dim]`, and what the gradient needs.
pub(crate) fn forward(
    sizes: Sizes,
    inputs: Inputs<'_>,
    mask: Option<&[f32]>,
    dropout: Option<Dropout>,
) -> (Vec<f32>, Kept<Vec<f32>>) {
    let Sizes {
        batch,
        tokens,
        read,
        heads,
        dim,
    } = sizes;
    let (rows, queries, head_dim) = (batch * read, sizes.queries(), sizes.head_dim());
    let zeros = |width: usize| vec![0.0; rows * width];
    let mut output = zeros(dim);
    let mut kept = Kept {
        queries: zeros(dim),
        taken_back: zeros(heads * dim),
        probabilities: zeros(heads * tokens),
        means: zeros(heads * dim),
        sums: zeros(heads),
    };
    if sizes.is_empty() {
        return (output, kept);
    }
    let first = inputs.first(sizes);
    let bias = &inputs.bias[..dim];
    let first = View::rows(&first, dim);
    kept.queries = matmul::product(first, inputs.weight(sizes, 0), Some(bias), [rows, dim, dim]);
    ByHead {
        left: (View::rows(&kept.queries, dim), head_dim),
        right: (inputs.weight(sizes, 1).transposed(), head_dim),
        heads,
        sizes: [rows, head_dim, dim],
    }
    .write(&mut kept.taken_back, heads * dim, 0);
    let run = |(index, ((probabilities, means), sums))| {
        arch().dispatch(Forward {
            sizes,
            index,
            x: &inputs.x[index * tokens * dim..][..tokens * dim],
            taken_back: &kept.taken_back[index * queries * dim..][..queries * dim],
            mask: mask.map(|mask| &mask[index * tokens..][..tokens]),
            dropout,
            probabilities,
            means,
            sums,
        });
    };
    let lens = [queries * tokens, queries * dim, queries];
    if shared(sizes) {
        let parts = (kept.probabilities.par_chunks_mut(lens[0]))
            .zip(kept.means.par_chunks_mut(lens[1]))
            .zip(kept.sums.par_chunks_mut(lens[2]));
        parts.enumerate().for_each(run);
    } else {
        let parts = (kept.probabilities.chunks_mut(lens[0]))
            .zip(kept.means.chunks_mut(lens[1]))
            .zip(kept.sums.chunks_mut(lens[2]));
        parts.enumerate().for_each(run);
    }
    ByHead {
        left: (View::rows(&kept.means, heads * dim), dim),
        right: (inputs.weight(sizes, 2), head_dim),
        heads,
        sizes: [rows, dim, head_dim],
    }
    .write(&mut output, dim, 0);
    let bias = &inputs.bias[2 * dim..];
    for (row, sums) in output.chunks_exact_mut(dim).zip(kept.sums.chunks(heads)) {
        let values = row.chunks_exact_mut(head_dim);
        for ((values, bias), sum) in values.zip(bias.chunks_exact(head_dim)).zip(sums) {
            for (value, bias) in values.iter_mut().zip(bias) {
                *value += sum * bias;
            }
        }
    }
    (output, kept)
}

/// Whether sequences are worth handing to several threads.
fn shared(sizes: Sizes) -> bool {
    sizes.batch > 1 && worth_sharing(sizes.batch * sizes.tokens * (sizes.dim + sizes.queries()))
}

/// One sequence of the batch.
struct Forward<'a> {
    sizes: Sizes,
    index: usize,
    x: &'a [f32],
    taken_back: &'a [f32],
    mask: Option<&'a [f32]>,
    dropout: Option<Dropout>,
    probabilities: &'a mut [f32],
    means: &'a mut [f32],
    sums: &'a mut [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            sizes,
            index,
            x,
            taken_back,
            mask,
            dropout,
            probabilities,
            means,
            sums,
        } = self;
        let Sizes { tokens, dim, .. } = sizes;
        let queries = sizes.queries();
        let scale = 1.0 / (sizes.head_dim() as f32).sqrt();
        let mut storage = memory::take(Scratch::Right);
        let x = View::rows(x, dim);
        let scores = [queries, dim, tokens];
        let taken_back = View::rows(taken_back, dim);
        let target = rows_of(probabilities, tokens);
        matmul::serial(
            simd,
            taken_back,
            x.transposed(),
            scores,
            target,
            &mut storage,
        );
        for row in probabilities.chunks_exact_mut(tokens) {
            softmax(simd, row, mask, scale);
        }
        let mut dropped = vec![];
        let kept = dropped_out(simd, sizes, index, dropout, probabilities, &mut dropped);
        for (row, sum) in kept.chunks_exact(tokens).zip(sums) {
            *sum = row.iter().sum();
        }
        let (kept, target) = (View::rows(kept, tokens), rows_of(means, dim));
        let sizes = [queries, tokens, dim];
        matmul::serial(simd, kept, x, sizes, target, &mut storage);
        memory::put_back(Scratch::Right, storage);
    }
}

/// Rows one after another, to be replaced.
fn rows_of(data: &mut [f32], row_stride: usize) -> Target<'_> {
    Target {
        data,
        row_stride,
        bias: None,
        add: false,
    }
}

/// A sequence's probabilities after dropout, in `storage` where there is any.
#[inline(always)]
fn dropped_out<'a, S: Simd>(
    simd: S,
    sizes: Sizes,
    index: usize,
    dropout: Option<Dropout>,
    probabilities: &'a [f32],
    storage: &'a mut Vec<f32>,
) -> &'a [f32] {
    let Some(dropout) = dropout else {
        return probabilities;
    };
    storage.extend_from_slice(probabilities);
    for (query, row) in storage.chunks_exact_mut(sizes.tokens).enumerate() {
        drop_elements(simd, dropout, sizes.position(index, query), row);
    }
    storage
}

/// Gradients for `x`, the weight and the bias.
pub(crate) fn gradient(
    sizes: Sizes,
    inputs: Inputs<'_>,
    kept: &Kept<&[f32]>,
    gradient: &[f32],
    dropout: Option<Dropout>,
) -> [Vec<f32>; 3] {
    let Sizes {
        batch,
        tokens,
        read,
        heads,
        dim,
    } = sizes;
    let (rows, queries, head_dim) = (batch * read, sizes.queries(), sizes.head_dim());
    let mut x_gradient = vec![0.0; inputs.x.len()];
    let mut weight_gradient = vec![0.0; inputs.weight.len()];
    let mut bias_gradient = vec![0.0; inputs.bias.len()];
    if sizes.is_empty() {
        return [x_gradient, weight_gradient, bias_gradient];
    }
    let wide = heads * dim;
    let of_output = (View::rows(gradient, dim), head_dim);

    // Values of the means.
    let mut of_means = vec![0.0; rows * wide];
    ByHead {
        left: of_output,
        right: (inputs.weight(sizes, 2).transposed(), head_dim),
        heads,
        sizes: [rows, head_dim, dim],
    }
    .write(&mut of_means, wide, 0);
    ByHead {
        left: (View::rows(kept.means, wide).transposed(), dim),
        right: of_output,
        heads,
        sizes: [dim, rows, head_dim],
    }
    .write(&mut weight_gradient, 3 * dim, 2 * dim);
    // A softmax does not feel the keys' bias: its gradient stays 0.
    let mut of_sums = vec![0.0; rows * heads];
    let (value_bias, of_bias) = (&inputs.bias[2 * dim..], &mut bias_gradient[2 * dim..]);
    let all = gradient.chunks_exact(head_dim).zip(kept.sums);
    for (place, ((gradient, sum), of_sum)) in all.zip(&mut of_sums).enumerate() {
        let at = place % heads * head_dim;
        let biases = value_bias[at..].iter().zip(&mut of_bias[at..]);
        for (gradient, (bias, of_bias)) in gradient.iter().zip(biases) {
            *of_sum += gradient * bias;
            *of_bias += gradient * sum;
        }
    }

    // Means and scores, a sequence at a time.
    let mut of_taken_back = vec![0.0; rows * wide];
    let run = |(index, (x_gradient, of_taken_back)): (usize, (&mut [f32], &mut [f32]))| {
        arch().dispatch(Gradient {
            sizes,
            index,
            x: &inputs.x[index * tokens * dim..][..tokens * dim],
            taken_back: &kept.taken_back[index * queries * dim..][..queries * dim],
            probabilities: &kept.probabilities[index * queries * tokens..][..queries * tokens],
            of_means: &of_means[index * queries * dim..][..queries * dim],
            of_sums: &of_sums[index * queries..][..queries],
            dropout,
            x_gradient,
            of_taken_back,
        });
    };
    let lens = [tokens * dim, queries * dim];
    if shared(sizes) {
        let parts = x_gradient.par_chunks_mut(lens[0]);
        let parts = parts.zip(of_taken_back.par_chunks_mut(lens[1]));
        parts.enumerate().for_each(run);
    } else {
        let parts = x_gradient.chunks_mut(lens[0]);
        let parts = parts.zip(of_taken_back.chunks_mut(lens[1]));
        parts.enumerate().for_each(run);
    }

    // Queries.
    let of_taken_back = View::rows(&of_taken_back, wide);
    let mut of_queries = vec![0.0; rows * dim];
    ByHead {
        left: (of_taken_back, dim),
        right: (inputs.weight(sizes, 1), head_dim),
        heads,
        sizes: [rows, dim, head_dim],
    }
    .write(&mut of_queries, dim, 0);
    ByHead {
        left: (of_taken_back.transposed(), dim),
        right: (View::rows(kept.queries, dim), head_dim),
        heads,
        sizes: [dim, rows, head_dim],
    }
    .write(&mut weight_gradient, 3 * dim, dim);
    let (first, of_queries_rows) = (inputs.first(sizes), View::rows(&of_queries, dim));
    ByHead {
        left: (View::rows(&first, dim).transposed(), 0),
        right: (of_queries_rows, 0),
        heads: 1,
        sizes: [dim, rows, dim],
    }
    .write(&mut weight_gradient, 3 * dim, 0);
    bias_gradient[..dim].copy_from_slice(&column_sums(&of_queries, dim));
    let weight = inputs.weight(sizes, 0).transposed();
    let of_first = matmul::product(of_queries_rows, weight, None, [rows, dim, dim]);
    let sequences = x_gradient.chunks_exact_mut(tokens * dim);
    for (tokens, first) in sequences.zip(of_first.chunks_exact(read * dim)) {
        for (sum, value) in tokens.iter_mut().zip(first) {
            *sum += value;
        }
    }
    [x_gradient, weight_gradient, bias_gradient]
}

/// One sequence of the batch, backwards.
struct Gradient<'a> {
    sizes: Sizes,
    index: usize,
    x: &'a [f32],
    taken_back: &'a [f32],
    probabilities: &'a [f32],
    of_means: &'a [f32],
    of_sums: &'a [f32],
    dropout: Option<Dropout>,
    x_gradient: &'a mut [f32],
    of_taken_back: &'a mut [f32],
}

impl WithSimd for Gradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            sizes,
            index,
            x,
            taken_back,
            probabilities,
            of_means,
            of_sums,
            dropout,
            x_gradient,
            of_taken_back,
        } = self;
        let Sizes { tokens, dim, .. } = sizes;
        let queries = sizes.queries();
        let scale = 1.0 / (sizes.head_dim() as f32).sqrt();
        let mut storage = memory::take(Scratch::Right);
        let x = View::rows(x, dim);
        let mut of_scores = vec![0.0; queries * tokens];
        let of_means = View::rows(of_means, dim);
        let scores = [queries, dim, tokens];
        let target = rows_of(&mut of_scores, tokens);
        matmul::serial(simd, of_means, x.transposed(), scores, target, &mut storage);
        for (row, of_sum) in of_scores.chunks_exact_mut(tokens).zip(of_sums) {
            for value in row {
                *value += of_sum;
            }
        }
        let mut dropped = vec![];
        let kept = dropped_out(simd, sizes, index, dropout, probabilities, &mut dropped);
        let rows = of_scores.chunks_exact_mut(tokens);
        for (query, (row, p)) in rows.zip(probabilities.chunks_exact(tokens)).enumerate() {
            if let Some(dropout) = dropout {
                drop_elements(simd, dropout, sizes.position(index, query), row);
            }
            softmax_gradient(simd, row, p, scale);
        }
        let of_scores = View::rows(&of_scores, tokens);
        let (forth, back) = ([queries, tokens, dim], [tokens, queries, dim]);
        let target = rows_of(of_taken_back, dim);
        matmul::serial(simd, of_scores, x, forth, target, &mut storage);
        let (kept, target) = (View::rows(kept, tokens), rows_of(x_gradient, dim));
        matmul::serial(
            simd,
            kept.transposed(),
            of_means,
            back,
            target,
            &mut storage,
        );
        let taken_back = View::rows(taken_back, dim);
        let target = Target {
            add: true,
            ..rows_of(x_gradient, dim)
        };
        matmul::serial(
            simd,
            of_scores.transposed(),
            taken_back,
            back,
            target,
            &mut storage,
        );
        memory::put_back(Scratch::Right, storage);
    }
}
