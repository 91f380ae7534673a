//! `mused explain` as a command: what it prints, writes and refuses.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod program;

use std::fs;

use mused::formats::nifti::read_nifti;
use mused::formats::npy::read_npy_f32;
use mused::formats::table::Table;
use program::mused;
use tempfile::TempDir;

#[test]
fn a_run_is_explained_and_its_importance_becomes_an_image() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    mused(
        &folder,
        "simulate --spaces common --subjects 2 --stimuli 40 --seed 1 data",
    )
    .success();
    let train = "train data --out run --set train.epochs=2 --set model.dim=16 --set split.folds=2";
    mused(&folder, train).success();

    let message = |args: &str| {
        let refused = mused(&folder, args).code(1).get_output().stderr.clone();
        String::from_utf8(refused).unwrap()
    };
    let refused = message("explain run --fold 2");
    assert!(refused.contains("expected --fold below 2"), "{refused}");
    assert!(message("explain data").contains("expected a run directory"));
    assert!(!path("run/explain").exists());

    let done = mused(&folder, "explain run --fold 1").success();
    let text = String::from_utf8(done.get_output().stdout.clone()).unwrap();
    assert!(text.contains("the largest 5 of 12"), "{text}");
    assert!(text.contains("high-level token"), "{text}");
    assert!(text.contains("mused map "), "{text}");
    for file in ["explain.json", "tokens.tsv", "tokens_low.npy", "rdms.tsv"] {
        assert!(path("run/explain").join(file).is_file(), "{file}");
    }
    let table = Table::read(path("run/explain/occlusion.tsv")).unwrap();
    assert_eq!(table.rows(), 12 * (1 + 2));
    let folds: Vec<usize> = Table::read(path("run/explain/tokens.tsv"))
        .unwrap()
        .column("fold")
        .unwrap()
        .parse()
        .unwrap();
    assert!(folds.iter().all(|fold| *fold == 1));

    let values = "run/explain/importance/sub-01.npy";
    let map = format!("map data --subject sub-01 --values {values} --out map.nii.gz");
    mused(&folder, &map).success();
    let (_, image) = read_nifti(path("map.nii.gz")).unwrap();
    let values = read_npy_f32(path(values)).unwrap();
    let largest = |values: &mut dyn Iterator<Item = f32>| values.fold(f32::MIN, f32::max);
    assert_eq!(
        largest(&mut image.iter().copied()),
        largest(&mut values.iter().copied())
    );

    // A description that was never finished is a run that was interrupted.
    let description = fs::read_to_string(path("run/run.json")).unwrap();
    let start = description.find(",\n  \"finished\"").unwrap();
    let unfinished = format!("{}\n}}", &description[..start]);
    fs::write(path("run/run.json"), unfinished).unwrap();
    assert!(message("explain run").contains("--resume"));
    // What was there is still there.
    assert!(path("run/explain/rdms.tsv").is_file());
}
