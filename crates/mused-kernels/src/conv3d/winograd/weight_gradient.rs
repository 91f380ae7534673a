//! The weight gradient: sums over all tiles of transformed inputs times transformed gradients.

use std::marker::PhantomData;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::rows::{Source, Tiles};
use super::transform::{Form, OUTPUTS, line, load, store};
use super::{Plan, VECTOR, panel_of, panels};
use crate::matmul::{Place, TILE, aligned, dispatch_width};
use crate::memory::{self, Scratch};
use crate::simd::arch;

/// Most tiles of a block, in whole rows: a panel of their gradients at a point stays in the first-level cache.
const BLOCK: usize = 128;

/// `[taps · values of an input, of an output]`.
pub(super) fn sums<F: Form<SIDE, TAPS>, const SIDE: usize, const TAPS: usize>(
    plan: &Plan,
    x: &[f32],
    gradient: &[f32],
) -> Vec<f32> {
    let tiles = Tiles::of(plan.sizes.batch, plan.outputs);
    let x = Source::<SIDE>::new(tiles, plan.inputs, plan.padding, x);
    let gradient = Source::<OUTPUTS>::new(tiles, plan.outputs, [0; 3], gradient);
    let (parts, outputs) = (plan.inputs.parts(), plan.outputs.values());
    let size = plan.inputs.part() * outputs;
    // Lines of points of one depth come from the same lines of a part; tasks enough for many threads are worth more than that. A
    // line's sums are the same either way.
    let together = match parts * SIDE >= 2 * rayon::current_num_threads() {
        true => SIDE,
        false => 1,
    };
    let mut sums = memory::zeros(parts * SIDE * SIDE * TAPS * size);
    sums.par_chunks_mut(together * TAPS * size)
        .with_max_len(1)
        .enumerate()
        .for_each(|(task, out)| {
            let first = task * together;
            arch().dispatch(Task::<F, SIDE, TAPS> {
                form: PhantomData,
                x: &x,
                gradient: &gradient,
                part: first / (SIDE * SIDE),
                z: first / SIDE % SIDE,
                first_y: first % SIDE,
                rows: tiles.rows(),
                width: tiles.grid[2],
                channels: [plan.inputs.part(), outputs],
                out,
            });
        });
    let mut out = memory::zeros(TAPS.pow(3) * parts * size);
    out.par_chunks_mut(size)
        .enumerate()
        .for_each(|(index, out)| {
            let (tap, part) = (index / parts, index % parts);
            let [z, y, x] = [tap / (TAPS * TAPS), tap / TAPS % TAPS, tap % TAPS];
            let sums = &sums[part * SIDE * SIDE * TAPS * size..];
            for (at, sums) in sums.chunks_exact(TAPS * size).take(SIDE * SIDE).enumerate() {
                let factor = F::OF_WEIGHTS[at / SIDE][z] * F::OF_WEIGHTS[at % SIDE][y];
                if factor != 0.0 {
                    for (out, sum) in out.iter_mut().zip(&sums[x * size..]) {
                        *out += factor * sum;
                    }
                }
            }
        });
    out
}

/// Some lines of points of one depth, over all tiles and for one part of their inputs, transformed back along the lines:
/// `[lines, taps, values of the part, outputs]`.
struct Task<'a, F, const SIDE: usize, const TAPS: usize> {
    form: PhantomData<F>,
    x: &'a Source<'a, SIDE>,
    gradient: &'a Source<'a, OUTPUTS>,
    part: usize,
    z: usize,
    first_y: usize,
    /// Rows of tiles, and tiles of a row.
    rows: usize,
    width: usize,
    channels: [usize; 2],
    out: &'a mut [f32],
}

