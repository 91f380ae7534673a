//! Patterns behind RDMs against numpy's eigenvectors (`fixtures/make_patterns.py`).
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use mused_stats::patterns::Patterns;
use ndarray::{Array2, array};
use serde_json::Value;

const TOLERANCE: f64 = 1e-10;

fn matrix(value: &Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = serde_json::from_value(value.clone()).unwrap();
    Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap()
}

fn near(a: &Array2<f64>, b: &Array2<f64>) -> bool {
    a.dim() == b.dim() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < TOLERANCE)
}

#[test]
fn inner_products_are_the_positive_part_on_any_axes() {
    let text = include_str!("fixtures/patterns.json");
    let fixture: Value = serde_json::from_str(text).unwrap();
    let cases = fixture["cases"].as_object().unwrap();
    assert_eq!(cases.len(), 3);
    for (name, case) in cases {
        let expected = matrix(&case["positive"]);
        let mut rdm = matrix(&case["rdm"]);
        let patterns = Patterns::behind(rdm.view()).unwrap();
        let dimensions = patterns.rows.ncols();
        assert_eq!(
            dimensions as u64,
            case["dimensions"].as_u64().unwrap(),
            "{name}"
        );
        let negative = case["negative"].as_f64().unwrap();
        assert!((patterns.negative - negative).abs() < TOLERANCE, "{name}");
        assert!(
            near(&patterns.rows.dot(&patterns.rows.t()), &expected),
            "{name}"
        );
        // Any matrix with full rank decides axes.
        let turns = Array2::from_shape_fn((dimensions, dimensions), |(i, j)| {
            ((1 + i * 7 + j * j * 3) as f64).sin()
        });
        let turned = patterns.clone().rotated(turns.view()).unwrap();
        assert!(!near(&turned.rows, &patterns.rows), "{name}");
        assert!(
            near(&turned.rows.dot(&turned.rows.t()), &expected),
            "{name}"
        );
        // The diagonal says nothing of the patterns.
        rdm.diag_mut().fill(0.7);
        assert_eq!(Patterns::behind(rdm.view()).unwrap(), patterns, "{name}");
    }
}

#[test]
fn what_is_no_rdm_of_patterns_has_none_or_is_refused() {
    let alike = Patterns::behind(Array2::zeros((4, 4)).view()).unwrap();
    assert_eq!((alike.rows.dim(), alike.negative), ((4, 0), 0.0));
    let one = Patterns::behind(array![[0.3]].view()).unwrap();
    assert_eq!((one.rows.dim(), one.negative), ((1, 0), 0.0));
    // All of the variance is below 0.
    let inverted = Patterns::behind(array![[0.0, -1.0], [-1.0, 0.0]].view()).unwrap();
    assert_eq!((inverted.rows.ncols(), inverted.negative), (0, 1.0));
    Patterns::behind(Array2::zeros((3, 2)).view()).unwrap_err();
    Patterns::behind(Array2::zeros((0, 0)).view()).unwrap_err();
    Patterns::behind(array![[0.0, f64::NAN], [f64::NAN, 0.0]].view()).unwrap_err();
}
