//! The binary from simulation to results: exit codes, refusals, the same bits every time.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use mused::formats::npy;
use mused::formats::table::Table;
use serde_json::Value;
use tempfile::TempDir;

const SMALL: [&str; 4] = ["--set", "train.epochs=2", "--set", "model.dim=16"];

/// A folder with a simulated dataset, `data`.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self {
            folder: TempDir::new().unwrap(),
        };
        bench.simulate(2, "data");
        bench
    }

    fn simulate(&self, subjects: usize, out: &str) {
        let subjects = subjects.to_string();
        self.mused(&["simulate", "--spaces", "common", "--stimuli", "60"])
            .args(["--subjects", &subjects])
            .args(["--seed", "1", out])
            .assert()
            .success();
    }

    fn mused(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mused"));
        command.current_dir(self.folder.path()).args(args);
        command
    }

    /// `mused train data --out RUN` with small settings.
    fn train(&self, run: &str, more: &[&str]) -> Assert {
        self.mused(&["train", "data", "--out", run])
            .args(SMALL)
            .args(more)
            .assert()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn predictions(&self, run: &str) -> Vec<u8> {
        fs::read(self.path(run).join("predictions.npy")).unwrap()
    }
}

/// Ended with exit code `code` and said all of `words` on stderr.
fn says(assert: Assert, code: i32, words: &[&str]) {
    let output = assert.code(code).get_output().stderr.clone();
    let message = String::from_utf8(output).unwrap();
    for word in words {
        assert!(message.contains(word), "{word:?} is not in: {message}");
    }
}

/// Every file below a folder with its bytes, in order.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let bytes = fs::read(&path).unwrap();
            found.push((path, bytes));
        }
    }
    found.sort();
    found
}

fn column(table: &Path, name: &str) -> Vec<String> {
    let table = Table::read(table).unwrap();
    let cells = table.column(name).unwrap().strings().unwrap();
    cells.into_iter().map(str::to_owned).collect()
}

#[test]
fn train_evaluate_predict() {
    let bench = Bench::new();
    bench.train("run", &["--folds", "2"]).success();
    let trials = bench.path("run/trials.tsv");
    assert_eq!(column(&trials, "subject").len(), 2 * 60);

    let evaluated = bench.mused(&["evaluate", "run", "--json"]).assert();
    let printed = evaluated.success().get_output().stdout.clone();
    let results: Value = serde_json::from_slice(&printed).unwrap();
    let written = fs::read(bench.path("run/results.json")).unwrap();
    assert_eq!(results, serde_json::from_slice::<Value>(&written).unwrap());
    assert_eq!(results["schema"], "mused-results/5");
    for metric in ["average_precision", "roc_auc", "hamming_loss"] {
        let scores = &results["macro"][metric];
        assert!(scores["mean"].is_f64() && scores["sd"].is_f64(), "{metric}");
        assert!(scores["per_subject"]["sub-01"].is_f64(), "{metric}");
        assert!(scores["per_subject"]["sub-02"].is_f64(), "{metric}");
    }
    let names = column(&bench.path("data/labels.tsv"), "label");
    let labels = results["labels"].as_array().unwrap();
    assert_eq!(labels.len(), names.len());
    for (label, name) in labels.iter().zip(&names) {
        assert_eq!(label["name"], name.as_str());
        assert!(label["prevalence"].is_f64() && label["positives"].is_u64());
        let label = label.as_object().unwrap();
        assert!(label.contains_key("average_precision") && label.contains_key("roc_auc"));
    }
    assert!(results["floors"]["average_precision"].is_f64());
    assert!(results["floors"]["hamming_loss"].is_f64());
    assert_eq!(results["subjects"]["sub-02"]["samples"], 60);

    let predict = ["predict", "run", "data", "--out", "all.npy"];
    bench.mused(&predict).assert().success();
    let probabilities = npy::read_npy_f32(bench.path("all.npy")).unwrap();
    assert_eq!(probabilities.shape(), [2 * 60, names.len()]);
    assert!(probabilities.iter().all(|p| (0.0..=1.0).contains(p)));
    assert_eq!(column(&bench.path("all.tsv"), "subject").len(), 2 * 60);
    says(
        bench.mused(&predict).assert(),
        1,
        &["all.npy", "already exists"],
    );
}

