//! A model for a person it was not trained on.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod program;

use std::fs;
use std::path::Path;

use program::mused;
use serde_json::Value;
use tempfile::TempDir;

const SIMULATE: &str =
    "simulate --subjects 4 --stimuli 60 --shared 1 --labels 4 --voxels 150 --repeats 1 --seed 2";
const TRAIN: &str =
    "--folds 2 --set split.validation_fraction=0.1 --set train.epochs=4 --set model.dim=16";

/// A folder with a dataset `all` of four people, one `others` without the last, and a run of that.
fn trained() -> TempDir {
    let folder = TempDir::new().unwrap();
    mused(&folder, &format!("{SIMULATE} all")).success();
    copy(&folder.path().join("all"), &folder.path().join("others"));
    fs::remove_dir_all(folder.path().join("others/subjects/sub-04")).unwrap();
    mused(&folder, &format!("train others --out source {TRAIN}")).success();
    folder
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry
            .map(|entry| (entry.path(), entry.file_name()))
            .unwrap();
        match path.is_dir() {
            true => copy(&path, &to.join(name)),
            false => drop(fs::copy(&path, to.join(name)).unwrap()),
        }
    }
}

fn bytes(folder: &TempDir, file: &str) -> Vec<u8> {
    fs::read(folder.path().join(file)).unwrap()
}

fn refusal(folder: &TempDir, arguments: &str) -> String {
    let output = mused(folder, arguments).code(1).get_output().stderr.clone();
    String::from_utf8(output).unwrap()
}

fn ap(folder: &TempDir, run: &str) -> f64 {
    mused(folder, &format!("evaluate {run}")).success();
    let results: Value =
        serde_json::from_slice(&bytes(folder, &format!("{run}/results.json"))).unwrap();
    results["macro"]["average_precision"]["mean"]
        .as_f64()
        .unwrap()
}

/// The network of the others and maps of the person's own trials: what a run that leaves the person out has, to the bit.
#[test]
fn an_adapted_run_is_one_that_left_the_person_out() {
    let folder = trained();
    mused(
        &folder,
        "adapt source all --subject sub-04 --trials 20 --out new",
    )
    .success();
    let left_out = "--holdout-subject sub-04 --set split.calibration=20";
    mused(
        &folder,
        &format!("train all --out left-out {TRAIN} {left_out}"),
    )
    .success();
    assert!(bytes(&folder, "new/predictions.npy") == bytes(&folder, "left-out/predictions.npy"));
    let record: Value = serde_json::from_slice(&bytes(&folder, "new/run.json")).unwrap();
    assert_eq!(
        record["adapted"]["calibration"],
        serde_json::json!([20, 20])
    );
    assert_eq!(record["adapted"]["subjects"].as_array().unwrap().len(), 3);
    for verb in [
        "evaluate new",
        "explain new",
        "audit new",
        "audit left-out",
        "report new --out page.html",
    ] {
        mused(&folder, verb).success();
    }
    let page = fs::read_to_string(folder.path().join("page.html")).unwrap();
    assert!(page.contains("maps fitted on its own trials of 20 training stimuli a fold"));
}

#[test]
fn more_trials_are_those_of_before_and_others() {
    let folder = trained();
    let adapt = "adapt source all --subject sub-04 --out";
    mused(&folder, &format!("{adapt} few --trials 10")).success();
    mused(&folder, &format!("{adapt} other --trials 10 --draw 1")).success();
    mused(&folder, &format!("{adapt} all-of-them")).success();
    let predictions = |run: &str| bytes(&folder, &format!("{run}/predictions.npy"));
    assert!(predictions("few") != predictions("other"));
    assert!(ap(&folder, "all-of-them") > ap(&folder, "few"));
    // Begun before, and killed: the same command goes on.
    let whole = predictions("few");
    let record = folder.path().join("few/run.json");
    let mut begun: Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    begun.as_object_mut().unwrap().remove("finished");
    fs::write(&record, begun.to_string()).unwrap();
    fs::remove_file(folder.path().join("few/predictions.npy")).unwrap();
    fs::remove_dir_all(folder.path().join("few/checkpoints/fold-1-without-sub-04")).unwrap();
    mused(&folder, &format!("{adapt} few --trials 10")).success();
    assert!(predictions("few") == whole);
}

#[test]
fn what_is_damaged_in_an_adapted_run_is_made_again() {
    let folder = trained();
    let adapt = "adapt source all --subject sub-04 --trials 20 --out new";
    mused(&folder, adapt).success();
    assert!(refusal(&folder, adapt).contains("already exists"));
    let task = "new/checkpoints/fold-0-without-sub-04";
    for (file, verb) in [
        ("new/predictions.npy".to_owned(), "evaluate new"),
        (format!("{task}/model.safetensors"), "explain new"),
        (format!("{task}/inputs.safetensors"), "explain new"),
    ] {
        let whole = bytes(&folder, &file);
        for left in [Some(vec![0; whole.len()]), None] {
            match left {
                Some(left) => fs::write(folder.path().join(&file), left).unwrap(),
                None => fs::remove_file(folder.path().join(&file)).unwrap(),
            }
            let message = refusal(&folder, verb);
            assert!(message.contains("the same `mused adapt`"), "{message}");
            mused(&folder, adapt).success();
            assert!(bytes(&folder, &file) == whole, "{file}");
        }
    }
}

