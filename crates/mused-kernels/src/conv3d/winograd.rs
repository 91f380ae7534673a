//! Convolutions with kernels of 3³ at stride 1 by fewer multiplications: F(2³, 3³) of Winograd, as in Lavin & Gray,
//! "Fast algorithms for convolutional neural networks" (CVPR 2016), along three axes.
//!
//! A tile of 2³ outputs comes from 4³ inputs by 64 products instead of 216: along each axis
//! `y = Aᵀ [(G g) ⊙ (Bᵀ d)]`, so that a convolution becomes 64 matrix products (tiles × in · in × out). The gradient of the
//! weights is the same sum the other way round: `Gᵀ [Σ (A y') ⊙ (Bᵀ d)]` over all tiles. The constants are 0, 1 and ½, hence
//! an error of the order of the direct form's. An element's sum is formed in an order that no number of threads changes.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::cpu::{Padded, Sizes};
use super::gather::{Left, TILE, panel_width, tile_of_width};
use super::weight_gradient::{InARow, Place, rows_of_tile};
use crate::memory;
use crate::simd::arch;

/// Products of a tile, along each axis and in all.
const POINTS: usize = 4 * 4 * 4;
/// Channels come in whole vectors, whatever their length here.
const CHANNELS: usize = 16;
/// Fewest channels that repay the transforms.
const FEWEST: usize = 32;
/// Transformed values of a thread that stay in its second-level cache.
const OWN_VALUES: usize = 1 << 17;
/// Transformed values that all threads share: 64 MiB.
const SHARED_VALUES: usize = 1 << 24;
/// Tiles whose products are summed at once.
const SUMMED: usize = 384;
/// Transformed weights, in values, up to which each thread reads all of them for tiles of its own.
const OWN_WEIGHTS: usize = 1 << 21;
/// Inner axis of a block of weights.
const DEPTH: usize = 256;

/// Whether a convolution is made in this way.
pub(super) fn serves(sizes: &Sizes) -> bool {
    let fits = |channels: usize| channels >= FEWEST && channels.is_multiple_of(CHANNELS);
    let tiles = Tiles::of(sizes).count();
    sizes.kernel == [3; 3]
        && sizes.window.stride == [1; 3]
        && sizes.window.padding.iter().all(|&n| n <= 2)
        && fits(sizes.inputs)
        && fits(sizes.outputs)
        && tiles > 0
        // Tiles that reach far past the edges would be as many products again.
        && tiles * 8 <= 2 * sizes.positions()
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
            grid: sizes.output.map(|n| n.div_ceil(2)),
        }
    }

    fn count(&self) -> usize {
        self.layers() * self.layer()
    }

    fn layers(&self) -> usize {
        self.batch * self.grid[0]
    }

    /// Tiles of a layer.
    fn layer(&self) -> usize {
        self.grid[1] * self.grid[2]
    }

    /// Volume and place of a tile in its grid.
    fn place(&self, tile: usize) -> (usize, [usize; 3]) {
        let [d, h, w] = self.grid;
        let (line, x) = (tile / w, tile % w);
        let (layer, y) = (line / h, line % h);
        (layer / d, [layer % d, y, x])
    }

    /// Zeros behind each axis, so that the last tile has all of its inputs.
    fn behind(&self, padding: [usize; 3]) -> [usize; 3] {
        [0, 1, 2].map(|axis| padding[axis] + 2 * self.grid[axis] - self.output[axis])
    }

    /// The planes of each layer of tiles, of `channels` values a position.
    fn planes<'o>(&self, mut out: &'o mut [f32], channels: usize) -> Vec<&'o mut [f32]> {
        let plane = self.output[1] * self.output[2] * channels;
        let mut planes = Vec::with_capacity(self.layers());
        for _ in 0..self.batch {
            for layer in 0..self.grid[0] {
                let depth = 2.min(self.output[0] - 2 * layer);
                let (now, later) = out.split_at_mut(depth * plane);
                planes.push(now);
                out = later;
            }
        }
        planes
    }
}

