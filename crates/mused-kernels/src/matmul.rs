//! Matrix product of strided `f32` matrices.
//!
//! The plan is that of Goto & van de Geijn (2008): panels of the right matrix are packed once, blocks of rows of the left
//! one are handed to threads, and a register tile of 6 rows is accumulated over a block of the inner axis. Compared with
//! the `gemm` crate behind Burn's own matmul it adds the bias on the way out, packs on all threads, and costs less on the
//! small matrices of an ROI model. An element's sum is formed in an order that depends on the inner size alone: no number of threads, no other
//! size changes a bit of it.

use burn_flex::FlexTensor;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::bf16::round_all;
use crate::fetch::{Fetch, LINE, prefetch, shared_out};
use crate::memory::{self, Scratch};
use crate::simd::arch;

/// Rows of a register tile.
pub(crate) const TILE: usize = 6;
/// Most rows of one packed panel in a block of the inner axis: a longer block adds to the product less often. With AVX2 a panel
/// stays in the first-level cache; with AVX-512 it comes from the second-level one, and is fetched before it is wanted.
pub(crate) const DEEPEST: usize = 384;
/// Most rows of one task.
const ROWS: usize = 144;
/// Multiplications below which the caller works alone.
const PARALLEL: usize = 1 << 20;

/// A matrix inside a slice.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) row_stride: usize,
    pub(crate) column_stride: usize,
}

impl<'a> View<'a> {
    /// A rank-2 tensor without negative strides.
    pub(crate) fn of(tensor: &'a FlexTensor) -> Self {
        let layout = tensor.layout();
        Self {
            data: &tensor.storage::<f32>()[layout.start_offset()..],
            row_stride: layout.strides()[0] as usize,
            column_stride: layout.strides()[1] as usize,
        }
    }

    pub(crate) fn rows(data: &'a [f32], row_stride: usize) -> Self {
        Self {
            data,
            row_stride,
            column_stride: 1,
        }
    }

    /// The part that begins so many values later.
    pub(crate) fn from(self, start: usize) -> Self {
        Self {
            data: &self.data[start..],
            ..self
        }
    }

