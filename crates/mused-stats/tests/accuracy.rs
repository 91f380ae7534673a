//! Accuracy of designs with one label a stimulus, held to scikit-learn's and to every relabelling there is.
#![allow(clippy::unwrap_used)]

use mused_stats::accuracy::{Accuracy, accuracy};
use mused_stats::permutation::{Exchange, fixed_predictions};
use mused_stats::{Samples, Unavailable};
use ndarray::{Array2, array};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Runs of blocks: every label once a run, `each` stimuli a block.
struct Runs {
    runs: usize,
    labels: usize,
    each: usize,
}

impl Runs {
    fn stimuli(&self) -> usize {
        self.runs * self.labels * self.each
    }

    /// Run and label of a stimulus; labels in another order in every run.
    fn of(&self, stimulus: usize) -> (usize, usize) {
        let (run, place) = (
            stimulus / self.each / self.labels,
            stimulus / self.each % self.labels,
        );
        let place = match run % 2 {
            0 => place,
            _ => self.labels - 1 - place,
        };
        (run, (place + run) % self.labels)
    }

    fn samples(&self) -> Samples {
        let stimuli: Vec<usize> = (0..self.stimuli()).collect();
        let runs: Vec<usize> = stimuli
            .iter()
            .map(|&stimulus| self.of(stimulus).0)
            .collect();
        Samples::new(&vec![0; stimuli.len()], &stimuli, &runs).unwrap()
    }

    fn targets(&self) -> Array2<u8> {
        Array2::from_shape_fn((self.stimuli(), self.labels), |(stimulus, label)| {
            u8::from(self.of(stimulus).1 == label)
        })
    }

    fn accuracy(&self, scores: &Array2<f64>, permutations: usize) -> Accuracy {
        let (samples, targets) = (self.samples(), self.targets());
        let exchange = samples.exchange(targets.view()).unwrap();
        assert_eq!(exchange, Exchange::Blocks);
        let found = accuracy(
            scores.view(),
            targets.view(),
            &samples,
            exchange,
            permutations,
            0,
        );
        found.unwrap().unwrap()
    }
}

/// `sklearn.metrics.accuracy_score` and `confusion_matrix` of the same labels and arg max.
#[test]
fn accuracy_and_confusion_are_those_of_scikit_learn() {
    let design = Runs {
        runs: 3,
        labels: 4,
        each: 2,
    };
    let scores = Array2::from_shape_fn((24, 4), |(row, label)| {
        let (run, own) = design.of(row);
        f64::from(u8::from(own == label)) + ((row * 7 + label * 5 + run) % 9) as f64 / 3.0
    });
    let found = design.accuracy(&scores, 999);
    assert_eq!(found.per_subject, [ACCURACY]);
    assert_eq!(found.confusion, Array2::from(CONFUSION.to_vec()));
    assert_eq!(found.most_frequent, 0.25);
}

const ACCURACY: f64 = 0.5416666666666666;
const CONFUSION: [[usize; 4]; 4] = [[3, 1, 0, 2], [0, 4, 2, 0], [1, 0, 3, 2], [0, 0, 3, 3]];

/// Two runs of three blocks: 36 arrangements, each tried.
#[test]
fn p_counts_every_arrangement_of_blocks_within_runs() {
    let design = Runs {
        runs: 2,
        labels: 3,
        each: 1,
    };
    let labels: Vec<usize> = (0..6).map(|stimulus| design.of(stimulus).1).collect();
    // Right in the second run; in the first the label of the first block twice, then that of the second.
    let named = [
        labels[0], labels[0], labels[1], labels[3], labels[4], labels[5],
    ];
    let scores = Array2::from_shape_fn((6, 3), |(row, label)| {
        f64::from(u8::from(named[row] == label))
    });
    let found = design.accuracy(&scores, 999);
    assert_eq!(found.per_subject, [4.0 / 6.0]);
    let mut as_high = 0;
    let orders = [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ];
    for first in orders {
        for second in orders {
            let right = |order: [usize; 3], from: usize| {
                (0..3)
                    .filter(|&at| labels[from + order[at]] == named[from + at])
                    .count()
            };
            as_high += usize::from(right(first, 0) + right(second, 3) >= 4);
        }
    }
    let test = found.permutation.unwrap();
    assert_eq!(test.p, f64::from(u32::try_from(as_high).unwrap()) / 36.0);
    assert_eq!(test.smallest_p, 1.0 / 36.0);
    assert!((test.null_mean - 1.0 / 3.0).abs() < 1e-12);
}

