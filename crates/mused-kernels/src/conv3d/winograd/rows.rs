//! Where tiles lie, and their transforms, shared by the tiles of a row: depth and height of whole rows first, which lie in
//! one piece, then width, tile by tile.

use std::ops::Range;

use pulp::Simd;

use super::transform::{Matrix, OUTPUTS, line, load};
use crate::conv3d::cpu::Padded;

/// One side of a convolution at stride 1.
#[derive(Clone, Copy)]
pub(super) struct Side {
    pub(super) grid: [usize; 3],
    pub(super) channels: usize,
    /// Neighbours along each axis that count as channels of one position. Those along the width lie together in memory: a
    /// position has a part of its values for each phase of depth and height.
    pub(super) phases: usize,
}

impl Side {
    pub(super) fn positions(&self) -> [usize; 3] {
        self.grid.map(|n| n.div_ceil(self.phases))
    }

    /// Values of a position.
    pub(super) fn values(&self) -> usize {
        self.parts() * self.part()
    }

    pub(super) fn parts(&self) -> usize {
        self.phases * self.phases
    }

    /// Values of a part.
    pub(super) fn part(&self) -> usize {
        self.phases * self.channels
    }
}

/// The tiles of 2³ positions of a batch, by layers of one depth.
#[derive(Clone, Copy)]
pub(super) struct Tiles {
    batch: usize,
    side: Side,
    pub(super) grid: [usize; 3],
}

impl Tiles {
    pub(super) fn of(batch: usize, side: Side) -> Self {
        let grid = side.positions().map(|n| n.div_ceil(OUTPUTS));
        Self { batch, side, grid }
    }

    pub(super) fn count(&self) -> usize {
        self.rows() * self.grid[2]
    }

    /// Rows of tiles.
    pub(super) fn rows(&self) -> usize {
        self.layers() * self.grid[1]
    }

    pub(super) fn layers(&self) -> usize {
        self.batch * self.grid[0]
    }

    /// Volume of a row of tiles, depth and height of its first positions.
    pub(super) fn place(&self, row: usize) -> (usize, [usize; 2]) {
        let [d, h, _] = self.grid;
        let layer = row / h;
        (layer / d, [layer % d, row % h].map(|n| OUTPUTS * n))
    }

    /// How many lines of the side lie before a layer.
    pub(super) fn lines_before(&self, layer: usize) -> usize {
        let [d, h, _] = self.side.grid;
        let depth = OUTPUTS * self.side.phases * (layer % self.grid[0]);
        (layer / self.grid[0] * d + depth.min(d)) * h
    }
}

/// What tiles are transformed from: `FROM` positions along each axis, tiles two positions apart.
pub(super) struct Source<'a, const FROM: usize> {
    padded: Padded<'a>,
    side: Side,
    tiles: Tiles,
    /// Values of a line of one part.
    row: usize,
}

impl<'a, const FROM: usize> Source<'a, FROM> {
    /// With zeros: `padding` positions before each axis, and behind it what the last tile needs.
    pub(super) fn new(tiles: Tiles, side: Side, padding: [usize; 3], x: &'a [f32]) -> Self {
        let before = padding.map(|n| side.phases * n);
        let reach = tiles
            .grid
            .map(|n| side.phases * (OUTPUTS * n + FROM - OUTPUTS));
        let behind =
            [0, 1, 2].map(|axis| reach[axis].saturating_sub(before[axis] + side.grid[axis]));
        Self {
            padded: Padded::new(x, tiles.batch, side.grid, side.channels, before, behind),
            side,
            tiles,
            row: reach[2] * side.channels,
        }
    }

    pub(super) fn parts(&self) -> usize {
        self.side.parts()
    }

    /// The tiles of some rows and some parts of their values.
    pub(super) fn rows(&self, rows: Range<usize>, parts: Range<usize>) -> Rows<'_, FROM> {
        Rows {
            source: self,
            rows,
            parts,
        }
    }
}

