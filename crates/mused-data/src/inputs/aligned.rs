//! Inputs that mean the same in everybody: each region's voxels, a subject at a time, mapped by ridge regression onto what
//! stimuli have in common.

use std::collections::{BTreeMap, BTreeSet};

use mused_stats::patterns::Patterns;
use mused_stats::pca::Pca;
use mused_stats::{ridge, stacking};
use ndarray::{Array1, Array2, ArrayView2, Axis, s};

use super::layout::contiguous;
use super::projection::{regions_of, z_scored_rows};
use super::{InputTransform, Layout, Projection, Sample, SubjectInputs, ZScore, samples};
use crate::split::partition;
use crate::{Dataset, Error, Guidance, GuidanceTarget, Response, Result, Subject};

/// Parts of the training stimuli: the row of a training sample is what maps of the other parts make of it.
const PARTS: usize = 6;

/// Standard deviation, over training samples, of the mean over regions of the scores of a label that are read.
const READ_SD: f64 = 0.5;

/// Most samples, or voxels where they are fewer, of which all regions together are tried: time grows with the third power.
const MOST_TOGETHER: usize = 3000;

/// Fewest training stimuli in common whose mean geometry is more than noise.
const LEAST_COMMON: usize = 10;

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
            .then(|| Consensus::of(self, dataset, &own))
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

/// The subject's own scores of the labels.
struct Own {
    /// What each region adds.
    regions: Vec<Share>,
    /// What the scores of regions that are read are multiplied by: one a label.
    read_scale: Array1<f64>,
}

/// What a region adds to the subject's own scores.
struct Share {
    /// Voxels × labels.
    weights: Array2<f64>,
    /// Samples × labels.
    held_out: Array2<f64>,
}

impl Own {
    /// The stacked regression of every region and of all of them together, as what each region adds to it.
    fn stacked(
        fitted: &[RegionMap],
        values: &Array2<f32>,
        truth: ArrayView2<'_, f64>,
        parts: &[usize],
    ) -> mused_stats::Result<Self> {
        let labels = truth.ncols();
        let scores = |of: &Array2<f64>| of.slice(s![.., of.ncols() - labels..]).to_owned();
        let of_region = |map: &RegionMap| Share {
            weights: scores(&map.weights),
            held_out: scores(&map.held_out),
        };
        let mut regions: Vec<Share> = fitted.iter().map(of_region).collect();
        let together =
            match regions.len() > 1 && values.nrows().min(values.ncols()) <= MOST_TOGETHER {
                true => together(fitted, values, truth, parts)?,
                false => Vec::new(),
            };
        let sum = |of: &[Share]| {
            let held_out = of.iter().map(|share| share.held_out.clone());
            held_out.reduce(|sum, own| sum + own).unwrap_or_default()
        };
        let read = sum(&regions) / regions.len().max(1) as f64;
        let mut predictions: Vec<Array2<f64>> =
            regions.iter().map(|share| share.held_out.clone()).collect();
        if !together.is_empty() {
            predictions.push(sum(&together));
        }
        let views: Vec<ArrayView2<'_, f64>> = predictions.iter().map(|own| own.view()).collect();
        let mean = truth.mean_axis(Axis(0)).unwrap_or_default();
        let shares = stacking::weights(&views, (&truth - &mean).view())?;
        for (share, own) in shares.iter().zip(&mut regions) {
            own.weights *= *share;
            own.held_out *= *share;
        }
        let share = shares.last().copied().unwrap_or(0.0);
        for (own, all) in regions.iter_mut().zip(&together) {
            own.weights.scaled_add(share, &all.weights);
            own.held_out.scaled_add(share, &all.held_out);
        }
        let unit = inverse_sd(&sum(&regions)) * regions.len() as f64;
        for own in &mut regions {
            own.weights *= &unit;
            own.held_out *= &unit;
        }
        Ok(Self {
            regions,
            read_scale: inverse_sd(&read) * READ_SD,
        })
    }
}

