//! Weights of stacked regressions against scipy's non-negative least squares (`fixtures/make_stacking.py`).
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use mused_stats::Error;
use mused_stats::stacking::weights;
use ndarray::{Array2, array};
use serde_json::Value;

fn matrix(value: &Value) -> Array2<f64> {
    let rows = value.as_array().unwrap().iter();
    let rows: Vec<Vec<f64>> = rows
        .map(|row| serde_json::from_value(row.clone()).unwrap())
        .collect();
    Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap()
}

#[test]
fn weights_are_scipys() {
    let oracle: Value = serde_json::from_str(include_str!("fixtures/stacking.json")).unwrap();
    let predictions = oracle["predictions"].as_array().unwrap().iter();
    let predictions: Vec<Array2<f64>> = predictions.map(matrix).collect();
    let views: Vec<_> = predictions.iter().map(|rows| rows.view()).collect();
    let found = weights(&views, matrix(&oracle["truth"]).view()).unwrap();
    let expected: Vec<f64> = serde_json::from_value(oracle["weights"].clone()).unwrap();
    // One of them would be below 0.
    assert!(expected.contains(&0.0));
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-9, "{found} {expected}");
    }
}

#[test]
fn predictions_that_never_vary_weigh_the_same() {
    let none = Array2::zeros((3, 2));
    let found = weights(&[none.view(), none.view()], none.view()).unwrap();
    assert_eq!(found, array![0.5, 0.5]);
    let other = Array2::zeros((2, 2));
    let refused = weights(&[other.view()], none.view()).unwrap_err();
    assert!(matches!(refused, Error::Shape { .. }), "{refused}");
    assert!(matches!(
        weights(&[], none.view()).unwrap_err(),
        Error::Empty { .. }
    ));
}
