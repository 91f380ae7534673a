//! Stacked regressions: one prediction of several (Breiman 1996), for regions of the brain (Lin, Naselaris & Kay 2023).

use ndarray::{Array1, Array2, ArrayView2};

use crate::{Error, Result};

/// How strongly weights are drawn to equal ones, in units of a prediction's mean square.
const SHRINKAGE: f64 = 0.03;

/// Rounds of coordinate descent, and the change of a weight, relative to an equal one, that ends them.
const ROUNDS: usize = 10_000;
const REST: f64 = 1e-12;

/// Weights, none below 0, of `predictions` whose sum comes nearest to `truth`, all \[rows, targets\] and each a deviation
/// from a mean: they minimise ‖truth - Σ w·p‖² + λ‖w - 1/n‖², λ being .03 times the mean of ‖p‖². Predictions should be of
/// rows that were not fitted on. Where no prediction varies, weights are equal.
///
/// # Errors
/// No prediction, one of another shape, or a value that is not finite.
pub fn weights(predictions: &[ArrayView2<f64>], truth: ArrayView2<f64>) -> Result<Array1<f64>> {
    let count = predictions.len();
    if count == 0 {
        return Err(Error::Empty {
            what: "predictions",
            found: vec![0],
        });
    }
    crate::ridge::finite("truth", truth)?;
    for prediction in predictions {
        if prediction.dim() != truth.dim() {
            return Err(Error::Shape {
                what: "predictions",
                expected: truth.shape().to_vec(),
                found: prediction.shape().to_vec(),
            });
        }
        crate::ridge::finite("predictions", *prediction)?;
    }
    let product = |a: ArrayView2<f64>, b: ArrayView2<f64>| -> f64 {
        a.iter().zip(b.iter()).map(|(a, b)| a * b).sum()
    };
    let mut gram = Array2::from_shape_fn((count, count), |(a, b)| match a <= b {
        true => product(predictions[a], predictions[b]),
        false => 0.0,
    });
    for a in 0..count {
        for b in 0..a {
            gram[[a, b]] = gram[[b, a]];
        }
    }
    let equal = (count as f64).recip();
    let penalty = SHRINKAGE * gram.diag().sum() * equal;
    if penalty <= 0.0 {
        return Ok(Array1::from_elem(count, equal));
    }
    let right: Vec<f64> = (predictions.iter())
        .map(|prediction| product(*prediction, truth) + penalty * equal)
        .collect();
    let mut weights = Array1::from_elem(count, equal);
    for _ in 0..ROUNDS {
        let mut moved = 0.0_f64;
        for (place, right) in right.iter().enumerate() {
            let others = gram.row(place).dot(&weights) - gram[[place, place]] * weights[place];
            let best = ((right - others) / (gram[[place, place]] + penalty)).max(0.0);
            moved = moved.max((best - weights[place]).abs());
            weights[place] = best;
        }
        if moved <= REST * equal {
            break;
        }
    }
    Ok(weights)
}
