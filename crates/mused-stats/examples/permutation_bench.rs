//! Seconds for 10,000 relabellings of 80 labels × 7,674 samples of 8 subjects, AP and ROC-AUC together.
//! `bench/permutations.py` does the same in numpy and scikit-learn.
#![allow(missing_docs)]

use std::error::Error;
use std::time::Instant;

use mused_stats::Samples;
use mused_stats::permutation::{Exchange, fixed_predictions};
use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn main() -> Result<(), Box<dyn Error>> {
    let (rows, labels, subjects, prevalence) = (7_674, 80, 8, 0.036);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let subject: Vec<usize> = (0..rows).map(|row| row % subjects).collect();
    let stimulus: Vec<usize> = (0..rows).map(|row| row / subjects).collect();
    let samples = Samples::new(&subject, &stimulus, &vec![0; rows])?;
    let of_stimulus = Array2::from_shape_fn((rows.div_ceil(subjects), labels), |_| {
        u8::from(rng.random::<f64>() < prevalence)
    });
    let targets = Array2::from_shape_fn((rows, labels), |(row, label)| {
        of_stimulus[[stimulus[row], label]]
    });
    let scores = Array2::from_shape_fn((rows, labels), |_| rng.random::<f64>());
    for _ in 0..5 {
        let start = Instant::now();
        let test = fixed_predictions(
            scores.view(),
            targets.view(),
            &samples,
            Exchange::Stimuli,
            10_000,
            3,
        );
        let overall = test?.scores.average_precision.overall;
        let overall = overall.map_err(|reason| reason.to_string())?;
        println!("{:.3} s, p {:.4}", start.elapsed().as_secs_f64(), overall.p);
    }
    Ok(())
}
