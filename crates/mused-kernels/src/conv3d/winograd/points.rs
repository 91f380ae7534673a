//! All tiles, transformed at once: where there are few of many channels.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::VECTOR;
use super::rows::{Source, Tiles};
use super::transform::{Matrix, store};
use crate::matmul::aligned;
use crate::memory::{self, Scratch};
use crate::simd::arch;

/// Most rows of tiles that are transformed at once.
const ROWS: usize = 8;

/// Where the values of a point lie: blocks of channels, in each, tile by tile, its channels.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    tiles: usize,
    channels: usize,
    /// Channels of a block, a divisor of all.
    block: usize,
    /// From one tile of a block to the next.
    pub(super) stride: usize,
}

impl Layout {
    /// Blocks of so many channels; `apart`: with a cache line between two tiles, which would otherwise compete for a few
    /// places of the caches.
    pub(super) fn new(tiles: usize, channels: usize, block: usize, apart: bool) -> Self {
        Self {
            tiles,
            channels,
            block,
            stride: if apart { block + VECTOR } else { block },
        }
    }

    /// Values of a point, and a cache line.
    pub(super) fn len(&self) -> usize {
        self.start(self.channels) + VECTOR
    }

    /// Where the block of a channel begins.
    pub(super) fn start(&self, channel: usize) -> usize {
        channel / self.block * self.tiles * self.stride
    }
}

/// All tiles at all points, in order.
pub(super) fn transform<const SIDE: usize, const FROM: usize>(
    tiles: Tiles,
    source: &Source<'_, FROM>,
    matrix: &Matrix<SIDE, FROM>,
    layout: Layout,
    out: &mut [f32],
) {
    out.par_chunks_mut(SIDE * SIDE * layout.len())
        .with_max_len(1)
        .enumerate()
        .for_each(|(z, out)| {
            arch().dispatch(Task {
                source,
                matrix,
                rows: tiles.rows(),
                width: tiles.grid[2],
                layout,
                z,
                out,
            });
        });
}

/// Those of a point of depth.
struct Task<'a, const SIDE: usize, const FROM: usize> {
    source: &'a Source<'a, FROM>,
    matrix: &'a Matrix<SIDE, FROM>,
    /// Rows of tiles, and tiles of a row.
    rows: usize,
    width: usize,
    layout: Layout,
    z: usize,
    out: &'a mut [f32],
}

impl<const SIDE: usize, const FROM: usize> WithSimd for Task<'_, SIDE, FROM> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let layout = self.layout;
        let mut storage = memory::take(Scratch::Left);
        for first in (0..self.rows).step_by(ROWS) {
            let block = first..self.rows.min(first + ROWS);
            let rows = self.source.rows(block, 0..self.source.parts());
            let (plane, buffer) = aligned(&mut storage, rows.plane_len() + rows.line_len())
                .split_at_mut(rows.plane_len());
            rows.depth(simd, &self.matrix[self.z], plane);
            for y in 0..SIDE {
                let out = &mut self.out[y * SIDE * layout.len()..];
                rows.line(
                    simd,
                    self.matrix,
                    y,
                    plane,
                    buffer,
                    #[inline(always)]
                    |x, tile, channel, value| {
                        let tile = first * self.width + tile;
                        let at =
                            layout.start(channel) + tile * layout.stride + channel % layout.block;
                        store::<S>(out, x * layout.len() + at, value);
                    },
                );
            }
        }
        memory::put_back(Scratch::Left, storage);
    }
}
