//! A training, the memory that it says it needs, and what it takes: one a process, since a process has one peak.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use mused_data::{Dataset, Labels, Stimulus, Trial, Voxel};
use mused_kernels::{CpuTraining, return_freed_memory};
use mused_run::{Config, Layers};
use mused_train::{Progress, TrainRequest, train};
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

/// Simulated responses of some people, in regions of equal size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct People {
    pub(crate) subjects: usize,
    pub(crate) stimuli: usize,
    pub(crate) labels: usize,
    pub(crate) voxels: usize,
    pub(crate) region: usize,
}

/// That what a training with these settings says is within a fifth of what it takes.
pub(crate) fn check(people: People, settings: &[&str]) {
    let People {
        subjects,
        stimuli,
        labels,
        voxels,
        region,
    } = people;
    let labels = Labels {
        names: (0..labels).map(|label| format!("label {label}")).collect(),
        matrix: Array2::from_shape_fn((stimuli, labels), |(row, label)| {
            ((row * 31 + label * 17) % 11 < 4) as u8
        }),
    };
    let shown = (0..stimuli).map(|number| Stimulus::new(format!("picture-{number:03}")));
    // Otherwise what building has freed stays with the process, and training takes that first.
    return_freed_memory();
    let mut builder = Dataset::builder("many people", shown.collect(), labels);
    for subject in 0..subjects {
        // Of as many components as there are stimuli.
        let responses = Array2::from_shape_fn((stimuli, voxels), |(row, voxel)| {
            ((row + 1) as f32 * (37 + subject) as f32 * (voxel + 101) as f32).sin()
        });
        let trials = (0..stimuli).map(Trial::of).collect();
        let voxels =
            Voxel::in_regions((0..voxels).map(|voxel| format!("region {}", voxel / region)));
        let id = format!("sub-{subject:02}");
        builder.subject(&id, trials, voxels, responses).unwrap();
    }
    let dataset = builder.build().unwrap();
    let mut config = Config::default();
    for setting in settings {
        config = config.set(setting).unwrap();
    }
    let (folder, said) = (TempDir::new().unwrap(), Said::default());
    let before = of_process("VmRSS:");
    let request = TrainRequest {
        dataset: &dataset,
        layers: &Layers::of(&config).unwrap(),
        run: &folder.path().join("run"),
        threads: 2,
    };
    train::<CpuTraining>(&request, &said).unwrap();
    let taken = of_process("VmHWM:").saturating_sub(before) as f64;
    let ratio = said.0.into_inner() as f64 / taken;
    assert!(
        (0.8..1.2).contains(&ratio),
        "{ratio} of {:.0} MB",
        taken / 1e6
    );
}
