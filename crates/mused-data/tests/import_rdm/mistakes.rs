//! What is refused, and what passes though others write it in another way.

use std::fs;

use mused_data::import::Check;
use mused_data::import::rdm::{RdmConfig, import};
use mused_data::{Dataset, Error};
use mused_formats::npy::write_npy_f64;
use ndarray::{Array1, Array2, arr1, arr2};

use crate::tree::*;

#[test]
fn bad_rdms_are_refused() {
    let small = Small::new();
    let rdm = small.path("rdm/sub-02_rh_V1.npy");
    let write = |array: Array2<f64>| write_npy_f64(&rdm, array.view()).unwrap();
    write(Array2::zeros((3, 4)));
    small.fails_with("sub-02_rh_V1.npy: expected a square or condensed RDM, found shape [3, 4]");
    write(Array2::zeros((4, 4)));
    small.fails_with("expected an RDM of the 3 stimuli declared, found one of 4");
    write_npy_f64(&rdm, Array1::<f64>::zeros(6).view()).unwrap();
    small.fails_with("expected an RDM of the 3 stimuli declared, found one of 4");
    write_npy_f64(&rdm, Array1::<f64>::zeros(4).view()).unwrap();
    small.fails_with("expected a condensed RDM of n (n - 1) / 2 entries, found 4");
    write(arr2(&[[0.0, 1.0, 2.0], [1.0, 0.0, 3.0], [2.5, 3.0, 0.0]]));
    small.fails_with("expected a symmetric RDM, found 2 at [0, 2] and 2.5 at [2, 0]");
    write(arr2(&[
        [0.0, 1.0, 2.0],
        [1.0, 0.0, f64::NAN],
        [2.0, 3.0, 0.0],
    ]));
    small.fails_with("expected finite values, found NaN at [1, 2]");
    write_npy_f64(&rdm, arr1(&[0.0, f64::INFINITY, 1.0]).view()).unwrap();
    small.fails_with("expected finite values, found inf at [1]");
    fs::write(&rdm, "nonsense").unwrap();
    small.fails_with("sub-02_rh_V1.npy");
}

#[test]
fn bad_manifests_are_refused() {
    let small = Small::new();
    small.replaced_fails_with("licence", "license", "unknown field `license`");
    small.replaced_fails_with("citation = \"nobody\"", "", "missing field `citation`");
    small.replaced_fails_with(
        "level = \"low\"",
        "level = \"mid\"",
        "unknown variant `mid`",
    );
    small.replaced_fails_with(
        "count = 3",
        "",
        "stimuli: expected either count and id, or ids",
    );
    small.replaced_fails_with(
        "count = 3",
        "count = 0",
        "stimuli.count: expected from 1 to",
    );
    small.replaced_fails_with("s{index}", "s", "stimuli.id: expected one {index}");
    small.replaced_fails_with(
        "count = 3",
        "groups = [\"a\"]\ncount = 3",
        "stimuli.groups: expected one for each of the 3 stimuli, found 1",
    );
    small.replaced_fails_with(
        "count = 3\nid = \"s{index}\"",
        "ids = [\"a\", \"b\", \"a\"]",
        "\"a\" occurs twice",
    );
    small.replaced_fails_with("_{roi}", "", "responses.path: expected {roi} in it");
    small.replaced_fails_with(
        "rdm/sub-",
        "rdm/subject-",
        "expected files like \"rdm/subject-",
    );
    small.replaced_fails_with("\"rdm/sub", "\"../rdm/sub", "inside the data folder");
    small.replaced_fails_with("\"model.npy\"", "\"/model.npy\"", "inside the data folder");
    small.replaced_fails_with(
        "{ path = \"model.npy\" }",
        "{ path = \"model.npy\", select = \"RDM\" }",
        "select = \"RDM\" is for .mat files alone",
    );
    small.replaced_fails_with("\"meaning\"", "\"low\"", "guidance \"low\" occurs twice");
    small.replaced_fails_with("\"meaning\"", "\"../low\"", "usable as a folder's");
    small.replaced_fails_with(
        "features = \"features.npy\"",
        "",
        "guidance \"meaning\": expected either rdms",
    );
    small.replaced_fails_with("\"model.npy\"", "\"absent.npy\"", "absent.npy");
}

