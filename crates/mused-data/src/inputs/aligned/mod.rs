//! Inputs that mean the same in everybody: each region's voxels, a subject at a time, mapped by ridge regression onto what
//! stimuli have in common.

mod components;
mod consensus;
mod own_scores;

use std::collections::{BTreeMap, BTreeSet};

use mused_stats::ridge;
use ndarray::{Array2, Axis, s};

use components::components;
use consensus::{Consensus, Seen};
use own_scores::{Own, RegionMap};

use super::layout::contiguous;
use super::projection::{regions_of, z_scored_rows};
use super::{InputTransform, Layout, Projection, Sample, SubjectInputs, ZScore};
use crate::split::partition;
use crate::{Dataset, Error, Guidance, Response, Result, Subject};

/// Parts of the training stimuli: the row of a training sample is what maps of the other parts make of it.
const PARTS: usize = 6;

/// What each subject's regions are mapped onto: labels always, the scores that decide where nothing is shared.
#[derive(Clone, Copy, Debug)]
pub struct Alignment<'g> {
    /// Principal components of the subjects' mean geometry of the training stimuli that all of them saw.
    pub consensus: bool,
    /// Principal components of guidance features.
    pub guidance: Option<&'g Guidance>,
    /// Most components of guidance and of consensus.
    pub components: usize,
    /// Whether each region's scores of the labels are among what is read.
    pub labels: bool,
    /// Whether voxels are centred and brought to one scale a subject before.
    pub zscore: bool,
    /// Seed of the parts.
    pub seed: u64,
}

/// Fitted maps, and the inputs of the samples they were fitted on.
#[derive(Clone, Debug)]
pub struct Aligned {
    /// Turns responses into inputs.
    pub transform: InputTransform,
    /// Inputs of the training samples, each made by maps that were fitted without its stimulus' group, so that a network
    /// is trained on rows like those it will read: samples × width.
    pub training: Array2<f32>,
}

