//! Patterns of linear decoders against numpy, and against maps that were planted.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use mused_stats::decoding_patterns::DecodingPatterns;
use mused_stats::ridge;
use ndarray::{Array2, Axis, array, concatenate};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn responses() -> Array2<f64> {
    array![
        [1.0, 2.0, 0.0],
        [0.0, 1.0, 1.0],
        [3.0, 0.0, 2.0],
        [2.0, 2.0, 2.0],
        [1.0, 0.0, 1.0],
        [0.0, 3.0, 1.0]
    ]
}

fn near(found: &Array2<f64>, expected: &Array2<f64>) {
    let differences = (found - expected).mapv(f64::abs);
    let worst = differences.iter().copied().fold(0.0, f64::max);
    assert!(worst < 1e-8, "{found:?}");
}

#[test]
fn patterns_are_numpys() {
    let x = responses();
    let w = array![[0.5, -0.2], [0.1, 0.3], [-0.4, 0.6]];
    let decoded = x.dot(&w) + array![7.0, -3.0];
    let mut sums = DecodingPatterns::new(3, 2);
    for (x, decoded) in x
        .axis_chunks_iter(Axis(0), 4)
        .zip(decoded.axis_chunks_iter(Axis(0), 4))
    {
        sums.add(x, decoded).unwrap();
    }
    // S = X @ W + [7, -3]; np.cov(X.T) @ W @ np.linalg.inv(np.cov(S.T)) * S.std(0, ddof=1)
    let expected = array![
        [0.98681082, 0.13267561],
        [0.18833126, 0.92347476],
        [0.23477131, 0.3967132]
    ];
    near(&sums.patterns().unwrap(), &expected);

    // One label too many, and one that is never anything else.
    let last = decoded
        .sum_axis(Axis(1))
        .mapv(|sum| 1.0 - sum)
        .insert_axis(Axis(1));
    let constant = Array2::from_elem((6, 1), 0.3);
    let all = concatenate![Axis(1), decoded, last, constant];
    let mut sums = DecodingPatterns::new(3, 4);
    sums.add(x.view(), all.view()).unwrap();
    // (X - X.mean(0)).T @ Z / 5 @ np.linalg.pinv(np.corrcoef(S.T)), Z = (S - S.mean(0)) / S.std(0, ddof=1)
    let expected = array![
        [0.68376734, -0.22122541, -0.35905339, 0.0],
        [-0.14789857, 0.53081798, -0.3983734, 0.0],
        [0.04949198, 0.18033982, -0.21952352, 0.0]
    ];
    near(&sums.patterns().unwrap(), &expected);
}

#[test]
fn one_sample_or_other_shapes_are_refused() {
    let mut sums = DecodingPatterns::new(3, 2);
    let one = responses().select(Axis(0), &[0]);
    sums.add(one.view(), Array2::zeros((1, 2)).view()).unwrap();
    assert!(sums.patterns().is_err());
    assert!(
        sums.add(one.view(), Array2::zeros((2, 2)).view()).is_err()
            && sums.add(one.view(), Array2::zeros((1, 3)).view()).is_err()
    );
}

fn normal(random: &mut ChaCha8Rng) -> f64 {
    let uniforms: f64 = (0..12).map(|_| random.random_range(0.0..1.0)).sum();
    uniforms - 6.0
}

fn correlation(a: ndarray::ArrayView1<f64>, b: ndarray::ArrayView1<f64>) -> f64 {
    let (a, b) = (&a - a.mean().unwrap(), &b - b.mean().unwrap());
    a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt()
}

/// 60 voxels in which four labels lie as bumps over noise that neighbours share, 300 samples: correlation with the planted
/// maps of what ridge regression weighs, and of its patterns, mean over labels and 20 simulations.
#[test]
fn patterns_recover_planted_maps_better_than_weights() {
    const VOXELS: usize = 60;
    const LABELS: usize = 4;
    let bump = |voxel: usize, centre: f64, width: f64| {
        (-((voxel as f64 - centre) / width).powi(2) / 2.0).exp()
    };
    let planted = Array2::from_shape_fn((LABELS, VOXELS), |(label, voxel)| {
        bump(voxel, 8.0 + 14.0 * label as f64, 3.0)
    });
    let shared = Array2::from_shape_fn((20, VOXELS), |(source, voxel)| {
        bump(voxel, 3.0 * source as f64, 4.0)
    });
    let (mut of_weights, mut of_patterns) = (0.0, 0.0);
    for seed in 0..20 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let labels = Array2::from_shape_fn((300, LABELS), |_| f64::from(random.random_range(0..2)));
        let noise = Array2::from_shape_fn((300, 20), |_| normal(&mut random)).dot(&shared);
        let own = Array2::from_shape_fn((300, VOXELS), |_| 0.5 * normal(&mut random));
        let responses = labels.dot(&planted) + noise + own;
        let parts: Vec<usize> = (0..300).map(|row| row % 6).collect();
        let model = ridge::cross_fit(responses.view(), labels.view(), &[LABELS], &parts);
        let model = model.unwrap().model;
        let mut sums = DecodingPatterns::new(VOXELS, LABELS);
        let decoded = model.predict(responses.view());
        sums.add(responses.view(), decoded.view()).unwrap();
        let patterns = sums.patterns().unwrap();
        for label in 0..LABELS {
            let map = planted.row(label);
            of_weights += correlation(model.weights.column(label), map);
            of_patterns += correlation(patterns.column(label), map);
        }
    }
    let [of_weights, of_patterns] = [of_weights, of_patterns].map(|sum| sum / (20 * LABELS) as f64);
    println!("weights {of_weights:.3}, patterns {of_patterns:.3}");
    assert!(
        of_patterns > 0.8 && of_weights < 0.5,
        "{of_weights} {of_patterns}"
    );
}
