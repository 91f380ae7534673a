//! Every statistic against scikit-learn, scipy and numpy (`fixtures/make_fixtures.py`), and against `golden/`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use mused_stats::metrics::*;
use mused_stats::{rdm, summary};
use ndarray::{Array2, s};
use serde_json::Value;

const TOLERANCE: f64 = 1e-12;

fn oracle() -> Value {
    serde_json::from_str(include_str!("fixtures/oracle.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|value| value.as_f64().unwrap())
        .collect()
}

fn optional_numbers(value: &Value) -> Vec<Option<f64>> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(Value::as_f64)
        .collect()
}

fn matrix(value: &Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = value.as_array().unwrap().iter().map(numbers).collect();
    Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap()
}

fn assert_near(found: f64, expected: f64, what: &str) {
    assert!(
        (found - expected).abs() <= TOLERANCE,
        "{what}: {found} is not {expected}"
    );
}

fn assert_all_near<'a>(
    found: impl IntoIterator<Item = &'a f64>,
    expected: impl IntoIterator<Item = &'a f64>,
    what: &str,
) {
    let (found, expected): (Vec<_>, Vec<_>) =
        (found.into_iter().collect(), expected.into_iter().collect());
    assert_eq!(found.len(), expected.len(), "{what}");
    found
        .iter()
        .zip(expected)
        .for_each(|(found, expected)| assert_near(**found, *expected, what));
}

fn assert_same(found: Option<f64>, expected: Option<f64>, what: &str) {
    assert_eq!(
        found.is_some(),
        expected.is_some(),
        "{what}: {found:?}, {expected:?}"
    );
    assert_near(found.unwrap_or(0.), expected.unwrap_or(0.), what);
}

#[test]
fn metrics_are_scikit_learns() {
    let oracle = oracle();
    let (scores, targets) = (matrix(&oracle["scores"]), matrix(&oracle["targets"]));
    let targets = targets.mapv(|target| target as u8);
    let all = score(scores.view(), targets.view(), Undefined::Sklearn).unwrap();
    let precisions = optional_numbers(&oracle["average_precision"]);
    let aucs = optional_numbers(&oracle["roc_auc"]);
    for (index, label) in all.labels.iter().enumerate() {
        let what = format!("label {index}");
        assert_same(label.average_precision, precisions[index], &what);
        assert_same(label.roc_auc, aucs[index], &what);
        let (column, truth) = (scores.column(index), targets.column(index));
        let alone = average_precision(column, truth).unwrap();
        assert_same(
            alone,
            precisions[index].filter(|_| label.positives > 0),
            &what,
        );
        assert_same(roc_auc(column, truth).unwrap(), aucs[index], &what);
    }
    let micro = oracle["micro_average_precision"].as_f64();
    assert_same(all.micro_average_precision, micro, "micro");
    assert_same(
        micro_average_precision(scores.view(), targets.view()).unwrap(),
        micro,
        "micro",
    );
    let hamming = oracle["hamming_loss"].as_f64().unwrap();
    assert_near(all.hamming_loss, hamming, "hamming");
    assert_near(
        hamming_loss(scores.view(), targets.view()).unwrap(),
        hamming,
        "hamming",
    );
    let two = s![.., ..2];
    let accuracy = subset_accuracy(scores.slice(two), targets.slice(two)).unwrap();
    assert_near(
        accuracy,
        oracle["subset_accuracy_of_two"].as_f64().unwrap(),
        "subset accuracy",
    );
}

#[test]
fn rdms_are_scipys() {
    let oracle = oracle();
    let (a, b) = (
        numbers(&oracle["spearman_a"]),
        numbers(&oracle["spearman_b"]),
    );
    assert_same(
        rdm::spearman(&a, &b).unwrap(),
        oracle["spearman"].as_f64(),
        "spearman",
    );
    let features = matrix(&oracle["features"]);
    let expected = matrix(&oracle["pearson_rdm"]);
    assert_all_near(
        &rdm::pearson_rdm(features.view()).unwrap(),
        &expected,
        "pearson",
    );
    let (condensed, square) = (numbers(&oracle["condensed"]), matrix(&oracle["square"]));
    assert_eq!(rdm::square(&condensed).unwrap(), square);
    assert_eq!(rdm::condensed(square.view()).unwrap(), condensed);
}

