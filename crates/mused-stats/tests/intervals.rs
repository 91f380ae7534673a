//! Coverage of intervals.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod simulation;

use mused_stats::interval::*;
use rayon::prelude::*;
use simulation::Simulation;

const REPEATS: u64 = 1_000;
const OTHERS: u64 = 400;

/// Share of simulations whose interval holds the score expected of their size, by metric.
fn coverage(simulation: Simulation) -> [f64; 2] {
    let intervals: Vec<[Interval; 2]> = (0..REPEATS)
        .into_par_iter()
        .map(|seed| {
            let data = simulation.draw(seed);
            let found = score_interval(data.a.view(), data.targets.view(), &data.samples).unwrap();
            [found.average_precision.unwrap(), found.roc_auc.unwrap()]
        })
        .collect();
    // The expectation over other simulations: estimates of the same ones would be nearer to their own mean.
    let others: Vec<[f64; 2]> = (0..OTHERS)
        .into_par_iter()
        .map(|seed| {
            let data = simulation.draw(1_000_000 + seed);
            let found = score_interval(data.a.view(), data.targets.view(), &data.samples).unwrap();
            [found.average_precision, found.roc_auc].map(|interval| interval.unwrap().estimate)
        })
        .collect();
    std::array::from_fn(|metric| {
        let truth = others.iter().map(|pair| pair[metric]).sum::<f64>() / OTHERS as f64;
        let holds = |pair: &&[Interval; 2]| (pair[metric].low..=pair[metric].high).contains(&truth);
        intervals.iter().filter(holds).count() as f64 / REPEATS as f64
    })
}

#[test]
fn intervals_of_scores_cover_95_percent() {
    let small = Simulation::default();
    let cases = [
        ("8 x 60", small),
        (
            "12 x 120",
            Simulation {
                subjects: 12,
                stimuli: 120,
                ..small
            },
        ),
        (
            "20 x 200",
            Simulation {
                subjects: 20,
                stimuli: 200,
                ..small
            },
        ),
        (
            "few effects of subjects",
            Simulation {
                subject_sd: 0.05,
                stimuli: 100,
                ..small
            },
        ),
        (
            "groups of 4",
            Simulation {
                subjects: 10,
                stimuli: 200,
                per_group: 4,
                group_share: 0.5,
                ..small
            },
        ),
    ];
    for (what, simulation) in cases {
        let rates = coverage(simulation);
        eprintln!("{what}: AP {:.3}, AUC {:.3}", rates[0], rates[1]);
        for rate in rates {
            assert!((0.93..=0.97).contains(&rate), "{what}: {rate}");
        }
    }
}
