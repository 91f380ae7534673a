//! Principal component analysis.

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::tridiag::{tridiag_in_place, tridiag_in_place_scratch};
use faer::linalg::evd::{
    ComputeEigenvectors, self_adjoint_evd_scratch, tridiagonal_self_adjoint_evd,
};
use faer::linalg::householder::{
    apply_block_householder_sequence_on_the_left_in_place_scratch,
    apply_block_householder_sequence_on_the_left_in_place_with_conj,
};
use faer::linalg::matmul::matmul;
use faer::linalg::qr::no_pivoting::factor::recommended_block_size;
use faer::{Accum, Conj, Mat, MatMut, MatRef, Par};
use ndarray::{Array1, Array2, ArrayView2, Axis};
use rayon::prelude::*;

use crate::{Error, Result};

/// Rows or columns of a product that one task computes. Fixed, so that the same sums are made in the
/// same order on any number of threads.
const BLOCK: usize = 128;

/// The principal components of some rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Pca {
    /// Mean row \[features\].
    pub mean: Array1<f64>,
    /// Orthonormal directions \[components, features\], the one of most variance first; the loading of
    /// largest absolute value of each (the first of several) is positive.
    pub components: Array2<f64>,
    /// Variance of the rows along each direction, divided by rows - 1 \[components\].
    pub variances: Array1<f64>,
}

impl Pca {
    /// Fits at most `most` components to `rows` \[rows, features\].
    ///
    /// Exact: the eigenvectors of the smaller one of the two Gram matrices of the centred rows. There are
    /// min(`most`, rows - 1, features) components, and fewer where the rows do not span as many
    /// directions: one is kept if its variance is above max(rows, features) · ε times the largest, what
    /// rounding alone can make. Time grows with the third power of min(rows, features) on one core, memory
    /// is about four matrices of that many rows and columns. The bits are the same on any number of threads.
    ///
    /// # Errors
    /// No value, or one that is not finite.
    pub fn fit(rows: ArrayView2<f64>, most: usize) -> Result<Self> {
        let (count, features) = rows.dim();
        let Some(mean) = rows.mean_axis(Axis(0)).filter(|mean| !mean.is_empty()) else {
            return Err(Error::Empty {
                what: "rows",
                found: vec![count, features],
            });
        };
        if let Some(((row, feature), found)) = rows.indexed_iter().find(|(_, x)| !x.is_finite()) {
            return Err(Error::NotFinite {
                what: "rows",
                index: vec![row, feature],
                found: *found,
            });
        }
        let differ = rows.outer_iter().flat_map(|row| (&row - &mean).to_vec());
        let centred: Vec<f64> = differ.collect();
        let wide = features > count;
        // Columns are multiplied with each other: of the transpose, that is rows.
        let sides = if wide {
            MatRef::from_column_major_slice(&centred, features, count)
        } else {
            MatRef::from_row_major_slice(&centred, count, features)
        };
        let (values, vectors) = eigenvectors(gram(sides))?;
        let largest = values.last().copied().unwrap_or(0.0);
        let least = count.max(features) as f64 * f64::EPSILON * largest;
        let kept = most.min(count - 1).min(features);
        let kept = values.iter().rev().take(kept);
        let kept: Vec<f64> = kept.copied().take_while(|value| *value > least).collect();
        let chosen = vectors.as_ref().get(.., values.len() - kept.len()..);
        let directions: Vec<f64> = if wide {
            project(sides, chosen.reverse_cols())
        } else {
            let columns = chosen.col_iter().rev();
            columns.flat_map(|column| column.iter().copied()).collect()
        };
        let mut components = Array2::zeros((kept.len(), features));
        components
            .iter_mut()
            .zip(directions)
            .for_each(|(to, from)| *to = from);
        for mut component in components.outer_iter_mut() {
            let norm = component.dot(&component).sqrt();
            let mut extreme = 0.0_f64;
            for loading in &component {
                if loading.abs() > extreme.abs() {
                    extreme = *loading;
                }
            }
            component /= norm.copysign(extreme);
        }
        let freedom = (count - 1).max(1) as f64;
        Ok(Self {
            mean,
            components,
            variances: kept.into_iter().map(|value| value / freedom).collect(),
        })
    }
}

/// Products of all pairs of columns; only those on and below the diagonal are computed.
pub(crate) fn gram(columns: MatRef<'_, f64>) -> Mat<f64> {
    let size = columns.ncols();
    let mut products = Mat::zeros(size, size);
    let (mut blocks, mut rest) = (Vec::new(), products.as_mut());
    while rest.ncols() > 0 {
        let width = BLOCK.min(rest.ncols());
        let (block, others) = rest.split_at_col_mut(width);
        blocks.push(block);
        rest = others;
    }
    blocks.into_par_iter().enumerate().for_each(|(block, own)| {
        let (first, width) = (block * BLOCK, own.ncols());
        matmul(
            own.submatrix_mut(first, 0, size - first, width),
            Accum::Replace,
            columns.subcols(first, size - first).transpose(),
            columns.subcols(first, width),
            1.0,
            Par::Seq,
        );
    });
    products
}

