//! Ridge regression beside every network, and what is said of the two.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod program;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use assert_cmd::assert::Assert;
use mused::formats::table::Table;
use mused::run::{Standing, Stated};
use mused::{Config, Dataset, Error, Progress, Run, Training, compare, evaluate};
use program::mused;
use serde_json::Value;
use tempfile::TempDir;

const SMALL: &str = "--folds 2 --set train.epochs=2 --set model.dim=16";

/// A folder with a dataset `data` of two people with voxels of their own.
fn simulated(more: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    let simulate = format!("simulate --subjects 2 --stimuli 60 --seed 1 {more} data");
    mused(&folder, &simulate).success();
    folder
}

fn said(assert: &Assert) -> [String; 2] {
    let output = assert.get_output();
    [&output.stdout, &output.stderr].map(|text| String::from_utf8(text.clone()).unwrap())
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn evaluate_ends_with_a_verdict_that_compare_agrees_with() {
    let folder = simulated("");
    let path = |name: &str| folder.path().join(name);
    let trained = mused(&folder, &format!("train data --out run {SMALL}")).success();
    let [_, told] = said(&trained);
    let line = "ridge regression to hold the network against (ridge-stacked) in ";
    assert_eq!(told.matches(line).count(), 1, "{told}");

    // The network is the one it was, and the regression the one that has a name.
    let alone = format!("train data --out alone {SMALL} --set train.ridge=false");
    let [_, told] = said(&mused(&folder, &alone).success());
    assert!(!told.contains("ridge") && !path("alone/ridge").exists());
    mused(
        &folder,
        "train data --out named --model ridge-stacked --folds 2",
    )
    .success();
    for (a, b) in [("run", "alone"), ("run/ridge", "named")] {
        for file in ["predictions.npy", "split.tsv", "targets.npy"] {
            let [a, b] = [a, b].map(|run| fs::read(path(run).join(file)).unwrap());
            assert!(a == b, "{file} of {b:?}");
        }
    }

    let [printed, _] = said(&mused(&folder, "evaluate run").success());
    let results = evaluate(&Run::open(path("run")).unwrap()).unwrap();
    let Some(Stated::Value(ridge)) = &results.ridge else {
        panic!("{:?}", results.ridge);
    };
    let lines: Vec<&str> = printed.lines().rev().take(2).collect();
    assert_eq!(lines[0], ridge.sentence());
    let (ap, auc) = (ridge.average_precision.unwrap(), ridge.roc_auc.unwrap());
    let scores = format!("macro AP {ap:.3}, macro ROC-AUC {auc:.3}");
    assert!(lines[1].starts_with("ridge regression for each subject"));
    assert!(lines[1].ends_with(&scores), "{}", lines[1]);
    let own = evaluate(&Run::open(path("run/ridge")).unwrap()).unwrap();
    assert_eq!(own.macro_scores.average_precision.mean, Some(ap));
    assert_eq!(own.ridge, None);
    assert_eq!(
        json(&path("run/results.json"))["ridge"],
        serde_json::to_value(ridge).unwrap()
    );

    // Other minus reference: the regression minus the network.
    let [run, beside] = ["run", "run/ridge"].map(|run| Run::open(path(run)).unwrap());
    let other = compare(&run, &beside).unwrap().verdict;
    let opposite = match ridge.verdict.standing {
        Standing::Ahead => Standing::Below,
        Standing::Below => Standing::Ahead,
        apart => apart,
    };
    assert_eq!(other.standing, opposite);
    let [a, b] = [&ridge.verdict, &other].map(|verdict| verdict.difference.value().unwrap());
    assert!((a.estimate + b.estimate).abs() < 1e-9);
    assert!((a.low + b.high).abs() < 1e-9 && (a.high + b.low).abs() < 1e-9);
    assert_eq!(ridge.verdict.subjects_ahead, other.subjects_below);
    let [printed, _] = said(&mused(&folder, "compare run run/ridge").success());
    assert!(
        printed.contains(&other.sentence("run/ridge", "run")),
        "{printed}"
    );
    assert_eq!(beside.name(), "run/ridge");

    mused(&folder, "report run").success();
    let page = fs::read_to_string(path("run/report.html")).unwrap();
    assert!(page.contains(&ridge.sentence()));
    assert!(page.contains("The network was held against ridge regression for each subject"));
    mused(&folder, "report alone run/ridge").success();
    let page = fs::read_to_string(path("alone/report.html")).unwrap();
    let beside = compare(&beside, &Run::open(path("alone")).unwrap()).unwrap();
    let sentence = beside.verdict.sentence("alone", "run/ridge");
    assert!(page.contains(&format!(r#"<p class="verdict">{sentence}"#)));

    // Where there is none, it is said how there would be one, and that is right.
    let [printed, _] = said(&mused(&folder, "evaluate alone").success());
    let (_, command) = printed.split_once("none was trained; `mused ").unwrap();
    let (command, _) = command.split_once('`').unwrap();
    mused(&folder, command).success();
    let [printed, _] = said(&mused(&folder, "evaluate alone").success());
    assert!(printed.ends_with(&format!("{}\n", ridge.sentence())));
}

/// Stops when the network is trained.
#[derive(Default)]
struct Between(AtomicBool);

impl Progress for Between {
    fn trained(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn interrupted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[test]
fn what_was_interrupted_between_both_ends_with_both() {
    let folder = simulated("");
    let path = |name: &str| folder.path().join(name);
    let dataset = Dataset::open(path("data")).unwrap();
    let config = Config::default().folds(2).set("train.epochs=2").unwrap();
    let config = config.set("model.dim=16").unwrap();
    let training = || Training::new(&dataset).threads(1);
    let of = |run: &str| {
        let files = ["predictions.npy", "ridge/predictions.npy"];
        files.map(|file| fs::read(path(run).join(file)).unwrap())
    };
    training()
        .config(&config)
        .unwrap()
        .train(path("whole"))
        .unwrap();
    let between = Between::default();
    let stopped = training().config(&config).unwrap().progress(&between);
    let stopped = stopped.train(path("cut"));
    assert!(matches!(stopped, Err(Error::Interrupted(run)) if run == path("cut")));
    let cut = Run::open(path("cut")).unwrap();
    assert!(cut.is_complete() && !cut.ridge_path().join("predictions.npy").exists());
    // Scores of before are no reason to stay silent afterwards.
    let evaluated = evaluate(&cut).unwrap();
    assert!(matches!(evaluated.ridge, Some(Stated::Unavailable { .. })));
    training().resume(path("cut")).unwrap();
    assert!(of("cut") == of("whole"));
    mused(&folder, "report cut").success();
    let page = fs::read_to_string(path("cut/report.html")).unwrap();
    assert!(page.contains("from before the ridge regression beside the run"));
    let results = json(&path("cut/results.json"));
    assert!(
        results["ridge"]["verdict"]["standing"].is_string(),
        "{results}"
    );

    // Killed before it began, and damaged.
    fs::remove_dir_all(path("cut/ridge")).unwrap();
    mused(&folder, "train data --out cut --resume").success();
    assert!(of("cut") == of("whole"));
    fs::write(path("cut/ridge/predictions.npy"), "damage").unwrap();
    let [printed, _] = said(&mused(&folder, "evaluate cut").success());
    assert!(
        printed.contains("to hold the network against: "),
        "{printed}"
    );
    assert!(printed.contains("cut/ridge --resume"), "{printed}");
    mused(&folder, "train data --out cut --resume").success();
    assert!(of("cut") == of("whole"));
}

#[test]
fn where_no_regression_can_follow_the_run_says_why() {
    let folder = simulated("");
    let path = |name: &str| folder.path().join(name);
    let without = format!(
        "train data --out without {SMALL} --set model.inputs=voxels --holdout-subject sub-01"
    );
    let [_, told] = said(&mused(&folder, &without).success());
    let why = "a subject is left out, and ridge regression of the others cannot read voxels";
    assert!(told.contains(&format!("no ridge regression beside the network: {why}")));
    let record = json(&path("without/run.json"));
    assert!(record["no_ridge"].as_str().unwrap().starts_with(why));
    let [printed, _] = said(&mused(&folder, "evaluate without").success());
    assert!(printed.lines().last().unwrap().contains(why), "{printed}");

    // In one space it can; whole volumes have no regions; a control is one beside a control too.
    mused(
        &folder,
        "simulate --kind volume --subjects 2 --stimuli 40 volume",
    )
    .success();
    for (run, asked, family, subjects, regions) in [
        (
            "left",
            "volume --holdout-subject each",
            "ridge",
            "shared",
            "together",
        ),
        ("cubes", "volume", "ridge", "separate", "together"),
        (
            "shuffled",
            "data --model shuffled-brain",
            "ridge",
            "separate",
            "stacked",
        ),
        (
            "hidden",
            "data --model mlp-shared",
            "ridge",
            "separate",
            "stacked",
        ),
        (
            "labels",
            "data --set model.inputs=labels",
            "ridge",
            "separate",
            "stacked",
        ),
    ] {
        let small = match run {
            "hidden" => "--folds 2 --set train.epochs=2",
            _ => SMALL,
        };
        mused(&folder, &format!("train {asked} --out {run} {small}")).success();
        let config = Run::open(path(run)).unwrap().ridge().unwrap().unwrap();
        let config = serde_json::to_value(config.run.config().unwrap()).unwrap();
        let model = &config["model"];
        assert_eq!(
            [&model["family"], &model["subjects"], &model["regions"]],
            [family, subjects, regions],
            "{run}"
        );
        assert_eq!(model["shuffled_brain"], run == "shuffled");
        assert_eq!(model["inputs"], "voxels");
        let [printed, _] = said(&mused(&folder, &format!("evaluate {run}")).success());
        let last = printed.lines().last().unwrap();
        assert!(last.starts_with("The network "), "{run}: {printed}");
    }
    // A regression has none beside it.
    mused(&folder, "train data --out r --model ridge-separate").success();
    assert!(!path("r/ridge").exists());
    let [printed, _] = said(&mused(&folder, "evaluate r").success());
    assert!(!printed.contains("ridge regression"), "{printed}");
}

#[test]
fn one_subject_speaks_for_no_others() {
    let folder = TempDir::new().unwrap();
    mused(&folder, "simulate --subjects 1 --stimuli 120 data").success();
    mused(&folder, &format!("train data --out run {SMALL}")).success();
    let [printed, _] = said(&mused(&folder, "evaluate run").success());
    let last = printed.lines().last().unwrap();
    assert!(
        last.contains("for other stimuli of this one subject, not for other subjects"),
        "{last}"
    );
}

#[test]
fn a_benchmark_holds_its_best_network_against_ridge() {
    let folder = simulated("");
    let path = |name: &str| folder.path().join(name);
    let models = "--models default,no-guidance --seeds 0,1";
    let asked = format!("benchmark data --out b {SMALL} {models}");
    let output = mused(&folder, &asked).success();
    let [printed, told] = said(&output);
    assert!(told.contains("ridge-stacked is added"), "{told}");
    let table = Table::read(path("b/benchmark.tsv")).unwrap();
    let names = table.column("model").unwrap().strings().unwrap();
    assert_eq!(names.len(), 6);
    assert_eq!(names[4..], ["ridge-stacked"; 2]);
    assert!(!path("b/default/seed-0/ridge").exists());
    let lines: Vec<&str> = printed.lines().rev().collect();
    assert!(
        lines[0].ends_with("is the best of 2 networks by these very scores, which flatters it."),
        "{printed}"
    );
    let best = lines[0].split(' ').next().unwrap();
    let verdict = lines[1..3]
        .iter()
        .find(|line| line.starts_with(best))
        .unwrap();
    assert!(verdict.contains(" ridge-stacked"), "{printed}");
    assert!(verdict.contains("means over 2 seeds"), "{printed}");

    // Again without it: the runs are the same.
    let again = format!("{asked} --set train.ridge=false");
    let [printed, told] = said(&mused(&folder, &again).success());
    assert!(
        !told.contains("steps in") && !printed.contains("best of"),
        "{told}{printed}"
    );
}

#[test]
fn scores_of_the_version_before_open() {
    let folder = simulated("");
    let path = folder.path().join("run/results.json");
    let train = format!("train data --out run {SMALL} --set train.ridge=false");
    mused(&folder, &train).success();
    mused(&folder, "evaluate run").success();
    let mut results = json(&path);
    results["schema"] = "mused-results/3".into();
    results.as_object_mut().unwrap().remove("ridge");
    fs::write(&path, results.to_string()).unwrap();
    let opened = Run::open(folder.path().join("run")).unwrap();
    let opened = opened.results().unwrap().unwrap();
    assert_eq!(opened.ridge, None);
    mused(&folder, "report run").success();
    assert_eq!(json(&path)["schema"], "mused-results/3");
}

/// One number a region: the regions of an atlas are the same in all.
#[test]
fn in_a_space_of_all_one_regression_learns_from_everybody() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    mused(
        &folder,
        "simulate --kind volume --spaces common --subjects 2 --stimuli 60 --voxels 200 volume",
    )
    .success();
    let volume = Dataset::open(path("volume")).unwrap();
    let labels = mused::data::Labels::clone(&volume.labels);
    let mut atlas = Dataset::builder("atlas", volume.stimuli.to_vec(), labels);
    for subject in &volume.subjects {
        let mut responses = ndarray::Array2::zeros((subject.trials.len(), 2));
        let mut row = vec![0.0; subject.voxels.len()];
        for (trial, mut regions) in responses.outer_iter_mut().enumerate() {
            subject.read_response(trial, &mut row).unwrap();
            let (front, back) = row.split_at(row.len() / 2);
            regions.assign(&ndarray::arr1(
                &[front, back].map(|half| half.iter().sum::<f32>()),
            ));
        }
        let regions = mused::data::Voxel::in_regions(["front", "back"]);
        atlas
            .subject(&subject.id, subject.trials.to_vec(), regions, responses)
            .unwrap();
    }
    let atlas = atlas.build().unwrap();
    let config = Config::default().set("train.epochs=1").unwrap();
    let run = mused::train(&atlas, config.set("model.dim=16").unwrap(), path("run")).unwrap();
    let ridge = run.ridge().unwrap().unwrap();
    assert_eq!(ridge.name(), "one ridge regression for all subjects");
    assert!(ridge.run.is_complete());
}