/// Values of a transformed tile: 64 × channels, and a cache line more, lest the same channel of all tiles compete for one
/// place in the cache.
fn tile_values(channels: usize) -> usize {
    POINTS * channels + CHANNELS
}

/// A tile of 4³ vectors of channels.
type Point<S> = [<S as Simd>::f32s; POINTS];

/// Four vectors along an axis.
type Four<S> = [<S as Simd>::f32s; 4];

/// Applies `line` along all axes of what `load` gives and hands the results to `store`; values that `load` has not are
/// taken as 0.
#[inline(always)]
fn transform<S: Simd>(
    load: impl Fn(usize) -> S::f32s,
    line: impl Fn(Four<S>) -> Four<S>,
    mut store: impl FnMut(usize, S::f32s),
    scratch: &mut Point<S>,
) {
    for at in 0..16 {
        let four = line([load(at), load(at + 16), load(at + 32), load(at + 48)]);
        for (n, value) in four.into_iter().enumerate() {
            scratch[at + 16 * n] = value;
        }
    }
    for z in 0..4 {
        for x in 0..4 {
            let at = 16 * z + x;
            let four = line([0, 4, 8, 12].map(|n| scratch[at + n]));
            for (n, value) in four.into_iter().enumerate() {
                scratch[at + 4 * n] = value;
            }
        }
    }
    for at in 0..16 {
        let four = line([0, 1, 2, 3].map(|n| scratch[4 * at + n]));
        for (n, value) in four.into_iter().enumerate() {
            store(4 * at + n, value);
        }
    }
}

/// `Bᵀ d`.
#[inline(always)]
fn of_input<S: Simd>(simd: S, [a, b, c, d]: Four<S>) -> Four<S> {
    [
        simd.sub_f32s(a, c),
        simd.add_f32s(b, c),
        simd.sub_f32s(c, b),
        simd.sub_f32s(b, d),
    ]
}

/// `Aᵀ m`: two outputs.
#[inline(always)]
fn of_output<S: Simd>(simd: S, [a, b, c, d]: Four<S>) -> Four<S> {
    let zero = simd.splat_f32s(0.0);
    [
        simd.add_f32s(a, simd.add_f32s(b, c)),
        simd.sub_f32s(simd.sub_f32s(b, c), d),
        zero,
        zero,
    ]
}

/// `A y` of two gradients.
#[inline(always)]
fn of_gradient<S: Simd>(simd: S, [a, b, _, _]: Four<S>) -> Four<S> {
    [
        a,
        simd.add_f32s(a, b),
        simd.sub_f32s(a, b),
        simd.neg_f32s(b),
    ]
}

/// `G g` of three weights.
#[inline(always)]
fn of_weights<S: Simd>(simd: S, [a, b, c, _]: Four<S>) -> Four<S> {
    let half = simd.splat_f32s(0.5);
    let outer = simd.mul_f32s(half, simd.add_f32s(a, c));
    let middle = simd.mul_f32s(half, b);
    [
        a,
        simd.add_f32s(outer, middle),
        simd.sub_f32s(outer, middle),
        c,
    ]
}

/// `Gᵀ m`: three weights.
#[inline(always)]
fn of_sums<S: Simd>(simd: S, [a, b, c, d]: Four<S>) -> Four<S> {
    let half = simd.splat_f32s(0.5);
    let sum = simd.mul_f32s(half, simd.add_f32s(b, c));
    [
        simd.add_f32s(a, sum),
        simd.mul_f32s(half, simd.sub_f32s(b, c)),
        simd.add_f32s(sum, d),
        simd.splat_f32s(0.0),
    ]
}

/// The vector that begins at a place.
#[inline(always)]
fn load<S: Simd>(data: &[f32], at: usize) -> S::f32s {
    S::as_simd_f32s(&data[at..at + S::F32_LANES]).0[0]
}

#[inline(always)]
fn store<S: Simd>(data: &mut [f32], at: usize, value: S::f32s) {
    S::as_mut_simd_f32s(&mut data[at..at + S::F32_LANES]).0[0] = value;
}

