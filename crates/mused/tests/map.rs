//! `mused import hcp` and `mused map` as commands: what they print and how they end.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use assert_cmd::Command;
use mused::formats::nifti::read_nifti;
use tempfile::TempDir;

#[test]
fn movie_runs_become_a_dataset_and_its_mean_an_image() {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("../mused-data/tests/files/hcp");
    let folder = TempDir::new().unwrap();
    let mused = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mused"));
        command.current_dir(folder.path()).args(args);
        command
    };
    let root = files.to_str().unwrap();
    let import = mused(&["import", "hcp", root, "data", "--variant", "hp2000_clean"])
        .args(["--subjects", "100610", "--scale", "zscore"])
        .assert()
        .success();
    let text = String::from_utf8_lossy(&import.get_output().stdout).into_owned();
    assert!(
        text.contains("100610: 4 runs, 2736 trials, 9 voxels"),
        "{text}"
    );
    assert!(text.contains("3 labels"), "{text}");

    let map = ["map", "data", "--subject", "100610", "--out", "map.nii.gz"];
    mused(&map).args(["--quantity", "mean"]).assert().success();
    let (_, found) = read_nifti(folder.path().join("map.nii.gz")).unwrap();
    let (_, expected) = read_nifti(files.join("mean.nii.gz")).unwrap();
    assert!(
        found
            .iter()
            .zip(&expected)
            .all(|(a, b)| (a - b).abs() < 1e-7)
    );

    mused(&map).assert().code(2);
    mused(&map)
        .args(["--quantity", "repeatability"])
        .assert()
        .code(1);
    let roi = mused(&map).args(["--quantity", "roi"]).assert().success();
    assert_eq!(roi.get_output().stdout, b"1\tbrain\n");
}
