//! Banded ridge regression: a weight for each group of features (Nunez-Elizalde, Huth & Gallant 2019; Dupré la Tour et al. 2022).

use std::collections::BTreeSet;

use ndarray::{Array1, Array2, ArrayView2, Axis};
use rayon::prelude::*;

use crate::left_out::LeftOut;
use crate::product::product;
use crate::ridge::{check, relative_penalties};
use crate::{Error, Result};

/// Weights that a group of features may have, of which 0 leaves it out.
pub const WEIGHTS: [f64; 4] = [0.0, 0.1, 0.3, 1.0];

/// Rounds over all groups.
const ROUNDS: usize = 2;

/// Weights of groups of `features`, each \[rows, its features\], for ridge of `targets` \[rows, targets\]: of those that
/// [`WEIGHTS`] offers the ones that coordinate descent from equal weights finds to have the least squared error, each of the
/// `parts` (one number a row) predicted from the others under the best penalty for all targets. A group's kernel XXᵀ is
/// brought to trace 1 before, and what is returned has that in it: features times the root of their weight are what ridge
/// regression is to read.
///
/// Time grows with the third power of rows, and with groups.
///
/// # Errors
/// No group, rows that do not fit, fewer than two parts, or a value that is not finite.
pub fn weights(
    features: &[ArrayView2<f64>],
    targets: ArrayView2<f64>,
    parts: &[usize],
) -> Result<Array1<f64>> {
    let mut kernels = Vec::with_capacity(features.len());
    let mut scales = Array1::zeros(features.len());
    for (group, scale) in features.iter().zip(&mut scales) {
        check(*group, targets)?;
        let mean = group.sum_axis(Axis(0)) / group.nrows().max(1) as f64;
        let centred = group - &mean;
        let kernel = product(centred.view(), centred.t());
        let trace = kernel.diag().sum();
        *scale = if trace > 0.0 { trace.recip() } else { 0.0 };
        kernels.push(kernel * *scale);
    }
    let distinct: BTreeSet<usize> = parts.iter().copied().collect();
    if distinct.len() < 2 {
        return Err(Error::OnePart);
    }
    if parts.len() != targets.nrows() || kernels.is_empty() {
        return Err(Error::Shape {
            what: "parts",
            expected: vec![targets.nrows()],
            found: vec![parts.len()],
        });
    }
    let distinct: Vec<usize> = distinct.into_iter().collect();
    let mut weights = Array1::ones(kernels.len());
    let mut sum = Array2::zeros(kernels[0].raw_dim());
    for kernel in &kernels {
        sum += kernel;
    }
    let mut best = error(&sum, targets, parts, &distinct)?;
    for _ in 0..ROUNDS {
        let before = weights.clone();
        for (group, kernel) in kernels.iter().enumerate() {
            let others = &sum - &(kernel * weights[group]);
            for weight in WEIGHTS {
                if weight == weights[group] {
                    continue;
                }
                let tried = &others + &(kernel * weight);
                let found = error(&tried, targets, parts, &distinct)?;
                if found < best {
                    (best, weights[group], sum) = (found, weight, tried);
                }
            }
        }
        if weights == before {
            break;
        }
    }
    Ok(weights * scales)
}

/// Least sum over penalties of squared errors of the parts, each predicted from the others.
fn error(
    kernel: &Array2<f64>,
    targets: ArrayView2<f64>,
    parts: &[usize],
    distinct: &[usize],
) -> Result<f64> {
    let scale = kernel.diag().sum() / kernel.nrows() as f64;
    let scale = if scale > 0.0 { scale } else { 1.0 };
    let penalties: Vec<f64> = relative_penalties().iter().map(|r| r * scale).collect();
    let mean = targets.sum_axis(Axis(0)) / targets.nrows() as f64;
    let targets = &targets - &mean;
    let of_part = |part: &usize| -> Result<Array2<f64>> {
        let rows: Vec<usize> = (0..parts.len())
            .filter(|&row| parts[row] == *part)
            .collect();
        let left_out = LeftOut::of_rows(|a, b| kernel[[a, b]], targets.view(), &rows)?;
        let truth = targets.select(Axis(0), &rows);
        Ok(left_out.errors(truth.view(), &penalties, &[targets.ncols()]))
    };
    let errors: Vec<Array2<f64>> = distinct.par_iter().map(of_part).collect::<Result<_>>()?;
    let sums = (0..penalties.len()).map(|place| errors.iter().map(|own| own[[place, 0]]).sum());
    Ok(sums.fold(f64::INFINITY, f64::min))
}
