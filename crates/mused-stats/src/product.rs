//! Products of matrices, the same bits on any number of threads.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

/// Rows of a product that one task computes. Fixed, so that the same sums are made in the same order.
const BLOCK: usize = 256;

/// a \[m, n\] · b \[n, p\].
pub(crate) fn product(a: ArrayView2<f64>, b: ArrayView2<f64>) -> Array2<f64> {
    product_of(matrix(a).as_ref(), matrix(b).as_ref())
}

/// a \[m, n\] · b \[n, p\].
pub(crate) fn product_of(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Array2<f64> {
    let columns = b.ncols();
    let mut out = Array2::zeros((a.nrows(), columns));
    // In standard layout, as it was made a line ago.
    let values = out.as_slice_mut().unwrap_or_default();
    let blocks = values.par_chunks_mut((BLOCK * columns).max(1));
    blocks.enumerate().for_each(|(block, out)| {
        let rows = out.len() / columns;
        let out = MatMut::from_row_major_slice_mut(out, rows, columns);
        let a = a.subrows(block * BLOCK, rows);
        matmul(out, Accum::Replace, a, b, 1.0, Par::Seq);
    });
    out
}

/// An array as the engine reads it.
pub(crate) enum Matrix<'a> {
    Borrowed(MatRef<'a, f64>),
    Copied(Mat<f64>),
}

impl Matrix<'_> {
    pub(crate) fn as_ref(&self) -> MatRef<'_, f64> {
        match self {
            Self::Borrowed(matrix) => *matrix,
            Self::Copied(matrix) => matrix.as_ref(),
        }
    }
}

/// `values`, copied where neither rows nor columns lie one after another.
pub(crate) fn matrix(values: ArrayView2<'_, f64>) -> Matrix<'_> {
    let (rows, columns) = values.dim();
    if let Some(values) = values.to_slice() {
        return Matrix::Borrowed(MatRef::from_row_major_slice(values, rows, columns));
    }
    match values.reversed_axes().to_slice() {
        Some(values) => Matrix::Borrowed(MatRef::from_column_major_slice(values, rows, columns)),
        None => Matrix::Copied(Mat::from_fn(rows, columns, |i, j| values[[i, j]])),
    }
}
