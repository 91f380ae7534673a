//! The memory that a fit says it needs, beside what it takes: one test, since a process has one peak.
#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use mused::data::{Dataset, Labels, Stimulus, Voxel};
use mused::{Config, Progress, Training};
use ndarray::Array2;
use tempfile::TempDir;

#[derive(Default)]
struct Said(AtomicU64);

impl Progress for Said {
    fn start(&self, _done: usize, _total: usize, bytes: u64) {
        self.0.store(bytes, Ordering::Relaxed);
    }
}

/// A figure of this process in bytes.
fn of_process(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let figure = line.unwrap().trim().strip_suffix(" kB").unwrap();
    1024 * figure.parse::<u64>().unwrap()
}

#[test]
fn ridge_takes_the_memory_that_it_says() {
    let (stimuli, voxels) = (1800, 1200);
    let ids: Vec<String> = (0..stimuli).map(|row| format!("s{row:04}")).collect();
    let labels = Labels {
        names: vec!["face".to_owned(), "house".to_owned()],
        matrix: Array2::from_shape_fn((stimuli, 2), |(row, label)| {
            (row * (label + 3) % 7 < 3) as u8
        }),
    };
    let shown = ids.iter().map(Stimulus::new).collect();
    let mut builder = Dataset::builder("two people", shown, labels);
    for (subject, wave) in [("anna", 37), ("ben", 41)] {
        let response = |(row, voxel): (usize, usize)| ((row * wave + voxel * 101) as f32).sin();
        let responses = Array2::from_shape_fn((stimuli, voxels), response);
        let trials = builder.trials(&ids).unwrap();
        let voxels = Voxel::in_regions((0..voxels).map(|_| "V1"));
        builder.subject(subject, trials, voxels, responses).unwrap();
    }
    let (folder, said) = (TempDir::new().unwrap(), Said::default());
    let dataset = builder.build().unwrap();
    let config = Config::default().model("ridge-separate").unwrap();
    let before = of_process("VmRSS:");
    let training = Training::new(&dataset).threads(2).progress(&said);
    let training = training.config(&config).unwrap();
    training.train(folder.path().join("run")).unwrap();
    let taken = of_process("VmHWM:").saturating_sub(before) as f64;
    let ratio = said.0.into_inner() as f64 / taken;
    assert!(
        (0.8..1.2).contains(&ratio),
        "{ratio} of {:.0} MB",
        taken / 1e6
    );
}