    pub(crate) fn transposed(self) -> Self {
        Self {
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// Where a product goes: rows at a stride, either replaced (starting from a bias) or added to.
pub(crate) struct Target<'a> {
    pub(crate) data: &'a mut [f32],
    pub(crate) row_stride: usize,
    pub(crate) bias: Option<&'a [f32]>,
    pub(crate) add: bool,
}

/// Columns of a panel, where there are as many.
pub(crate) fn widest<S: Simd>() -> usize {
    let vectors = if S::REGISTER_COUNT >= 32 { 4 } else { 2 };
    vectors * S::F32_LANES
}

/// Panels of the right matrix: blocks of the inner axis, in each one panel after another, in each its rows of lanes.
#[derive(Clone, Copy)]
struct Panels {
    inner: usize,
    columns: usize,
    /// Columns of a panel.
    width: usize,
    /// Rows of a block of the inner axis, but for the last.
    depth: usize,
}

impl Panels {
    fn new<S: Simd>(inner: usize, columns: usize) -> Self {
        let blocks = inner.div_ceil(DEEPEST).max(1);
        Self {
            inner,
            columns,
            width: widest::<S>().min(columns.next_multiple_of(S::F32_LANES)),
            depth: inner.div_ceil(blocks),
        }
    }

    fn count(self) -> usize {
        self.columns.div_ceil(self.width)
    }

    /// Each panel is stored for the whole inner axis at once.
    fn len(self) -> usize {
        self.count() * self.inner * self.width
    }
}

/// Inner products of every row of `left` with every row of `right`, rows of `width` values: left rows × right rows, on the
/// threads of the caller's pool. What is no whole row at an end is passed over.
pub fn row_products(left: &[f32], right: &[f32], width: usize) -> Vec<f32> {
    let width = width.max(1);
    let sizes = [left.len() / width, width, right.len() / width];
    let right = View::rows(right, width).transposed();
    product(View::rows(left, width), right, None, sizes)
}

/// `left · right + bias`, sizes `[rows, inner, columns]`, on the threads of the caller's pool.
pub(crate) fn product(
    left: View<'_>,
    right: View<'_>,
    bias: Option<&[f32]>,
    sizes: [usize; 3],
) -> Vec<f32> {
    product_then(left, right, bias, sizes, |_| ())
}

/// [`product`] of factors rounded to bf16.
pub(crate) fn product_of_rounded(
    left: View<'_>,
    right: View<'_>,
    bias: Option<&[f32]>,
    sizes: [usize; 3],
) -> Vec<f32> {
    product_of(left, right, true, bias, sizes, |_| ())
}

/// [`product`], of which `then` changes every row, some at a time, while they are in the cache.
pub(crate) fn product_then(
    left: View<'_>,
    right: View<'_>,
    bias: Option<&[f32]>,
    sizes: [usize; 3],
    then: impl Fn(&mut [f32]) + Sync,
) -> Vec<f32> {
    product_of(left, right, false, bias, sizes, then)
}

fn product_of(
    left: View<'_>,
    right: View<'_>,
    round: bool,
    bias: Option<&[f32]>,
    [rows, inner, columns]: [usize; 3],
    then: impl Fn(&mut [f32]) + Sync,
) -> Vec<f32> {
    if rows * columns == 0 {
        return Vec::new();
    }
    if inner == 0 {
        let mut out = vec![0.0; rows * columns];
        if let Some(bias) = bias {
            out.chunks_exact_mut(columns)
                .for_each(|row| row.copy_from_slice(bias));
        }
        then(&mut out);
        return out;
    }
    let threads = threads([rows, inner, columns]);
    let mut storage = memory::take(Scratch::Right);
    let out = arch().dispatch(Product {
        left,
        right,
        round,
        bias,
        sizes: [rows, inner, columns],
        threads,
        storage: &mut storage,
        then: &then,
    });
    memory::put_back(Scratch::Right, storage);
    out
}

/// Threads that share a product of these sizes.
pub(crate) fn threads([rows, inner, columns]: [usize; 3]) -> usize {
    match rows * inner * columns >= PARALLEL {
        true => rayon::current_num_threads(),
        false => 1,
    }
}

/// Rows of a task: equal shares in whole tiles, none larger than what keeps the packed rows in the second-level cache.
pub(crate) fn share(rows: usize, threads: usize, tile: usize) -> usize {
    let shares = threads * rows.div_ceil(threads * ROWS);
    rows.div_ceil(shares).next_multiple_of(tile)
}

struct Product<'a> {
    left: View<'a>,
    right: View<'a>,
    /// To bf16, as the factors are packed.
    round: bool,
    bias: Option<&'a [f32]>,
    sizes: [usize; 3],
    threads: usize,
    storage: &'a mut Vec<f32>,
    then: &'a (dyn Fn(&mut [f32]) + Sync),
}

impl WithSimd for Product<'_> {
    type Output = Vec<f32>;

    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        let Self {
            left,
            right,
            round,
            bias,
            sizes,
            threads,
            storage,
            then,
        } = self;
        let [rows, inner, columns] = sizes;
        let panels = Panels::new::<S>(inner, columns);
        let packed = aligned(storage, panels.len());
        let panel_len = (inner * panels.width).max(1);
        let pack = |(index, panel): (usize, &mut [f32])| {
            simd.vectorize(Pack {
                right,
                panels,
                index,
                panel: &mut *panel,
            });
            if round {
                simd.vectorize(Round(panel));
            }
        };
        let share = share(rows, threads, TILE);
        if threads > 1 {
            packed.par_chunks_mut(panel_len).enumerate().for_each(pack);
        } else {
            packed.chunks_mut(panel_len).enumerate().for_each(pack);
        }
        let packed = &*packed;
        let run = |index, data: &mut [f32]| {
            let first = index * share;
            let left = View {
                data: &left.data[first * left.row_stride..],
                ..left
            };
            let rows = data.len() / columns;
            let target = Target {
                data: &mut *data,
                row_stride: columns,
                bias,
                add: false,
            };
            simd.vectorize(Block {
                left,
                round,
                packed,
                panels,
                rows,
                target,
            });
            then(data);
        };
        memory::written(rows * columns, share * columns, threads, run)
    }
}

/// The product on the calling thread, inside a vectorised function; `storage` is kept by the caller to be used again.
#[inline(always)]
pub(crate) fn serial<S: Simd>(
    simd: S,
    left: View<'_>,
    right: View<'_>,
    [rows, inner, columns]: [usize; 3],
    target: Target<'_>,
    storage: &mut Vec<f32>,
) {
    let right = pack(simd, right, inner, columns, storage);
    serial_packed(simd, left, right, rows, target);
}

