//! The transforms of F(2, 3) and F(2, 4) along an axis and, one after another, along all three.

use pulp::Simd;

/// Outputs of a tile along an axis.
pub(super) const OUTPUTS: usize = 2;

/// A transform along an axis: `TO` values of `FROM`.
pub(super) type Matrix<const TO: usize, const FROM: usize> = [[f32; FROM]; TO];

/// F(2, `TAPS`): two outputs of `SIDE` inputs by as many products.
pub(super) trait Form<const SIDE: usize, const TAPS: usize>: Send + Sync {
    /// `Bᵀ`, of inputs.
    const OF_INPUT: Matrix<SIDE, SIDE>;
    /// `A`, of gradients of outputs.
    const OF_GRADIENT: Matrix<SIDE, OUTPUTS>;
    /// `G`, of weights.
    const OF_WEIGHTS: Matrix<SIDE, TAPS>;
    /// `Aᵀ`, of products.
    const OF_PRODUCTS: Matrix<OUTPUTS, SIDE> = transposed(Self::OF_GRADIENT);
    /// `Gᵀ`, of sums over tiles.
    const OF_SUMS: Matrix<TAPS, SIDE> = transposed(Self::OF_WEIGHTS);
}

/// F(2, 3), from the points 0, 1, −1 and ∞.
pub(super) struct OfThree;

impl Form<4, 3> for OfThree {
    const OF_INPUT: Matrix<4, 4> = [
        [1.0, 0.0, -1.0, 0.0],
        [0.0, 1.0, 1.0, 0.0],
        [0.0, -1.0, 1.0, 0.0],
        [0.0, 1.0, 0.0, -1.0],
    ];
    const OF_GRADIENT: Matrix<4, OUTPUTS> = [[1.0, 0.0], [1.0, 1.0], [1.0, -1.0], [0.0, -1.0]];
    const OF_WEIGHTS: Matrix<4, 3> = [
        [1.0, 0.0, 0.0],
        [0.5, 0.5, 0.5],
        [0.5, -0.5, 0.5],
        [0.0, 0.0, 1.0],
    ];
}

/// F(2, 4), from the points 1, −1, ½, −½ and ∞: half the error of 0, 1, −1, 2 and ∞, which have more zeros.
pub(super) struct OfFour;

impl Form<5, 4> for OfFour {
    const OF_INPUT: Matrix<5, 5> = [
        [-0.25, -0.25, 1.0, 1.0, 0.0],
        [0.25, -0.25, -1.0, 1.0, 0.0],
        [-0.5, -1.0, 0.5, 1.0, 0.0],
        [0.5, -1.0, -0.5, 1.0, 0.0],
        [0.25, 0.0, -1.25, 0.0, 1.0],
    ];
    const OF_GRADIENT: Matrix<5, OUTPUTS> =
        [[1.0, 1.0], [1.0, -1.0], [1.0, 0.5], [1.0, -0.5], [0.0, 1.0]];
    const OF_WEIGHTS: Matrix<5, 4> = [
        [2.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0],
        [-2.0 / 3.0, 2.0 / 3.0, -2.0 / 3.0, 2.0 / 3.0],
        [-4.0 / 3.0, -2.0 / 3.0, -1.0 / 3.0, -1.0 / 6.0],
        [4.0 / 3.0, -2.0 / 3.0, 1.0 / 3.0, -1.0 / 6.0],
        [0.0, 0.0, 0.0, 1.0],
    ];
}

const fn transposed<const TO: usize, const FROM: usize>(
    matrix: Matrix<TO, FROM>,
) -> Matrix<FROM, TO> {
    let mut out = [[0.0; TO]; FROM];
    let mut at = 0;
    while at < TO * FROM {
        out[at % FROM][at / FROM] = matrix[at / FROM][at % FROM];
        at += 1;
    }
    out
}

/// One axis. The matrix is a constant: what is 0, 1 or −1 in it costs no product.
#[inline(always)]
pub(super) fn line<S: Simd, const TO: usize, const FROM: usize>(
    simd: S,
    matrix: &Matrix<TO, FROM>,
    values: [S::f32s; FROM],
) -> [S::f32s; TO] {
    // To −0 everything can be added without a change.
    let mut out = [simd.splat_f32s(-0.0); TO];
    for (sum, row) in out.iter_mut().zip(matrix) {
        for (value, &factor) in values.into_iter().zip(row) {
            if factor == 1.0 {
                *sum = simd.add_f32s(*sum, value);
            } else if factor == -1.0 {
                *sum = simd.sub_f32s(*sum, value);
            } else if factor != 0.0 {
                *sum = simd.mul_add_f32s(simd.splat_f32s(factor), value, *sum);
            }
        }
    }
    out
}

/// All axes: what `load` gives for [depth, height, width] of a cube, transformed, goes to `store`.
#[inline(always)]
pub(super) fn cube<S: Simd, const TO: usize, const FROM: usize>(
    simd: S,
    matrix: &Matrix<TO, FROM>,
    load: impl Fn([usize; 3]) -> S::f32s,
    mut store: impl FnMut([usize; 3], S::f32s),
) {
    let zero = simd.splat_f32s(0.0);
    let mut planes = [[[zero; FROM]; FROM]; TO];
    for y in 0..FROM {
        for x in 0..FROM {
            let mut column = [zero; FROM];
            for (z, value) in column.iter_mut().enumerate() {
                *value = load([z, y, x]);
            }
            for (plane, value) in planes.iter_mut().zip(line(simd, matrix, column)) {
                plane[y][x] = value;
            }
        }
    }
    for (z, plane) in planes.into_iter().enumerate() {
        let mut lines = [[zero; FROM]; TO];
        for x in 0..FROM {
            let mut column = [zero; FROM];
            for (value, line) in column.iter_mut().zip(plane) {
                *value = line[x];
            }
            for (line, value) in lines.iter_mut().zip(line(simd, matrix, column)) {
                line[x] = value;
            }
        }
        for (y, values) in lines.into_iter().enumerate() {
            for (x, value) in line(simd, matrix, values).into_iter().enumerate() {
                store([z, y, x], value);
            }
        }
    }
}

/// The vector that begins at a place.
#[inline(always)]
pub(super) fn load<S: Simd>(data: &[f32], at: usize) -> S::f32s {
    S::as_simd_f32s(&data[at..at + S::F32_LANES]).0[0]
}

#[inline(always)]
pub(super) fn store<S: Simd>(data: &mut [f32], at: usize, value: S::f32s) {
    S::as_mut_simd_f32s(&mut data[at..at + S::F32_LANES]).0[0] = value;
}
