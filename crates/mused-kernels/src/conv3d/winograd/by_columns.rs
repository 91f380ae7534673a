//! A convolution at stride 1 of few tiles and many channels: a task has some columns of the weights and all tiles.
//!
//! Transformed, the weights of 512 channels are 67 MB. Here each is transformed where it is used, and neither written to memory nor
//! read by every thread.

use std::marker::PhantomData;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::convolution::{Outputs, add_line, product};
use super::points::{self, Layout};
use super::rows::{Side, Source, Tiles};
use super::transform::{Form, OUTPUTS, line, load, store};
use super::weights::Weights;
use super::{VECTOR, panel_of, panels};
use crate::matmul::aligned;
use crate::memory::{self, Scratch};
use crate::simd::arch;

/// Columns of a task: fewer where there would be threads without one. What is summed is the same.
fn columns_of_task(outputs: usize, threads: usize) -> usize {
    let enough = |columns: &usize| outputs.div_ceil(*columns) >= threads;
    [64, 32].into_iter().find(enough).unwrap_or(VECTOR)
}

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
    let (count, inputs, outputs) = (tiles.count(), from.values(), to.values());
    let mut storage = memory::take_weights();
    let layout = Layout::new(count, inputs, inputs, false);
    let points = aligned(&mut storage, SIDE.pow(3) * layout.len());
    points::transform(tiles, &source, &F::OF_INPUT, layout, points);
    let points = &*points;
    let columns = columns_of_task(outputs, rayon::current_num_threads());
    let tasks = outputs.div_ceil(columns);
    let part = count * columns + VECTOR;
    let task_len = OUTPUTS.pow(3) * part;
    let mut sums = memory::zeros(tasks * task_len);
    sums.par_chunks_mut(task_len)
        .with_max_len(1)
        .enumerate()
        .for_each(|(task, sums)| {
            let first = task * columns;
            arch().dispatch(Task::<F, SIDE, TAPS> {
                form: PhantomData,
                points,
                point_len: layout.len(),
                count,
                weights,
                columns: [first, outputs.min(first + columns)],
                part,
                sums,
            });
        });
    memory::put_back_weights(storage);
    let line = to.grid[2] * to.channels;
    let mut out = memory::zeros(tiles.lines_before(tiles.layers()) * line);
    let mut rest = &mut out[..];
    let layers: Vec<_> = (0..tiles.layers())
        .map(|layer| {
            let lines = tiles.lines_before(layer + 1) - tiles.lines_before(layer);
            let (out, later) = std::mem::take(&mut rest).split_at_mut(lines * line);
            rest = later;
            (layer, out)
        })
        .collect();
    layers.into_par_iter().for_each(|(layer, out)| {
        arch().dispatch(Write {
            layer,
            count,
            columns,
            part,
            sums: &sums,
            out: Outputs {
                tiles,
                to,
                first_line: tiles.lines_before(layer),
                out,
            },
        });
    });
    out
}

/// All tiles times some columns, a line of points at a time.
struct Task<'a, F, const SIDE: usize, const TAPS: usize> {
    form: PhantomData<F>,
    points: &'a [f32],
    point_len: usize,
    /// Tiles.
    count: usize,
    weights: Weights<'a>,
    /// The first and the one behind the last.
    columns: [usize; 2],
    /// Values of one output of all tiles, and a cache line.
    part: usize,
    sums: &'a mut [f32],
}

impl<F: Form<SIDE, TAPS>, const SIDE: usize, const TAPS: usize> WithSimd
    for Task<'_, F, SIDE, TAPS>
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (count, inputs) = (self.count, self.weights.rows);
        let [first, end] = self.columns;
        let columns = end - first;
        let size = inputs * columns + VECTOR;
        let (mut left, mut right) = (memory::take(Scratch::Left), memory::take(Scratch::Right));
        let (plane, transformed) =
            aligned(&mut left, (TAPS * TAPS + SIDE) * size).split_at_mut(TAPS * TAPS * size);
        let products = aligned(&mut right, SIDE * self.part);
        for z in 0..SIDE {
            for (tap, out) in plane.chunks_exact_mut(size).enumerate() {
                self.weights
                    .combined::<S, TAPS>(simd, &F::OF_WEIGHTS[z], tap, first..end, out);
            }
            for y in 0..SIDE {
                for at in (0..inputs * columns).step_by(S::F32_LANES) {
                    let mut values = [simd.splat_f32s(0.0); TAPS];
                    for (x, value) in values.iter_mut().enumerate() {
                        for (tap, &factor) in F::OF_WEIGHTS[y].iter().enumerate() {
                            if factor != 0.0 {
                                let of_tap = load::<S>(plane, (tap * TAPS + x) * size + at);
                                let factor = simd.splat_f32s(factor);
                                *value = simd.mul_add_f32s(factor, of_tap, *value);
                            }
                        }
                    }
                    let values = line(simd, &F::OF_WEIGHTS, values);
                    for (x, value) in values.into_iter().enumerate() {
                        store::<S>(transformed, x * size + at, value);
                    }
                }
                for x in 0..SIDE {
                    let point = (z * SIDE + y) * SIDE + x;
                    let rows = &self.points[point * self.point_len..][..count * inputs];
                    let out = &mut products[x * self.part..][..count * columns];
                    for (column, width) in panels::<S>(columns) {
                        let panel = &transformed[x * size + column * inputs..];
                        let out = &mut out[count * column..][..count * width];
                        product(simd, rows, inputs, panel, width, out);
                    }
                }
                add_line::<S, F, SIDE, TAPS>(
                    simd,
                    [z, y],
                    count * columns,
                    self.part,
                    products,
                    self.sums,
                );
            }
        }
        memory::put_back(Scratch::Left, left);
        memory::put_back(Scratch::Right, right);
    }
}

/// The outputs of a layer of tiles.
struct Write<'a> {
    layer: usize,
    /// Tiles.
    count: usize,
    /// Of a task, but for the last.
    columns: usize,
    part: usize,
    sums: &'a [f32],
    out: Outputs<'a>,
}

impl WithSimd for Write<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _simd: S) {
        let [_, rows, width] = self.out.tiles.grid;
        let values = self.out.to.values();
        for row in self.layer * rows..(self.layer + 1) * rows {
            self.out.write(row, |output, tile, value| {
                let first = value - value % self.columns;
                let columns = self.columns.min(values - first);
                let (column, panel) = panel_of::<S>(value - first, columns);
                let part = first / self.columns * OUTPUTS.pow(3) + output;
                let at =
                    self.count * column + (row * width + tile) * panel + value - first - column;
                &self.sums[part * self.part + at..]
            });
        }
    }
}
