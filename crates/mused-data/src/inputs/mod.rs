//! From response rows to the inputs of a model, with nothing fitted outside training.

mod aligned;
mod layout;
mod projection;

use std::collections::BTreeSet;
use std::sync::Arc;

use mused_stats::moments::varies;
use ndarray::Array2;
use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

use crate::{Dataset, Error, Response, Result};
use layout::{NOWHERE, Placement};
use projection::Projector;

pub use aligned::{Aligned, Alignment, FeatureSpace, FitBytes};
pub use layout::{Arrangement, Cuboid, Layout, Slot};
pub use projection::Projection;

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

/// What is fitted on one subject's training samples.
#[derive(Clone, Debug, PartialEq)]
pub struct SubjectInputs {
    /// Name of the subject.
    pub id: String,
    /// Shift and scale of its voxels; `None` where responses are taken as they are.
    pub z_score: Option<ZScore>,
    /// Maps of its regions; `None` where voxels are read as they are.
    pub projections: Option<Vec<Projection>>,
}

/// Shift and scale, one a voxel.
#[derive(Clone, Debug, PartialEq)]
pub struct ZScore {
    /// Subtracted.
    pub mean: Vec<f32>,
    /// Multiplied after that; 0 where a voxel never varies by more than rounding (see [`varies`]).
    pub scale: Vec<f32>,
}

/// Everything needed to turn responses into model inputs, fitted on training samples alone.
///
/// Voxel responses are z-scored with the subject's training mean and standard deviation.
/// Similarity profiles keep only columns whose reference stimulus was trained on; the column of
/// the sample's own stimulus is replaced by the median of the others (its value says nothing but
/// "this is that stimulus"); each profile is then mean-centred.
///
/// Under [`Arrangement::Components`] each region of z-scored voxels becomes its principal components.
/// Fitting holds the training samples of one subject in memory, and takes time with the third power
/// of the smaller one of its samples and a region's voxels (see [`mused_stats::pca::Pca::fit`]).
#[derive(Clone, Debug, PartialEq)]
pub struct InputTransform {
    /// Division of an input row.
    pub layout: Layout,
    /// For similarity profiles, the names of the reference stimuli, the values of every region.
    pub references: Option<Vec<String>>,
    /// One a subject that can be transformed.
    pub subjects: Vec<SubjectInputs>,
}

impl InputTransform {
    /// Fits the transform on `training` samples. Subjects in `unlabelled` get statistics from
    /// their responses to the same training stimuli, so that a left-out subject can be read.
    /// Without `z_score`, voxel responses are taken as the dataset has them.
    ///
    /// # Errors
    /// When responses cannot be read or are not finite, or voxels have no position in a volume.
    pub fn fit(
        dataset: &Dataset,
        arrangement: Arrangement,
        z_score: bool,
        training: &[Sample],
        unlabelled: &[usize],
    ) -> Result<Self> {
        let stimuli: BTreeSet<usize> = training.iter().map(|sample| sample.stimulus).collect();
        let stimuli: Vec<usize> = stimuli.into_iter().collect();
        let profiles = dataset.description.response == Response::SimilarityProfiles;
        let references: Option<Vec<String>> = profiles.then(|| {
            let id = |&stimulus: &usize| dataset.stimuli[stimulus].id.clone();
            stimuli.iter().map(id).collect()
        });
        let trained: BTreeSet<usize> = training.iter().map(|sample| sample.subject).collect();
        let fitted: Vec<usize> = trained.into_iter().chain(unlabelled.to_vec()).collect();
        let mut layout = Layout::new(dataset, arrangement, &fitted, stimuli.len())?;
        // Similarities have one scale for everybody already.
        let z_score = z_score && !profiles;
        let fit = |subject: usize| {
            let own = samples(dataset, &[subject], &stimuli);
            Ok(SubjectInputs {
                id: dataset.subjects[subject].id.clone(),
                z_score: z_score
                    .then(|| ZScore::fit(dataset, subject, &own))
                    .transpose()?,
                projections: None,
            })
        };
        let subjects = fitted.par_iter().map(|&subject| fit(subject));
        let mut subjects: Vec<SubjectInputs> = subjects.collect::<Result<_>>()?;
        if let (Arrangement::Components { most }, Layout::Regions { slots }) =
            (arrangement, &mut layout)
        {
            // One after another: a subject's samples of whole brains can be gigabytes.
            for (inputs, &subject) in subjects.iter_mut().zip(&fitted) {
                let own = samples(dataset, &[subject], &stimuli);
                let z_score = inputs.z_score.as_ref();
                let fitted = Projection::fit(dataset, subject, z_score, &own, most)?;
                inputs.projections = Some(fitted);
            }
            *slots = projection::slots(slots, &subjects)?;
        }
        Ok(Self {
            layout,
            references,
            subjects,
        })
    }

