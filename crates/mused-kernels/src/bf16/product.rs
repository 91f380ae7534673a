//! The product of strided matrices, in bf16: the plan of [`matmul`](crate::matmul) with pairs of neighbours along the inner
//! axis where that has single values. Here too the order of an element's sum depends on the inner size alone.

use pulp::{Simd, WithSimd, bytemuck};
use rayon::prelude::*;

use super::instruction::{Instruction, LANES, Pair};
use super::rounded;
use crate::matmul::{self, View, aligned};
use crate::memory::{self, Scratch};
use crate::simd::arch;

/// Rows of a register tile.
const TILE: usize = 6;
/// Vectors of a register tile: with [`TILE`] rows 24 of 32 registers hold sums.
const VECTORS: usize = 4;
/// Pairs of a block of the inner axis: one packed panel of it stays near the first-level cache.
const DEPTH: usize = 192;

/// Panels of the right matrix: in each its rows of pairs, one pair a column.
#[derive(Clone, Copy)]
struct Panels {
    /// Of the inner axis; the last one is half empty where the size is odd.
    pairs: usize,
    columns: usize,
    /// Columns of a panel.
    width: usize,
}

/// `left · right + bias`, sizes `[rows, inner, columns]`, on the threads of the caller's pool.
pub(super) fn product<I: Instruction>(
    instruction: I,
    left: View<'_>,
    right: View<'_>,
    bias: Option<&[f32]>,
    [rows, inner, columns]: [usize; 3],
) -> Vec<f32> {
    if rows * columns == 0 || inner == 0 {
        return match bias {
            Some(bias) => bias.repeat(rows),
            None => vec![0.0; rows * columns],
        };
    }
    let panels = Panels {
        pairs: inner.div_ceil(2),
        columns,
        width: (VECTORS * LANES).min(columns.next_multiple_of(LANES)),
    };
    let mut storage = memory::take(Scratch::Right);
    let panel_len = panels.pairs * panels.width;
    let packed = aligned(&mut storage, columns.div_ceil(panels.width) * panel_len);
    let packed: &mut [Pair] = bytemuck::cast_slice_mut(packed);
    let pack = |(index, panel): (usize, &mut [Pair])| {
        arch().dispatch(Pack {
            right,
            inner,
            panels,
            first: index * panels.width,
            panel,
        });
    };
    let threads = matmul::threads([rows, inner, columns]);
    if threads > 1 {
        packed.par_chunks_mut(panel_len).enumerate().for_each(pack);
    } else {
        packed.chunks_mut(panel_len).enumerate().for_each(pack);
    }
    let packed = &*packed;
    let share = matmul::share(rows, threads, TILE);
    let run = |index, out: &mut [f32]| {
        let first = index * share;
        if let Some(bias) = bias {
            out.chunks_exact_mut(columns)
                .for_each(|row| row.copy_from_slice(bias));
        }
        instruction.run(Block {
            left: View {
                data: &left.data[first * left.row_stride..],
                ..left
            },
            inner,
            packed,
            panels,
            out,
        });
    };
    let out = memory::written(rows * columns, share * columns, threads, run);
    memory::put_back(Scratch::Right, storage);
    out
}

#[inline(always)]
fn pair(first: f32, second: f32) -> Pair {
    rounded(first) | (rounded(second) << 16)
}

/// Neighbours as pairs; a last value by itself has zero beside it.
#[inline(always)]
fn round_pairs(values: &[f32], pairs: &mut [Pair]) {
    let (twos, last) = values.as_chunks();
    for (to, [first, second]) in pairs.iter_mut().zip(twos) {
        *to = pair(*first, *second);
    }
    if let ([last], Some(to)) = (last, pairs.get_mut(twos.len())) {
        *to = pair(*last, 0.0);
    }
}

/// Packs the panel from column `first` on; columns past the end are zeros.
struct Pack<'a> {
    right: View<'a>,
    inner: usize,
    panels: Panels,
    first: usize,
    panel: &'a mut [Pair],
}

