//! A matrix product whose left rows lie anywhere in a buffer.
//!
//! Row r of the left matrix is a list of runs: pieces of the buffer at fixed distances from where row r begins. With
//! channels last, the values under a kernel are such runs (one for each of its lines), so that a convolution needs no
//! copy of its input beyond the zeros around it. Blocks of the right matrix are packed; a tile of six rows reads its
//! left values where they are. An element's sum is formed in an order that depends on the runs alone.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::fetch::Fetch;
use crate::matmul::{TILE, aligned, widest};
use crate::memory::{self, Scratch};
use crate::simd::arch;

/// Largest block of the inner axis.
pub(super) const DEPTH: usize = 256;
/// Most rows of one task: what they read and write for a block stays in the second-level cache.
const MOST_ROWS: usize = 1024;
/// Fewest rows of one task.
const FEWEST_ROWS: usize = 96;

/// Columns of a panel of the right matrix, for the registers of this machine.
pub(super) fn panel_width() -> usize {
    struct Width;
    impl WithSimd for Width {
        type Output = usize;
        fn with_simd<S: Simd>(self, _simd: S) -> usize {
            widest::<S>()
        }
    }
    arch().dispatch(Width)
}

/// Columns of one vector.
pub(super) fn lanes() -> usize {
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;
        fn with_simd<S: Simd>(self, _simd: S) -> usize {
            S::F32_LANES
        }
    }
    arch().dispatch(Lanes)
}

/// The right matrix: for each tap `tap_len` rows, element (row, column) of a tap at
/// `taps[tap] + row · row_stride + column · column_stride`.
#[derive(Clone, Copy)]
pub(super) struct Taps<'a> {
    pub(super) data: &'a [f32],
    pub(super) taps: &'a [usize],
    pub(super) tap_len: usize,
    pub(super) row_stride: usize,
    pub(super) column_stride: usize,
    pub(super) columns: usize,
}

impl Taps<'_> {
    /// Rows `start..start + depth`, columns from `first`, into a panel of this width; zeros past the last column.
    fn pack(&self, start: usize, depth: usize, first: usize, width: usize, panel: &mut [f32]) {
        let columns = width.min(self.columns - first);
        let mut at = start;
        let mut panel = &mut panel[..depth * width];
        while at < start + depth {
            let (tap, row) = (at / self.tap_len, at % self.tap_len);
            let count = (self.tap_len - row).min(start + depth - at);
            let origin = self.taps[tap] + row * self.row_stride + first * self.column_stride;
            let (rows, rest) = panel.split_at_mut(count * width);
            let data = &self.data[origin..];
            if self.column_stride == 1 {
                for (r, out) in rows.chunks_exact_mut(width).enumerate() {
                    let (values, padding) = out.split_at_mut(columns);
                    values.copy_from_slice(&data[r * self.row_stride..][..columns]);
                    padding.fill(0.0);
                }
            } else {
                // Sixteen rows at a time: what is written stays in the first-level cache over all columns.
                for (block, rows) in rows.chunks_mut(16 * width).enumerate() {
                    let first_row = block * 16 * self.row_stride;
                    let depth = rows.len() / width;
                    for column in 0..width {
                        if column >= columns {
                            rows.chunks_exact_mut(width)
                                .for_each(|row| row[column] = 0.0);
                        } else if self.row_stride == 1 {
                            let source = &data[first_row + column * self.column_stride..][..depth];
                            for (row, value) in rows.chunks_exact_mut(width).zip(source) {
                                row[column] = *value;
                            }
                        } else {
                            let source = &data[first_row + column * self.column_stride..];
                            for (r, row) in rows.chunks_exact_mut(width).enumerate() {
                                row[column] = source[r * self.row_stride];
                            }
                        }
                    }
                }
            }
            panel = rest;
            at += count;
        }
    }
}

