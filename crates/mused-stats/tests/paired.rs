//! Comparisons of two runs: enumerated by hand, and under the null.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod simulation;

use mused_stats::interval::Population;
use mused_stats::paired::*;
use mused_stats::{Samples, Unavailable};
use ndarray::{Array2, array, s};
use rayon::prelude::*;
use simulation::{Data, Simulation};

const PERMUTATIONS: usize = 99;

fn compared(data: &Data, seed: u64) -> Difference {
    compare(
        &[data.a.view()],
        &[data.b.view()],
        data.targets.view(),
        &data.samples,
        PERMUTATIONS,
        seed,
    )
    .unwrap()
    .roc_auc
}

#[test]
fn two_subjects_by_hand() {
    // Run A is right for both subjects (AUC 1), run B for neither (AUC 0).
    let a = array![[0.9], [0.1], [0.8], [0.2]];
    let b = array![[0.1], [0.9], [0.2], [0.8]];
    let targets = array![[1], [0], [1], [0]];
    let samples = Samples::new(&[0, 0, 1, 1], &[5, 6, 5, 6], &[5, 6, 5, 6]).unwrap();
    let found = compare(
        &[a.view()],
        &[b.view()],
        targets.view(),
        &samples,
        PERMUTATIONS,
        0,
    )
    .unwrap()
    .roc_auc;
    assert_eq!(found.per_subject, [Some(1.0), Some(1.0)]);
    // Signs ++, -- of 4 are as large. Exchanging neither or both stimuli is as large; exchanging one ties all ranks.
    let (subjects, stimuli) = (found.over_subjects.unwrap(), found.over_stimuli.unwrap());
    assert_eq!(
        (subjects.p, subjects.smallest_p, subjects.exhaustive),
        (0.5, 0.5, true)
    );
    assert_eq!(
        (stimuli.p, stimuli.smallest_p, stimuli.attainable_log2),
        (0.5, 0.5, 2.0)
    );
    // Without one of two stimuli there is one class only.
    assert_eq!(found.interval.unwrap_err(), Unavailable::FewPositives);
}

#[test]
fn sign_flips_are_all_counted() {
    let data = Simulation {
        subjects: 7,
        advantage: 0.2,
        subject_difference_sd: 0.2,
        ..Simulation::default()
    }
    .draw(3);
    let found = compared(&data, 0);
    let d: Vec<f64> = found.per_subject.iter().flatten().copied().collect();
    let sum = |signs: u32| {
        (0..7)
            .map(|bit| {
                if signs >> bit & 1 == 1 {
                    -d[bit]
                } else {
                    d[bit]
                }
            })
            .sum::<f64>()
            .abs()
    };
    let as_large = (0..128)
        .filter(|&signs| sum(signs) >= sum(0) - 1e-12)
        .count();
    assert_eq!(found.over_subjects.unwrap().p, as_large as f64 / 128.0);
    assert_eq!(found.over_subjects.unwrap().smallest_p, 2.0 / 128.0);
}

#[test]
fn what_cannot_be_compared_is_said() {
    let one = Simulation {
        subjects: 1,
        ..Simulation::default()
    }
    .draw(0);
    let found = compared(&one, 0);
    assert_eq!(found.over_subjects, Err(Unavailable::OneSubject));
    assert_eq!(found.p_over_both, Err(Unavailable::OneSubject));
    assert_eq!(found.interval.unwrap().generalises_to, Population::Stimuli);

    let one_clip = Simulation {
        per_group: 60,
        ..Simulation::default()
    }
    .draw(0);
    let found = compared(&one_clip, 0);
    assert_eq!(found.over_stimuli, Err(Unavailable::OneGroup));
    assert_eq!(found.p_over_both, Err(Unavailable::OneGroup));
    assert_eq!(found.interval.unwrap().generalises_to, Population::Subjects);

    let mut same = Simulation::default().draw(0);
    same.b.assign(&same.a);
    let found = compared(&same, 0);
    assert_eq!(found.interval, Err(Unavailable::NoVariation));
    assert_eq!(
        (
            found.over_subjects.unwrap().p,
            found.over_stimuli.unwrap().p
        ),
        (1.0, 1.0)
    );

    let nothing = Array2::zeros(same.targets.dim());
    let found = compare(
        &[same.a.view()],
        &[same.b.view()],
        nothing.view(),
        &same.samples,
        PERMUTATIONS,
        0,
    )
    .unwrap()
    .roc_auc;
    assert_eq!(found.over_stimuli, Err(Unavailable::NotScorable));
    assert_eq!(found.interval, Err(Unavailable::NotScorable));
}

