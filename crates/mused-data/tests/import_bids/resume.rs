//! An import that is killed.

use std::fs;
use std::path::Path;

use mused_data::import::bids::import;
use tempfile::TempDir;

use crate::tree::*;

/// Where the import of [`killed`] goes.
const KILLED: &str = "MUSED_TEST_KILLED_OUT";

/// Does nothing unless [`a_killed_import_goes_on`] starts it: then it ends in the second subject, without any clean-up.
#[test]
fn killed() {
    let Ok(out) = std::env::var(KILLED) else {
        return;
    };
    let root = files();
    import(&root, out.as_ref(), &config(&root), &mut |done, _| {
        if done == 3 {
            std::process::abort();
        }
    })
    .unwrap();
}

#[test]
fn a_killed_import_goes_on() {
    let root = files();
    let config = config(&root);
    let out = TempDir::new().unwrap();
    let [whole, path] = ["whole", "resumed"].map(|name| out.path().join(name));
    let expected = import(&root, &whole, &config, &mut |_, _| {}).unwrap();
    let killed = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "resume::killed"])
        .env(KILLED, &path)
        .output()
        .unwrap();
    assert!(!killed.status.success());
    let partial = out.path().join(".resumed.partial");
    // What is complete is taken over as it is: a mark in it stays.
    let kept = partial.join("subjects/sub-01/voxels.tsv");
    let mut marked = fs::read_to_string(&kept).unwrap();
    marked.push_str("mark\tn/a\tn/a\tn/a\n");
    fs::write(&kept, &marked).unwrap();
    let imported = import(&root, &path, &config, &mut |_, _| {}).unwrap();
    assert_eq!(imported, expected);
    assert!(!partial.exists());
    let read = |folder: &Path, name: &str| fs::read(folder.join(name)).unwrap();
    assert_eq!(read(&path, "subjects/sub-01/voxels.tsv"), marked.as_bytes());
    for name in [
        "dataset.json",
        "stimuli.tsv",
        "labels.npy",
        "subjects/sub-01/responses.npy",
        "subjects/sub-01/trials.tsv",
        "subjects/sub-02/responses.npy",
        "subjects/sub-02/trials.tsv",
        "subjects/sub-02/voxels.tsv",
    ] {
        assert_eq!(read(&path, name), read(&whole, name), "{name}");
    }
    let count = |folder: &Path| fs::read_dir(folder).unwrap().count();
    assert_eq!(count(&path), count(&whole));
}
