//! t-distributed stochastic neighbour embedding (van der Maaten & Hinton 2008), exact.

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

use crate::pca::Pca;
use crate::{Error, Result};

/// Effective number of neighbours; fewer where there are less than three times as many rows.
const PERPLEXITY: f64 = 30.0;
const STEPS: usize = 1000;
/// Steps in which similarities count [`EXAGGERATION`] times, so that clusters form.
const EXAGGERATED: usize = 250;
const EXAGGERATION: f64 = 12.0;
/// Standard deviation of the first direction at the start.
const START: f64 = 1e-4;

/// Places in the plane \[rows, 2\] with neighbours as in `rows` \[rows, features\].
///
/// Starts from the first two principal components, so that nothing is random; settings are scikit-learn's: perplexity
/// 30, early exaggeration 12, learning rate rows / 48 or 50. Time and memory grow with the square of the rows.
///
/// # Errors
/// Fewer than four rows, rows that span fewer than two directions, a value that is not finite.
pub fn tsne(rows: ArrayView2<f64>) -> Result<Array2<f64>> {
    let count = rows.nrows();
    let pca = Pca::fit(rows, 2)?;
    if count < 4 || pca.components.nrows() < 2 {
        return Err(Error::Empty {
            what: "rows that span two directions",
            found: rows.shape().to_vec(),
        });
    }
    let start = (&rows - &pca.mean).dot(&pca.components.t());
    let mut places = start * (START / pca.variances[0].sqrt());
    let alike = similarities(rows);
    let rate = (count as f64 / EXAGGERATION / 4.0).max(50.0);
    let mut speed: Array2<f64> = Array2::zeros(places.dim());
    let mut gains: Array2<f64> = Array2::ones(places.dim());
    for step in 0..STEPS {
        let (weight, momentum) = match step < EXAGGERATED {
            true => (EXAGGERATION, 0.5),
            false => (1.0, 0.8),
        };
        let gradient = gradient(&places, &alike, weight);
        for ((place, speed), (gain, gradient)) in
            (places.iter_mut().zip(&mut speed)).zip(gains.iter_mut().zip(&gradient))
        {
            // Faster where the direction lasts (Jacobs 1988).
            *gain = match *speed * gradient < 0.0 {
                true => *gain + 0.2,
                false => (*gain * 0.8).max(0.01),
            };
            *speed = momentum * *speed - rate * *gain * gradient;
            *place += *speed;
        }
    }
    Ok(places)
}

/// Kullback-Leibler divergence of the similarities of `places` \[rows, 2\] from those of `rows`: what [`tsne`] makes small.
pub fn tsne_divergence(rows: ArrayView2<f64>, places: ArrayView2<f64>) -> f64 {
    let alike = similarities(rows);
    let near = nearness(&places.to_owned());
    let sum = near.sum();
    let terms = alike.iter().zip(&near).map(|(p, near)| match *p > 0.0 {
        true => p * (p / (near / sum).max(f64::EPSILON)).ln(),
        false => 0.0,
    });
    terms.sum()
}

/// Symmetric similarities of all pairs, which sum to 1.
fn similarities(rows: ArrayView2<f64>) -> Array2<f64> {
    let count = rows.nrows();
    let neighbours = PERPLEXITY.min((count as f64 - 1.0) / 3.0);
    let of_row = |row: usize| -> Vec<f64> {
        let squares: Vec<f64> = (rows.outer_iter())
            .map(|other| (&rows.row(row) - &other).mapv(|x| x * x).sum())
            .collect();
        conditional(&squares, row, neighbours.ln())
    };
    let given: Vec<f64> = (0..count).into_par_iter().flat_map_iter(of_row).collect();
    Array2::from_shape_fn((count, count), |(a, b)| {
        (given[a * count + b] + given[b * count + a]) / (2.0 * count as f64)
    })
}

