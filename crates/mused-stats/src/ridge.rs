//! Ridge regression of several targets, all penalties for one decomposition.

use std::collections::BTreeSet;

use faer::{Mat, MatRef};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, s};
use rayon::prelude::*;

use crate::pca::{eigenvectors, gram};
use crate::product::product;
use crate::{Error, Result};

/// A linear map with an intercept: rows · weights + intercept.
#[derive(Clone, Debug, PartialEq)]
pub struct Ridge {
    /// \[features, targets\]
    pub weights: Array2<f64>,
    /// \[targets\]
    pub intercept: Array1<f64>,
}

impl Ridge {
    /// Predictions for `rows` \[rows, features\]: \[rows, targets\].
    pub fn predict(&self, rows: ArrayView2<f64>) -> Array2<f64> {
        product(rows, self.weights.view()) + &self.intercept
    }
}

/// Least squares of centred targets on centred features, ready for any penalty.
///
/// The eigenvectors are those of the smaller one of the two Gram matrices, XᵀX = VDVᵀ or XXᵀ = UDUᵀ, so that
/// the weights of a penalty λ, (XᵀX + λ)⁻¹Xᵀ Y = Xᵀ(XXᵀ + λ)⁻¹Y (Hoerl & Kennard 1970), cost a division by
/// D + λ and one product.
#[derive(Clone, Debug)]
pub struct Decomposition {
    mean_features: Array1<f64>,
    mean_targets: Array1<f64>,
    /// Eigenvalues D, none below 0.
    values: Array1<f64>,
    /// V, or XᵀU: \[features, values\].
    left: Array2<f64>,
    /// VᵀXᵀY, or UᵀY: \[values, targets\].
    right: Array2<f64>,
}

impl Decomposition {
    /// Decomposes `features` \[rows, features\] for `targets` \[rows, targets\].
    ///
    /// Time grows with the third power of min(rows, features) on one core. The bits are the same on any number
    /// of threads.
    ///
    /// # Errors
    /// Rows that differ in number, no value, or one that is not finite.
    pub fn new(features: ArrayView2<f64>, targets: ArrayView2<f64>) -> Result<Self> {
        check(features, targets)?;
        Self::of(|| Ok(features.to_owned()), targets)
    }

    /// As [`Self::new`], of sound features that `read` gives whenever they are needed: beside eigenvectors they can be most
    /// of the memory.
    fn of<E: From<Error>>(
        read: impl Fn() -> std::result::Result<Array2<f64>, E>,
        targets: ArrayView2<f64>,
    ) -> std::result::Result<Self, E> {
        let mut x = read()?;
        let empty = |what: &'static str, found: ArrayView2<f64>| Error::Empty {
            what,
            found: found.shape().to_vec(),
        };
        let mean = |rows: ArrayView2<f64>| rows.mean_axis(Axis(0)).filter(|mean| !mean.is_empty());
        let mean_features = mean(x.view()).ok_or_else(|| empty("features", x.view()))?;
        let mean_targets = mean(targets).ok_or_else(|| empty("targets", targets))?;
        x -= &mean_features;
        let y = &targets - &mean_targets;
        let (values, left, right) = if x.ncols() > x.nrows() {
            let gram = gram_of_rows(&x);
            drop(x);
            let (values, vectors) = eigenvectors_of(gram)?;
            let right = product(vectors.t(), y.view());
            let x = read()? - &mean_features;
            (values, product(x.t(), vectors.view()), right)
        } else {
            let gram = gram_of_columns(&x);
            let products = product(x.t(), y.view());
            drop(x);
            let (values, vectors) = eigenvectors_of(gram)?;
            let right = product(vectors.t(), products.view());
            (values, vectors, right)
        };
        Ok(Self {
            mean_features,
            mean_targets,
            values: values.into_iter().map(|value| value.max(0.0)).collect(),
            left,
            right,
        })
    }

    /// Mean of the eigenvalues of the smaller Gram matrix: a scale for penalties.
    pub fn mean_eigenvalue(&self) -> f64 {
        self.values.mean().unwrap_or(0.0)
    }

    /// The model of penalties above 0, one a target.
    pub fn model(&self, penalties: ArrayView1<f64>) -> Ridge {
        let weights = product(self.left.view(), self.shrunk(penalties).view());
        let intercept = &self.mean_targets - &self.mean_features.dot(&weights);
        Ridge { weights, intercept }
    }

    /// What `rows` \[rows, features\] say under each penalty beyond the mean of the targets: \[rows, targets\].
    fn deviations(&self, rows: ArrayView2<f64>, penalties: &[f64]) -> Vec<Array2<f64>> {
        let centred = &rows - &self.mean_features;
        let projected = product(centred.view(), self.left.view());
        let predict = |penalty: &f64| {
            let same = Array1::from_elem(self.right.ncols(), *penalty);
            product(projected.view(), self.shrunk(same.view()).view())
        };
        penalties.iter().map(predict).collect()
    }

    /// The right side divided by eigenvalue + penalty.
    fn shrunk(&self, penalties: ArrayView1<f64>) -> Array2<f64> {
        let mut shrunk = self.right.clone();
        for (mut row, value) in shrunk.outer_iter_mut().zip(&self.values) {
            row.zip_mut_with(&penalties, |right, penalty| *right /= value + penalty);
        }
        shrunk
    }
}

