//! An import that is killed.

use std::fs;
use std::path::{Path, PathBuf};

use mused_data::import::rdm::{RdmConfig, import};

use crate::tree::*;

/// Folder of the manifest that [`killed`] imports.
const KILLED: &str = "MUSED_TEST_KILLED_FOLDER";

/// Does nothing unless [`a_killed_import_goes_on`] starts it: then it ends before the second subject, without any
/// clean-up.
#[test]
fn killed() {
    let Ok(folder) = std::env::var(KILLED) else {
        return;
    };
    let folder = Path::new(&folder);
    let (manifest, out) = (folder.join("manifest.toml"), folder.join("resumed"));
    import(&manifest, &out, &RdmConfig::default(), &mut |done, _| {
        if done == 1 {
            std::process::abort();
        }
    })
    .unwrap();
}

#[test]
fn a_killed_import_goes_on() {
    let small = Small::new();
    let expected = small.import().unwrap();
    let killed = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "resume::killed"])
        .env(KILLED, small.folder.path())
        .output()
        .unwrap();
    assert!(!killed.status.success());
    let (out, partial) = (small.path("resumed"), small.path(".resumed.partial"));
    assert!(!out.exists());
    // What is complete is taken over as it is: a mark in it stays.
    let kept = partial.join("subjects/01/trials.tsv");
    let marked = fs::read_to_string(&kept).unwrap() + "mark\t1\t1\tn/a\t1\n";
    fs::write(&kept, &marked).unwrap();
    let (manifest, config) = (small.path("manifest.toml"), RdmConfig::default());
    let imported = import(&manifest, &out, &config, &mut |_, _| ()).unwrap();
    assert_eq!(imported, expected);
    assert!(!partial.exists());
    assert_eq!(
        fs::read_to_string(out.join("subjects/01/trials.tsv")).unwrap(),
        marked
    );
    for name in [
        "dataset.json",
        "stimuli.tsv",
        "labels.tsv",
        "labels.npy",
        "features/low/rdm.npy",
        "features/meaning/features.npy",
        "features/meaning/feature.json",
        "subjects/01/responses.npy",
        "subjects/01/voxels.tsv",
        "subjects/02/responses.npy",
        "subjects/02/trials.tsv",
        "subjects/02/voxels.tsv",
    ] {
        let read = |folder: PathBuf| fs::read(folder.join(name)).unwrap();
        assert_eq!(read(out.clone()), read(small.path("out")), "{name}");
    }
    let count = |folder: PathBuf| fs::read_dir(folder).unwrap().count();
    assert_eq!(count(out), count(small.path("out")));
}