/// What is measured of a subject stands beside it, where somebody has it.
#[test]
fn the_table_of_subjects_has_repeatability_and_motion() {
    let bench = Bench::new();
    let info = |arguments: &str| {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let done = bench.mused(&arguments).assert().success();
        String::from_utf8(done.get_output().stdout.clone()).unwrap()
    };
    let head = |text: &str| {
        let mut lines = text
            .lines()
            .skip_while(|line| !line.starts_with("subject "));
        let mut next = || lines.next().unwrap().to_owned();
        (next(), next(), next())
    };
    info("simulate --subjects 2 --stimuli 40 --repeats 1 --seed 1 once");
    let (names, ..) = head(&info("info once"));
    assert!(names.trim_end().ends_with("MB"), "{names}");

    info("simulate --subjects 2 --stimuli 40 --repeats 2 --seed 1 repeated");
    let moved = "session\trun\tmean\tlargest\n1\t1\t0.125\t0.5\n";
    fs::write(bench.path("repeated/subjects/sub-02/motion.tsv"), moved).unwrap();
    let (names, first, second) = head(&info("info repeated"));
    assert!(names.ends_with("repeatability   motion (mm)"), "{names}");
    assert!(first.ends_with('–') && first.contains(" 0."), "{first}");
    assert!(second.ends_with("0.125"), "{second}");
}

#[test]
fn the_same_seed_gives_the_same_bits_on_any_number_of_threads() {
    let bench = Bench::new();
    let run = |name: &str, seed: &str, threads: &str| {
        let args = ["--folds", "2", "--seed", seed, "--threads", threads];
        bench.train(name, &args).success();
        bench.predictions(name)
    };
    let first = run("first", "3", "1");
    assert!(first == run("again", "3", "1"), "not repeatable");
    assert!(first == run("two", "3", "2"), "depends on threads");
    assert!(first == run("three", "3", "3"), "depends on threads");
    assert!(first != run("other", "4", "1"), "does not depend on seed");
}

#[test]
fn an_existing_run_is_refused_and_left_as_it_was() {
    let bench = Bench::new();
    bench.train("run", &[]).success();
    let before = files(&bench.path("run"));
    let refused = bench.train("run", &["--seed", "9"]);
    says(refused, 1, &["run already exists", "--resume"]);
    assert!(before == files(&bench.path("run")), "the run was changed");

    fs::create_dir(bench.path("notes")).unwrap();
    fs::write(bench.path("notes/mine.txt"), "mine").unwrap();
    says(bench.train("notes", &[]), 1, &["notes already exists"]);
    assert_eq!(files(&bench.path("notes")).len(), 1);
}

#[test]
fn unknown_keys_name_the_nearest() {
    let bench = Bench::new();
    let refused = bench.train("run", &["--set", "train.epoch=3"]);
    says(refused, 1, &["train.epoch ", "did you mean train.epochs?"]);
    fs::write(bench.path("wrong.toml"), "[model]\ndims = 8\n").unwrap();
    let refused = bench.train("run", &["--config", "wrong.toml"]);
    says(refused, 1, &["wrong.toml", "did you mean model.dim?"]);
    assert!(!bench.path("run").exists(), "a refused run left a folder");
}

#[test]
fn wrong_usage_ends_with_2() {
    let bench = Bench::new();
    for args in [
        &["train", "data"][..],
        &["train", "data", "--out", "run", "--threads", "0"],
        &["evaluate"],
        &["evaluate", "run", "--undefined", "sometimes"],
        &["predict", "run", "data"],
        &["simulate", "--kind", "sphere", "out"],
        &["decode"],
    ] {
        bench.mused(args).assert().code(2);
    }
    bench.mused(&["--help"]).assert().code(0);
}

