//! What a dataset takes of memory: one test, since a process has one size.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;

use mused_data::{Dataset, Labels, Stimulus, Trial, Voxel};
use ndarray::Array2;

/// Bytes of this process.
fn size() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    let kilobytes = line.trim().strip_suffix(" kB").unwrap();
    1024.0 * kilobytes.parse::<f64>().unwrap()
}

#[test]
fn tables_take_what_is_said() {
    let (people, voxels, stimuli) = (100, 5000, 500);
    let before = size();
    let shown: Vec<_> = (0..stimuli)
        .map(|index| Stimulus::new(format!("picture-{index}")))
        .collect();
    let labels = Labels {
        names: vec!["person".to_owned()],
        matrix: Array2::from_shape_fn((stimuli, 1), |(row, _)| (row % 2) as u8),
    };
    let mut builder = Dataset::builder("large", shown, labels);
    for person in 0..people {
        let regions = (0..voxels).map(|voxel| format!("region-{}", voxel % 12));
        let responses = Array2::zeros((1, voxels));
        builder
            .subject(
                &format!("{person}"),
                vec![Trial::of(0)],
                Voxel::in_regions(regions),
                responses,
            )
            .unwrap();
    }
    let dataset = builder.build().unwrap();
    // The responses are a twentieth of it.
    let taken = size() - before;
    let said = dataset.table_bytes() as f64;
    assert!(
        (0.8..1.25).contains(&(said / taken)),
        "{said} said, {taken} taken"
    );
}
