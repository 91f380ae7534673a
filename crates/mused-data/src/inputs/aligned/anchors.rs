//! Likeness of responses to those to the training stimuli that all subjects saw.

use mused_stats::anchors::likeness;
use ndarray::{Array2, ArrayView2, Axis};

use super::components::root_mean_square;
use crate::inputs::Sample;
use crate::{Dataset, Error, Result};

/// Fewest training stimuli in common that responses are compared with.
const LEAST_COMMON: usize = 10;

/// The training stimuli that all subjects saw: one column each.
pub(super) struct Anchors {
    stimuli: Vec<usize>,
}

/// A subject's map onto them.
pub(super) struct AnchorMap {
    /// Voxels × anchors.
    pub(super) weights: Array2<f64>,
    /// Samples × anchors.
    pub(super) held_out: Array2<f64>,
}

impl Anchors {
    pub(super) fn of(stimuli: Vec<usize>) -> Result<Self> {
        if stimuli.len() < LEAST_COMMON {
            return Err(Error::Request(format!(
                "likeness to training stimuli needs {LEAST_COMMON} of them or more that all subjects saw, found {}: align by \
                 guidance or labels (model.inputs)",
                stimuli.len()
            )));
        }
        Ok(Self { stimuli })
    }

    /// The map of centred voxels `x`, one row a sample. A sample's likeness to a stimulus of its own group says which group
    /// that is and becomes 0, the mean.
    pub(super) fn map(
        &self,
        dataset: &Dataset,
        samples: &[Sample],
        x: ArrayView2<'_, f64>,
        penalty: f64,
    ) -> mused_stats::Result<AnchorMap> {
        let row = |stimulus: &usize| samples.iter().position(|s| s.stimulus == *stimulus);
        let rows: Vec<usize> = self.stimuli.iter().filter_map(row).collect();
        let weights = likeness(x.select(Axis(0), &rows).view(), penalty)?;
        let mut held_out = x.dot(&weights);
        let group = |stimulus: usize| &dataset.stimuli[stimulus].group;
        for (mut row, sample) in held_out.rows_mut().into_iter().zip(samples) {
            for (value, &anchor) in row.iter_mut().zip(&self.stimuli) {
                if group(anchor) == group(sample.stimulus) {
                    *value = 0.0;
                }
            }
        }
        let scale = match root_mean_square(&held_out) {
            0.0 => 0.0,
            size => size.recip(),
        };
        Ok(AnchorMap {
            weights: weights * scale,
            held_out: held_out * scale,
        })
    }
}
