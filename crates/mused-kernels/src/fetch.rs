//! Memory that will be wanted soon, on its way into the caches while something is computed.

use pulp::Simd;

/// Values of a cache line.
pub(crate) const LINE: usize = 16;

/// Has the cache line of a value fetched that will be wanted soon.
#[inline(always)]
pub(crate) fn prefetch(value: &f32) {
    prefetch_behind(value, 0);
}

/// Has the cache line fetched that lies so many bytes behind a value, if there is one.
#[inline(always)]
pub(crate) fn prefetch_behind<T>(value: &T, distance: usize) {
    // The instruction is a hint about an address and reads nothing.
    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code)]
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let value = std::ptr::from_ref(value).cast::<i8>();
        _mm_prefetch::<_MM_HINT_T0>(value.wrapping_add(distance));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (value, distance);
}

/// Has the cache line fetched into the second-level cache that lies so many bytes behind the first of these values.
#[inline(always)]
fn prefetch_far(values: &[f32], distance: usize) {
    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code)]
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        let first = values.as_ptr().cast::<i8>();
        _mm_prefetch::<_MM_HINT_T1>(first.wrapping_add(distance));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (values, distance);
}

/// What is read next, a share of whole cache lines for each of so many tiles.
#[inline(always)]
pub(crate) fn shared_out(next: &[f32], tiles: usize) -> impl Iterator<Item = &[f32]> {
    let share = next.len().div_ceil(tiles.max(1)).next_multiple_of(LINE);
    next.chunks(share.max(1))
}

/// What a tile has fetched while it is summed, where vectors are wide: rows of its panel, which comes from the second-level
/// cache, into the first-level one before they are wanted; what is read soon after the tile into the second-level one.
pub(crate) struct Fetch<'a> {
    next: &'a [f32],
    /// Bytes a row.
    stride: usize,
    distance: usize,
}

impl<'a> Fetch<'a> {
    /// During the products of so many rows of a panel.
    #[inline(always)]
    pub(crate) fn new(next: &'a [f32], panel: &'a [f32], rows: usize) -> Self {
        Self {
            // Where nothing lies, looking for the page would take longer than having it.
            next: if next.is_empty() { panel } else { next },
            stride: size_of_val(next).div_ceil(rows.max(1)),
            distance: 0,
        }
    }

    /// Beside the products of a row of the panel.
    #[inline(always)]
    pub(crate) fn step<S: Simd, const WIDTH: usize>(&mut self, row: &[S::f32s; WIDTH]) {
        /// How far behind a value, in bytes, the one lies that is fetched.
        const AHEAD: usize = 2048;
        // A row of a narrow panel has too few products beside which to fetch.
        if S::REGISTER_COUNT < 32 || WIDTH < 4 {
            return;
        }
        for vector in row {
            prefetch_behind(vector, AHEAD);
        }
        prefetch_far(self.next, self.distance);
        self.distance += self.stride;
    }
}