#[test]
fn summaries_are_numpys() {
    let oracle = oracle();
    let values = numbers(&oracle["spearman_b"]);
    assert_same(summary::mean(&values), oracle["mean"].as_f64(), "mean");
    assert_same(
        summary::sample_sd(&values),
        oracle["sample_sd"].as_f64(),
        "sd",
    );
    assert_eq!(
        (summary::mean(&[]), summary::sample_sd(&[1.])),
        (None, None)
    );
}

fn f64s(file: &safetensors::SafeTensors<'_>, name: &str) -> Vec<f64> {
    let tensor = file.tensor(name).unwrap();
    let data = tensor.data();
    match tensor.dtype() {
        safetensors::Dtype::F64 => data
            .as_chunks()
            .0
            .iter()
            .map(|chunk| f64::from_le_bytes(*chunk))
            .collect(),
        safetensors::Dtype::F32 => data
            .as_chunks()
            .0
            .iter()
            .map(|chunk| f32::from_le_bytes(*chunk).into())
            .collect(),
        other => panic!("{name} is {other:?}"),
    }
}

#[test]
fn metrics_are_those_of_the_golden_file() {
    let bytes = include_bytes!("golden/metrics.safetensors");
    let file = safetensors::SafeTensors::deserialize(bytes).unwrap();
    let label = file.tensor("label").unwrap();
    let shape = (label.shape()[0], label.shape()[1]);
    let targets = Array2::from_shape_vec(shape, label.data().to_vec()).unwrap();
    let scores = Array2::from_shape_vec(shape, f64s(&file, "probability")).unwrap();

    let sklearn = score(scores.view(), targets.view(), Undefined::Sklearn).unwrap();
    let reference = score(scores.view(), targets.view(), Undefined::Reference).unwrap();
    let precisions = f64s(&file, "average_precision_sklearn");
    let aucs = f64s(&file, "roc_auc_sklearn");
    let reference_aucs = f64s(&file, "roc_auc_reference_policy");
    for index in 0..shape.1 {
        let what = format!("label {index}");
        let (ours, published) = (&sklearn.labels[index], &reference.labels[index]);
        assert_same(ours.average_precision, Some(precisions[index]), &what);
        assert_same(published.average_precision, Some(precisions[index]), &what);
        assert_same(
            ours.roc_auc,
            Some(aucs[index]).filter(|auc| !auc.is_nan()),
            &what,
        );
        assert_same(published.roc_auc, Some(reference_aucs[index]), &what);
    }
    assert_same(
        sklearn.macro_average_precision,
        summary::mean(&precisions),
        "macro AP",
    );
    assert_same(
        reference.macro_roc_auc,
        summary::mean(&reference_aucs),
        "macro AUC",
    );
    assert_eq!(
        sklearn.excluded_roc_auc,
        aucs.iter().filter(|auc| auc.is_nan()).count()
    );
    assert_near(sklearn.hamming_loss, f64s(&file, "hamming")[0], "hamming");
    assert_same(
        sklearn.micro_average_precision,
        Some(f64s(&file, "micro_ap")[0]),
        "micro AP",
    );
}

#[test]
fn the_cosine_rdm_is_the_published_one() {
    let bytes = include_bytes!("golden/rdms.safetensors");
    let file = safetensors::SafeTensors::deserialize(bytes).unwrap();
    for features in ["hlv_feature", "hlv_token"] {
        let expected = f64s(&file, &format!("rdm_{features}"));
        let tensor = file.tensor(features).unwrap();
        let shape = (tensor.shape()[0], tensor.shape()[1]);
        let features = Array2::from_shape_vec(shape, f64s(&file, features)).unwrap();
        let found = rdm::cosine_rdm(features.view());
        // The golden file was computed in float32.
        let worst = found
            .iter()
            .zip(&expected)
            .map(|(a, b)| (a - b).abs())
            .fold(0., f64::max);
        assert!(worst < 1e-6, "{worst}");
    }
}
