//! Likeness of rows to a set of rows that others have too.

use faer::Mat;
use ndarray::{Array2, ArrayView2};

use crate::pca::{eigenvectors, gram};
use crate::product::product;
use crate::ridge::finite;
use crate::{Error, Result};

/// The map Aᵀ(A·Aᵀ + λ)^(-1/2) from a row's features to its likeness to each of the `anchors` A \[anchors, features\], which
/// are made unlike each other: \[features, anchors\].
///
/// Directions in which anchors vary by less than √λ, the `penalty`, are shrunk; without one, the likenesses of the anchors
/// themselves are the symmetric root of A·Aᵀ. Time grows with the third power of the number of anchors on one core.
///
/// # Errors
/// No anchor, a value that is not finite, or a penalty that is not above 0.
pub fn likeness(anchors: ArrayView2<f64>, penalty: f64) -> Result<Array2<f64>> {
    if anchors.is_empty() {
        return Err(Error::Empty {
            what: "anchors",
            found: anchors.shape().to_vec(),
        });
    }
    finite("anchors", anchors)?;
    let positive = ndarray::arr2(&[[penalty.ln()]]);
    finite("logarithm of the penalty", positive.view())?;
    let count = anchors.nrows();
    let columns = Mat::from_fn(anchors.ncols(), count, |i, j| anchors[[j, i]]);
    let (values, vectors) = eigenvectors(gram(columns.as_ref()))?;
    let vectors = Array2::from_shape_fn((count, count), |(i, j)| vectors[(i, j)]);
    let mut shrunk = vectors.clone();
    for (mut column, value) in shrunk.columns_mut().into_iter().zip(&values) {
        column /= (value.max(0.0) + penalty).sqrt();
    }
    let root = product(shrunk.view(), vectors.t());
    Ok(product(anchors.t(), root.view()))
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;

    use super::*;

    /// (A·Aᵀ + λ)^(-1/2) by hand, of orthogonal anchors; and of any: what it is when multiplied with itself.
    #[test]
    fn likeness_is_the_penalised_inverse_root() {
        let orthogonal = arr2(&[[3.0, 0.0, 0.0], [0.0, 2.0, 0.0]]);
        let map = likeness(orthogonal.view(), 16.0).unwrap();
        let expected = arr2(&[[3.0 / 5.0, 0.0], [0.0, 2.0 / 20.0_f64.sqrt()], [0.0, 0.0]]);
        assert!((&map - &expected).iter().all(|off| off.abs() < 1e-15));

        let anchors = arr2(&[[1.0, 2.0, -1.0], [0.5, -1.0, 3.0]]);
        let map = likeness(anchors.view(), 0.7).unwrap();
        // A·M = K(K + λ)^(-1/2), so that (A·M)² = K²(K + λ)^(-1), and K² = (A·M)²(K + λ).
        let root = anchors.dot(&map);
        let products = anchors.dot(&anchors.t());
        let penalised = &products + &(Array2::<f64>::eye(2) * 0.7);
        let off = root.dot(&root).dot(&penalised) - products.dot(&products);
        assert!(off.iter().all(|off| off.abs() < 1e-10), "{off}");
    }

    #[test]
    fn what_has_no_root_is_refused() {
        let anchors = arr2(&[[1.0, f64::NAN]]);
        assert!(likeness(anchors.view(), 1.0).is_err());
        let anchors = arr2(&[[1.0, 2.0]]);
        assert!(likeness(anchors.view(), 0.0).is_err());
        assert!(likeness(anchors.slice(ndarray::s![..0, ..]), 1.0).is_err());
    }
}