#[test]
fn seeds_are_averaged_and_labels_compared_one_by_one() {
    let data = Simulation::default().draw(0);
    let (a, b) = (data.a.view(), data.b.view());
    let targets = data.targets.view();
    let all = |a: &[_], b: &[_]| compare(a, b, targets, &data.samples, PERMUTATIONS, 0);
    let once = all(&[a], &[b]).unwrap();
    assert_eq!(all(&[a, a], &[b, b]).unwrap(), once);
    // The difference of A from the mean of A and B is half of that from B.
    let half = all(&[a, a], &[a, b]).unwrap().roc_auc.interval.unwrap();
    let whole = once.roc_auc.interval.unwrap();
    assert!((half.estimate - whole.estimate / 2.0).abs() < 1e-12);
    assert!((half.standard_error - whole.standard_error / 2.0).abs() < 1e-12);
    assert!(all(&[a], &[]).is_err());

    let labels = compare_labels(&[a], &[b], targets, &data.samples).unwrap();
    assert_eq!(labels.roc_auc.len(), targets.ncols());
    for (label, found) in labels.roc_auc.iter().enumerate() {
        let column = s![.., label..label + 1];
        let (a, b) = (a.slice(column), b.slice(column));
        let targets = targets.slice(column);
        let alone = compare(&[a], &[b], targets, &data.samples, PERMUTATIONS, 0).unwrap();
        let found = found.unwrap();
        assert_eq!(Ok(found.interval), alone.roc_auc.interval);
        assert_eq!(found.p_over_both, alone.roc_auc.p_over_both);
    }
}

/// Over 1,000 simulations of runs that are equally good: shares of p <= 5 % over subjects, stimuli and both, and of
/// 95 % intervals that hold 0.
fn rates(simulation: Simulation) -> [f64; 4] {
    let repeats = 1_000;
    let counts = (0..repeats)
        .into_par_iter()
        .map(|seed| {
            let found = compared(&simulation.draw(seed), 1_000_000 + seed);
            let interval = found.interval.unwrap();
            [
                found.over_subjects.unwrap().p <= 0.05,
                found.over_stimuli.unwrap().p <= 0.05,
                found.p_over_both.unwrap() <= 0.05,
                interval.low <= 0.0 && interval.high >= 0.0,
            ]
            .map(usize::from)
        })
        .reduce(|| [0; 4], |a, b| std::array::from_fn(|at| a[at] + b[at]));
    counts.map(|count| count as f64 / repeats as f64)
}

#[test]
fn five_percent_of_equal_runs_differ() {
    let base = Simulation::default();
    // Differences between subjects alone: stimuli have no effect that subjects share.
    let subjects = Simulation {
        stimulus_sd: 0.0,
        subject_difference_sd: 0.3,
        ..base
    };
    // Differences between stimuli alone; run B on another scale.
    let stimuli = Simulation {
        scale_of_b: 0.2,
        ..base
    };
    let both = Simulation {
        subjects: 10,
        stimuli: 100,
        subject_difference_sd: 0.3,
        ..base
    };
    let clips = Simulation {
        stimuli: 120,
        per_group: 3,
        group_share: 0.6,
        ..base
    };
    for (what, simulation, tests) in [
        ("subjects", subjects, &[0][..]),
        ("stimuli", stimuli, &[1]),
        ("both", both, &[2]),
        ("clips", clips, &[1]),
    ] {
        let rates = rates(simulation);
        eprintln!("{what}: {rates:?}");
        for &test in tests {
            assert!((0.035..=0.065).contains(&rates[test]), "{what}: {rates:?}");
        }
        if what == "both" {
            assert!((0.93..=0.97).contains(&rates[3]), "{what}: {rates:?}");
        }
    }
}
