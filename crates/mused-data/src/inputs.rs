use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};

use mused_stats::summary;
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::{Dataset, Error, Response, Result, Subject};

/// One input of the model: what a subject's brain did for a stimulus, averaged over repeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Index into the dataset's subjects.
    pub subject: usize,
    /// Index into the dataset's stimuli.
    pub stimulus: usize,
    /// Rows of the subject's responses that show the stimulus.
    pub trials: Vec<usize>,
}

/// All samples of the given subjects and stimuli (`stimuli` sorted), subject by subject.
pub fn samples(dataset: &Dataset, subjects: &[usize], stimuli: &[usize]) -> Vec<Sample> {
    let mut found = Vec::new();
    for &subject in subjects {
        let mut trials: Vec<Vec<usize>> = vec![Vec::new(); stimuli.len()];
        for (row, trial) in dataset.subjects[subject].trials.iter().enumerate() {
            if let Ok(place) = stimuli.binary_search(&trial.stimulus) {
                trials[place].push(row);
            }
        }
        for (&stimulus, trials) in stimuli.iter().zip(trials) {
            if !trials.is_empty() {
                found.push(Sample {
                    subject,
                    stimulus,
                    trials,
                });
            }
        }
    }
    found
}

/// A region's place in an input row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoiSlot {
    /// Name of the region.
    pub name: String,
    /// First value of the region.
    pub offset: usize,
    /// Values a subject: the largest voxel count over subjects; smaller ones end in zeros.
    pub length: usize,
}

/// How an input row is divided into regions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// In row order, contiguous.
    pub rois: Vec<RoiSlot>,
}

impl Layout {
    /// Length of an input row.
    pub fn width(&self) -> usize {
        self.rois.last().map_or(0, |roi| roi.offset + roi.length)
    }
}

/// Shift and scale of one subject's inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubjectInputs {
    /// Name of the subject.
    pub id: String,
    /// Subtracted, one a value of the input row.
    pub mean: Vec<f32>,
    /// Multiplied after that; 0 where there is no voxel or it never varies.
    pub scale: Vec<f32>,
    /// For each region, whether the subject has any voxel of it.
    pub has_roi: Vec<bool>,
}

/// Everything needed to turn responses into model inputs, fitted on training samples alone.
///
/// Voxel responses are z-scored with the subject's training mean and standard deviation.
/// Similarity profiles keep only columns whose reference stimulus was trained on; the column of
/// the sample's own stimulus is replaced by the median of the others (its value says nothing but
/// "this is that stimulus"); each profile is then mean-centred.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputTransform {
    /// Regions of an input row.
    pub layout: Layout,
    /// For similarity profiles, the names of the reference stimuli, the values of every region.
    pub references: Option<Vec<String>>,
    /// One a subject that can be transformed.
    pub subjects: Vec<SubjectInputs>,
}

impl InputTransform {
    /// Fits the transform on `training` samples. Subjects in `unlabelled` get statistics from
    /// their responses to the same training stimuli, so that a left-out subject can be read.
    ///
    /// # Errors
    /// When responses cannot be read or are not finite.
    pub fn fit(dataset: &Dataset, training: &[Sample], unlabelled: &[usize]) -> Result<Self> {
        let stimuli: BTreeSet<usize> = training.iter().map(|sample| sample.stimulus).collect();
        let stimuli: Vec<usize> = stimuli.into_iter().collect();
        let profiles = dataset.description.response == Response::SimilarityProfiles;
        let references = profiles.then(|| {
            stimuli
                .iter()
                .map(|&stimulus| dataset.stimuli[stimulus].id.clone())
                .collect()
        });
        let trained: BTreeSet<usize> = training.iter().map(|sample| sample.subject).collect();
        let fitted: Vec<usize> = trained
            .iter()
            .copied()
            .chain(unlabelled.iter().copied())
            .collect();
        let layout = layout(dataset, &fitted, references.as_ref().map(Vec::len));
        let width = layout.width();
        let mut transform = Self {
            layout,
            references,
            subjects: Vec::new(),
        };
        for &subject in &fitted {
            let placement = transform.placement(dataset, subject)?;
            transform.subjects.push(SubjectInputs {
                id: dataset.subjects[subject].id.clone(),
                mean: vec![0.0; width],
                scale: placement.occupied(width),
                has_roi: placement.has_roi,
            });
        }
        // Similarities have one scale for everybody already.
        if !profiles {
            for (place, &subject) in fitted.iter().enumerate() {
                let own = samples(dataset, &[subject], &stimuli);
                transform.fit_z_score(dataset, place, &own)?;
            }
        }
        Ok(transform)
    }

