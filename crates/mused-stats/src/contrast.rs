//! Two predictions of a point as one: the share of the second by which true items stand out best.
//!
//! The loss is that of contrastive learning (van den Oord et al. 2018, InfoNCE; as CLIP's): the mean cross-entropy of the
//! true item under softmax(τ · cos) over the items, the best of several τ. Squared errors are blind to it: a regression that
//! is right about what most items share, and says little of what tells them apart, lowers those most.

use ndarray::{Array2, ArrayView1, ArrayView2};
use rayon::prelude::*;

use crate::{Error, Result, evenly};

/// Shares are tenths.
const SHARES: usize = 11;
const SHARPNESS: [f64; 5] = [4.0, 8.0, 16.0, 32.0, 64.0];

/// Rows and items that are compared at most, evenly spaced ones.
const ROWS: usize = 2048;
const ITEMS: usize = 512;

/// The share a of the second prediction in (1 - a) · p/‖p‖ + a · q/‖q‖, in tenths, that has the lowest contrastive loss; the
/// smaller of equal ones. `first` and `second` are \[rows, values\], of rows that were not fitted on; `items` are \[items,
/// values\], of which `own` says the true one of each row.
///
/// # Errors
/// Shapes that do not match; an item that is not there; a value that is not finite.
pub fn share(
    first: ArrayView2<f64>,
    second: ArrayView2<f64>,
    items: ArrayView2<f64>,
    own: &[usize],
) -> Result<f64> {
    for (what, found, expected) in [
        ("second predictions", second.shape(), first.shape()),
        ("true items", &[own.len(), first.ncols()][..], first.shape()),
        ("items", items.shape(), &[items.nrows(), first.ncols()][..]),
    ] {
        if found != expected {
            return Err(Error::Shape {
                what,
                expected: expected.to_vec(),
                found: found.to_vec(),
            });
        }
    }
    if let Some(&item) = own.iter().find(|item| **item >= items.nrows()) {
        return Err(Error::Shape {
            what: "items that are true",
            expected: vec![items.nrows()],
            found: vec![item],
        });
    }
    for (what, values) in [
        ("first predictions", first),
        ("second predictions", second),
        ("items", items),
    ] {
        crate::ridge::finite(what, values)?;
    }
    let items = unit(items);
    let others: Vec<usize> = evenly(items.nrows(), ITEMS).collect();
    let rows: Vec<usize> = evenly(first.nrows(), ROWS).collect();
    let losses: Vec<Vec<f64>> = (rows.par_iter())
        .map(|&row| losses(first.row(row), second.row(row), &items, &others, own[row]))
        .collect();
    let mut sums = vec![0.0; SHARES * SHARPNESS.len()];
    for own in &losses {
        for (sum, loss) in sums.iter_mut().zip(own) {
            *sum += loss;
        }
    }
    let best = |sums: &[f64]| sums.iter().copied().fold(f64::INFINITY, f64::min);
    let mut chosen = (0, f64::INFINITY);
    for (share, sums) in sums.chunks_exact(SHARPNESS.len()).enumerate() {
        // Equal but for rounding is equal.
        if best(sums) < chosen.1 * (1.0 - 1e-12) {
            chosen = (share, best(sums));
        }
    }
    Ok(chosen.0 as f64 / (SHARES - 1) as f64)
}

/// Losses of a row: of each share by each sharpness.
fn losses(
    first: ArrayView1<f64>,
    second: ArrayView1<f64>,
    items: &Array2<f64>,
    others: &[usize],
    own: usize,
) -> Vec<f64> {
    let length = |row: ArrayView1<f64>| row.dot(&row).sqrt();
    let scale = |row: ArrayView1<f64>| match length(row) {
        0.0 => 0.0,
        length => length.recip(),
    };
    let (p, q) = (scale(first), scale(second));
    let between = first.dot(&second) * p * q;
    // The true item is the first.
    let compared = std::iter::once(own).chain(others.iter().copied().filter(|other| *other != own));
    let cosines: Vec<(f64, f64)> = compared
        .map(|item| items.row(item))
        .map(|item| (item.dot(&first) * p, item.dot(&second) * q))
        .collect();
    let mut losses = Vec::with_capacity(SHARES * SHARPNESS.len());
    for share in 0..SHARES {
        let b = share as f64 / (SHARES - 1) as f64;
        let a = 1.0 - b;
        let squared = (a * a + b * b + 2.0 * a * b * between).max(0.0);
        let scale = if squared > 1e-12 {
            squared.sqrt().recip()
        } else {
            0.0
        };
        let mixed: Vec<f64> = (cosines.iter())
            .map(|(p, q)| (a * p + b * q) * scale)
            .collect();
        let own = mixed.first().copied().unwrap_or_default();
        // Cosines are at most 1: nothing overflows.
        losses.extend(SHARPNESS.map(|sharpness| {
            let terms = mixed
                .iter()
                .map(|cosine| (sharpness * (cosine - own)).exp());
            terms.sum::<f64>().ln()
        }));
    }
    losses
}

/// Rows of length 1; those of zeros stay zeros.
fn unit(rows: ArrayView2<f64>) -> Array2<f64> {
    let mut rows = rows.to_owned();
    for mut row in rows.rows_mut() {
        let length = row.dot(&row).sqrt();
        if length > 0.0 {
            row /= length;
        }
    }
    rows
}
