//! What must hold for any input, and what is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use mused_stats::metrics::*;
use mused_stats::permutation::{Exchange, fixed_predictions};
use mused_stats::rdm::*;
use mused_stats::{Error, Samples};
use ndarray::{Array1, Array2, Axis, array};
use proptest::prelude::*;

#[test]
fn undefined_labels_are_counted_or_valued_as_asked() {
    // Label 0 ordinary, label 1 without positives, label 2 all positive.
    let scores = array![[0.9, 0.1, 0.5], [0.2, 0.3, 0.4]];
    let targets = array![[1, 0, 1], [0, 0, 1]];
    let with = |undefined| score(scores.view(), targets.view(), undefined).unwrap();

    let exclude = with(Undefined::Exclude);
    assert_eq!(
        (
            exclude.macro_average_precision,
            exclude.excluded_average_precision
        ),
        (Some(1.), 2)
    );
    assert_eq!(
        (exclude.macro_roc_auc, exclude.excluded_roc_auc),
        (Some(1.), 2)
    );
    assert_eq!(exclude.floors.chance_average_precision, Some(0.5));
    // Two samples, one positive: 1 or 1/2 with equal chance.
    assert_eq!(exclude.floors.random_average_precision, Some(0.75));
    assert_eq!(exclude.floors.all_zero_hamming_loss, 0.5);

    let sklearn = with(Undefined::Sklearn);
    assert_eq!(
        (
            sklearn.macro_average_precision,
            sklearn.excluded_average_precision
        ),
        (Some(2. / 3.), 0)
    );
    assert_eq!(sklearn.excluded_roc_auc, 2);
    assert_eq!(sklearn.floors.chance_average_precision, Some(0.5));

    let reference = with(Undefined::Reference);
    assert_eq!(
        (reference.macro_roc_auc, reference.excluded_roc_auc),
        (Some(1.), 0)
    );
    assert_eq!(reference.labels[1].roc_auc, Some(1.));
}

#[test]
fn a_label_of_all_samples_is_in_no_mean() {
    let (scores, targets) = (
        array![[0.9, 0.2], [0.1, 0.7], [0.5, 0.3]],
        array![[1, 1], [1, 0], [1, 0]],
    );
    let of = |undefined| score(scores.view(), targets.view(), undefined).unwrap();
    let excluded = of(Undefined::Exclude);
    assert_eq!(excluded.labels[0].average_precision, None);
    assert_eq!(excluded.excluded_average_precision, 1);
    assert_eq!(excluded.macro_average_precision, Some(1.0 / 3.0));
    assert_eq!(excluded.floors.chance_average_precision, Some(1.0 / 3.0));
    for undefined in [Undefined::Sklearn, Undefined::Reference] {
        let all = of(undefined);
        assert_eq!(all.labels[0].average_precision, Some(1.0));
        assert_eq!(all.macro_average_precision, Some(2.0 / 3.0));
    }
    // Relabelled scores leave it out alike.
    let subjects = Samples::new(&[0; 3], &[0, 1, 2], &[0, 1, 2]).unwrap();
    let test = fixed_predictions(
        scores.view(),
        targets.view(),
        &subjects,
        Exchange::Stimuli,
        9,
        1,
    )
    .unwrap();
    let labels = test.scores.average_precision.labels;
    assert!(labels[0].is_err() && labels[1].is_ok());
}

#[test]
fn a_score_at_the_threshold_is_positive() {
    assert_eq!(
        hamming_loss(array![[0.5]].view(), array![[1]].view()),
        Ok(0.)
    );
    assert_eq!(
        subset_accuracy(array![[0.5, 0.4]].view(), array![[1, 1]].view()),
        Ok(0.)
    );
}

#[test]
fn random_average_precision_is_the_mean_over_all_rankings() {
    for (samples, positives) in [(1_u32, 1_u32), (5, 1), (6, 3), (7, 2), (7, 7)] {
        let scores: Array1<f64> = (0..samples).map(f64::from).collect();
        let rankings = (0..1_u32 << samples).filter(|set| set.count_ones() == positives);
        let precisions: Vec<f64> = rankings
            .map(|set| {
                let targets: Array1<u8> = (0..samples)
                    .map(|bit| u8::from(set >> bit & 1 == 1))
                    .collect();
                average_precision(scores.view(), targets.view())
                    .unwrap()
                    .unwrap()
            })
            .collect();
        let expected = precisions.iter().sum::<f64>() / precisions.len() as f64;
        let found = random_average_precision(positives as usize, samples as usize).unwrap();
        assert!(
            (found - expected).abs() < 1e-12,
            "{positives} of {samples}: {found}, {expected}"
        );
    }
    assert_eq!(
        (
            random_average_precision(0, 3),
            random_average_precision(4, 3)
        ),
        (None, None)
    );
}

#[test]
fn input_that_means_nothing_is_refused() {
    let with = |scores: Array2<f64>, targets: Array2<u8>| {
        score(scores.view(), targets.view(), Undefined::Exclude).unwrap_err()
    };
    assert!(matches!(
        with(array![[0.1, 0.2]], array![[1]]),
        Error::Shape { .. }
    ));
    assert!(matches!(
        with(Array2::zeros((0, 3)), Array2::zeros((0, 3))),
        Error::Empty { .. }
    ));
    let error = with(array![[0.1, f64::NAN]], array![[1, 0]]);
    assert!(
        matches!(&error, Error::NotFinite { index, .. } if *index == [0, 1]),
        "{error}"
    );
    let error = with(array![[0.1], [0.2]], array![[1], [2]]);
    assert!(
        matches!(&error, Error::NotBinary { index, found: 2 } if *index == [1, 0]),
        "{error}"
    );
    assert!(average_precision(array![f64::INFINITY].view(), array![1].view()).is_err());
    assert!(roc_auc(array![0.5].view(), array![1, 0].view()).is_err());
}

