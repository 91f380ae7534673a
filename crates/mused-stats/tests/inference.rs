//! Adjusted p, calibration and noise ceilings against scipy and scikit-learn (`fixtures/make_inference.py`).
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use mused_stats::calibration::*;
use mused_stats::ceiling::*;
use mused_stats::multiple::benjamini_hochberg;
use mused_stats::rdm::square;
use mused_stats::{Error, Unavailable};
use ndarray::{Array1, Array2, array};
use serde_json::Value;

fn oracle() -> Value {
    serde_json::from_str(include_str!("fixtures/inference.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|value| value.as_f64().unwrap())
        .collect()
}

fn assert_near(found: f64, expected: f64) {
    assert!(
        (found - expected).abs() <= 1e-12,
        "{found} is not {expected}"
    );
}

#[test]
fn adjusted_p_are_scipys() {
    let oracle = oracle();
    // A missing test between the others changes nothing for them.
    let mut p: Vec<Option<f64>> = numbers(&oracle["p"]).into_iter().map(Some).collect();
    p.insert(3, None);
    let mut found = benjamini_hochberg(&p).unwrap();
    assert_eq!(found.remove(3), None);
    for (found, expected) in found.iter().zip(numbers(&oracle["q"])) {
        assert_near(found.unwrap(), expected);
    }
    assert_eq!(benjamini_hochberg(&[None]), Ok(vec![None]));
    assert!(benjamini_hochberg(&[Some(f64::NAN)]).is_err());
}

#[test]
fn calibration_is_scikit_learns() {
    let oracle = oracle();
    let probability = Array1::from(numbers(&oracle["probability"]));
    let target = Array1::from(numbers(&oracle["target"])).mapv(|target| target as u8);
    assert_near(
        brier(probability.view(), target.view()).unwrap(),
        oracle["brier"].as_f64().unwrap(),
    );
    for (name, bins) in [
        ("uniform", Bins::EqualWidth(10)),
        ("quantile", Bins::Quantile(10)),
    ] {
        let curve = reliability(probability.view(), target.view(), bins).unwrap();
        let (observed, predicted) = (
            numbers(&oracle["curves"][name][0]),
            numbers(&oracle["curves"][name][1]),
        );
        assert_eq!(curve.len(), observed.len());
        for (at, bin) in curve.iter().enumerate() {
            assert_near(bin.observed, observed[at]);
            assert_near(bin.predicted, predicted[at]);
        }
        assert_eq!(curve.iter().map(|bin| bin.count).sum::<usize>(), 300);
        if name == "uniform" {
            assert_near(
                expected_calibration_error(&curve).unwrap(),
                oracle["ece"].as_f64().unwrap(),
            );
        }
    }
    let impossible = brier(array![[0.2, 1.5]].view(), array![[0, 1]].view());
    assert!(matches!(impossible, Err(Error::NotProbability { index, .. }) if index == [0, 1]));
    assert!(reliability(probability.view(), target.view(), Bins::Quantile(0)).is_err());
    assert_eq!(expected_calibration_error(&[]), None);
    // All probabilities equal: one bin.
    let flat = reliability(
        array![0.5, 0.5].view(),
        array![0, 1].view(),
        Bins::Quantile(5),
    )
    .unwrap();
    assert_eq!(
        flat,
        [ReliabilityBin {
            count: 2,
            predicted: 0.5,
            observed: 0.5
        }]
    );
}

#[test]
fn voxel_ceilings_are_the_papers() {
    let oracle = oracle();
    let rows = oracle["responses"].as_array().unwrap();
    let responses =
        Array2::from_shape_vec((60, 4), rows.iter().flat_map(numbers).collect()).unwrap();
    let stimulus: Vec<usize> = (0..60).map(|trial| trial / 3).collect();
    let found = voxel_ceiling(responses.view(), &stimulus).unwrap();
    for (found, expected) in found.iter().zip(numbers(&oracle["voxel_ceiling"])) {
        assert_near(found.unwrap(), expected);
    }
    let once: Vec<usize> = (0..60).collect();
    assert_eq!(
        voxel_ceiling(responses.view(), &once).unwrap()[0],
        Err(Unavailable::NoRepeats)
    );
    assert_eq!(
        voxel_ceiling(responses.view(), &[0; 60]).unwrap()[0],
        Err(Unavailable::OneGroup)
    );
    let flat = Array2::ones((4, 1));
    assert_eq!(
        voxel_ceiling(flat.view(), &[0, 0, 1, 1]).unwrap(),
        [Err(Unavailable::NoVariation)]
    );
    // Noiseless responses: everything can be explained.
    let clean = array![[1.0], [1.0], [3.0], [3.0]];
    assert_eq!(
        voxel_ceiling(clean.view(), &[0, 0, 1, 1]).unwrap(),
        [Ok(1.0)]
    );
}

#[test]
fn rdm_ceilings_are_the_papers() {
    let oracle = oracle();
    let rdms = oracle["rdms"].as_array().unwrap().iter();
    let rdms: Vec<Array2<f64>> = rdms.map(|rdm| square(&numbers(rdm)).unwrap()).collect();
    let found = rdm_ceiling(&rdms).unwrap().unwrap();
    let expected = numbers(&oracle["rdm_ceiling"]);
    assert_near(found.lower, expected[0]);
    assert_near(found.upper, expected[1]);
    assert_eq!(
        rdm_ceiling(&rdms[..1]).unwrap(),
        Err(Unavailable::OneSubject)
    );
    let flat = square(&[0.5; 15]).unwrap();
    assert_eq!(
        rdm_ceiling(&[rdms[0].clone(), flat]).unwrap(),
        Err(Unavailable::NoVariation)
    );
    assert!(rdm_ceiling(&[rdms[0].clone(), Array2::zeros((4, 4))]).is_err());
}

#[test]
fn a_longer_measurement_is_more_reliable() {
    assert_eq!(spearman_brown(0.5, 2.0), Some(2.0 / 3.0));
    assert_eq!(spearman_brown(-0.1, 2.0), None);
}
