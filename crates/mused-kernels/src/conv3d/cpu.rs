//! Convolution and its input gradient as products of gathered rows.

use std::borrow::Cow;

use rayon::prelude::*;

use super::Window;
use super::gather::{Gather, Taps};
use super::winograd;
use crate::memory;
use crate::simd::threads;

/// Everything the loops need to know about one convolution.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) batch: usize,
    pub(crate) input: [usize; 3],
    pub(crate) inputs: usize,
    pub(crate) kernel: [usize; 3],
    pub(crate) output: [usize; 3],
    pub(crate) outputs: usize,
    pub(crate) window: Window,
}

impl Sizes {
    /// Output positions of the whole batch.
    pub(super) fn positions(&self) -> usize {
        self.batch * self.output.iter().product::<usize>()
    }

    pub(super) fn taps(&self) -> usize {
        self.kernel.iter().product()
    }
}

/// A batch of volumes, channels last, each with planes of zeros around it.
pub(super) struct Padded<'a> {
    pub(super) data: Cow<'a, [f32]>,
    grid: [usize; 3],
    channels: usize,
}

impl<'a> Padded<'a> {
    /// `before` and `after`: planes of zeros on each axis.
    pub(super) fn new(
        x: &'a [f32],
        batch: usize,
        [d, h, w]: [usize; 3],
        channels: usize,
        before: [usize; 3],
        after: [usize; 3],
    ) -> Self {
        let grid = [
            d + before[0] + after[0],
            h + before[1] + after[1],
            w + before[2] + after[2],
        ];
        if before == [0; 3] && after == [0; 3] {
            return Self {
                data: x.into(),
                grid,
                channels,
            };
        }
        let plane = grid[1] * grid[2] * channels;
        let line = w * channels;
        let copy = |index: usize, plane: &mut [f32]| {
            let (volume, at) = (index / grid[0], index % grid[0]);
            if at < before[0] || at >= before[0] + d {
                return;
            }
            let source = &x[(volume * d + at - before[0]) * h * line..][..h * line];
            for (y, source) in source.chunks_exact(line.max(1)).enumerate() {
                let start = ((y + before[1]) * grid[2] + before[2]) * channels;
                plane[start..start + line].copy_from_slice(source);
            }
        };
        let len = batch * grid[0] * plane;
        let data = memory::written(len, plane.max(1), threads(len), copy);
        Self {
            data: data.into(),
            grid,
            channels,
        }
    }

    /// Where the values of a position begin.
    pub(super) fn offset(&self, volume: usize, [d, h, w]: [usize; 3]) -> usize {
        (((volume * self.grid[0] + d) * self.grid[1] + h) * self.grid[2] + w) * self.channels
    }

    /// The offsets of all positions of a grid, `step` apart, in all volumes, from `first` on.
    pub(super) fn rows(
        &self,
        batch: usize,
        [d, h, w]: [usize; 3],
        first: [usize; 3],
        step: [usize; 3],
    ) -> Vec<usize> {
        let mut rows = Vec::with_capacity(batch * d * h * w);
        for volume in 0..batch {
            for z in 0..d {
                for y in 0..h {
                    let line = [first[0] + z * step[0], first[1] + y * step[1], first[2]];
                    let start = self.offset(volume, line);
                    rows.extend((0..w).map(|x| start + x * step[2] * self.channels));
                }
            }
        }
        rows
    }

    /// Where the lines of a kernel begin, counted from its first element.
    pub(super) fn lines(&self, [d, h]: [usize; 2]) -> Vec<usize> {
        let lines = (0..d).flat_map(|z| (0..h).map(move |y| [z, y, 0]));
        lines.map(|at| self.offset(0, at)).collect()
    }
}

/// `[batch · positions, out]`.
pub(crate) fn forward(sizes: Sizes, x: &[f32], weight: &[f32]) -> Vec<f32> {
    if let Some(plan) = winograd::plan(&sizes) {
        return plan.forward(x, weight);
    }
    let Sizes {
        batch,
        inputs,
        kernel: [kd, kh, kw],
        outputs,
        window: Window { stride, padding },
        ..
    } = sizes;
    let padded = Padded::new(x, batch, sizes.input, inputs, padding, padding);
    let rows = padded.rows(batch, sizes.output, [0; 3], stride);
    let runs = padded.lines([kd, kh]);
    let taps: Vec<usize> = (0..sizes.taps())
        .map(|tap| tap * inputs * outputs)
        .collect();
    Gather {
        data: &padded.data,
        rows: &rows,
        runs: &runs,
        run_len: kw * inputs,
        right: Taps {
            data: weight,
            taps: &taps,
            tap_len: inputs,
            row_stride: outputs,
            column_stride: 1,
            columns: outputs,
        },
    }
    .product()
}

/// What one axis contributes to the input positions of one phase: those i with `(i + padding) mod stride = phase`.
///
/// With `q = (i + padding − phase) / stride`, position i receives `gradient[q − j] · weight[phase + j · stride]`
/// for every j below `taps`.
#[derive(Clone, Copy)]
struct Phase {
    phase: usize,
    /// First input position.
    first: usize,
    /// Number of input positions.
    count: usize,
    /// q of the first.
    q: usize,
    /// Number of taps.
    taps: usize,
}