/// Which weight of a kernel lies at a point of a tile.
fn tap(point: usize) -> Option<usize> {
    let [z, y, x] = [point / 16, point / 4 % 4, point % 4];
    (z < 3 && y < 3 && x < 3).then_some((z * 3 + y) * 3 + x)
}

/// Where one of the 2³ outputs of a tile lies, by its point.
fn corner(point: usize) -> Option<[usize; 3]> {
    let at = [point / 16, point / 4 % 4, point % 4];
    at.iter().all(|&n| n < 2).then_some(at)
}

/// Transformed weights of some panels of columns: for each panel, for each point, rows of the panel's width.
struct Weights<'a> {
    data: &'a [f32],
    rows: usize,
    /// First column and width of each panel.
    panels: &'a [(usize, usize)],
}

impl<'a> Weights<'a> {
    /// Of weights `[27, rows, columns]`.
    fn new(
        weight: &[f32],
        [rows, columns]: [usize; 2],
        panels: &'a [(usize, usize)],
        storage: &'a mut [f32],
    ) -> Self {
        // A task takes some rows of a panel: at each point a piece of its own.
        let share = rows.div_ceil(4 * rayon::current_num_threads());
        let mut tasks = vec![];
        let mut rest = &mut *storage;
        for &(first, width) in panels {
            let (panel, later) = rest.split_at_mut(POINTS * rows * width);
            rest = later;
            let parts = across(panel, rows * width, share * width).into_iter();
            tasks.extend((parts.enumerate()).map(|(part, pieces)| TransformWeights {
                weight,
                sizes: [rows, columns],
                first,
                width,
                row: part * share,
                pieces,
            }));
        }
        tasks.into_par_iter().for_each(|task| arch().dispatch(task));
        Self {
            data: storage,
            rows,
            panels,
        }
    }

    /// The rows of a panel at a point.
    fn panel(&self, index: usize, point: usize) -> &[f32] {
        let before = self.panels[index].0 - self.panels[0].0;
        let len = self.rows * self.panels[index].1;
        &self.data[POINTS * self.rows * before + point * len..][..len]
    }
}

/// First column and width of the panels of so many columns.
fn panels(columns: usize) -> Vec<(usize, usize)> {
    let width = panel_width();
    let firsts = (0..columns).step_by(width);
    firsts
        .map(|first| (first, width.min(columns - first)))
        .collect()
}

/// `[27, out, in]` of `[27, in, out]`, taps from last to first: what the gradient meets.
fn backward(weight: &[f32], inputs: usize, outputs: usize) -> Vec<f32> {
    let mut back = vec![0.0; weight.len()];
    let size = inputs * outputs;
    // Blocks of rows that are read and written together stay in the first-level cache.
    back.par_chunks_mut(CHANNELS * inputs)
        .enumerate()
        .for_each(|(block, rows)| {
            let first = block * CHANNELS;
            let from = &weight[(26 - first / outputs) * size..][..size];
            let first = first % outputs;
            for input in 0..inputs {
                let values = &from[input * outputs + first..][..rows.len() / inputs];
                for (n, value) in values.iter().enumerate() {
                    rows[n * inputs + input] = *value;
                }
            }
        });
    back
}

/// Pieces of `share` values, the same of each of the parts of `len` values together.
fn across(data: &mut [f32], len: usize, share: usize) -> Vec<Vec<&mut [f32]>> {
    let mut pieces: Vec<Vec<&mut [f32]>> = (0..len.div_ceil(share)).map(|_| vec![]).collect();
    for part in data.chunks_mut(len) {
        for (pieces, piece) in pieces.iter_mut().zip(part.chunks_mut(share)) {
            pieces.push(piece);
        }
    }
    pieces
}

struct TransformWeights<'a> {
    weight: &'a [f32],
    sizes: [usize; 2],
    /// First column and width of the panel, first row.
    first: usize,
    width: usize,
    row: usize,
    /// Of each point.
    pieces: Vec<&'a mut [f32]>,
}

