//! Ridge regression of several targets, its penalties chosen by cross-validation.

use std::collections::BTreeSet;

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::cholesky::llt::solve::{solve_in_place, solve_in_place_scratch};
use faer::{Mat, Par};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut2, Axis, s};
use rayon::prelude::*;

use crate::left_out::LeftOut;
use crate::pca::gram;
use crate::product::{matrix, product};
use crate::{Error, Result};

/// Values that rows left out are said to have, under as many penalties as that makes at once but at least one: enough for one product
/// to take long beside bringing its left side into order, few enough to take 32 MiB.
pub const SAID_AT_ONCE: usize = 1 << 22;

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

/// Ridge of `targets` \[rows, targets\] with a `penalty` above 0 that is known, on features \[rows, features\] that `read` gives
/// when they are needed.
///
/// Time grows with the third power of min(rows, features) on one core. The bits are the same on any number of threads.
///
/// # Errors
/// Rows that differ in number, no value, one that is not finite, a penalty that leaves the equations without a solution; and
/// those of `read`.
pub fn fit<E: From<Error>>(
    read: impl Fn() -> std::result::Result<Array2<f64>, E>,
    targets: ArrayView2<f64>,
    penalty: f64,
) -> std::result::Result<Ridge, E> {
    let features = read()?;
    check(features.view(), targets)?;
    let wide = features.ncols() > features.nrows();
    Equations::of(features, targets, wide)?.model(read, &[targets.ncols()], &[penalty])
}

/// The least squares of centred targets on centred features that every model of some rows is made of.
///
/// Of the two Gram matrices, XXᵀ of `wide` features and XᵀX of others: the weights of a penalty λ are
/// (XᵀX + λ)⁻¹XᵀY = Xᵀ(XXᵀ + λ)⁻¹Y (Hoerl & Kennard 1970).
struct Equations {
    mean_features: Array1<f64>,
    mean_targets: Array1<f64>,
    rows: usize,
    wide: bool,
    /// The lower half.
    gram: Mat<f64>,
    /// Y of wide features, XᵀY of others.
    right: Array2<f64>,
}

impl Equations {
    /// Of `x` \[rows, features\] and `targets` \[rows, targets\].
    ///
    /// # Errors
    /// No value.
    fn of(mut x: Array2<f64>, targets: ArrayView2<f64>, wide: bool) -> Result<Self> {
        let mean = |what, rows: ArrayView2<f64>| {
            let mean = rows.mean_axis(Axis(0)).filter(|mean| !mean.is_empty());
            mean.ok_or_else(|| Error::Empty {
                what,
                found: rows.shape().to_vec(),
            })
        };
        let mean_features = mean("features", x.view())?;
        let mean_targets = mean("targets", targets)?;
        x -= &mean_features;
        let y = &targets - &mean_targets;
        let (columns, right) = match wide {
            true => (x.t(), y),
            false => (x.view(), product(x.t(), y.view())),
        };
        Ok(Self {
            gram: gram(matrix(columns).as_ref()),
            rows: x.nrows(),
            mean_features,
            mean_targets,
            wide,
            right,
        })
    }

    /// Mean of the eigenvalues of the smaller Gram matrix, a scale for penalties; 1 of features that never vary: any penalty
    /// gives the mean.
    fn scale(&self) -> f64 {
        let smaller = self.rows.min(self.mean_features.len());
        let trace: f64 = (0..self.gram.nrows()).map(|i| self.gram[(i, i)]).sum();
        match trace > 0.0 {
            true => trace / smaller as f64,
            false => 1.0,
        }
    }

    /// What all others say of the rows `part`, whose targets less the mean over all are `targets`. `read` gives the features of rows.
    fn left_out<E: From<Error>>(
        &self,
        read: impl Fn(&[usize]) -> std::result::Result<Array2<f64>, E>,
        part: &[usize],
        targets: ArrayView2<f64>,
    ) -> std::result::Result<LeftOut, E> {
        let right = self.right.view();
        if self.wide {
            let gram = |a: usize, b: usize| self.gram[(a.max(b), a.min(b))];
            return Ok(LeftOut::of_rows(gram, right, part)?);
        }
        let own = read(part)? - &self.mean_features;
        let gram = self.gram.as_ref();
        Ok(LeftOut::of_columns(gram, right, own, targets, self.rows)?)
    }

