//! The weight gradient of few tiles and many channels: a task has some rows of the weights and all tiles.
//!
//! The sums of all points, of some rows and columns at a time, stay near the second-level cache until they are transformed back.

use std::marker::PhantomData;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::points::{self, Layout};
use super::rows::{Source, Tiles};
use super::transform::{Form, OUTPUTS, cube, load, store};
use super::{Plan, VECTOR};
use crate::conv3d::gather::panel_width;
use crate::fetch::shared_out;
use crate::matmul::{Place, TILE, aligned, dispatch_width, widest};
use crate::memory::{self, Scratch};
use crate::simd::arch;

/// Rows of a task, and columns at a time; channels of both sides are a multiple of it.
pub(super) const ROWS: usize = 64;
const COLUMNS: usize = ROWS;

/// `[taps · values of an input, of an output]`.
pub(super) fn sums<F: Form<SIDE, TAPS>, const SIDE: usize, const TAPS: usize>(
    plan: &Plan,
    x: &[f32],
    gradient: &[f32],
) -> Vec<f32> {
    let tiles = Tiles::of(plan.sizes.batch, plan.outputs);
    let x = Source::<SIDE>::new(tiles, plan.inputs, plan.padding, x);
    let gradient = Source::<OUTPUTS>::new(tiles, plan.outputs, [0; 3], gradient);
    let (count, inputs, outputs) = (tiles.count(), plan.inputs.values(), plan.outputs.values());
    let of_x = Layout::new(count, inputs, ROWS, true);
    let of_gradient = Layout::new(count, outputs, panel_width(), false);
    let mut storage = memory::take_weights();
    let points = SIDE.pow(3);
    let (xs, gradients) = aligned(&mut storage, points * (of_x.len() + of_gradient.len()))
        .split_at_mut(points * of_x.len());
    points::transform(tiles, &x, &F::OF_INPUT, of_x, xs);
    points::transform(tiles, &gradient, &F::OF_GRADIENT, of_gradient, gradients);
    let (xs, gradients) = (&*xs, &*gradients);
    let mut out = memory::zeros(TAPS.pow(3) * inputs * outputs);
    let mut tasks: Vec<_> = (0..inputs)
        .step_by(ROWS)
        .map(|first| Task::<F, SIDE, TAPS> {
            form: PhantomData,
            xs,
            of_x,
            gradients,
            of_gradient,
            count,
            first,
            outputs,
            out: vec![],
        })
        .collect();
    for tap in out.chunks_exact_mut(inputs * outputs) {
        for (task, rows) in tasks.iter_mut().zip(tap.chunks_exact_mut(ROWS * outputs)) {
            task.out.push(rows);
        }
    }
    tasks
        .into_par_iter()
        .with_max_len(1)
        .for_each(|task| arch().dispatch(task));
    memory::put_back_weights(storage);
    out
}

/// [`ROWS`] rows, of all taps.
struct Task<'a, F, const SIDE: usize, const TAPS: usize> {
    form: PhantomData<F>,
    xs: &'a [f32],
    of_x: Layout,
    gradients: &'a [f32],
    of_gradient: Layout,
    /// Tiles.
    count: usize,
    /// The first row.
    first: usize,
    outputs: usize,
    /// Of each tap.
    out: Vec<&'a mut [f32]>,
}

impl<F: Form<SIDE, TAPS>, const SIDE: usize, const TAPS: usize> WithSimd
    for Task<'_, F, SIDE, TAPS>
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (count, stride, width) = (self.count, self.of_x.stride, widest::<S>());
        // The last tile of six rows ends in rows that nobody reads.
        let size = ROWS.next_multiple_of(TILE) * COLUMNS;
        let mut storage = memory::take(Scratch::Right);
        let sums = aligned(&mut storage, SIDE.pow(3) * size);
        for columns in (0..self.outputs).step_by(COLUMNS) {
            for (point, sums) in sums.chunks_exact_mut(size).enumerate() {
                let xs = point * self.of_x.len() + self.of_x.start(self.first);
                let xs = &self.xs[xs..][..count * stride];
                for column in (0..COLUMNS).step_by(width) {
                    let at = self.of_gradient.start(columns + column);
                    let at = point * self.of_gradient.len() + at;
                    let panel = &self.gradients[at..][..count * width];
                    // The same columns at the next point are read next.
                    let next = at + self.of_gradient.len();
                    let next = self.gradients.get(next..next + panel.len());
                    let mut next = shared_out(next.unwrap_or_default(), ROWS.div_ceil(TILE));
                    for (six, out) in sums.chunks_exact_mut(TILE * COLUMNS).enumerate() {
                        let left = xs[six * TILE..].chunks(stride);
                        // The last one ends with the values that lie between two tiles.
                        const { assert!(VECTOR >= TILE) };
                        let left = left.filter_map(|tile| tile.first_chunk());
                        let place = Place {
                            out: &mut out[column..],
                            row_stride: COLUMNS,
                            rows: TILE,
                            columns: width,
                            bias: None,
                            add: false,
                            next: next.next().unwrap_or_default(),
                        };
                        dispatch_width(simd, left, panel, width, place);
                    }
                }
            }
            for row in 0..ROWS {
                for lane in (0..COLUMNS).step_by(S::F32_LANES) {
                    cube::<S, TAPS, SIDE>(
                        simd,
                        &F::OF_SUMS,
                        #[inline(always)]
                        |[z, y, x]| {
                            let point = (z * SIDE + y) * SIDE + x;
                            load::<S>(sums, point * size + row * COLUMNS + lane)
                        },
                        #[inline(always)]
                        |[z, y, x], value| {
                            let tap = &mut *self.out[(z * TAPS + y) * TAPS + x];
                            store::<S>(tap, row * self.outputs + columns + lane, value);
                        },
                    );
                }
            }
        }
        memory::put_back(Scratch::Right, storage);
    }
}
