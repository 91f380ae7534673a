//! How many trials are enough: curves over trials of subjects and of new people.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod program;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use mused::formats::table::Table;
use program::mused;
use serde_json::Value;
use tempfile::TempDir;

const SIMULATE: &str =
    "simulate --subjects 4 --stimuli 60 --shared 1 --labels 4 --voxels 150 --repeats 1 --seed 2";
const SMALL: &str = "--folds 2 --draws 2 --set train.epochs=2 --set model.dim=16";

fn simulated(simulate: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    mused(&folder, &format!("{simulate} data")).success();
    folder
}

fn said(folder: &TempDir, arguments: &str) -> String {
    let output = mused(folder, arguments)
        .success()
        .get_output()
        .stdout
        .clone();
    String::from_utf8(output).unwrap()
}

fn refusal(folder: &TempDir, arguments: &str) -> String {
    let output = mused(folder, arguments).code(1).get_output().stderr.clone();
    String::from_utf8(output).unwrap()
}

/// Every file below a folder, with its content and when it was written.
fn files(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => {
                let written = fs::metadata(&path).unwrap().modified().unwrap();
                found.insert(path.clone(), (fs::read(&path).unwrap(), written));
            }
        }
    }
    found
}

fn column(folder: &TempDir, file: &str, name: &str) -> Vec<String> {
    let table = Table::read(folder.path().join(file)).unwrap();
    let cells = table.column(name).unwrap().strings().unwrap();
    cells.into_iter().map(str::to_owned).collect()
}

/// Tables and picture of a curve.
fn written(folder: &TempDir, out: &str) -> [Vec<u8>; 3] {
    ["curve.tsv", "curve-means.tsv", "curve.svg"]
        .map(|name| fs::read(folder.path().join(out).join(name)).unwrap())
}

/// Takes the last steps of a run back, as a kill leaves it.
fn begun(run: &Path, model: &str) {
    let record = run.join("run.json");
    let mut begun: Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    begun.as_object_mut().unwrap().remove("finished");
    fs::write(&record, begun.to_string()).unwrap();
    fs::remove_file(run.join("predictions.npy")).unwrap();
    fs::remove_dir_all(run.join("checkpoints").join(model)).unwrap();
}

#[test]
fn trials_of_new_people_are_counted_and_what_is_there_is_kept() {
    let folder = simulated(SIMULATE);
    let curve =
        format!("curve data --out c --new-subjects {SMALL} --set split.validation_fraction=0.1");
    let printed = said(&folder, &format!("{curve} --trials all,10,10,500"));
    assert!(
        printed.contains("500 trials are left out: some subject has 2"),
        "{printed}"
    );
    assert!(printed.contains("minus ridge-stacked"), "{printed}");
    assert!(
        printed.contains("would bring default is not said: a power law needs 4 different numbers of trials, found 2"),
        "{printed}"
    );
    assert!(
        printed.contains("How many people a network is trained on was not varied."),
        "{printed}"
    );
    // 10 trials in two draws and all in one, of 4 people and 2 models.
    assert_eq!(
        column(&folder, "c/curve.tsv", "subject").len(),
        (2 + 1) * 4 * 2
    );
    assert_eq!(column(&folder, "c/curve.tsv", "trials")[0], "10");
    assert_eq!(column(&folder, "c/curve-means.tsv", "model").len(), 4);
    let picture = fs::read_to_string(folder.path().join("c/curve.svg")).unwrap();
    assert!(picture.contains("trials of the new person"), "{picture}");

    // The same again makes nothing; more numbers of trials make what is missing.
    let (before, tables) = (files(&folder.path().join("c/10-0")), written(&folder, "c"));
    let source = files(&folder.path().join("c/source"));
    assert_eq!(
        said(&folder, &format!("{curve} --trials all,10,500")),
        printed
    );
    assert!(written(&folder, "c") == tables);
    said(&folder, &format!("{curve} --trials 10,15,20,all"));
    assert!(files(&folder.path().join("c/10-0")) == before);
    assert!(files(&folder.path().join("c/source")) == source);
    assert_eq!(
        column(&folder, "c/curve.tsv", "subject").len(),
        (6 + 1) * 4 * 2
    );

    // Killed in the middle of a person and of a ridge regression.
    let whole = written(&folder, "c");
    begun(
        &folder.path().join("c/15-1/sub-03"),
        "fold-1-without-sub-03",
    );
    fs::remove_dir_all(folder.path().join("c/ridge-20-0")).unwrap();
    said(&folder, &format!("{curve} --trials 10,15,20,all"));
    assert!(written(&folder, "c") == whole);

    let other = refusal(&folder, &format!("{curve} --trials 10 --set model.heads=2"));
    assert!(
        other.contains("c/source was made with other settings"),
        "{other}"
    );
}

