//! Principal components of what regions are mapped onto.

use mused_stats::patterns::Patterns;
use mused_stats::pca::Pca;
use ndarray::{Array2, Axis, s};

use crate::{Error, Guidance, GuidanceTarget, Result};

/// Principal components of guidance over training stimuli, all divided by one number so that their mean square is 1.
///
/// Features are centred, brought to length 1 and centred again: what remains of cosines. Of dissimilarities, the
/// patterns behind them.
pub(super) fn components(
    guidance: &Guidance,
    stimuli: &[usize],
    most: usize,
) -> Result<Array2<f64>> {
    let scores = match guidance.target(stimuli) {
        GuidanceTarget::Features(features) => {
            let mut rows = features.mapv(f64::from);
            if let Some(mean) = rows.mean_axis(Axis(0)) {
                rows -= &mean;
            }
            for mut row in rows.rows_mut() {
                let norm = row.dot(&row).sqrt();
                if norm > 0.0 {
                    row /= norm;
                }
            }
            let pca = Pca::fit(rows.view(), most).map_err(|error| guidance_error(&error))?;
            (rows - &pca.mean).dot(&pca.components.t())
        }
        GuidanceTarget::Rdm(rdm) => {
            let behind = Patterns::behind(rdm.mapv(f64::from).view());
            first(behind.map_err(|error| guidance_error(&error))?.rows, most)
        }
    };
    scaled_to_one(scores).ok_or_else(|| {
        Error::Request(
            "guidance is the same for all training stimuli: nothing to align subjects by"
                .to_owned(),
        )
    })
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