/// Some rows of tiles.
pub(super) struct Rows<'a, const FROM: usize> {
    source: &'a Source<'a, FROM>,
    rows: Range<usize>,
    parts: Range<usize>,
}

impl<const FROM: usize> Rows<'_, FROM> {
    /// Values of a line of positions.
    pub(super) fn line_len(&self) -> usize {
        self.parts.len() * self.source.row
    }

    /// Values of the lines of a point of depth.
    pub(super) fn plane_len(&self) -> usize {
        self.rows.len() * FROM * self.line_len()
    }

    /// One point of depth: of each row `FROM` lines of positions.
    #[inline(always)]
    pub(super) fn depth<S: Simd>(&self, simd: S, factors: &[f32; FROM], plane: &mut [f32]) {
        let Source {
            padded,
            side,
            tiles,
            row,
        } = self.source;
        let lines = plane.chunks_exact_mut(FROM * self.line_len());
        for (at, lines) in self.rows.clone().zip(lines) {
            let (volume, [first_z, first_y]) = tiles.place(at);
            for (y, line) in lines.chunks_exact_mut(self.line_len()).enumerate() {
                for (part, out) in self.parts.clone().zip(line.chunks_exact_mut(*row)) {
                    let of = |z: usize| {
                        let z = side.phases * (first_z + z) + part / side.phases;
                        let y = side.phases * (first_y + y) + part % side.phases;
                        &padded.data[padded.offset(volume, [z, y, 0])..][..*row]
                    };
                    combine(simd, factors, of, out);
                }
            }
        }
    }

    /// A line of points, from a point of depth: `store` has the point along the width, the tile, the first channel of a
    /// vector. `buffer` holds a line.
    #[inline(always)]
    pub(super) fn line<S: Simd, const SIDE: usize>(
        &self,
        simd: S,
        matrix: &Matrix<SIDE, FROM>,
        y: usize,
        plane: &[f32],
        buffer: &mut [f32],
        mut store: impl FnMut(usize, usize, usize, S::f32s),
    ) {
        let (len, width, part) = (
            self.line_len(),
            self.source.tiles.grid[2],
            self.source.side.part(),
        );
        for (row, lines) in plane.chunks_exact(FROM * len).enumerate() {
            combine(simd, &matrix[y], |y| &lines[y * len..][..len], buffer);
            for (index, line_of_part) in buffer.chunks_exact(self.source.row).enumerate() {
                for n in 0..width {
                    let data = &line_of_part[OUTPUTS * n * part..];
                    for channel in (0..part).step_by(S::F32_LANES) {
                        let mut values = [simd.splat_f32s(0.0); FROM];
                        for (x, value) in values.iter_mut().enumerate() {
                            *value = load::<S>(data, x * part + channel);
                        }
                        let values = line(simd, matrix, values);
                        for (x, value) in values.into_iter().enumerate() {
                            store(x, row * width + n, index * part + channel, value);
                        }
                    }
                }
            }
        }
    }
}

/// One value of a transform, of whole lines: their sum, each times its factor.
#[inline(always)]
fn combine<'l, S: Simd, const FROM: usize>(
    simd: S,
    factors: &[f32; FROM],
    line: impl Fn(usize) -> &'l [f32],
    out: &mut [f32],
) {
    let mut terms = [(&[][..], simd.splat_f32s(0.0)); FROM];
    let mut count = 0;
    for (at, &factor) in factors.iter().enumerate() {
        if factor != 0.0 {
            terms[count] = (S::as_simd_f32s(line(at)).0, simd.splat_f32s(factor));
            count += 1;
        }
    }
    let (out, _) = S::as_mut_simd_f32s(out);
    let [(first, factor), rest @ ..] = &terms[..count] else {
        return;
    };
    for (at, out) in out.iter_mut().enumerate() {
        let mut sum = simd.mul_f32s(*factor, first[at]);
        for (values, factor) in rest {
            sum = simd.mul_add_f32s(*factor, values[at], sum);
        }
        *out = sum;
    }
}
