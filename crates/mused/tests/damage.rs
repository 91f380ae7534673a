//! Damage that nobody sees: flipped bits and zeroed tails of a run's files, files of another run, data changed meanwhile,
//! numbers that overflow. What is used is what was written; anything else says so.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod program;

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use mused::data::Dataset;
use mused::formats::npy::{read_npy_f32, write_npy_f32};
use mused::{Config, Error, Progress, Training};
use program::mused;
use tempfile::TempDir;

const SMALL: &str = "--folds 2 --set train.epochs=2 --set model.dim=16";

fn simulated() -> TempDir {
    let folder = TempDir::new().unwrap();
    mused(
        &folder,
        "simulate --spaces common --subjects 2 --stimuli 60 --seed 1 data",
    )
    .success();
    folder
}

fn trained() -> TempDir {
    let folder = simulated();
    mused(&folder, &format!("train data --out run {SMALL}")).success();
    folder
}

fn refusal(folder: &TempDir, arguments: &str) -> String {
    let output = mused(folder, arguments).code(1).get_output().stderr.clone();
    String::from_utf8(output).unwrap()
}

/// One bit in the last value, or nothing but zeros in the second half.
fn damages(whole: &[u8]) -> [Vec<u8>; 2] {
    let (mut flipped, mut zeroed) = (whole.to_vec(), whole.to_vec());
    let last = flipped.len() - 3;
    flipped[last] ^= 1;
    zeroed[whole.len() / 2..].fill(0);
    [flipped, zeroed]
}

/// Multiplies every response of a subject.
fn scale(path: &Path, factor: f64) {
    let values = read_npy_f32(path).unwrap();
    let scaled = values.mapv(|value| (f64::from(value) * factor) as f32);
    write_npy_f32(path, scaled.view()).unwrap();
}

#[test]
fn damage_to_a_run_is_refused_and_mended_by_resuming() {
    let folder = trained();
    let readers: [(&str, &[&str]); 6] = [
        (
            "checkpoints/fold-0/model.safetensors",
            &["predict run data --out p.npy", "explain run"],
        ),
        (
            "checkpoints/fold-1/inputs.safetensors",
            &["predict run data --out p.npy", "explain run", "audit run"],
        ),
        ("checkpoints/fold-0/predictions.npy", &[]),
        ("predictions.npy", &["evaluate run", "compare run run"]),
        ("targets.npy", &["evaluate run", "compare run run"]),
        ("trials.tsv", &["evaluate run", "explain run"]),
    ];
    for (name, verbs) in readers {
        let path = folder.path().join("run").join(name);
        let whole = fs::read(&path).unwrap();
        for damaged in damages(&whole) {
            fs::write(&path, damaged).unwrap();
            for verb in verbs {
                let message = refusal(&folder, verb);
                assert!(message.contains(name), "{verb}: {message}");
                assert!(message.contains("--resume"), "{verb}: {message}");
            }
            if name == "predictions.npy" {
                mused(&folder, "report run").success();
                let page = fs::read_to_string(folder.path().join("run/report.html")).unwrap();
                assert!(
                    page.contains("predictions.npy: expected the file"),
                    "not said"
                );
            }
            let resumed = mused(&folder, "train data --out run --resume").success();
            if name.starts_with("checkpoints") {
                let said = String::from_utf8(resumed.get_output().stderr.clone()).unwrap();
                assert!(said.contains(name) && said.contains("anew"), "{said}");
            }
            assert!(fs::read(&path).unwrap() == whole, "{name}");
        }
    }
}

#[test]
fn a_model_of_another_fold_or_run_is_refused() {
    let folder = trained();
    let model = |run: &str| folder.path().join(run).join("model.safetensors");
    let (own, other) = (
        model("run/checkpoints/fold-0"),
        model("run/checkpoints/fold-1"),
    );
    let whole = fs::read(&own).unwrap();
    fs::copy(&other, &own).unwrap();
    let message = refusal(&folder, "predict run data --out p.npy");
    assert!(message.contains("fold-0/model.safetensors"), "{message}");

    // Nothing tells where the files of earlier versions belong, but they must fit.
    for table in ["run", "run/checkpoints/fold-0", "run/checkpoints/fold-1"] {
        fs::remove_file(folder.path().join(table).join("sha256.tsv")).unwrap();
    }
    let settings = [
        "--set model.roi_components=3",
        "--model mlp-shared --set model.roi_components=2",
    ];
    for (number, settings) in settings.into_iter().enumerate() {
        let narrow = format!("narrow-{number}");
        mused(
            &folder,
            &format!("train data --out {narrow} --folds 2 --set train.epochs=1 {settings}"),
        )
        .success();
        fs::copy(model(&format!("{narrow}/checkpoints/fold-0")), &own).unwrap();
        for verb in ["predict run data --out p.npy", "explain run"] {
            let message = refusal(&folder, verb);
            assert!(message.contains("fold-0/model.safetensors"), "{message}");
            assert!(message.contains("inputs.safetensors"), "{message}");
        }
    }
    fs::write(&own, whole).unwrap();
    mused(&folder, "predict run data --out p.npy").success();
}

