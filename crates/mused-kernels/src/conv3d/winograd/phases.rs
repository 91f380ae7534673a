//! A convolution at stride 2 as one at stride 1: of each axis of its input, even and odd positions (two phases, eight of all
//! axes) are channels of one position.
//!
//! Position q of phase p is position 2 q + p of the input. Padding that is odd shifts a kernel by one of its own taps; with that shift
//! it has 7 or 8 of them, which are four over positions. What of the eight is past the kernel is zero.

use std::borrow::Cow;

use crate::conv3d::cpu::Sizes;

/// Phases of all axes.
const PHASES: usize = 8;
/// Taps of an axis over positions.
const TAPS: usize = 4;

/// Whether the kernel has these taps along all axes.
pub(super) fn fit(sizes: &Sizes) -> bool {
    let mut axes = sizes.kernel.iter().zip(sizes.window.padding);
    axes.all(|(taps, padding)| [2 * TAPS - 1, 2 * TAPS].contains(&(taps + padding % 2)))
}

/// For each tap over positions and each phase, the tap of the kernel, if there is one.
fn taps(sizes: &Sizes) -> impl Iterator<Item = Option<usize>> {
    let (kernel, padding) = (sizes.kernel, sizes.window.padding);
    (0..TAPS.pow(3) * PHASES).map(move |index| {
        let (tap, phase) = (index / PHASES, index % PHASES);
        let tap = [tap / (TAPS * TAPS), tap / TAPS % TAPS, tap % TAPS];
        let phase = [phase / 4, phase / 2 % 2, phase % 2];
        let mut at = 0;
        for axis in 0..3 {
            let tap = (2 * tap[axis] + phase[axis]).checked_sub(padding[axis] % 2)?;
            if tap >= kernel[axis] {
                return None;
            }
            at = at * kernel[axis] + tap;
        }
        Some(at)
    })
}

/// `[4³, 8 · in, out]` of `[taps, in, out]`; at stride 1 the same again.
pub(super) fn split<'a>(sizes: &Sizes, weight: &'a [f32]) -> Cow<'a, [f32]> {
    if sizes.window.stride[0] == 1 {
        return weight.into();
    }
    let size = sizes.inputs * sizes.outputs;
    let mut out = vec![0.0; TAPS.pow(3) * PHASES * size];
    for (values, tap) in out.chunks_exact_mut(size).zip(taps(sizes)) {
        if let Some(tap) = tap {
            values.copy_from_slice(&weight[tap * size..][..size]);
        }
    }
    out.into()
}

/// The way back.
pub(super) fn join(sizes: &Sizes, split: Vec<f32>) -> Vec<f32> {
    if sizes.window.stride[0] == 1 {
        return split;
    }
    let size = sizes.inputs * sizes.outputs;
    let mut out = vec![0.0; sizes.taps() * size];
    for (values, tap) in split.chunks_exact(size).zip(taps(sizes)) {
        if let Some(tap) = tap {
            out[tap * size..][..size].copy_from_slice(values);
        }
    }
    out
}
