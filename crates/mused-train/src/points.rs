//! Points that responses are decoded to, in the space of stimulus features: what retrieval and open vocabularies rest on.

use std::collections::BTreeMap;
use std::sync::Arc;

use mused_data::{
    Alignment, Dataset, FeatureSpace, Guidance, InputReader, Labels, Level, Sample, Slot,
};
use mused_kernels::CpuTraining;
use mused_run::{Config, Onto, Reading, Run, Task};
use mused_stats::ridge::{self, Ridge};
use mused_stats::{contrast, stacking};
use ndarray::{Array1, Array2, ArrayView2, Axis, s};

use crate::families::{learner, parts};
use crate::plan::Plan;
use crate::reading::settle;
use crate::training::controlled;
use crate::{Error, Result, memory};

/// Components of the features that are decoded.
const COMPONENTS: usize = 128;

/// Components of each kind and region that the regression everybody shares reads.
const READ: usize = 24;

/// What decoded points are averaged over before anything is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Averaged {
    /// A subject's trials of a stimulus are one response, as in training and testing.
    Repeats,
    /// Every trial is a response of its own.
    Nothing,
}

/// Which points to decode.
#[derive(Debug)]
pub struct PointsRequest<'a> {
    /// A complete run: its division, subjects and preparation of responses.
    pub run: &'a Run,
    /// Its dataset.
    pub dataset: &'a Dataset,
    /// Feature set whose space it is; `None` = the run's high-level guidance.
    pub features: Option<&'a str>,
    /// What a response is.
    pub averaged: Averaged,
    /// Whether decoders may learn from labels; without, every word is one that they were never told.
    pub labels: bool,
}

/// A response to a test stimulus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodedRow {
    /// Among the subjects of the dataset.
    pub subject: usize,
    /// Among the stimuli of the dataset.
    pub stimulus: usize,
    /// Row of the subject's responses, where every trial is a response of its own.
    pub trial: Option<usize>,
}

/// What the decoders of one model of a run, a fold's, make of its test responses.
#[derive(Clone, Debug)]
pub struct FoldPoints {
    /// The fold.
    pub fold: usize,
    /// Name of the feature set.
    pub features: String,
    /// The space of its training stimuli.
    pub space: FeatureSpace,
    /// Stimuli that were trained on, validation stimuli among them: ascending.
    pub seen: Vec<usize>,
    /// The test stimuli, ascending.
    pub tested: Vec<usize>,
    /// Test responses.
    pub rows: Vec<DecodedRow>,
    /// Points by the decoder of everybody and the subject's own, whose length says nothing: rows × components.
    pub points: Array2<f32>,
    /// Points by the subject's own ridge regression alone: rows × components.
    pub own: Array2<f32>,
    /// Points of training responses, by decoders that were fitted without their stimuli: samples × components.
    pub training: Array2<f32>,
}