/// Stops after so many steps; keeps what it is told.
#[derive(Default)]
struct Steps {
    left: AtomicUsize,
    notes: Mutex<Vec<String>>,
}

impl Steps {
    fn of(steps: usize) -> Self {
        Self {
            left: steps.into(),
            ..Self::default()
        }
    }
}

impl Progress for Steps {
    fn step(&self, _model: &str, _losses: &mused::run::EpochLosses) {
        let _ = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                Some(left.saturating_sub(1))
            });
    }

    fn note(&self, message: &str) {
        self.notes.lock().unwrap().push(message.to_owned());
    }

    fn interrupted(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }
}

#[test]
fn the_last_sound_state_is_gone_on_from() {
    let folder = simulated();
    let dataset = Dataset::open(folder.path().join("data")).unwrap();
    let mut config = Config::default();
    (config.train.epochs, config.train.batch_size) = (6, 40);
    let layers = mused::Layers::of(&config.set("model.dim=16").unwrap()).unwrap();
    let run = |name: &str| folder.path().join(name);
    let training = Training::new(&dataset).layers(&layers).threads(1);
    training.train(run("whole")).unwrap();
    for (name, damaged) in [("newest", 1), ("both", 2)] {
        let stopped = |result| assert!(matches!(result, Err(Error::Interrupted(_))));
        stopped(training_of(&dataset, &layers, &Steps::of(3)).train(run(name)));
        stopped(training_of(&dataset, &layers, &Steps::of(4)).resume(run(name)));
        let states = ["state.safetensors", "state-before.safetensors"];
        for state in &states[..damaged] {
            let path = run(name).join("checkpoints/fold-0").join(state);
            let whole = fs::read(&path).unwrap();
            let [flipped, zeroed] = damages(&whole);
            fs::write(&path, if damaged == 1 { flipped } else { zeroed }).unwrap();
        }
        let end = Steps::of(usize::MAX);
        training_of(&dataset, &layers, &end)
            .resume(run(name))
            .unwrap();
        let notes = end.notes.into_inner().unwrap();
        assert_eq!(notes.len(), damaged, "{notes:?}");
        assert!(notes[0].contains("state.safetensors"), "{notes:?}");
        for file in ["predictions.npy", "checkpoints/fold-0/model.safetensors"] {
            let bytes = |run: &Path| fs::read(run.join(file)).unwrap();
            assert!(bytes(&run(name)) == bytes(&run("whole")), "{name}: {file}");
        }
        let epochs = |name: &str| {
            let lines = fs::read_to_string(run(name).join("metrics.jsonl")).unwrap();
            lines.lines().count()
        };
        assert_eq!(epochs(name), epochs("whole"), "{name}");
        assert!(
            !run(name)
                .join("checkpoints/fold-0/state-before.safetensors")
                .exists()
        );
    }
}

fn training_of<'a>(
    dataset: &'a Dataset,
    layers: &mused::Layers,
    progress: &'a Steps,
) -> Training<'a> {
    Training::new(dataset)
        .layers(layers)
        .threads(1)
        .progress(progress)
}

#[test]
fn a_benchmark_keeps_no_run_of_other_data() {
    let folder = simulated();
    let benchmark = "benchmark data --out b --folds 2 --models ridge-pooled,prevalence --seeds 0";
    mused(&folder, benchmark).success();
    // Nothing that a run read.
    fs::write(folder.path().join("data/.DS_Store"), "Finder").unwrap();
    mused(&folder, benchmark).success();
    scale(
        &folder.path().join("data/subjects/sub-02/responses.npy"),
        2.0,
    );
    let message = refusal(&folder, &format!("{benchmark},1"));
    assert!(message.contains("ridge-pooled"), "{message}");
    assert!(
        message.contains("responses, trials or voxels of subject sub-02"),
        "{message}"
    );
    assert!(message.contains("another --out"), "{message}");
    // Before anything is trained.
    assert!(!folder.path().join("b/ridge-pooled/seed-1").exists());
}