/// A product of gathered rows.
#[derive(Clone, Copy)]
pub(super) struct Gather<'a> {
    /// What the rows are read from.
    pub(super) data: &'a [f32],
    /// Where each row begins.
    pub(super) rows: &'a [usize],
    /// Where each run begins, counted from the row's beginning.
    pub(super) runs: &'a [usize],
    /// Length of every run.
    pub(super) run_len: usize,
    /// The right matrix, a row for each element of the runs.
    pub(super) right: Taps<'a>,
}

/// A block of the inner axis: its first row in the right matrix, its depth, its pieces of runs (beginning, length).
struct Block {
    start: usize,
    depth: usize,
    pieces: Vec<(usize, usize)>,
}

/// Blocks of nearly equal depth: parts of a long run, or several short ones.
fn blocks(runs: &[usize], run_len: usize) -> Vec<Block> {
    if run_len == 0 {
        return vec![];
    }
    if run_len > DEPTH / 2 {
        let parts = run_len.div_ceil(DEPTH);
        let mut blocks = vec![];
        for (index, run) in runs.iter().enumerate() {
            for part in 0..parts {
                let from = run_len * part / parts;
                let depth = run_len * (part + 1) / parts - from;
                blocks.push(Block {
                    start: index * run_len + from,
                    depth,
                    pieces: vec![(run + from, depth)],
                });
            }
        }
        return blocks;
    }
    let together = DEPTH / run_len;
    let mut start = 0;
    runs.chunks(together)
        .map(|runs| {
            let depth = runs.len() * run_len;
            start += depth;
            Block {
                start: start - depth,
                depth,
                pieces: runs.iter().map(|run| (*run, run_len)).collect(),
            }
        })
        .collect()
}

impl Gather<'_> {
    /// The product, `[rows, columns]`.
    pub(super) fn product(self) -> Vec<f32> {
        let (count, columns) = (self.rows.len(), self.right.columns);
        let blocks = blocks(self.runs, self.run_len);
        let width = panel_width();
        let panels = columns.div_ceil(width).max(1);
        let lanes = lanes();
        let last_width = (columns - (panels - 1) * width).next_multiple_of(lanes);
        let mut out = memory::zeros(count * ((panels - 1) * width + last_width));
        if count == 0 || columns == 0 || blocks.is_empty() {
            out.truncate(count * columns);
            return out;
        }
        let tasks_wanted = 3 * rayon::current_num_threads();
        let chunks = count
            .div_ceil(MOST_ROWS)
            .max(tasks_wanted.div_ceil(panels))
            .min(count.div_ceil(FEWEST_ROWS));
        let share = count.div_ceil(chunks).next_multiple_of(TILE);
        let mut tasks = vec![];
        let mut rest = &mut out[..];
        for panel in 0..panels {
            let width = if panel + 1 < panels {
                width
            } else {
                last_width
            };
            let (now, later) = rest.split_at_mut(count * width);
            rest = later;
            for (rows, out) in self.rows.chunks(share).zip(now.chunks_mut(share * width)) {
                tasks.push(Task {
                    gather: Gather { rows, ..self },
                    blocks: &blocks,
                    first: panel * panel_width(),
                    width,
                    out,
                });
            }
        }
        tasks
            .into_par_iter()
            .with_max_len(1)
            .for_each(|task| arch().dispatch(task));
        if panels == 1 && last_width == columns {
            return out;
        }
        interleave(&out, count, columns, width)
    }
}

/// Rows of all columns from panels one after another.
fn interleave(panels: &[f32], rows: usize, columns: usize, width: usize) -> Vec<f32> {
    let lanes = lanes();
    let mut out = memory::zeros(rows * columns);
    let share = FEWEST_ROWS;
    out.par_chunks_mut(share * columns)
        .enumerate()
        .for_each(|(chunk, out)| {
            for (r, row) in out.chunks_exact_mut(columns).enumerate() {
                let r = chunk * share + r;
                for (panel, values) in row.chunks_mut(width).enumerate() {
                    let stride = values.len().next_multiple_of(lanes);
                    let from = panel * rows * width + r * stride;
                    values.copy_from_slice(&panels[from..from + values.len()]);
                }
            }
        });
    out
}