/// One regression of all regions, as what each of them adds.
fn together(
    fitted: &[RegionMap],
    values: &Array2<f32>,
    truth: ArrayView2<'_, f64>,
    parts: &[usize],
) -> mused_stats::Result<Vec<Share>> {
    let x = values.mapv(f64::from);
    let labels = truth.ncols();
    let all = ridge::cross_fit(x.view(), truth, &[labels], parts)?;
    let columns = |map: &RegionMap| -> Vec<usize> {
        map.columns.iter().map(|&column| column as usize).collect()
    };
    let mut shares: Vec<Share> = (fitted.iter())
        .map(|map| Share {
            weights: all.model.weights.select(Axis(0), &columns(map)),
            held_out: Array2::zeros((x.nrows(), labels)),
        })
        .collect();
    let penalty = Array1::from_elem(labels, all.penalties.first().copied().unwrap_or(1.0));
    for part in parts.iter().copied().collect::<BTreeSet<usize>>() {
        let (rows, others): (Vec<usize>, Vec<usize>) =
            (0..parts.len()).partition(|&row| parts[row] == part);
        let others_x = x.select(Axis(0), &others);
        let y = truth.select(Axis(0), &others);
        let model = ridge::Decomposition::new(others_x.view(), y.view())?.model(penalty.view());
        let mean = others_x.mean_axis(Axis(0)).unwrap_or_default();
        let own = x.select(Axis(0), &rows) - &mean;
        for (share, map) in shares.iter_mut().zip(fitted) {
            let columns = columns(map);
            let added = own
                .select(Axis(1), &columns)
                .dot(&model.weights.select(Axis(0), &columns));
            for (&row, added) in rows.iter().zip(added.rows()) {
                share.held_out.row_mut(row).assign(&added);
            }
        }
    }
    Ok(shares)
}

/// One over the standard deviation of each column, 0 where there is none.
fn inverse_sd(values: &Array2<f64>) -> Array1<f64> {
    let inverse = |sd: f64| if sd > 1e-9 { sd.recip() } else { 0.0 };
    values.std_axis(Axis(0), 0.0).mapv(inverse)
}

/// The maps of a subject.
struct SubjectMaps {
    rows: usize,
    width: usize,
    inputs: SubjectInputs,
    /// Of each region: samples × width.
    held_out: Vec<(String, Array2<f32>)>,
}

/// The map of a subject's region.
struct RegionMap {
    region: String,
    /// Its voxels among the subject's.
    columns: Vec<u32>,
    /// Of its voxels.
    mean: Array1<f64>,
    /// Voxels × targets.
    weights: Array2<f64>,
    /// Samples × targets.
    held_out: Array2<f64>,
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

/// The subjects' mean geometry of the training stimuli that all of them saw.
struct Consensus {
    stimuli: Vec<usize>,
    /// Of each subject, without its own part: stimuli × components.
    others: BTreeMap<usize, Array2<f64>>,
}

/// Targets of the samples that have some.
struct Seen {
    rows: Vec<usize>,
    /// Rows × components.
    values: Array2<f64>,
}

impl Consensus {
    /// Squared distances of responses, their mean made 1 in each region, are averaged over regions and the other subjects;
    /// the patterns behind that mean are turned onto those of everybody's, so that a component means the same to all.
    fn of(
        alignment: &Alignment<'_>,
        dataset: &Dataset,
        own: &BTreeMap<usize, Vec<Sample>>,
    ) -> Result<Self> {
        let seen = |samples: &Vec<Sample>| samples.iter().map(|s| s.stimulus).collect();
        let mut each = own.values().map(seen);
        let first_seen: BTreeSet<usize> = each.next().unwrap_or_default();
        let common = each.fold(first_seen, |common, own| &common & &own);
        let stimuli: Vec<usize> = common.into_iter().collect();
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
            let z_score = (alignment.zscore)
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
        let all = first(behind(&sum)?.rows, alignment.components);
        let mut others = BTreeMap::new();
        for (subject, own) in distances {
            let mut patterns = behind(&(&sum - &own))?;
            patterns.rows = first(patterns.rows, alignment.components);
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

    fn targets(&self, subject: usize, samples: &[Sample]) -> Seen {
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

/// The first `most` columns.
fn first(rows: Array2<f64>, most: usize) -> Array2<f64> {
    let kept = most.min(rows.ncols());
    rows.slice_move(s![.., ..kept])
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

/// Principal components of guidance over training stimuli, all divided by one number so that their mean square is 1.
///
/// Features are centred, brought to length 1 and centred again: what remains of cosines. Of dissimilarities, the
/// patterns behind them.
fn components(guidance: &Guidance, stimuli: &[usize], most: usize) -> Result<Array2<f64>> {
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
fn scaled_to_one(scores: Array2<f64>) -> Option<Array2<f64>> {
    let square = scores.iter().map(|score| score * score).sum::<f64>() / scores.len().max(1) as f64;
    (square > 0.0).then(|| scores / square.sqrt())
}
