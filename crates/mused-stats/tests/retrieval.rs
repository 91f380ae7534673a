//! Retrieval against its definition, item by item, and small numbers of numpy and scipy.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use mused_stats::retrieval::{
    Measure, Place, Places, Pool, Response, Score, above, gain, highest, mean_over_subjects, place,
    scores,
};
use mused_stats::{Error, Unavailable};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Counts every other item.
fn by_hand(similarities: &[f32], item: usize) -> Place {
    let others = similarities
        .iter()
        .enumerate()
        .filter(|(other, _)| *other != item);
    let own = similarities[item];
    Place {
        nearer: others.clone().filter(|(_, value)| **value > own).count() as u32,
        equal: others.clone().filter(|(_, value)| **value == own).count() as u32,
        others: others.count() as u32,
    }
}

/// The places of some items, the gallery counted in two parts.
fn places(similarities: &[f32], items: &[usize]) -> Vec<Place> {
    let own: Vec<f32> = items.iter().map(|&item| similarities[item]).collect();
    let mut places = Places::of(&own).unwrap();
    let (first, second) = similarities.split_at(similarities.len() / 3);
    places.count(first).unwrap();
    places.count(second).unwrap();
    places.found()
}

#[test]
fn places_are_those_of_counting() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for size in [1, 2, 3, 17, 200, 5000] {
        // Whole numbers: many ties. Then values that crowd in the middle, some of them far out.
        let ties: Vec<f32> = (0..size).map(|_| rng.random_range(0..9) as f32).collect();
        let crowd = |rng: &mut ChaCha8Rng| rng.random_range(-1.0_f32..1.0).powi(7) * 40.0;
        let crowded: Vec<f32> = (0..size).map(|_| crowd(&mut rng)).collect();
        for similarities in [ties, crowded] {
            let items: Vec<usize> = (0..size).step_by(2).collect();
            let expected = items.iter().map(|&item| by_hand(&similarities, item));
            let expected: Vec<Place> = expected.collect();
            assert_eq!(places(&similarities, &items), expected, "{size}");
            let single = items
                .iter()
                .map(|&item| place(&similarities, item).unwrap());
            assert_eq!(single.collect::<Vec<_>>(), expected, "{size}");
        }
    }
    let not_finite = |found| matches!(found, Err(Error::NotFinite { .. }));
    assert!(not_finite(place(&[0.0, f32::NAN], 0).map(|_| ())));
    assert!(not_finite(Places::of(&[f32::INFINITY]).map(|_| ())));
    assert!(not_finite(
        Places::of(&[0.5]).unwrap().count(&[0.5, f32::NAN])
    ));
    assert!(matches!(place(&[0.0, 1.0], 2), Err(Error::Shape { .. })));
}

/// The first of many, ties and few of them among them.
#[test]
fn the_highest_are_those_of_sorting() {
    let all: Vec<f32> = (0..500).map(|item| ((item * 73) % 41) as f32).collect();
    for (row, k) in [
        (&all[..], 0),
        (&all, 1),
        (&all, 10),
        (&all, 130),
        (&all[..5], 10),
    ] {
        let mut order: Vec<usize> = (0..row.len()).collect();
        order.sort_by(|a, b| row[*b].total_cmp(&row[*a]).then(a.cmp(b)));
        order.truncate(k);
        assert_eq!(highest(row, k), order, "{k}");
        let expected = (0..row.len()).filter(|&item| row[item] > k as f32);
        assert_eq!(
            above(row, k as f32).collect::<Vec<_>>(),
            expected.collect::<Vec<_>>()
        );
    }
}

/// `scipy.stats.rankdata(-s)[1]` of s = [3, 2, 2, 2, 1] is 3; of five orders of three ties, two thirds put it among the
/// first three.
#[test]
fn ties_count_half() {
    let place = place(&[3.0, 2.0, 2.0, 2.0, 1.0], 1).unwrap();
    assert_eq!(place.rank(), 3.0);
    assert_eq!(place.pairwise(), 0.5);
    assert!((place.within(3) - 2.0 / 3.0).abs() < 1e-12);
    assert_eq!(
        (place.within(1), place.within(4), place.within(9)),
        (0.0, 1.0, 1.0)
    );
    // A copy of it that is as near does not compete.
    assert_eq!(place.without(0, 1, 0).rank(), 2.5);
    assert_eq!(Place::default().pairwise(), 0.5);
}

fn responses(similarities: &[(usize, usize, [f32; 4])]) -> Vec<Response> {
    let response = |(subject, stimulus, row): &(usize, usize, [f32; 4])| Response {
        subject: *subject,
        pool: 0,
        stimulus: *stimulus,
        place: place(row, *stimulus).unwrap(),
        places: places(row, &[0, 1, 2, 3]),
    };
    similarities.iter().map(response).collect()
}

fn two_subjects() -> Vec<Response> {
    responses(&[
        (7, 0, [0.9, 0.1, 0.2, 0.3]),
        (7, 1, [0.5, 0.4, 0.2, 0.1]),
        (7, 2, [0.0, 0.4, 0.1, 0.3]),
        (7, 3, [0.2, 0.4, 0.1, 0.9]),
        (9, 0, [0.1, 0.9, 0.8, 0.7]),
        (9, 1, [0.2, 0.9, 0.1, 0.0]),
        (9, 2, [0.2, 0.9, 0.5, 0.6]),
        (9, 3, [0.2, 0.1, 0.3, 0.4]),
    ])
}

fn score(
    responses: &[Response],
    pools: &[Pool],
    measure: Measure,
    permutations: usize,
    seed: u64,
) -> Result<Score, Error> {
    let found = scores(responses, pools, &[measure], permutations, seed)?;
    Ok(found.into_iter().next().unwrap())
}

