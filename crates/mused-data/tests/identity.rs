//! What tells one dataset from another.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
#[cfg(unix)]
use std::process::Command;

use mused_data::{Dataset, Identity};
use mused_formats::npy::{Dtype, NpyWriter, write_npy_f32, write_npy_u8};
use ndarray::arr2;
use tempfile::TempDir;

/// Two stimuli, one subject, one feature set, every byte fixed.
fn write(root: &Path) {
    for folder in ["subjects/01", "features/clip"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    let json =
        r#"{"format": "mused-dataset/1", "name": "tiny", "kind": "roi", "response": "voxels"}"#;
    let texts = [
        ("dataset.json", json),
        ("stimuli.tsv", "stimulus_id\tgroup\nface\tone\nhouse\ttwo\n"),
        ("labels.tsv", "label\nperson\n"),
        (
            "subjects/01/trials.tsv",
            "stimulus_id\trun\nhouse\t1\nface\t2\n",
        ),
        ("subjects/01/voxels.tsv", "roi\nV1\nV1\nFFA\n"),
        (
            "features/clip/feature.json",
            r#"{"level": "high", "description": "made up"}"#,
        ),
    ];
    for (name, text) in texts {
        fs::write(root.join(name), text).unwrap();
    }
    write_npy_u8(root.join("labels.npy"), arr2(&[[1], [0]]).view()).unwrap();
    let responses = arr2(&[[1.0, -2.0, 0.5], [0.25, 3.0, 4.0]]);
    write_npy_f32(root.join("subjects/01/responses.npy"), responses.view()).unwrap();
    let features = arr2(&[[1.0, 0.0], [0.5, 2.0]]);
    write_npy_f32(root.join("features/clip/features.npy"), features.view()).unwrap();
}

#[test]
fn the_folder_of_an_old_run_is_recognised() {
    let folder = TempDir::new().unwrap();
    write(folder.path());
    // What version 0.1.0 wrote into run.json.
    let recorded = "341b7122abede5d6c41087e26a84b45b0aafb5fabfc7d4597186de17ba0f8934";
    let dataset = Dataset::open(folder.path()).unwrap();
    assert_eq!(dataset.folder_sha256().unwrap().unwrap(), recorded);
}

/// Files that no run reads.
fn clutter(root: &Path) {
    fs::write(root.join(".DS_Store"), "Finder").unwrap();
    fs::create_dir_all(root.join("features/other")).unwrap();
    fs::copy(
        root.join("features/clip/features.npy"),
        root.join("features/other/features.npy"),
    )
    .unwrap();
    let json = r#"{"level": "low", "description": "another"}"#;
    fs::write(root.join("features/other/feature.json"), json).unwrap();
    let json = fs::read_to_string(root.join("dataset.json")).unwrap();
    let licensed = json.replace("\"roi\"", "\"roi\", \"licence\": \"CC0\"");
    fs::write(root.join("dataset.json"), licensed).unwrap();
}

fn identity(root: &Path) -> Identity {
    Dataset::open(root).unwrap().identity(&["clip"]).unwrap()
}

#[test]
fn what_no_run_reads_changes_nothing() {
    let folder = TempDir::new().unwrap();
    write(folder.path());
    let recorded = identity(folder.path());
    assert_eq!(recorded.difference(&recorded), None);
    clutter(folder.path());
    assert_eq!(identity(folder.path()), recorded);
    let json = serde_json::to_string(&recorded).unwrap();
    assert_eq!(serde_json::from_str::<Identity>(&json).unwrap(), recorded);
}

#[test]
fn what_a_run_reads_is_named_where_it_changes() {
    let subject = "the responses, trials or voxels of subject 01";
    let stimuli = "the stimuli, their groups or their published split";
    let text = |name: &'static str, from: &'static str, to: &'static str| {
        move |root: &Path| {
            let text = fs::read_to_string(root.join(name)).unwrap();
            assert!(text.contains(from));
            fs::write(root.join(name), text.replace(from, to)).unwrap();
        }
    };
    let responses = |root: &Path| {
        let array = arr2(&[[1.0, -2.0, 0.5], [0.25, 3.0, 4.5]]);
        write_npy_f32(root.join("subjects/01/responses.npy"), array.view()).unwrap();
    };
    let half = |root: &Path| {
        let path = root.join("subjects/01/responses.npy");
        let mut writer = NpyWriter::create(path, Dtype::F16, 2, 3).unwrap();
        writer.write_row(&[1.0, -2.0, 0.5]).unwrap();
        writer.write_row(&[0.25, 3.0, 4.0]).unwrap();
        writer.finish().unwrap();
    };
    let features = |root: &Path| {
        let array = arr2(&[[1.0, 0.0], [0.5, 2.5]]);
        write_npy_f32(root.join("features/clip/features.npy"), array.view()).unwrap();
    };
    let labelled = |root: &Path| {
        write_npy_u8(root.join("labels.npy"), arr2(&[[1], [1]]).view()).unwrap();
    };
    let gone = |root: &Path| fs::remove_dir_all(root.join("features/clip")).unwrap();
    let renamed = |root: &Path| {
        fs::rename(root.join("subjects/01"), root.join("subjects/02")).unwrap();
    };
    let trials = "subjects/01/trials.tsv";
    let voxels = "subjects/01/voxels.tsv";
    type Change<'a> = &'a dyn Fn(&Path);
    let cases: [(Change<'_>, &str); 12] = [
        (&responses, subject),
        (&half, subject),
        (&text(trials, "face\t2", "face\t1"), subject),
        (
            &text(trials, "house\t1\nface\t2", "face\t2\nhouse\t1"),
            subject,
        ),
        (&text(voxels, "FFA", "PPA"), subject),
        (&text("stimuli.tsv", "two", "one"), stimuli),
        (
            &text("dataset.json", "\"roi\"", "\"volume\""),
            "the kind of the dataset",
        ),
        (&labelled, "the labels"),
        (&text("labels.tsv", "person", "people"), "the labels"),
        (&features, "the values of the feature set clip"),
        (&gone, "the feature set clip is no longer there"),
        (
            &renamed,
            "the subject 01 is no longer there; the subject 02 is new",
        ),
    ];
    for (change, expected) in cases {
        let folder = TempDir::new().unwrap();
        write(folder.path());
        let recorded = identity(folder.path());
        change(folder.path());
        let found = identity(folder.path());
        assert_ne!(found, recorded);
        assert_eq!(recorded.difference(&found).as_deref(), Some(expected));
    }
}

#[cfg(unix)]
#[test]
fn a_folder_with_pipes_and_circles_has_a_hash() {
    use std::os::unix::fs::symlink;

    let folder = TempDir::new().unwrap();
    let root = folder.path().join("data");
    write(&root);
    let hash = || Dataset::open(&root).unwrap().folder_sha256().unwrap();
    let recorded = hash();
    symlink(&root, root.join("features/.circle")).unwrap();
    symlink("/", root.join("everything")).unwrap();
    symlink("nowhere", root.join("dangling")).unwrap();
    let made = Command::new("mkfifo").arg(root.join("pipe")).status();
    assert!(made.unwrap().success());
    assert_eq!(hash(), recorded);
    // Version 0.1.0 read responses through links.
    let (stored, elsewhere) = (
        root.join("subjects/01/responses.npy"),
        folder.path().join("big.npy"),
    );
    fs::rename(&stored, &elsewhere).unwrap();
    symlink(&elsewhere, &stored).unwrap();
    assert_eq!(hash(), recorded);
}
