//! Runs of some subjects of a dataset.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod program;

use std::fs;

use program::mused;
use serde_json::Value;
use tempfile::TempDir;

const TRAIN: &str = "--folds 2 --set train.epochs=2";
const TWO: &str = r#"--set split.subjects=["sub-03","sub-01"]"#;

/// Datasets `all` of four people and `two` of the first and the third of them.
fn simulated() -> TempDir {
    let folder = TempDir::new().unwrap();
    let simulate = "simulate --subjects 4 --stimuli 40 --shared 1 --labels 4 --voxels 100 --repeats 1 --seed 2";
    for name in ["all", "two"] {
        mused(&folder, &format!("{simulate} {name}")).success();
    }
    for other in ["sub-02", "sub-04"] {
        fs::remove_dir_all(folder.path().join("two/subjects").join(other)).unwrap();
    }
    folder
}

fn predictions(folder: &TempDir, run: &str) -> Vec<u8> {
    fs::read(folder.path().join(run).join("predictions.npy")).unwrap()
}

/// What the others saw and had is read by nothing.
#[test]
fn a_run_of_some_subjects_is_one_of_a_dataset_of_them() {
    let folder = simulated();
    for (name, model) in [
        ("default", ""),
        ("ridge", "--model ridge-stacked"),
        ("alone", "--model mlp-separate"),
        (
            "left-out",
            "--holdout-subject each --set split.calibration=all",
        ),
    ] {
        mused(
            &folder,
            &format!("train all --out {name} {TRAIN} {TWO} {model}"),
        )
        .success();
        mused(
            &folder,
            &format!("train two --out {name}-two {TRAIN} {model}"),
        )
        .success();
        let same = predictions(&folder, name) == predictions(&folder, &format!("{name}-two"));
        assert!(same, "{name}");
    }
    let record = fs::read(folder.path().join("default/run.json")).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    assert_eq!(record["subjects"], serde_json::json!(["sub-01", "sub-03"]));
    for verb in [
        "evaluate default",
        "audit default",
        "explain default",
        "report default",
    ] {
        mused(&folder, verb).success();
    }
    let page = fs::read_to_string(folder.path().join("default/report.html")).unwrap();
    assert!(page.contains("Of these subjects 2 were used: sub-01, sub-03."));
    // Somebody else, of whom there are trials, is a new person.
    mused(&folder, "adapt default all --subject sub-02 --out new").success();
}

#[test]
fn a_subject_left_out_may_be_another_one() {
    let folder = simulated();
    let train = format!("train all {TRAIN} {TWO} --set split.calibration=all --out");
    mused(&folder, &format!("{train} other --holdout-subject sub-02")).success();
    mused(&folder, &format!("train all {TRAIN} {TWO} --out source")).success();
    mused(&folder, "adapt source all --subject sub-02 --out adapted").success();
    assert!(predictions(&folder, "other") == predictions(&folder, "adapted"));
}

#[test]
fn subjects_that_are_not_there_are_named() {
    let folder = simulated();
    let refused = |rest: &str| {
        let output = mused(&folder, &format!("train all --out none {rest}")).code(1);
        String::from_utf8(output.get_output().stderr.clone()).unwrap()
    };
    let nobody = refused(r#"--set split.subjects=["sub-09"]"#);
    assert!(
        nobody.contains("sub-09") && nobody.contains("sub-04"),
        "{nobody}"
    );
    let text = refused("--set split.subjects=sub-01");
    assert!(
        text.contains("split.subjects") && text.contains("list of names"),
        "{text}"
    );
    let only = refused(
        r#"--set split.subjects=["sub-01"] --holdout-subject sub-01 --set split.calibration=all"#,
    );
    assert!(only.contains("the only subject is held out"), "{only}");
}
