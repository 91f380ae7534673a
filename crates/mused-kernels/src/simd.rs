//! Vector building blocks: loops over slices in lanes, split over threads at fixed places, and the exponential.

use std::env;
use std::sync::LazyLock;

use pulp::Simd;

use crate::memory;

/// Elements of one task of an element-wise loop. Fixed, so that nothing depends on the number of threads.
const TASK: usize = 1 << 14;

/// Below this many elements an element-wise loop stays on the calling thread: waking a worker costs microseconds.
const PARALLEL: usize = 1 << 16;

/// Where this variable is set, kernels use no vector instructions: to see what a processor without them computes.
const PLAIN: &str = "MUSED_PLAIN";

/// The instruction set of this machine, detected once.
pub(crate) fn arch() -> pulp::Arch {
    static ARCH: LazyLock<pulp::Arch> = LazyLock::new(|| match plain() {
        true => pulp::Arch::Scalar,
        false => pulp::Arch::new(),
    });
    *ARCH
}

/// Whether vector instructions are not to be used.
pub(crate) fn plain() -> bool {
    env::var_os(PLAIN).is_some()
}

/// Whether `work` (in element-wise operations) should be shared with the pool the caller is in.
pub(crate) fn worth_sharing(work: usize) -> bool {
    threads(work) > 1
}

/// Threads that share `work`.
pub(crate) fn threads(work: usize) -> usize {
    match work >= PARALLEL {
        true => rayon::current_num_threads(),
        false => 1,
    }
}

/// An element-wise computation on vectors of lanes.
pub(crate) trait Lanes<const IN: usize, const OUT: usize>: Sync {
    /// New values of the outputs. `index` is the position of the first lane.
    fn lanes<S: Simd>(
        &self,
        simd: S,
        index: usize,
        inputs: [S::f32s; IN],
        outputs: [S::f32s; OUT],
    ) -> [S::f32s; OUT];
}

/// A computation of one slice that writes where it reads.
pub(crate) struct InPlace<Op>(pub(crate) Op);

impl<Op: Lanes<1, 1>> Lanes<0, 1> for InPlace<Op> {
    #[inline(always)]
    fn lanes<S: Simd>(
        &self,
        simd: S,
        index: usize,
        _: [S::f32s; 0],
        x: [S::f32s; 1],
    ) -> [S::f32s; 1] {
        self.0.lanes(simd, index, x, x)
    }
}

/// Runs `op` over slices of one length.
pub(crate) fn for_each<const IN: usize, const OUT: usize>(
    op: &impl Lanes<IN, OUT>,
    inputs: [&[f32]; IN],
    outputs: [&mut [f32]; OUT],
) {
    let len = outputs.first().map_or(0, |output| output.len());
    if worth_sharing(len) {
        split(op, 0, inputs, outputs);
    } else {
        serial(op, 0, inputs, outputs);
    }
}

/// What `op` makes of a slice.
pub(crate) fn map(op: &impl Lanes<1, 1>, x: &[f32]) -> Vec<f32> {
    memory::written(x.len(), TASK, threads(x.len()), |index, y| {
        let first = index * TASK;
        serial(op, first, [&x[first..first + y.len()]], [y]);
    })
}

fn split<const IN: usize, const OUT: usize>(
    op: &impl Lanes<IN, OUT>,
    index: usize,
    inputs: [&[f32]; IN],
    outputs: [&mut [f32]; OUT],
) {
    let len = outputs.first().map_or(0, |output| output.len());
    if len <= TASK {
        return serial(op, index, inputs, outputs);
    }
    let middle = len.div_ceil(2).next_multiple_of(TASK).min(len);
    let input_halves = inputs.map(|input| input.split_at(middle));
    let mut right = [const { None }; OUT];
    let mut taken = right.iter_mut();
    let left = outputs.map(|output| {
        let (a, b) = output.split_at_mut(middle);
        if let Some(slot) = taken.next() {
            *slot = Some(b);
        }
        a
    });
    let right = right.map(Option::unwrap_or_default);
    rayon::join(
        || split(op, index, input_halves.map(|half| half.0), left),
        || split(op, index + middle, input_halves.map(|half| half.1), right),
    );
}

