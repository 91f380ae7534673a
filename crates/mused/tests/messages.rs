//! Twenty wrong inputs, and what is said of each.
#![allow(clippy::unwrap_used)]

mod program;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use program::mused;
use tempfile::TempDir;

/// Arrays of one person: six stimuli with one label of two, eight voxels. `change` is what is wrong.
fn arrays(folder: &Path, change: impl FnOnce(&Path)) {
    fs::create_dir_all(folder).unwrap();
    let rows = |columns: &str, row: &dyn Fn(usize) -> String| {
        let rows: String = (0..6).map(|at| row(at) + "\n").collect();
        format!("{columns}\n{rows}")
    };
    let put = |name: &str, text: String| fs::write(folder.join(name), text).unwrap();
    put(
        "stimuli.tsv",
        rows("stimulus_id\tgroup", &|at| format!("s{at}\trun{}", at / 2)),
    );
    put(
        "labels.tsv",
        rows("stimulus_id\tface\thouse", &|at| {
            format!("s{at}\t{}\t{}", at % 2, 1 - at % 2)
        }),
    );
    put(
        "anna_trials.tsv",
        rows("stimulus_id", &|at| format!("s{at}")),
    );
    write(&folder.join("anna.npy"), [6, 8]);
    change(folder);
}

fn write(path: &Path, shape: [usize; 2]) {
    let values =
        ndarray::Array2::from_shape_fn(shape, |(row, column)| (row * 7 + column) as f32 % 5.0);
    mused::formats::npy::write_npy_f32(path, values.view()).unwrap();
}

fn replace(folder: &Path, file: &str, old: &str, new: &str) {
    let text = fs::read_to_string(folder.join(file)).unwrap();
    assert!(text.contains(old));
    fs::write(folder.join(file), text.replace(old, new)).unwrap();
}

#[test]
fn wrong_inputs_are_told_what_was_meant() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    mused(
        &folder,
        "simulate --subjects 2 --stimuli 40 --labels 6 --seed 1 data",
    )
    .success();
    mused(
        &folder,
        "train data --out run --model ridge-pooled --set split.test_fraction=0.25",
    )
    .success();
    arrays(&at("capital"), |own| {
        replace(own, "stimuli.tsv", "group", "Group")
    });
    arrays(&at("transposed"), |own| {
        write(&own.join("anna.npy"), [8, 6])
    });
    arrays(&at("turned"), |own| write(&own.join("anna.npy"), [8, 7]));
    arrays(&at("no-stimuli"), |own| {
        fs::remove_file(own.join("stimuli.tsv")).unwrap()
    });
    arrays(&at("no-trials"), |own| {
        fs::remove_file(own.join("anna_trials.tsv")).unwrap()
    });
    arrays(&at("no-labels"), |own| {
        fs::remove_file(own.join("labels.tsv")).unwrap()
    });
    arrays(&at("stranger"), |own| {
        replace(own, "anna_trials.tsv", "s5", "s9")
    });
    arrays(&at("two"), |own| {
        replace(own, "labels.tsv", "s0\t0", "s0\t2")
    });
    arrays(&at("single"), |own| {
        for run in ["run0", "run1"] {
            replace(own, "stimuli.tsv", run, "run2");
        }
    });
    mused(&folder, "import npy single one-run").success();
    fs::copy(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../mused-formats/tests/files/freesurfer/lh.white"),
        at("lh.white"),
    )
    .unwrap();
    let mut found = String::new();
    for arguments in [
        "info run",
        "train run --out new",
        "benchmark run --out new",
        "evaluate data",
        "report data",
        "compare run data",
        "predict data run --out new.npy",
        "train data --out new --set train.epoch=5",
        "train data --out new --set train.epochs=many",
        "train data --out new --set train.precision=half",
        "train data --out new --set train.precision=bf16",
        "train data --out new --model ridge-stackd",
        "train data --out new --preset clip-museds",
        "train data --out run",
        "train data --out new --holdout-subject sub-9",
        "train data --out new --folds 1000",
        "explain run --fold 9",
        "rdm data --features clip",
        "map data --subject sub-9 --quantity mean --out new.nii.gz",
        "evaluate nowhere",
        "import npy capital new",
        "import npy transposed new",
        "import npy no-trials new",
        "import npy no-labels new",
        "import npy stranger new",
        "import npy two new",
        "import npy capital capital/new",
        "import bids data new",
        "info nowhere",
        "explain run --label persno",
        "explain run --label zebra",
        "import bids capital capital/new",
        "import bids capital capital/derivatives/new",
        "import hcp capital capital/new",
        "import nsd capital capital/new",
        "import npy turned new",
        "import npy no-stimuli new",
        "train one-run --out new",
        "train data --out new --config nowhere.toml",
        "map data --subject sub-01 --values nowhere.npy --out new.nii.gz",
        "map data --subject sub-01 --quantity mean --out nowhere/new.nii.gz",
        "predict run data --out nowhere/new.npy",
        "report run --out nowhere/new.html",
        "report run --surface lh=nowhere.surf.gii",
        "report run --surface rh=lh.white",
        "retrieve run --gallery nowhere.npy",
        "words run --words nowhere.txt",
        "words run --words coco --vectors nowhere.npy",
        "features data --model nowhere",
        "import rdm nowhere.toml new",
        "import bids nowhere new",
        "import hcp nowhere new",
        "import-checkpoint nowhere new --dataset data",
    ] {
        // As on a processor without vector instructions: what it lacks is said.
        let output = assert_cmd::Command::new(env!("CARGO_BIN_EXE_mused"))
            .current_dir(folder.path())
            .env("MUSED_PLAIN", "1")
            .args(["--quiet"].into_iter().chain(arguments.split_whitespace()))
            .assert()
            .code(1)
            .get_output()
            .clone();
        let text = String::from_utf8(output.stderr).unwrap();
        let text = text.replace(
            &folder.path().canonicalize().unwrap().display().to_string(),
            "HERE",
        );
        // Writing to a String cannot fail.
        let _ = writeln!(found, "$ mused {arguments}\n{text}");
        assert!(!at("new").exists(), "{arguments}");
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/messages.txt");
    // MUSED_WRITE_SNAPSHOTS=1 writes them anew: look at what changed before a commit.
    if std::env::var_os("MUSED_WRITE_SNAPSHOTS").is_some() {
        fs::write(&path, &found).unwrap();
    }
    assert_eq!(found, fs::read_to_string(&path).unwrap_or_default());
}

/// Without groups nothing keeps pictures of a clip together.
#[test]
fn who_has_no_groups_is_told() {
    let folder = TempDir::new().unwrap();
    arrays(&folder.path().join("arrays"), |folder| {
        replace(folder, "stimuli.tsv", "\tgroup", "\tnumber");
    });
    mused(&folder, "import npy arrays data").success();
    let said = |arguments: &str| {
        let output = mused(&folder, arguments).get_output().clone();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let info = said("info data");
    assert!(
        info.contains("stimuli: 6, each a group of its own"),
        "{info}"
    );
    let trained = said("train data --out run --folds 2 --model ridge-pooled");
    assert!(
        trained.contains("note: every stimulus is a group of its own"),
        "{trained}"
    );
    assert!(trained.contains("column group of stimuli.tsv"), "{trained}");
    mused(
        &folder,
        "simulate --subjects 2 --stimuli 40 --labels 6 --seed 1 grouped",
    )
    .success();
    let grouped = said("train grouped --out other --folds 2 --model ridge-pooled");
    assert!(!grouped.contains("group of its own"), "{grouped}");
}