impl WithSimd for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self {
            right,
            inner,
            panels,
            first,
            panel,
        } = self;
        let width = panels.width;
        let columns = width.min(panels.columns - first);
        let data = &right.data[first * right.column_stride..];
        if right.column_stride == 1 {
            let row = |index: usize| &data[index * right.row_stride..][..columns];
            for (p, pairs) in panel.chunks_exact_mut(width).enumerate() {
                let (pairs, padding) = pairs.split_at_mut(columns);
                padding.fill(0);
                let one = row(2 * p);
                if 2 * p + 1 < inner {
                    for ((to, a), b) in pairs.iter_mut().zip(one).zip(row(2 * p + 1)) {
                        *to = pair(*a, *b);
                    }
                } else {
                    for (to, a) in pairs.iter_mut().zip(one) {
                        *to = pair(*a, 0.0);
                    }
                }
            }
            return;
        }
        // Sixteen rows at a time: their sources stay in the first-level cache over all columns.
        for (block, rows) in panel.chunks_mut(16 * width).enumerate() {
            let start = 32 * block;
            let count = 32.min(inner - start);
            for j in 0..width {
                let mut column = [0; 16];
                if j < columns {
                    let data = &data[j * right.column_stride + start * right.row_stride..];
                    if right.row_stride == 1 {
                        round_pairs(&data[..count], &mut column);
                    } else {
                        let value = |at| data[at * right.row_stride];
                        let values: [f32; 32] =
                            std::array::from_fn(|at| if at < count { value(at) } else { 0.0 });
                        round_pairs(&values, &mut column);
                    }
                }
                for (pairs, value) in rows.chunks_exact_mut(width).zip(column) {
                    pairs[j] = value;
                }
            }
        }
    }
}

/// Rows of the product against all panels, added to what stands in `out`.
pub(super) struct Block<'a> {
    left: View<'a>,
    inner: usize,
    packed: &'a [Pair],
    panels: Panels,
    out: &'a mut [f32],
}

impl Block<'_> {
    #[inline(always)]
    pub(super) fn run<I: Instruction>(self, instruction: I) {
        let Self {
            left,
            inner,
            packed,
            panels,
            out,
        } = self;
        let Panels {
            pairs,
            columns,
            width,
        } = panels;
        let rows = out.len() / columns;
        let mut storage = memory::take(Scratch::Left);
        let packed_left = aligned(&mut storage, rows.next_multiple_of(TILE) * pairs.min(DEPTH));
        let packed_left: &mut [Pair] = bytemuck::cast_slice_mut(packed_left);
        for start in (0..pairs).step_by(DEPTH) {
            let depth = DEPTH.min(pairs - start);
            pack_rows(left, inner, rows, start, depth, packed_left);
            for (index, panel) in packed.chunks_exact(pairs * width).enumerate() {
                let (panel, _) = panel[start * width..][..depth * width].as_chunks();
                let first = index * width;
                for row in (0..rows).step_by(TILE) {
                    let (six, _) = packed_left[row * depth..][..TILE * depth].as_chunks();
                    let place = Place {
                        out: &mut out[row * columns + first..],
                        row_stride: columns,
                        rows: TILE.min(rows - row),
                        columns: width.min(columns - first),
                    };
                    match width / LANES {
                        1 => tile::<I, 1>(instruction, six, panel, place),
                        2 => tile::<I, 2>(instruction, six, panel, place),
                        3 => tile::<I, 3>(instruction, six, panel, place),
                        _ => tile::<I, VECTORS>(instruction, six, panel, place),
                    }
                }
            }
        }
        memory::put_back(Scratch::Left, storage);
    }
}

/// Tiles of six rows, transposed: for each pair of the inner axis the six of the rows one after another.
#[inline(always)]
fn pack_rows(
    left: View<'_>,
    inner: usize,
    rows: usize,
    start: usize,
    depth: usize,
    packed: &mut [Pair],
) {
    // Values of the inner axis, an odd one at the end among them, and whole pairs.
    let values = (2 * depth).min(inner - 2 * start);
    let whole = values / 2;
    let mut rounded = [[0; DEPTH]; TILE];
    for (tile, out) in packed[..rows.next_multiple_of(TILE) * depth]
        .chunks_exact_mut(TILE * depth)
        .enumerate()
    {
        let row = tile * TILE;
        let count = TILE.min(rows - row);
        let data = &left.data[row * left.row_stride + 2 * start * left.column_stride..];
        let out = out.as_chunks_mut::<TILE>().0;
        if left.column_stride == 1 {
            for (r, pairs) in rounded.iter_mut().enumerate() {
                match r < count {
                    true => round_pairs(&data[r * left.row_stride..][..values], pairs),
                    false => pairs.fill(0),
                }
            }
            for (p, six) in out.iter_mut().enumerate() {
                for r in 0..TILE {
                    six[r] = rounded[r][p];
                }
            }
            continue;
        }
        let mut done = 0;
        if left.row_stride == 1 && count == TILE {
            let column = |at: usize| &data[at * left.column_stride..][..TILE];
            for (p, six) in out[..whole].iter_mut().enumerate() {
                for ((to, a), b) in six.iter_mut().zip(column(2 * p)).zip(column(2 * p + 1)) {
                    *to = pair(*a, *b);
                }
            }
            done = whole;
        }
        let value = |r: usize, at: usize| match r < count && at < values {
            true => data[r * left.row_stride + at * left.column_stride],
            false => 0.0,
        };
        for (p, six) in out.iter_mut().enumerate().skip(done) {
            *six = std::array::from_fn(|r| pair(value(r, 2 * p), value(r, 2 * p + 1)));
        }
    }
}

