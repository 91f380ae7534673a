//! The memory that ridge regressions say they need.
#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::env;
use std::process::Command;

use support::{People, check};

/// Stimuli, labels, voxels, voxels of a region, and what is made of regions.
const CASES: [([usize; 4], &str); 5] = [
    ([7500, 150, 60, 60], "together"),
    ([1500, 10, 3000, 3000], "together"),
    ([1100, 20, 200, 100], "banded"),
    ([1500, 40, 3000, 100], "averaged"),
    ([1200, 40, 4000, 500], "stacked"),
];

/// Names the case to the process that it is alone in.
const CASE: &str = "CASE_OF_MEMORY";

#[test]
fn ridge_regressions_take_the_memory_that_they_say() {
    if let Ok(case) = env::var(CASE) {
        let ([stimuli, labels, voxels, region], regions) = CASES[case.parse::<usize>().unwrap()];
        let people = People {
            subjects: 1,
            stimuli,
            labels,
            voxels,
            region,
        };
        let regions = format!("model.regions=\"{regions}\"");
        let settings = [
            "model.family=\"ridge\"",
            "model.subjects=\"separate\"",
            &regions,
            "split.test_fraction=0.2",
        ];
        return check(people, &settings);
    }
    for (number, case) in CASES.iter().enumerate() {
        let mut alone = Command::new(env::current_exe().unwrap());
        let ended = alone.env(CASE, number.to_string()).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stdout);
        assert!(ended.status.success(), "{case:?}: {said}");
    }
}
