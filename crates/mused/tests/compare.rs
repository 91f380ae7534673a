//! Differences between runs, and the statistics of one.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod program;

use std::fs;

use assert_cmd::assert::Assert;
use program::mused;
use serde_json::Value;
use tempfile::TempDir;

fn json(assert: Assert) -> Value {
    serde_json::from_slice(&assert.success().get_output().stdout).unwrap()
}

/// Names of fields at the two upper levels.
fn keys(value: &Value) -> Vec<String> {
    let of = |value: &Value| -> Vec<String> {
        let fields = value.as_object().into_iter().flatten();
        fields
            .map(|(key, _)| key.clone())
            .filter(|key| !key.starts_with("sub-"))
            .collect()
    };
    let inner = value
        .as_object()
        .into_iter()
        .flatten()
        .flat_map(|(_, value)| of(value));
    let mut found = of(value);
    found.extend(inner);
    found
}

fn refused(assert: Assert, words: &str) {
    let message = String::from_utf8(assert.code(1).get_output().stderr.clone()).unwrap();
    assert!(message.contains(words), "{words:?} is not in: {message}");
}

#[test]
fn runs_are_compared_sample_by_sample() {
    let folder = TempDir::new().unwrap();
    mused(
        &folder,
        "simulate --spaces common --subjects 3 --stimuli 60 --seed 1 data",
    )
    .success();
    let train = "train data --folds 2 --set model.dim=16 --set split.validation_fraction=0";
    mused(&folder, &format!("{train} --set train.epochs=8 --out a")).success();
    mused(
        &folder,
        &format!("{train} --set train.epochs=1 --seed 5 --out b"),
    )
    .success();
    let [a, b] = ["a", "b"].map(|run| json(mused(&folder, &format!("evaluate {run} --json"))));
    let difference = json(mused(&folder, "compare a b --json"));
    let difference = &difference["runs"][0]["difference"];
    for metric in ["average_precision", "roc_auc"] {
        let found = &difference[metric];
        let number = |value: &Value| value.as_f64().unwrap();
        let mean = |results: &Value| number(&results["macro"][metric]["mean"]);
        let interval = &found["interval"];
        assert!((number(&interval["estimate"]) - (mean(&b) - mean(&a))).abs() < 1e-12);
        assert!(number(&interval["low"]) < number(&interval["high"]));
        assert_eq!(found["per_subject"].as_object().unwrap().len(), 3);
        for subject in ["sub-01", "sub-02", "sub-03"] {
            let of = |results: &Value| number(&results["macro"][metric]["per_subject"][subject]);
            let expected = of(&b) - of(&a);
            assert!((number(&found["per_subject"][subject]) - expected).abs() < 1e-12);
        }
        // Three subjects have eight patterns of signs: two of them are the true one and its opposite.
        assert!(number(&found["p_over_subjects"]) >= 0.25);

        let own = &a["inference"][metric];
        let estimate = number(&own["interval"]["estimate"]);
        assert!((estimate - mean(&a)).abs() < 1e-12);
        assert!(number(&own["permutation"]["p"]) <= 1.0);
    }
    let documented = include_str!("../../../docs/results.md");
    for key in keys(&a).iter().chain(&keys(difference)) {
        assert!(
            documented.contains(&format!("`{key}`")),
            "{key} is not in docs/results.md"
        );
    }
    assert_eq!(
        difference["labels"].as_array().unwrap().len(),
        a["labels"].as_array().unwrap().len()
    );
    // A run does not differ from itself, and that is no estimate of noise.
    let same = json(mused(&folder, "compare a a --json"));
    let interval = &same["runs"][0]["difference"]["roc_auc"]["interval"];
    assert!(
        interval["unavailable"].is_string() || interval["estimate"] == 0.0,
        "{interval}"
    );

    mused(
        &folder,
        &format!("{train} --set train.epochs=1 --set split.seed=9 --out c"),
    )
    .success();
    mused(&folder, "compare a c").success();
    mused(
        &folder,
        &format!("{train} --set train.epochs=1 --holdout-subject sub-01 --set model.inputs=voxels --out d"),
    )
    .success();
    refused(
        mused(&folder, "compare a d"),
        "expected the test subjects and stimuli of a",
    );
    mused(
        &folder,
        "simulate --spaces common --subjects 3 --stimuli 60 --seed 2 other",
    )
    .success();
    mused(
        &folder,
        "train other --folds 2 --set model.dim=16 --set train.epochs=1 --out e",
    )
    .success();
    refused(mused(&folder, "compare a e"), "expected the targets of a");
    refused(mused(&folder, "compare a data"), "found a dataset");
}

#[test]
fn what_cannot_be_computed_says_so_in_its_place() {
    let folder = TempDir::new().unwrap();
    mused(
        &folder,
        "simulate --spaces common --subjects 1 --stimuli 30 --seed 1 data",
    )
    .success();
    mused(
        &folder,
        "train data --set model.dim=8 --set model.heads=2 --set train.epochs=1 --out a",
    )
    .success();
    let results = json(mused(&folder, "evaluate a --json"));
    // So few test stimuli have each label that resamples lack it.
    let interval = &results["inference"]["average_precision"]["interval"];
    assert!(interval["unavailable"].is_string() || interval["generalises_to"] == "stimuli");
    let labels = results["labels"].as_array().unwrap();
    let never = labels.iter().filter(|label| label["positives"] == 0);
    for label in never {
        assert!(label["roc_auc_test"]["unavailable"].is_string(), "{label}");
    }
    let text = fs::read_to_string(folder.path().join("a/results.json")).unwrap();
    assert!(!text.contains("NaN"));
}
