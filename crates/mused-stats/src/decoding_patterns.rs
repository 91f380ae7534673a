//! Patterns of linear decoders: what responses do where a label is decoded, which weights do not say (Haufe et al. 2014).

use faer::Mat;
use ndarray::{Array1, Array2, ArrayView2, Axis};

use crate::moments::varies;
use crate::pca::eigenvectors;
use crate::product::product;
use crate::{Error, Result};

/// Eigenvalues of the correlations between decoded labels, in units of the largest, below which they are rounding.
const LEAST: f64 = 1e-10;

/// Sums over samples from which patterns follow; samples come some at a time.
#[derive(Clone, Debug)]
pub struct DecodingPatterns {
    count: usize,
    /// \[voxels\]
    responses: Array1<f64>,
    /// \[labels\]
    decoded: Array1<f64>,
    /// \[voxels, labels\]
    cross: Array2<f64>,
    /// \[labels, labels\]
    scatter: Array2<f64>,
}

impl DecodingPatterns {
    /// No sample yet.
    pub fn new(voxels: usize, labels: usize) -> Self {
        Self {
            count: 0,
            responses: Array1::zeros(voxels),
            decoded: Array1::zeros(labels),
            cross: Array2::zeros((voxels, labels)),
            scatter: Array2::zeros((labels, labels)),
        }
    }

    /// Counts `responses` \[samples, voxels\] and what a linear decoder makes of them, `decoded` \[samples, labels\].
    ///
    /// # Errors
    /// Another number of samples, voxels or labels.
    pub fn add(&mut self, responses: ArrayView2<f64>, decoded: ArrayView2<f64>) -> Result<()> {
        for (what, found, columns) in [
            ("responses", &responses, self.responses.len()),
            ("decoded labels", &decoded, self.decoded.len()),
        ] {
            let expected = [responses.nrows(), columns];
            if found.shape() != expected {
                return Err(Error::Shape {
                    what,
                    expected: expected.to_vec(),
                    found: found.shape().to_vec(),
                });
            }
        }
        self.count += responses.nrows();
        self.responses += &responses.sum_axis(Axis(0));
        self.decoded += &decoded.sum_axis(Axis(0));
        self.cross += &product(responses.t(), decoded);
        self.scatter += &product(decoded.t(), decoded);
        Ok(())
    }

    /// Patterns \[voxels, labels\]: Cov(x, ŝ) Cov(ŝ)⁻¹, equation 6 of Haufe et al. (2014, NeuroImage 87:96) with
    /// Cov(x, ŝ) = Cov(x) W, times the standard deviation of each label's ŝ. So a value is what the response changes when
    /// the label's decoded value rises by one of its standard deviations and those of the others stay: labels that are
    /// hardly decoded, whose ŝ hardly vary, do not look strong. Where some ŝ follow from others, as those of labels of which
    /// one is always there, the least patterns that say the same (Moore-Penrose); 0 of labels whose ŝ never varies.
    ///
    /// # Errors
    /// Fewer than two samples, or values that are not finite.
    pub fn patterns(&self) -> Result<Array2<f64>> {
        if self.count < 2 {
            return Err(Error::Empty {
                what: "samples",
                found: vec![self.count, self.decoded.len()],
            });
        }
        let (count, freedom) = (self.count as f64, (self.count - 1) as f64);
        let [responses, decoded] = [&self.responses, &self.decoded].map(|sums| sums / count);
        let labels = decoded.len();
        let between =
            |a: usize, b: usize| (self.scatter[[a, b]] - count * decoded[a] * decoded[b]) / freedom;
        let deviations: Vec<f64> = (0..labels)
            .map(|label| between(label, label).max(0.0).sqrt())
            .collect();
        let per_deviation = |label: usize| match varies(decoded[label], deviations[label]) {
            true => deviations[label].recip(),
            false => 0.0,
        };
        let correlations = Mat::from_fn(labels, labels, |a, b| {
            between(a, b) * per_deviation(a) * per_deviation(b)
        });
        let (values, vectors) = eigenvectors(correlations.as_ref())?;
        let least = LEAST * values.last().copied().unwrap_or(0.0);
        let inverse = |value: f64| if value > least { value.recip() } else { 0.0 };
        let inverse = Array2::from_shape_fn((labels, labels), |(a, b)| -> f64 {
            let terms = values.iter().enumerate();
            terms
                .map(|(place, value)| vectors[(a, place)] * inverse(*value) * vectors[(b, place)])
                .sum()
        });
        let mut cross = self.cross.clone();
        for (mut row, mean) in cross.rows_mut().into_iter().zip(&responses) {
            for (label, value) in row.iter_mut().enumerate() {
                *value = (*value - count * mean * decoded[label]) / freedom * per_deviation(label);
            }
        }
        Ok(product(cross.view(), inverse.view()))
    }
}
