//! Inputs that mean the same in everybody: each region's voxels, a subject at a time, mapped by ridge regression onto what
//! stimuli have in common.

mod anchors;
mod bytes;
mod components;
mod consensus;
mod own_scores;

use std::collections::{BTreeMap, BTreeSet};

use mused_stats::ridge;
use ndarray::{Array2, Axis, s};

use anchors::Anchors;
pub use bytes::FitBytes;
pub use components::FeatureSpace;
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
    /// Stimuli over which the components are found, ascending: training stimuli, all samples' among them.
    pub guided: &'g [usize],
    /// Likenesses to the training stimuli that all of them saw.
    pub stimuli: bool,
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
#[derive(Clone, Debug, PartialEq)]
pub struct Aligned {
    /// Turns responses into inputs.
    pub transform: InputTransform,
    /// Inputs of the training samples, each made by maps that were fitted without its stimulus' group, so that a network
    /// is trained on rows like those it will read: samples × width.
    pub training: Array2<f32>,
}

impl<'g> Alignment<'g> {
    /// Fewest training stimuli that all subjects must have seen for a consensus of theirs.
    pub const LEAST_COMMON: usize = consensus::LEAST_COMMON;

    /// Fits the maps of every subject of the `training` samples, which lie subject by subject. Each subject's, given by
    /// number, are what `one` returns: it fits them, or has kept them from before.
    ///
    /// An input row has, region by region, the components, likenesses to stimuli, the region's own scores of the labels where
    /// they are read, and last what the region adds to the subject's scores: their mean over regions is the stacked
    /// regression of every region and of all together, with standard deviation 1 over the training samples.
    ///
    /// # Errors
    /// Responses that are no voxels or cannot be read; fewer than two groups of training stimuli, all or a subject's;
    /// consensus or likenesses without enough stimuli in common; guidance that is not finite or the same for all stimuli.
    pub fn fit<E: From<Error>>(
        &self,
        dataset: &'g Dataset,
        training: &[Sample],
        mut one: impl FnMut(usize, &dyn Fn() -> Result<Aligned>) -> std::result::Result<Aligned, E>,
    ) -> std::result::Result<Aligned, E> {
        if dataset.description.response == Response::SimilarityProfiles {
            let message = "similarity profiles lie in one space already: model.inputs = \"voxels\" reads them";
            return Err(Error::Request(message.to_owned()).into());
        }
        let mut own: BTreeMap<usize, Vec<Sample>> = BTreeMap::new();
        for sample in training {
            own.entry(sample.subject).or_default().push(sample.clone());
        }
        let shared = Shared::of(self, dataset, &own)?;
        let everywhere = dataset.roi_names().into_iter();
        let regions =
            everywhere.filter(|name| own.keys().any(|&s| has(&dataset.subjects[s], name)));
        let mut together = Together::of(regions.collect(), training.len());
        // One after another: a subject's samples of whole brains can be gigabytes.
        for (&subject, samples) in &own {
            let fit = || self.subject(dataset, subject, samples, &shared);
            together.add(one(subject, &fit)?, samples.len())?;
        }
        Ok(together.aligned)
    }

    /// The maps of one subject.
    fn subject(
        &self,
        dataset: &Dataset,
        subject: usize,
        samples: &[Sample],
        shared: &Shared<'_>,
    ) -> Result<Aligned> {
        let Subject { id, .. } = &dataset.subjects[subject];
        let z_score = (self.zscore)
            .then(|| ZScore::fit(dataset, subject, samples))
            .transpose()?
            .map(ZScore::with_one_scale);
        let parts: Vec<usize> = samples.iter().map(|s| shared.part(s.stimulus)).collect();
        let values = z_scored_rows(dataset, z_score.as_ref(), samples)?;
        let labels = dataset.labels.names.len();
        let (targets, blocks) = shared.targets(samples);
        let consensus = (shared.consensus.as_ref()).map(|all| all.targets(subject, samples));
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
            if let (Some(anchors), Some(&penalty)) = (&shared.anchors, map.penalties.last()) {
                let map = anchors.map(dataset, samples, (&x - &mean).view(), penalty);
                let map = map.map_err(refused)?;
                weights = beside(map.weights, weights);
                held_out = beside(map.held_out, held_out);
            }
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
        let (mut projections, mut slots, mut training) = (Vec::new(), Vec::new(), None);
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
            let rows = row(map.held_out, own.held_out);
            let weights = row(map.weights, own.weights);
            slots.push((map.region.clone(), rows.ncols()));
            training = Some(match training {
                Some(before) => beside(before, rows),
                None => rows,
            });
            projections.push(Projection {
                region: map.region,
                mean: map.mean.iter().map(|mean| *mean as f32).collect(),
                weights: weights.t().iter().copied().collect(),
            });
        }
        Ok(Aligned {
            transform: InputTransform {
                layout: Layout::Regions {
                    slots: contiguous(slots.into_iter()),
                },
                references: None,
                subjects: vec![SubjectInputs {
                    id: id.clone(),
                    z_score,
                    projections: Some(projections),
                }],
            },
            training: training.unwrap_or_default(),
        })
    }
}

/// Subjects in one: their rows below each other, 0 in regions that a subject lacks. Rows of many people are most of the memory,
/// so each one's find their place before the next one's are made.
struct Together<'r> {
    regions: Vec<&'r str>,
    samples: usize,
    /// Rows that have found their place.
    placed: usize,
    aligned: Aligned,
}