/// Decodes the test responses of a run to points among the principal components of stimulus features.
///
/// The subject's own decoder is the stacked ridge regression of each of its regions onto the components, the one in front
/// of aligned inputs. The decoder of everybody is one ridge regression from what such maps of all subjects say, region by
/// region (cross-fitted, see [`mused_data::Alignment::fit`]), onto the components again: of the features, of the other
/// subjects' mean geometry where everybody saw 10 training stimuli or more, and of labels. A point lies between theirs, where
/// the points of training responses tell training stimuli apart best ([`contrast::share`]). Nothing is fitted outside the training part. The same bits every time.
///
/// `progress` is told how many maps of how many are fitted.
///
/// # Errors
/// A run that is not complete or was adapted; responses in a common space; no feature vectors.
pub fn decode_points(
    request: &PointsRequest<'_>,
    mut progress: impl FnMut(usize, usize),
) -> Result<Vec<FoldPoints>> {
    let run = request.run;
    run.refuse_incomplete()?;
    let dataset = request.dataset;
    if run.record().adapted.is_some() {
        return Err(Error::invalid(
            run.path(),
            "the run was adapted to one person; points are decoded by runs whose dataset has everybody: train one with \
             split.holdout_subject and split.calibration",
        ));
    }
    if dataset.profiles() {
        return Err(Error::Request(format!(
            "{}: similarity profiles are rows of a matrix between stimuli, not voxels: points are decoded from voxels or \
             patterns (`mused import rdm` with response = \"patterns\")",
            dataset.place()
        )));
    }
    let mut config = configured(run, request.features)?;
    let mut dataset = controlled(dataset, &config);
    if !request.labels {
        // Nor are stimuli dealt by them.
        dataset.labels = Labels {
            names: vec!["any".to_owned()],
            matrix: Array2::ones((dataset.stimuli.len(), 1)),
        }
        .into();
    }
    let dataset = &dataset;
    let chosen = Guidance::choose(dataset, Level::High, &config.guidance.high)?;
    let set = match chosen {
        Some(set) if !set.is_rdm => set,
        Some(set) => {
            return Err(Error::Request(format!(
                "{}: {} is a matrix of dissimilarities, which has no place for other stimuli: expected feature vectors \
                 (features.npy; `mused features` makes them)",
                dataset.place(),
                set.name
            )));
        }
        None => {
            return Err(Error::Request(format!(
                "{}: no feature set of the high level, in which responses could be decoded to a point: make one with `mused \
                 features`, or name one with --features",
                dataset.place()
            )));
        }
    };
    let features = dataset.read_features(set)?;
    settle(&mut config, dataset)?;
    let folds = run.division()?.folds(dataset)?;
    let plan = Plan::new(dataset, &config, learner::<CpuTraining>(&config).as_ref())?;
    let plan = Plan { folds, ..plan };
    memory::check_maps(plan.maps_bytes, rayon::current_num_threads())?;
    let shared = common(&plan, dataset, &config)?;
    if let Reading::Aligned(onto) = &mut config.model.inputs.inputs {
        onto.consensus = shared >= Alignment::LEAST_COMMON;
    }
    let mut subjects = 0;
    for task in &plan.tasks {
        subjects += by_subject(&plan.train_samples(dataset, &config, task)?).len();
    }
    let mut done = 0;
    let of_task = |task| {
        let fold = Fitting {
            plan: &plan,
            dataset,
            config: &config,
            features: &features,
            averaged: request.averaged,
            labels: request.labels,
        };
        fold.points(task, &set.name, &mut || {
            done += 1;
            progress(done, subjects);
        })
    };
    plan.tasks.iter().map(of_task).collect()
}

/// The training stimuli that all subjects saw, the fewest of any model; 0 where a subject has nobody to be like.
fn common(plan: &Plan, dataset: &Dataset, config: &Config) -> Result<usize> {
    let mut fewest = usize::MAX;
    for task in &plan.tasks {
        let train = plan.train_samples(dataset, config, task)?;
        let subjects = by_subject(&train);
        let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
        for sample in &train {
            *seen.entry(sample.stimulus).or_default() += 1;
        }
        let by_all = seen.values().filter(|count| **count == subjects.len());
        fewest = fewest.min(match (subjects.len() > 1, &task.holdout) {
            (true, None) => by_all.count(),
            _ => 0,
        });
    }
    Ok(fewest)
}

/// The configuration of decoders: the run's division and preparation, whatever its model is.
fn configured(run: &Run, features: Option<&str>) -> Result<Config> {
    let mut config = run.resolved_config()?;
    let inputs = config.model.inputs;
    config.model = Config::default().model;
    config.model.inputs.zscore = inputs.zscore;
    config.model.inputs.shuffled_brain = inputs.shuffled_brain;
    config.model.inputs.components = COMPONENTS;
    config.model.inputs.inputs = Reading::Aligned(Onto {
        guidance: true,
        consensus: false,
        stimuli: false,
        labels: true,
    });
    if let Some(name) = features {
        name.clone_into(&mut config.guidance.high);
    }
    Ok(config)
}

struct Fitting<'f> {
    plan: &'f Plan,
    dataset: &'f Dataset,
    config: &'f Config,
    features: &'f Array2<f32>,
    averaged: Averaged,
    labels: bool,
}

