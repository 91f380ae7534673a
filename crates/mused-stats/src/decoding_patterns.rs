//! Patterns of linear decoders: what responses do where a label is decoded, which weights do not say (Haufe et al. 2014).

use ndarray::{Array1, Array2, ArrayView2, Axis};

use crate::moments::varies;
use crate::product::product;
use crate::{Error, Result};

/// Sums over samples from which patterns follow; samples come some at a time.
#[derive(Clone, Debug)]
pub struct DecodingPatterns {
    count: usize,
    /// \[voxels\]
    responses: Array1<f64>,
    /// \[labels\]
    decoded: Array1<f64>,
    /// \[labels\]
    squares: Array1<f64>,
    /// \[voxels, labels\]
    cross: Array2<f64>,
}

impl DecodingPatterns {
    /// No sample yet.
    pub fn new(voxels: usize, labels: usize) -> Self {
        Self {
            count: 0,
            responses: Array1::zeros(voxels),
            decoded: Array1::zeros(labels),
            squares: Array1::zeros(labels),
            cross: Array2::zeros((voxels, labels)),
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
        self.squares += &(&decoded * &decoded).sum_axis(Axis(0));
        self.cross += &product(responses.t(), decoded);
        Ok(())
    }

    /// Patterns \[voxels, labels\]: of each label's decoder ŝ = x·w the pattern Cov(x) w / Var(ŝ), equation 6 of Haufe et al.
    /// (2014, NeuroImage 87:96) with Cov(x) w = Cov(x, ŝ), times the standard deviation of ŝ. So a value is what the
    /// response changes when what is decoded rises by one of its standard deviations: labels that are hardly decoded,
    /// whose ŝ hardly vary, do not look strong. 0 of labels whose ŝ never varies.
    ///
    /// A label at a time: the inverse of the covariance between all labels' ŝ, which would tell labels apart that come
    /// together, is noise where there are nearly as many labels as samples (CORRECTNESS.md).
    ///
    /// # Errors
    /// Fewer than two samples.
    pub fn patterns(mut self) -> Result<Array2<f64>> {
        if self.count < 2 {
            return Err(Error::Empty {
                what: "samples",
                found: vec![self.count, self.decoded.len()],
            });
        }
        let (count, freedom) = (self.count as f64, (self.count - 1) as f64);
        let [responses, decoded] = [&self.responses, &self.decoded].map(|sums| sums / count);
        let per_deviation = |(mean, squares): (&f64, &f64)| {
            let deviation = ((squares - count * mean * mean) / freedom).max(0.0).sqrt();
            match varies(*mean, deviation) {
                true => deviation.recip(),
                false => 0.0,
            }
        };
        let scale: Vec<f64> = decoded
            .iter()
            .zip(&self.squares)
            .map(per_deviation)
            .collect();
        for (mut row, mean) in self.cross.rows_mut().into_iter().zip(&responses) {
            for ((value, decoded), scale) in row.iter_mut().zip(&decoded).zip(&scale) {
                *value = (*value - count * mean * decoded) / freedom * scale;
            }
        }
        Ok(self.cross)
    }
}
