//! Leaks stop a run unless they are let pass on record; a run's own statistics are checked.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod program;

use std::fs;

use assert_cmd::assert::Assert;
use program::mused;
use serde_json::Value;
use tempfile::TempDir;

fn output(assert: &Assert) -> String {
    let output = assert.get_output();
    String::from_utf8([output.stdout.clone(), output.stderr.clone()].concat()).unwrap()
}

#[test]
fn a_leak_stops_training_unless_it_is_let_pass() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    mused(
        &folder,
        "simulate --spaces common --subjects 2 --stimuli 40 --seed 1 data",
    )
    .success();
    let train = "train data --set train.epochs=1 --set model.dim=8 --folds 2";
    mused(&folder, &format!("{train} --out clean")).success();
    mused(&folder, "audit data --folds 2").success();
    mused(&folder, "audit clean").success();

    // The second subject becomes a copy of the first.
    let files = ["responses.npy", "trials.tsv", "voxels.tsv"];
    for file in files {
        fs::copy(
            path("data/subjects/sub-01").join(file),
            path("data/subjects/sub-02").join(file),
        )
        .unwrap();
    }
    let refused = output(&mused(&folder, &format!("{train} --out run")).code(1));
    assert!(refused.contains("identical-subjects: 1 pairs"), "{refused}");
    assert!(refused.contains("--allow identical-subjects"), "{refused}");
    assert!(!path("run").exists());
    mused(&folder, "audit data").code(1);
    let unknown = output(&mused(&folder, &format!("{train} --out run --allow all")).code(1));
    assert!(unknown.contains("identical-subjects"), "{unknown}");

    mused(
        &folder,
        &format!("{train} --out run --allow identical-subjects"),
    )
    .success();
    let run: Value = serde_json::from_slice(&fs::read(path("run/run.json")).unwrap()).unwrap();
    assert_eq!(run["audit"]["findings"][0]["leak"], "identical-subjects");
    // The dataset is not the one that was trained on.
    let changed = output(&mused(&folder, "audit clean").code(1));
    assert!(changed.contains("another dataset"), "{changed}");
}

#[test]
fn statistics_of_other_samples_are_found() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    mused(
        &folder,
        "simulate --spaces common --subjects 2 --stimuli 40 --seed 1 data",
    )
    .success();
    let train = "train data --set train.epochs=1 --set model.dim=8 --set model.heads=2";
    mused(&folder, &format!("{train} --out run --folds 2")).success();
    // The statistics of the other fold, whose training samples are tested here.
    let inputs = |fold: usize| path(&format!("run/checkpoints/fold-{fold}/inputs.safetensors"));
    fs::copy(inputs(1), inputs(0)).unwrap();
    let refused = mused(&folder, "audit run").code(1);
    let refused = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    assert!(refused.contains("inputs.safetensors"), "{refused}");
    // As trained by something that read them, and kept a record of it.
    fs::remove_file(path("run/checkpoints/fold-0/sha256.tsv")).unwrap();
    let found = output(&mused(&folder, "audit run").code(1));
    assert!(found.contains("statistics: fold-0"), "{found}");
    assert!(!found.contains("fold-1"), "{found}");
}
