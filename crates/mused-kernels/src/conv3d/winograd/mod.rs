//! Convolutions with kernels of 3³ at stride 1 by fewer multiplications: F(2³, 3³) of Winograd, as in Lavin & Gray,
//! "Fast algorithms for convolutional neural networks" (CVPR 2016), along three axes.
//!
//! A tile of 2³ outputs comes from 4³ inputs by 64 products instead of 216: along each axis
//! `y = Aᵀ [(G g) ⊙ (Bᵀ d)]`, so that a convolution becomes 64 matrix products (tiles × in · in × out). The gradient of the
//! weights is the same sum the other way round: `Gᵀ [Σ (A y') ⊙ (Bᵀ d)]` over all tiles. The constants are 0, 1 and ½, hence
//! an error of the order of the direct form's: on eight shapes of 32 to 128 channels at most 5.4e-7 of the largest value
//! forward and for the input, 7.3e-7 for the weights, where the direct form has 3.8e-7 (against f64). An element's sum is
//! formed in an order that no number of threads changes.

mod transform;
mod weight_gradient;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::cpu::{Padded, Sizes};
use super::gather::{lanes, panel_width};
use crate::matmul::{TILE, aligned};
use crate::memory::{self, Scratch};
use crate::simd::arch;
use transform::{
    OF_INPUT, OF_PRODUCTS, OF_WEIGHTS, OUTPUTS, SIDE, TAPS, cube, line, lines, load, store,
    weighted,
};

pub(super) use weight_gradient::weight_gradient;

/// Products of a tile.
const POINTS: usize = SIDE * SIDE * SIDE;
/// Channels come in whole vectors, whatever their length here. So many values are a cache line.
const VECTOR: usize = 16;
/// Fewest and most channels. Measured (AMD EPYC without AVX-512, processor time against the direct form, two threads):
/// .51 to .71 for 64 channels, .36 to .61 for 128. More have too few tiles to use each transformed weight often. Wide
/// vectors have fewer: on an Intel Xeon a first form of this took as long for 64 channels, and longer for 128.
const FEWEST: usize = 32;
const MOST: usize = 128;
const MOST_OF_WIDE_VECTORS: usize = 64;
/// Transformed values of a block of tiles: they stay near the second-level cache.
const BLOCK_VALUES: usize = 1 << 17;
/// Fewest tiles of a block, and of a layer: so often is a transformed weight used when it has come from a far cache.
const BLOCK_TILES: usize = 24;

/// Whether a convolution is made in this way.
pub(super) fn serves(sizes: &Sizes) -> bool {
    let most = match lanes() < VECTOR {
        true => MOST,
        false => MOST_OF_WIDE_VECTORS,
    };
    let fits =
        |channels: usize| (FEWEST..=most).contains(&channels) && channels.is_multiple_of(VECTOR);
    let tiles = Tiles::of(sizes);
    sizes.kernel == [TAPS; 3]
        && sizes.window.stride == [1; 3]
        && sizes.window.padding.iter().all(|&n| n < TAPS)
        && fits(sizes.inputs)
        && fits(sizes.outputs)
        && tiles.layer() >= BLOCK_TILES
        // Tiles that reach far past the edges would be as many products again.
        && tiles.count() * 8 <= 2 * sizes.positions()
}

/// The tiles of 2³ outputs of a batch, by layers of one depth.
#[derive(Clone, Copy)]
struct Tiles {
    batch: usize,
    output: [usize; 3],
    grid: [usize; 3],
}

impl Tiles {
    fn of(sizes: &Sizes) -> Self {
        Self {
            batch: sizes.batch,
            output: sizes.output,
            grid: sizes.output.map(|n| n.div_ceil(OUTPUTS)),
        }
    }

    fn count(&self) -> usize {
        self.batch * self.grid[0] * self.layer()
    }

    /// Tiles of a layer.
    fn layer(&self) -> usize {
        self.grid[1] * self.grid[2]
    }

    /// Volume of a tile and where its first output lies.
    fn place(&self, tile: usize) -> (usize, [usize; 3]) {
        let [d, h, w] = self.grid;
        let (line, x) = (tile / w, tile % w);
        let (layer, y) = (line / h, line % h);
        (layer / d, [layer % d, y, x].map(|n| OUTPUTS * n))
    }

    /// Zeros behind each axis, so that the last tile is whole.
    fn behind(&self, padding: [usize; 3]) -> [usize; 3] {
        [0, 1, 2].map(|axis| padding[axis] + OUTPUTS * self.grid[axis] - self.output[axis])
    }

    /// The planes of each layer of tiles, of `channels` values a position.
    fn planes<'o>(&self, mut out: &'o mut [f32], channels: usize) -> Vec<&'o mut [f32]> {
        let plane = self.output[1] * self.output[2] * channels;
        let mut planes = vec![];
        for _ in 0..self.batch {
            for layer in 0..self.grid[0] {
                let depth = OUTPUTS.min(self.output[0] - OUTPUTS * layer);
                let (now, later) = out.split_at_mut(depth * plane);
                planes.push(now);
                out = later;
            }
        }
        planes
    }
}

