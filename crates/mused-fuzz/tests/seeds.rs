//! What mutations start from.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use mused_fuzz::TARGETS;

/// Mutations of what is refused at its first byte find nothing.
#[test]
fn seeds_are_good_files() {
    let mut faults = Vec::new();
    for target in TARGETS {
        let seeds = (target.seeds)();
        let good = seeds.iter().filter(|seed| (target.read)(seed)).count();
        if 2 * good <= seeds.len() {
            faults.push(format!("{}: {good} of {}", target.name, seeds.len()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