    /// The model, each block of targets under its penalty. `read` gives the features again.
    fn model<E: From<Error>>(
        mut self,
        read: impl FnOnce() -> std::result::Result<Array2<f64>, E>,
        blocks: &[usize],
        penalties: &[f64],
    ) -> std::result::Result<Ridge, E> {
        let mut first = 0;
        for (&width, &penalty) in blocks.iter().zip(penalties) {
            let block = self.right.slice_mut(s![.., first..first + width]);
            solve(self.gram.clone(), penalty, block)?;
            first += width;
        }
        drop(self.gram);
        let weights = match self.wide {
            true => product((read()? - &self.mean_features).t(), self.right.view()),
            false => self.right,
        };
        let intercept = &self.mean_targets - &self.mean_features.dot(&weights);
        Ok(Ridge { weights, intercept })
    }
}

/// Puts (gram + penalty)⁻¹ right, of the lower half of a Gram matrix, in the place of the right side.
fn solve(mut gram: Mat<f64>, penalty: f64, mut right: ArrayViewMut2<f64>) -> Result<()> {
    let size = gram.nrows();
    for place in 0..size {
        gram[(place, place)] += penalty;
    }
    let scratch = cholesky_in_place_scratch::<f64>(size, Par::Seq, Default::default());
    cholesky_in_place(
        gram.as_mut(),
        Default::default(),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Default::default(),
    )
    .map_err(|_| Error::NotPositive { size, penalty })?;
    let mut solved = Mat::from_fn(size, right.ncols(), |i, j| right[[i, j]]);
    let scratch = solve_in_place_scratch::<f64>(size, right.ncols(), Par::Seq);
    solve_in_place(
        gram.as_ref(),
        solved.as_mut(),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
    );
    for ((i, j), value) in right.indexed_iter_mut() {
        *value = solved[(i, j)];
    }
    Ok(())
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

/// Ridge of `targets` \[rows, targets\] on `features` \[rows, features\] with penalties that cross-validation chooses.
///
/// Targets come in blocks of `blocks` columns each, and a block has one penalty: of those that [`relative_penalties`]
/// offers the one with the least squared error over all rows, each of which is predicted from the other `parts` (one
/// number a row), and of equal ones the largest. By the squared error and not by what decoders are compared by: average
/// precision over few rows is a matter of single ranks and chose noise.
///
/// Time grows with the third power of min(rows, features), a part a core and the model on one. The bits are the same on any
/// number of threads.
///
/// # Errors
/// Rows that differ in number, no value, or one that is not finite; fewer than two parts, as many as do not fit the rows, or
/// blocks that do not fit the targets.
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
    let rows_of = |part: &usize| -> Vec<usize> {
        let rows = parts.iter().enumerate();
        rows.filter(|(_, of)| *of == part)
            .map(|(row, _)| row)
            .collect()
    };
    let of_parts: Vec<Vec<usize>> = distinct.iter().map(rows_of).collect();
    let rows: Vec<usize> = (0..parts.len()).collect();
    let features = read(&rows)?;
    check(features.view(), targets)?;
    // Eigenvectors are what takes long, with the third power of a Gram matrix' size.
    let cube = |size: usize| (size as f64).powi(3);
    let of_rows: f64 = of_parts
        .iter()
        .map(|part| cube(parts.len() - part.len()))
        .sum();
    let wide = of_parts.len() as f64 * cube(features.ncols()) > of_rows;
    let all = Equations::of(features, targets, wide)?;
    let scale = all.scale();
    let tried: Vec<f64> = relative_penalties().iter().map(|r| r * scale).collect();
    let leave_out = |part: &Vec<usize>| {
        let truth = targets.select(Axis(0), part) - &all.mean_targets;
        let left_out = all.left_out(&read, part, truth.view())?;
        let errors = left_out.errors(truth.view(), &tried, blocks);
        Ok((left_out, errors))
    };
    let left_out = of_parts.par_iter().map(leave_out);
    let left_out: Vec<_> = left_out.collect::<std::result::Result<_, E>>()?;
    let mut errors = Array2::zeros((tried.len(), blocks.len()));
    for (_, own) in &left_out {
        errors += own;
    }
    let best = |errors: ArrayView1<f64>| {
        let better = |best, place| {
            if errors[place] <= errors[best] {
                place
            } else {
                best
            }
        };
        tried[(0..tried.len()).fold(0, better)]
    };
    let penalties: Vec<f64> = errors.columns().into_iter().map(best).collect();
    let each = blocks.iter().zip(&penalties);
    let each: Vec<f64> = each
        .flat_map(|(&width, &penalty)| vec![penalty; width])
        .collect();
    let mut held_out = Array2::zeros(targets.raw_dim());
    for (part, (left_out, _)) in of_parts.iter().zip(left_out) {
        let own = left_out.deviations(&each);
        for (&row, own) in part.iter().zip(own.rows()) {
            held_out.row_mut(row).assign(&own);
        }
    }
    Ok(CrossFit {
        model: all.model(|| read(&rows), blocks, &penalties)?,
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
