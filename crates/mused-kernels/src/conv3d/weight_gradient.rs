//! The weight gradient: for each element of the kernel the sum, over positions, of an input value times the gradient.

use std::borrow::Cow;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::cpu::{Padded, Sizes};
use super::gather::{lanes, panel_width};
use super::winograd;
use crate::matmul::{DEEPEST, Place, TILE, aligned, dispatch_width};
use crate::memory::{self, Scratch};
use crate::simd::arch;

/// Rows whose inputs are packed at a time: for a block of positions they stay in the second-level cache.
const ROWS: usize = 144;
/// Most weights of a task: their sums stay in the second-level cache over the blocks of positions.
const TASK_WEIGHTS: usize = 1 << 16;
/// Below this many weights, positions are split into parts whose sums are added at the end.
const FEW_WEIGHTS: usize = 1 << 16;
/// Positions of such a part.
const PART: usize = 1 << 13;

/// The gradient by panels of columns: in each, all positions one after another.
struct Panels<'a> {
    data: Cow<'a, [f32]>,
    positions: usize,
    columns: usize,
    width: usize,
    lanes: usize,
}

impl<'a> Panels<'a> {
    fn new(gradient: &'a [f32], positions: usize, columns: usize) -> Self {
        let (width, lanes) = (panel_width(), lanes());
        let mut panels = Self {
            data: Cow::Borrowed(gradient),
            positions,
            columns,
            width,
            lanes,
        };
        if panels.count() == 1 && columns.is_multiple_of(lanes) {
            return panels;
        }
        let mut data = Vec::with_capacity(positions * columns.next_multiple_of(lanes));
        for panel in 0..panels.count() {
            let first = panel * width;
            let count = width.min(columns - first);
            for row in gradient.chunks_exact(columns) {
                data.extend_from_slice(&row[first..first + count]);
                data.resize(data.len().next_multiple_of(lanes), 0.0);
            }
        }
        panels.data = data.into();
        panels
    }

    fn count(&self) -> usize {
        self.columns.div_ceil(self.width)
    }

    /// Width of a panel in whole vectors, and its gradients at some positions.
    fn part(&self, panel: usize, first: usize, count: usize) -> (usize, &[f32]) {
        let columns = self.columns - panel * self.width;
        let width = columns.next_multiple_of(self.lanes).min(self.width);
        let start = panel * self.positions * self.width + first * width;
        (width, &self.data[start..start + count * width])
    }
}

/// `[taps · in, out]`.
pub(crate) fn weight_gradient(sizes: Sizes, x: &[f32], gradient: &[f32]) -> Vec<f32> {
    if let Some(plan) = winograd::plan(&sizes).filter(winograd::Plan::serves_weights) {
        return plan.weight_gradient(x, gradient);
    }
    let Sizes {
        batch,
        inputs,
        kernel: [kd, kh, kw],
        outputs,
        window,
        ..
    } = sizes;
    let weights = sizes.taps() * inputs;
    let mut out = memory::zeros(weights * outputs);
    let positions = sizes.positions();
    if out.is_empty() || positions == 0 {
        return out;
    }
    let padded = Padded::new(
        x,
        batch,
        sizes.input,
        inputs,
        window.padding,
        window.padding,
    );
    let from = padded.rows(batch, sizes.output, [0; 3], window.stride);
    let lines = padded.lines([kd, kh]).into_iter();
    let offsets: Vec<usize> = lines
        .flat_map(|line| (0..kw * inputs).map(move |i| line + i))
        .collect();
    let panels = Panels::new(gradient, positions, outputs);
    let task = |first: usize, last: usize, offsets, out| {
        arch().dispatch(Task {
            data: &padded.data,
            from: &from,
            first,
            last,
            offsets,
            panels: &panels,
            out,
        });
    };
    if out.len() > FEW_WEIGHTS || positions <= PART {
        // Rows are summed one by one: their share of a task changes nothing in the sums.
        let share = weights
            .div_ceil(3 * rayon::current_num_threads())
            .min(TASK_WEIGHTS / outputs)
            .max(1)
            .next_multiple_of(TILE);
        out.par_chunks_mut(share * outputs)
            .zip(offsets.par_chunks(share))
            .with_max_len(1)
            .for_each(|(out, offsets)| task(0, positions, offsets, out));
        return out;
    }
    let parts = positions.div_ceil(PART);
    let mut sums = memory::zeros(parts * out.len());
    sums.par_chunks_mut(out.len())
        .with_max_len(1)
        .enumerate()
        .for_each(|(part, out)| {
            let last = ((part + 1) * PART).min(positions);
            task(part * PART, last, &offsets, out);
        });
    for part in sums.chunks_exact(out.len()) {
        for (sum, value) in out.iter_mut().zip(part) {
            *sum += value;
        }
    }
    out
}

/// Some rows over some positions.
struct Task<'a> {
    data: &'a [f32],
    /// Where the input of each position begins.
    from: &'a [usize],
    first: usize,
    last: usize,
    /// For each row, the distance of its input value from there.
    offsets: &'a [usize],
    panels: &'a Panels<'a>,
    /// Rows of all columns, zero at first.
    out: &'a mut [f32],
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let columns = self.panels.columns;
        // A panel of gradients at so many positions stays near the first-level cache while the tiles read it.
        let mut storage = memory::take(Scratch::Left);
        let packed = aligned(&mut storage, ROWS * DEEPEST);
        for start in (self.first..self.last).step_by(DEEPEST) {
            let from = &self.from[start..self.last.min(start + DEEPEST)];
            let out = self.out.chunks_mut(ROWS * columns);
            for (offsets, out) in self.offsets.chunks(ROWS).zip(out) {
                pack(self.data, from, offsets, packed);
                for index in 0..self.panels.count() {
                    let (width, panel) = self.panels.part(index, start, from.len());
                    let first = index * self.panels.width;
                    let used = width.min(columns - first);
                    let tiles = packed.chunks_exact(TILE * from.len());
                    for (tile, out) in tiles.zip(out.chunks_mut(TILE * columns)) {
                        let place = Place {
                            rows: out.len() / columns,
                            out: &mut out[first..],
                            row_stride: columns,
                            columns: used,
                            bias: None,
                            add: true,
                            next: &[],
                        };
                        dispatch_width(simd, tile.as_chunks().0.iter(), panel, width, place);
                    }
                }
            }
        }
        memory::put_back(Scratch::Left, storage);
    }
}

/// Tiles of six rows, in each for every position the six input values one after another: where they are, values of a row
/// lie a multiple of a page apart and compete for a few places of the caches.
#[inline(always)]
fn pack(data: &[f32], from: &[usize], offsets: &[usize], packed: &mut [f32]) {
    let len = TILE * from.len();
    // The inputs of some positions stay in the first-level cache, where all tiles take theirs from.
    for (block, from) in from.chunks(16).enumerate() {
        let tiles = packed.chunks_exact_mut(len).zip(offsets.chunks(TILE));
        for (tile, rows) in tiles {
            let out = tile[16 * TILE * block..].as_chunks_mut::<TILE>().0;
            let (first, last) = (rows[0], rows[rows.len() - 1]);
            if rows.len() == TILE && last - first == TILE - 1 {
                for (six, from) in out.iter_mut().zip(from) {
                    six.copy_from_slice(&data[from + first..][..TILE]);
                }
            } else {
                let mut offsets = [last; TILE];
                offsets[..rows.len()].copy_from_slice(rows);
                for (six, from) in out.iter_mut().zip(from) {
                    let data = &data[*from..];
                    *six = offsets.map(|offset| data[offset]);
                }
            }
        }
    }
}
