//! Permutation tests against the metrics themselves, against enumeration by hand, and under the null.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod simulation;

use mused_stats::metrics::{Undefined, score};
use mused_stats::permutation::*;
use mused_stats::{Error, Samples, Unavailable, summary};
use ndarray::{Array2, Axis, array};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use simulation::Simulation;

/// Mean over subjects of the macro means by [`score`], under a relabelling of the stimuli.
fn direct(
    scores: &Array2<f64>,
    targets: &Array2<u8>,
    subject: &[usize],
    stimulus: &[usize],
    source: &[usize],
) -> [Option<f64>; 2] {
    let mut by_subject = [Vec::new(), Vec::new()];
    for one in 0..=*subject.iter().max().unwrap() {
        let rows: Vec<usize> = (0..subject.len())
            .filter(|&row| subject[row] == one)
            .collect();
        let relabelled = rows.iter().map(|&row| {
            stimulus
                .iter()
                .position(|&other| other == source[stimulus[row]])
                .unwrap()
        });
        let targets = targets.select(Axis(0), &relabelled.collect::<Vec<_>>());
        let scores = scores.select(Axis(0), &rows);
        let all = score(scores.view(), targets.view(), Undefined::Exclude).unwrap();
        by_subject[0].extend(all.macro_average_precision);
        by_subject[1].extend(all.macro_roc_auc);
    }
    by_subject.map(|values| summary::mean(&values))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// The fast path against the metrics, bit by bit: ties, subjects who lack stimuli, all three exchanges.
    #[test]
    fn relabelled_scores_are_the_metrics_own(
        stimuli in 4_usize..14,
        values in prop::collection::vec((0_u8..12, prop::bool::weighted(0.3), prop::bool::weighted(0.9)), 14 * 3 * 2),
        groups in prop::collection::vec(0_usize..3, 14),
        kind in 0_usize..3,
    ) {
        let exchange = [Exchange::Stimuli, Exchange::Groups, Exchange::Shift][kind];
        let groups = &groups[..stimuli];
        // Subject 0 sees everything, so that every stimulus has a row.
        let rows: Vec<(usize, usize)> = (0..3)
            .flat_map(|subject| (0..stimuli).map(move |stimulus| (subject, stimulus)))
            .filter(|&(subject, stimulus)| subject == 0 || values[subject * 14 + stimulus].2)
            .collect();
        prop_assume!((1..3).all(|subject| rows.iter().any(|row| row.0 == subject)));
        let (subject, stimulus): (Vec<usize>, Vec<usize>) = rows.iter().copied().unzip();
        let group: Vec<usize> = stimulus.iter().map(|&stimulus| groups[stimulus]).collect();
        let scores = Array2::from_shape_fn((rows.len(), 2), |(row, label)| {
            f64::from(values[(rows[row].0 * 14 + rows[row].1) * 2 % 84 + label].0)
        });
        let targets = Array2::from_shape_fn((rows.len(), 2), |(row, label)| {
            u8::from(values[rows[row].1 * 2 + label].1)
        });
        let samples = Samples::new(&subject, &stimulus, &group).unwrap();
        // Few draws: they are random unless there are hardly any relabellings.
        let test = fixed_predictions(scores.view(), targets.view(), &samples, exchange, 9, 5).unwrap();
        let straight: Vec<usize> = (0..stimuli).collect();
        let observed = direct(&scores, &targets, &subject, &stimulus, &straight);
        let by_metric = [&test.scores.average_precision, &test.scores.roc_auc];
        for (metric, observed) in by_metric.iter().zip(observed) {
            match metric.overall {
                Ok(tested) => prop_assert_eq!(Some(tested.observed), observed),
                Err(Unavailable::NotScorable) => prop_assert_eq!(observed, None),
                Err(reason) => prop_assert_eq!(reason, Unavailable::NothingToExchange),
            }
        }
        if !test.relabellings.exhaustive {
            let sources: Vec<Vec<usize>> = (0..9).map(|index| relabelling(groups, &[], exchange, 5, index)).collect();
            for (metric, test) in by_metric.iter().enumerate() {
                let expected: Vec<f64> = sources
                    .iter()
                    .filter_map(|source| direct(&scores, &targets, &subject, &stimulus, source)[metric])
                    .collect();
                prop_assert_eq!(&test.null, &expected);
            }
        }
    }
}