impl<'r> Together<'r> {
    fn of(regions: Vec<&'r str>, samples: usize) -> Self {
        let transform = InputTransform {
            layout: Layout::Regions { slots: Vec::new() },
            references: None,
            subjects: Vec::new(),
        };
        let training = Array2::default((0, 0));
        Self {
            regions,
            samples,
            placed: 0,
            aligned: Aligned {
                transform,
                training,
            },
        }
    }

    /// Those of the next person, of so many samples.
    fn add(&mut self, own: Aligned, samples: usize) -> Result<()> {
        let all = &mut self.aligned;
        let slots = own.transform.layout.slots();
        // The same in every region of everybody.
        let width =
            (all.transform.layout.slots().first().or(slots.first())).map_or(0, |slot| slot.length);
        let expected = [samples, slots.len() * width];
        let found = own.training.shape();
        if found != expected || slots.iter().any(|slot| slot.length != width) {
            return Err(Error::Request(format!(
                "aligned inputs that were kept are not of this training: expected {expected:?} values, found {found:?}"
            )));
        }
        if all.transform.subjects.is_empty() {
            let lengths = self.regions.iter().map(|name| (name.to_string(), width));
            let slots = contiguous(lengths);
            all.training = Array2::zeros((self.samples, slots.len() * width));
            all.transform.layout = Layout::Regions { slots };
        }
        let rows = self.placed..self.placed + own.training.nrows();
        for from in slots {
            let mut places = all.transform.layout.slots().iter();
            let Some(to) = places.find(|slot| slot.name == from.name) else {
                continue;
            };
            let values = own.training.slice(s![.., from.offset..from.offset + width]);
            all.training
                .slice_mut(s![rows.clone(), to.offset..to.offset + width])
                .assign(&values);
        }
        self.placed = rows.end;
        all.transform.subjects.extend(own.transform.subjects);
        Ok(())
    }
}

/// What is the same for every subject.
struct Shared<'d> {
    dataset: &'d Dataset,
    /// Training stimuli, ascending.
    stimuli: Vec<usize>,
    /// The part of each.
    parts: Vec<usize>,
    /// Stimuli over which the components are found.
    guided: &'d [usize],
    /// Those stimuli × components.
    guidance: Option<Array2<f64>>,
    consensus: Option<Consensus>,
    anchors: Option<Anchors>,
}

impl<'d> Shared<'d> {
    fn of(
        alignment: &Alignment<'d>,
        dataset: &'d Dataset,
        own: &BTreeMap<usize, Vec<Sample>>,
    ) -> Result<Self> {
        let seen = |samples: &Vec<Sample>| samples.iter().map(|s| s.stimulus).collect();
        let each: Vec<BTreeSet<usize>> = own.values().map(seen).collect();
        let all = each.iter().fold(BTreeSet::new(), |all, own| &all | own);
        let common = each.iter().fold(all.clone(), |common, own| &common & own);
        let common: Vec<usize> = common.into_iter().collect();
        let stimuli: Vec<usize> = all.into_iter().collect();
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
        let dealt = partition(dataset, &stimuli, groups.len().min(PARTS), alignment.seed)?;
        let part = |stimulus: &usize| {
            let own = dealt
                .iter()
                .position(|part| part.binary_search(stimulus).is_ok());
            own.unwrap_or(0)
        };
        let guidance = alignment.guidance;
        let unguided = |stimulus: &&usize| alignment.guided.binary_search(stimulus).is_err();
        if alignment.guidance.is_some()
            && let Some(unguided) = stimuli.iter().find(unguided)
        {
            return Err(Error::Request(format!(
                "stimulus {:?} is not among the training stimuli that guidance was taken of",
                dataset.stimuli[*unguided].id
            )));
        }
        Ok(Self {
            dataset,
            guided: alignment.guided,
            parts: stimuli.iter().map(part).collect(),
            guidance: guidance
                .map(|guidance| components(guidance, alignment.guided, alignment.components))
                .transpose()?,
            consensus: (alignment.consensus)
                .then(|| {
                    let Alignment {
                        components, zscore, ..
                    } = *alignment;
                    Consensus::of(components, zscore, dataset, own, common.clone())
                })
                .transpose()?,
            anchors: alignment.stimuli.then(|| Anchors::of(common)).transpose()?,
            stimuli,
        })
    }

    fn part(&self, stimulus: usize) -> usize {
        let place = self.stimuli.binary_search(&stimulus);
        self.parts[place.unwrap_or(0)]
    }

    /// Samples × targets, and how many targets each block has.
    fn targets(&self, samples: &[Sample]) -> (Array2<f64>, Vec<usize>) {
        let shown: Vec<usize> = samples.iter().map(|sample| sample.stimulus).collect();
        let labels = self.dataset.labels.matrix.select(Axis(0), &shown);
        let labels = labels.mapv(f64::from);
        match &self.guidance {
            None => (labels, vec![self.dataset.labels.names.len()]),
            Some(guidance) => {
                let place = |stimulus: &usize| self.guided.binary_search(stimulus).unwrap_or(0);
                let places: Vec<usize> = shown.iter().map(place).collect();
                let blocks = vec![guidance.ncols(), labels.ncols()];
                (beside(guidance.select(Axis(0), &places), labels), blocks)
            }
        }
    }
}

fn beside<T: Clone + Default>(left: Array2<T>, right: Array2<T>) -> Array2<T> {
    let mut both = Array2::default((left.nrows(), left.ncols() + right.ncols()));
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