/// Sums of `columns` weighted by each column of `weights`, one after another.
fn project(columns: MatRef<'_, f64>, weights: MatRef<'_, f64>) -> Vec<f64> {
    let features = columns.nrows();
    let mut out = vec![0.0; features * weights.ncols()];
    let blocks = out.par_chunks_mut(features * BLOCK);
    blocks.enumerate().for_each(|(block, out)| {
        let start = block * BLOCK;
        let width = out.len() / features;
        let own = weights.get(.., start..start + width);
        let out = MatMut::from_column_major_slice_mut(out, features, width);
        matmul(out, Accum::Replace, columns, own, 1.0, Par::Seq);
    });
    out
}

/// Eigenvalues, ascending, and eigenvectors of a symmetric matrix of which the lower half is given.
///
/// The steps of faer's `self_adjoint_evd`, to the same bits, in three and a half matrices in place of five.
pub(crate) fn eigenvectors(mut matrix: Mat<f64>) -> Result<(Vec<f64>, Mat<f64>)> {
    let size = matrix.nrows();
    if size == 0 {
        return Ok((Vec::new(), matrix));
    }
    let block = recommended_block_size::<f64>(size, size);
    let mut reflections = Mat::zeros(block, size - 1);
    let (mut diagonal, mut beside) = (Diag::zeros(size), Diag::zeros(size));
    let scratch = tridiag_in_place_scratch::<f64>(size, Par::Seq, Default::default());
    tridiag_in_place(
        matrix.as_mut(),
        reflections.as_mut(),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Default::default(),
    );
    for place in 0..size {
        diagonal[place] = matrix[(place, place)];
        if place + 1 < size {
            beside[place] = matrix[(place + 1, place)];
        }
    }
    let packed = packed(matrix);
    let (mut values, mut vectors) = (Diag::zeros(size), Mat::zeros(size, size));
    let yes = ComputeEigenvectors::Yes;
    let scratch = self_adjoint_evd_scratch::<f64>(size, yes, Par::Seq, Default::default());
    tridiagonal_self_adjoint_evd(
        diagonal.as_ref(),
        beside.as_ref(),
        values.as_mut(),
        Some(vectors.as_mut()),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Default::default(),
    )
    .map_err(|_| Error::NoEigenvectors { size })?;
    let scratch =
        apply_block_householder_sequence_on_the_left_in_place_scratch::<f64>(size - 1, block, size);
    apply_block_householder_sequence_on_the_left_in_place_with_conj(
        unpacked(&packed, size).submatrix(1, 0, size - 1, size - 1),
        reflections.as_ref(),
        Conj::No,
        vectors.as_mut().subrows_mut(1, size - 1),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
    );
    let values = values.column_vector().iter().copied().collect();
    Ok((values, vectors))
}

/// What lies below the diagonal, column by column: half of the memory.
fn packed(matrix: Mat<f64>) -> Vec<f64> {
    let size = matrix.nrows();
    let mut below = Vec::with_capacity(size * (size - 1) / 2);
    for column in 0..size {
        below.extend((column + 1..size).map(|row| matrix[(row, column)]));
    }
    below
}

/// The matrix of [`packed`] values, with nothing elsewhere.
fn unpacked(below: &[f64], size: usize) -> Mat<f64> {
    let (mut matrix, mut values) = (Mat::zeros(size, size), below.iter());
    for column in 0..size {
        for (row, value) in (column + 1..size).zip(&mut values) {
            matrix[(row, column)] = *value;
        }
    }
    matrix
}

#[cfg(test)]
mod tests {
    use faer::linalg::evd::self_adjoint_evd;

    use super::*;

    /// Every model that rests on eigenvectors would have other bits.
    #[test]
    fn eigenvectors_are_those_of_the_engine_to_the_bit() {
        for size in [1, 2, 3, 17, 127, 130, 301] {
            let wave = |i: usize, j: usize| ((i * 37 + j * 101) as f64).sin();
            let columns = Mat::from_fn(size + 5, size, wave);
            let products = gram(columns.as_ref());
            let (mut values, mut vectors) = (Diag::zeros(size), Mat::zeros(size, size));
            let yes = ComputeEigenvectors::Yes;
            let scratch = self_adjoint_evd_scratch::<f64>(size, yes, Par::Seq, Default::default());
            self_adjoint_evd(
                products.as_ref(),
                values.as_mut(),
                Some(vectors.as_mut()),
                Par::Seq,
                MemStack::new(&mut MemBuffer::new(scratch)),
                Default::default(),
            )
            .unwrap();
            let values: Vec<f64> = values.column_vector().iter().copied().collect();
            assert_eq!(eigenvectors(products).unwrap(), (values, vectors), "{size}");
        }
        assert!(eigenvectors(Mat::new()).unwrap().0.is_empty());
    }
}