#[test]
fn four_stimuli_by_hand() {
    // Scores in the order a > b > c > d; positives a and b. Of the 6 ways to choose two, this one alone has an AUC of 1;
    // {a, c} has 3/4, {a, d} and {b, c} 1/2, {b, d} 1/4, {c, d} 0.
    let scores = array![[0.9], [0.7], [0.4], [0.2]];
    let targets = array![[1], [1], [0], [0]];
    let stimuli = [0, 1, 2, 3];
    let samples = Samples::new(&[0; 4], &stimuli, &stimuli).unwrap();
    let test = fixed_predictions(
        scores.view(),
        targets.view(),
        &samples,
        Exchange::Stimuli,
        100,
        0,
    )
    .unwrap();
    assert!(test.relabellings.exhaustive);
    assert_eq!(test.relabellings.tried, 6);
    let auc = test.scores.roc_auc.overall.unwrap();
    assert_eq!(
        (auc.observed, auc.p, auc.smallest_p, auc.null_mean),
        (1.0, 1. / 6., 1. / 6., 0.5)
    );
    let mut null = test.scores.roc_auc.null;
    null.sort_by(f64::total_cmp);
    assert_eq!(null, [0.0, 0.25, 0.5, 0.5, 0.75, 1.0]);
    // Clips of a and b, of c and d: 2 relabellings.
    let clips = Samples::new(&[0; 4], &stimuli, &[0, 0, 1, 1]).unwrap();
    let whole = fixed_predictions(
        scores.view(),
        targets.view(),
        &clips,
        Exchange::Groups,
        100,
        0,
    )
    .unwrap();
    let relabellings = whole.relabellings;
    assert_eq!((relabellings.tried, relabellings.attainable_log2), (2, 1.0));
    assert_eq!(whole.scores.roc_auc.overall.unwrap().p, 0.5);
}

#[test]
fn what_cannot_be_tested_is_said() {
    // Labels: no positive, all positive, one positive, constant scores.
    let scores = array![
        [0.1, 0.2, 0.9, 0.5],
        [0.2, 0.1, 0.3, 0.5],
        [0.3, 0.4, 0.1, 0.5]
    ];
    let targets = array![[0, 1, 1, 1], [0, 1, 0, 0], [0, 1, 0, 0]];
    let samples = Samples::new(&[4; 3], &[7, 8, 9], &[7, 8, 9]).unwrap();
    let test = |samples: &Samples, exchange| {
        fixed_predictions(scores.view(), targets.view(), samples, exchange, 50, 0)
            .unwrap()
            .scores
    };
    let scores_of = test(&samples, Exchange::Stimuli);
    let (precision, auc) = (scores_of.average_precision, scores_of.roc_auc);
    assert_eq!(precision.labels[0], Err(Unavailable::NotScorable));
    assert_eq!(precision.labels[1], Err(Unavailable::NotScorable));
    assert_eq!(auc.labels[1], Err(Unavailable::NotScorable));
    assert_eq!(precision.labels[2].unwrap().smallest_p, 1. / 3.);
    assert_eq!(
        (precision.labels[2].unwrap().p, auc.labels[3].unwrap().p),
        (1. / 3., 1.0)
    );
    // Groups that are alone in their sizes have none to change places with.
    let groups = Samples::new(&[4; 3], &[7, 8, 9], &[7, 7, 9]).unwrap();
    let whole = test(&groups, Exchange::Groups);
    assert_eq!(whole.roc_auc.overall, Err(Unavailable::NothingToExchange));

    let differing = array![[0], [1]];
    let two = Samples::new(&[0, 1], &[3, 3], &[0, 0]).unwrap();
    let refused = fixed_predictions(
        array![[0.1], [0.2]].view(),
        differing.view(),
        &two,
        Exchange::Stimuli,
        9,
        0,
    );
    assert_eq!(
        refused.unwrap_err(),
        Error::TargetsDiffer {
            stimulus: 0,
            label: 0
        }
    );
    assert!(matches!(
        Samples::new(&[0, 0], &[3, 3], &[0, 0]),
        Err(Error::Repeated { .. })
    ));
    assert!(matches!(
        Samples::new(&[0, 1], &[3, 3], &[0, 1]),
        Err(Error::TwoGroups { .. })
    ));
    assert_eq!(retrained_p_value(0.7, &[0.5, 0.7, 0.6]), Some(0.5));
    assert_eq!(
        (
            retrained_p_value(0.7, &[]),
            retrained_p_value(0.7, &[f64::NAN])
        ),
        (None, None)
    );
}