impl<F: Form<SIDE, TAPS>, const SIDE: usize, const TAPS: usize> WithSimd
    for Task<'_, F, SIDE, TAPS>
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let ([inputs, outputs], z) = (self.channels, self.z);
        let size = inputs * outputs;
        let lines = self.out.len() / (TAPS * size);
        let most = (BLOCK / self.width).max(1);
        let (mut left, mut right) = (memory::take(Scratch::Left), memory::take(Scratch::Right));
        let sums = aligned(&mut right, lines * SIDE * size);
        sums.fill(0.0);
        for first in (0..self.rows).step_by(most) {
            let block = first..self.rows.min(first + most);
            let tiles = block.len() * self.width;
            let of_x = self.x.rows(block.clone(), self.part..self.part + 1);
            let of_gradient = self.gradient.rows(block, 0..1);
            // A cache line more: the same channels of all tiles would compete for a few places of the cache. And the last six
            // values end in it.
            let stride = inputs + VECTOR;
            let lens = [
                of_x.plane_len(),
                of_gradient.plane_len(),
                of_x.line_len().max(of_gradient.line_len()),
                SIDE * tiles * stride,
                SIDE * tiles * outputs,
            ];
            let mut rest = aligned(&mut left, lens.iter().sum());
            let [x_plane, gradient_plane, buffer, xs, gradients] = lens.map(|len| {
                let (now, later) = std::mem::take(&mut rest).split_at_mut(len);
                rest = later;
                now
            });
            of_x.depth(simd, &F::OF_INPUT[z], x_plane);
            of_gradient.depth(simd, &F::OF_GRADIENT[z], gradient_plane);
            for (index, sums) in sums.chunks_exact_mut(SIDE * size).enumerate() {
                let y = self.first_y + index;
                of_x.line(
                    simd,
                    &F::OF_INPUT,
                    y,
                    x_plane,
                    &mut buffer[..of_x.line_len()],
                    #[inline(always)]
                    |x, tile, channel, value| {
                        store::<S>(xs, (x * tiles + tile) * stride + channel, value);
                    },
                );
                of_gradient.line(
                    simd,
                    &F::OF_GRADIENT,
                    y,
                    gradient_plane,
                    &mut buffer[..of_gradient.line_len()],
                    #[inline(always)]
                    |x, tile, channel, value| {
                        let (column, width) = panel_of::<S>(channel, outputs);
                        let at = (x * outputs + column) * tiles + tile * width + channel - column;
                        store::<S>(gradients, at, value);
                    },
                );
                for x in 0..SIDE {
                    let xs = &xs[x * tiles * stride..][..tiles * stride];
                    for (column, width) in panels::<S>(outputs) {
                        let panel = &gradients[(x * outputs + column) * tiles..][..tiles * width];
                        let rows = sums[x * size..][..size].chunks_mut(TILE * outputs);
                        for (six, out) in rows.enumerate() {
                            let left = xs[six * TILE..].chunks(stride);
                            let place = Place {
                                rows: out.len() / outputs,
                                out: &mut out[column..],
                                row_stride: outputs,
                                columns: width,
                                bias: None,
                                add: true,
                                next: &[],
                            };
                            // The last one ends with the values that lie between two tiles.
                            const { assert!(VECTOR >= TILE) };
                            let left = left.filter_map(|tile| tile.first_chunk());
                            dispatch_width(simd, left, panel, width, place);
                        }
                    }
                }
            }
        }
        let sums = sums.chunks_exact(SIDE * size);
        for (sums, out) in sums.zip(self.out.chunks_exact_mut(TAPS * size)) {
            for at in (0..size).step_by(S::F32_LANES) {
                let mut values = [simd.splat_f32s(0.0); SIDE];
                for (x, value) in values.iter_mut().enumerate() {
                    *value = load::<S>(sums, x * size + at);
                }
                for (x, value) in line(simd, &F::OF_SUMS, values).into_iter().enumerate() {
                    store::<S>(out, x * size + at, value);
                }
            }
        }
        memory::put_back(Scratch::Left, left);
        memory::put_back(Scratch::Right, right);
    }
}
