//! Ridge regression of several targets, all penalties for one decomposition.

use faer::Mat;
use ndarray::{Array1, Array2, ArrayView2, Axis};
use rayon::prelude::*;

use crate::metrics::{Undefined, score};
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
        let empty = |what: &'static str, found: ArrayView2<f64>| Error::Empty {
            what,
            found: found.shape().to_vec(),
        };
        let mean = |rows: ArrayView2<f64>| rows.mean_axis(Axis(0)).filter(|mean| !mean.is_empty());
        let mean_features = mean(features).ok_or_else(|| empty("features", features))?;
        let mean_targets = mean(targets).ok_or_else(|| empty("targets", targets))?;
        let x = &features - &mean_features;
        let y = &targets - &mean_targets;
        let wide = x.ncols() > x.nrows();
        // Columns are multiplied with each other: of the transpose, that is rows.
        let sides = if wide { x.t() } else { x.view() };
        let size = sides.ncols();
        let columns = Mat::from_fn(sides.nrows(), size, |i, j| sides[[i, j]]);
        let gram = gram(columns.as_ref());
        let gram = faer::MatRef::from_column_major_slice(&gram, size, size);
        let (values, vectors) = eigenvectors(gram)?;
        let vectors = Array2::from_shape_fn((size, size), |(i, j)| vectors[(i, j)]);
        let (left, right) = if wide {
            let right = product(vectors.t(), y.view());
            (product(x.t(), vectors.view()), right)
        } else {
            let right = product(vectors.t(), product(x.t(), y.view()).view());
            (vectors, right)
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

    /// The model of a penalty above 0.
    pub fn model(&self, penalty: f64) -> Ridge {
        let weights = product(self.left.view(), self.shrunk(penalty).view());
        let intercept = &self.mean_targets - &self.mean_features.dot(&weights);
        Ridge { weights, intercept }
    }

    /// Predictions for `rows` \[rows, features\] under each penalty: \[rows, targets\].
    pub fn predictions(&self, rows: ArrayView2<f64>, penalties: &[f64]) -> Vec<Array2<f64>> {
        let centred = &rows - &self.mean_features;
        let projected = product(centred.view(), self.left.view());
        let predict = |penalty: &f64| {
            product(projected.view(), self.shrunk(*penalty).view()) + &self.mean_targets
        };
        penalties.iter().map(predict).collect()
    }

    fn shrunk(&self, penalty: f64) -> Array2<f64> {
        let divisors = self.values.mapv(|value| value + penalty);
        &self.right / &divisors.insert_axis(Axis(1))
    }
}

/// Penalties that are tried, as multiples of the mean eigenvalue: half powers of ten from 1e-4 to 1e4.
pub fn relative_penalties() -> Vec<f64> {
    (-8..=8)
        .map(|half| 10.0_f64.powf(f64::from(half) / 2.0))
        .collect()
}

/// Ridge of binary `targets` \[rows, targets\] on `features` \[rows, features\], with the penalty, one for all
/// targets, that [`relative_penalties`] offers and cross-validation chooses: each of the `parts` (one a row) is
/// predicted from the others, and the highest mean over parts of macro average precision wins, of equal ones the
/// largest penalty.
///
/// Average precision and not the squared error, because that is what decoders are compared by and what selects the
/// weights of networks. Returns the model of all rows and its penalty.
///
/// # Errors
/// As [`Decomposition::new`]; fewer than two parts, or as many as do not fit the rows; a target that is neither 0
/// nor 1.
pub fn select(
    features: ArrayView2<f64>,
    targets: ArrayView2<u8>,
    parts: &[usize],
) -> Result<(Ridge, f64)> {
    let numbers = targets.mapv(f64::from);
    check(features, numbers.view())?;
    if parts.len() != features.nrows() {
        return Err(Error::Shape {
            what: "parts",
            expected: vec![features.nrows()],
            found: vec![parts.len()],
        });
    }
    let mut distinct = parts.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() < 2 {
        return Err(Error::OnePart);
    }
    let all = Decomposition::new(features, numbers.view())?;
    // Features that never vary leave nothing to penalise: any penalty gives the mean.
    let scale = Some(all.mean_eigenvalue()).filter(|scale| *scale > 0.0);
    let scale = scale.unwrap_or(1.0);
    let penalties: Vec<f64> = relative_penalties().iter().map(|r| r * scale).collect();
    let precisions = |part: &usize| {
        let rows = |inside: bool| -> Vec<usize> {
            let all = parts.iter().enumerate();
            all.filter(|(_, own)| (*own == part) == inside)
                .map(|(row, _)| row)
                .collect()
        };
        let (train, test) = (rows(false), rows(true));
        let (x, y) = (
            features.select(Axis(0), &train),
            numbers.select(Axis(0), &train),
        );
        let fitted = Decomposition::new(x.view(), y.view())?;
        let truth = targets.select(Axis(0), &test);
        let predicted = fitted.predictions(features.select(Axis(0), &test).view(), &penalties);
        let scores = predicted.iter().map(|predicted| {
            let scores = score(predicted.view(), truth.view(), Undefined::Exclude)?;
            // Where no target occurs in the part, no penalty is better than another.
            Ok(scores.macro_average_precision.unwrap_or(0.0))
        });
        scores.collect::<Result<Vec<f64>>>()
    };
    let precisions: Vec<Vec<f64>> = distinct.par_iter().map(precisions).collect::<Result<_>>()?;
    let mut best = (f64::NEG_INFINITY, scale);
    for (place, penalty) in penalties.iter().enumerate() {
        let sum: f64 = precisions.iter().map(|own| own[place]).sum();
        if sum >= best.0 {
            best = (sum, *penalty);
        }
    }
    Ok((all.model(best.1), best.1))
}

fn check(features: ArrayView2<f64>, targets: ArrayView2<f64>) -> Result<()> {
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
    match values.indexed_iter().find(|(_, value)| !value.is_finite()) {
        None => Ok(()),
        Some(((row, column), found)) => Err(Error::NotFinite {
            what,
            index: vec![row, column],
            found: *found,
        }),
    }
}
