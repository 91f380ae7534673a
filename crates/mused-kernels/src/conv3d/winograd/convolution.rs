//! A convolution at stride 1, forward or of the gradient back to the inputs.

use std::marker::PhantomData;
use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::rows::{Side, Source, Tiles};
use super::transform::{Form, OUTPUTS, line, load, store};
use super::weights::{Weights, point_len, transformed};
use super::{VECTOR, panel_of, panels};
use crate::conv3d::gather::{DEPTH, Place, tile_of_width};
use crate::fetch::shared_out;
use crate::matmul::{TILE, aligned};
use crate::memory::{self, Scratch};
use crate::simd::arch;

/// Most tiles of a block, in whole rows. (28 to 84 took the same time, of 64 to 512 channels.)
const BLOCK: usize = 84;
/// Tiles of a share of the work where there are shares enough for all threads: so often is each transformed weight used.
const SHARE: usize = 64;

/// `[batch · positions of to, its channels]`.
pub(super) fn convolution<F: Form<SIDE, TAPS>, const SIDE: usize, const TAPS: usize>(
    batch: usize,
    [from, to]: [Side; 2],
    padding: [usize; 3],
    x: &[f32],
    weights: Weights<'_>,
) -> Vec<f32> {
    let tiles = Tiles::of(batch, to);
    let source = Source::new(tiles, from, padding, x);
    let channels = [from.values(), to.values()];
    let mut storage = memory::take_weights();
    let weights = transformed::<F, SIDE, TAPS>(&weights.in_order(), channels, &mut storage);
    let line = to.grid[2] * to.channels;
    let mut out = memory::zeros(tiles.lines_before(tiles.layers()) * line);
    let mut rest = &mut out[..];
    let layers = tiles.layers();
    let shares = (tiles.count() / SHARE).max(1);
    let shares = shares
        .next_multiple_of(rayon::current_num_threads())
        .min(layers);
    let tasks: Vec<_> = (0..shares)
        .map(|share| {
            let layers = layers * share / shares..layers * (share + 1) / shares;
            let first_line = tiles.lines_before(layers.start);
            let lines = tiles.lines_before(layers.end) - first_line;
            let (out, later) = std::mem::take(&mut rest).split_at_mut(lines * line);
            rest = later;
            Share::<F, SIDE, TAPS> {
                form: PhantomData,
                tiles,
                source: &source,
                weights,
                channels,
                rows: layers.start * tiles.grid[1]..layers.end * tiles.grid[1],
                out: Outputs {
                    tiles,
                    to,
                    first_line,
                    out,
                },
            }
        })
        .collect();
    tasks
        .into_par_iter()
        .with_max_len(1)
        .for_each(|task| arch().dispatch(task));
    memory::put_back_weights(storage);
    out
}

/// Some layers of tiles on one thread, block by block, a line of points at a time.
struct Share<'a, F, const SIDE: usize, const TAPS: usize> {
    form: PhantomData<F>,
    tiles: Tiles,
    source: &'a Source<'a, SIDE>,
    weights: &'a [f32],
    channels: [usize; 2],
    /// Rows of tiles.
    rows: Range<usize>,
    out: Outputs<'a>,
}

impl<F: Form<SIDE, TAPS>, const SIDE: usize, const TAPS: usize> WithSimd
    for Share<'_, F, SIDE, TAPS>
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let ([inputs, outputs], width) = (self.channels, self.tiles.grid[2]);
        let blocks = self.rows.len().div_ceil((BLOCK / width).max(1));
        let most = self.rows.len().div_ceil(blocks);
        let (mut left, mut right) = (memory::take(Scratch::Left), memory::take(Scratch::Right));
        for first in self.rows.clone().step_by(most) {
            let block = first..self.rows.end.min(first + most);
            let count = block.len() * width;
            let rows = self.source.rows(block.clone(), 0..self.source.parts());
            // A cache line more: at distances of powers of two they would compete for a few places of the caches.
            let (stride, out_stride) = (count * inputs + VECTOR, count * outputs + VECTOR);
            let (plane, rest) = aligned(
                &mut left,
                rows.plane_len() + rows.line_len() + SIDE * stride,
            )
            .split_at_mut(rows.plane_len());
            let (buffer, transformed) = rest.split_at_mut(rows.line_len());
            let (products, sums) = aligned(&mut right, (SIDE + OUTPUTS.pow(3)) * out_stride)
                .split_at_mut(SIDE * out_stride);
            sums.fill(0.0);
            for z in 0..SIDE {
                rows.depth(simd, &F::OF_INPUT[z], plane);
                for y in 0..SIDE {
                    rows.line(
                        simd,
                        &F::OF_INPUT,
                        y,
                        plane,
                        buffer,
                        #[inline(always)]
                        |x, tile, channel, value| {
                            store::<S>(transformed, x * stride + tile * inputs + channel, value);
                        },
                    );
                    for x in 0..SIDE {
                        let point = (z * SIDE + y) * SIDE + x;
                        let weights = &self.weights[point * point_len(self.channels)..];
                        let rows = &transformed[x * stride..][..count * inputs];
                        let out = &mut products[x * out_stride..][..count * outputs];
                        for (column, width) in panels::<S>(outputs) {
                            let panel = &weights[column * inputs..];
                            let out = &mut out[count * column..][..count * width];
                            product(simd, rows, inputs, panel, width, out);
                        }
                    }
                    let len = count * outputs;
                    add_line::<S, F, SIDE, TAPS>(simd, [z, y], len, out_stride, products, sums);
                }
            }
            for row in block.clone() {
                let first = (row - block.start) * width;
                self.out.write(row, |output, tile, value| {
                    let (column, width) = panel_of::<S>(value, outputs);
                    let at = count * column + (first + tile) * width + value - column;
                    &sums[output * out_stride + at..]
                });
            }
        }
        memory::put_back(Scratch::Left, left);
        memory::put_back(Scratch::Right, right);
    }
}