#[test]
fn the_same_rdm_twice_is_refused() {
    let small = Small::new();
    let list = r#"
[[responses.rdm]]
subject = "a"
roi = "V1"
path = "rdm/sub-02_lh_V1.npy"
[[responses.rdm]]
subject = "a"
roi = "V1"
path = "rdm/sub-02_rh_V1.npy"
"#;
    small.replaced_fails_with(
        "[responses]\npath = \"rdm/sub-{subject}_{roi}.npy\"\n",
        list,
        "responses.rdm[1]: expected one RDM of subject a, roi V1, session 1, found \
         rdm/sub-02_lh_V1.npy too",
    );
}

#[test]
fn bad_labels_are_refused() {
    let small = Small::new();
    small.replaced_fails_with(
        "[\"it\"]",
        "[\"its\"]",
        "labels.exclude: expected names that occur",
    );
    small.replaced_fails_with(
        "exclude",
        "minimum_stimuli = 9\nexclude",
        "labels.words: expected labels, none are left",
    );
    small.replaced_fails_with(
        "words = [\"words.txt\"]",
        "",
        "expected either words or matrix",
    );
    small.replaced_fails_with(
        "exclude",
        "select = \"x\"\nexclude",
        "go with matrix, not words",
    );
    small.write_manifest(MANIFEST);
    fs::write(small.path("words.txt"), "dog, it\ncat\n").unwrap();
    small.fails_with("expected a line for each of the 3 stimuli, found 2 lines");

    let matrix = "matrix = \"labels.npy\"\nnames = [\"a\", \"b\", \"it\"]";
    let text = MANIFEST.replace("words = [\"words.txt\"]", matrix);
    small.write_manifest(&text);
    let write = |array: Array2<f64>| write_npy_f64(small.path("labels.npy"), array.view()).unwrap();
    write(Array2::zeros((3, 2)));
    small.fails_with("labels.npy: expected 3 stimuli × 3 names, found shape [3, 2]");
    write(Array2::from_elem((3, 3), 2.0));
    small.fails_with("labels.npy: expected 0 or 1, found 2 in row 0, column 0");
    small.write_manifest(&text.replace("\"b\"", "\"a\""));
    write(Array2::ones((3, 3)));
    small.fails_with("label \"a\" occurs twice");
    small.write_manifest(&text);
    small.import().unwrap();
    assert_eq!(
        Dataset::open(small.path("out")).unwrap().labels.names,
        ["a", "b"]
    );
}

#[test]
fn an_existing_dataset_is_left_alone() {
    let small = Small::new();
    small.import().unwrap();
    assert!(matches!(small.import().unwrap_err(), Error::Exists(_)));
    Dataset::open(small.path("out")).unwrap();
}

#[test]
fn one_subjects_rdms_under_two_names_are_refused_unless_allowed() {
    let small = Small::new();
    let path = |name| small.path(&format!("rdm/sub-{name}.npy"));
    fs::remove_file(path("02_rh_V1")).unwrap();
    fs::copy(path("01_lh_V1"), path("02_lh_V1")).unwrap();
    small.fails_with("found those of 02 equal to those of 01");
    let config = RdmConfig {
        allow: vec![Check::IdenticalSubjects],
        ..RdmConfig::default()
    };
    let manifest = small.path("manifest.toml");
    let imported = import(&manifest, &small.path("out"), &config, &mut |_, _| ()).unwrap();
    assert_eq!(imported.warnings.len(), 1);
}

#[test]
fn texts_are_read_as_others_write_them_or_called_by_their_name() {
    let small = Small::new();
    let words = "\u{feff}dog, cat\ncat,it\n dog ,cat, \n";
    fs::write(small.path("words.txt"), words).unwrap();
    small.write_manifest(&format!("\u{feff}{MANIFEST}"));
    assert_eq!(small.import().unwrap().labels, ["cat", "dog"]);
    let small = Small::new();
    fs::write(
        small.path("words.txt"),
        "version https://git-lfs.github.com/spec/v1\n\n\n",
    )
    .unwrap();
    let message = small.message();
    assert!(
        message.contains("words.txt: expected text, found a Git LFS pointer"),
        "{message}"
    );
}