/// `[batch · positions, out]`.
pub(super) fn forward(sizes: Sizes, x: &[f32], weight: &[f32]) -> Vec<f32> {
    convolution(sizes, x, weight, sizes.window.padding)
}

/// `[batch · input positions, in]`: a convolution of the gradient, from outputs to inputs.
pub(super) fn input_gradient(sizes: Sizes, gradient: &[f32], weight: &[f32]) -> Vec<f32> {
    let back = Sizes {
        input: sizes.output,
        inputs: sizes.outputs,
        output: sizes.input,
        outputs: sizes.inputs,
        ..sizes
    };
    let weight = backward(weight, sizes.inputs, sizes.outputs);
    let padding = sizes.window.padding.map(|n| TAPS - 1 - n);
    convolution(back, gradient, &weight, padding)
}

/// `[27, out, in]` of `[27, in, out]`, taps from last to first: what the gradient meets.
fn backward(weight: &[f32], inputs: usize, outputs: usize) -> Vec<f32> {
    let mut back = vec![0.0; weight.len()];
    let size = inputs * outputs;
    let taps = back.par_chunks_mut(size).zip(weight.par_chunks(size).rev());
    taps.for_each(|(back, tap)| {
        for (input, values) in tap.chunks_exact(outputs).enumerate() {
            for (row, value) in back.chunks_exact_mut(inputs).zip(values) {
                row[input] = *value;
            }
        }
    });
    back
}

fn convolution(sizes: Sizes, x: &[f32], weight: &[f32], padding: [usize; 3]) -> Vec<f32> {
    let tiles = Tiles::of(&sizes);
    let Sizes {
        batch,
        input,
        inputs,
        outputs,
        ..
    } = sizes;
    let padded = Padded::new(x, batch, input, inputs, padding, tiles.behind(padding));
    let mut storage = vec![];
    let weights = transform_weights(weight, [inputs, outputs], &mut storage);
    let lines = padded.lines([SIDE; 2]);
    let mut out = vec![0.0; sizes.positions() * outputs];
    tiles
        .planes(&mut out, outputs)
        .into_par_iter()
        .with_max_len(1)
        .enumerate()
        .for_each(|(layer, planes)| {
            arch().dispatch(Layer {
                tiles,
                padded: &padded,
                lines: &lines,
                weights,
                channels: [inputs, outputs],
                first: layer * tiles.layer(),
                planes,
            });
        });
    out
}

/// First column and width of the panels of so many columns.
fn panels(columns: usize) -> impl Iterator<Item = (usize, usize)> {
    let width = panel_width();
    let firsts = (0..columns).step_by(width);
    firsts.map(move |first| (first, width.min(columns - first)))
}

/// Weights `[27, rows, columns]` transformed: for each panel of columns, for each point, rows of the panel's width.
fn transform_weights<'s>(
    weight: &[f32],
    [rows, columns]: [usize; 2],
    storage: &'s mut Vec<f32>,
) -> &'s [f32] {
    let begins: Vec<usize> = (0..TAPS * TAPS)
        .map(|line| line * TAPS * rows * columns)
        .collect();
    let all = aligned(storage, POINTS * rows * columns);
    let mut tasks = vec![];
    let mut rest = &mut *all;
    for (column, width) in panels(columns) {
        for at in 0..SIDE * SIDE {
            let (out, later) = rest.split_at_mut(SIDE * rows * width);
            rest = later;
            tasks.push(TransformWeights {
                weight,
                lines: lines(&OF_WEIGHTS, [at / SIDE, at % SIDE], &begins),
                sizes: [rows, columns],
                column,
                width,
                out,
            });
        }
    }
    tasks.into_par_iter().for_each(|task| arch().dispatch(task));
    all
}

/// Four points of a panel.
struct TransformWeights<'a> {
    weight: &'a [f32],
    lines: Vec<(usize, f32)>,
    sizes: [usize; 2],
    column: usize,
    width: usize,
    out: &'a mut [f32],
}

impl WithSimd for TransformWeights<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let ([rows, columns], width) = (self.sizes, self.width);
        for row in 0..rows {
            for lane in (0..width).step_by(S::F32_LANES) {
                let at = row * columns + self.column + lane;
                let taps = weighted(simd, self.weight, &self.lines, at, rows * columns);
                for (x, value) in line(simd, &OF_WEIGHTS, taps).into_iter().enumerate() {
                    store::<S>(self.out, (x * rows + row) * width + lane, value);
                }
            }
        }
    }
}

/// A layer of tiles on one thread, block by block. Values of a point lie together (a product reads rows one after another),
/// a cache line between two points: at distances of powers of two they would compete for a few places of the caches.
struct Layer<'a> {
    tiles: Tiles,
    padded: &'a Padded<'a>,
    /// Where the lines of a tile begin.
    lines: &'a [usize],
    weights: &'a [f32],
    channels: [usize; 2],
    /// Number of its first tile.
    first: usize,
    planes: &'a mut [f32],
}

