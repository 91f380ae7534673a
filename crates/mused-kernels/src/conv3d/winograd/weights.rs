//! Weights and their transform.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::transform::{Form, cube, load, store};
use super::{VECTOR, panels};
use crate::conv3d::gather::panel_width;
use crate::fetch::prefetch_behind;
use crate::matmul::aligned;
use crate::memory::{self, Scratch};
use crate::simd::arch;

/// Values of the weights of a point; a cache line lies between two points.
pub(super) fn point_len([rows, columns]: [usize; 2]) -> usize {
    rows * columns + VECTOR
}

/// Weights `[taps, rows, columns]` transformed: for each point, for each panel of columns, rows of the panel's width.
pub(super) fn transformed<'s, F: Form<SIDE, TAPS>, const SIDE: usize, const TAPS: usize>(
    weight: &[f32],
    sizes: [usize; 2],
    storage: &'s mut Vec<f32>,
) -> &'s [f32] {
    let [rows, columns] = sizes;
    let all = aligned(storage, SIDE.pow(3) * point_len(sizes));
    let firsts = (0..rows).step_by(VECTOR);
    let mut tasks: Vec<_> = firsts
        .map(|first| Task::<F, SIDE, TAPS> {
            form: PhantomData,
            weight,
            sizes,
            first,
            out: vec![],
        })
        .collect();
    for mut point in all.chunks_exact_mut(point_len(sizes)) {
        for first in (0..columns).step_by(panel_width()) {
            let width = panel_width().min(columns - first);
            for task in &mut tasks {
                let (out, later) = point.split_at_mut(VECTOR * width);
                task.out.push(out);
                point = later;
            }
        }
    }
    tasks.into_par_iter().for_each(|task| arch().dispatch(task));
    all
}

/// [`VECTOR`] rows, at all points.
struct Task<'a, F, const SIDE: usize, const TAPS: usize> {
    form: PhantomData<F>,
    weight: &'a [f32],
    sizes: [usize; 2],
    first: usize,
    /// For each point, for each panel.
    out: Vec<&'a mut [f32]>,
}

impl<F: Form<SIDE, TAPS>, const SIDE: usize, const TAPS: usize> WithSimd
    for Task<'_, F, SIDE, TAPS>
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let [rows, columns] = self.sizes;
        let (stride, count) = (columns + VECTOR, panels::<S>(columns).count());
        let mut storage = memory::take(Scratch::Left);
        // The taps of a row, a cache line between two: where they are, they compete for a few places of the caches.
        let taps = aligned(&mut storage, TAPS.pow(3) * stride);
        for row in 0..VECTOR {
            let all = self.weight.chunks_exact(rows * columns);
            for (to, tap) in taps.chunks_exact_mut(stride).zip(all) {
                to[..columns].copy_from_slice(&tap[(self.first + row) * columns..][..columns]);
            }
            for (panel, (column, width)) in panels::<S>(columns).enumerate() {
                for lane in (0..width).step_by(S::F32_LANES) {
                    cube::<S, SIDE, TAPS>(
                        simd,
                        &F::OF_WEIGHTS,
                        #[inline(always)]
                        |[z, y, x]| {
                            load::<S>(taps, ((z * TAPS + y) * TAPS + x) * stride + column + lane)
                        },
                        #[inline(always)]
                        |[z, y, x], value| {
                            let point = (z * SIDE + y) * SIDE + x;
                            let out = &mut *self.out[point * count + panel];
                            store::<S>(out, row * width + lane, value);
                        },
                    );
                }
            }
        }
        memory::put_back(Scratch::Left, storage);
    }
}

/// Weights of a convolution, `[taps, rows, columns]`, as they lie in memory or turned around.
#[derive(Clone, Copy)]
pub(super) struct Weights<'a> {
    pub(super) data: &'a [f32],
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// In memory they are `[taps, columns, rows]`, taps from last to first: what the gradient of a convolution of
    /// these weights meets.
    pub(super) turned: bool,
}

impl<'a> Weights<'a> {
    /// `[taps, rows, columns]`.
    pub(super) fn in_order(self) -> Cow<'a, [f32]> {
        if !self.turned {
            return self.data.into();
        }
        let mut out = memory::zeros(self.data.len());
        let size = self.rows * self.columns;
        let taps = self.data.par_chunks(size).rev();
        out.par_chunks_mut(size).zip(taps).for_each(|(out, tap)| {
            // A vector of columns at a time: what is read stays in the first-level cache over the rows.
            for (first, of_columns) in tap.chunks_exact(VECTOR * self.rows).enumerate() {
                for (row, out) in out.chunks_exact_mut(self.columns).enumerate() {
                    let out = &mut out[first * VECTOR..][..VECTOR];
                    for (value, of_column) in out.iter_mut().zip(of_columns.chunks_exact(self.rows))
                    {
                        *value = of_column[row];
                    }
                }
            }
        });
        out.into()
    }

    /// Sums over the taps of the first axis, each times its factor, of a tap of the two others: of some columns, for each panel,
    /// rows of the panel's width.
    #[inline(always)]
    pub(super) fn combined<S: Simd, const TAPS: usize>(
        &self,
        simd: S,
        factors: &[f32; TAPS],
        tap: usize,
        columns: Range<usize>,
        out: &mut [f32],
    ) {
        let size = self.rows * self.columns;
        let of = |z: usize| match self.turned {
            true => &self.data[(TAPS.pow(3) - 1 - z * TAPS * TAPS - tap) * size..][..size],
            false => &self.data[(z * TAPS * TAPS + tap) * size..][..size],
        };
        let mut terms = [(&[][..], simd.splat_f32s(0.0)); TAPS];
        let mut count = 0;
        for (z, &factor) in factors.iter().enumerate() {
            if factor != 0.0 {
                terms[count] = (of(z), simd.splat_f32s(factor));
                count += 1;
            }
        }
        let terms = &terms[..count];
        // The next rows, or squares, lie too far apart for the processor to guess them.
        let ahead = match self.turned {
            true => 2 * VECTOR,
            false => 8 * self.columns,
        };
        let sum = |at: usize| {
            let mut sum = simd.splat_f32s(0.0);
            for (values, factor) in terms {
                prefetch_behind(&values[at], size_of::<f32>() * ahead);
                sum = simd.mul_add_f32s(*factor, load::<S>(values, at), sum);
            }
            sum
        };
        for (first, width) in panels::<S>(columns.len()) {
            let column = columns.start + first;
            let panel = &mut out[first * self.rows..][..width * self.rows];
            if !self.turned {
                for (row, out) in panel.chunks_exact_mut(width).enumerate() {
                    for lane in (0..width).step_by(S::F32_LANES) {
                        store::<S>(out, lane, sum(row * self.columns + column + lane));
                    }
                }
                continue;
            }
            // A square of values at a time.
            for (index, out) in panel.chunks_exact_mut(S::F32_LANES * width).enumerate() {
                for lane in (0..width).step_by(S::F32_LANES) {
                    let mut square = [[0.0; VECTOR]; VECTOR];
                    for (c, values) in square.iter_mut().take(S::F32_LANES).enumerate() {
                        let at = (column + lane + c) * self.rows + index * S::F32_LANES;
                        store::<S>(values, 0, sum(at));
                    }
                    for (r, out) in out.chunks_exact_mut(width).enumerate() {
                        for (c, value) in out[lane..][..S::F32_LANES].iter_mut().enumerate() {
                            *value = square[c][r];
                        }
                    }
                }
            }
        }
    }
}