    fn fit_z_score(&mut self, dataset: &Dataset, place: usize, own: &[Sample]) -> Result<()> {
        let rows = self.raw(dataset, own)?;
        let inputs = &mut self.subjects[place];
        for (position, column) in rows.columns().into_iter().enumerate() {
            let values: Vec<f64> = column.iter().copied().map(f64::from).collect();
            let sd = summary::sample_sd(&values).unwrap_or(0.0);
            inputs.mean[position] = summary::mean(&values).unwrap_or(0.0) as f32;
            inputs.scale[position] = if sd > 0.0 { (1.0 / sd) as f32 } else { 0.0 };
        }
        Ok(())
    }

    /// Inputs of `samples`: samples × [`Layout::width`].
    ///
    /// # Errors
    /// When a subject is unknown to this transform, its voxels do not fit the layout, or
    /// responses cannot be read or are not finite.
    pub fn apply(&self, dataset: &Dataset, samples: &[Sample]) -> Result<Array2<f32>> {
        let known = |sample: &Sample| self.subject(&dataset.subjects[sample.subject].id);
        let subjects = samples.iter().map(known).collect::<Result<Vec<_>>>()?;
        let mut rows = self.raw(dataset, samples)?;
        for (mut row, inputs) in rows.rows_mut().into_iter().zip(subjects) {
            for ((value, mean), scale) in row.iter_mut().zip(&inputs.mean).zip(&inputs.scale) {
                *value = (*value - mean) * scale;
            }
        }
        Ok(rows)
    }

    /// The statistics of the subject called `id`.
    ///
    /// # Errors
    /// Names the subjects there are.
    pub fn subject(&self, id: &str) -> Result<&SubjectInputs> {
        self.subjects
            .iter()
            .find(|inputs| inputs.id == id)
            .ok_or_else(|| {
                let known: Vec<&str> = self.subjects.iter().map(|s| s.id.as_str()).collect();
                Error::Request(format!(
                    "unknown subject {id:?}: the model was trained with {}",
                    known.join(", ")
                ))
            })
    }

    /// Averaged, placed and, for profiles, centred responses, before shift and scale.
    fn raw(&self, dataset: &Dataset, samples: &[Sample]) -> Result<Array2<f32>> {
        let mut rows = Array2::zeros((samples.len(), self.layout.width()));
        let mut placements: HashMap<usize, Placement> = HashMap::new();
        let mut response = Vec::new();
        for (mut row, sample) in rows.rows_mut().into_iter().zip(samples) {
            let subject = &dataset.subjects[sample.subject];
            let placement = match placements.entry(sample.subject) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(self.placement(dataset, sample.subject)?),
            };
            response.resize(subject.voxels.len(), 0.0);
            let weight = 1.0 / sample.trials.len() as f32;
            for &trial in &sample.trials {
                subject.read_response(trial, &mut response)?;
                for (&value, position) in response.iter().zip(&placement.positions) {
                    if let Some(position) = *position {
                        row[position] += value * weight;
                    }
                }
            }
            if let Some(references) = &self.references {
                let own = references
                    .iter()
                    .position(|reference| *reference == dataset.stimuli[sample.stimulus].id);
                if let Some(values) = row.as_slice_mut() {
                    for (roi, _) in self
                        .layout
                        .rois
                        .iter()
                        .zip(&placement.has_roi)
                        .filter(|(_, has)| **has)
                    {
                        let end = roi.offset + roi.length;
                        centre_profile(&mut values[roi.offset..end], own);
                    }
                }
            }
        }
        Ok(rows)
    }

    fn placement(&self, dataset: &Dataset, subject: usize) -> Result<Placement> {
        Placement::new(self, dataset, &dataset.subjects[subject])
    }
}

/// Where each voxel of a subject goes in an input row.
struct Placement {
    positions: Vec<Option<usize>>,
    has_roi: Vec<bool>,
}

