//! Every parser against what broke it once, and against a few new inputs.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;

use mused_fuzz::{TARGETS, execute, mutated};

/// Mutated inputs of each target.
const INPUTS: u64 = 1000;

#[test]
fn no_parser_panics_or_takes_more_memory_than_its_budget() {
    let mut faults = Vec::new();
    for target in TARGETS {
        let seeds = (target.seeds)();
        let kept = fs::read_dir(target.regressions()).into_iter().flatten();
        let kept = kept.map(|file| fs::read(file.unwrap().path()).unwrap());
        let new = (0..INPUTS).map(|index| mutated(&seeds, 0, index));
        for input in seeds.iter().cloned().chain(kept).chain(new) {
            if let Err(fault) = execute(target, &input) {
                faults.push(format!("{}: {fault:?}", target.name));
            }
        }
    }
    // The hook that catches panics keeps the message of this one as well.
    eprintln!("{}", faults.join("\n"));
    assert!(faults.is_empty());
}
