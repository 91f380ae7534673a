//! Models that read aligned inputs, from training to the report.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod program;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use mused::data::Dataset;
use mused::formats::npy::read_npy_f32;
use mused::{Config, Error, Layers, Progress, Training};
use program::mused;
use serde_json::Value;
use tempfile::TempDir;

const SIMULATE: &str =
    "simulate --subjects 3 --stimuli 50 --labels 3 --voxels 120 --repeats 1 --seed 1";
const SMALL: &str = "--set train.epochs=3 --set model.dim=16";

/// A folder with a dataset `data` whose subjects have voxels of their own.
fn simulated() -> TempDir {
    let folder = TempDir::new().unwrap();
    mused(&folder, &format!("{SIMULATE} data")).success();
    folder
}

fn inputs(folder: &TempDir, run: &str) -> Value {
    let record = fs::read(folder.path().join(run).join("run.json")).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    record["resolved"]["inputs"].clone()
}

fn refusal(folder: &TempDir, arguments: &str) -> String {
    let output = mused(folder, arguments).code(1).get_output().stderr.clone();
    String::from_utf8(output).unwrap()
}

#[test]
fn a_run_with_defaults_says_what_it_read_and_serves_every_verb() {
    let folder = simulated();
    mused(&folder, &format!("train data --out run {SMALL}")).success();
    let read = inputs(&folder, "run");
    assert_eq!(read["arrangement"], "aligned");
    assert_eq!(read["aligned"]["onto"], "guidance+labels");
    let because = read["aligned"]["because"].as_str().unwrap();
    assert!(because.contains("voxel spaces of their own"), "{because}");
    assert!(because.contains("has guidance features"), "{because}");
    for verb in [
        "evaluate run",
        "explain run",
        "audit run",
        "report run --out page.html",
        "predict run data --out p.npy",
    ] {
        mused(&folder, verb).success();
    }
    let page = fs::read_to_string(folder.path().join("page.html")).unwrap();
    assert!(page.contains("mapped by ridge regression"));
    // What was tested, predicted again.
    let table = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let values = |name: &str| read_npy_f32(folder.path().join(name)).unwrap();
    let (all, tested) = (values("p.npy"), values("run/predictions.npy"));
    let rows = table("p.tsv");
    for (test, row) in table("run/trials.tsv").lines().skip(1).enumerate() {
        let (_, wanted) = row.split_once('\t').unwrap();
        let place = rows.lines().skip(1).position(|row| row == wanted).unwrap();
        for label in 0..tested.shape()[1] {
            assert!((all[[place, label]] - tested[[test, label]]).abs() < 1e-6);
        }
    }

    fs::remove_dir_all(folder.path().join("data/features")).unwrap();
    mused(&folder, &format!("train data --out labels {SMALL}")).success();
    let read = inputs(&folder, "labels");
    assert_eq!(read["aligned"]["onto"], "labels");
    let because = read["aligned"]["because"].as_str().unwrap();
    assert!(because.contains("has no guidance features"), "{because}");
    let asked = format!("train data --out none {SMALL} --set model.inputs=guidance");
    let message = refusal(&folder, &asked);
    assert!(message.contains("no feature set guides"), "{message}");
}

#[test]
fn what_needs_no_alignment_reads_voxels() {
    let folder = simulated();
    let volume = format!("{SIMULATE} --kind volume --spaces common volume");
    mused(&folder, &volume).success();
    for (run, asked, arrangement) in [
        ("published", "data --preset clip-mused", "regions"),
        ("named", "data --model clip-mused", "regions"),
        ("alone", "data --model transformer-separate", "regions"),
        ("common", "volume --set model.tokenizer=patches", "patches"),
        ("voxels", "volume --set model.inputs=voxels", "patches"),
    ] {
        mused(&folder, &format!("train {asked} --out {run} {SMALL}")).success();
        let read = inputs(&folder, run);
        assert_eq!(read["arrangement"], arrangement, "{run}");
        assert!(read["aligned"].is_null(), "{run}");
    }
    mused(&folder, &format!("train volume --out regions {SMALL}")).success();
    assert_eq!(inputs(&folder, "regions")["arrangement"], "aligned");
    let asked = format!(
        "train volume --out no {SMALL} --set model.tokenizer=patches --set model.inputs=labels"
    );
    let message = refusal(&folder, &asked);
    assert!(
        message.contains("read as a volume, not by regions"),
        "{message}"
    );
}

#[test]
fn a_subject_left_out_is_refused_with_what_works() {
    let folder = simulated();
    for whom in ["sub-01", "each"] {
        let asked = format!("train data --out run {SMALL} --holdout-subject {whom}");
        let message = refusal(&folder, &asked);
        assert!(message.contains("space of each subject's own"), "{message}");
        assert!(message.contains("--model procrustes-ridge"), "{message}");
        assert!(!folder.path().join("run").exists());
    }
    mused(
        &folder,
        "train data --out run --model procrustes-ridge --holdout-subject sub-01",
    )
    .success();
}

/// Lets so many epochs pass.
struct Epochs(AtomicUsize);

impl Progress for Epochs {
    fn step(&self, _model: &str, _losses: &mused::run::EpochLosses) {
        let less = |left: usize| Some(left.saturating_sub(1));
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    fn interrupted(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

#[test]
fn interrupted_training_goes_on_to_the_same_bits() {
    let folder = simulated();
    let dataset = Dataset::open(folder.path().join("data")).unwrap();
    let config = Config::default().folds(2).set("train.epochs=3").unwrap();
    let layers = Layers::of(&config.set("model.dim=16").unwrap()).unwrap();
    let run = |name: &str| folder.path().join(name);
    let training = |threads| Training::new(&dataset).layers(&layers).threads(threads);
    training(2).train(run("whole")).unwrap();
    let few = Epochs(4.into());
    let stopped = training(1).progress(&few).train(run("cut"));
    assert!(matches!(stopped, Err(Error::Interrupted(_))));
    training(1).resume(run("cut")).unwrap();
    for file in [
        "predictions.npy",
        "checkpoints/fold-0/inputs.safetensors",
        "checkpoints/fold-1/model.safetensors",
    ] {
        let bytes = |run: &Path| fs::read(run.join(file)).unwrap();
        assert!(bytes(&run("cut")) == bytes(&run("whole")), "{file}");
    }
}

#[test]
fn a_run_from_before_aligned_inputs_goes_on_reading_voxels() {
    let folder = simulated();
    let train = format!("train data --out run {SMALL} --model clip-mused");
    mused(&folder, &train).success();
    let path = |name: &str| folder.path().join("run").join(name);
    let before = fs::read(path("predictions.npy")).unwrap();
    let text = fs::read_to_string(path("config.toml")).unwrap();
    let kept = text.lines().filter(|line| !line.starts_with("inputs = "));
    fs::write(path("config.toml"), kept.collect::<Vec<_>>().join("\n")).unwrap();
    let mut record: Value = serde_json::from_slice(&fs::read(path("run.json")).unwrap()).unwrap();
    let model = record["config"]["model"].as_object_mut().unwrap();
    model.remove("inputs").unwrap();
    fs::write(path("run.json"), record.to_string()).unwrap();
    // Earlier versions kept no record of their files.
    fs::remove_file(path("sha256.tsv")).unwrap();
    for name in ["predictions.npy", "checkpoints/fold-0/inputs.safetensors"] {
        fs::remove_file(path(name)).unwrap();
    }
    mused(&folder, "train data --out run --resume").success();
    assert!(fs::read(path("predictions.npy")).unwrap() == before);
}