/// Some rows against one panel.
struct Task<'a> {
    gather: Gather<'a>,
    blocks: &'a [Block],
    first: usize,
    width: usize,
    out: &'a mut [f32],
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            gather,
            blocks,
            first,
            width,
            out,
        } = self;
        let deepest = blocks.iter().map(|block| block.depth).max().unwrap_or(0);
        let mut storage = memory::take(Scratch::Right);
        let panel = aligned(&mut storage, deepest * width);
        for (index, block) in blocks.iter().enumerate() {
            let panel = &mut panel[..block.depth * width];
            gather
                .right
                .pack(block.start, block.depth, first, width, panel);
            let rows = gather.rows.chunks(TILE).zip(out.chunks_mut(TILE * width));
            for (rows, out) in rows {
                let mut begins = [rows[rows.len() - 1]; TILE];
                begins[..rows.len()].copy_from_slice(rows);
                let place = Place {
                    out,
                    add: index > 0,
                    next: &[],
                };
                let (data, pieces) = (gather.data, &block.pieces[..]);
                tile_of_width(simd, data, begins, pieces, panel, width, place);
            }
        }
        memory::put_back(Scratch::Right, storage);
    }
}

/// Six rows times a panel of this width.
#[inline(always)]
pub(super) fn tile_of_width<S: Simd>(
    simd: S,
    data: &[f32],
    begins: [usize; TILE],
    pieces: &[(usize, usize)],
    panel: &[f32],
    width: usize,
    place: Place<'_>,
) {
    match width / S::F32_LANES {
        1 => tile::<S, 1>(simd, data, begins, pieces, panel, place),
        2 => tile::<S, 2>(simd, data, begins, pieces, panel, place),
        3 => tile::<S, 3>(simd, data, begins, pieces, panel, place),
        _ => tile::<S, 4>(simd, data, begins, pieces, panel, place),
    }
}

/// Whole rows of a panel: those of a tile that exist.
pub(super) struct Place<'a> {
    pub(super) out: &'a mut [f32],
    pub(super) add: bool,
    /// What is read soon after the tile.
    pub(super) next: &'a [f32],
}

#[inline(always)]
fn tile<S: Simd, const WIDTH: usize>(
    simd: S,
    data: &[f32],
    begins: [usize; TILE],
    pieces: &[(usize, usize)],
    panel: &[f32],
    place: Place<'_>,
) {
    let (vectors, _) = S::as_simd_f32s(panel);
    let mut vectors = vectors.as_chunks::<WIDTH>().0;
    let mut sums = [[simd.splat_f32s(0.0); WIDTH]; TILE];
    let mut fetch = Fetch::new(place.next, panel, vectors.len());
    for &(begin, len) in pieces {
        let (now, later) = vectors.split_at(len);
        vectors = later;
        // Zipped: six indices into as many slices are checked one by one, where the compiler pleases, at two thirds of the speed.
        let [l0, l1, l2, l3, l4, l5] = begins.map(|row| &data[row + begin..][..len]);
        let left = l0.iter().zip(l1).zip(l2).zip(l3).zip(l4).zip(l5);
        for (b, (((((v0, v1), v2), v3), v4), v5)) in now.iter().zip(left) {
            fetch.step::<S, WIDTH>(b);
            let left = [v0, v1, v2, v3, v4, v5];
            for r in 0..TILE {
                let value = simd.splat_f32s(*left[r]);
                for c in 0..WIDTH {
                    sums[r][c] = simd.mul_add_f32s(value, b[c], sums[r][c]);
                }
            }
        }
    }
    let Place { out, add, .. } = place;
    let (out, _) = S::as_mut_simd_f32s(out);
    let out = out.as_chunks_mut::<WIDTH>().0;
    // By constant places: a reference to the sums can have them in memory during the loop above, at half the speed.
    #[allow(clippy::needless_range_loop)]
    for r in 0..TILE {
        let Some(row) = out.get_mut(r) else {
            return;
        };
        for c in 0..WIDTH {
            row[c] = if add {
                simd.add_f32s(row[c], sums[r][c])
            } else {
                sums[r][c]
            };
        }
    }
}