/// Products of all pairs of columns.
fn gram_of_columns(x: &Array2<f64>) -> Mat<f64> {
    let x = x.as_standard_layout();
    let values = x.as_slice().unwrap_or_default();
    gram(MatRef::from_row_major_slice(values, x.nrows(), x.ncols()))
}

/// Products of all pairs of rows, which are the columns of the transpose.
fn gram_of_rows(x: &Array2<f64>) -> Mat<f64> {
    let x = x.as_standard_layout();
    let values = x.as_slice().unwrap_or_default();
    gram(MatRef::from_column_major_slice(
        values,
        x.ncols(),
        x.nrows(),
    ))
}

/// Eigenvalues and eigenvectors of a Gram matrix, whose memory is given back before the vectors are copied.
fn eigenvectors_of(gram: Mat<f64>) -> Result<(Vec<f64>, Array2<f64>)> {
    let (values, vectors) = eigenvectors(gram)?;
    let size = values.len();
    let vectors = Array2::from_shape_fn((size, size), |(i, j)| vectors[(i, j)]);
    Ok((values, vectors))
}

/// Penalties that are tried, as multiples of the mean eigenvalue: half powers of ten from 1e-4 to 1e4.
pub fn relative_penalties() -> Vec<f64> {
    (-8..=8)
        .map(|half| 10.0_f64.powf(f64::from(half) / 2.0))
        .collect()
}

/// A ridge regression with what it says of each row when fitted without the row's part.
#[derive(Clone, Debug, PartialEq)]
pub struct CrossFit {
    /// Of all rows, each block of targets under its penalty.
    pub model: Ridge,
    /// What each row says to a model, under the same penalties, of the other parts, beyond the mean of their targets:
    /// \[rows, targets\]. The mean itself tells the row's part: it is low where the part has much.
    pub held_out: Array2<f64>,
    /// One a block.
    pub penalties: Vec<f64>,
}

/// A part that was predicted from the others.
struct HeldOut {
    rows: Vec<usize>,
    /// Of the targets of the others.
    mean: Array1<f64>,
    /// Of each penalty: rows × targets.
    deviations: Vec<Array2<f64>>,
}

/// Ridge of `targets` \[rows, targets\] on `features` \[rows, features\] with penalties that cross-validation chooses.
///
/// Targets come in blocks of `blocks` columns each, and a block has one penalty: of those that [`relative_penalties`]
/// offers the one with the least squared error over all rows, each of which is predicted from the other `parts` (one
/// number a row), and of equal ones the largest. By the squared error and not by what decoders are compared by: average
/// precision over few rows is a matter of single ranks and chose noise.
///
/// # Errors
/// As [`Decomposition::new`]; fewer than two parts, as many as do not fit the rows, or blocks that do not fit the targets.
pub fn cross_fit(
    features: ArrayView2<f64>,
    targets: ArrayView2<f64>,
    blocks: &[usize],
    parts: &[usize],
) -> Result<CrossFit> {
    check(features, targets)?;
    let read = |rows: &[usize]| Ok(features.select(Axis(0), rows));
    cross_fit_of(read, targets, blocks, parts)
}