/// A right matrix, packed for several products.
#[derive(Clone, Copy)]
pub(crate) struct Packed<'a> {
    panels: Panels,
    data: &'a [f32],
}

/// Packs a right matrix on the calling thread, inside a vectorised function.
#[inline(always)]
pub(crate) fn pack<'a, S: Simd>(
    simd: S,
    right: View<'_>,
    inner: usize,
    columns: usize,
    storage: &'a mut Vec<f32>,
) -> Packed<'a> {
    let panels = Panels::new::<S>(inner, columns);
    let packed = aligned(storage, panels.len());
    pack_into(simd, right, panels, packed)
}

/// Packs right matrices of as many columns, each with its rows, on so many threads.
pub(crate) fn pack_all<'a, S: Simd>(
    simd: S,
    rights: Vec<(View<'_>, usize)>,
    columns: usize,
    threads: usize,
    storage: &'a mut Vec<f32>,
) -> Vec<Packed<'a>> {
    let with_panels = rights
        .into_iter()
        .map(|(right, inner)| (right, Panels::new::<S>(inner, columns)));
    let with_panels: Vec<_> = with_panels.collect();
    let all = with_panels.iter().map(|(_, panels)| panels.len()).sum();
    let mut rest = aligned(storage, all);
    let mut tasks = Vec::new();
    for (right, panels) in with_panels {
        let (packed, after) = rest.split_at_mut(panels.len());
        rest = after;
        tasks.push((right, panels, packed));
    }
    let run = |(right, panels, packed)| pack_into(simd, right, panels, packed);
    match threads > 1 {
        true => tasks.into_par_iter().map(run).collect(),
        false => tasks.into_iter().map(run).collect(),
    }
}

#[inline(always)]
fn pack_into<'a, S: Simd>(
    simd: S,
    right: View<'_>,
    panels: Panels,
    packed: &'a mut [f32],
) -> Packed<'a> {
    let inner = panels.inner;
    for (index, panel) in packed.chunks_mut((inner * panels.width).max(1)).enumerate() {
        simd.vectorize(Pack {
            right,
            panels,
            index,
            panel,
        });
    }
    Packed {
        panels,
        data: packed,
    }
}

/// [`serial`] with a right matrix packed before.
#[inline(always)]
pub(crate) fn serial_packed<S: Simd>(
    simd: S,
    left: View<'_>,
    right: Packed<'_>,
    rows: usize,
    target: Target<'_>,
) {
    simd.vectorize(Block {
        left,
        round: false,
        packed: right.data,
        panels: right.panels,
        rows,
        target,
    });
}

/// `len` floats of the storage that start on a cache line: a vector across two lines costs two accesses.
pub(crate) fn aligned(storage: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if storage.len() < len + 16 {
        // Nothing of the old content is wanted: a new allocation comes zeroed without a copy. The old one goes before.
        *storage = Vec::new();
        *storage = vec![0.0; len + 16];
    }
    let offset = storage.as_ptr().align_offset(64).min(16);
    &mut storage[offset..offset + len]
}

/// Packs one panel of the right matrix, columns past its end as zeros.
struct Pack<'a> {
    right: View<'a>,
    panels: Panels,
    index: usize,
    panel: &'a mut [f32],
}

impl WithSimd for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self {
            right,
            panels,
            index,
            panel,
        } = self;
        let width = panels.width;
        let first = index * width;
        let columns = width.min(panels.columns - first);
        let data = &right.data[first * right.column_stride..];
        if right.column_stride == 1 {
            for (p, row) in panel.chunks_exact_mut(width).enumerate() {
                let start = p * right.row_stride;
                if columns == width {
                    // By the call that a copy of unknown length is, a row of a few vectors takes several times as long.
                    let (from, _) = S::as_simd_f32s(&data[start..start + width]);
                    let (to, _) = S::as_mut_simd_f32s(row);
                    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
                    continue;
                }
                let (values, padding) = row.split_at_mut(columns);
                values.copy_from_slice(&data[start..start + columns]);
                padding.fill(0.0);
            }
            return;
        }
        // Sixteen rows at a time: their sources stay in the first-level cache over all columns.
        for (block, rows) in panel.chunks_mut(16 * width).enumerate() {
            let depth = rows.len() / width;
            for j in 0..width {
                let start = j * right.column_stride + block * 16 * right.row_stride;
                if j >= columns {
                    for p in 0..depth {
                        rows[p * width + j] = 0.0;
                    }
                } else if right.row_stride == 1 {
                    let source = &data[start..start + depth];
                    for (row, value) in rows.chunks_exact_mut(width).zip(source) {
                        row[j] = *value;
                    }
                } else {
                    for p in 0..depth {
                        rows[p * width + j] = data[start + p * right.row_stride];
                    }
                }
            }
        }
    }
}

