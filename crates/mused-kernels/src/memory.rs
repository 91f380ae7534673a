//! Memory that is used again instead of being returned to the system between steps, and what is said where there is none left.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::mem::MaybeUninit;
use std::process;
use std::slice;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use crate::simd::threads;

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

/// So many zeros, set by all threads where there are many.
pub(crate) fn zeros(len: usize) -> Vec<f32> {
    written(len, PIECE, threads(len), |_, _| ())
}

/// The same values once more, copied by all threads where there are many.
pub(crate) fn copied(values: &[f32]) -> Vec<f32> {
    let values = values.par_iter().with_min_len(PIECE);
    values.copied().collect()
}

/// Values that a thread sets at once.
const PIECE: usize = 1 << 18;

/// How many [`KeptMemory`] there are.
static KEPT: Mutex<usize> = Mutex::new(0);

/// Asks the C library for one heap for all threads, for good: to be called before there are any.
///
/// glibc gives threads heaps of their own, and what one of them has freed is no other's: a training step whose operations
/// run now on this thread and now on that one came to hold its activations once a thread (1.85 GB instead of 1.11 GB on
/// two). Threads that have a heap by now keep it. Does nothing where the C library is not glibc.
pub fn share_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::mallopt(glibc::ARENA_MAX, 1);
}

/// Asks the C library to keep what is freed for the next allocation, until the value is dropped, and shares the heap
/// ([`share_heap`]): for work in steps of the same sizes.
///
/// glibc by itself returns every freed buffer of more than 32 MiB to the system, and often smaller ones; the pages of the next
/// one then come one fault at a time, each set to zero: a twelfth of a training step of the volume model.
#[must_use = "what is freed is kept until this is dropped"]
pub fn keep_freed_memory() -> KeptMemory {
    share_heap();
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    *kept += 1;
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        glibc::mallopt(glibc::MMAP_MAX, 0);
        glibc::mallopt(glibc::TRIM_THRESHOLD, glibc::NEVER);
    }
    KeptMemory(())
}

/// While one lives, freed memory is kept: [`keep_freed_memory`]. When the last is dropped, it is returned to the system, and the C
/// library does about as it does by itself.
#[derive(Debug)]
pub struct KeptMemory(());

impl Drop for KeptMemory {
    fn drop(&mut self) {
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        *kept -= 1;
        if *kept == 0 {
            return_above(32 << 20);
        }
    }
}

/// Returns to the system what was freed, and has the C library return at once what is freed from now on in pieces of more than
/// a MiB; shares the heap, too. For closed forms, whose large matrices are each of another size: what was kept of them lay
/// between other buffers. Does nothing while a [`KeptMemory`] lives.
pub fn return_freed_memory() {
    share_heap();
    let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if *kept == 0 {
        return_above(1 << 20);
    }
}

/// Of so many bytes on.
fn return_above(bytes: i32) {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        glibc::mallopt(glibc::MMAP_MAX, glibc::DEFAULT_MMAP_MAX);
        glibc::mallopt(glibc::MMAP_THRESHOLD, bytes);
        // Twice the other, as glibc itself has the two.
        glibc::mallopt(glibc::TRIM_THRESHOLD, 2 * bytes);
        glibc::malloc_trim(0);
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    let _ = bytes;
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

// They have no safe wrapper in the standard library.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
mod glibc {
    // From glibc's <malloc.h>.
    pub(super) const TRIM_THRESHOLD: i32 = -1;
    pub(super) const MMAP_THRESHOLD: i32 = -3;
    pub(super) const MMAP_MAX: i32 = -4;
    pub(super) const ARENA_MAX: i32 = -8;
    /// A threshold that is never reached.
    pub(super) const NEVER: i32 = -1;
    /// How many buffers glibc by itself has from the system at once.
    pub(super) const DEFAULT_MMAP_MAX: i32 = 1 << 16;
    unsafe extern "C" {
        pub(super) safe fn mallopt(parameter: i32, value: i32) -> i32;
        pub(super) safe fn malloc_trim(kept_at_the_end: usize) -> i32;
    }
}