fn phases(input: usize, kernel: usize, stride: usize, padding: usize) -> Vec<Phase> {
    (0..stride)
        .map(|phase| {
            let first = (phase + stride - padding % stride) % stride;
            Phase {
                phase,
                first,
                count: input.saturating_sub(first).div_ceil(stride),
                q: (first + padding - phase) / stride,
                taps: kernel.saturating_sub(phase).div_ceil(stride),
            }
        })
        .collect()
}

/// `[batch · input positions, in]`.
pub(crate) fn input_gradient(sizes: Sizes, gradient: &[f32], weight: &[f32]) -> Vec<f32> {
    if let Some(plan) = winograd::plan(&sizes) {
        return plan.input_gradient(gradient, weight);
    }
    let Sizes {
        batch,
        input,
        inputs,
        kernel,
        output,
        outputs,
        window: Window { stride, padding },
        ..
    } = sizes;
    let axes: [Vec<Phase>; 3] =
        [0, 1, 2].map(|axis| phases(input[axis], kernel[axis], stride[axis], padding[axis]));
    // Zeros where a tap reaches past the gradient's grid.
    let reach = |axis: usize, bound: &dyn Fn(&Phase) -> usize| {
        let used = axes[axis].iter().filter(|p| p.count > 0 && p.taps > 0);
        used.map(bound).max().unwrap_or(0)
    };
    let before = [0, 1, 2].map(|axis| reach(axis, &|p| (p.taps - 1).saturating_sub(p.q)));
    let after =
        [0, 1, 2].map(|axis| reach(axis, &|p| (p.q + p.count).saturating_sub(output[axis])));
    let padded = Padded::new(gradient, batch, output, outputs, before, after);
    if stride == [1; 3] {
        return phase_gradient(
            sizes,
            &padded,
            before,
            weight,
            [0, 1, 2].map(|a| axes[a][0]),
        );
    }
    let mut parts = vec![];
    for d in &axes[0] {
        for h in &axes[1] {
            for w in &axes[2] {
                let phase = [*d, *h, *w];
                parts.push(phase_gradient(sizes, &padded, before, weight, phase));
            }
        }
    }
    let mut out = memory::zeros(batch * input.iter().product::<usize>() * inputs);
    let line = input[2] * inputs;
    if line == 0 {
        return out;
    }
    let scatter = |(index, line): (usize, &mut [f32])| {
        let (volume, rest) = (index / (input[0] * input[1]), index % (input[0] * input[1]));
        let [d, h] = [(rest / input[1], 0), (rest % input[1], 1)].map(|(at, axis)| {
            let phase = (at + padding[axis]) % stride[axis];
            let entry = axes[axis][phase];
            (phase, (at - entry.first) / stride[axis], entry.count)
        });
        for (phase, w) in axes[2].iter().enumerate() {
            let part = &parts[(d.0 * stride[1] + h.0) * stride[2] + phase];
            if part.is_empty() {
                continue;
            }
            let from = ((volume * d.2 + d.1) * h.2 + h.1) * w.count * inputs;
            let source = part[from..from + w.count * inputs].chunks_exact(inputs);
            let places = line.chunks_exact_mut(inputs);
            for (place, source) in places.skip(w.first).step_by(stride[2]).zip(source) {
                place.copy_from_slice(source);
            }
        }
    };
    out.par_chunks_mut(line).enumerate().for_each(scatter);
    out
}

/// The gradient at the positions of one phase; nothing where no tap reaches them.
fn phase_gradient(
    sizes: Sizes,
    padded: &Padded<'_>,
    before: [usize; 3],
    weight: &[f32],
    phase: [Phase; 3],
) -> Vec<f32> {
    let Sizes {
        batch,
        inputs,
        kernel,
        outputs,
        window: Window { stride, .. },
        ..
    } = sizes;
    if phase.iter().any(|p| p.count == 0 || p.taps == 0) {
        return vec![];
    }
    let first = [0, 1, 2].map(|axis| before[axis] + phase[axis].q - (phase[axis].taps - 1));
    let rows = padded.rows(batch, phase.map(|p| p.count), first, [1; 3]);
    let runs = padded.lines([phase[0].taps, phase[1].taps]);
    // Increasing positions of the gradient meet the taps from last to first.
    let tap = |axis: usize, j: usize| phase[axis].phase + (phase[axis].taps - 1 - j) * stride[axis];
    let mut taps = vec![];
    for d in 0..phase[0].taps {
        for h in 0..phase[1].taps {
            for w in 0..phase[2].taps {
                let index = (tap(0, d) * kernel[1] + tap(1, h)) * kernel[2] + tap(2, w);
                taps.push(index * inputs * outputs);
            }
        }
    }
    Gather {
        data: &padded.data,
        rows: &rows,
        runs: &runs,
        run_len: phase[2].taps * outputs,
        right: Taps {
            data: weight,
            taps: &taps,
            tap_len: outputs,
            row_stride: 1,
            column_stride: outputs,
            columns: inputs,
        },
    }
    .product()
}
