//! Regions as principal components, from training to prediction.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod program;

use std::fs;

use mused::formats::npy::read_npy_f32;
use program::mused;
use tempfile::TempDir;

const SMALL: &str = "--set train.epochs=2 --set model.dim=16 --set model.roi_components=5";

#[test]
fn a_run_on_components_predicts_what_it_tested_and_others_are_refused() {
    let folder = TempDir::new().unwrap();
    let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
    mused(
        &folder,
        "simulate --spaces common --subjects 2 --stimuli 40 --seed 1 data",
    )
    .success();
    for (run, threads) in [("a", 1), ("b", 2)] {
        let args = format!("train data --out {run} {SMALL} --threads {threads}");
        mused(&folder, &args).success();
    }
    assert_eq!(read("a/predictions.npy"), read("b/predictions.npy"));
    mused(&folder, "predict a data --out p.npy").success();
    let all = read_npy_f32(folder.path().join("p.npy")).unwrap();
    let tested = read_npy_f32(folder.path().join("a/predictions.npy")).unwrap();
    let table = |name: &str| String::from_utf8(read(name)).unwrap();
    let (rows, tests) = (table("p.tsv"), table("a/trials.tsv"));
    for (test, row) in tests.lines().skip(1).enumerate() {
        let (_, wanted) = row.split_once('\t').unwrap();
        let place = rows.lines().skip(1).position(|row| row == wanted).unwrap();
        for label in 0..tested.shape()[1] {
            let difference = all[[place, label]] - tested[[test, label]];
            assert!(difference.abs() < 1e-5);
        }
    }

    mused(
        &folder,
        "simulate --spaces common --subjects 2 --stimuli 40 --seed 1 --kind volume volumes",
    )
    .success();
    let args = format!("train volumes --out refused {SMALL}");
    let refused = mused(&folder, &args).failure().get_output().stderr.clone();
    let refused = String::from_utf8(refused).unwrap();
    let expected = "model.roi_components is for regions of voxels and must be 0 for patches";
    assert!(refused.contains(expected), "{refused}");
}