#[test]
fn threads_do_not_change_a_bit() {
    let data = Simulation {
        subjects: 3,
        stimuli: 40,
        ..Simulation::default()
    }
    .draw(1);
    let test = || {
        fixed_predictions(
            data.a.view(),
            data.targets.view(),
            &data.samples,
            Exchange::Stimuli,
            300,
            2,
        )
        .unwrap()
    };
    let single = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    let several = rayon::ThreadPoolBuilder::new()
        .num_threads(3)
        .build()
        .unwrap();
    assert_eq!(single.install(test), several.install(test));
}

/// Share of 3,000 simulations without any information in which p <= 5 %.
fn false_positives(simulation: Simulation, exchange: Exchange) -> [f64; 2] {
    let null = Simulation {
        information: 0.0,
        subject_sd: 0.0,
        ..simulation
    };
    let mut found = [0; 2];
    for seed in 0..3_000 {
        let data = null.draw(seed);
        let test = fixed_predictions(
            data.a.view(),
            data.targets.view(),
            &data.samples,
            exchange,
            199,
            1_000_000 + seed,
        )
        .unwrap();
        for (found, metric) in found
            .iter_mut()
            .zip([test.scores.average_precision, test.scores.roc_auc])
        {
            *found += usize::from(metric.overall.unwrap().p <= 0.05);
        }
    }
    found.map(|found| found as f64 / 3_000.0)
}

#[test]
fn five_percent_of_null_data_are_significant() {
    let alone = Simulation {
        subjects: 5,
        stimuli: 60,
        ..Simulation::default()
    };
    // Stimuli of a group share most of their signal and their labels.
    let clips = Simulation {
        per_group: 4,
        group_share: 0.8,
        stimuli: 80,
        ..alone
    };
    let cases = [
        ("stimuli", alone, Exchange::Stimuli),
        ("groups", clips, Exchange::Groups),
    ];
    for (what, simulation, exchange) in cases {
        let rates = false_positives(simulation, exchange);
        eprintln!("{what}: AP {:.4}, AUC {:.4}", rates[0], rates[1]);
        for rate in rates {
            assert!((0.035..=0.065).contains(&rate), "{what}: {rate}");
        }
    }
}

#[test]
fn the_design_says_what_may_change_places() {
    assert_eq!(Exchange::of(&[3, 1, 2], &[]), Exchange::Stimuli);
    let clips: Vec<usize> = (0..20).map(|second| second / 4).collect();
    assert_eq!(Exchange::of(&clips, &[]), Exchange::Groups);
    assert_eq!(Exchange::of(&[0, 0, 0, 1, 1, 2], &[]), Exchange::Shift);
    assert_eq!(Exchange::of(&[0, 0, 1, 1], &[]), Exchange::Shift);
    assert_eq!(Exchange::of(&[0, 1, 0, 1], &[]), Exchange::Groups);
    let runs = [0, 0, 0, 1, 1, 1];
    let one_each = [0, 1, 2, 1, 2, 0].map(|label| vec![label]);
    assert_eq!(Exchange::of(&runs, &one_each), Exchange::Blocks);
    // A stimulus of two labels, a group of one kind: no runs of blocks.
    let mut two = one_each.clone();
    two[0] = vec![0, 1];
    let of_a_kind = [0, 0, 0, 1, 1, 1].map(|label| vec![label]);
    assert_eq!(Exchange::of(&runs, &two), Exchange::Shift);
    assert_eq!(Exchange::of(&runs, &of_a_kind), Exchange::Shift);
}

