//! Hostile files against every parser and decoder.
//!
//! A [`Target`] reads bytes that anybody may have made. [`mutated`] makes such bytes of good files, the same ones for the
//! same seed; [`execute`] gives them to a target and says whether it panicked or took more memory than its
//! [`Budget`](mused_formats::Budget). What was found once is kept in `regressions/TARGET/` and tried by every test run.
//!
//! `cargo run -p mused-fuzz -- all --executions 100000` tries more; `fuzz/` at the root has the same targets for
//! `cargo fuzz`.

mod memory;
mod mutate;
mod targets;

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::Once;

use mused_formats::Budget;

pub use mutate::mutated;
pub use targets::TARGETS;

/// Bytes that a reader may hold besides what its file takes of the budget.
const OWN: u64 = 1 << 20;

/// A parser.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name on the command line and in `regressions`.
    pub name: &'static str,
    /// Reads all there is to read in these bytes, and says whether they are a good file.
    pub read: fn(&[u8]) -> bool,
    /// Good files, which mutations start from.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

impl Target {
    /// The target of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.name == name)
    }

    /// Where inputs that broke it are kept.
    pub fn regressions(&self) -> PathBuf {
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/regressions")).join(self.name)
    }
}

/// What is wrong with the reading of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Where it panicked, and with what.
    Panicked(String),
    /// It held more bytes at a time than a file of this size may take.
    TooLarge {
        /// The most that it held.
        peak: usize,
        /// Its budget.
        budget: u64,
    },
}

thread_local! {
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// [`execute`] for `cargo fuzz`, which keeps inputs that end the process.
///
/// # Panics
/// With what went wrong.
pub fn check(name: &str, input: &[u8]) {
    let fault = Target::named(name).and_then(|target| execute(target, input).err());
    assert_eq!(fault, None, "{name}");
}

/// Gives an input to a target. One at a time in a process: memory is counted for all threads.
///
/// # Errors
/// What went wrong.
pub fn execute(target: &Target, input: &[u8]) -> Result<(), Fault> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        panic::set_hook(Box::new(|panic| {
            PANIC.with_borrow_mut(|text| *text = panic.to_string());
        }));
    });
    let before = memory::start();
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| (target.read)(input)));
    let peak = memory::peak().saturating_sub(before);
    if outcome.is_err() {
        return Err(Fault::Panicked(PANIC.take()));
    }
    let budget = Budget::of(input.len() as u64).left();
    // What a reader has besides what it reads.
    match peak as u64 > budget + OWN {
        true => Err(Fault::TooLarge { peak, budget }),
        false => Ok(()),
    }
}