/// As [`cross_fit`], of features that are read when they are needed: `read` gives the rows it is asked for, \[rows,
/// features\]. All rows in double precision beside those that are decomposed can be a third of the memory of a fit.
///
/// # Errors
/// As [`cross_fit`], and those of `read`.
pub fn cross_fit_of<E: From<Error> + Send>(
    read: impl Fn(&[usize]) -> std::result::Result<Array2<f64>, E> + Sync,
    targets: ArrayView2<f64>,
    blocks: &[usize],
    parts: &[usize],
) -> std::result::Result<CrossFit, E> {
    let fits = |what, expected: usize, found: usize| match expected == found {
        true => Ok(()),
        false => Err(Error::Shape {
            what,
            expected: vec![expected],
            found: vec![found],
        }),
    };
    fits("parts", targets.nrows(), parts.len())?;
    fits("blocks", targets.ncols(), blocks.iter().sum())?;
    let distinct: BTreeSet<usize> = parts.iter().copied().collect();
    if distinct.len() < 2 {
        return Err(Error::OnePart.into());
    }
    let rows: Vec<usize> = (0..parts.len()).collect();
    let sound = || {
        let features = read(&rows)?;
        check(features.view(), targets)?;
        Ok::<_, E>(features)
    };
    let all = Decomposition::of(sound, targets)?;
    // Features that never vary leave nothing to penalise: any penalty gives the mean.
    let scale = Some(all.mean_eigenvalue()).filter(|scale| *scale > 0.0);
    let scale = scale.unwrap_or(1.0);
    let tried: Vec<f64> = relative_penalties().iter().map(|r| r * scale).collect();
    let predict = |part: &usize| {
        let (test, train): (Vec<usize>, Vec<usize>) =
            (0..parts.len()).partition(|row| parts[*row] == *part);
        let y = targets.select(Axis(0), &train);
        let fitted = Decomposition::of(|| read(&train), y.view())?;
        let deviations = fitted.deviations(read(&test)?.view(), &tried);
        Ok(HeldOut {
            rows: test,
            mean: fitted.mean_targets,
            deviations,
        })
    };
    let distinct: Vec<usize> = distinct.into_iter().collect();
    let predicted = distinct.par_iter().map(predict);
    let predicted: Vec<HeldOut> = predicted.collect::<std::result::Result<_, E>>()?;
    let mut held_out = Array2::zeros(targets.raw_dim());
    let mut chosen = Array1::zeros(targets.ncols());
    let (mut penalties, mut first) = (Vec::new(), 0);
    for width in blocks {
        let columns = s![.., first..first + width];
        let truth = targets.slice(columns);
        let error = |place: usize| -> f64 {
            let own = predicted.iter().map(|part| {
                let mean = part.mean.slice(s![first..first + width]);
                let said = part.deviations[place].slice(columns);
                let rows = part.rows.iter().zip(said.rows()).map(|(row, said)| {
                    let wrong = said.iter().zip(mean).zip(truth.row(*row));
                    wrong
                        .map(|((said, mean), truth)| (said + mean - truth).powi(2))
                        .sum::<f64>()
                });
                rows.sum::<f64>()
            });
            own.sum()
        };
        let errors: Vec<f64> = (0..tried.len()).into_par_iter().map(error).collect();
        let mut best = 0;
        for (place, error) in errors.iter().enumerate() {
            if *error <= errors[best] {
                best = place;
            }
        }
        for part in &predicted {
            let own = part.deviations[best].slice(columns);
            for (row, own) in part.rows.iter().zip(own.rows()) {
                held_out.slice_mut(columns).row_mut(*row).assign(&own);
            }
        }
        chosen.slice_mut(s![first..first + width]).fill(tried[best]);
        penalties.push(tried[best]);
        first += width;
    }
    Ok(CrossFit {
        model: all.model(chosen.view()),
        held_out,
        penalties,
    })
}

pub(crate) fn check(features: ArrayView2<f64>, targets: ArrayView2<f64>) -> Result<()> {
    if features.nrows() != targets.nrows() {
        return Err(Error::Shape {
            what: "targets",
            expected: vec![features.nrows(), targets.ncols()],
            found: targets.shape().to_vec(),
        });
    }
    finite("features", features)?;
    finite("targets", targets)
}

/// Refuses NaN and infinity.
pub(crate) fn finite(what: &'static str, values: ArrayView2<f64>) -> Result<()> {
    // Where all are, which is nearly always, without counting them.
    if values.iter().all(|value| value.is_finite()) {
        return Ok(());
    }
    match values.indexed_iter().find(|(_, value)| !value.is_finite()) {
        None => Ok(()),
        Some(((row, column), found)) => Err(Error::NotFinite {
            what,
            index: vec![row, column],
            found: *found,
        }),
    }
}
