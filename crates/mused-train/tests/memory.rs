//! The memory that training over aligned inputs says it needs.
#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use support::{People, check};

/// Half of the samples are tested: their inputs stay in memory as well as those of training samples, and so do the labels.
#[test]
fn networks_over_aligned_inputs_take_the_memory_that_they_say() {
    let people = People {
        subjects: 40,
        stimuli: 250,
        labels: 400,
        voxels: 48,
        region: 8,
    };
    let settings = [
        "model.inputs=\"labels\"",
        "model.dim=16",
        "split.test_fraction=0.5",
        "train.epochs=1",
    ];
    check(people, &settings);
}
