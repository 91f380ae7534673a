//! Several models on one dataset: complete runs are kept, failures are rows, other settings are refused.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod program;

use std::fs;

use mused::formats::table::Table;
use mused::run::MODELS;
use program::mused;
use tempfile::TempDir;

const SMALL: &str = "--out b --folds 2 --set train.epochs=1 --set model.dim=8 --set model.heads=2";

fn simulated() -> TempDir {
    let folder = TempDir::new().unwrap();
    mused(
        &folder,
        "simulate --spaces common --subjects 2 --stimuli 40 --seed 1 data",
    )
    .success();
    folder
}

fn column(folder: &TempDir, name: &str) -> Vec<String> {
    let table = Table::read(folder.path().join("b/benchmark.tsv")).unwrap();
    let cells = table.column(name).unwrap().strings().unwrap();
    cells.into_iter().map(str::to_owned).collect()
}

#[test]
fn every_model_trains_and_what_is_complete_is_kept() {
    let folder = simulated();
    let all = format!("benchmark data {SMALL} --seeds 0");
    let output = mused(&folder, &all).success().get_output().stdout.clone();
    let printed = String::from_utf8(output).unwrap();
    assert_eq!(column(&folder, "model").len(), MODELS.len());
    for model in MODELS {
        assert!(printed.contains(model.name), "{printed}");
        let results = folder
            .path()
            .join(format!("b/{}/seed-0/results.json", model.name));
        assert!(results.is_file(), "{}", model.name);
    }
    let predictions = folder.path().join("b/clip-mused/seed-0/predictions.npy");
    let made = fs::metadata(&predictions).unwrap().modified().unwrap();
    // As a process leaves it that is killed when all is done.
    let lock = folder.path().join("b/clip-mused/seed-0/.lock");
    fs::write(&lock, "process 1").unwrap();
    let more = format!("benchmark data {SMALL} --seeds 0,1 --models clip-mused,mlp-separate");
    mused(&folder, &more).success();
    assert!(!lock.exists());
    assert_eq!(
        fs::metadata(&predictions).unwrap().modified().unwrap(),
        made
    );
    // Ridge regression is added where there are networks alone.
    let models = column(&folder, "model");
    assert_eq!(models[4..], ["ridge-stacked"; 2], "{models:?}");
    assert_eq!(column(&folder, "seed"), ["0", "1", "0", "1", "0", "1"]);

    // A model a subject reads its own subject.
    mused(&folder, "predict b/mlp-separate/seed-0 data --out p.npy").success();
}

#[test]
fn failures_are_rows_and_other_settings_are_refused() {
    let folder = simulated();
    let models = "--models mlp-separate,mlp-shared --seeds 0 --set train.ridge=false";
    let held_out = format!("benchmark data {SMALL} {models} --set split.holdout_subject=sub-01");
    mused(&folder, &held_out).code(1);
    assert!(
        !folder.path().join("b").exists(),
        "refused before anything is trained"
    );

    let diverging = format!(
        "benchmark data {SMALL} {models} --set train.epochs=4 --set train.learning_rate=1e36"
    );
    mused(&folder, &diverging).code(1);
    let failures = column(&folder, "failure");
    assert!(
        failures
            .iter()
            .all(|f| f.contains("try a lower train.learning_rate")),
        "{failures:?}"
    );

    let other = format!("benchmark data {SMALL} {models} --set train.learning_rate=1e-3");
    let output = mused(&folder, &other).code(1).get_output().stderr.clone();
    let message = String::from_utf8(output).unwrap();
    assert!(message.contains("other settings"), "{message}");
    mused(&folder, &format!("benchmark data {SMALL} --models forest")).code(1);
}

#[test]
fn settings_are_chosen_by_validation_a_fold_at_a_time() {
    let folder = simulated();
    let models = "--models mlp-shared,ridge-pooled --variant slow:model.family=mlp,model.subjects=shared,train.learning_rate=1e-9";
    let chosen = format!("benchmark data {SMALL} {models} --seeds 0 --budget 3");
    let output = mused(&folder, &chosen)
        .success()
        .get_output()
        .stdout
        .clone();
    let printed = String::from_utf8(output).unwrap();
    assert!(printed.contains("minus mlp-shared"), "{printed}");
    let run = folder.path().join("b/mlp-shared/seed-0");
    let table = Table::read(run.join("chosen.tsv")).unwrap();
    let candidates = table.column("candidate").unwrap().parse::<usize>().unwrap();
    assert_eq!(candidates.len(), 2);
    let row = |row: &str, name: &str| {
        let path = run.join(row).join(name);
        fs::read(&path).unwrap_or_else(|_| panic!("{}", path.display()))
    };
    for (fold, candidate) in candidates.into_iter().enumerate() {
        let best = |candidate: usize| -> f64 {
            let journal =
                fs::read_to_string(run.join(format!("candidates/{candidate}/metrics.jsonl")))
                    .unwrap();
            let records = journal
                .lines()
                .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
            let own = records.filter(|record| record["fold"] == fold);
            own.map(|record| record["validation"]["average_precision"].as_f64().unwrap())
                .fold(0.0, f64::max)
        };
        assert!((0..3).all(|other| best(other) <= best(candidate)));
        let model = format!("checkpoints/fold-{fold}");
        let from = format!("candidates/{candidate}/{model}");
        for file in ["predictions.npy", "model.safetensors"] {
            assert_eq!(row(&model, file), row(&from, file));
        }
    }
    // It is a run like any other.
    mused(&folder, "predict b/mlp-shared/seed-0 data --out p.npy").success();
    mused(&folder, "audit b/mlp-shared/seed-0").success();
    let differences = Table::read(folder.path().join("b/differences.tsv")).unwrap();
    let models = differences.column("model").unwrap().strings().unwrap();
    assert_eq!(models, ["ridge-pooled", "ridge-pooled", "slow", "slow"]);

    let fixed = mused(
        &folder,
        &format!("benchmark data {SMALL} --models mlp-shared --seeds 0"),
    );
    let message = String::from_utf8(fixed.code(1).get_output().stderr.clone()).unwrap();
    assert!(message.contains("other settings"), "{message}");
    let unvalidated = format!(
        "{} --set split.validation_fraction=0",
        chosen.replace("--out b", "--out c")
    );
    let message = String::from_utf8(
        mused(&folder, &unvalidated)
            .code(1)
            .get_output()
            .stderr
            .clone(),
    )
    .unwrap();
    assert!(
        message.contains("split.validation_fraction is 0"),
        "{message}"
    );
    for wrong in [
        "x",
        "a/b:train.epochs=2",
        "mlp-shared:train.epochs=2",
        "x:train.epoch=2",
        "x:epochs",
    ] {
        mused(
            &folder,
            &format!("benchmark data {SMALL} --models mlp-shared --variant {wrong}"),
        )
        .code(1);
    }
}
