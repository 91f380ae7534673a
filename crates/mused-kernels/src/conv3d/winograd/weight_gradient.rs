//! The weight gradient: sums over all tiles of transformed inputs times transformed gradients.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::transform::{
    OF_GRADIENT, OF_INPUT, OF_SUMS, OF_WEIGHTS, OUTPUTS, SIDE, TAPS, line, lines, load, store,
    weighted,
};
use super::{Tiles, VECTOR, panels};
use crate::conv3d::cpu::{Padded, Sizes};
use crate::matmul::{Place, TILE, View, aligned, dispatch_width, pack_rows};
use crate::memory::{self, Scratch};
use crate::simd::arch;

/// Tiles of a block: a panel of their gradients at a point stays in the first-level cache.
const BLOCK: usize = 128;

/// `[taps · in, out]`. A task has the four points of a line: what it transforms stays in its second-level cache, and no
/// other task adds to its sums.
pub(in crate::conv3d) fn weight_gradient(sizes: Sizes, x: &[f32], gradient: &[f32]) -> Vec<f32> {
    let Sizes {
        batch,
        input,
        inputs,
        output,
        outputs,
        ..
    } = sizes;
    let (tiles, padding) = (Tiles::of(&sizes), sizes.window.padding);
    let x = Padded::new(x, batch, input, inputs, padding, tiles.behind(padding));
    let gradient = Padded::new(
        gradient,
        batch,
        output,
        outputs,
        [0; 3],
        tiles.behind([0; 3]),
    );
    let (of_x, of_gradient) = (x.lines([SIDE; 2]), gradient.lines([OUTPUTS; 2]));
    let size = inputs * outputs;
    let mut sums = vec![0.0; SIDE * SIDE * TAPS * size];
    sums.par_chunks_mut(TAPS * size)
        .with_max_len(1)
        .enumerate()
        .for_each(|(at, out)| {
            let at = [at / SIDE, at % SIDE];
            arch().dispatch(Sums {
                tiles,
                x: &x,
                gradient: &gradient,
                x_lines: lines(&OF_INPUT, at, &of_x),
                gradient_lines: lines(&OF_GRADIENT, at, &of_gradient),
                channels: [inputs, outputs],
                out,
            });
        });
    let mut out = vec![0.0; TAPS * TAPS * TAPS * size];
    out.par_chunks_mut(size).enumerate().for_each(|(tap, out)| {
        let [z, y, x] = [tap / (TAPS * TAPS), tap / TAPS % TAPS, tap % TAPS];
        for (at, sums) in sums.chunks_exact(TAPS * size).enumerate() {
            let factor = OF_WEIGHTS[at / SIDE][z] * OF_WEIGHTS[at % SIDE][y];
            if factor != 0.0 {
                for (out, sum) in out.iter_mut().zip(&sums[x * size..]) {
                    *out += factor * sum;
                }
            }
        }
    });
    out
}

/// The sums of the points of a line over all tiles, transformed along the line: `[3, in, out]`.
struct Sums<'a> {
    tiles: Tiles,
    x: &'a Padded<'a>,
    gradient: &'a Padded<'a>,
    /// Lines of a tile that make up this one.
    x_lines: Vec<(usize, f32)>,
    gradient_lines: Vec<(usize, f32)>,
    channels: [usize; 2],
    out: &'a mut [f32],
}

impl WithSimd for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let ([inputs, outputs], count) = (self.channels, self.tiles.count());
        let size = inputs * outputs;
        // A cache line more: the same channels of all tiles would compete for a few places of the cache.
        let stride = inputs + VECTOR;
        let (mut left, mut right) = (memory::take(Scratch::Left), memory::take(Scratch::Right));
        let packed_len = inputs.next_multiple_of(TILE) * BLOCK;
        let (xs, rest) = aligned(&mut left, SIDE * BLOCK * (stride + outputs) + packed_len)
            .split_at_mut(SIDE * BLOCK * stride);
        let (gradients, packed) = rest.split_at_mut(SIDE * BLOCK * outputs);
        let sums = aligned(&mut right, SIDE * size);
        sums.fill(0.0);
        for first in (0..count).step_by(BLOCK) {
            let tiles = BLOCK.min(count - first);
            for n in 0..tiles {
                let (volume, place) = self.tiles.place(first + n);
                let data = &self.x.data[self.x.offset(volume, place)..];
                for channel in (0..inputs).step_by(S::F32_LANES) {
                    let values = weighted(simd, data, &self.x_lines, channel, inputs);
                    for (x, value) in line(simd, &OF_INPUT, values).into_iter().enumerate() {
                        store::<S>(xs, (x * BLOCK + n) * stride + channel, value);
                    }
                }
                let data = &self.gradient.data[self.gradient.offset(volume, place)..];
                for (column, width) in panels(outputs) {
                    for lane in (0..width).step_by(S::F32_LANES) {
                        let at = column + lane;
                        let values = weighted(simd, data, &self.gradient_lines, at, outputs);
                        for (x, value) in line(simd, &OF_GRADIENT, values).into_iter().enumerate() {
                            let at = (x * outputs + column) * BLOCK + n * width + lane;
                            store::<S>(gradients, at, value);
                        }
                    }
                }
            }
            for x in 0..SIDE {
                let xs = View::rows(&xs[x * BLOCK * stride..], stride).transposed();
                pack_rows(xs, inputs, 0, tiles, packed);
                for (column, width) in panels(outputs) {
                    let panel = &gradients[(x * outputs + column) * BLOCK..][..tiles * width];
                    let rows = sums[x * size..][..size].chunks_mut(TILE * outputs);
                    for (six, out) in packed.chunks_exact(TILE * tiles).zip(rows) {
                        let place = Place {
                            rows: out.len() / outputs,
                            out: &mut out[column..],
                            row_stride: outputs,
                            columns: width,
                            bias: None,
                            add: true,
                        };
                        dispatch_width(simd, six.as_chunks().0, panel, width, place);
                    }
                }
            }
        }
        for at in (0..size).step_by(S::F32_LANES) {
            let mut values = [simd.splat_f32s(0.0); SIDE];
            for (x, value) in values.iter_mut().enumerate() {
                *value = load::<S>(sums, x * size + at);
            }
            for (x, value) in line(simd, &OF_SUMS, values).into_iter().enumerate() {
                store::<S>(self.out, x * size + at, value);
            }
        }
        memory::put_back(Scratch::Left, left);
        memory::put_back(Scratch::Right, right);
    }
}
