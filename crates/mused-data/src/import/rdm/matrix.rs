//! RDMs as found in the wild: square or condensed, and checked before anything believes them.

use mused_stats::rdm;
use ndarray::{Array2, ArrayD, Dimension, Ix2};

/// Two entries that should be equal may differ by this much of the largest entry: what computing
/// each side in single precision leaves.
const ASYMMETRY: f64 = 1e-6;

/// Makes a square RDM of `stimuli` × `stimuli` from one that is square or condensed (the upper
/// triangle by rows, as scipy's `pdist` gives). The diagonal of a square one is kept as it is.
///
/// # Errors
/// Says what was expected and what was found, and where in the array.
pub(super) fn square(array: ArrayD<f64>, stimuli: usize) -> Result<Array2<f64>, String> {
    let shape = array.shape().to_vec();
    let square = match shape.as_slice() {
        // MATLAB has no vectors: a condensed RDM is a matrix of one row or column there. A square
        // one of one stimulus is not condensed.
        [length] | [1, length] | [length, 1] if shape != [1, 1] => {
            check_finite(&array)?;
            let condensed: Vec<f64> = array.iter().copied().collect();
            check_stimuli(triangle_root(*length)?, stimuli)?;
            return rdm::square(&condensed).map_err(|error| error.to_string());
        }
        [rows, columns] if rows == columns => array,
        _ => {
            return Err(format!(
                "expected a square or condensed RDM, found shape {shape:?}"
            ));
        }
    };
    check_stimuli(shape[0], stimuli)?;
    check_finite(&square)?;
    let square = square
        .into_dimensionality::<Ix2>()
        .map_err(|error| error.to_string())?;
    check_symmetric(&square)?;
    Ok(square)
}

fn triangle_root(length: usize) -> Result<usize, String> {
    // The root may be off by rounding; its neighbours are then right.
    let guess = ((1.0 + (1.0 + 8.0 * length as f64).sqrt()) / 2.0) as usize;
    (guess.saturating_sub(1)..=guess + 1)
        .find(|n| n * n.saturating_sub(1) / 2 == length && *n > 1)
        .ok_or_else(|| {
            format!(
                "expected a condensed RDM of n (n - 1) / 2 entries, found {length}, which is that \
                 for no n"
            )
        })
}

fn check_stimuli(found: usize, declared: usize) -> Result<(), String> {
    if found == declared {
        return Ok(());
    }
    Err(format!(
        "expected an RDM of the {declared} stimuli declared, found one of {found}"
    ))
}

pub(super) fn check_finite(array: &ArrayD<f64>) -> Result<(), String> {
    // Places take longer to count than values to look at.
    if array.iter().all(|value| value.is_finite()) {
        return Ok(());
    }
    match array.indexed_iter().find(|(_, value)| !value.is_finite()) {
        None => Ok(()),
        Some((index, value)) => Err(format!(
            "expected finite values, found {value} at {:?}",
            index.as_array_view().to_vec()
        )),
    }
}

fn check_symmetric(square: &Array2<f64>) -> Result<(), String> {
    let largest = square
        .iter()
        .fold(0.0, |largest: f64, value| largest.max(value.abs()));
    for (row, (above, below)) in square.rows().into_iter().zip(square.columns()).enumerate() {
        let mut pairs = above.iter().zip(below).enumerate().skip(row + 1);
        let unequal =
            pairs.find(|(_, (above, below))| (*above - *below).abs() > ASYMMETRY * largest);
        if let Some((column, (above, below))) = unequal {
            return Err(format!(
                "expected a symmetric RDM, found {above} at [{row}, {column}] and {below} at [{column}, {row}]"
            ));
        }
    }
    Ok(())
}

/// Mean of RDMs, each divided by the mean of its off-diagonal entries; the diagonal becomes 0.
///
/// # Errors
/// Where such a mean is not positive: the entries are no dissimilarities.
pub(super) fn normalised_mean(rdms: &[Array2<f64>]) -> Result<Array2<f64>, String> {
    let stimuli = rdms.first().map_or(0, Array2::nrows);
    let mut sum = Array2::zeros((stimuli, stimuli));
    for (place, rdm) in rdms.iter().enumerate() {
        let entries = stimuli * stimuli.saturating_sub(1);
        let mean = (rdm.sum() - rdm.diag().sum()) / entries as f64;
        if !(mean > 0.0 && mean.is_finite()) {
            return Err(format!(
                "rdms[{place}]: expected dissimilarities with a mean above 0, found mean {mean}"
            ));
        }
        sum.scaled_add(1.0 / (mean * rdms.len() as f64), rdm);
    }
    sum.diag_mut().fill(0.0);
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, arr2};

    #[test]
    fn condensed_of_all_shapes_is_the_square() {
        let expected = arr2(&[[0.0, 1.0, 2.0], [1.0, 0.0, 3.0], [2.0, 3.0, 0.0]]);
        let condensed = Array1::from(vec![1.0, 2.0, 3.0]);
        let row = condensed
            .clone()
            .into_shape_with_order((1, 3))
            .unwrap()
            .into_dyn();
        let column = condensed
            .clone()
            .into_shape_with_order((3, 1))
            .unwrap()
            .into_dyn();
        for array in [
            condensed.into_dyn(),
            row,
            column,
            expected.clone().into_dyn(),
        ] {
            assert_eq!(square(array, 3).unwrap(), expected);
        }
    }

    #[test]
    fn triangular_numbers_have_roots() {
        for n in 2..200 {
            assert_eq!(triangle_root(n * (n - 1) / 2), Ok(n));
        }
        assert!(triangle_root(2).is_err());
        assert!(triangle_root(0).is_err());
    }

    #[test]
    fn every_rdm_weighs_the_same() {
        let one = arr2(&[[9.0, 1.0, 2.0], [1.0, 9.0, 3.0], [2.0, 3.0, 9.0]]);
        let mean = normalised_mean(&[one.clone(), one * 50.0]).unwrap();
        let expected = arr2(&[[0.0, 0.5, 1.0], [0.5, 0.0, 1.5], [1.0, 1.5, 0.0]]);
        assert!(
            (mean - expected)
                .iter()
                .all(|difference| difference.abs() < 1e-12)
        );
    }
}
