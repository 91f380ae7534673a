//! The patterns behind an RDM, known up to a rotation: classical scaling (Torgerson 1952; Gower 1966).

use faer::Mat;
use ndarray::{Array2, ArrayView2, Axis};

use crate::pca::eigenvectors;
use crate::product::product;
use crate::rdm::check_rdm;
use crate::shared_space::orthonormal;
use crate::{Error, Result};

/// Centred patterns whose inner products are those of an RDM of 1 - r.
#[derive(Clone, Debug, PartialEq)]
pub struct Patterns {
    /// \[items, dimensions\], along the principal axes, the one of most variance first. There may be none.
    pub rows: Array2<f64>,
    /// Share of the negative eigenvalues in the sum of all absolute ones: what no patterns can have, and what these
    /// lack. 0 where the RDM is one of patterns.
    pub negative: f64,
}

impl Patterns {
    /// The patterns behind `rdm` \[items, items\]: eigenvectors of the kernel 1 - RDM, centred over rows and columns,
    /// times the roots of their eigenvalues where these are positive.
    ///
    /// Entries a, b and b, a are averaged. A pattern correlates with itself by 1: the diagonal is taken as 0, whatever
    /// is there. Between sessions it holds the reliability of the measurement; kept, it would make up to half of the
    /// eigenvalues negative, and leave less of the entries beside it. The bits are the same on any number of threads.
    ///
    /// # Errors
    /// A matrix that is not square, or a value that is not finite.
    pub fn behind(rdm: ArrayView2<f64>) -> Result<Self> {
        check_rdm(rdm, f64::INFINITY)?;
        let mut kernel = (&rdm + &rdm.t()) * -0.5;
        kernel.diag_mut().fill(0.0);
        // 1 - RDM and -RDM are the same once centred.
        let Some(mean) = kernel.mean_axis(Axis(0)) else {
            return Err(Error::Empty {
                what: "RDM",
                found: vec![0, 0],
            });
        };
        let all = mean.sum() / mean.len() as f64;
        let size = mean.len();
        let centred = Mat::from_fn(size, size, |a, b| kernel[[a, b]] - mean[a] - mean[b] + all);
        let (values, vectors) = eigenvectors(centred)?;
        let total: f64 = values.iter().map(|value| value.abs()).sum();
        let below: f64 = values.iter().map(|value| value.min(0.0)).sum();
        let largest = values
            .iter()
            .fold(0.0_f64, |most, value| most.max(value.abs()));
        // Rounding alone makes eigenvalues up to here.
        let least = size as f64 * f64::EPSILON * largest;
        let kept = values.iter().filter(|value| **value > least).count();
        let rows = Array2::from_shape_fn((size, kept), |(item, dimension)| {
            let place = size - 1 - dimension;
            vectors[(item, place)] * values[place].sqrt()
        });
        Ok(Self {
            rows,
            negative: if total > 0.0 { -below / total } else { 0.0 },
        })
    }

    /// The same patterns on axes that `normal` \[dimensions, dimensions\] decides: independent normal values make all
    /// axes equally likely. Inner products stay as they are.
    ///
    /// # Errors
    /// A `normal` with a value that is not finite.
    ///
    /// # Panics
    /// If `normal` has another shape.
    pub fn rotated(mut self, normal: ArrayView2<f64>) -> Result<Self> {
        self.rows = product(self.rows.view(), orthonormal(normal)?.view());
        Ok(self)
    }

    /// The same patterns turned so that they lie as near as can be to `reference` \[items, dimensions\], in as many
    /// dimensions (Schönemann 1966).
    ///
    /// # Errors
    /// A `reference` of other items.
    pub fn turned_onto(mut self, reference: ArrayView2<f64>) -> Result<Self> {
        if reference.nrows() != self.rows.nrows() {
            return Err(Error::Shape {
                what: "reference",
                expected: vec![self.rows.nrows(), reference.ncols()],
                found: reference.shape().to_vec(),
            });
        }
        let nearest = orthonormal(product(self.rows.t(), reference).view())?;
        self.rows = product(self.rows.view(), nearest.view());
        Ok(self)
    }
}