/// Seconds that resemble their neighbours (first-order autoregression), in clips of unequal length, seen by two subjects
/// whose scores share what they do not owe to the labels.
#[test]
fn five_percent_of_null_films_are_significant() {
    let (seconds, subjects, repeats) = (400, 2, 2_000);
    let drawn = |seed: u64| -> bool {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut film = || -> Vec<f64> {
            let mut last = 0.0;
            let mut next = || {
                let noise: f64 = (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
                last = 0.9 * last + noise;
                last
            };
            (0..50).for_each(|_| {
                next();
            });
            (0..seconds).map(|_| next()).collect()
        };
        let (labels, shared) = (film(), film());
        let own: Vec<Vec<f64>> = (0..subjects).map(|_| film()).collect();
        let rows = subjects * seconds;
        let scores = Array2::from_shape_fn((rows, 1), |(row, _)| {
            shared[row % seconds] + own[row / seconds][row % seconds]
        });
        let targets =
            Array2::from_shape_fn((rows, 1), |(row, _)| u8::from(labels[row % seconds] > 1.5));
        let subject: Vec<usize> = (0..rows).map(|row| row / seconds).collect();
        let stimulus: Vec<usize> = (0..rows).map(|row| row % seconds).collect();
        let clip: Vec<usize> = stimulus
            .iter()
            .map(|second| [0, 1, 1, 2][second / 100])
            .collect();
        let samples = Samples::new(&subject, &stimulus, &clip).unwrap();
        let test = fixed_predictions(
            scores.view(),
            targets.view(),
            &samples,
            Exchange::Shift,
            199,
            seed,
        );
        test.unwrap()
            .scores
            .roc_auc
            .overall
            .is_ok_and(|test| test.p <= 0.05)
    };
    let found = (0..repeats)
        .into_par_iter()
        .filter(|seed| drawn(*seed))
        .count();
    let rate = found as f64 / repeats as f64;
    eprintln!("shifts: {rate}");
    assert!((0.035..=0.065).contains(&rate), "{rate}");
}

/// A whole pipeline, trained on half of the stimuli (difference of mean responses with and without the label) and tested on
/// the others, retrained on relabelled stimuli: responses say nothing of the labels.
#[test]
fn five_percent_of_null_pipelines_are_significant() {
    let (stimuli, voxels, repeats) = (60, 4, 3_000);
    let significant = |seed: u64| -> bool {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let responses = Array2::from_shape_fn((stimuli, voxels), |_| {
            (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0
        });
        let labels: Vec<u8> = (0..stimuli)
            .map(|_| u8::from(rng.random_bool(0.3)))
            .collect();
        let pipeline = |labels: &[u8]| -> f64 {
            let half = stimuli / 2;
            let mean = |wanted: u8| {
                let own: Vec<usize> = (0..half).filter(|&s| labels[s] == wanted).collect();
                responses.select(Axis(0), &own).mean_axis(Axis(0))
            };
            let (Some(with), Some(without)) = (mean(1), mean(0)) else {
                return 0.5;
            };
            let weights = with - without;
            let scores: Vec<f64> = (half..stimuli)
                .map(|s| responses.row(s).dot(&weights))
                .collect();
            let scores = Array2::from_shape_vec((half, 1), scores).unwrap();
            let targets = Array2::from_shape_vec((half, 1), labels[half..].to_vec()).unwrap();
            let scored = score(scores.view(), targets.view(), Undefined::Exclude).unwrap();
            scored.macro_roc_auc.unwrap_or(0.5)
        };
        let groups: Vec<usize> = (0..stimuli).collect();
        let null: Vec<f64> = (0..19)
            .map(|index| {
                let taken = relabelling(&groups, &[], Exchange::Stimuli, 1_000_000 + seed, index);
                pipeline(
                    &taken
                        .iter()
                        .map(|&source| labels[source])
                        .collect::<Vec<u8>>(),
                )
            })
            .collect();
        retrained_p_value(pipeline(&labels), &null).unwrap() <= 0.05
    };
    let found = (0..repeats)
        .into_par_iter()
        .filter(|seed| significant(*seed))
        .count();
    let rate = found as f64 / repeats as f64;
    eprintln!("retrained: {rate}");
    assert!((0.035..=0.065).contains(&rate), "{rate}");
}

/// Exchanging stimuli that depend on each other finds information where there is none: why [`Exchange`] is asked for.
#[test]
fn the_wrong_exchange_finds_too_much() {
    let clips = Simulation {
        subjects: 5,
        stimuli: 80,
        per_group: 4,
        group_share: 0.8,
        stimulus_sd: 2.0,
        ..Simulation::default()
    };
    let rates = false_positives(clips, Exchange::Stimuli);
    eprintln!("stimuli in place of groups: {rates:?}");
    assert!(rates.iter().all(|rate| *rate > 0.1), "{rates:?}");
}
