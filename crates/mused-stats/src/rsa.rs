//! Representational similarity analysis: RDMs compared with one RDM of reference.

use ndarray::{Array2, ArrayView2};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::rdm::{average_ranks, check_rdm, condensed, square};
use crate::{Error, Result, summary};

/// How far RDMs given to [`compare`] may be from symmetric.
const SYMMETRY_TOLERANCE: f64 = 1e-4;

/// How similar several RDMs (one a subject) are to one of reference.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Spearman's ρ of each RDM with the reference, over the pairs of different items.
    pub rho: Vec<f64>,
    /// Their mean.
    pub mean: f64,
    /// One-sided: the share of random relabellings of the items, the true one counted too, whose mean ρ is at least
    /// the true one (Mantel 1967; Phipson & Smyth 2010, eq. 2). The items move in all RDMs together.
    pub p: f64,
}

/// Compares each of `rdms` with `reference`, all \[items, items\] in one order of the items.
///
/// # Errors
/// Shapes that differ, fewer than three items, no RDM, a value that is not finite, an RDM that is not symmetric or
/// whose dissimilarities are all equal.
pub fn compare(
    reference: ArrayView2<f64>,
    rdms: &[Array2<f64>],
    permutations: usize,
    seed: u64,
) -> Result<Comparison> {
    let items = reference.nrows();
    if items < 3 || rdms.is_empty() {
        return Err(Error::Empty {
            what: "RDMs of three items or more",
            found: vec![rdms.len(), items],
        });
    }
    let reference = standardized_ranks(reference)?;
    let mut ranks = Vec::with_capacity(rdms.len());
    for rdm in rdms {
        if rdm.dim() != reference.dim() {
            return Err(Error::Shape {
                what: "RDM",
                expected: vec![items, items],
                found: rdm.shape().to_vec(),
            });
        }
        ranks.push(standardized_ranks(rdm.view())?);
    }
    let straight: Vec<usize> = (0..items).collect();
    let rho: Vec<f64> = ranks
        .iter()
        .map(|ranks| inner_product(&reference, ranks, &straight))
        .collect();
    let mean = summary::mean(&rho).unwrap_or(f64::NAN);
    // ρ is linear in the standardised ranks: the mean over RDMs is the ρ of their mean.
    let mut mean_ranks = Array2::zeros((items, items));
    for ranks in &ranks {
        mean_ranks.scaled_add(1.0 / rdms.len() as f64, ranks);
    }
    // Rounding must not part relabellings that change nothing from the true one.
    let least = mean - 1e-12;
    let as_high = (0..permutations as u64)
        .into_par_iter()
        .filter(|&index| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(index);
            let mut order = straight.clone();
            order.shuffle(&mut rng);
            inner_product(&mean_ranks, &reference, &order) >= least
        })
        .count();
    Ok(Comparison {
        rho,
        mean,
        p: (1 + as_high) as f64 / (1 + permutations) as f64,
    })
}

/// Ranks of the dissimilarities, of mean 0 and norm 1 over the pairs, as a symmetric matrix: the sum over pairs of the
/// products of two such matrices is Spearman's ρ.
fn standardized_ranks(rdm: ArrayView2<f64>) -> Result<Array2<f64>> {
    check_rdm(rdm, SYMMETRY_TOLERANCE)?;
    let mut ranks = average_ranks(&condensed(rdm)?);
    let mean = summary::mean(&ranks).unwrap_or(0.0);
    ranks.iter_mut().for_each(|rank| *rank -= mean);
    let norm = ranks.iter().map(|rank| rank * rank).sum::<f64>().sqrt();
    if norm == 0.0 {
        return Err(Error::ConstantRdm);
    }
    ranks.iter_mut().for_each(|rank| *rank /= norm);
    square(&ranks)
}

/// Sum over pairs i < j of a\[i, j\] · b\[order i, order j\].
fn inner_product(a: &Array2<f64>, b: &Array2<f64>, order: &[usize]) -> f64 {
    let mut sum = 0.0;
    for (i, a_row) in a.outer_iter().enumerate() {
        let b_row = b.row(order[i]);
        sum += a_row
            .iter()
            .zip(order)
            .skip(i + 1)
            .map(|(value, &other)| value * b_row[other])
            .sum::<f64>();
    }
    sum
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn rdm(condensed: &[f64]) -> Array2<f64> {
        square(condensed).unwrap()
    }

    /// Five items: ρ by `scipy.stats.spearmanr`; p counted over all 120 relabellings in Python.
    #[test]
    fn as_scipy_and_all_relabellings_have_it() {
        let reference = rdm(&[0.1, 0.9, 0.8, 0.7, 0.85, 0.6, 0.75, 0.2, 0.3, 0.25]);
        let close = rdm(&[0.2, 0.8, 0.9, 0.7, 0.8, 0.5, 0.9, 0.1, 0.4, 0.3]);
        let far = rdm(&[0.5, 0.1, 0.4, 0.9, 0.2, 0.8, 0.3, 0.7, 0.6, 0.15]);
        let found = compare(reference.view(), &[close, far], 40_000, 3).unwrap();
        for (found, expected) in found.rho.iter().zip(EXPECTED_RHO) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        assert!((found.mean - (EXPECTED_RHO[0] + EXPECTED_RHO[1]) / 2.0).abs() < 1e-12);
        assert!((found.p - EXPECTED_P).abs() < 0.01, "{}", found.p);
    }
    const EXPECTED_RHO: [f64; 2] = [0.884162778312701, -0.4424242424242424];
    const EXPECTED_P: f64 = 0.2;

    #[test]
    fn an_rdm_that_says_nothing_is_refused() {
        let flat = rdm(&[0.5, 0.5, 0.5]);
        let other = array![[0.0, 1.0, 2.0], [1.0, 0.0, 3.0], [2.0, 3.0, 0.0]];
        let refused = compare(other.view(), &[flat], 10, 0).unwrap_err();
        assert_eq!(refused, Error::ConstantRdm);
        assert!(compare(other.view(), &[], 10, 0).is_err());
        assert!(compare(other.view(), &[Array2::zeros((4, 4))], 10, 0).is_err());
    }
}
