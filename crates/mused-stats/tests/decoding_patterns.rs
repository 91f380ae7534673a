//! Patterns of linear decoders against numpy, and against maps that were planted.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use mused_stats::decoding_patterns::DecodingPatterns;
use mused_stats::ridge;
use ndarray::{Array2, Axis, array};
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
    // S = X @ W + [7, -3]; np.cov(X.T) @ W / S.std(0, ddof=1)
    let expected = array![
        [0.93227832, -0.27292471],
        [-0.19123658, 0.84606659],
        [0.07171372, 0.30021718]
    ];
    near(&sums.patterns().unwrap(), &expected);

    // Decoded as the same everywhere, but for rounding.
    let constant = Array2::from_shape_fn((6, 1), |(row, _)| 0.3 + 1e-17 * row as f64);
    let mut sums = DecodingPatterns::new(3, 1);
    sums.add(x.view(), constant.view()).unwrap();
    near(&sums.patterns().unwrap(), &Array2::zeros((3, 1)));
}

#[test]
fn one_sample_or_other_shapes_are_refused() {
    let mut sums = DecodingPatterns::new(3, 2);
    let one = responses().select(Axis(0), &[0]);
    sums.add(one.view(), Array2::zeros((1, 2)).view()).unwrap();
    assert!(sums.clone().patterns().is_err());
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

/// Voxels in which labels lie as bumps over noise that neighbours share: correlation with the planted maps of what ridge
/// regression weighs, and of its patterns, mean over labels and 10 simulations.
fn recovered(labels: usize, samples: usize, prevalence: f64) -> [f64; 2] {
    const VOXELS: usize = 60;
    let bump = |voxel: usize, centre: f64, width: f64| {
        (-((voxel as f64 - centre) / width).powi(2) / 2.0).exp()
    };
    let step = 54.0 / (labels - 1) as f64;
    let planted = Array2::from_shape_fn((labels, VOXELS), |(label, voxel)| {
        bump(voxel, 3.0 + step * label as f64, 3.0)
    });
    let shared = Array2::from_shape_fn((20, VOXELS), |(source, voxel)| {
        bump(voxel, 3.0 * source as f64, 4.0)
    });
    let mut sums = [0.0; 2];
    for seed in 0..10 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let shown = Array2::from_shape_fn((samples, labels), |_| {
            f64::from(u8::from(random.random_range(0.0..1.0) < prevalence))
        });
        let noise = Array2::from_shape_fn((samples, 20), |_| normal(&mut random)).dot(&shared);
        let own = Array2::from_shape_fn((samples, VOXELS), |_| 0.5 * normal(&mut random));
        let responses = shown.dot(&planted) + noise + own;
        let parts: Vec<usize> = (0..samples).map(|row| row % 6).collect();
        let model = ridge::cross_fit(responses.view(), shown.view(), &[labels], &parts);
        let model = model.unwrap().model;
        let mut found = DecodingPatterns::new(VOXELS, labels);
        let decoded = model.predict(responses.view());
        found.add(responses.view(), decoded.view()).unwrap();
        let patterns = found.patterns().unwrap();
        for label in 0..labels {
            let map = planted.row(label);
            sums[0] += correlation(model.weights.column(label), map);
            sums[1] += correlation(patterns.column(label), map);
        }
    }
    sums.map(|sum| sum / (10 * labels) as f64)
}

#[test]
fn patterns_recover_planted_maps_better_than_weights() {
    for (labels, samples, prevalence) in [(4, 300, 0.5), (40, 400, 0.2)] {
        let [weights, patterns] = recovered(labels, samples, prevalence);
        println!(
            "{labels} labels, {samples} samples: weights {weights:.2}, patterns {patterns:.2}"
        );
        assert!(
            patterns > 0.75 && patterns > weights + 0.3,
            "{weights} {patterns}"
        );
    }
}
