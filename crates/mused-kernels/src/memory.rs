//! Memory that is used again instead of being returned to the system between steps, and what is said where there is none left.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::mem::MaybeUninit;
use std::process;
use std::slice;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

thread_local! {
    static SCRATCH: [Cell<Vec<f32>>; 2] = const { [Cell::new(Vec::new()), Cell::new(Vec::new())] };
}

/// What a thread's scratch buffer is for.
#[derive(Clone, Copy)]
pub(crate) enum Scratch {
    /// A packed right matrix, or what products give.
    Right,
    /// Packed or transformed rows of a left matrix.
    Left,
}

/// Takes this thread's buffer; [`put_back`] returns it. Taken rather than borrowed: a thread that waits for others may run
/// another of their tasks meanwhile, which then starts with an empty one. (Nor is it lent to a closure: one inside a
/// vectorised function would be compiled without the vector instructions.)
pub(crate) fn take(which: Scratch) -> Vec<f32> {
    SCRATCH.with(|scratch| scratch[which as usize].take())
}

/// Keeps a buffer for the next [`take`] on this thread.
pub(crate) fn put_back(which: Scratch, buffer: Vec<f32>) {
    SCRATCH.with(|scratch| scratch[which as usize].set(buffer));
}

/// Transformed weights of convolutions: too many for every thread to keep a buffer of its own.
static WEIGHTS: Mutex<Vec<f32>> = Mutex::new(Vec::new());

/// Takes the buffer for transformed weights; who comes while it is taken starts with an empty one.
pub(crate) fn take_weights() -> Vec<f32> {
    std::mem::take(&mut *WEIGHTS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Keeps a buffer for the next [`take_weights`], in place of what was kept.
pub(crate) fn put_back_weights(buffer: Vec<f32>) {
    *WEIGHTS.lock().unwrap_or_else(PoisonError::into_inner) = buffer;
}

/// `len` values that `write` makes, `part` at a time, on so many threads. It has the index of a part and its values, zeros at
/// first: those of a large matrix, set by one thread before, were 3 % of a training step.
#[allow(unsafe_code)]
pub(crate) fn written(
    len: usize,
    part: usize,
    threads: usize,
    write: impl Fn(usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    let mut out = Vec::with_capacity(len);
    let room = &mut out.spare_capacity_mut()[..len];
    let write = |(index, room): (usize, &mut [MaybeUninit<f32>])| {
        room.fill(MaybeUninit::new(0.0));
        // SAFETY: it was filled just now.
        let part = unsafe { slice::from_raw_parts_mut(room.as_mut_ptr().cast(), room.len()) };
        write(index, part);
    };
    if threads > 1 {
        room.par_chunks_mut(part).enumerate().for_each(write);
    } else {
        room.chunks_mut(part).enumerate().for_each(write);
    }
    // SAFETY: every part was filled.
    unsafe { out.set_len(len) };
    out
}

/// Asks the C library to keep freed memory for the next allocation instead of returning it to the system.
///
/// glibc may unmap a freed buffer, and the page faults of the next one then cost more than a small product: a linear
/// layer `[1280, 64] → 256` by itself, forward and backward, took 0.65 ms with this and 1.9 ms without (measured;
/// whole encoder steps showed no clear difference). Call it once, when a program starts. Does
/// nothing where the C library is not glibc.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        glibc::mallopt(glibc::MMAP_THRESHOLD, glibc::LARGEST_MMAP_THRESHOLD);
        glibc::mallopt(glibc::TRIM_THRESHOLD, i32::MAX);
    }
}

/// Asks the C library for one heap for all threads that are started from now on, and not to keep freed buffers of more than
/// `largest` bytes, 32 MiB at most: the system gets them back at once.
///
/// glibc gives threads heaps of their own, and what one of them has freed is no other's: a training step whose operations
/// run now on this thread and now on that one came to hold its activations once a thread (1.85 GB instead of 1.11 GB on
/// two, in no less time). By itself it keeps ever larger buffers, up to 32 MiB: matrices of closed forms just below that lay
/// in the heap with other buffers between them. Does nothing where the C library is not glibc.
pub fn share_heap(largest: i32) {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        let largest = largest.min(glibc::LARGEST_MMAP_THRESHOLD);
        glibc::mallopt(glibc::ARENA_MAX, 1);
        glibc::mallopt(glibc::MMAP_THRESHOLD, largest);
        // As glibc itself has the two.
        glibc::mallopt(glibc::TRIM_THRESHOLD, 2 * largest);
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    let _ = largest;
}

/// The system's allocator, but where there is no memory left the program says so and ends with exit code 1. Rust by itself
/// aborts it.
#[derive(Debug)]
pub struct Heap;

// The allocator of a program is an unsafe trait; each method hands what it was given to the system's.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        had(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        had(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        had(unsafe { System.realloc(old, layout, size) }, size)
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        unsafe { System.dealloc(old, layout) }
    }
}

/// What the system gave, or the end. A file that is being written is left as a kill leaves it.
fn had(given: *mut u8, bytes: usize) -> *mut u8 {
    if given.is_null() {
        // Nothing is allocated on the way.
        eprintln!(
            "mused: {:.1} MB more memory were needed than the system gives this process: give it more (ulimit -v, --mem of a \
             job), or ask for less (fewer --threads, fewer stimuli or voxels)",
            bytes as f64 / 1e6
        );
        process::exit(1);
    }
    given
}

// mallopt has no safe wrapper in the standard library, and this is its only use.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
mod glibc {
    // From glibc's <malloc.h>.
    pub(super) const TRIM_THRESHOLD: i32 = -1;
    pub(super) const MMAP_THRESHOLD: i32 = -3;
    pub(super) const ARENA_MAX: i32 = -8;
    /// The largest glibc accepts: half of an arena's heap.
    pub(super) const LARGEST_MMAP_THRESHOLD: i32 = 32 << 20;
    unsafe extern "C" {
        pub(super) safe fn mallopt(parameter: i32, value: i32) -> i32;
    }
}
