//! Calibration: whether what is predicted with a probability of 70 % comes true in 70 % of cases.
//!
//! Every function takes one label's samples or all samples × labels pooled: arrays of any shape.

use ndarray::{ArrayView, Dimension, IntoDimension};

use crate::metrics::check;
use crate::{Error, Result};

/// How probabilities are cut into bins. A probability on an edge belongs to the bin below, as in scikit-learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bins {
    /// As many bins of equal width from 0 to 1.
    EqualWidth(usize),
    /// As many bins between the probabilities' own quantiles (`numpy.percentile`). Ties leave some of them empty.
    Quantile(usize),
}

/// Predictions whose probabilities fall into one bin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReliabilityBin {
    /// Their number.
    pub count: usize,
    /// Their mean probability.
    pub predicted: f64,
    /// The fraction of them that is positive.
    pub observed: f64,
}

/// Mean squared difference of probability and target (`sklearn.metrics.brier_score_loss`; Brier 1950). Of constant
/// predictions, the prevalence has the least: p(1 - p).
///
/// # Errors
/// Shapes that differ or are empty, a probability that is not from 0 to 1, a target that is neither 0 nor 1.
pub fn brier<D: Dimension>(
    probabilities: ArrayView<f64, D>,
    targets: ArrayView<u8, D>,
) -> Result<f64> {
    check_probabilities(&probabilities, &targets)?;
    let pairs = probabilities.iter().zip(&targets);
    let squares: f64 = pairs
        .map(|(probability, target)| (probability - f64::from(*target)).powi(2))
        .sum();
    Ok(squares / probabilities.len() as f64)
}

/// The reliability curve (`sklearn.calibration.calibration_curve`): bins that hold predictions, from the lowest.
///
/// # Errors
/// As [`brier`]; no bins.
pub fn reliability<D: Dimension>(
    probabilities: ArrayView<f64, D>,
    targets: ArrayView<u8, D>,
    bins: Bins,
) -> Result<Vec<ReliabilityBin>> {
    check_probabilities(&probabilities, &targets)?;
    let (Bins::EqualWidth(number) | Bins::Quantile(number)) = bins;
    if number == 0 {
        return Err(Error::Empty {
            what: "bins",
            found: vec![0],
        });
    }
    let shares = (1..number).map(|edge| edge as f64 / number as f64);
    let inner_edges: Vec<f64> = match bins {
        Bins::EqualWidth(_) => shares.collect(),
        Bins::Quantile(_) => {
            let mut sorted: Vec<f64> = probabilities.iter().copied().collect();
            sorted.sort_by(f64::total_cmp);
            shares.map(|share| quantile(&sorted, share)).collect()
        }
    };
    let mut sums = vec![(0_usize, 0.0, 0_usize); number];
    for (&probability, &target) in probabilities.iter().zip(&targets) {
        let (count, sum, positives) =
            &mut sums[inner_edges.partition_point(|&edge| edge < probability)];
        *count += 1;
        *sum += probability;
        *positives += usize::from(target);
    }
    let filled = sums.into_iter().filter(|(count, ..)| *count > 0);
    Ok(filled
        .map(|(count, sum, positives)| ReliabilityBin {
            count,
            predicted: sum / count as f64,
            observed: positives as f64 / count as f64,
        })
        .collect())
}

/// Expected calibration error: the bins' distances |observed - predicted|, weighted by their counts (Guo et al. 2017,
/// eq. 3). Commonly with [`Bins::EqualWidth`] of 10; 0 for constant predictions of the prevalence, so it says nothing of
/// how well positives are told apart.
pub fn expected_calibration_error(curve: &[ReliabilityBin]) -> Option<f64> {
    let all: usize = curve.iter().map(|bin| bin.count).sum();
    let distances = curve
        .iter()
        .map(|bin| bin.count as f64 * (bin.observed - bin.predicted).abs());
    (all > 0).then(|| distances.sum::<f64>() / all as f64)
}

/// Linear between order statistics (`numpy.quantile`), of values in ascending order, at least one.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (below, above) = (
        sorted[place.floor() as usize],
        sorted[place.ceil() as usize],
    );
    below + (above - below) * place.fract()
}

fn check_probabilities<D: Dimension>(
    probabilities: &ArrayView<f64, D>,
    targets: &ArrayView<u8, D>,
) -> Result<()> {
    check(probabilities, targets)?;
    let mut indexed = probabilities.indexed_iter();
    match indexed.find(|(_, probability)| !(0.0..=1.0).contains(*probability)) {
        None => Ok(()),
        Some((at, found)) => Err(Error::NotProbability {
            what: "probabilities",
            index: at.into_dimension().slice().to_vec(),
            found: *found,
        }),
    }
}