/// Values to be rounded to bf16.
struct Round<'a>(&'a mut [f32]);

impl WithSimd for Round<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        round_all(self.0);
    }
}

/// Rows of the product against all panels.
struct Block<'a> {
    left: View<'a>,
    round: bool,
    packed: &'a [f32],
    panels: Panels,
    rows: usize,
    target: Target<'a>,
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            left,
            round,
            packed,
            panels,
            rows,
            target,
        } = self;
        let Panels {
            inner,
            columns,
            width,
            depth: most,
        } = panels;
        let mut storage = memory::take(Scratch::Left);
        let packed_left = aligned(&mut storage, rows.next_multiple_of(TILE) * most);
        for start in (0..inner).step_by(most.max(1)) {
            let depth = most.min(inner - start);
            pack_rows(left, rows, start, depth, packed_left);
            if round {
                round_all(&mut packed_left[..rows.next_multiple_of(TILE) * depth]);
            }
            let first = start == 0 && !target.add;
            for index in 0..panels.count() {
                let panel = &packed[(index * inner + start) * width..][..depth * width];
                let column = index * width;
                let count = width.min(columns - column);
                let bias = target.bias.map(|bias| &bias[column..column + count]);
                let next = match index + 1 < panels.count() {
                    true => &packed[((index + 1) * inner + start) * width..][..depth * width],
                    false => &[],
                };
                let mut next = shared_out(next, rows.div_ceil(TILE));
                for row in (0..rows).step_by(TILE) {
                    let tile_rows = TILE.min(rows - row);
                    let out = &mut target.data[row * target.row_stride + column..];
                    let place = Place {
                        out,
                        row_stride: target.row_stride,
                        rows: tile_rows,
                        columns: count,
                        bias: if first { bias } else { None },
                        add: !first,
                        next: next.next().unwrap_or_default(),
                    };
                    let (six, _) = packed_left[row * depth..][..TILE * depth].as_chunks();
                    dispatch_width(simd, six.iter(), panel, width, place);
                }
            }
        }
        memory::put_back(Scratch::Left, storage);
    }
}

/// Tiles of six rows, transposed: for each inner index the six values one after another.
#[inline(always)]
pub(crate) fn pack_rows(
    left: View<'_>,
    rows: usize,
    start: usize,
    depth: usize,
    packed: &mut [f32],
) {
    let data = &left.data[start * left.column_stride..];
    let packed = &mut packed[..rows.next_multiple_of(TILE) * depth];
    let whole = if left.row_stride == 1 {
        // The rows of some inner indices lie in the first-level cache, where all tiles take theirs from.
        for first in (0..depth).step_by(16) {
            let tiles = packed.chunks_exact_mut(TILE * depth).take(rows / TILE);
            for (tile, out) in tiles.enumerate() {
                let out = out[first * TILE..].as_chunks_mut::<TILE>().0;
                for (p, six) in out.iter_mut().take(16).enumerate() {
                    let from = (first + p) * left.column_stride + tile * TILE;
                    six.copy_from_slice(&data[from..from + TILE]);
                }
            }
        }
        rows / TILE
    } else {
        0
    };
    let tiles = packed.chunks_exact_mut(TILE * depth).enumerate();
    for (tile, out) in tiles.skip(whole) {
        let row = tile * TILE;
        let count = TILE.min(rows - row);
        let data = &data[row * left.row_stride..];
        let out = out.as_chunks_mut::<TILE>().0;
        if left.column_stride == 1 && count == TILE {
            let rows: [&[f32]; TILE] =
                std::array::from_fn(|r| &data[r * left.row_stride..][..depth]);
            for (p, six) in out.iter_mut().enumerate() {
                *six = rows.map(|row| row[p]);
            }
        } else {
            for (p, six) in out.iter_mut().enumerate() {
                *six = std::array::from_fn(|r| {
                    if r < count {
                        data[r * left.row_stride + p * left.column_stride]
                    } else {
                        0.0
                    }
                });
            }
        }
    }
}