    /// The place of a subject among [`Self::subjects`].
    fn place(&self, id: &str) -> Result<usize> {
        let known = || self.subjects.iter().map(|inputs| inputs.id.as_str());
        known().position(|known| known == id).ok_or_else(|| {
            Error::Request(format!(
                "unknown subject {id:?}: the model was trained with {}",
                known().collect::<Vec<_>>().join(", ")
            ))
        })
    }
}

impl ZScore {
    /// Mean and standard deviation (n - 1) over samples, in one pass (Welford 1962).
    fn fit(dataset: &Dataset, subject: usize, own: &[Sample]) -> Result<Self> {
        let voxels = dataset.subjects[subject].voxels.len();
        let (mut mean, mut squares) = (vec![0.0_f64; voxels], vec![0.0_f64; voxels]);
        let mut average = Average::default();
        for (count, sample) in (1_u32..).zip(own) {
            let response = average.read(dataset, sample)?;
            let share = 1.0 / f64::from(count);
            for ((mean, squares), &value) in mean.iter_mut().zip(&mut squares).zip(response) {
                let difference = f64::from(value) - *mean;
                *mean += difference * share;
                *squares += difference * (f64::from(value) - *mean);
            }
        }
        let freedom = own.len().saturating_sub(1).max(1) as f64;
        let scale = |(squares, mean): (f64, &f64)| {
            let sd = (squares / freedom).sqrt();
            if varies(*mean, sd) {
                (1.0 / sd) as f32
            } else {
                0.0
            }
        };
        let scale: Vec<f32> = squares.into_iter().zip(&mean).map(scale).collect();
        if scale.iter().any(|scale| scale.is_infinite()) {
            let id = &dataset.subjects[subject].id;
            return Err(Error::Request(format!(
                "subject {id}: responses vary by less than {:e}, below what single precision z-scores: import them in \
                 another scale",
                f32::MAX.recip()
            )));
        }
        Ok(Self {
            scale,
            mean: mean.into_iter().map(|mean| mean as f32).collect(),
        })
    }
}

impl ZScore {
    /// The same with one scale for all voxels, the median one, so that a voxel counts for what it varies; those that vary
    /// more than [`OUTLYING`] times the median, artefacts rather than brains, for that much.
    fn with_one_scale(mut self) -> Self {
        let mut varying: Vec<f32> = self.scale.iter().copied().filter(|s| *s > 0.0).collect();
        varying.sort_unstable_by(f32::total_cmp);
        let Some(median) = varying.get(varying.len() / 2).copied() else {
            return self;
        };
        for scale in &mut self.scale {
            *scale = if *scale > 0.0 {
                median.min(OUTLYING * *scale)
            } else {
                0.0
            };
        }
        self
    }
}

/// Standard deviations, in units of the median voxel's, that a voxel counts for at most.
const OUTLYING: f32 = 4.0;

/// Reads responses averaged over the trials of a sample, reusing its memory.
#[derive(Default)]
struct Average {
    trial: Vec<f32>,
    sum: Vec<f64>,
    mean: Vec<f32>,
}

impl Average {
    fn read(&mut self, dataset: &Dataset, sample: &Sample) -> Result<&[f32]> {
        let subject = &dataset.subjects[sample.subject];
        self.mean.resize(subject.voxels.len(), 0.0);
        if let [trial] = sample.trials[..] {
            subject.read_response(trial, &mut self.mean)?;
            return Ok(&self.mean);
        }
        self.trial.resize(subject.voxels.len(), 0.0);
        self.sum.clear();
        self.sum.resize(subject.voxels.len(), 0.0);
        for &trial in &sample.trials {
            subject.read_response(trial, &mut self.trial)?;
            for (sum, value) in self.sum.iter_mut().zip(&self.trial) {
                *sum += f64::from(*value);
            }
        }
        // Such sums and their quotient are exact where a voxel is constant: rounded once, it stays so.
        for (mean, sum) in self.mean.iter_mut().zip(&self.sum) {
            *mean = (sum / sample.trials.len() as f64) as f32;
        }
        Ok(&self.mean)
    }
}

/// How a subject's responses come into an input row.
#[derive(Debug)]
enum Arranged {
    /// Voxel by voxel.
    Placed(Placement),
    /// By a map of each region.
    Projected(Projector),
}

impl Arranged {
    fn has_slot(&self) -> &[bool] {
        match self {
            Self::Placed(placement) => &placement.has_slot,
            Self::Projected(projector) => &projector.has_slot,
        }
    }
}

/// Reads the inputs of samples of a dataset, a batch at a time.
#[derive(Debug)]
pub struct InputReader<'d> {
    dataset: &'d Dataset,
    transform: Arc<InputTransform>,
    /// One a subject of the dataset that may be read: its place in the transform, and how it is read. Looked up once, not a
    /// sample: there can be a thousand of each.
    arranged: Vec<Option<(usize, Arranged)>>,
}

