//! Principal components of what regions are mapped onto.

use mused_stats::patterns::Patterns;
use mused_stats::pca::Pca;
use ndarray::{Array1, Array2, ArrayView2, Axis, s};

use crate::{Error, Guidance, GuidanceTarget, Result};

/// Principal components of guidance over training stimuli, all divided by one number so that their mean square is 1.
///
/// Of features see [`FeatureSpace`]; of dissimilarities, the patterns behind them.
pub(super) fn components(
    guidance: &Guidance,
    stimuli: &[usize],
    most: usize,
) -> Result<Array2<f64>> {
    let scores = match guidance.target(stimuli) {
        GuidanceTarget::Features(features) => {
            let space = FeatureSpace::fit(features.view(), most)?;
            return Ok(space.place(features.view()));
        }
        GuidanceTarget::Rdm(rdm) => {
            let behind = Patterns::behind(rdm.mapv(f64::from).view());
            first(behind.map_err(|error| guidance_error(&error))?.rows, most)
        }
    };
    scaled_to_one(scores).ok_or_else(all_the_same)
}

fn all_the_same() -> Error {
    Error::Request(
        "guidance is the same for all training stimuli: nothing to align subjects by".to_owned(),
    )
}

/// Where features lie among the principal components of those of training stimuli.
///
/// Features are centred by the mean of training stimuli, brought to length 1 and centred again: what remains of cosines.
/// All components are divided by one number, so that their mean square over training stimuli is 1.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureSpace {
    centre: Array1<f64>,
    pca: Pca,
    scale: f64,
}

impl FeatureSpace {
    /// Fits at most so many components to the features of training stimuli, stimuli × features.
    ///
    /// # Errors
    /// Features that are not finite, or the same for all stimuli.
    pub fn fit(training: ArrayView2<'_, f32>, most: usize) -> Result<Self> {
        let rows = training.mapv(f64::from);
        let centre = rows.mean_axis(Axis(0)).unwrap_or_default();
        let rows = unit_rows(rows, &centre);
        let pca = Pca::fit(rows.view(), most).map_err(|error| guidance_error(&error))?;
        let scores = (rows - &pca.mean).dot(&pca.components.t());
        let scale = root_mean_square(&scores);
        match scale > 0.0 {
            true => Ok(Self { centre, pca, scale }),
            false => Err(all_the_same()),
        }
    }

    /// Features of a stimulus.
    pub fn width(&self) -> usize {
        self.centre.len()
    }

    /// Components.
    pub fn components(&self) -> usize {
        self.pca.variances.len()
    }

    /// The mean of the training stimuli's features.
    pub fn centre(&self) -> &Array1<f64> {
        &self.centre
    }

    /// Components of features, rows × [`Self::width`]: rows × [`Self::components`].
    pub fn place(&self, features: ArrayView2<'_, f32>) -> Array2<f64> {
        self.place_around(features, &self.centre)
    }

    /// The same of features of another kind, such as of texts, that lie around a centre of their own.
    pub fn place_around(&self, features: ArrayView2<'_, f32>, centre: &Array1<f64>) -> Array2<f64> {
        let rows = unit_rows(features.mapv(f64::from), centre);
        (rows - &self.pca.mean).dot(&self.pca.components.t()) / self.scale
    }

    /// What components are multiplied by for the small ones to count among the large: 1/√(1 + v/v̄), where v is the variance of
    /// each over training stimuli.
    pub fn level(&self) -> Array1<f64> {
        let variances = &self.pca.variances;
        let mean = variances.mean().unwrap_or_default();
        variances.mapv(|variance| (1.0 + variance / mean).sqrt().recip())
    }

    /// The first `most` axes of the components, orthonormal: axes × [`Self::width`].
    pub fn axes(&self, most: usize) -> Array2<f32> {
        let count = most.min(self.components());
        let axes = self.pca.components.slice(s![..count, ..]);
        axes.mapv(|value| value as f32)
    }

    /// Points among the components as directions in the space of features, from the mean of the training stimuli: rows ×
    /// [`Self::width`].
    pub fn directions(&self, points: ArrayView2<'_, f32>) -> Array2<f32> {
        let points = points.mapv(f64::from) * self.scale;
        points.dot(&self.pca.components).mapv(|value| value as f32)
    }
}

/// Centred rows of length 1; those of zeros stay zeros.
fn unit_rows(mut rows: Array2<f64>, centre: &Array1<f64>) -> Array2<f64> {
    rows -= centre;
    for mut row in rows.rows_mut() {
        let norm = row.dot(&row).sqrt();
        if norm > 0.0 {
            row /= norm;
        }
    }
    rows
}

fn guidance_error(error: &mused_stats::Error) -> Error {
    Error::Request(format!("guidance that subjects are aligned by: {error}"))
}

/// Mean square 1; `None` of zeros.
pub(super) fn scaled_to_one(scores: Array2<f64>) -> Option<Array2<f64>> {
    let size = root_mean_square(&scores);
    (size > 0.0).then(|| scores / size)
}

pub(super) fn root_mean_square(values: &Array2<f64>) -> f64 {
    let squares: f64 = values.iter().map(|value| value * value).sum();
    (squares / values.len().max(1) as f64).sqrt()
}

/// The first `most` columns.
pub(super) fn first(rows: Array2<f64>, most: usize) -> Array2<f64> {
    let kept = most.min(rows.ncols());
    rows.slice_move(s![.., ..kept])
}
