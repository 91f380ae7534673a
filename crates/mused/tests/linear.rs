//! Baselines in closed form, from training to prediction.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod program;

use std::fs;

use mused::formats::npy::read_npy_f32;
use program::mused;
use tempfile::TempDir;

fn simulated() -> TempDir {
    let folder = TempDir::new().unwrap();
    mused(
        &folder,
        "simulate --spaces common --subjects 3 --stimuli 40 --seed 1 data",
    )
    .success();
    folder
}

fn refusal(folder: &TempDir, args: &str) -> String {
    let refused = mused(folder, args).failure().get_output().stderr.clone();
    String::from_utf8(refused).unwrap()
}

#[test]
fn a_run_predicts_what_it_tested_on_any_number_of_threads() {
    let folder = simulated();
    let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
    let table = |name: &str| String::from_utf8(read(name)).unwrap();
    for model in [
        "ridge-pooled",
        "ridge-separate",
        "procrustes-ridge",
        "srm-ridge",
        "prevalence",
    ] {
        for threads in [1, 2] {
            let args =
                format!("train data --out {model}-{threads} --model {model} --threads {threads}");
            mused(&folder, &args).success();
        }
        let tested = format!("{model}-1/predictions.npy");
        assert_eq!(
            read(&tested),
            read(&format!("{model}-2/predictions.npy")),
            "{model}"
        );
        mused(
            &folder,
            &format!("predict {model}-1 data --out {model}.npy"),
        )
        .success();
        let all = read_npy_f32(folder.path().join(format!("{model}.npy"))).unwrap();
        let tested = read_npy_f32(folder.path().join(tested)).unwrap();
        assert!(tested.iter().all(|value| (0.0..=1.0).contains(value)));
        let (rows, tests) = (
            table(&format!("{model}.tsv")),
            table(&format!("{model}-1/trials.tsv")),
        );
        for (test, row) in tests.lines().skip(1).enumerate() {
            let (_, wanted) = row.split_once('\t').unwrap();
            let place = rows.lines().skip(1).position(|row| row == wanted).unwrap();
            for label in 0..tested.shape()[1] {
                let difference = all[[place, label]] - tested[[test, label]];
                assert!(difference.abs() < 1e-6, "{model}");
            }
        }
    }
}

#[test]
fn a_held_out_subject_is_aligned_by_its_responses_to_training_stimuli() {
    let folder = simulated();
    for model in ["procrustes-ridge", "srm-ridge", "ridge-pooled"] {
        let args = format!("train data --out {model} --model {model} --holdout-subject sub-02");
        mused(&folder, &args).success();
        let trials = fs::read_to_string(folder.path().join(format!("{model}/trials.tsv"))).unwrap();
        let mut subjects = trials.lines().skip(1).map(|row| row.split('\t').nth(1));
        assert!(subjects.all(|subject| subject == Some("sub-02")));
        mused(&folder, &format!("evaluate {model}")).success();
    }
}

#[test]
fn each_subject_is_tested_by_a_model_of_the_others() {
    let folder = simulated();
    for model in ["srm-ridge", "ridge-pooled"] {
        let train = format!("train data --folds 2 --model {model} --holdout-subject");
        mused(&folder, &format!("{train} each --out {model}")).success();
        mused(&folder, &format!("{train} sub-02 --out {model}-02")).success();
        let rows = |run: &str| -> Vec<(String, Vec<f32>)> {
            let trials = fs::read_to_string(folder.path().join(run).join("trials.tsv")).unwrap();
            let values = read_npy_f32(folder.path().join(run).join("predictions.npy")).unwrap();
            let rows = trials.lines().skip(1).map(str::to_owned);
            rows.zip(values.outer_iter().map(|row| row.iter().copied().collect()))
                .collect()
        };
        let all = rows(model);
        assert_eq!(all.len(), 120);
        let own: Vec<_> = all
            .into_iter()
            .filter(|(trial, _)| trial.contains("sub-02"))
            .collect();
        assert_eq!(own, rows(&format!("{model}-02")));
        mused(&folder, &format!("audit {model}")).success();
    }
    let message = refusal(
        &folder,
        "train data --out a --model mlp-separate --holdout-subject each",
    );
    assert!(message.contains("a model a subject"), "{message}");
}

#[test]
fn alignment_says_what_it_needs() {
    let folder = simulated();
    let args = "train data --out a --model ridge-separate --set model.alignment=srm";
    let message = refusal(&folder, args);
    assert!(
        message.contains("is a key of model.family aligned-ridge"),
        "{message}"
    );
    let args = "train data --out a --model ridge-pooled --set model.subjects=tokens";
    let message = refusal(&folder, args);
    assert!(
        message.contains("must be one of shared, separate"),
        "{message}"
    );
    mused(
        &folder,
        "simulate --spaces common --subjects 2 --stimuli 10 --seed 1 few",
    )
    .success();
    let message = refusal(
        &folder,
        "train few --out a --model srm-ridge --set split.validation_fraction=0",
    );
    assert!(
        message.contains("needs at least 10 training stimuli that all 2 subjects saw"),
        "{message}"
    );
    assert!(message.contains("Natural Scenes Dataset"), "{message}");
}
