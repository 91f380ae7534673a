//! The weight gradient: for each element of the kernel the sum, over positions, of an input value times the gradient.

use std::borrow::Cow;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::cpu::{Padded, Sizes};
use super::gather::{TILE, lanes, panel_width};
use super::winograd;
use crate::simd::arch;

/// Positions of a block: a panel of their gradients stays in the first-level cache while the tiles of a task read it.
const BLOCK: usize = 128;
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
    if winograd::serves(&sizes) {
        return winograd::weight_gradient(sizes, x, gradient);
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
    let mut out = vec![0.0; weights * outputs];
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
    let mut sums = vec![0.0; parts * out.len()];
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
        for start in (self.first..self.last).step_by(BLOCK) {
            let from = &self.from[start..self.last.min(start + BLOCK)];
            for index in 0..self.panels.count() {
                let (width, panel) = self.panels.part(index, start, from.len());
                let first = index * self.panels.width;
                let used = width.min(columns - first);
                let rows = self.offsets.chunks(TILE);
                for (rows, out) in rows.zip(self.out.chunks_mut(TILE * columns)) {
                    let mut offsets = [rows[rows.len() - 1]; TILE];
                    offsets[..rows.len()].copy_from_slice(rows);
                    let place = Place {
                        out: &mut out[first..],
                        stride: columns,
                        columns: used,
                    };
                    let first = offsets[0];
                    if offsets.iter().enumerate().all(|(r, at)| *at == first + r) {
                        let left = InARow { first };
                        rows_of_tile(simd, self.data, from, left, panel, width, place);
                    } else {
                        let left = Apart { offsets };
                        rows_of_tile(simd, self.data, from, left, panel, width, place);
                    }
                }
            }
        }
    }
}

/// Where the six input values of a tile lie, counted from where a position's input begins.
pub(super) trait Six: Copy {
    /// The part of the data that holds them.
    fn part(self, data: &[f32]) -> &[f32];

    /// Where in this part the value of a row is.
    fn at(self, row: usize) -> usize;
}

/// One after another: one check of bounds for all.
#[derive(Clone, Copy)]
pub(super) struct InARow {
    pub(super) first: usize,
}

impl Six for InARow {
    #[inline(always)]
    fn part(self, data: &[f32]) -> &[f32] {
        &data[self.first..][..TILE]
    }

    #[inline(always)]
    fn at(self, row: usize) -> usize {
        row
    }
}

#[derive(Clone, Copy)]
struct Apart {
    offsets: [usize; TILE],
}

impl Six for Apart {
    #[inline(always)]
    fn part(self, data: &[f32]) -> &[f32] {
        data
    }

    #[inline(always)]
    fn at(self, row: usize) -> usize {
        self.offsets[row]
    }
}

#[inline(always)]
pub(super) fn rows_of_tile<S: Simd>(
    simd: S,
    data: &[f32],
    from: &[usize],
    left: impl Six,
    panel: &[f32],
    width: usize,
    place: Place<'_>,
) {
    match width / S::F32_LANES {
        1 => tile::<S, 1>(simd, data, from, left, panel, place),
        2 => tile::<S, 2>(simd, data, from, left, panel, place),
        3 => tile::<S, 3>(simd, data, from, left, panel, place),
        _ => tile::<S, 4>(simd, data, from, left, panel, place),
    }
}

/// Rows at a stride; the first `columns` of each are added to.
pub(super) struct Place<'a> {
    pub(super) out: &'a mut [f32],
    pub(super) stride: usize,
    pub(super) columns: usize,
}

#[inline(always)]
fn tile<S: Simd, const WIDTH: usize>(
    simd: S,
    data: &[f32],
    from: &[usize],
    left: impl Six,
    panel: &[f32],
    place: Place<'_>,
) {
    let (vectors, _) = S::as_simd_f32s(panel);
    let mut sums = [[simd.splat_f32s(0.0); WIDTH]; TILE];
    for (from, b) in from.iter().zip(vectors.as_chunks::<WIDTH>().0) {
        let six = left.part(&data[*from..]);
        for r in 0..TILE {
            let value = simd.splat_f32s(six[left.at(r)]);
            for c in 0..WIDTH {
                sums[r][c] = simd.mul_add_f32s(value, b[c], sums[r][c]);
            }
        }
    }
    let Place {
        out,
        stride,
        columns,
    } = place;
    // A copy: indexed by variables below, the sums themselves would live in memory during the loop above.
    let mut edge = [[simd.splat_f32s(0.0); WIDTH]; TILE];
    for r in 0..TILE {
        for c in 0..WIDTH {
            edge[r][c] = sums[r][c];
        }
    }
    for (row, sums) in out.chunks_mut(stride).zip(&edge) {
        let (vectors, rest) = S::as_mut_simd_f32s(&mut row[..columns]);
        for (value, sum) in vectors.iter_mut().zip(sums) {
            *value = simd.add_f32s(*value, *sum);
        }
        if let Some(sum) = sums.get(vectors.len())
            && !rest.is_empty()
        {
            let value = simd.add_f32s(simd.partial_load_f32s(rest), *sum);
            simd.partial_store_f32s(rest, value);
        }
    }
}
