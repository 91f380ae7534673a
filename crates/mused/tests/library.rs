//! The library as a program of somebody else's uses it: data in memory, no progress, a handle that stops.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::atomic::{AtomicU64, Ordering};

use mused::data::{Dataset, Labels, Stimulus, Voxel};
use mused::{
    Cancel, Config, Error, Fault, Progress, Training, compare, evaluate, explain, predict, train,
};
use ndarray::Array2;
use tempfile::TempDir;

/// Two subjects with voxels of their own; the first voxel of each follows the first label.
fn in_memory() -> Dataset {
    let ids: Vec<String> = (0..40).map(|stimulus| format!("s{stimulus:02}")).collect();
    let label = |stimulus: usize, label: usize| u8::from((stimulus * (label + 3)) % 7 < 3);
    let labels = Labels {
        names: vec!["face".to_owned(), "house".to_owned()],
        matrix: Array2::from_shape_fn((40, 2), |(row, column)| label(row, column)),
    };
    let stimuli = ids.iter().map(Stimulus::new).collect();
    let mut builder = Dataset::builder("in memory", stimuli, labels);
    for (subject, voxels) in [("anna", 6), ("ben", 9)] {
        let response = |row: usize, voxel: usize| {
            let noise = ((row * 31 + voxel * 17) % 11) as f32 / 11.0;
            noise + f32::from(label(row, voxel % 2)) * 0.4
        };
        let responses = Array2::from_shape_fn((40, voxels), |(row, voxel)| response(row, voxel));
        let trials = builder.trials(&ids).unwrap();
        let voxels = Voxel::in_regions((0..voxels).map(|v| if v < 4 { "V1" } else { "IT" }));
        builder.subject(subject, trials, voxels, responses).unwrap();
    }
    builder.build().unwrap()
}

fn config() -> Config {
    Config::default()
        .folds(2)
        .set("train.epochs=4")
        .unwrap()
        .set("model.dim=16")
        .unwrap()
}

#[test]
fn arrays_in_memory_are_trained_on_scored_and_predicted() {
    let (folder, dataset) = (TempDir::new().unwrap(), in_memory());
    let run = train(&dataset, config(), folder.path().join("a")).unwrap();
    assert_eq!(run.config().unwrap(), config());
    let results = evaluate(&run).unwrap();
    assert_eq!(results.subjects.len(), 2);
    let ridge = config().model("ridge-separate").unwrap();
    let ridge = train(&dataset, ridge, folder.path().join("b")).unwrap();
    let found = compare(&run, &ridge).unwrap();
    assert_eq!(found.roc_auc.per_subject.len(), 2);
    let predicted = predict(&run, &dataset).unwrap();
    assert_eq!(predicted.values.dim(), (80, 2));
    assert_eq!(predicted.labels, ["face", "house"]);
    assert_eq!(predicted.rows[0], ("anna".to_owned(), "s00".to_owned()));

    let message = run.dataset(None).unwrap_err().to_string();
    assert!(message.contains("in memory"), "{message}");
    // Written, it is the same data to the run.
    let path = folder.path().join("data");
    dataset.write(&path).unwrap();
    run.dataset(Some(&path)).unwrap();
    let message = train(&dataset, config(), folder.path().join("a"))
        .unwrap_err()
        .to_string();
    assert!(message.contains("already exists"), "{message}");
}

#[test]
fn a_handle_stops_training_which_goes_on_to_the_same_bits() {
    let (folder, dataset) = (TempDir::new().unwrap(), in_memory());
    let config = config().set("train.ensemble=2").unwrap();
    let whole = train(&dataset, config.clone(), folder.path().join("whole")).unwrap();
    let stop = Cancel::default();
    stop.clone().cancel();
    let path = folder.path().join("stopped");
    let training = Training::new(&dataset).config(&config).unwrap();
    let stopped = training.cancel(&stop).train(&path);
    assert!(matches!(stopped, Err(Error::Interrupted(at)) if at == path));
    let resumed = Training::new(&dataset).threads(1).resume(&path).unwrap();
    let probabilities = |run: &mused::Run| run.predictions().unwrap().probabilities;
    assert_eq!(probabilities(&resumed), probabilities(&whole));
}

/// The memory that a training says it needs.
#[derive(Default)]
struct Bytes(AtomicU64);

impl Progress for Bytes {
    fn start(&self, _done: usize, _total: usize, bytes: u64) {
        self.0.store(bytes, Ordering::Relaxed);
    }
}

#[test]
fn a_model_a_subject_holds_that_subject_alone() {
    let (folder, dataset) = (TempDir::new().unwrap(), in_memory());
    let needs = |model: &str| {
        let bytes = Bytes::default();
        let config = config().model(model).unwrap();
        let training = Training::new(&dataset).config(&config).unwrap().threads(1);
        training
            .progress(&bytes)
            .train(folder.path().join(model))
            .unwrap();
        bytes.0.into_inner()
    };
    // Of two people: half of the samples, and as many voxels.
    assert!(5 * needs("ridge-separate") < 4 * needs("ridge-pooled"));
}

#[test]
fn the_complete_run_is_trained_gone_on_with_or_kept() {
    let (folder, dataset) = (TempDir::new().unwrap(), in_memory());
    let whole = train(&dataset, config(), folder.path().join("whole")).unwrap();
    let path = folder.path().join("run");
    let training = || Training::new(&dataset).config(&config()).unwrap();
    let stop = Cancel::default();
    stop.cancel();
    let stopped = training().cancel(&stop).complete(&path).unwrap_err();
    assert_eq!(
        (stopped.fault(), stopped.path()),
        (Fault::Stopped, Some(&*path))
    );
    let probabilities = |run: &mused::Run| run.predictions().unwrap().probabilities;
    let run = training().complete(&path).unwrap();
    assert_eq!(probabilities(&run), probabilities(&whole));
    assert!(run.ridge().unwrap().unwrap().run.is_complete());
    // Kept.
    let steps = || std::fs::read(run.metrics_path()).unwrap();
    let before = steps();
    training().complete(&path).unwrap();
    assert_eq!(steps(), before);

    let other = Training::new(&dataset).config(&config().folds(3)).unwrap();
    let refused = other.complete(&path).unwrap_err();
    assert!(matches!(refused, Error::OtherSettings { .. }), "{refused}");
    assert_eq!(refused.fault(), Fault::Config);
    let shuffled = dataset.shuffled(1);
    let other = Training::new(&shuffled).config(&config()).unwrap();
    let refused = other.complete(&path).unwrap_err();
    assert!(matches!(refused, Error::OtherData { .. }), "{refused}");
}

#[test]
fn data_in_memory_are_explained() {
    let (folder, dataset) = (TempDir::new().unwrap(), in_memory());
    let run = train(&dataset, config(), folder.path().join("run")).unwrap();
    let found = explain(&run, &dataset, 0, &mut |_, _| ()).unwrap();
    let parts: Vec<&str> = found.drops.iter().map(|drop| drop.part.as_str()).collect();
    assert_eq!(parts, ["V1", "IT"]);
    // Of other data the run's predictions are not had.
    let refused = explain(&run, &dataset.shuffled(1), 0, &mut |_, _| ()).unwrap_err();
    assert!(refused.to_string().contains("predictions"), "{refused}");
}
