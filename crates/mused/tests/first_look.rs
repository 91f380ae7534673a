//! `mused try`: the whole way on somebody's own data.
#![allow(clippy::unwrap_used)]

mod program;

use std::fs;
use std::path::Path;

use mused::formats::{Lock, Locked};
use program::mused;
use tempfile::TempDir;

/// A folder of arrays as a few lines of NumPy write them: one person, two labels, eight runs.
fn arrays(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let ids: Vec<String> = (0..48).map(|stimulus| format!("s{stimulus:02}")).collect();
    let label = |stimulus: usize| (stimulus * 5 + stimulus / 6) % 2;
    let rows = ids.iter().enumerate();
    let stimuli: String = rows
        .clone()
        .map(|(at, id)| format!("{id}\trun{}\n", at / 6))
        .collect();
    let labels: String = rows
        .clone()
        .map(|(at, id)| format!("{id}\t{}\t{}\n", label(at), 1 - label(at)))
        .collect();
    let trials: String = rows
        .map(|(at, id)| format!("{id}\t{}\n", 1 + at / 6))
        .collect();
    fs::write(
        folder.join("stimuli.tsv"),
        format!("stimulus_id\tgroup\n{stimuli}"),
    )
    .unwrap();
    fs::write(
        folder.join("labels.tsv"),
        format!("stimulus_id\tface\thouse\n{labels}"),
    )
    .unwrap();
    fs::write(
        folder.join("anna_trials.tsv"),
        format!("stimulus_id\trun\n{trials}"),
    )
    .unwrap();
    let response = |(trial, voxel): (usize, usize)| {
        let noise = ((trial * 31 + voxel * 17) % 23) as f32 / 23.0;
        noise + 0.25 * (label(trial) * (1 + voxel % 2)) as f32
    };
    let responses = ndarray::Array2::from_shape_fn((48, 12), response);
    mused::formats::npy::write_npy_f32(folder.join("anna.npy"), responses.view()).unwrap();
}

#[test]
fn arrays_come_to_a_page_and_a_few_sentences() {
    let folder = TempDir::new().unwrap();
    arrays(&folder.path().join("mine"));
    let said = |arguments: &str| {
        let output = mused(&folder, arguments).success().get_output().clone();
        let [words, steps] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (words, steps)
    };
    let (words, steps) = said("try mine --out look");
    assert!(
        steps.contains("[1/6] the data") && steps.contains("[6/6] the page"),
        "{steps}"
    );
    for expected in [
        "The right one of 2 labels was named in",
        "better than chance.",
        "Labels, by AUC:",
        "ridge regression for each subject",
        "No subject and no run looks unlike the others.",
        "Next: ",
        "look/report.html",
    ] {
        assert!(words.contains(expected), "{expected} is not in {words}");
    }
    let page = fs::read_to_string(folder.path().join("look/report.html")).unwrap();
    assert!(page.contains("The right one of 2 labels was named in"));

    // The same again finds everything there, and says the same. A process that was killed at the end of the import left
    // its lock.
    let lock = folder.path().join("look/.dataset.lock");
    let Locked::Own(held) = Lock::take(&lock).unwrap() else {
        unreachable!("nobody else has it");
    };
    let left = fs::read(&lock).unwrap();
    drop(held);
    fs::write(&lock, left).unwrap();
    let model = folder
        .path()
        .join("look/run/checkpoints/fold-0/model.safetensors");
    let before = fs::metadata(&model).unwrap().modified().unwrap();
    let (again, steps) = said("--quiet try mine --out look");
    assert_eq!(again, words);
    assert_eq!(steps, "");
    assert!(!lock.exists());
    assert_eq!(fs::metadata(&model).unwrap().modified().unwrap(), before);
}

#[test]
fn what_cannot_be_tried_is_told_what_can() {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("empty")).unwrap();
    fs::create_dir(folder.path().join("notes")).unwrap();
    fs::write(folder.path().join("notes/readme.txt"), "text").unwrap();
    arrays(&folder.path().join("mine"));
    arrays(&folder.path().join("other"));
    let refused = |arguments: &str| {
        let output = mused(&folder, arguments).code(1).get_output().clone();
        String::from_utf8(output.stderr).unwrap()
    };
    for (source, found) in [
        (
            "nowhere",
            "nowhere: expected a dataset, a folder of arrays or a BIDS folder",
        ),
        ("empty", "found an empty folder"),
        ("notes", "such as \"readme.txt\""),
    ] {
        let message = refused(&format!("try {source} --out look-{source}"));
        assert!(message.contains(found), "{message}");
    }
    let taken = refused("try mine --out notes");
    assert!(taken.contains("was not made by `mused try`"), "{taken}");
    mused(&folder, "try mine --out look").success();
    // A process that was killed at its first file is in nobody's way.
    fs::create_dir(folder.path().join("killed")).unwrap();
    fs::write(folder.path().join("killed/source.txt.partial"), "/").unwrap();
    mused(&folder, "try mine --out killed").success();
    assert!(!folder.path().join("killed/source.txt.partial").exists());
    let other = refused("try other --out look");
    assert!(other.contains("look is of other data"), "{other}");
    // What failed before it made anything does not stand in the way.
    fs::write(folder.path().join("notes/x.npy"), "text").unwrap();
    refused("try notes --out again");
    mused(&folder, "try mine --out again").success();
    // Nothing is written among the data.
    for inside in [
        "try mine --out mine/look",
        "import npy mine mine/data",
        "try mine --out mine/new/../look",
    ] {
        let message = refused(inside);
        assert!(message.contains("the data that are read"), "{message}");
        assert!(!folder.path().join("mine/look").exists());
    }
}
