//! Products of matrices, the same bits on any number of threads.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

/// Rows of a product that one task computes. Fixed, so that the same sums are made in the same order.
const BLOCK: usize = 128;

/// a \[m, n\] · b \[n, p\].
pub(crate) fn product(a: ArrayView2<f64>, b: ArrayView2<f64>) -> Array2<f64> {
    let mut out = Array2::zeros((a.nrows(), b.ncols()));
    let blocks = out.axis_chunks_iter_mut(Axis(0), BLOCK);
    let blocks: Vec<_> = blocks.zip(a.axis_chunks_iter(Axis(0), BLOCK)).collect();
    blocks
        .into_par_iter()
        .for_each(|(mut out, a)| general_mat_mul(1.0, &a, &b, 0.0, &mut out));
    out
}
