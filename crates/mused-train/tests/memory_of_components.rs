//! The memory that training over principal components of regions says it needs.
#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use support::{People, check};

/// Everybody's components stay in memory until the model is trained.
#[test]
fn networks_over_components_take_the_memory_that_they_say() {
    let people = People {
        subjects: 40,
        stimuli: 250,
        labels: 10,
        voxels: 3_000,
        region: 500,
    };
    let settings = [
        "model.roi_components=100",
        "model.inputs=\"voxels\"",
        "model.dim=16",
        "split.test_fraction=0.5",
        "train.epochs=1",
    ];
    check(people, &settings);
}