#[test]
fn rdms_that_are_none_are_refused() {
    assert!(matches!(
        condensed(Array2::zeros((2, 3)).view()),
        Err(Error::NotSquare {
            rows: 2,
            columns: 3
        })
    ));
    for length in [2, 4, 5, 7, usize::pow(2, 10)] {
        assert!(
            matches!(square(&vec![0.; length]), Err(Error::NotTriangular { .. })),
            "{length}"
        );
    }
    assert_eq!(square(&[]).unwrap(), array![[0.]]);
    let mut rdm = array![[0.5, 1., 2.], [1., 0., 3.], [2., 3., 0.]];
    assert_eq!(check_rdm(rdm.view(), 0.), Ok(()));
    rdm[[2, 0]] = 2.01;
    assert_eq!(check_rdm(rdm.view(), 0.1), Ok(()));
    let error = check_rdm(rdm.view(), 1e-3).unwrap_err().to_string();
    assert!(error.contains("2 at [0, 2] but 2.01 at [2, 0]"), "{error}");
    rdm[[1, 1]] = f64::NAN;
    assert!(
        matches!(check_rdm(rdm.view(), 1.), Err(Error::NotFinite { index, .. }) if index == [1, 1])
    );
    assert!(check_rdm(Array2::zeros((1, 2)).view(), 0.).is_err());
    let constant = array![[1., 2.], [3., 3.]];
    assert_eq!(
        pearson_rdm(constant.view()),
        Err(Error::ConstantRow { row: 1 })
    );
    assert_eq!(spearman(&[1., 2.], &[3., 3.]), Ok(None));
    assert!(spearman(&[1.], &[]).is_err() && spearman(&[], &[]).is_err());
    assert!(spearman(&[1., f64::NAN], &[1., 2.]).is_err());
}

#[test]
fn the_cosine_rdm_has_the_published_epsilon() {
    let rdm = cosine_rdm(array![[3., 4.], [0., 0.], [-4., 3.]].view());
    assert_eq!(rdm[[0, 0]], 1. - 25. / (25. + 1e-6));
    assert_eq!((rdm[[0, 1]], rdm[[1, 1]], rdm[[0, 2]]), (1., 1., 1.));
}

/// Scores in few distinct steps, so that ties are common, and targets.
fn samples() -> impl Strategy<Value = Vec<(i32, bool)>> {
    prop::collection::vec((-5..5, any::<bool>()), 1..40)
}

fn split(samples: &[(i32, bool)]) -> (Array1<f64>, Array1<u8>) {
    let scores = samples
        .iter()
        .map(|(score, _)| f64::from(*score) / 4.)
        .collect();
    (
        scores,
        samples
            .iter()
            .map(|(_, target)| u8::from(*target))
            .collect(),
    )
}

proptest! {
    #[test]
    fn ranking_metrics_see_only_the_order_of_scores(samples in samples()) {
        let (scores, targets) = split(&samples);
        let stretched = scores.mapv(|score| (3. * score).exp() - 7.);
        prop_assert_eq!(roc_auc(scores.view(), targets.view()), roc_auc(stretched.view(), targets.view()));
        prop_assert_eq!(
            average_precision(scores.view(), targets.view()),
            average_precision(stretched.view(), targets.view())
        );
    }

    #[test]
    fn the_order_of_samples_is_nothing((samples, shuffled) in samples().prop_flat_map(|samples| {
        (Just(samples.clone()), Just(samples).prop_shuffle())
    })) {
        let ((scores, targets), (others, truths)) = (split(&samples), split(&shuffled));
        let of = |scores: Array1<f64>, targets: Array1<u8>| {
            let (scores, targets) = (scores.insert_axis(Axis(1)), targets.insert_axis(Axis(1)));
            score(scores.view(), targets.view(), Undefined::Exclude)
        };
        prop_assert_eq!(of(scores, targets), of(others, truths));
    }

    #[test]
    fn metrics_stay_in_their_bounds(samples in samples()) {
        let (scores, targets) = split(&samples);
        let flipped = roc_auc((-&scores).view(), targets.view()).unwrap();
        if let Some(auc) = roc_auc(scores.view(), targets.view()).unwrap() {
            prop_assert!((0. ..=1.).contains(&auc));
            prop_assert!((auc + flipped.unwrap() - 1.).abs() < 1e-12);
        }
        if let Some(precision) = average_precision(scores.view(), targets.view()).unwrap() {
            prop_assert!(precision > 0. && precision <= 1.);
        }
    }

    #[test]
    fn square_and_condensed_undo_each_other(items in 2_usize..12, seed in prop::collection::vec(-1.0..1.0, 66)) {
        let entries = &seed[..items * (items - 1) / 2];
        let rdm = square(entries).unwrap();
        prop_assert_eq!(check_rdm(rdm.view(), 0.), Ok(()));
        prop_assert_eq!(condensed(rdm.view()).unwrap(), entries);
    }
}
