//! Representational dissimilarity matrices (RDMs).
//!
//! An RDM of n items is \[n, n\]. Its condensed form is the n(n-1)/2 entries above the diagonal, row by row: the order
//! of `scipy.spatial.distance.squareform`.

use ndarray::{Array2, ArrayView2, Axis};

use crate::{Error, Result, summary};

/// Added to the product of the norms by the published code, which keeps rows of zeros from dividing by 0.
const NORM_PRODUCT_EPSILON: f64 = 1e-6;

/// Cosine dissimilarity as the published CLIP-MUSED code computes it: 1 - (A Aᵀ) / (‖a_i‖‖a_j‖ + 1e-6).
///
/// `features` is \[items, features\], the result \[items, items\]. Because of the epsilon the diagonal is slightly
/// above 0, and exactly 1 for a row of zeros. NaN spreads to the row and column of its item.
pub fn cosine_rdm(features: ArrayView2<f64>) -> Array2<f64> {
    let mut rdm = features.dot(&features.t());
    let norms: Vec<f64> = rdm.diag().iter().map(|square| square.sqrt()).collect();
    for ((row, column), entry) in rdm.indexed_iter_mut() {
        *entry = 1.0 - *entry / (norms[row] * norms[column] + NORM_PRODUCT_EPSILON);
    }
    rdm
}

/// Correlation dissimilarity, 1 - Pearson's r between rows (`1 - numpy.corrcoef`), with a diagonal of exactly 0.
///
/// `features` is \[items, features\], the result \[items, items\].
///
/// # Errors
/// A value that is not finite; a row whose values are all equal.
pub fn pearson_rdm(features: ArrayView2<f64>) -> Result<Array2<f64>> {
    check_finite("features", features)?;
    let mut standardized = features.to_owned();
    for (row, mut values) in standardized.axis_iter_mut(Axis(0)).enumerate() {
        let constant = values
            .iter()
            .zip(values.iter().skip(1))
            .all(|(a, b)| a == b);
        if constant {
            return Err(Error::ConstantRow { row });
        }
        let mean = values.sum() / values.len() as f64;
        values -= mean;
        let norm = values.dot(&values).sqrt();
        values /= norm;
    }
    // Rounding can carry r past 1; clipping keeps dissimilarities in [0, 2], as numpy does.
    let mut rdm = standardized.dot(&standardized.t());
    rdm.mapv_inplace(|r| 1.0 - r.clamp(-1.0, 1.0));
    rdm.diag_mut().fill(0.0);
    Ok(rdm)
}

/// The entries above the diagonal, row by row.
///
/// The lower triangle is not looked at: [`check_rdm`] says whether it repeats the upper one.
///
/// # Errors
/// A matrix that is not square.
pub fn condensed(rdm: ArrayView2<f64>) -> Result<Vec<f64>> {
    check_square(rdm)?;
    let above = rdm.indexed_iter().filter(|((row, column), _)| row < column);
    Ok(above.map(|(_, entry)| *entry).collect())
}

/// The symmetric matrix with a diagonal of 0 whose condensed form is given; as in scipy, no entries make a 1 x 1 matrix.
///
/// # Errors
/// A length that is not n(n-1)/2 for any n.
pub fn square(condensed: &[f64]) -> Result<Array2<f64>> {
    let items = items_of_condensed(condensed.len())?;
    let mut rdm = Array2::zeros((items, items));
    let pairs = (0..items).flat_map(|row| (row + 1..items).map(move |column| (row, column)));
    for ((row, column), entry) in pairs.zip(condensed) {
        rdm[[row, column]] = *entry;
        rdm[[column, row]] = *entry;
    }
    Ok(rdm)
}

/// Checks that a matrix is square, finite and symmetric to within `tolerance` (absolute).
///
/// The diagonal may hold anything finite: an RDM between two sessions has dissimilarities there that are not 0.
///
/// # Errors
/// The first entry, row by row, that breaks a rule.
pub fn check_rdm(rdm: ArrayView2<f64>, tolerance: f64) -> Result<()> {
    check_square(rdm)?;
    check_finite("RDM", rdm)?;
    let asymmetric = rdm
        .indexed_iter()
        .map(|((row, column), upper)| (row, column, *upper, rdm[[column, row]]))
        .find(|(row, column, upper, lower)| row < column && (upper - lower).abs() > tolerance);
    match asymmetric {
        None => Ok(()),
        Some((row, column, upper, lower)) => Err(Error::NotSymmetric {
            row,
            column,
            upper,
            lower,
            tolerance,
        }),
    }
}

/// Spearman's rank correlation, ties at their average rank (`scipy.stats.spearmanr`); `None` where one side is constant.
///
/// Given two condensed RDMs this is the usual comparison of representational similarity analysis.
///
/// # Errors
/// Lengths that differ, fewer than one value, a value that is not finite.
pub fn spearman(a: &[f64], b: &[f64]) -> Result<Option<f64>> {
    if a.len() != b.len() {
        return Err(Error::Shape {
            what: "second vector",
            expected: vec![a.len()],
            found: vec![b.len()],
        });
    }
    if a.is_empty() {
        return Err(Error::Empty {
            what: "vectors",
            found: vec![0],
        });
    }
    for (what, values) in [("first vector", a), ("second vector", b)] {
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            return Err(Error::NotFinite {
                what,
                index: vec![at],
                found: values[at],
            });
        }
    }
    Ok(pearson(&average_ranks(a), &average_ranks(b)))
}

/// Pearson's r of two equally long vectors; `None` where one is constant.
fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    let (mean_a, mean_b) = (summary::mean(a)?, summary::mean(b)?);
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (a - mean_a, b - mean_b);
        ab += a * b;
        aa += a * a;
        bb += b * b;
    }
    let norms = (aa * bb).sqrt();
    (norms > 0.0).then(|| (ab / norms).clamp(-1.0, 1.0))
}

/// Ranks from 1; equal values share the mean of the ranks they occupy.
pub(crate) fn average_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut below = 0;
    for tied in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = below as f64 + (tied.len() + 1) as f64 / 2.0;
        for &at in tied {
            ranks[at] = rank;
        }
        below += tied.len();
    }
    ranks
}

/// n for a condensed length of n(n-1)/2.
fn items_of_condensed(length: usize) -> Result<usize> {
    // n(n-1)/2 = length has the root n = (1 + √(1 + 8 length)) / 2; the exact test afterwards makes rounding harmless.
    let items = length
        .saturating_mul(8)
        .saturating_add(1)
        .isqrt()
        .div_ceil(2);
    match items * (items - 1) / 2 == length {
        true => Ok(items),
        false => Err(Error::NotTriangular { found: length }),
    }
}

fn check_square(rdm: ArrayView2<f64>) -> Result<()> {
    match rdm.dim() {
        (rows, columns) if rows != columns => Err(Error::NotSquare { rows, columns }),
        _ => Ok(()),
    }
}

fn check_finite(what: &'static str, values: ArrayView2<f64>) -> Result<()> {
    match values.indexed_iter().find(|(_, value)| !value.is_finite()) {
        None => Ok(()),
        Some(((row, column), found)) => Err(Error::NotFinite {
            what,
            index: vec![row, column],
            found: *found,
        }),
    }
}
