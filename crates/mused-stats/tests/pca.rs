//! Principal components against scikit-learn's (`fixtures/make_pca.py`).
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use mused_stats::Error;
use mused_stats::pca::Pca;
use ndarray::{Array2, array};
use serde_json::Value;

const TOLERANCE: f64 = 1e-10;

fn numbers(value: &Value) -> Vec<f64> {
    let values = value.as_array().unwrap().iter();
    values.map(|value| value.as_f64().unwrap()).collect()
}

fn matrix(value: &Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = value.as_array().unwrap().iter().map(numbers).collect();
    Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap()
}

fn difference<'a>(
    a: impl IntoIterator<Item = &'a f64>,
    b: impl IntoIterator<Item = &'a f64>,
) -> f64 {
    let pairs = a.into_iter().zip(b);
    pairs.fold(0.0, |most, (a, b)| most.max((a - b).abs()))
}

#[test]
fn components_are_scikit_learns() {
    let oracle: Value = serde_json::from_str(include_str!("fixtures/pca.json")).unwrap();
    for (name, case) in oracle["cases"].as_object().unwrap() {
        let rows = matrix(&case["rows"]);
        let pca = Pca::fit(rows.view(), case["most"].as_u64().unwrap() as usize).unwrap();
        let expected = matrix(&case["components"]);
        assert_eq!(pca.components.dim(), expected.dim(), "{name}");
        // Scikit-learn's signs are its own, by version.
        let turns: Vec<f64> = expected
            .outer_iter()
            .map(|row| {
                let extreme = |a: f64, b: &f64| if b.abs() > a.abs() { *b } else { a };
                row.iter().fold(0.0, extreme).signum()
            })
            .collect();
        let turns = ndarray::Array1::from(turns);
        let expected = &expected * &turns.view().insert_axis(ndarray::Axis(1));
        let scores = (&rows - &pca.mean).dot(&pca.components.t());
        let expected_scores = &matrix(&case["scores"]) * &turns;
        for (what, found) in [
            ("mean", difference(&pca.mean, &numbers(&case["mean"]))),
            ("components", difference(&pca.components, &expected)),
            (
                "variances",
                difference(&pca.variances, &numbers(&case["variances"])),
            ),
            ("scores", difference(&scores, &expected_scores)),
        ] {
            assert!(found < TOLERANCE, "{name}, {what}: {found:e}");
        }
    }
}

#[test]
fn rows_that_do_not_vary_have_no_components() {
    for rows in [array![[1.0, 2.0, 3.0]], array![[1.0], [1.0], [1.0]]] {
        let pca = Pca::fit(rows.view(), 5).unwrap();
        assert_eq!(pca.components.dim(), (0, rows.ncols()));
        assert_eq!(pca.mean, rows.row(0));
    }
    let rows = array![[1.0, 2.0], [3.0, 5.0]];
    assert_eq!(Pca::fit(rows.view(), 0).unwrap().components.nrows(), 0);
}

#[test]
fn nothing_and_nan_are_refused() {
    let refused = Pca::fit(Array2::zeros((0, 3)).view(), 1).unwrap_err();
    assert!(matches!(refused, Error::Empty { .. }), "{refused}");
    let refused = Pca::fit(Array2::zeros((3, 0)).view(), 1).unwrap_err();
    assert!(matches!(refused, Error::Empty { .. }), "{refused}");
    let refused = Pca::fit(array![[1.0, 2.0], [3.0, f64::NAN]].view(), 1).unwrap_err();
    assert!(refused.to_string().contains("[1, 1]"), "{refused}");
}

#[test]
fn bits_do_not_depend_on_threads() {
    // More columns than a block of the product has, tall and wide.
    let tall = Array2::from_shape_fn((300, 290), |(i, j)| ((i * 290 + j) as f64 * 0.7).sin());
    for rows in [tall.clone(), tall.t().to_owned()] {
        let fit = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            let pool = pool.build().unwrap();
            pool.install(|| Pca::fit(rows.view(), 200).unwrap())
        };
        assert_eq!(fit(1), fit(3));
    }
}