impl<'d> InputReader<'d> {
    /// A reader of the samples of `subjects`.
    ///
    /// # Errors
    /// When a subject is unknown to the transform or its voxels do not fit the layout.
    pub fn new(
        dataset: &'d Dataset,
        transform: Arc<InputTransform>,
        subjects: &[usize],
    ) -> Result<Self> {
        let mut arranged: Vec<Option<(usize, Arranged)>> =
            dataset.subjects.iter().map(|_| None).collect();
        for &index in subjects {
            let subject = &dataset.subjects[index];
            let place = transform.place(&subject.id)?;
            let inputs = &transform.subjects[place];
            if let Some(z_score) = &inputs.z_score
                && z_score.mean.len() != subject.voxels.len()
            {
                return Err(Error::Request(format!(
                    "subject {}: expected the {} voxels the model was trained with, found {}",
                    subject.id,
                    z_score.mean.len(),
                    subject.voxels.len()
                )));
            }
            let (layout, references) = (&transform.layout, transform.references.as_deref());
            let how = match &inputs.projections {
                Some(own) => Arranged::Projected(Projector::new(layout.slots(), own, subject)?),
                None => Arranged::Placed(Placement::new(layout, references, dataset, subject)?),
            };
            arranged[index] = Some((place, how));
        }
        Ok(Self {
            dataset,
            transform,
            arranged,
        })
    }

    /// The dataset that is read.
    pub fn dataset(&self) -> &'d Dataset {
        self.dataset
    }

    /// Division of an input row.
    pub fn layout(&self) -> &Layout {
        &self.transform.layout
    }

    /// Whether a subject has any voxel of each slot.
    pub fn has_slot(&self, subject: usize) -> &[bool] {
        self.arranged[subject]
            .as_ref()
            .map_or(&[], |(_, arranged)| arranged.has_slot())
    }

    /// Inputs of `samples`: samples × [`Layout::width`], read on the threads of the current pool.
    ///
    /// # Errors
    /// When responses cannot be read or are not finite, or a subject is not among the reader's.
    pub fn read(&self, samples: &[&Sample]) -> Result<Array2<f32>> {
        let width = self.layout().width();
        let mut values = vec![0.0; samples.len() * width];
        values
            .par_chunks_exact_mut(width)
            .zip(samples)
            .try_for_each_init(Average::default, |average, (row, sample)| {
                self.fill(average, sample, row)
            })?;
        Array2::from_shape_vec((samples.len(), width), values)
            .map_err(|error| Error::Request(error.to_string()))
    }

    /// Responses to `samples`, all of one subject, averaged over trials and z-scored as its inputs are: samples × voxels.
    ///
    /// # Errors
    /// When responses cannot be read or are not finite, or the subject is unknown to the transform.
    pub fn responses(&self, samples: &[Sample]) -> Result<Array2<f32>> {
        let Some(first) = samples.first() else {
            return Ok(Array2::default((0, 0)));
        };
        let id = &self.dataset.subjects[first.subject].id;
        let inputs = &self.transform.subjects[self.transform.place(id)?];
        let z_score = inputs.z_score.as_ref();
        projection::z_scored_rows(self.dataset, z_score, samples)
    }

    fn fill(&self, average: &mut Average, sample: &Sample, row: &mut [f32]) -> Result<()> {
        let subject = &self.dataset.subjects[sample.subject];
        let Some((place, arranged)) = &self.arranged[sample.subject] else {
            let message = format!("subject {} is not among those to be read", subject.id);
            return Err(Error::Request(message));
        };
        let inputs = &self.transform.subjects[*place];
        let response = average.read(self.dataset, sample)?;
        let placement = match arranged {
            Arranged::Placed(placement) => placement,
            Arranged::Projected(projector) => {
                projector.project(inputs, response, row);
                return Ok(());
            }
        };
        let placed = response.iter().zip(&placement.positions);
        match &inputs.z_score {
            None => {
                for (value, &position) in placed.filter(|(_, p)| **p != NOWHERE) {
                    row[position as usize] = *value;
                }
            }
            Some(ZScore { mean, scale }) => {
                let fitted = mean.iter().zip(scale);
                for ((value, &position), (mean, scale)) in placed.zip(fitted) {
                    if position != NOWHERE {
                        row[position as usize] = (value - mean) * scale;
                    }
                }
            }
        }
        if let Some(references) = &self.transform.references {
            let own = &self.dataset.stimuli[sample.stimulus].id;
            let own = references.iter().position(|reference| reference == own);
            let slots = self.layout().slots().iter().zip(&placement.has_slot);
            for (slot, _) in slots.filter(|(_, has)| **has) {
                centre_profile(&mut row[slot.offset..slot.offset + slot.length], own);
            }
        }
        Ok(())
    }
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
