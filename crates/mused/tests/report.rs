//! Reports from the command line.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod program;

use std::fs;

use program::mused;
use tempfile::TempDir;

#[test]
fn a_run_becomes_a_page_and_figures() {
    let folder = TempDir::new().unwrap();
    mused(
        &folder,
        "simulate --spaces common --subjects 2 --stimuli 40 --seed 1 data",
    )
    .success();
    let train = "train data --set model.dim=8 --set model.heads=2 --set train.epochs=2";
    mused(&folder, &format!("{train} --out a")).success();
    mused(&folder, &format!("{train} --set train.epochs=1 --out b")).success();
    mused(&folder, "report a").success();
    let page = fs::read_to_string(folder.path().join("a/report.html")).unwrap();
    assert!(page.contains("Simulated data: no brain was measured"));
    assert!(page.contains("There are no pictures: the dataset names no files of its stimuli"));
    assert!(folder.path().join("a/results.json").is_file());

    mused(&folder, "report a b --out both.html --figures figures").success();
    let page = fs::read_to_string(folder.path().join("both.html")).unwrap();
    assert!(page.contains("Runs compared") && page.contains("mused report a b"));
    for file in ["league.svg", "league.png", "league.tsv", "by-label.png"] {
        assert!(folder.path().join("figures").join(file).is_file(), "{file}");
    }
    let refused = mused(&folder, "report data").code(1);
    let message = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    assert!(message.contains("expected a run directory"), "{message}");
    mused(&folder, "report").code(2);
}