impl WithSimd for TransformWeights<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let ([rows, columns], width) = (self.sizes, self.width);
        let mut scratch = [simd.splat_f32s(0.0); POINTS];
        for r in 0..self.pieces[0].len() / width {
            for lane in (0..width).step_by(S::F32_LANES) {
                let from = (self.row + r) * columns + self.first + lane;
                transform::<S>(
                    |point| match tap(point) {
                        Some(tap) => load::<S>(self.weight, tap * rows * columns + from),
                        None => simd.splat_f32s(0.0),
                    },
                    |four| of_weights(simd, four),
                    |point, value| store::<S>(self.pieces[point], r * width + lane, value),
                    &mut scratch,
                );
            }
        }
    }
}

/// `Bᵀ d` of one tile: `[64, channels]`.
struct TransformInput<'a> {
    padded: &'a Padded<'a>,
    volume: usize,
    place: [usize; 3],
    channels: usize,
    out: &'a mut [f32],
}

impl WithSimd for TransformInput<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let [z, y, x] = self.place.map(|n| 2 * n);
        let mut from = [0; POINTS];
        for (point, from) in from.iter_mut().enumerate() {
            let at = [z + point / 16, y + point / 4 % 4, x + point % 4];
            *from = self.padded.offset(self.volume, at);
        }
        let mut scratch = [simd.splat_f32s(0.0); POINTS];
        for channel in (0..self.channels).step_by(S::F32_LANES) {
            transform::<S>(
                |point| load::<S>(&self.padded.data, from[point] + channel),
                |four| of_input(simd, four),
                |point, value| store::<S>(self.out, point * self.channels + channel, value),
                &mut scratch,
            );
        }
    }
}

/// `A y` of one tile of gradients: `[64, channels]`.
struct TransformGradient<'a> {
    gradient: &'a [f32],
    tiles: Tiles,
    tile: usize,
    channels: usize,
    out: &'a mut [f32],
}

impl WithSimd for TransformGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (volume, place) = self.tiles.place(self.tile);
        let [d, h, w] = self.tiles.output;
        // Where the gradient of each corner lies, if it is not past the edge.
        let from: [Option<usize>; POINTS] = std::array::from_fn(|point| {
            let at = corner(point)?;
            let [z, y, x] = [0, 1, 2].map(|axis| 2 * place[axis] + at[axis]);
            (z < d && y < h && x < w)
                .then_some((((volume * d + z) * h + y) * w + x) * self.channels)
        });
        let mut scratch = [simd.splat_f32s(0.0); POINTS];
        for channel in (0..self.channels).step_by(S::F32_LANES) {
            transform::<S>(
                |point| match from[point] {
                    Some(from) => load::<S>(self.gradient, from + channel),
                    None => simd.splat_f32s(0.0),
                },
                |four| of_gradient(simd, four),
                |point, value| store::<S>(self.out, point * self.channels + channel, value),
                &mut scratch,
            );
        }
    }
}

/// The products of some tiles at one point with a panel: `[tiles, width]`.
struct Products<'a> {
    transformed: &'a [f32],
    channels: usize,
    point: usize,
    panel: &'a [f32],
    width: usize,
    out: &'a mut [f32],
}

impl WithSimd for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (stride, width) = (tile_values(self.channels), self.width);
        let tiles = self.transformed.len() / stride;
        for start in (0..self.channels).step_by(DEPTH) {
            let depth = DEPTH.min(self.channels - start);
            let panel = &self.panel[start * width..(start + depth) * width];
            for (group, out) in self.out.chunks_mut(TILE * width).enumerate() {
                let begins = std::array::from_fn(|r| {
                    (group * TILE + r).min(tiles - 1) * stride + self.point * self.channels
                });
                let left = Left {
                    data: self.transformed,
                    begins,
                    pieces: &[(start, depth)],
                };
                tile_of_width(simd, left, panel, width, out, start > 0);
            }
        }
    }
}