impl Fitting<'_> {
    fn points(&self, task: &Task, name: &str, fitted: &mut dyn FnMut()) -> Result<FoldPoints> {
        let Self {
            plan,
            dataset,
            config,
            features,
            averaged,
            labels,
        } = *self;
        let train = plan.train_samples(dataset, config, task)?;
        let (transform, training) = plan.transform(dataset, config, task, |_, fit| {
            let maps = fit()?;
            fitted();
            Ok(maps)
        })?;
        let training = training.unwrap_or_default();
        let fold = &plan.folds[task.fold];
        let guided = features.select(Axis(0), &fold.train);
        let space = FeatureSpace::fit(guided.view(), COMPONENTS)?;
        let shown: Vec<usize> = train.iter().map(|sample| sample.stimulus).collect();
        let targets = space.place(features.select(Axis(0), &shown).view());
        let parts = parts(dataset, &train, config.split.seed)?;
        let slots = transform.layout.slots().to_vec();
        let labels = match labels {
            true => dataset.labels.names.len(),
            false => 0,
        };
        let behind = targets.ncols() + 2 * dataset.labels.names.len();
        let width = slots.first().map_or(0, |slot| slot.length);
        let decoder = Decoder {
            slots,
            consensus: width.saturating_sub(behind),
            components: targets.ncols(),
            labels,
            shares: BTreeMap::new(),
            shared: Ridge {
                weights: Array2::zeros((0, targets.ncols())),
                intercept: Array1::zeros(targets.ncols()),
            },
            everybodys: 0.0,
            level: space.level(),
            mean: targets.mean_axis(Axis(0)).unwrap_or_default(),
        };
        let (decoder, training) = decoder
            .fit(&train, training.view(), &targets, &parts)
            .map_err(|error| Error::Request(format!("{}: {error}", task.name())))?;
        let samples: Vec<Sample> = match averaged {
            Averaged::Repeats => plan.test_samples(dataset, task),
            Averaged::Nothing => (plan.test_samples(dataset, task).into_iter())
                .flat_map(trial_by_trial)
                .collect(),
        };
        let known: Vec<usize> = by_subject(&samples).into_keys().collect();
        let reader = InputReader::new(dataset, Arc::new(transform), &known)?;
        let inputs = reader.read(&samples.iter().collect::<Vec<_>>())?;
        let (points, own) = decoder.decode(&samples, inputs.view());
        let row = |sample: &Sample| DecodedRow {
            subject: sample.subject,
            stimulus: sample.stimulus,
            trial: match averaged {
                Averaged::Repeats => None,
                Averaged::Nothing => sample.trials.first().copied(),
            },
        };
        let mut seen: Vec<usize> = fold.train.iter().chain(&fold.validation).copied().collect();
        seen.sort_unstable();
        Ok(FoldPoints {
            fold: task.fold,
            features: name.to_owned(),
            space,
            seen,
            tested: fold.test.clone(),
            rows: samples.iter().map(row).collect(),
            points,
            own,
            training,
        })
    }
}

fn trial_by_trial(sample: Sample) -> impl Iterator<Item = Sample> {
    let Sample {
        subject,
        stimulus,
        trials,
    } = sample;
    trials.into_iter().map(move |trial| Sample {
        subject,
        stimulus,
        trials: vec![trial],
    })
}

/// Rows of each subject.
fn by_subject(samples: &[Sample]) -> BTreeMap<usize, Vec<usize>> {
    let mut rows: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (row, sample) in samples.iter().enumerate() {
        rows.entry(sample.subject).or_default().push(row);
    }
    rows
}

/// From input rows to points. Of each region they hold components of consensus, of the features, and scores of the labels,
/// twice.
struct Decoder {
    slots: Vec<Slot>,
    consensus: usize,
    components: usize,
    /// Labels that are read.
    labels: usize,
    /// Shares of the regions in each subject's own decoder.
    shares: BTreeMap<usize, Array1<f64>>,
    shared: Ridge,
    /// The share of everybody's decoder.
    everybodys: f64,
    /// What components are multiplied by where points are compared.
    level: Array1<f64>,
    /// Of the targets over training samples.
    mean: Array1<f64>,
}