impl Alignment<'_> {
    /// Fits the maps of every subject of the `training` samples, which lie subject by subject.
    ///
    /// An input row has, region by region, the components, the region's own scores of the labels where they are read, and
    /// last what the region adds to the subject's scores: their mean over regions is the stacked regression of every region
    /// and of all together, with standard deviation 1 over the training samples.
    ///
    /// # Errors
    /// Responses that are no voxels or cannot be read; fewer than two groups of training stimuli, all or a subject's;
    /// consensus without enough stimuli in common; guidance that is not finite or the same for all stimuli.
    pub fn fit(&self, dataset: &Dataset, training: &[Sample]) -> Result<Aligned> {
        if dataset.description.response == Response::SimilarityProfiles {
            let message = "similarity profiles lie in one space already: model.inputs = \"voxels\" reads them";
            return Err(Error::Request(message.to_owned()));
        }
        let stimuli: BTreeSet<usize> = training.iter().map(|sample| sample.stimulus).collect();
        let stimuli: Vec<usize> = stimuli.into_iter().collect();
        let shared = Shared::of(self, dataset, &stimuli)?;
        let mut own: BTreeMap<usize, Vec<Sample>> = BTreeMap::new();
        for sample in training {
            own.entry(sample.subject).or_default().push(sample.clone());
        }
        let regions: Vec<&str> = (dataset.roi_names().into_iter())
            .filter(|name| own.keys().any(|&s| has(&dataset.subjects[s], name)))
            .collect();
        let consensus = (self.consensus)
            .then(|| Consensus::of(self.components, self.zscore, dataset, &own))
            .transpose()?;
        let labels = dataset.labels.names.len();
        let mut made: Vec<SubjectMaps> = Vec::with_capacity(own.len());
        // One after another: a subject's samples of whole brains can be gigabytes.
        for (&subject, samples) in &own {
            let consensus = consensus.as_ref().map(|all| all.targets(subject, samples));
            made.push(self.subject(dataset, subject, samples, consensus, &shared)?);
        }
        let widest = made.first().map_or(labels, |maps| maps.width);
        let slots = contiguous(regions.iter().map(|name| ((*name).to_owned(), widest)));
        let rows: usize = made.iter().map(|maps| maps.rows).sum();
        let mut inputs = Array2::zeros((rows, regions.len() * widest));
        let (mut first, mut subjects) = (0, Vec::with_capacity(made.len()));
        for maps in made {
            for (region, values) in &maps.held_out {
                let Some(slot) = slots.iter().find(|slot| slot.name == *region) else {
                    continue;
                };
                let to = s![
                    first..first + maps.rows,
                    slot.offset..slot.offset + slot.length
                ];
                inputs.slice_mut(to).assign(values);
            }
            first += maps.rows;
            subjects.push(maps.inputs);
        }
        Ok(Aligned {
            transform: InputTransform {
                layout: Layout::Regions { slots },
                references: None,
                subjects,
            },
            training: inputs,
        })
    }

    /// The maps of one subject.
    fn subject(
        &self,
        dataset: &Dataset,
        subject: usize,
        samples: &[Sample],
        consensus: Option<Seen>,
        shared: &Shared<'_>,
    ) -> Result<SubjectMaps> {
        let Subject { id, .. } = &dataset.subjects[subject];
        let z_score = (self.zscore)
            .then(|| ZScore::fit(dataset, subject, samples))
            .transpose()?
            .map(ZScore::with_one_scale);
        let parts: Vec<usize> = samples.iter().map(|s| shared.part(s.stimulus)).collect();
        let values = z_scored_rows(dataset, z_score.as_ref(), samples)?;
        let labels = dataset.labels.names.len();
        let (targets, blocks) = shared.targets(samples);
        let mut fitted = Vec::new();
        for (region, columns) in regions_of(&dataset.subjects[subject]) {
            let x = Array2::from_shape_fn((samples.len(), columns.len()), |(row, column)| {
                f64::from(values[[row, columns[column] as usize]])
            });
            let refused = |error| refused(id, region, &error);
            let mean = x.mean_axis(Axis(0)).unwrap_or_default();
            let map =
                ridge::cross_fit(x.view(), targets.view(), &blocks, &parts).map_err(refused)?;
            let (mut weights, mut held_out) = (map.model.weights, map.held_out);
            if let Some(Seen { rows, values }) = &consensus {
                let (own, parts): (_, Vec<usize>) = (
                    x.select(Axis(0), rows),
                    rows.iter().map(|&row| parts[row]).collect(),
                );
                let map = ridge::cross_fit(own.view(), values.view(), &[values.ncols()], &parts)
                    .map_err(refused)?;
                // Stimuli that not everybody saw were in no map.
                let mut all = (&x - &mean).dot(&map.model.weights);
                for (&row, held_out) in rows.iter().zip(map.held_out.rows()) {
                    all.row_mut(row).assign(&held_out);
                }
                weights = beside(map.model.weights, weights);
                held_out = beside(all, held_out);
            }
            fitted.push(RegionMap {
                region: region.to_owned(),
                columns,
                mean,
                weights,
                held_out,
            });
        }
        let truth = targets.slice(s![.., targets.ncols() - labels..]);
        let own = Own::stacked(&fitted, &values, truth, &parts)
            .map_err(|error| Error::Request(format!("subject {id}: {error}")))?;
        let read_scale = own.read_scale;
        let (mut projections, mut held_out) = (Vec::new(), Vec::new());
        let mut width = 0;
        for (map, own) in fitted.into_iter().zip(own.regions) {
            let row = |values: Array2<f64>, scores: Array2<f64>| {
                let first = values.ncols() - labels;
                let mut values = match self.labels {
                    true => values,
                    false => values.slice_move(s![.., ..first]),
                };
                if self.labels {
                    let mut read = values.slice_mut(s![.., first..]);
                    read *= &read_scale;
                }
                beside(values, scores).mapv(|value| value as f32)
            };
            held_out.push((map.region.clone(), row(map.held_out, own.held_out)));
            let weights = row(map.weights, own.weights);
            width = weights.ncols();
            projections.push(Projection {
                region: map.region,
                mean: map.mean.iter().map(|mean| *mean as f32).collect(),
                weights: weights.t().iter().copied().collect(),
            });
        }
        Ok(SubjectMaps {
            rows: samples.len(),
            width,
            inputs: SubjectInputs {
                id: id.clone(),
                z_score,
                projections: Some(projections),
            },
            held_out,
        })
    }
}