#[test]
fn a_map_of_other_trials_is_found() {
    let folder = trained();
    mused(
        &folder,
        "adapt source all --subject sub-04 --trials 20 --out new",
    )
    .success();
    mused(
        &folder,
        "adapt source all --subject sub-04 --trials 20 --draw 1 --out other",
    )
    .success();
    let model = |run: &str| {
        folder
            .path()
            .join(run)
            .join("checkpoints/fold-0-without-sub-04")
    };
    for name in [
        "inputs.safetensors",
        "sha256.tsv",
        "model.safetensors",
        "predictions.npy",
    ] {
        fs::copy(model("other").join(name), model("new").join(name)).unwrap();
    }
    let output = mused(&folder, "audit new")
        .code(1)
        .get_output()
        .stdout
        .clone();
    let said = String::from_utf8(output).unwrap();
    assert!(said.contains("not those of its training samples"), "{said}");
}

#[test]
fn what_cannot_be_adapted_says_what_can() {
    let folder = trained();
    let adapt = |rest: &str| refusal(&folder, &format!("adapt {rest} --out new"));
    let known = adapt("source all --subject sub-01");
    assert!(known.contains("was trained on subject sub-01"), "{known}");
    let nobody = adapt("source all --subject sub-09");
    assert!(
        nobody.contains("sub-09") && nobody.contains("sub-04"),
        "{nobody}"
    );
    for few in ["0", "some"] {
        let message = adapt(&format!("source all --subject sub-04 --trials {few}"));
        assert!(
            message.contains("--trials: expected none, all, or a number"),
            "{message}"
        );
    }
    let none = adapt("source all --subject sub-04 --trials none");
    assert!(none.contains("nothing to learn its maps from"), "{none}");
    let one = adapt("source all --subject sub-04 --trials 1");
    assert!(
        one.contains("no whole group of its stimuli has as few as 1"),
        "{one}"
    );
    let group = adapt("source all --subject sub-04 --trials 3");
    assert!(
        group.contains("two groups or more") && group.contains("--trials"),
        "{group}"
    );
    mused(
        &folder,
        &format!("train others --out voxels {TRAIN} --model clip-mused"),
    )
    .success();
    let voxels = adapt("voxels all --subject sub-04");
    assert!(voxels.contains("does not read aligned inputs"), "{voxels}");
    mused(
        &folder,
        &format!("train others --out consensus {TRAIN} --set model.inputs=consensus+labels"),
    )
    .success();
    let consensus = adapt("consensus all --subject sub-04");
    assert!(
        consensus.contains("by the responses of others"),
        "{consensus}"
    );
    // Another person's labels, regions, features.
    let path = |name: &str| folder.path().join(name);
    copy(&path("all"), &path("renamed"));
    let labels = path("renamed/labels.tsv");
    let text = fs::read_to_string(&labels).unwrap();
    fs::write(&labels, text.replacen("person", "people", 1)).unwrap();
    let renamed = adapt("source renamed --subject sub-04");
    assert!(
        renamed.contains("expected the labels that source was trained on"),
        "{renamed}"
    );
    copy(&path("all"), &path("elsewhere"));
    let voxels = path("elsewhere/subjects/sub-04/voxels.tsv");
    let text = fs::read_to_string(&voxels).unwrap();
    fs::write(&voxels, text.replace("V1", "M1")).unwrap();
    let elsewhere = adapt("source elsewhere --subject sub-04");
    assert!(
        elsewhere.contains("region M1 of subject sub-04 is not among those"),
        "{elsewhere}"
    );
    fs::remove_dir_all(path("new")).ok();
    copy(&path("all"), &path("unguided"));
    fs::remove_dir_all(path("unguided/features/high")).unwrap();
    let unguided = adapt("source unguided --subject sub-04");
    assert!(unguided.contains("high"), "{unguided}");
    // The same names, other values.
    copy(&path("all"), &path("exchanged"));
    let features = path("exchanged/features/high/features.npy");
    let mut values = fs::read(&features).unwrap();
    let end = values.len() - 4;
    values[end..].copy_from_slice(&1.5_f32.to_le_bytes());
    fs::write(&features, values).unwrap();
    let exchanged = adapt("source exchanged --subject sub-04");
    assert!(
        exchanged.contains("what differs: the values of the feature set high"),
        "{exchanged}"
    );
    let again = "adapt source all --subject sub-04 --trials 20 --out source";
    assert!(refusal(&folder, again).contains("source"));
    let resumed = {
        mused(&folder, "adapt source all --subject sub-04 --out new").success();
        refusal(&folder, "train all --out new --resume")
    };
    assert!(resumed.contains("not trained but adapted"), "{resumed}");
}
