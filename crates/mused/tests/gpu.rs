//! Networks on a GPU, or on a driver that acts as one, beside the same networks on the processor.
#![cfg(any(feature = "gpu", feature = "cuda"))]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::atomic::{AtomicUsize, Ordering};

use mused::data::simulate::{SimulateConfig, simulate};
use mused::run::EpochLosses;
use mused::{Cancel, Config, Dataset, Error, Progress, Run, Training};
use ndarray::Array2;

/// Largest difference of a probability between the same weights on two devices.
const SAME_WEIGHTS: f64 = 1e-4;
/// And between weights trained with the same seed on two devices, in f32 and where products may be in TF32.
const SAME_SEED: [(&str, f64); 2] = [("vulkan", 1e-4), ("cuda", 2e-2)];

/// Asks to stop after so many steps.
struct StopAfter {
    left: AtomicUsize,
    cancel: Cancel,
}

impl Progress for StopAfter {
    fn step(&self, _model: &str, _losses: &EpochLosses) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.cancel.cancel();
        }
    }

    fn interrupted(&self) -> bool {
        self.cancel.is_cancelled()
    }
}

fn small(model: &str) -> Config {
    let config = Config::default().folds(2).model(model).unwrap();
    let settings = ["train.epochs=2", "train.batch_size=32", "train.ridge=false"];
    let set = |config: Config, setting: &&str| config.set(setting).unwrap();
    settings.iter().fold(config, set)
}

fn largest<T: Copy + Into<f64>>(a: &Array2<T>, b: &Array2<T>) -> f64 {
    let differences = a
        .iter()
        .zip(b)
        .map(|(a, b)| ((*a).into() - (*b).into()).abs());
    differences.fold(0.0, f64::max)
}

#[test]
fn a_network_is_the_same_on_every_device() {
    let mut tried = Vec::new();
    for found in mused::devices() {
        if found.by == "cpu" || tried.contains(&found.by) {
            continue;
        }
        eprintln!("on {found}");
        same_on(&found.by);
        tried.push(found.by);
    }
    if tried.is_empty() {
        eprintln!("skipped: no GPU here, nor a driver that acts as one");
    }
}

fn same_on(device: &str) {
    let folder = tempfile::tempdir().unwrap();
    let people = SimulateConfig {
        subjects: 2,
        stimuli: 60,
        ..SimulateConfig::default()
    };
    let path = folder.path().join("data");
    simulate(&people, &path, &mut |_, _| ()).unwrap();
    let dataset = Dataset::open(&path).unwrap();
    for model in ["clip-mused", "mlp-shared"] {
        let config = small(model);
        let train = |device: &str, name: &str| -> Run {
            mused::use_device(device).unwrap();
            let path = folder.path().join(format!("{model}-{name}"));
            let training = Training::new(&dataset).config(&config).unwrap();
            training.train(path).unwrap()
        };
        let (cpu, gpu) = (train("cpu", "cpu"), train(device, "gpu"));
        assert_eq!(cpu.record().machine.device, None);
        assert!(gpu.record().machine.device.is_some());
        let difference = largest(
            &cpu.predictions().unwrap().probabilities,
            &gpu.predictions().unwrap().probabilities,
        );
        eprintln!("{model}: trained on both, probabilities differ by up to {difference:.1e}");
        let most = SAME_SEED.iter().find(|(name, _)| *name == device);
        assert!(
            difference <= most.map_or(1e-4, |of| of.1),
            "{model}: {difference}"
        );

        mused::use_device("cpu").unwrap();
        let here = mused::predict(&gpu, &dataset).unwrap();
        mused::use_device(device).unwrap();
        let there = mused::predict(&gpu, &dataset).unwrap();
        let difference = largest(&here.values, &there.values);
        eprintln!("{model}: asked on both, probabilities differ by up to {difference:.1e}");
        let most = if device == "cuda" {
            10.0 * SAME_WEIGHTS
        } else {
            SAME_WEIGHTS
        };
        assert!(difference <= most, "{model}: {difference}");
    }

    // Begun on the GPU, ended on the processor.
    let config = small("clip-mused");
    let cancel = Cancel::default();
    let stop = StopAfter {
        left: AtomicUsize::new(3),
        cancel: cancel.clone(),
    };
    let path = folder.path().join("across");
    mused::use_device(device).unwrap();
    let training = Training::new(&dataset).config(&config).unwrap();
    let begun = training.progress(&stop).train(&path);
    assert!(matches!(begun, Err(Error::Interrupted(_))));
    mused::use_device("cpu").unwrap();
    let ended = Training::new(&dataset).resume(&path).unwrap();
    assert!(ended.is_complete());
}
