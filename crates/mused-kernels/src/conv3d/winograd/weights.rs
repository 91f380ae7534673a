//! Weights and their transform.

use std::marker::PhantomData;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::transform::{Form, cube, load, store};
use super::{VECTOR, panels};
use crate::conv3d::gather::panel_width;
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

/// `[taps, out, in]` of `[taps, in, out]`, taps from last to first: what the gradient meets.
pub(super) fn backward(weight: &[f32], inputs: usize, outputs: usize) -> Vec<f32> {
    let mut back = vec![0.0; weight.len()];
    let size = inputs * outputs;
    let taps = back.par_chunks_mut(size).zip(weight.par_chunks(size).rev());
    taps.for_each(|(back, tap)| {
        // A vector of inputs at a time: what is read stays in the first-level cache over the outputs.
        for (first, rows) in tap.chunks_exact(VECTOR * outputs).enumerate() {
            for (output, back) in back.chunks_exact_mut(inputs).enumerate() {
                let back = &mut back[first * VECTOR..][..VECTOR];
                for (value, row) in back.iter_mut().zip(rows.chunks_exact(outputs)) {
                    *value = row[output];
                }
            }
        }
    });
    back
}
