//! The subjects' mean geometry of the training stimuli that all of them saw.

use std::collections::BTreeMap;

use mused_stats::patterns::Patterns;
use ndarray::{Array2, Axis};

use super::components::{first, scaled_to_one};
use crate::inputs::projection::{regions_of, z_scored_rows};
use crate::inputs::{Sample, ZScore, samples};
use crate::{Dataset, Error, Result, Subject};

/// Fewest training stimuli in common whose mean geometry is more than noise.
pub(super) const LEAST_COMMON: usize = 10;

/// The subjects' mean geometry of the training stimuli that all of them saw.
pub(super) struct Consensus {
    stimuli: Vec<usize>,
    /// Of each subject, without its own part: stimuli × components.
    others: BTreeMap<usize, Array2<f64>>,
}

/// Targets of the samples that have some.
pub(super) struct Seen {
    pub(super) rows: Vec<usize>,
    /// Rows × components.
    pub(super) values: Array2<f64>,
}

impl Consensus {
    /// Squared distances of responses to `stimuli`, which all subjects saw, their mean made 1 in each region, are averaged over regions and the other subjects;
    /// the patterns behind that mean are turned onto those of everybody's, so that a component means the same to all.
    pub(super) fn of(
        components: usize,
        zscore: bool,
        dataset: &Dataset,
        own: &BTreeMap<usize, Vec<Sample>>,
        stimuli: Vec<usize>,
    ) -> Result<Self> {
        if own.len() < 2 || stimuli.len() < LEAST_COMMON {
            return Err(Error::Request(format!(
                "a consensus of subjects' geometries needs 2 subjects or more who saw {LEAST_COMMON} training stimuli in \
                 common, found {} who share {}: align by guidance or labels (model.inputs)",
                own.len(),
                stimuli.len()
            )));
        }
        let mut distances = BTreeMap::new();
        for &subject in own.keys() {
            let own = samples(dataset, &[subject], &stimuli);
            let z_score = (zscore)
                .then(|| ZScore::fit(dataset, subject, &own))
                .transpose()?
                .map(ZScore::with_one_scale);
            let values = z_scored_rows(dataset, z_score.as_ref(), &own)?;
            distances.insert(
                subject,
                squared_distances(&dataset.subjects[subject], &values),
            );
        }
        let mut sum = Array2::zeros((stimuli.len(), stimuli.len()));
        for own in distances.values() {
            sum += own;
        }
        let refused = |error| Error::Request(format!("consensus of subjects' geometries: {error}"));
        let behind = |distances: &Array2<f64>| Patterns::behind(distances.view()).map_err(refused);
        let all = first(behind(&sum)?.rows, components);
        let mut others = BTreeMap::new();
        for (subject, own) in distances {
            let mut patterns = behind(&(&sum - &own))?;
            patterns.rows = first(patterns.rows, components);
            let turned = patterns.turned_onto(all.view()).map_err(refused)?;
            let scaled = scaled_to_one(turned.rows).ok_or_else(|| {
                Error::Request(
                    "responses of all other subjects never vary: nothing to align by".to_owned(),
                )
            })?;
            others.insert(subject, scaled);
        }
        Ok(Self { stimuli, others })
    }

    pub(super) fn targets(&self, subject: usize, samples: &[Sample]) -> Seen {
        let place = |sample: &Sample| self.stimuli.binary_search(&sample.stimulus).ok();
        let found = samples.iter().enumerate();
        let (rows, places): (Vec<usize>, Vec<usize>) = found
            .filter_map(|(row, sample)| Some((row, place(sample)?)))
            .unzip();
        let none = Array2::zeros((self.stimuli.len(), 0));
        let own = self.others.get(&subject).unwrap_or(&none);
        Seen {
            values: own.select(Axis(0), &places),
            rows,
        }
    }
}

/// Half the squared distances of rows over each region's voxels, their mean over all pairs made 1, mean over regions.
fn squared_distances(subject: &Subject, values: &Array2<f32>) -> Array2<f64> {
    let count = values.nrows();
    let mut sum = Array2::zeros((count, count));
    for (_, columns) in regions_of(subject) {
        let columns: Vec<usize> = columns.iter().map(|&column| column as usize).collect();
        let x = values.select(Axis(1), &columns).mapv(f64::from);
        let products = x.dot(&x.t());
        let norms = products.diag().to_owned();
        let own = Array2::from_shape_fn((count, count), |(a, b)| {
            (0.5 * (norms[a] + norms[b]) - products[[a, b]]).max(0.0)
        });
        let mean = own.mean().unwrap_or(0.0);
        if mean > 0.0 {
            sum.scaled_add(mean.recip(), &own);
        }
    }
    sum
}