impl Placement {
    fn new(transform: &InputTransform, dataset: &Dataset, subject: &Subject) -> Result<Self> {
        let rois = &transform.layout.rois;
        let roi_index: HashMap<&str, usize> = rois
            .iter()
            .enumerate()
            .map(|(index, roi)| (roi.name.as_str(), index))
            .collect();
        let reference_index: Option<HashMap<&str, usize>> =
            transform.references.as_ref().map(|references| {
                references
                    .iter()
                    .enumerate()
                    .map(|(index, id)| (id.as_str(), index))
                    .collect()
            });
        let mut filled = vec![0; rois.len()];
        let mut positions = Vec::with_capacity(subject.voxels.len());
        for voxel in &subject.voxels {
            let roi = *roi_index.get(voxel.roi.as_str()).ok_or_else(|| {
                Error::Request(format!(
                    "subject {}: region {:?} is not among those the model was trained with",
                    subject.id, voxel.roi
                ))
            })?;
            let within = match (&reference_index, voxel.reference) {
                (None, _) => Some(filled[roi]),
                (Some(index), Some(reference)) => {
                    index.get(dataset.stimuli[reference].id.as_str()).copied()
                }
                (Some(_), None) => {
                    return Err(Error::Request(
                        "the model was trained on similarity profiles, the dataset has none"
                            .to_owned(),
                    ));
                }
            };
            if let Some(within) = within {
                if within >= rois[roi].length {
                    return Err(Error::Request(format!(
                        "subject {}: region {} has more than the {} voxels of the trained model",
                        subject.id, rois[roi].name, rois[roi].length
                    )));
                }
                filled[roi] += 1;
            }
            positions.push(within.map(|within| rois[roi].offset + within));
        }
        Ok(Self {
            positions,
            has_roi: filled.iter().map(|&voxels| voxels > 0).collect(),
        })
    }

    /// 1 where a voxel goes, 0 elsewhere.
    fn occupied(&self, width: usize) -> Vec<f32> {
        let mut occupied = vec![0.0; width];
        for position in self.positions.iter().flatten() {
            occupied[*position] = 1.0;
        }
        occupied
    }
}

fn layout(dataset: &Dataset, subjects: &[usize], references: Option<usize>) -> Layout {
    let mut offset = 0;
    let mut rois = Vec::new();
    for name in dataset.roi_names() {
        let count = |subject: &usize| {
            let voxels = &dataset.subjects[*subject].voxels;
            voxels.iter().filter(|voxel| voxel.roi == name).count()
        };
        let largest = subjects.iter().map(count).max().unwrap_or(0);
        if largest > 0 {
            let length = references.unwrap_or(largest);
            rois.push(RoiSlot {
                name: name.to_owned(),
                offset,
                length,
            });
            offset += length;
        }
    }
    Layout { rois }
}

/// Replaces the `own` value by the median of the others, then subtracts the mean.
fn centre_profile(profile: &mut [f32], own: Option<usize>) {
    if let Some(own) = own {
        let mut others: Vec<f32> = profile
            .iter()
            .enumerate()
            .filter(|(index, _)| *index != own)
            .map(|(_, value)| *value)
            .collect();
        others.sort_unstable_by(f32::total_cmp);
        let middle = others.len() / 2;
        profile[own] = match others.len() {
            0 => 0.0,
            even if even % 2 == 0 => 0.5 * (others[middle - 1] + others[middle]),
            _ => others[middle],
        };
    }
    let mean = profile.iter().sum::<f32>() / profile.len().max(1) as f32;
    for value in profile {
        *value -= mean;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_value_becomes_the_median_of_the_others() {
        let mut odd = [5.0, 1.0, 2.0, 100.0];
        centre_profile(&mut odd, Some(3));
        // Median of 5, 1, 2 is 2; the mean of 5, 1, 2, 2 is 2.5.
        assert_eq!(odd, [2.5, -1.5, -0.5, -0.5]);
        let mut even = [9.0, 1.0, 3.0];
        centre_profile(&mut even, Some(0));
        assert_eq!(even, [0.0, -1.0, 1.0]);
        let mut alone = [7.0];
        centre_profile(&mut alone, Some(0));
        assert_eq!(alone, [0.0]);
    }
}