/// Some layers of outputs.
pub(super) struct Outputs<'a> {
    pub(super) tiles: Tiles,
    pub(super) to: Side,
    /// The first line of `out`.
    pub(super) first_line: usize,
    pub(super) out: &'a mut [f32],
}

impl Outputs<'_> {
    /// Those of a row of tiles that are not past the edge. `from`: what begins with a vector, of an output of a tile, a tile of the
    /// row and the first value.
    #[inline(always)]
    pub(super) fn write<'f>(
        &mut self,
        row: usize,
        from: impl Fn(usize, usize, usize) -> &'f [f32],
    ) {
        let Side {
            grid: [d, h, w],
            channels,
            phases,
        } = self.to;
        let (volume, [first_z, first_y]) = self.tiles.place(row);
        for part in 0..OUTPUTS * OUTPUTS * self.to.parts() {
            let (corner, part) = (part / self.to.parts(), part % self.to.parts());
            let z = phases * (first_z + corner / OUTPUTS) + part / phases;
            let y = phases * (first_y + corner % OUTPUTS) + part % phases;
            if z >= d || y >= h {
                continue;
            }
            let line = ((volume * d + z) * h + y - self.first_line) * w * channels;
            let line = &mut self.out[line..][..w * channels];
            for (at, to) in line.chunks_mut(self.to.part()).enumerate() {
                let output = corner * OUTPUTS + at % OUTPUTS;
                for (vector, to) in to.as_chunks_mut::<VECTOR>().0.iter_mut().enumerate() {
                    let value = part * self.to.part() + vector * VECTOR;
                    to.copy_from_slice(&from(output, at / OUTPUTS, value)[..VECTOR]);
                }
            }
        }
    }
}

/// Adds `Aᵀ m` of a line of points: `len` values each, at a stride.
#[inline(always)]
pub(super) fn add_line<S: Simd, F: Form<SIDE, TAPS>, const SIDE: usize, const TAPS: usize>(
    simd: S,
    [z, y]: [usize; 2],
    len: usize,
    stride: usize,
    products: &[f32],
    sums: &mut [f32],
) {
    for at in (0..len).step_by(S::F32_LANES) {
        let mut values = [simd.splat_f32s(0.0); SIDE];
        for (x, value) in values.iter_mut().enumerate() {
            *value = load::<S>(products, x * stride + at);
        }
        let values = line(simd, &F::OF_PRODUCTS, values);
        for corner in 0..OUTPUTS * OUTPUTS {
            let factor = F::OF_PRODUCTS[corner / OUTPUTS][z] * F::OF_PRODUCTS[corner % OUTPUTS][y];
            if factor == 0.0 {
                continue;
            }
            let factor = simd.splat_f32s(factor);
            for (x, value) in values.into_iter().enumerate() {
                let at = (corner * OUTPUTS + x) * stride + at;
                let sum = load::<S>(sums, at);
                store::<S>(sums, at, simd.mul_add_f32s(factor, value, sum));
            }
        }
    }
}

/// Rows of `depth` values times the panel that `weights` begins with.
#[inline(always)]
pub(super) fn product<S: Simd>(
    simd: S,
    rows: &[f32],
    depth: usize,
    weights: &[f32],
    width: usize,
    out: &mut [f32],
) {
    let last = rows.len() / depth - 1;
    let tiles = (last + 1).div_ceil(TILE);
    for first in (0..depth).step_by(DEPTH) {
        let count = DEPTH.min(depth - first);
        let (panel, next) = weights[first * width..].split_at(count * width);
        // What lies behind the panel is read next, by another of these products.
        let mut next = shared_out(&next[..next.len().min(panel.len())], tiles);
        let pieces = [(first, count)];
        for (six, out) in out.chunks_mut(TILE * width).enumerate() {
            let begins = std::array::from_fn(|r| (six * TILE + r).min(last) * depth);
            let place = Place {
                out,
                add: first > 0,
                next: next.next().unwrap_or_default(),
            };
            tile_of_width(simd, rows, begins, &pieces, panel, width, place);
        }
    }
}