/// `Aᵀ m` of the tiles from `first` on, of one panel, into the planes of their layer.
struct TransformOutput<'a> {
    /// `[64, tiles, width]`
    products: &'a [f32],
    tiles: Tiles,
    /// The tiles that are meant of those that the products are of: number of the first there, and their numbers.
    of: usize,
    first: usize,
    count: usize,
    /// Tiles the products are of.
    all: usize,
    column: usize,
    width: usize,
    channels: usize,
    planes: &'a mut [f32],
}

impl WithSimd for TransformOutput<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let [_, h, w] = self.tiles.output;
        let depth = self.planes.len() / (h * w * self.channels);
        let mut scratch = [simd.splat_f32s(0.0); POINTS];
        for n in 0..self.count {
            let (_, [_, y, x]) = self.tiles.place(self.first + n);
            let to: [Option<usize>; POINTS] = std::array::from_fn(|point| {
                let [z, dy, dx] = corner(point)?;
                let (y, x) = (2 * y + dy, 2 * x + dx);
                (z < depth && y < h && x < w)
                    .then_some(((z * h + y) * w + x) * self.channels + self.column)
            });
            for lane in (0..self.width).step_by(S::F32_LANES) {
                let from = (self.of + n) * self.width + lane;
                transform::<S>(
                    |point| load::<S>(self.products, point * self.all * self.width + from),
                    |four| of_output(simd, four),
                    |point, value| {
                        if let Some(to) = to[point] {
                            store::<S>(self.planes, to + lane, value);
                        }
                    },
                    &mut scratch,
                );
            }
        }
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
    convolution(back, gradient, &weight, sizes.window.padding.map(|n| 2 - n))
}

fn convolution(sizes: Sizes, x: &[f32], weight: &[f32], padding: [usize; 3]) -> Vec<f32> {
    let tiles = Tiles::of(&sizes);
    let (batch, input, matrix) = (sizes.batch, sizes.input, [sizes.inputs, sizes.outputs]);
    let after = tiles.behind(padding);
    let padded = Padded::new(x, batch, input, sizes.inputs, padding, after);
    let mut out = vec![0.0; sizes.positions() * sizes.outputs];
    let mut planes = tiles.planes(&mut out, sizes.outputs);
    let work = Work {
        tiles,
        padded: &padded,
        channels: matrix,
    };
    let (panels, values) = (panels(sizes.outputs), tile_values(sizes.inputs));
    let all = POINTS * sizes.inputs * sizes.outputs;
    let mut storage = memory::borrow();
    if all <= OWN_WEIGHTS {
        let weights = Weights::new(weight, matrix, &panels, storage.of(all));
        let most = (OWN_VALUES / values).next_multiple_of(TILE);
        planes
            .into_par_iter()
            .enumerate()
            .for_each(|(layer, planes)| work.alone(layer, planes, &weights, most));
        return out;
    }
    let layers = (SHARED_VALUES / values / tiles.layer()).max(1);
    let (mut left, mut right) = (memory::borrow(), memory::borrow());
    for (group, planes) in planes.chunks_mut(layers).enumerate() {
        let first = group * layers * tiles.layer();
        let count = planes.len() * tiles.layer();
        let transformed = left.of(count * values);
        transformed
            .par_chunks_exact_mut(values)
            .enumerate()
            .for_each(|(n, out)| work.transform(first + n, out));
        for panel in &panels {
            let panel = std::slice::from_ref(panel);
            let storage = storage.of(POINTS * sizes.inputs * panel[0].1);
            let weights = Weights::new(weight, matrix, panel, storage);
            let products = right.of(POINTS * count * panel[0].1);
            work.together(first, planes, transformed, &weights, products);
        }
    }
    out
}

/// A convolution under way.
#[derive(Clone, Copy)]
struct Work<'a> {
    tiles: Tiles,
    padded: &'a Padded<'a>,
    /// In and out.
    channels: [usize; 2],
}

