//! What rows say to ridge regressions of all others, under any penalty.

use faer::{Mat, MatRef};
use ndarray::{Array1, Array2, ArrayView2, Axis, s};

use crate::Result;
use crate::pca::{eigenvectors, gram};
use crate::product::{matrix, product, product_of};
use crate::ridge::SAID_AT_ONCE;

/// Rows left out, along the eigenvectors of a Gram matrix of the others: under a penalty λ the others predict their targets'
/// mean + `projected` · `right` / (`values` + λ).
///
/// The Gram matrix is made of that of all rows, not of the others anew: for six parts that is a third of the work.
#[derive(Debug)]
pub(crate) struct LeftOut {
    /// Of the others, from that of all rows.
    mean_targets: Array1<f64>,
    /// Eigenvalues, none below 0.
    values: Array1<f64>,
    /// \[rows, values\]
    projected: Array2<f64>,
    /// \[values, targets\]
    right: Array2<f64>,
}

impl LeftOut {
    /// Of XᵀX (the lower half) and XᵀY of all rows, so many, and of the features `own` and the `targets` of those left out;
    /// features and targets less their means over all rows.
    ///
    /// # Errors
    /// Eigenvectors that do not converge.
    pub(crate) fn of_columns(
        all: MatRef<'_, f64>,
        right: ArrayView2<f64>,
        mut own: Array2<f64>,
        targets: ArrayView2<f64>,
        rows: usize,
    ) -> Result<Self> {
        let others = (rows - own.nrows()) as f64;
        // Over all rows both are 0.
        let mean_features = -own.sum_axis(Axis(0)) / others;
        let mean_targets = -targets.sum_axis(Axis(0)) / others;
        let mut products = gram(matrix(own.view()).as_ref());
        for column in 0..products.ncols() {
            let mean = others * mean_features[column];
            for row in column..products.nrows() {
                let own = products[(row, column)];
                products[(row, column)] = all[(row, column)] - own - mean * mean_features[row];
            }
        }
        let (values, vectors) = eigenvectors(products)?;
        let means = mean_features
            .view()
            .insert_axis(Axis(1))
            .dot(&(&mean_targets * others).insert_axis(Axis(0)));
        let right = &right - &product(own.t(), targets) - means;
        own -= &mean_features;
        Ok(Self {
            mean_targets,
            values: not_below_zero(values),
            projected: product_of(matrix(own.view()).as_ref(), vectors.as_ref()),
            right: product_of(vectors.transpose(), matrix(right.view()).as_ref()),
        })
    }

    /// Of the products `all` of every two rows' features and of the `targets` \[rows, targets\] of all rows, of which those in
    /// `part`, ascending, are left out; features and targets less their means over all rows.
    ///
    /// # Errors
    /// Eigenvectors that do not converge.
    pub(crate) fn of_rows(
        all: impl Fn(usize, usize) -> f64,
        targets: ArrayView2<f64>,
        part: &[usize],
    ) -> Result<Self> {
        let others: Vec<usize> = (0..targets.nrows())
            .filter(|row| part.binary_search(row).is_err())
            .collect();
        let size = others.len();
        // Products with the mean of the others.
        let with_mean =
            |row: usize| others.iter().map(|&other| all(row, other)).sum::<f64>() / size as f64;
        let of_others: Vec<f64> = others.iter().map(|&row| with_mean(row)).collect();
        let of_part: Vec<f64> = part.iter().map(|&row| with_mean(row)).collect();
        let of_mean = of_others.iter().sum::<f64>() / size as f64;
        let centred = |(a, with_a): (usize, f64), b: usize| {
            all(a, others[b]) - with_a - of_others[b] + of_mean
        };
        let lower = |a: usize, b: usize| match a >= b {
            true => centred((others[a], of_others[a]), b),
            false => 0.0,
        };
        let (values, vectors) = eigenvectors(Mat::from_fn(size, size, lower))?;
        let cross = Mat::from_fn(part.len(), size, |a, b| centred((part[a], of_part[a]), b));
        let own = targets.select(Axis(0), &others);
        let mean_targets = own.sum_axis(Axis(0)) / size as f64;
        let own = own - &mean_targets;
        Ok(Self {
            mean_targets,
            values: not_below_zero(values),
            projected: product_of(cross.as_ref(), vectors.as_ref()),
            right: product_of(vectors.transpose(), matrix(own.view()).as_ref()),
        })
    }

    /// What the rows say beyond the mean of the others' targets, each target under its penalty above 0: \[rows, targets\].
    pub(crate) fn deviations(&self, penalties: &[f64]) -> Array2<f64> {
        let mut shrunk = self.right.clone();
        for (mut row, value) in shrunk.outer_iter_mut().zip(&self.values) {
            row.iter_mut()
                .zip(penalties)
                .for_each(|(right, penalty)| *right /= value + penalty);
        }
        product(self.projected.view(), shrunk.view())
    }

    /// Sums of squared errors of each block of so many targets under each of the `penalties`, all above 0; `truth` \[rows,
    /// targets\] is less the mean over all rows: \[penalties, blocks\].
    pub(crate) fn errors(
        &self,
        truth: ArrayView2<f64>,
        penalties: &[f64],
        blocks: &[usize],
    ) -> Array2<f64> {
        let targets = truth.ncols();
        let truth = &truth - &self.mean_targets;
        let mut errors = Array2::zeros((penalties.len(), blocks.len()));
        let at_once = (SAID_AT_ONCE / truth.len().max(1)).max(1);
        let groups = penalties
            .chunks(at_once)
            .zip(errors.axis_chunks_iter_mut(Axis(0), at_once));
        for (penalties, mut errors) in groups {
            let mut shrunk = Array2::zeros((self.values.len(), penalties.len() * targets));
            for ((mut to, from), value) in shrunk
                .outer_iter_mut()
                .zip(self.right.rows())
                .zip(&self.values)
            {
                for (mut to, penalty) in to
                    .exact_chunks_mut(targets.max(1))
                    .into_iter()
                    .zip(penalties)
                {
                    to.assign(&(&from / (value + penalty)));
                }
            }
            let said = product(self.projected.view(), shrunk.view());
            for (said, truth) in said.rows().into_iter().zip(truth.rows()) {
                for (said, mut errors) in said
                    .exact_chunks(targets.max(1))
                    .into_iter()
                    .zip(errors.rows_mut())
                {
                    let mut first = 0;
                    for (width, error) in blocks.iter().zip(&mut errors) {
                        let block = s![first..first + width];
                        let wrong = said.slice(block).into_iter().zip(truth.slice(block));
                        *error += wrong
                            .map(|(said, truth)| (said - truth).powi(2))
                            .sum::<f64>();
                        first += width;
                    }
                }
            }
        }
        errors
    }
}

fn not_below_zero(values: Vec<f64>) -> Array1<f64> {
    values.into_iter().map(|value| value.max(0.0)).collect()
}