/// Where a tile goes.
struct Place<'a> {
    out: &'a mut [f32],
    row_stride: usize,
    rows: usize,
    columns: usize,
}

#[inline(always)]
fn tile<I: Instruction, const WIDTH: usize>(
    instruction: I,
    left: &[[Pair; TILE]],
    panel: &[[Pair; LANES]],
    place: Place<'_>,
) {
    let mut sums = [[instruction.zeros(); WIDTH]; TILE];
    for (six, right) in left.iter().zip(panel.as_chunks::<WIDTH>().0) {
        for r in 0..TILE {
            for c in 0..WIDTH {
                sums[r][c] = instruction.add_products(sums[r][c], six[r], &right[c]);
            }
        }
    }
    let mut values = [[[0.0; LANES]; WIDTH]; TILE];
    for r in 0..TILE {
        for c in 0..WIDTH {
            values[r][c] = instruction.values(sums[r][c]);
        }
    }
    for (r, values) in values.iter().enumerate().take(place.rows) {
        let row = &mut place.out[r * place.row_stride..][..place.columns];
        for (to, value) in row.iter_mut().zip(values.as_flattened()) {
            *to += value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bf16::instruction::Definition;
    #[cfg(target_arch = "x86_64")]
    use crate::bf16::instruction::avx512::Avx512;

    /// Values in −2 … 2 that no bf16 has.
    fn values(len: usize, seed: u64) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            (state >> 40) as f32 / (1 << 22) as f32 - 2.0
        };
        (0..len).map(|_| next()).collect()
    }

    /// A matrix of `rows` × `columns` in one of four layouts: by rows, by columns, rows with gaps, every other column.
    fn view(data: &[f32], rows: usize, columns: usize, layout: usize) -> View<'_> {
        let [row_stride, column_stride] =
            [[columns, 1], [1, rows], [columns + 3, 1], [2 * columns, 2]][layout];
        View {
            data,
            row_stride,
            column_stride,
        }
    }

    fn at(view: View<'_>, row: usize, column: usize) -> f32 {
        view.data[row * view.row_stride + column * view.column_stride]
    }

    fn bf16(value: f32) -> f64 {
        f64::from(f32::from_bits(rounded(value) << 16))
    }

    const SIZES: [[usize; 3]; 12] = [
        [1, 1, 1],
        [1, 2, 16],
        [5, 3, 17],
        [6, 8, 64],
        [7, 31, 65],
        [13, 33, 129],
        [12, 383, 48],
        [11, 384, 31],
        [19, 385, 70],
        [3, 800, 5],
        [150, 97, 90],
        [290, 64, 130],
    ];

    /// Every size in every layout, by what `product` computes.
    fn agrees(product: impl Fn(View<'_>, View<'_>, Option<&[f32]>, [usize; 3]) -> Vec<f32>) {
        for (seed, sizes) in (1..).zip(SIZES) {
            let [rows, inner, columns] = sizes;
            let room = |a: usize, b: usize| 2 * (a + 1) * (b + 3);
            let left = values(room(rows, inner), seed);
            let right = values(room(inner, columns), seed + 100);
            let bias = values(columns, seed + 200);
            for layout in 0..16 {
                let left = view(&left, rows, inner, layout % 4);
                let right = view(&right, inner, columns, layout / 4);
                let bias = (layout % 3 == 0).then_some(bias.as_slice());
                let found = product(left, right, bias, sizes);
                assert_eq!(found.len(), rows * columns);
                for (index, found) in found.iter().enumerate() {
                    let (row, column) = (index / columns, index % columns);
                    let terms = || (0..inner).map(|k| (at(left, row, k), at(right, k, column)));
                    let bias = bias.map_or(0.0, |bias| f64::from(bias[column]));
                    let of_rounded: f64 = terms().map(|(a, b)| bf16(a) * bf16(b)).sum();
                    let exact: f64 = terms().map(|(a, b)| f64::from(a) * f64::from(b)).sum();
                    let size: f64 = terms().map(|(a, b)| f64::from((a * b).abs())).sum();
                    let found = f64::from(*found) - bias;
                    let what = format!("{sizes:?}, layout {layout}, [{row}, {column}]: {found}");
                    // Sums in f32, of which each has at most 400 additions to a block.
                    let sums = 400.0 * f64::from(f32::EPSILON) * (size + bias.abs() + 1.0);
                    assert!((found - of_rounded).abs() < sums, "{what}, {of_rounded}");
                    // Each factor is off by half of 2⁻⁷ at most.
                    let factors = (2.0 / 256.0 + 1.0 / 65536.0) * size;
                    assert!((found - exact).abs() < factors + sums, "{what}, {exact}");
                }
            }
        }
    }

    #[test]
    fn products_by_definition_are_those_of_rounded_values() {
        agrees(|left, right, bias, sizes| product(Definition, left, right, bias, sizes));
    }

    #[test]
    fn products_in_single_precision_are_those_of_rounded_values() {
        agrees(matmul::product_of_rounded);
    }

    /// Skipped where the processor has no such instruction.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn products_of_the_processor_are_those_of_rounded_values() {
        let Some(own) = Avx512::detect() else {
            eprintln!("skipped: this processor has no avx512_bf16");
            return;
        };
        agrees(|left, right, bias, sizes| {
            let found = product(own, left, right, bias, sizes);
            let defined = product(Definition, left, right, bias, sizes);
            let largest = defined
                .iter()
                .fold(1.0_f32, |most, value| most.max(value.abs()));
            for (found, defined) in found.iter().zip(&defined) {
                assert!(
                    (found - defined).abs() < 1e-5 * largest,
                    "{sizes:?}: {found}, {defined}"
                );
            }
            found
        });
    }

    #[test]
    fn nothing_to_sum_leaves_the_bias() {
        let empty = View::rows(&[], 0);
        let sum = |bias, sizes| product(Definition, empty, empty, bias, sizes);
        assert_eq!(sum(Some(&[1.0, 2.0]), [2, 0, 2]), [1.0, 2.0, 1.0, 2.0]);
        assert_eq!(sum(None, [2, 0, 1]), [0.0; 2]);
        assert!(sum(None, [0, 3, 2]).is_empty());
        assert!(sum(Some(&[]), [2, 3, 0]).is_empty());
    }

    #[test]
    fn values_are_rounded_to_the_nearest_even() {
        let halves = (0..1 << 16).map(|high: u32| (high << 16) | 0x8000);
        let near = halves.clone().flat_map(|half| [half - 1, half, half + 1]);
        for bits in near.chain((0..1 << 16).map(|high| high << 16)) {
            let value = f32::from_bits(bits);
            let expected = half::bf16::from_f32(value);
            let found = half::bf16::from_bits(rounded(value) as u16);
            assert!(rounded(value) < 1 << 16);
            match value.is_nan() {
                true => assert!(found.is_nan()),
                false => assert_eq!(found, expected, "{value}"),
            }
        }
    }

    #[test]
    fn the_definition_adds_the_second_product_first_and_knows_no_subnormal_values() {
        let one = |sum: f32, [a, b]: [f32; 2], [c, d]: [f32; 2]| {
            Definition.add_products([sum; LANES], pair(a, b), &[pair(c, d); LANES])[7]
        };
        assert_eq!(one(0.5, [2.0, 3.0], [5.0, 7.0]), 31.5);
        // 1 is lost beside 2²⁵ unless that is taken off before.
        let large = (1 << 25) as f32;
        assert_eq!(one(large, [1.0, -large], [1.0, 1.0]), 1.0);
        assert_eq!(one(large, [-large, 1.0], [1.0, 1.0]), 0.0);
        let subnormal = f32::from_bits(0x0040_0000);
        assert_eq!(one(subnormal, [0.0, 0.0], [0.0, 0.0]), 0.0);
        assert_eq!(one(0.0, [subnormal, 0.0], [large, 0.0]), 0.0);
        assert!(one(0.0, [f32::NAN, 0.0], [0.0, 0.0]).is_nan());
        assert_eq!(one(0.0, [f32::INFINITY, 0.0], [1.0, 0.0]), f32::INFINITY);
    }
}