impl Work<'_> {
    fn transform(&self, tile: usize, out: &mut [f32]) {
        let (volume, place) = self.tiles.place(tile);
        arch().dispatch(TransformInput {
            padded: self.padded,
            volume,
            place,
            channels: self.channels[0],
            out,
        });
    }

    fn products(
        &self,
        transformed: &[f32],
        weights: &Weights<'_>,
        (panel, point): (usize, usize),
        out: &mut [f32],
    ) {
        arch().dispatch(Products {
            transformed,
            channels: self.channels[0],
            point,
            panel: weights.panel(panel, point),
            width: weights.panels[panel].1,
            out,
        });
    }

    /// A layer on one thread, `most` tiles at a time.
    fn alone(&self, layer: usize, planes: &mut [f32], weights: &Weights<'_>, most: usize) {
        let values = tile_values(self.channels[0]);
        let (count, start) = (self.tiles.layer(), layer * self.tiles.layer());
        let (mut left, mut right) = (memory::borrow(), memory::borrow());
        for first in (0..count).step_by(most) {
            let tiles = most.min(count - first);
            let transformed = left.of(tiles * values);
            for (n, out) in transformed.chunks_exact_mut(values).enumerate() {
                self.transform(start + first + n, out);
            }
            for (panel, &(column, width)) in weights.panels.iter().enumerate() {
                let products = right.of(POINTS * tiles * width);
                for (point, out) in products.chunks_exact_mut(tiles * width).enumerate() {
                    self.products(transformed, weights, (panel, point), out);
                }
                arch().dispatch(TransformOutput {
                    products,
                    tiles: self.tiles,
                    of: 0,
                    first: start + first,
                    count: tiles,
                    all: tiles,
                    column,
                    width,
                    channels: self.channels[1],
                    planes,
                });
            }
        }
    }

    /// Layers of tiles from `first` on against one panel by all threads: each point's weights are read once.
    fn together(
        &self,
        first: usize,
        planes: &mut [&mut [f32]],
        transformed: &[f32],
        weights: &Weights<'_>,
        products: &mut [f32],
    ) {
        let layer = self.tiles.layer();
        let (count, (column, width)) = (planes.len() * layer, weights.panels[0]);
        products
            .par_chunks_exact_mut(count * width)
            .enumerate()
            .for_each(|(point, out)| self.products(transformed, weights, (0, point), out));
        let products = &*products;
        planes.par_iter_mut().enumerate().for_each(|(n, planes)| {
            arch().dispatch(TransformOutput {
                products,
                tiles: self.tiles,
                of: n * layer,
                first: first + n * layer,
                count: layer,
                all: count,
                column,
                width,
                channels: self.channels[1],
                planes,
            });
        });
    }
}

/// `[taps · in, out]`.
pub(super) fn weight_gradient(sizes: Sizes, x: &[f32], gradient: &[f32]) -> Vec<f32> {
    let (inputs, outputs, padding) = (sizes.inputs, sizes.outputs, sizes.window.padding);
    let tiles = Tiles::of(&sizes);
    let after = tiles.behind(padding);
    let padded = Padded::new(x, sizes.batch, sizes.input, inputs, padding, after);
    let mut out = vec![0.0; 27 * inputs * outputs];
    let [left, right] = [inputs, outputs].map(tile_values);
    // What is summed at once does not depend on the number of threads.
    let most = SUMMED.min(tiles.count());
    let mut storage = [memory::borrow(), memory::borrow(), memory::borrow()];
    let [transformed, gradients, sums] = &mut storage;
    for first in (0..tiles.count()).step_by(most) {
        let count = most.min(tiles.count() - first);
        let transformed = transformed.of(count * left);
        let gradients = gradients.of(count * right);
        transformed
            .par_chunks_exact_mut(left)
            .zip(gradients.par_chunks_exact_mut(right))
            .enumerate()
            .for_each(|(n, (transformed, gradients))| {
                let (volume, place) = tiles.place(first + n);
                arch().dispatch(TransformInput {
                    padded: &padded,
                    volume,
                    place,
                    channels: inputs,
                    out: transformed,
                });
                arch().dispatch(TransformGradient {
                    gradient,
                    tiles,
                    tile: first + n,
                    channels: outputs,
                    out: gradients,
                });
            });
        for (column, width) in panels(outputs) {
            let sums = sums.of(POINTS * inputs * width);
            sums.par_chunks_exact_mut(inputs * width)
                .enumerate()
                .for_each(|(point, out)| {
                    arch().dispatch(Sums {
                        transformed,
                        gradients,
                        channels: [inputs, outputs],
                        point,
                        column,
                        width,
                        out,
                    });
                });
            let sums = &*sums;
            let share = inputs.div_ceil(4 * rayon::current_num_threads());
            across(&mut out, inputs * outputs, share * outputs)
                .into_par_iter()
                .enumerate()
                .for_each(|(part, pieces)| {
                    arch().dispatch(TransformSums {
                        sums,
                        channels: [inputs, outputs],
                        row: part * share,
                        column,
                        width,
                        pieces,
                    });
                });
        }
    }
    out
}