#[test]
fn numbers_that_overflow_are_not_trained() {
    let folder = simulated();
    let no_validation = "--set split.validation_fraction=0 --set train.epochs=1";
    let last_step = format!(
        "train data --out rate {no_validation} --set train.batch_size=1000 --set train.learning_rate=1e39"
    );
    let message = refusal(&folder, &last_step);
    assert!(
        message.contains("fold-0, step 1") && message.contains("weights"),
        "{message}"
    );
    assert!(
        message.contains("train.learning_rate (now 1e39)"),
        "{message}"
    );
    assert!(!folder.path().join("rate/predictions.npy").exists());
    // Its weights are numbers, what they predict is not.
    let last_step = last_step
        .replace("1e39", "1e36")
        .replace("--out rate", "--out fast");
    let message = refusal(&folder, &last_step);
    assert!(message.contains("predictions of test samples"), "{message}");
    assert!(
        message.contains("train.learning_rate (now 1e36)"),
        "{message}"
    );

    let responses = ["sub-01", "sub-02"].map(|id| {
        folder
            .path()
            .join(format!("data/subjects/{id}/responses.npy"))
    });
    let whole = responses.each_ref().map(|path| fs::read(path).unwrap());
    let scaled = |factor: f64| {
        for (path, whole) in responses.iter().zip(&whole) {
            fs::write(path, whole).unwrap();
            scale(path, factor);
        }
    };
    let small = "--set train.epochs=1 --set model.dim=16";
    scaled(1e30);
    mused(&folder, &format!("train data --out large {small}")).success();
    let values = read_npy_f32(folder.path().join("large/predictions.npy")).unwrap();
    assert!(values.iter().all(|value| value.is_finite()));
    for model in [small, "--model mlp-shared --set train.epochs=1"] {
        let raw = format!(
            "train data --out raw {model} --set model.inputs=voxels --set model.zscore=false"
        );
        let message = refusal(&folder, &raw);
        assert!(message.contains("responses"), "{message}");
        assert!(message.contains("model.zscore"), "{message}");
        fs::remove_dir_all(folder.path().join("raw")).unwrap();
    }
    scaled(1e-13);
    let raw =
        format!("train data --out raw {small} --set model.inputs=voxels --set model.zscore=false");
    assert!(refusal(&folder, &raw).contains("model.zscore"));
    scaled(1e-40);
    let message = refusal(&folder, &format!("train data --out tiny {small}"));
    assert!(
        message.contains("subject sub-0") && message.contains("scale"),
        "{message}"
    );
    scaled(1.0);

    // Features are compared by their angles, dissimilarities by their size.
    let features = folder.path().join("data/features");
    let each = |change: &dyn Fn(&Path)| {
        for entry in fs::read_dir(&features).unwrap() {
            change(&entry.unwrap().path());
        }
    };
    each(&|set| scale(&set.join("features.npy"), 1e30));
    mused(&folder, &format!("train data --out features {small}")).success();
    each(&|set| {
        fs::remove_file(set.join("features.npy")).unwrap();
        let rdm = ndarray::Array2::from_shape_fn((60, 60), |(a, b)| {
            if a == b {
                0.0
            } else {
                1e30 * (1.0 + (a + b) as f32)
            }
        });
        write_npy_f32(set.join("rdm.npy"), rdm.view()).unwrap();
    });
    let message = refusal(&folder, &format!("train data --out rdm {small}"));
    assert!(message.contains("guidance.high"), "{message}");
    assert!(!message.contains("learning_rate"), "{message}");
}

/// Tasks are brought to disk several at a time: a power cut before leaves files in any state, and any of them missing.
#[test]
fn a_task_without_its_record_or_its_journal_is_trained_anew() {
    let folder = trained();
    let at = |name: &str| folder.path().join("run").join(name);
    let read = |name: &str| fs::read(at(name)).unwrap();
    let predictions = "checkpoints/fold-1/predictions.npy";
    let seal = "checkpoints/fold-1/sha256.tsv";
    let (expected, record) = (read(predictions), read(seal));
    let lines = || {
        fs::read_to_string(at("metrics.jsonl"))
            .unwrap()
            .lines()
            .count()
    };
    let (epochs, zeros) = (lines(), |content: &[u8]| vec![0; content.len()]);
    let unfinished = || {
        let text = fs::read_to_string(at("run.json")).unwrap();
        let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
        json["finished"] = serde_json::Value::Null;
        fs::write(at("run.json"), json.to_string()).unwrap();
    };
    let resumed = || {
        unfinished();
        mused(&folder, "train data --out run --resume").success();
        assert!(read(predictions) == expected && read(seal) == record && lines() == epochs);
    };
    for seal_left in [None, Some(zeros(&record)), Some(Vec::new())] {
        fs::write(at(predictions), zeros(&expected)).unwrap();
        match seal_left {
            None => fs::remove_file(at(seal)).unwrap(),
            Some(left) => fs::write(at(seal), left).unwrap(),
        }
        resumed();
    }
    fs::write(at("metrics.jsonl"), zeros(b"of an epoch")).unwrap();
    resumed();
}
