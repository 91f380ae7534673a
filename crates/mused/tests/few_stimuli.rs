//! Data of a few runs or stimuli: what a default can do with them, and what it says.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Mutex;

use mused::data::{Dataset, Labels, Stimulus, Voxel};
use mused::{Config, Progress, Run, Training, evaluate};
use ndarray::Array2;
use tempfile::TempDir;

/// Two people with voxels of their own who saw these stimuli in so many runs.
fn dataset(stimuli: usize, runs: usize) -> Dataset {
    let ids: Vec<String> = (0..stimuli)
        .map(|stimulus| format!("s{stimulus}"))
        .collect();
    let labels = Labels {
        names: vec!["face".to_owned(), "house".to_owned()],
        matrix: Array2::from_shape_fn((stimuli, 2), |(row, label)| {
            u8::from((row / 2 + label) % 2 == 0)
        }),
    };
    let grouped = |(place, id): (usize, &String)| {
        let mut stimulus = Stimulus::new(id);
        stimulus.group = format!("run-{}", place % runs);
        stimulus
    };
    let known = ids.iter().enumerate().map(grouped).collect();
    let mut builder = Dataset::builder("few", known, labels);
    for (subject, voxels) in [("anna", 4), ("ben", 5)] {
        let response = |(row, voxel): (usize, usize)| ((row * 31 + voxel * 17) % 11) as f32;
        let responses = Array2::from_shape_fn((stimuli, voxels), response);
        let trials = builder.trials(&ids).unwrap();
        let voxels = Voxel::in_regions(vec!["V1"; voxels]);
        builder.subject(subject, trials, voxels, responses).unwrap();
    }
    builder.build().unwrap()
}

#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Progress for Notes {
    fn note(&self, message: &str) {
        self.0.lock().unwrap().push(message.to_owned());
    }
}

fn trained(dataset: &Dataset, folds: usize) -> (Run, Vec<String>, TempDir) {
    let folder = TempDir::new().unwrap();
    let notes = Notes::default();
    let config = Config::default()
        .folds(folds)
        .set("train.epochs=1")
        .unwrap()
        .set("split.validation_fraction=0.1")
        .unwrap();
    let training = Training::new(dataset).config(&config).unwrap();
    let run = training
        .progress(&notes)
        .train(folder.path().join("run"))
        .unwrap();
    (run, notes.0.into_inner().unwrap(), folder)
}

#[test]
fn two_runs_are_one_to_train_on_and_one_to_test() {
    for folds in [1, 2] {
        let (run, notes, _folder) = trained(&dataset(24, 2), folds);
        assert!(
            notes[0].contains("no validation part selects the weights"),
            "{notes:?}"
        );
        assert!(evaluate(&run).unwrap().macro_scores.roc_auc.mean.is_some());
    }
}

#[test]
fn five_stimuli_are_trained_on_in_any_number_of_folds() {
    for folds in 2..=5 {
        let (run, _, _folder) = trained(&dataset(5, 5), folds);
        evaluate(&run).unwrap();
    }
    let (_run, notes, _folder) = trained(&dataset(5, 5), 1);
    assert!(notes[0].contains("of the 1 test stimuli"), "{notes:?}");
    assert!(
        notes[0].contains("with --folds every stimulus is tested once"),
        "{notes:?}"
    );
}
