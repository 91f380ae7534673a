//! Shares of two predictions against the definition of the loss, and what they are for.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use mused_stats::{Error, contrast, stacking};
use ndarray::{Array1, Array2, Axis};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn drawn(rows: usize, columns: usize, seed: u64) -> Array2<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Array2::from_shape_simple_fn((rows, columns), || rng.random_range(-1.7..1.7))
}

fn unit(rows: &Array2<f64>) -> Array2<f64> {
    let length = rows
        .mapv(|value| value * value)
        .sum_axis(Axis(1))
        .mapv(f64::sqrt);
    rows / &length.insert_axis(Axis(1))
}

/// The loss of a share, from its definition.
fn loss(share: f64, p: &Array2<f64>, q: &Array2<f64>, items: &Array2<f64>, own: &[usize]) -> f64 {
    let points = unit(&(unit(p) * (1.0 - share) + unit(q) * share));
    let cosines = points.dot(&unit(items).t());
    let of = |sharpness: f64| -> f64 {
        let rows = cosines.rows().into_iter().zip(own);
        rows.map(|(row, &own)| {
            row.mapv(|cosine| (sharpness * cosine).exp()).sum().ln() - sharpness * row[own]
        })
        .sum()
    };
    [4.0, 8.0, 16.0, 32.0, 64.0]
        .map(of)
        .into_iter()
        .fold(f64::INFINITY, f64::min)
}

#[test]
fn the_share_has_the_lowest_loss() {
    let items = drawn(30, 12, 1);
    let own: Vec<usize> = (0..60).map(|row| row % 30).collect();
    let truth = items.select(Axis(0), &own);
    for (noise, other, seed) in [(2.0, 2.0, 2), (1.0, 3.0, 3), (4.0, 1.0, 4), (0.1, 9.0, 5)] {
        let p = &truth + drawn(60, 12, seed) * noise;
        let q = &truth * 7.0 + drawn(60, 12, seed + 10) * other * 7.0;
        let found = contrast::share(p.view(), q.view(), items.view(), &own).unwrap();
        let shares = (0..=10).map(|share| f64::from(share) / 10.0);
        let best = shares.min_by(|a, b| {
            let of = |share: &f64| loss(*share, &p, &q, &items, &own);
            of(a).total_cmp(&of(b))
        });
        assert_eq!(found, best.unwrap(), "{noise} {other}");
    }
}

/// A prediction that is right about the one value most of the variance is in, and says nothing else, lowers squared errors a lot
/// and tells no item from another.
#[test]
fn what_tells_nothing_apart_has_no_share() {
    let mut items = drawn(200, 20, 1);
    items
        .column_mut(0)
        .mapv_inplace(|value| value.signum() * 6.0);
    let own: Vec<usize> = (0..200).collect();
    let mut noise = drawn(200, 20, 2);
    noise.column_mut(0).mapv_inplace(|value| value * 6.0);
    let detailed = &items + noise * 0.5;
    let mut broad = drawn(200, 20, 3) * 0.5;
    broad.column_mut(0).assign(&items.column(0));
    let weights = stacking::weights(&[detailed.view(), broad.view()], items.view()).unwrap();
    assert!(weights[1] > 0.3, "{weights}");
    let mut level = Array1::ones(20);
    level[0] = 0.05;
    let weighed = |rows: &Array2<f64>| rows * &level;
    let (p, q, items) = (weighed(&detailed), weighed(&broad), weighed(&items));
    let found = contrast::share(p.view(), q.view(), items.view(), &own).unwrap();
    assert!(found <= 0.1, "{found}");
}

/// More rows and items than are compared: the same answer for what is as clear.
#[test]
fn many_rows_and_items_are_sampled() {
    let items = drawn(3000, 6, 1);
    let own: Vec<usize> = (0..6000).map(|row| row / 2).collect();
    let truth = items.select(Axis(0), &own);
    let noise = drawn(6000, 6, 2) * 3.0;
    let worse = &truth + &noise;
    let share = |p: &Array2<f64>, q: &Array2<f64>| {
        contrast::share(p.view(), q.view(), items.view(), &own).unwrap()
    };
    assert_eq!(share(&truth, &worse), 0.0);
    assert_eq!(share(&worse, &truth), 1.0);
}

#[test]
fn what_does_not_fit_is_refused() {
    let rows = drawn(4, 3, 1);
    let share = |q: &Array2<f64>, items: &Array2<f64>, own: &[usize]| {
        contrast::share(rows.view(), q.view(), items.view(), own)
    };
    let items = drawn(5, 3, 2);
    assert!(matches!(
        share(&drawn(3, 3, 3), &items, &[0; 4]),
        Err(Error::Shape { .. })
    ));
    assert!(matches!(
        share(&rows, &drawn(5, 2, 3), &[0; 4]),
        Err(Error::Shape { .. })
    ));
    assert!(matches!(
        share(&rows, &items, &[0; 3]),
        Err(Error::Shape { .. })
    ));
    assert!(matches!(
        share(&rows, &items, &[0, 1, 2, 5]),
        Err(Error::Shape { .. })
    ));
    let nan = Array2::from_elem((4, 3), f64::NAN);
    assert!(matches!(
        share(&nan, &items, &[0; 4]),
        Err(Error::NotFinite { .. })
    ));
    // Nothing predicted: nothing to choose by.
    let zeros = Array2::zeros((4, 3));
    let found = contrast::share(zeros.view(), zeros.view(), items.view(), &[0; 4]);
    assert_eq!(found, Ok(0.0));
    // Shares of what is the same twice are equal but for rounding.
    assert_eq!(share(&rows, &items, &[0; 4]), Ok(0.0));
}