/// A point of the curve is what the single commands make.
#[test]
fn a_point_is_a_run_like_any_other() {
    let folder = simulated(SIMULATE);
    said(
        &folder,
        &format!("curve data --out c --new-subjects --trials 20 --models procrustes-ridge {SMALL}"),
    );
    let left_out = "--holdout-subject each --set split.calibration=20 --set split.draw=1";
    let train = "train data --folds 2 --set train.epochs=2 --set model.dim=16";
    mused(&folder, &format!("{train} --out alone {left_out}")).success();
    let read = |run: &str| {
        let model = format!("{run}/checkpoints/fold-1-without-sub-02/predictions.npy");
        fs::read(folder.path().join(model)).unwrap()
    };
    assert!(read("alone") == read("c/20-1/sub-02"));
    mused(&folder, "evaluate c/20-1/sub-02").success();
    let results = fs::read(folder.path().join("c/20-1/sub-02/results.json")).unwrap();
    let results: Value = serde_json::from_slice(&results).unwrap();
    let scores = column(&folder, "c/curve.tsv", "average_precision");
    let (models, draws, subjects) = (
        column(&folder, "c/curve.tsv", "model"),
        column(&folder, "c/curve.tsv", "draw"),
        column(&folder, "c/curve.tsv", "subject"),
    );
    let row = (0..scores.len())
        .find(|&row| models[row] == "default" && draws[row] == "1" && subjects[row] == "sub-02")
        .unwrap();
    let score: f64 = scores[row].parse().unwrap();
    assert_eq!(
        results["subjects"]["sub-02"]["average_precision"].as_f64(),
        Some(score)
    );
    // Nothing that is tested is calibrated on: the audit of the run says so.
    mused(&folder, "audit c/20-1/sub-02").success();
    assert_eq!(
        column(&folder, "c/curve-means.tsv", "model"),
        ["default", "ridge-stacked", "procrustes-ridge"]
    );
}

#[test]
fn training_trials_of_everybody_make_a_curve() {
    let folder = simulated(SIMULATE);
    let curve = format!("curve data --out c --trials 6,10,16,all {SMALL}");
    let printed = said(&folder, &curve);
    assert!(printed.contains("default"), "{printed}");
    assert_eq!(
        column(&folder, "c/curve.tsv", "subject").len(),
        (6 + 1) * 4 * 2
    );
    // No trials choose weights, so all training stimuli are counted.
    assert_eq!(column(&folder, "c/curve-means.tsv", "trials")[6], "30");
    let config = fs::read_to_string(folder.path().join("c/default-6-0/config.toml")).unwrap();
    assert!(config.contains("validation_fraction = 0.0"), "{config}");
    let whole = written(&folder, "c");
    let kept = files(&folder.path().join("c/default-6-0"));
    begun(&folder.path().join("c/default-10-1"), "fold-1");
    said(&folder, &curve);
    assert!(written(&folder, "c") == whole);
    assert!(files(&folder.path().join("c/default-6-0")) == kept);
}

#[test]
fn what_there_is_no_curve_of_says_why() {
    let folder = simulated(SIMULATE);
    let refused = |rest: &str| refusal(&folder, &format!("curve data --out c {rest}"));
    for trials in ["0", "none", "10,many"] {
        let message = refused(&format!("--trials {trials}"));
        assert!(
            message.contains("--trials: expected all or numbers above 0"),
            "{message}"
        );
    }
    let many = refused("--trials 500,600 --folds 2");
    assert!(
        many.contains("expected numbers of trials from 1 to 29"),
        "{many}"
    );
    let one = refused("--trials 1 --folds 2");
    assert!(
        one.contains("no whole group of its stimuli has as few as 1"),
        "{one}"
    );
    let set = refused("--trials 10 --set split.draw=3");
    assert!(set.contains("are what a curve goes through"), "{set}");
    let voxels = refused("--trials 10 --new-subjects --set model.inputs=voxels");
    assert!(voxels.contains("read by maps alone"), "{voxels}");
    let model = refused("--trials 10 --new-subjects --models mlp-shared");
    assert!(
        model.contains("expected procrustes-ridge or srm-ridge"),
        "{model}"
    );
    for model in ["default", "ridge-stacked", "mlp-shared,mlp-shared"] {
        let twice = refused(&format!("--trials 10 --models {model}"));
        assert!(twice.contains("without being named"), "{twice}");
    }
    assert!(
        !folder.path().join("c").exists(),
        "refused before anything is trained"
    );

    let single = simulated("simulate --subjects 1 --stimuli 60 --labels 3 --voxels 60 --seed 1");
    let single = refusal(&single, "curve data --out c --trials 10 --new-subjects");
    assert!(
        single.contains("has one subject: nobody is left to train on"),
        "{single}"
    );

    let common = simulated("simulate --kind volume --subjects 2 --stimuli 60 --labels 3 --seed 1");
    let message = refusal(&common, "curve data --out c --trials 10 --new-subjects");
    assert!(
        message.contains("share one space") && message.contains("--holdout-subject each"),
        "{message}"
    );
    let printed = said(
        &common,
        &format!("curve data --out c --trials 10,all {SMALL}"),
    );
    assert!(printed.contains("ridge-separate"), "{printed}");
}

#[test]
fn one_subject_has_a_curve_without_intervals() {
    let folder =
        simulated("simulate --subjects 1 --stimuli 60 --labels 3 --voxels 60 --repeats 1 --seed 1");
    let printed = said(
        &folder,
        &format!("curve data --out c --trials 10,all {SMALL}"),
    );
    assert!(
        printed.contains("cannot be told: that takes two subjects"),
        "{printed}"
    );
    let means = fs::read_to_string(folder.path().join("c/curve-means.tsv")).unwrap();
    assert!(
        means
            .lines()
            .all(|line| line.contains("_low") || line.contains("\tn/a\tn/a")),
        "{means}"
    );
}
