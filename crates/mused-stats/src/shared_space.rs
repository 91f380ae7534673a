//! What all alignments of subjects have in common: a template and a map into it for each subject.

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::svd::{ComputeSvdVectors, svd, svd_scratch};
use faer::{Mat, Par};
use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate};

use crate::pca::Pca;
use crate::product::product;
use crate::ridge::finite;
use crate::{Error, Result};

/// Rounds after which alignment ends although the template still moves.
pub(crate) const ROUNDS: usize = 100;

/// Alignment ends when the template moves by less than this part of its norm.
const MOVED: f64 = 1e-10;

/// A space of several subjects' responses to the same stimuli.
#[derive(Clone, Debug, PartialEq)]
pub struct SharedSpace {
    /// The stimuli in it \[stimuli, dimensions\].
    pub template: Array2<f64>,
    /// One a subject, in the order given.
    pub maps: Vec<SubjectMap>,
}

/// From a subject's voxels into a shared space: (rows - mean) · weights.
#[derive(Clone, Debug, PartialEq)]
pub struct SubjectMap {
    /// Mean response to the stimuli the map was fitted on \[voxels\].
    pub mean: Array1<f64>,
    /// \[voxels, dimensions\]
    pub weights: Array2<f64>,
}

impl SubjectMap {
    /// `rows` \[rows, voxels\] in the shared space: \[rows, dimensions\].
    pub fn apply(&self, rows: ArrayView2<f64>) -> Array2<f64> {
        product((&rows - &self.mean).view(), self.weights.view())
    }
}

/// Refuses no subjects, no rows in common, and values that are not finite.
pub(crate) fn check(subjects: &[ArrayView2<f64>]) -> Result<()> {
    let empty = |found: &[usize]| Error::Empty {
        what: "responses",
        found: found.to_vec(),
    };
    let first = subjects.first().ok_or_else(|| empty(&[0]))?;
    for subject in subjects {
        if subject.is_empty() {
            return Err(empty(subject.shape()));
        }
        if subject.nrows() != first.nrows() {
            return Err(Error::Shape {
                what: "responses",
                expected: vec![first.nrows(), subject.ncols()],
                found: subject.shape().to_vec(),
            });
        }
        finite("responses", *subject)?;
    }
    Ok(())
}

/// Refuses rows that do not answer the stimuli of a template.
pub(crate) fn check_template(rows: ArrayView2<f64>, template: ArrayView2<f64>) -> Result<()> {
    check(&[rows])?;
    if rows.nrows() == template.nrows() {
        return Ok(());
    }
    Err(Error::Shape {
        what: "responses",
        expected: vec![template.nrows(), rows.ncols()],
        found: rows.shape().to_vec(),
    })
}

/// Mean over rows, and the rows without it.
pub(crate) fn centred(rows: ArrayView2<f64>) -> (Array1<f64>, Array2<f64>) {
    let mean = rows.sum_axis(Axis(0)) / rows.nrows().max(1) as f64;
    let centred = &rows - &mean;
    (mean, centred)
}

/// Where alignment starts: scores of the principal components of all subjects' voxels side by side,
/// \[stimuli, at most `most`\]. It does not depend on the order of subjects but for rounding.
pub(crate) fn first_template(subjects: &[Array2<f64>], most: usize) -> Result<Array2<f64>> {
    let views: Vec<_> = subjects.iter().map(|rows| rows.view()).collect();
    let all = concatenate(Axis(1), &views).map_err(|_| Error::Empty {
        what: "responses",
        found: vec![subjects.len()],
    })?;
    let components = Pca::fit(all.view(), most)?.components;
    Ok(product(all.view(), components.t()))
}

/// Mean of the subjects' rows in the shared space.
pub(crate) fn mean(aligned: &[Array2<f64>], template: &Array2<f64>) -> Array2<f64> {
    let mut sum = Array2::zeros(template.dim());
    for rows in aligned {
        sum += rows;
    }
    sum / aligned.len().max(1) as f64
}

/// Whether the template moved so little that alignment has ended.
pub(crate) fn settled(before: &Array2<f64>, after: &Array2<f64>) -> bool {
    let squares = |values: &Array2<f64>| values.iter().map(|x| x * x).sum::<f64>();
    squares(&(after - before)) <= MOVED * MOVED * squares(after)
}

/// The matrix nearest to `matrix` \[m, n\] with orthonormal columns, or rows where m < n: UVᵀ of its singular
/// value decomposition (Schönemann 1966).
pub(crate) fn orthonormal(matrix: ArrayView2<f64>) -> Result<Array2<f64>> {
    let (m, n) = matrix.dim();
    let thin = ComputeSvdVectors::Thin;
    let least = m.min(n);
    let (mut values, mut u, mut v) = (
        Diag::zeros(least),
        Mat::zeros(m, least),
        Mat::zeros(n, least),
    );
    let scratch = svd_scratch::<f64>(m, n, thin, thin, Par::Seq, Default::default());
    svd(
        Mat::from_fn(m, n, |i, j| matrix[[i, j]]).as_ref(),
        values.as_mut(),
        Some(u.as_mut()),
        Some(v.as_mut()),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Default::default(),
    )
    .map_err(|_| Error::NoEigenvectors { size: least })?;
    let array =
        |from: &Mat<f64>| Array2::from_shape_fn((from.nrows(), least), |(i, j)| from[(i, j)]);
    Ok(product(array(&u).view(), array(&v).t()))
}