/// Balanced runs: exchanging whole runs changes nothing, exchanging blocks within them does.
#[test]
fn balanced_runs_have_a_p() {
    let design = Runs {
        runs: 8,
        labels: 4,
        each: 1,
    };
    let (samples, targets) = (design.samples(), design.targets());
    let scores = targets.mapv(f64::from);
    let test = |exchange| {
        let test = fixed_predictions(scores.view(), targets.view(), &samples, exchange, 999, 0);
        test.unwrap().scores.roc_auc
    };
    let blocks = test(Exchange::Blocks);
    assert_eq!(blocks.overall.unwrap().p, 0.001);
    assert!(blocks.labels.iter().all(|label| label.unwrap().p == 0.001));
    // One order for all runs.
    let straight = Samples::new(&[0; 4], &[0, 1, 2, 3], &[0, 0, 1, 1]).unwrap();
    let targets = array![[1, 0], [0, 1], [1, 0], [0, 1]];
    let scores = targets.mapv(f64::from);
    let whole = fixed_predictions(
        scores.view(),
        targets.view(),
        &straight,
        Exchange::Groups,
        999,
        0,
    );
    let whole = whole.unwrap().scores.roc_auc;
    assert_eq!(whole.overall, Err(Unavailable::NothingToExchange));
    assert_eq!(whole.observed, Some(1.0));
}

/// Predictions that know nothing but drift over a run, several stimuli a block alike.
#[test]
fn nothing_is_found_where_nothing_is() {
    let design = Runs {
        runs: 6,
        labels: 4,
        each: 3,
    };
    let p = |seed: u64| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut scores = Array2::zeros((design.stimuli(), 4));
        for block in 0..design.stimuli() / 3 {
            for label in 0..4 {
                let of_block: f64 = rng.random();
                for row in 3 * block..3 * block + 3 {
                    scores[[row, label]] = of_block + 0.3 * rng.random::<f64>();
                }
            }
        }
        design.accuracy(&scores, 199).permutation.unwrap().p
    };
    let found = (0..1000).into_par_iter().filter(|&seed| p(seed) <= 0.05);
    let rate = found.count() as f64 / 1000.0;
    assert!((0.03..=0.065).contains(&rate), "{rate}");
}

#[test]
fn several_labels_have_no_accuracy() {
    let samples = Samples::new(&[0; 3], &[0, 1, 2], &[0, 1, 2]).unwrap();
    let scores = array![[0.1, 0.9], [0.8, 0.2], [0.5, 0.5]];
    let of = |targets: Array2<u8>| {
        let exchange = samples.exchange(targets.view()).unwrap();
        accuracy(scores.view(), targets.view(), &samples, exchange, 99, 0).unwrap()
    };
    assert_eq!(of(array![[1, 1], [1, 0], [0, 1]]), None);
    assert_eq!(of(array![[0, 0], [1, 0], [0, 1]]), None);
    // Of two that are as likely, the first: numpy's argmax.
    let found = of(array![[0, 1], [1, 0], [0, 1]]).unwrap();
    assert_eq!(found.confusion, array![[1, 0], [1, 1]]);
}

/// A label that every stimulus has, however sure it is, says nothing: all is as without it.
#[test]
fn a_label_that_everybody_has_takes_nothing_away() {
    let design = Runs {
        runs: 4,
        labels: 3,
        each: 2,
    };
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let shape = (design.stimuli(), design.labels);
    let scores = Array2::from_shape_fn(shape, |(stimulus, label)| {
        let right = f64::from(u8::from(design.of(stimulus).1 == label));
        0.5 * right + random.random_range(0.0..0.4)
    });
    let without = design.accuracy(&scores, 200);
    let everybody = Array2::from_elem((design.stimuli(), 1), 1.0);
    let scores = ndarray::concatenate![ndarray::Axis(1), everybody, scores];
    let all = Array2::ones((design.stimuli(), 1));
    let targets = ndarray::concatenate![ndarray::Axis(1), all, design.targets()];
    let samples = design.samples();
    let exchange = samples.exchange(targets.view()).unwrap();
    let found = accuracy(scores.view(), targets.view(), &samples, exchange, 200, 0);
    let found = found.unwrap().unwrap();
    assert_eq!(found.per_subject, without.per_subject);
    assert_eq!(found.most_frequent, without.most_frequent);
    assert_eq!(
        found.confusion.row(0).sum() + found.confusion.column(0).sum(),
        0
    );
    let rest = found.confusion.slice(ndarray::s![1.., 1..]);
    assert_eq!(rest, without.confusion);
    // One label beside it, and there is nothing to choose between.
    let two = targets.slice(ndarray::s![.., ..2]);
    let one = accuracy(
        scores.slice(ndarray::s![.., ..2]),
        two,
        &samples,
        exchange,
        0,
        0,
    );
    assert!(one.unwrap().is_none());
}