/// Tiles whose gradients at a point stay in the first-level cache.
const BLOCK: usize = 128;

/// The sums over some tiles at one point, for a panel: `[in, width]`.
struct Sums<'a> {
    transformed: &'a [f32],
    gradients: &'a [f32],
    channels: [usize; 2],
    point: usize,
    column: usize,
    width: usize,
    out: &'a mut [f32],
}

impl WithSimd for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let ([inputs, outputs], width) = (self.channels, self.width);
        let [left, right] = self.channels.map(tile_values);
        let tiles = self.transformed.len() / left;
        self.out.fill(0.0);
        // What a block reads again and again lies together; a tile of rows may read past the last channel.
        let (mut storage, mut rest) = (memory::borrow(), memory::borrow());
        let (panel, rows) = (storage.of(BLOCK * width), rest.of(BLOCK * inputs + TILE));
        let from: [usize; BLOCK] = std::array::from_fn(|n| n * inputs);
        for start in (0..tiles).step_by(BLOCK) {
            let count = BLOCK.min(tiles - start);
            for n in 0..count {
                let at = (start + n) * right + self.point * outputs + self.column;
                let row = &self.gradients[at..at + width];
                panel[n * width..(n + 1) * width].copy_from_slice(row);
                let at = (start + n) * left + self.point * inputs;
                let row = &self.transformed[at..at + inputs];
                rows[n * inputs..(n + 1) * inputs].copy_from_slice(row);
            }
            let (panel, data) = (&panel[..count * width], &*rows);
            for (tile, out) in self.out.chunks_mut(TILE * width).enumerate() {
                let place = Place {
                    out,
                    stride: width,
                    columns: width,
                };
                let left = InARow { first: tile * TILE };
                rows_of_tile(simd, data, &from[..count], left, panel, width, place);
            }
        }
    }
}

/// Adds `Gᵀ m` of a panel, some rows of all taps.
struct TransformSums<'a> {
    /// `[64, in, width]`
    sums: &'a [f32],
    channels: [usize; 2],
    row: usize,
    column: usize,
    width: usize,
    pieces: Vec<&'a mut [f32]>,
}

impl WithSimd for TransformSums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let ([inputs, outputs], width) = (self.channels, self.width);
        let mut scratch = [simd.splat_f32s(0.0); POINTS];
        for r in 0..self.pieces[0].len() / outputs {
            for lane in (0..width).step_by(S::F32_LANES) {
                let from = (self.row + r) * width + lane;
                let to = r * outputs + self.column + lane;
                transform::<S>(
                    |point| load::<S>(self.sums, point * inputs * width + from),
                    |four| of_sums(simd, four),
                    |point, value| {
                        if let Some(tap) = tap(point) {
                            let piece = &mut *self.pieces[tap];
                            let sum = simd.add_f32s(load::<S>(piece, to), value);
                            store::<S>(piece, to, sum);
                        }
                    },
                    &mut scratch,
                );
            }
        }
    }
}
