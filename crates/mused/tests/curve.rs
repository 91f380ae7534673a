//! How many trials are enough: curves over trials of subjects and of new people.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod program;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use mused::data::{Dataset, Labels, Stimulus, Trial, Voxel};
use mused::formats::table::Table;
use ndarray::Array2;
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
fn written(folder: &TempDir, out: &str) -> [Vec<u8>; 4] {
    ["curve.json", "curve.tsv", "curve-means.tsv", "curve.svg"]
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
        printed.contains("would bring default is not said: a power law needs 4 different numbers of them, found 2"),
        "{printed}"
    );
    assert!(
        printed
            .contains("How many people a network is trained on was not varied (--subjects does)."),
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
    // Of who was killed when the run was complete.
    let lock = folder.path().join("c/10-0/sub-01/.lock");
    fs::write(&lock, "process 1").unwrap();
    assert_eq!(
        said(&folder, &format!("{curve} --trials all,10,500")),
        printed
    );
    assert!(written(&folder, "c") == tables);
    assert!(!lock.exists());
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

/// Scores of the rows of a model from so many, by draw and subject.
fn scores(folder: &TempDir, out: &str, model: &str, asked: &str) -> BTreeMap<[String; 2], String> {
    let columns = ["model", "asked", "draw", "subject", "average_precision"];
    let columns = columns.map(|name| column(folder, &format!("{out}/curve.tsv"), name));
    let [models, numbers, draws, subjects, scores] = columns;
    let own = (0..scores.len()).filter(|&row| models[row] == model && numbers[row] == asked);
    own.map(|row| {
        let key = [draws[row].clone(), subjects[row].clone()];
        (key, scores[row].clone())
    })
    .collect()
}

fn config(folder: &TempDir, run: &str) -> mused::Config {
    mused::Run::open(folder.path().join(run))
        .unwrap()
        .config()
        .unwrap()
}

#[test]
fn everybody_is_scored_among_so_many_subjects() {
    let folder = simulated(SIMULATE);
    let curve = format!("curve data --out c {SMALL} --subjects");
    let printed = said(&folder, &format!("{curve} 1,2,4,9"));
    assert!(
        printed.contains("9 subjects are left out: there are 4"),
        "{printed}"
    );
    assert!(
        printed.contains("What more subjects bring default, in macro AP: from 1 to 2"),
        "{printed}"
    );
    assert!(
        printed.contains("ridge-stacked is fitted to each subject alone"),
        "{printed}"
    );
    // Alone and with all others in one draw, with one other in two.
    let [one, two, all] = ["1", "2", "all"].map(|asked| scores(&folder, "c", "default", asked));
    assert_eq!([one.len(), two.len(), all.len()], [4, 8, 4]);
    // All of them are what a training of all is, and ridge regression is of each alone.
    mused(
        &folder,
        "train data --out plain --folds 2 --set train.epochs=2 --set model.dim=16",
    )
    .success();
    let bytes = |run: &str| fs::read(folder.path().join(run).join("predictions.npy")).unwrap();
    assert!(bytes("plain") == bytes("c/default-of-all-0/0"));
    assert!(bytes("plain/ridge") == bytes("c/ridge"));
    let [few, many] = ["1", "all"].map(|asked| scores(&folder, "c", "ridge-stacked", asked));
    assert!(few == many && few.len() == 4);
    // A team of two is a run of two.
    let team = config(&folder, "c/default-of-2-1/0").split.subjects;
    assert_eq!(team.len(), 2);
    let subjects = format!("--set split.subjects=[\"{}\"]", team.join("\",\""));
    let train = "train data --out pair --folds 2 --set train.epochs=2 --set model.dim=16";
    mused(&folder, &format!("{train} {subjects}")).success();
    assert!(bytes("pair") == bytes("c/default-of-2-1/0"));

    // The same again makes nothing, and what was interrupted is made as before.
    let (whole, kept) = (
        written(&folder, "c"),
        files(&folder.path().join("c/default-of-2-0")),
    );
    begun(&folder.path().join("c/default-of-2-1/1"), "fold-1");
    assert_eq!(said(&folder, &format!("{curve} 1,2,all,9")), printed);
    assert!(written(&folder, "c") == whole);
    assert!(files(&folder.path().join("c/default-of-2-0")) == kept);

    mused(&folder, "report c --figures figures").success();
    let page = fs::read_to_string(folder.path().join("c/report.html")).unwrap();
    for words in [
        "What more subjects bring default",
        "training_subjects",
        "Simulated data",
    ] {
        assert!(page.contains(words), "{words}");
    }
    for name in ["curve.png", "curve-auc.tsv"] {
        assert!(folder.path().join("figures").join(name).is_file(), "{name}");
    }
    fs::write(folder.path().join("c/curve.json"), "{}").unwrap();
    let damaged = refusal(&folder, "report c");
    assert!(
        damaged.contains("c/curve.json: expected a curve"),
        "{damaged}"
    );
}

#[test]
fn new_people_are_read_by_networks_of_so_many_others() {
    let folder = simulated(SIMULATE);
    let curve =
        format!("curve data --out c {SMALL} --new-subjects --models procrustes-ridge --subjects");
    let printed = said(&folder, &format!("{curve} 2,3,4"));
    assert!(
        printed.contains("4 subjects are left out: there are 3 beside the new one"),
        "{printed}"
    );
    assert!(
        printed.contains("through maps fitted on all its own training trials"),
        "{printed}"
    );
    for model in ["default", "procrustes-ridge"] {
        let [two, all] = ["2", "all"].map(|asked| scores(&folder, "c", model, asked));
        assert_eq!([two.len(), all.len()], [8, 4], "{model}");
    }
    for new in ["sub-01", "sub-02", "sub-03", "sub-04"] {
        let adapted = config(&folder, &format!("c/of-2-1/{new}")).split;
        assert_eq!(adapted.holdout_subject, new);
        assert_eq!(adapted.subjects.len(), 2);
        assert!(!adapted.subjects.contains(&new.to_owned()));
        mused(&folder, &format!("audit c/of-2-1/{new}")).success();
    }
    // All others: what a run that leaves the person out has.
    let left_out = "--holdout-subject sub-02 --set split.calibration=all";
    let train = "train data --out without --folds 2 --set train.epochs=2 --set model.dim=16";
    mused(&folder, &format!("{train} {left_out}")).success();
    let bytes = |run: &str| fs::read(folder.path().join(run).join("predictions.npy")).unwrap();
    assert!(bytes("without") == bytes("c/of-all-0/sub-02"));

    let whole = written(&folder, "c");
    begun(
        &folder.path().join("c/of-2-1/sub-03"),
        "fold-1-without-sub-03",
    );
    fs::remove_dir_all(folder.path().join("c/source-of-2-0/1")).unwrap();
    assert_eq!(said(&folder, &format!("{curve} 2,3,4")), printed);
    assert!(written(&folder, "c") == whole);
}

/// Four people, forty stimuli, three regions of one value each: a space of all.
fn common(folder: &TempDir) {
    let stimuli = (0..40).map(|number| Stimulus::new(format!("picture-{number:02}")));
    let labels = Labels {
        names: vec!["odd".to_owned(), "late".to_owned()],
        matrix: Array2::from_shape_fn((40, 2), |(row, label)| [row % 2, row / 20][label] as u8),
    };
    let mut builder = Dataset::builder("common", stimuli.collect(), labels);
    for (person, id) in ["sub-01", "sub-02", "sub-03", "sub-04"].iter().enumerate() {
        let responses = Array2::from_shape_fn((40, 3), |(row, voxel)| {
            let noise = (row * 7 + voxel * 5 + person * 3) % 11;
            [row % 2, row / 20, 0][voxel] as f32 + noise as f32 / 5.0
        });
        let trials = (0..40).map(Trial::of).collect();
        let voxels = Voxel::in_regions(["V1", "V4", "IT"]);
        builder.subject(id, trials, voxels, responses).unwrap();
    }
    builder
        .build()
        .unwrap()
        .write(folder.path().join("data"))
        .unwrap();
}

/// Where all share a space a new person needs no trial of its own, and regression learns from the same others.
#[test]
fn new_people_of_a_common_space_are_read_as_they_are() {
    let folder = TempDir::new().unwrap();
    common(&folder);
    let printed = said(
        &folder,
        &format!("curve data --out c {SMALL} --new-subjects --models mlp-shared --subjects 1,3"),
    );
    assert!(
        printed.contains("ridge-pooled learns from the same subjects"),
        "{printed}"
    );
    assert!(
        printed.contains("read as it is in the space that all share"),
        "{printed}"
    );
    for model in ["default", "ridge-pooled", "mlp-shared"] {
        let [one, all] = ["1", "all"].map(|asked| scores(&folder, "c", model, asked));
        assert_eq!([one.len(), all.len()], [8, 4], "{model}");
    }
    let split = config(&folder, "c/ridge-pooled-of-1-0/sub-01").split;
    assert_eq!(
        (split.subjects.len(), split.holdout_subject.as_str()),
        (1, "sub-01")
    );
}

#[test]
fn numbers_of_subjects_that_there_are_not_say_why() {
    let folder = simulated(SIMULATE);
    let refused = |rest: &str| refusal(&folder, &format!("curve data --out c {rest}"));
    let none = refused("--subjects 0,2");
    assert!(
        none.contains("--subjects: expected all or numbers above 0"),
        "{none}"
    );
    let many = refused("--subjects 4 --new-subjects --set split.folds=2 --models ridge-separate");
    assert!(
        many.contains("expected numbers of subjects from 1 to 3"),
        "{many}"
    );
    let set = refused("--subjects 2 --set split.subjects=[\"sub-01\"]");
    assert!(set.contains("are what a curve goes through"), "{set}");
    mused(&folder, "curve data --out c --subjects 2 --trials 10").code(2);
    assert!(!folder.path().join("c").exists());
    let single = simulated("simulate --subjects 1 --stimuli 60 --labels 3 --voxels 60 --seed 1");
    let single = refusal(&single, "curve data --out c --subjects 1");
    assert!(
        single.contains("has one subject: a curve over subjects takes two or more"),
        "{single}"
    );
}