fn alone(stimuli: usize) -> Vec<Pool> {
    vec![Pool {
        groups: (0..stimuli).collect(),
    }]
}

/// Ranks are 1 2 3 1 and 4 1 3 1.
#[test]
fn measures_are_means_over_subjects_of_means_over_responses() {
    let (responses, pools) = (two_subjects(), alone(4));
    let of = |measure| score(&responses, &pools, measure, 0, 0).unwrap();
    assert_eq!(of(Measure::Top(1)).per_subject, [0.5, 0.5]);
    assert_eq!(of(Measure::Top(2)).per_subject, [0.75, 0.5]);
    let pairwise = of(Measure::Pairwise);
    let expected = [1.0 - 3.0 / 12.0, 1.0 - 5.0 / 12.0];
    for (found, expected) in pairwise.per_subject.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-12);
    }
    assert_eq!(pairwise.chance, 0.5);
    let ranks = of(Measure::MedianRank);
    assert_eq!(
        (ranks.per_subject, ranks.mean, ranks.chance),
        (vec![1.5, 2.0], 1.75, 2.5)
    );
    assert_eq!(of(Measure::Top(1)).chance, 0.25);
    assert_eq!(of(Measure::Top(9)).chance, 1.0);
    assert_eq!(pairwise.permutation, Err(Unavailable::NothingToExchange));
}

/// All 24 orders of four stimuli, counted one by one.
#[test]
fn p_is_the_share_of_orders_that_score_as_well() {
    let (responses, pools) = (two_subjects(), alone(4));
    let mean = |order: [usize; 4]| {
        let of = |subject: usize| -> f64 {
            let own = responses
                .iter()
                .filter(|response| response.subject == subject);
            own.map(|row| row.places[order[row.stimulus]].pairwise())
                .sum::<f64>()
                / 4.0
        };
        (of(7) + of(9)) / 2.0
    };
    let observed = mean([0, 1, 2, 3]);
    let (mut as_good, mut sum) = (0, 0.0);
    for code in 0..256_usize {
        let order = [code % 4, code / 4 % 4, code / 16 % 4, code / 64];
        let mut sorted = order;
        sorted.sort_unstable();
        if sorted == [0, 1, 2, 3] {
            as_good += usize::from(mean(order) >= observed - 1e-12);
            sum += mean(order);
        }
    }
    let expected = as_good as f64 / 24.0;
    let found = score(&responses, &pools, Measure::Pairwise, 20_000, 3).unwrap();
    let tested = found.permutation.unwrap();
    assert!(
        (tested.p - expected).abs() < 0.01,
        "{} {expected}",
        tested.p
    );
    assert!((tested.null_mean - sum / 24.0).abs() < 0.005);
    // Other measures beside it take nothing from it.
    let both = [Measure::MedianRank, Measure::Pairwise];
    let both = scores(&responses, &pools, &both, 20_000, 3).unwrap();
    assert_eq!(both.last(), Some(&found));
    // Low ranks are good ones.
    let ranks = score(&responses, &pools, Measure::MedianRank, 2000, 3).unwrap();
    assert!(ranks.permutation.unwrap().null_mean > ranks.mean);
    // Seconds of one film keep their neighbours.
    let film = [Pool { groups: vec![0; 4] }];
    let found = score(&responses, &film, Measure::Pairwise, 20_000, 3).unwrap();
    let turns = (0..4).map(|by| mean([0, 1, 2, 3].map(|stimulus| (stimulus + by) % 4)));
    let expected = turns.sum::<f64>() / 4.0;
    assert!((found.permutation.unwrap().null_mean - expected).abs() < 0.005);
}

/// MS = .01 of the means .8 and .9 over two subjects who each saw three stimuli; jackknife by hand.
#[test]
fn intervals_are_crossed() {
    let values = [1.0, 0.8, 0.6, 1.0, 0.9, 0.8];
    let (mean, interval) = mean_over_subjects(&values, &[1, 1, 1, 2, 2, 2], &[5, 6, 7, 5, 6, 7]);
    assert!((mean - 0.85).abs() < 1e-12);
    let interval = interval.unwrap();
    // Leaving a stimulus out: .7 .8 .9 and .85 .9 .95; covariance (G - 1)/G · Σ = 2/3 · .01 = .1 · .05 · 2 · 2/3.
    let variance: f64 = 0.005 / 2.0 + 2.0 / 3.0 * (0.1 * 0.05 + 0.1 * 0.05);
    assert!((interval.standard_error - variance.sqrt()).abs() < 1e-12);
    assert!(interval.high <= 1.0);
}

#[test]
fn a_gain_is_of_the_same_responses() {
    let (responses, pools) = (two_subjects(), alone(4));
    let mut worse = responses.clone();
    for row in &mut worse {
        row.place = Place {
            nearer: 3,
            equal: 0,
            others: 3,
        };
        // What is compared alone needs no others to change places with.
        row.places.clear();
    }
    let found = gain(&responses, &worse, &pools, Measure::MedianRank).unwrap();
    assert_eq!(found.per_subject, [2.5, 2.0]);
    let none = gain(&responses, &responses, &pools, Measure::Pairwise).unwrap();
    assert_eq!(none.interval, Err(Unavailable::NoVariation));
    assert!(gain(&responses, &worse[1..], &pools, Measure::Pairwise).is_err());
    let unexchanged = score(&worse, &pools, Measure::Pairwise, 100, 0).unwrap();
    assert_eq!(unexchanged.permutation, Err(Unavailable::NothingToExchange));
    assert!(score(&[], &pools, Measure::Pairwise, 0, 0).is_err());
    assert!(score(&responses, &alone(3), Measure::Pairwise, 0, 0).is_err());
}