impl WithSimd for Layer<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let count = self.tiles.layer();
        let most = (BLOCK_VALUES / (POINTS * self.channels[0])).max(BLOCK_TILES);
        let most = count.div_ceil((count / most).max(1));
        let [inputs, outputs] = self.channels;
        let (mut left, mut right) = (memory::take(Scratch::Left), memory::take(Scratch::Right));
        for first in (0..count).step_by(most) {
            let tiles = most.min(count - first);
            let first = self.first + first;
            let (stride, out_stride) = (tiles * inputs + VECTOR, tiles * outputs + VECTOR);
            let transformed = aligned(&mut left, POINTS * stride);
            let products = aligned(&mut right, POINTS * out_stride);
            for n in 0..tiles {
                self.transform_input(simd, first + n, stride, &mut transformed[n * inputs..]);
            }
            for point in 0..POINTS {
                for (column, width) in panels(outputs) {
                    let panel = &self.weights[(POINTS * column + point * width) * inputs..];
                    let panel = &panel[..inputs * width];
                    let out = &mut products[point * out_stride + tiles * column..];
                    let out = out[..tiles * width].chunks_mut(TILE * width);
                    for (group, out) in out.enumerate() {
                        let mut rows = [&[][..]; TILE];
                        for (r, row) in rows.iter_mut().enumerate() {
                            let tile = (group * TILE + r).min(tiles - 1);
                            *row = &transformed[point * stride + tile * inputs..][..inputs];
                        }
                        match width / S::F32_LANES {
                            1 => product::<S, 1>(simd, rows, panel, out),
                            2 => product::<S, 2>(simd, rows, panel, out),
                            3 => product::<S, 3>(simd, rows, panel, out),
                            _ => product::<S, 4>(simd, rows, panel, out),
                        }
                    }
                }
            }
            for n in 0..tiles {
                for (column, width) in panels(outputs) {
                    for lane in (0..width).step_by(S::F32_LANES) {
                        let products = &products[tiles * column + n * width + lane..];
                        self.transform_products(
                            simd,
                            first + n,
                            out_stride,
                            products,
                            column + lane,
                        );
                    }
                }
            }
        }
        memory::put_back(Scratch::Left, left);
        memory::put_back(Scratch::Right, right);
    }
}

impl Layer<'_> {
    /// `Bᵀ d` of a tile, points at a stride.
    #[inline(always)]
    fn transform_input<S: Simd>(&self, simd: S, tile: usize, stride: usize, out: &mut [f32]) {
        let inputs = self.channels[0];
        let (volume, place) = self.tiles.place(tile);
        let data = &self.padded.data[self.padded.offset(volume, place)..];
        for channel in (0..inputs).step_by(S::F32_LANES) {
            cube::<S, SIDE, SIDE>(
                simd,
                &OF_INPUT,
                |[z, y, x]| load::<S>(data, self.lines[z * SIDE + y] + x * inputs + channel),
                |[z, y, x], value| {
                    store::<S>(out, ((z * SIDE + y) * SIDE + x) * stride + channel, value);
                },
            );
        }
    }

    /// `Aᵀ m` of a vector of channels of a tile, where it is not past the edge.
    #[inline(always)]
    fn transform_products<S: Simd>(
        &mut self,
        simd: S,
        tile: usize,
        stride: usize,
        products: &[f32],
        channel: usize,
    ) {
        let (outputs, [_, h, w]) = (self.channels[1], self.tiles.output);
        let (_, [_, first_y, first_x]) = self.tiles.place(tile);
        let depth = self.planes.len() / (h * w * outputs);
        cube::<S, OUTPUTS, SIDE>(
            simd,
            &OF_PRODUCTS,
            |[z, y, x]| load::<S>(products, ((z * SIDE + y) * SIDE + x) * stride),
            |[z, y, x], value| {
                let (y, x) = (first_y + y, first_x + x);
                if z < depth && y < h && x < w {
                    let at = ((z * h + y) * w + x) * outputs + channel;
                    store::<S>(self.planes, at, value);
                }
            },
        );
    }
}

/// Six rows times a panel, into the rows that exist.
#[inline(always)]
fn product<S: Simd, const WIDTH: usize>(
    simd: S,
    rows: [&[f32]; TILE],
    panel: &[f32],
    out: &mut [f32],
) {
    let mut sums = [[simd.splat_f32s(0.0); WIDTH]; TILE];
    let (vectors, _) = S::as_simd_f32s(panel);
    for (p, b) in vectors.as_chunks::<WIDTH>().0.iter().enumerate() {
        for r in 0..TILE {
            let value = simd.splat_f32s(rows[r][p]);
            for c in 0..WIDTH {
                sums[r][c] = simd.mul_add_f32s(value, b[c], sums[r][c]);
            }
        }
    }
    // A copy: read by reference below, the sums themselves would live in memory during the loop above.
    let mut results = [[simd.splat_f32s(0.0); WIDTH]; TILE];
    for r in 0..TILE {
        for c in 0..WIDTH {
            results[r][c] = sums[r][c];
        }
    }
    let (out, _) = S::as_mut_simd_f32s(out);
    for (row, sums) in out.as_chunks_mut::<WIDTH>().0.iter_mut().zip(results) {
        *row = sums;
    }
}
