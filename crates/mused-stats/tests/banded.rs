//! Weights of banded ridge against every combination tried by scikit-learn (`fixtures/make_banded.py`).
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use mused_stats::Error;
use mused_stats::banded::weights;
use ndarray::{Array2, array};
use serde_json::Value;

fn matrix(value: &Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = serde_json::from_value(value.clone()).unwrap();
    Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap()
}

#[test]
fn weights_are_the_best_there_are() {
    let oracle: Value = serde_json::from_str(include_str!("fixtures/banded.json")).unwrap();
    let groups = oracle["features"].as_array().unwrap().iter();
    let groups: Vec<Array2<f64>> = groups.map(matrix).collect();
    let views: Vec<_> = groups.iter().map(|group| group.view()).collect();
    let parts: Vec<usize> = serde_json::from_value(oracle["parts"].clone()).unwrap();
    let found = weights(&views, matrix(&oracle["targets"]).view(), &parts).unwrap();
    let expected: Vec<f64> = serde_json::from_value(oracle["weights"].clone()).unwrap();
    // Equal weights would not do.
    assert!(expected[0] > 0.0 && expected[1] > 0.0);
    for (found, expected) in found.iter().zip(expected) {
        assert!((found / expected - 1.0).abs() < 1e-9, "{found} {expected}");
    }
}

#[test]
fn what_has_no_weights_is_refused() {
    let (x, y) = (array![[1.0], [2.0]], array![[0.0], [1.0]]);
    let refused = weights(&[x.view()], y.view(), &[1, 1]).unwrap_err();
    assert_eq!(refused, Error::OnePart);
    assert!(weights(&[], y.view(), &[0, 1]).is_err());
    assert!(weights(&[x.view()], y.view(), &[0, 1, 1]).is_err());
}
