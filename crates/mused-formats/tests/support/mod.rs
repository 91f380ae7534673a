//! Files of the tests, and damage to them.
#![allow(dead_code, unused_imports)] // every test binary uses a part

mod shared;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::PathBuf;

pub(crate) use shared::shared;

pub(crate) fn file(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/files")).join(name)
}

pub(crate) fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(file(name)).unwrap()
}

/// Remembers the largest single allocation of each thread, and the most that it held at a time.
pub(crate) struct Watched;

thread_local! {
    // Needs neither memory nor a destructor of its own, so that the allocator may use it.
    static LARGEST: Cell<usize> = const { Cell::new(0) };
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn note(size: usize, freed: usize) {
    let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(size)));
    let held = HELD.try_with(|held| {
        held.set(held.get() + size as isize - freed as isize);
        held.get()
    });
    let _ = PEAK.try_with(|peak| peak.set(peak.get().max(held.unwrap_or(0))));
}

// SAFETY: hands everything on to the system's allocator.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size(), 0);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size(), 0);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note(0, layout.size());
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size, layout.size());
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

/// The most bytes that `work` holds at a time.
pub(crate) fn peak_of(work: impl FnOnce()) -> usize {
    let before = HELD.get();
    PEAK.set(before);
    work();
    (PEAK.get() - before) as usize
}

/// Cuts `bytes` at every length and damages every byte in four ways; nothing may panic or allocate more than `most`
/// bytes at once.
pub(crate) fn damage(bytes: &[u8], most: usize, read: impl Fn(Vec<u8>)) {
    let check = |damaged: Vec<u8>, what: &dyn Fn() -> String| {
        LARGEST.set(0);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| read(damaged)));
        assert!(outcome.is_ok(), "panicked: {}", what());
        let largest = LARGEST.get();
        assert!(largest <= most, "allocated {largest} bytes: {}", what());
    };
    for length in 0..bytes.len() {
        check(bytes[..length].to_vec(), &|| format!("cut at {length}"));
    }
    for at in 0..bytes.len() {
        for value in [0, 255, bytes[at] ^ 1, bytes[at] ^ 128] {
            let mut damaged = bytes.to_vec();
            damaged[at] = value;
            check(damaged, &|| format!("byte {at} = {value}"));
        }
    }
}