/// The maps of a subject.
struct SubjectMaps {
    rows: usize,
    width: usize,
    inputs: SubjectInputs,
    /// Of each region: samples × width.
    held_out: Vec<(String, Array2<f32>)>,
}

/// What is the same for every subject.
struct Shared<'d> {
    dataset: &'d Dataset,
    /// Training stimuli, ascending.
    stimuli: Vec<usize>,
    /// The part of each.
    parts: Vec<usize>,
    /// Stimuli × components.
    guidance: Option<Array2<f64>>,
}

impl<'d> Shared<'d> {
    fn of(alignment: &Alignment<'_>, dataset: &'d Dataset, stimuli: &[usize]) -> Result<Self> {
        let groups: BTreeSet<&str> = (stimuli.iter())
            .map(|&stimulus| dataset.stimuli[stimulus].group.as_str())
            .collect();
        if groups.len() < 2 {
            return Err(Error::Request(
                "subjects are aligned by maps that are tested on other groups of training stimuli: expected 2 groups or \
                 more, found 1; model.inputs = \"voxels\" does without"
                    .to_owned(),
            ));
        }
        let dealt = partition(dataset, stimuli, groups.len().min(PARTS), alignment.seed)?;
        let part = |stimulus: &usize| {
            let own = dealt
                .iter()
                .position(|part| part.binary_search(stimulus).is_ok());
            own.unwrap_or(0)
        };
        let guidance = alignment.guidance;
        Ok(Self {
            dataset,
            parts: stimuli.iter().map(part).collect(),
            guidance: guidance
                .map(|guidance| components(guidance, stimuli, alignment.components))
                .transpose()?,
            stimuli: stimuli.to_vec(),
        })
    }

    fn place(&self, stimulus: usize) -> usize {
        self.stimuli.binary_search(&stimulus).unwrap_or(0)
    }

    fn part(&self, stimulus: usize) -> usize {
        self.parts[self.place(stimulus)]
    }

    /// Samples × targets, and how many targets each block has.
    fn targets(&self, samples: &[Sample]) -> (Array2<f64>, Vec<usize>) {
        let shown: Vec<usize> = samples.iter().map(|sample| sample.stimulus).collect();
        let labels = self.dataset.labels.matrix.select(Axis(0), &shown);
        let labels = labels.mapv(f64::from);
        match &self.guidance {
            None => (labels, vec![self.dataset.labels.names.len()]),
            Some(guidance) => {
                let places: Vec<usize> = shown.iter().map(|&one| self.place(one)).collect();
                let blocks = vec![guidance.ncols(), labels.ncols()];
                (beside(guidance.select(Axis(0), &places), labels), blocks)
            }
        }
    }
}

fn beside(left: Array2<f64>, right: Array2<f64>) -> Array2<f64> {
    let mut both = Array2::zeros((left.nrows(), left.ncols() + right.ncols()));
    both.slice_mut(s![.., ..left.ncols()]).assign(&left);
    both.slice_mut(s![.., left.ncols()..]).assign(&right);
    both
}

fn has(subject: &Subject, region: &str) -> bool {
    subject.voxels.iter().any(|voxel| voxel.roi == region)
}

fn refused(subject: &str, region: &str, error: &mused_stats::Error) -> Error {
    Error::Request(format!("subject {subject}, region {region}: {error}"))
}