/// Probabilities of neighbours of a row, with the width of the Gaussian at which their entropy is as given.
fn conditional(squares: &[f64], row: usize, entropy: f64) -> Vec<f64> {
    let nearest = (squares.iter().enumerate())
        .filter(|(other, _)| *other != row)
        .map(|(_, square)| *square)
        .fold(f64::INFINITY, f64::min);
    let (mut low, mut high, mut precision) = (0.0, f64::INFINITY, 1.0);
    let mut probabilities = vec![0.0; squares.len()];
    for _ in 0..64 {
        let mut sum = 0.0;
        for (other, (probability, square)) in probabilities.iter_mut().zip(squares).enumerate() {
            *probability = match other == row {
                true => 0.0,
                false => (-precision * (square - nearest)).exp(),
            };
            sum += *probability;
        }
        probabilities
            .iter_mut()
            .for_each(|probability| *probability /= sum);
        let mean: f64 = (probabilities.iter().zip(squares))
            .map(|(p, square)| p * (square - nearest))
            .sum();
        let found = sum.ln() + precision * mean;
        if (found - entropy).abs() < 1e-5 {
            break;
        }
        // Wider where there are too few neighbours.
        match found < entropy {
            true => high = precision,
            false => low = precision,
        }
        precision = match high.is_finite() {
            true => (low + high) / 2.0,
            false => precision * 2.0,
        };
    }
    probabilities
}

/// 1 / (1 + squared distance) of all pairs; 0 of a row with itself.
fn nearness(places: &Array2<f64>) -> Array2<f64> {
    let count = places.nrows();
    let of_row = |row: usize| {
        let at = places.row(row);
        places.outer_iter().enumerate().map(move |(other, place)| {
            let square = (at[0] - place[0]).powi(2) + (at[1] - place[1]).powi(2);
            if other == row {
                0.0
            } else {
                1.0 / (1.0 + square)
            }
        })
    };
    let values: Vec<f64> = (0..count).into_par_iter().flat_map_iter(of_row).collect();
    Array2::from_shape_fn((count, count), |(a, b)| values[a * count + b])
}

/// Of the divergence by the places (eq. 5), similarities counted `weight` times.
fn gradient(places: &Array2<f64>, alike: &Array2<f64>, weight: f64) -> Array2<f64> {
    let near = nearness(places);
    // Row by row, so that the order of the sum does not depend on threads.
    let sum: f64 = near.sum_axis(Axis(1)).iter().sum();
    let of_row = |row: usize| -> [f64; 2] {
        let mut pull = [0.0; 2];
        for other in 0..places.nrows() {
            let nearness = near[[row, other]];
            let force = 4.0 * (weight * alike[[row, other]] - nearness / sum) * nearness;
            for axis in 0..2 {
                pull[axis] += force * (places[[row, axis]] - places[[other, axis]]);
            }
        }
        pull
    };
    let pulls: Vec<[f64; 2]> = (0..places.nrows()).into_par_iter().map(of_row).collect();
    Array2::from_shape_fn(places.dim(), |(row, axis)| pulls[row][axis])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three clusters on a line in ten dimensions, and rows between them.
    fn rows() -> Array2<f64> {
        Array2::from_shape_fn((90, 10), |(row, feature)| {
            let spread = ((row * 37 + feature * 61) % 29) as f64 / 29.0;
            (row % 3) as f64 * 2.0 * f64::from(feature == 0) + spread
        })
    }

    #[test]
    fn the_divergence_is_scikit_learns() {
        let rows = rows();
        let places = tsne(rows.view()).unwrap();
        let divergence = tsne_divergence(rows.view(), places.view());
        // sklearn.manifold.TSNE(method="exact", init="pca", perplexity=89/3).fit(rows).kl_divergence_
        assert!((divergence - 0.0518).abs() < 0.005, "{divergence}");
        assert_eq!(tsne(rows.view()).unwrap(), places);
        // Of a random order it is far larger.
        let turned =
            Array2::from_shape_fn(places.dim(), |(row, axis)| places[[(row * 7) % 90, axis]]);
        assert!(tsne_divergence(rows.view(), turned.view()) > 3.0 * divergence);
    }

    #[test]
    fn few_rows_and_one_direction_are_refused() {
        assert!(tsne(rows().slice(ndarray::s![..3, ..])).is_err());
        let line = Array2::from_shape_fn((20, 3), |(row, _)| row as f64);
        assert!(tsne(line.view()).is_err());
    }
}