impl Decoder {
    /// Fits the decoders on cross-fitted `training` rows of `samples`; also the points of those.
    fn fit(
        mut self,
        samples: &[Sample],
        training: ArrayView2<'_, f32>,
        targets: &Array2<f64>,
        parts: &[usize],
    ) -> mused_stats::Result<(Self, Array2<f32>)> {
        for (subject, rows) in by_subject(samples) {
            let own = self.regions(training.select(Axis(0), &rows).view());
            let views: Vec<ArrayView2<'_, f64>> = own.iter().map(|own| own.view()).collect();
            let truth = targets.select(Axis(0), &rows);
            let centre = truth.mean_axis(Axis(0)).unwrap_or_default();
            let shares = stacking::weights(&views, (truth - &centre).view())?;
            self.shares.insert(subject, shares);
        }
        let read = self.read(training);
        let fitted = ridge::cross_fit(read.view(), targets.view(), &[self.components], parts)?;
        self.shared = fitted.model;
        let own = self.own(samples, training);
        // Each stimulus once, and whose response is to which.
        let shown: BTreeMap<usize, usize> = (samples.iter().map(|sample| sample.stimulus))
            .zip(0..)
            .collect();
        let items = targets.select(Axis(0), &shown.values().copied().collect::<Vec<_>>());
        let place: BTreeMap<usize, usize> = shown.keys().copied().zip(0..).collect();
        let of_each: Vec<usize> = samples
            .iter()
            .map(|sample| place[&sample.stimulus])
            .collect();
        self.everybodys = contrast::share(
            (&own * &self.level).view(),
            (&fitted.held_out * &self.level).view(),
            (items * &self.level).view(),
            &of_each,
        )?;
        let points = self.mixed(&own, &fitted.held_out);
        Ok((self, points))
    }

    /// Each region's components.
    fn regions(&self, inputs: ArrayView2<'_, f32>) -> Vec<Array2<f64>> {
        let region = |slot: &Slot| {
            let first = slot.offset + self.consensus;
            let own = inputs.slice(s![.., first..first + self.components]);
            own.mapv(f64::from)
        };
        self.slots.iter().map(region).collect()
    }

    /// What the regression of everybody reads.
    fn read(&self, inputs: ArrayView2<'_, f32>) -> Array2<f64> {
        let kinds = [
            (0, READ.min(self.consensus)),
            (self.consensus, READ.min(self.components)),
            (self.consensus + self.components, self.labels),
        ];
        let width: usize = kinds.iter().map(|(_, count)| count).sum();
        let mut read = Array2::zeros((inputs.nrows(), self.slots.len() * width));
        let mut to = 0;
        for slot in &self.slots {
            for (first, count) in kinds {
                let from = slot.offset + first;
                let own = inputs.slice(s![.., from..from + count]);
                read.slice_mut(s![.., to..to + count])
                    .assign(&own.mapv(f64::from));
                to += count;
            }
        }
        read
    }

    /// Deviations from the mean target by the subjects' own decoders.
    fn own(&self, samples: &[Sample], inputs: ArrayView2<'_, f32>) -> Array2<f64> {
        let mut sum = Array2::zeros((inputs.nrows(), self.components));
        // A subject left out has regions and no shares of them.
        let equal = Array1::from_elem(self.slots.len(), (self.slots.len().max(1) as f64).recip());
        for (place, region) in self.regions(inputs).into_iter().enumerate() {
            for ((sample, own), mut sum) in samples.iter().zip(region.rows()).zip(sum.rows_mut()) {
                let shares = self.shares.get(&sample.subject).unwrap_or(&equal);
                sum.scaled_add(shares[place], &own);
            }
        }
        sum
    }

    /// Points of samples whose inputs are given, and those of their own decoders alone.
    fn decode(
        &self,
        samples: &[Sample],
        inputs: ArrayView2<'_, f32>,
    ) -> (Array2<f32>, Array2<f32>) {
        let own = self.own(samples, inputs);
        let shared = self.shared.predict(self.read(inputs).view()) - &self.mean;
        let points = self.mixed(&own, &shared);
        (points, own.mapv(|value| value as f32))
    }

    /// Between the directions of both decoders, as far as their points are compared.
    fn mixed(&self, own: &Array2<f64>, shared: &Array2<f64>) -> Array2<f32> {
        let mut points = Array2::zeros(own.dim());
        for (of, share) in [(own, 1.0 - self.everybodys), (shared, self.everybodys)] {
            for (mut point, row) in points.rows_mut().into_iter().zip(of.rows()) {
                let compared = &row * &self.level;
                let length = compared.dot(&compared).sqrt();
                if length > 0.0 {
                    point.scaled_add(share / length, &row);
                }
            }
        }
        points.mapv(|value: f64| value as f32)
    }
}