#[test]
fn an_unknown_subject_cannot_be_predicted() {
    let bench = Bench::new();
    bench.train("run", &[]).success();
    bench.simulate(3, "three");
    let predict = ["predict", "run", "three", "--out", "three.npy"];
    let words = ["unknown subject", "sub-03", "sub-01, sub-02"];
    says(bench.mused(&predict).assert(), 1, &words);
    assert!(!bench.path("three.npy").exists() && !bench.path("three.tsv").exists());
}

#[test]
fn a_run_that_is_not_there_or_not_finished_is_not_scored() {
    let bench = Bench::new();
    let evaluate = |run: &str| bench.mused(&["evaluate", run]).assert();
    says(evaluate("none"), 1, &["none", "nothing at this path"]);
    assert!(!bench.path("none").exists());
    bench.train("run", &[]).success();
    fs::remove_file(bench.path("run/predictions.npy")).unwrap();
    says(evaluate("run"), 1, &["predictions.npy", "--resume"]);
    assert!(!bench.path("run/results.json").exists());
    // Resuming completes it.
    bench
        .mused(&["train", "data", "--out", "run", "--resume"])
        .assert()
        .success();
    evaluate("run").success();
    let nothing = ["train", "data", "--out", "none", "--resume"];
    says(bench.mused(&nothing).assert(), 1, &["nothing at this path"]);
}

#[test]
fn a_held_out_subject_is_the_only_one_tested() {
    let bench = Bench::new();
    bench
        .train(
            "run",
            &[
                "--holdout-subject",
                "sub-02",
                "--set",
                "model.inputs=voxels",
            ],
        )
        .success();
    let subjects = column(&bench.path("run/trials.tsv"), "subject");
    assert!(!subjects.is_empty());
    assert!(subjects.iter().all(|subject| subject == "sub-02"));
    let run: Value =
        serde_json::from_slice(&fs::read(bench.path("run/run.json")).unwrap()).unwrap();
    assert_eq!(run["subjects"], serde_json::json!(["sub-01"]));
    let refused = bench.train("other", &["--holdout-subject", "sub-09"]);
    says(refused, 1, &["unknown subject", "sub-09", "sub-01, sub-02"]);
}

#[cfg(unix)]
mod interrupted {
    use std::process::{self, Child, Stdio};
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    use super::*;

    const LONG: [&str; 6] = [
        "--set",
        "train.epochs=400",
        "--set",
        "model.dim=16",
        "--folds",
        "2",
    ];
    const PATIENCE: Duration = Duration::from_secs(120);