fn serial<const IN: usize, const OUT: usize>(
    op: &impl Lanes<IN, OUT>,
    index: usize,
    inputs: [&[f32]; IN],
    outputs: [&mut [f32]; OUT],
) {
    arch().dispatch(Loop {
        op,
        index,
        inputs,
        outputs,
    });
}

struct Loop<'a, Op, const IN: usize, const OUT: usize> {
    op: &'a Op,
    index: usize,
    inputs: [&'a [f32]; IN],
    outputs: [&'a mut [f32]; OUT],
}

impl<Op: Lanes<IN, OUT>, const IN: usize, const OUT: usize> pulp::WithSimd
    for Loop<'_, Op, IN, OUT>
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            op,
            mut index,
            inputs,
            outputs,
        } = self;
        let len = outputs.first().map_or(0, |output| output.len());
        let inputs = inputs.map(|input| S::as_simd_f32s(&input[..len]));
        let mut outputs = outputs.map(|output| S::as_mut_simd_f32s(&mut output[..len]));
        let vectors = len / S::F32_LANES;
        for i in 0..vectors {
            let x = inputs.map(|(body, _)| body[i]);
            let y = std::array::from_fn(|o| outputs[o].0[i]);
            let y = op.lanes(simd, index, x, y);
            for (output, y) in outputs.iter_mut().zip(y) {
                output.0[i] = y;
            }
            index += S::F32_LANES;
        }
        if len > vectors * S::F32_LANES {
            let x = inputs.map(|(_, tail)| simd.partial_load_f32s(tail));
            let y = std::array::from_fn(|o| simd.partial_load_f32s(outputs[o].1));
            let y = op.lanes(simd, index, x, y);
            for (output, y) in outputs.iter_mut().zip(y) {
                simd.partial_store_f32s(output.1, y);
            }
        }
    }
}

/// `c₀ + x (c₁ + x (…))`.
#[inline(always)]
pub(crate) fn polynomial<S: Simd, const N: usize>(
    simd: S,
    x: S::f32s,
    coefficients: [f32; N],
) -> S::f32s {
    let mut value = simd.splat_f32s(0.0);
    for c in coefficients.into_iter().rev() {
        value = simd.mul_add_f32s(value, x, simd.splat_f32s(c));
    }
    value
}

/// `eˣ` to 1.2e-7 for `x` in −87 … 88, its value at the nearer end outside. NaN does not survive: multiply by something
/// that carries it.
#[inline(always)]
pub(crate) fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    // Adding 1.5 · 2²³ rounds to an integer and leaves it in the low bits of the significand.
    const ROUND: f32 = 12_582_912.0;
    let splat = |value| simd.splat_f32s(value);
    let x = simd.min_f32s(simd.max_f32s(x, splat(-87.0)), splat(88.0));
    let shifted = simd.mul_add_f32s(x, splat(std::f32::consts::LOG2_E), splat(ROUND));
    let n = simd.sub_f32s(shifted, splat(ROUND));
    // ln 2 in two parts: n times the first is exact.
    let r = simd.mul_add_f32s(n, splat(-0.693_359_4), x);
    let r = simd.mul_add_f32s(n, splat(2.121_944_4e-4), r);
    // The Taylor series to r⁷: below 6e-9 for |r| ≤ ln 2 / 2.
    let e = polynomial(
        simd,
        r,
        [
            1.0,
            1.0,
            0.5,
            1.0 / 6.0,
            1.0 / 24.0,
            1.0 / 120.0,
            1.0 / 720.0,
            1.0 / 5040.0,
        ],
    );
    let bits = simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(shifted), simd.splat_u32s(23));
    simd.transmute_f32s_u32s(simd.add_u32s(simd.transmute_u32s_f32s(e), bits))
}

/// 0, 1, 2 … in the lanes.
#[inline(always)]
pub(crate) fn lane_numbers<S: Simd>(simd: S) -> S::u32s {
    const NUMBERS: [u32; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
    simd.partial_load_u32s(&NUMBERS[..S::U32_LANES.min(16)])
}
