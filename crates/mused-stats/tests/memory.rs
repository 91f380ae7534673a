//! What a permutation test takes of memory: one test, since a process has one peak.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;

use mused_stats::Samples;
use mused_stats::permutation::{Exchange, fixed_predictions};
use ndarray::Array2;

/// A figure of this process in bytes.
fn of_process(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let figure = line.unwrap().trim().strip_suffix(" kB").unwrap();
    1024 * figure.parse::<u64>().unwrap()
}

/// Two scores a label and relabelling would be 256 MB.
#[test]
fn relabellings_are_counted_and_not_kept() {
    let (stimuli, labels) = (30, 800);
    let numbers: Vec<usize> = (0..stimuli).collect();
    let samples = Samples::new(&vec![0; stimuli], &numbers, &numbers).unwrap();
    let scores = Array2::from_shape_fn((stimuli, labels), |(row, label)| {
        ((row * 37 + label * 101) as f64).sin()
    });
    let targets = Array2::from_shape_fn((stimuli, labels), |(row, label)| {
        ((row * 31 + label * 17) % 11 < 4) as u8
    });
    let before = of_process("VmRSS:");
    let threads = rayon::ThreadPoolBuilder::new().num_threads(2);
    let test = || {
        let (scores, targets) = (scores.view(), targets.view());
        fixed_predictions(scores, targets, &samples, Exchange::Stimuli, 10_000, 0)
    };
    let tested = threads.build().unwrap().install(test).unwrap();
    assert_eq!(tested.scores.roc_auc.labels.len(), labels);
    assert_eq!(tested.scores.roc_auc.null.len(), 10_000);
    let taken = of_process("VmHWM:").saturating_sub(before) as f64 / 1e6;
    assert!(taken < 100.0, "{taken:.0} MB");
}