/// Where a tile goes.
pub(crate) struct Place<'a> {
    pub(crate) out: &'a mut [f32],
    pub(crate) row_stride: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) bias: Option<&'a [f32]>,
    pub(crate) add: bool,
    /// What is read soon after the tile.
    pub(crate) next: &'a [f32],
}

/// Six rows times a panel of this width; `left` has the six values for each row of the panel.
#[inline(always)]
pub(crate) fn dispatch_width<'l, S: Simd>(
    simd: S,
    left: impl Iterator<Item = &'l [f32; TILE]>,
    panel: &[f32],
    width: usize,
    place: Place<'_>,
) {
    match width / S::F32_LANES {
        1 => tile::<S, 1>(simd, left, panel, place),
        2 => tile::<S, 2>(simd, left, panel, place),
        3 => tile::<S, 3>(simd, left, panel, place),
        _ => tile::<S, 4>(simd, left, panel, place),
    }
}

#[inline(always)]
fn tile<'l, S: Simd, const WIDTH: usize>(
    simd: S,
    left: impl Iterator<Item = &'l [f32; TILE]>,
    panel: &[f32],
    place: Place<'_>,
) {
    let (vectors, _) = S::as_simd_f32s(panel);
    let whole = place.rows == TILE && place.columns == WIDTH * S::F32_LANES;
    if whole {
        // Rows of a wide product lie pages apart: what the sums go to is on its way while they are formed.
        for r in 0..TILE {
            let row = &place.out[r * place.row_stride..][..WIDTH * S::F32_LANES];
            for c in (0..WIDTH * S::F32_LANES).step_by(LINE) {
                prefetch(&row[c]);
            }
            prefetch(&row[WIDTH * S::F32_LANES - 1]);
        }
    }
    let rows = vectors.as_chunks::<WIDTH>().0;
    let mut fetch = Fetch::new(place.next, panel, rows.len());
    let mut sums = [[simd.splat_f32s(0.0); WIDTH]; TILE];
    for (six, b) in left.zip(rows) {
        fetch.step::<S, WIDTH>(b);
        for r in 0..TILE {
            let value = simd.splat_f32s(six[r]);
            for c in 0..WIDTH {
                sums[r][c] = simd.mul_add_f32s(value, b[c], sums[r][c]);
            }
        }
    }
    let Place {
        out,
        row_stride,
        rows,
        columns,
        bias,
        add,
        ..
    } = place;
    if whole {
        let zero = [simd.splat_f32s(0.0); WIDTH];
        let bias = match bias {
            Some(bias) => *S::as_simd_f32s(bias).0.first_chunk().unwrap_or(&zero),
            None => zero,
        };
        for r in 0..TILE {
            let (row, _) = S::as_mut_simd_f32s(&mut out[r * row_stride..][..columns]);
            let Some(row) = row.first_chunk_mut::<WIDTH>() else {
                return;
            };
            for c in 0..WIDTH {
                let old = if add { row[c] } else { bias[c] };
                row[c] = simd.add_f32s(sums[r][c], old);
            }
        }
        return;
    }
    // A copy: indexed by variables below, the sums themselves would live in memory during the loop above.
    let mut edge = [[simd.splat_f32s(0.0); WIDTH]; TILE];
    for r in 0..TILE {
        for c in 0..WIDTH {
            edge[r][c] = sums[r][c];
        }
    }
    for (r, sums) in edge.iter().enumerate().take(rows) {
        let row = &mut out[r * row_stride..][..columns];
        for (c, sum) in sums.iter().enumerate() {
            let from = (c * S::F32_LANES).min(columns);
            let to = (from + S::F32_LANES).min(columns);
            let old = match (add, bias) {
                (true, _) => simd.partial_load_f32s(&row[from..to]),
                (false, Some(bias)) => simd.partial_load_f32s(&bias[from..to]),
                (false, None) => simd.splat_f32s(0.0),
            };
            simd.partial_store_f32s(&mut row[from..to], simd.add_f32s(*sum, old));
        }
    }
}