    fn start(bench: &Bench, more: &[&str]) -> Child {
        process::Command::new(env!("CARGO_BIN_EXE_mused"))
            .current_dir(bench.folder.path())
            .args(["train", "data", "--out", "run", "--threads", "2"])
            .args(more)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn epochs(bench: &Bench) -> usize {
        fs::read_to_string(bench.path("run/metrics.jsonl"))
            .map_or(0, |text| text.matches('\n').count())
    }

    /// Waits for the process to have written more than `before` epochs, then signals it.
    fn signal_after(bench: &Bench, child: &Child, before: usize, signal: &str) {
        let deadline = Instant::now() + PATIENCE;
        while epochs(bench) <= before {
            assert!(Instant::now() < deadline, "no epoch in {PATIENCE:?}");
            sleep(Duration::from_millis(2));
        }
        let pid = child.id().to_string();
        let sent = process::Command::new("kill").args([signal, &pid]).status();
        assert!(sent.unwrap().success());
    }

    #[test]
    fn a_killed_and_interrupted_run_resumes_to_the_same_bits() {
        use std::os::unix::process::ExitStatusExt as _;

        let bench = Bench::new();
        bench
            .mused(&["train", "data", "--out", "whole", "--threads", "1"])
            .args(LONG)
            .assert()
            .success();

        // Killed before it saved any state, it starts over.
        let mut child = start(&bench, &LONG);
        signal_after(&bench, &child, 0, "-KILL");
        assert_eq!(child.wait().unwrap().signal(), Some(9));

        let done = epochs(&bench);
        let mut child = start(&bench, &["--resume"]);
        signal_after(&bench, &child, done, "-INT");
        assert_eq!(child.wait().unwrap().code(), Some(130));
        let states = [0, 1]
            .map(|fold| bench.path(&format!("run/checkpoints/fold-{fold}/state.safetensors")));
        assert!(states.iter().any(|s| s.is_file()), "Ctrl-C saved no state");
        assert!(!bench.path("run/predictions.npy").exists());
        let predict = ["predict", "run", "data", "--out", "early.npy"];
        says(
            bench.mused(&predict).assert(),
            1,
            &["expected a complete run"],
        );

        let done = epochs(&bench);
        let mut child = start(&bench, &["--resume"]);
        signal_after(&bench, &child, done, "-KILL");
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        assert!(!bench.path("run/predictions.npy").exists());

        assert!(start(&bench, &["--resume"]).wait().unwrap().success());
        let (resumed, whole) = (bench.predictions("run"), bench.predictions("whole"));
        assert!(resumed == whole, "resuming changed the predictions");
        assert_eq!(epochs(&bench), 2 * 400, "an epoch is recorded twice or not");
        let left = states.iter().any(|state| state.exists());
        assert!(!left, "the state of a complete fold is left");
    }
}

/// A device that is not here, or that the build does not reach, and one that is.
#[test]
fn networks_run_on_devices_that_are_here() {
    let bench = Bench::new();
    let listed = bench.mused(&["devices"]).assert().success();
    let listed = String::from_utf8(listed.get_output().stdout.clone()).unwrap();
    assert!(listed.contains("processors (cpu)"), "{listed}");
    if cfg!(not(any(feature = "gpu", feature = "cuda"))) {
        let refused = bench.train("run", &["--device", "cuda"]).failure().code(1);
        let said = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
        for part in ["--device cuda", "processors (cpu)", "--features cuda"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(!bench.path("run").exists());
    }
    bench.train("run", &["--device", "gpu"]).failure().code(2);
    bench.train("run", &["--device", "cpu"]).success();
}

/// What nobody foresaw: a sentence and exit code 1, not an abort.
#[cfg(target_os = "linux")]
#[test]
fn where_there_is_no_memory_left_it_is_said() {
    let bench = Bench::new();
    let features = bench.path("data/features/wide");
    fs::create_dir(&features).unwrap();
    fs::write(
        features.join("feature.json"),
        r#"{"level": "high", "description": "wide"}"#,
    )
    .unwrap();
    // 300 MB that take no place on the disk.
    let mut header = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    let shape = "{'descr': '<f4', 'fortran_order': False, 'shape': (60, 1250000), }";
    header.extend(format!("{shape:117}\n").bytes());
    fs::write(features.join("features.npy"), header).unwrap();
    let file = fs::File::options()
        .write(true)
        .open(features.join("features.npy"));
    file.unwrap().set_len(128 + 4 * 60 * 1_250_000).unwrap();
    let limited = format!(
        "ulimit -v 600000; exec {} rdm data --features wide --out r.npy",
        env!("CARGO_BIN_EXE_mused")
    );
    let mut shell = Command::new("sh");
    let shell = shell.env("RAYON_NUM_THREADS", "1").args(["-c", &limited]);
    let ended = shell.current_dir(bench.folder.path()).assert().code(1);
    let message = String::from_utf8(ended.get_output().stderr.clone()).unwrap();
    assert!(
        message.contains("MB more memory were needed than the system gives this process"),
        "{message}"
    );
}
