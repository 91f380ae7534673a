//! Baselines in closed form: the frequency of labels, and ridge regression with or without alignment of subjects.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use mused_data::{Dataset, FitBytes, Layout, Sample, Slot, partition};
use mused_run::{Alignment, Config, EpochLosses, Family, Regions, Task};
use mused_stats::ridge::{self, CrossFit, Ridge};
use mused_stats::{SubjectMap, banded, stacking};
use ndarray::{Array1, Array2, ArrayView2, Axis, s};

use super::alignment::{align, rounded};
use crate::fold_data::FoldData;
use crate::learner::{Epoch, Fit, Learner, Model, Outputs, record};
use crate::model_file::{Aligned, Architecture, LinearDescription, LinearFamily};
use crate::parameters::NamedTensors;
use crate::sample_set::{SampleSet, kept_bytes};
use crate::scoring::validation_scores;
use crate::{Error, Result, memory};

/// Parts of the training stimuli between which cross-validation chooses the penalty.
const PARTS: usize = 6;

/// Samples that are predicted at once, to bound memory.
const BATCH: usize = 256;

/// Models in closed form.
pub(crate) struct ClosedForms<'c> {
    config: &'c Config,
}

impl<'c> ClosedForms<'c> {
    pub(crate) fn new(config: &'c Config) -> Self {
        Self { config }
    }
}

impl Learner for ClosedForms<'_> {
    fn architecture(
        &self,
        layout: &Layout,
        _subjects: usize,
        labels: usize,
    ) -> Result<Architecture> {
        let (family, alignment) = match &self.config.model.family {
            Family::AlignedRidge(model) => match model.alignment {
                Alignment::Procrustes => (LinearFamily::Ridge, Aligned::Procrustes),
                Alignment::Srm => (LinearFamily::Ridge, Aligned::Srm),
            },
            Family::Prevalence(_) => (LinearFamily::Prevalence, Aligned::None),
            _ => (LinearFamily::Ridge, Aligned::None),
        };
        Ok(Architecture::Linear(LinearDescription {
            family,
            alignment,
            inputs: layout.width(),
            labels,
        }))
    }

    fn memory(
        &self,
        architecture: &Architecture,
        layout: &Layout,
        samples: usize,
        beside: u64,
    ) -> Result<FitBytes> {
        let (slots, width) = (layout.slots(), layout.width());
        let labels = match architecture {
            Architecture::Linear(model) => model.labels,
            Architecture::Network(_) => 0,
        };
        let together = |width| FitBytes::ridge(samples, width, labels);
        let bytes = match &self.config.model.family {
            Family::Prevalence(_) => return Ok(FitBytes::default()),
            Family::Ridge(model) if slots.len() > 1 => {
                by_regions_bytes(model.regions, slots, samples, labels)
            }
            Family::AlignedRidge(model) => {
                // Everybody's responses in double precision, and their components.
                let responses = (samples as u64).saturating_mul(16 * width as u64);
                together(model.alignment_components).and(responses)
            }
            _ => together(width),
        };
        let kept = kept_bytes(samples, width).saturating_add(beside);
        let bytes = bytes.and(kept);
        memory::check_fit(bytes, samples, width)?;
        Ok(bytes)
    }

    fn steps(&self, _samples: usize) -> usize {
        1
    }

    fn fit(&self, fit: &mut Fit<'_, '_>) -> Result<Option<Box<dyn Model>>> {
        let Fit {
            task,
            data,
            journal,
            watch,
            ..
        } = *fit;
        if watch.progress.interrupted() || fit.worker.stopped() {
            fit.worker.stop();
            return Ok(None);
        }
        fit.worker.run(|| {
            let model = LinearModel::fit(self.config, data, task, None)?;
            let train = losses(&model.predict(&data.train)?, &data.train);
            watch.progress.step(&task.name(), &train);
            let validation = match data.validation.len() {
                0 => None,
                _ => validation_scores(&data.validation, &model.predict(&data.validation)?)?,
            };
            let ended = Epoch {
                epoch: 1,
                step: 1,
                learning_rate: 0.0,
                train,
                validation,
            };
            record(watch, journal, task, ended)?;
            Ok(Some(Box::new(model) as Box<dyn Model>))
        })
    }
}

/// Probabilities as a linear function of the input row, clipped to 0..1.
///
/// Values are those that f32 holds, so that a model read from its file predicts the same.
#[derive(Debug, PartialEq)]
pub(crate) struct LinearModel {
    /// [inputs or shared dimensions, labels]; without rows, the intercept is predicted.
    weights: Array2<f64>,
    /// [labels]
    intercept: Array1<f64>,
    /// From each subject's input row into the shared space, where there is one.
    maps: Option<BTreeMap<String, SubjectMap>>,
}

const WEIGHTS: &str = "weights";
const INTERCEPT: &str = "intercept";
/// Of a subject's map.
const CENTRE: &str = "centre.";
const MAP: &str = "map.";

impl LinearModel {
    /// Fits a model on the training samples alone; `without` is a region that ridge regression does not read.
    pub(crate) fn fit(
        config: &Config,
        data: &FoldData<'_>,
        task: &Task,
        without: Option<&str>,
    ) -> Result<Self> {
        let rows: Vec<usize> = (0..data.train.len()).collect();
        let targets = data.train.target_rows(&rows);
        if let Family::Prevalence(_) = config.model.family {
            let frequencies = targets.mapv(f64::from).mean_axis(Axis(0));
            return Ok(Self {
                weights: Array2::zeros((0, targets.ncols())),
                intercept: frequencies.unwrap_or_default().mapv(rounded),
                maps: None,
            });
        }
        let maps = match &config.model.family {
            Family::AlignedRidge(model) => Some(align(model, data)?),
            _ => None,
        };
        let train = &data.train;
        let parts = parts(train.dataset(), &train.samples, config.split.seed)?;
        let targets = targets.mapv(f64::from);
        let mut slots = data.transform.layout.slots().to_vec();
        let place = (slots.iter()).position(|slot| Some(slot.name.as_str()) == without);
        let left_out = place.map(|place| slots.remove(place));
        let regions = match &config.model.family {
            Family::Ridge(model) if slots.len() > 1 => model.regions,
            _ => Regions::Together,
        };
        let aligned = maps.as_ref().map(|maps| {
            let inputs = train.inputs(&rows)?;
            shared(train, &rows, inputs.view(), Some(maps))
        });
        let aligned = aligned.transpose()?;
        let read = |rows: &[usize]| match &aligned {
            Some(inputs) => Ok(inputs.select(Axis(0), rows)),
            None => doubled(train, rows, left_out.as_ref()),
        };
        let fitted = match regions {
            Regions::Together => {
                ridge::cross_fit_of(read, targets.view(), &[targets.ncols()], &parts)
                    .map(|fitted| fitted.model)
            }
            apart => by_regions(apart, &slots, read(&rows)?, targets.view(), &parts),
        };
        let fitted = fitted.map_err(|error| match error {
            Error::Stats(error) => Error::Request(format!("{}: {error}", task.name())),
            other => other,
        })?;
        Ok(Self {
            weights: fitted.weights.mapv(rounded),
            intercept: fitted.intercept.mapv(rounded),
            maps,
        })
    }

    /// Predictions of the test samples: samples × labels.
    pub(crate) fn of_test(&self, data: &FoldData<'_>) -> Result<Array2<f32>> {
        self.predict(&data.test)
    }

    /// Scores of the samples `chosen`, whose inputs are given: chosen × labels.
    fn scores(
        &self,
        set: &SampleSet<'_>,
        chosen: &[usize],
        inputs: ArrayView2<'_, f32>,
    ) -> Result<Array2<f64>> {
        if !self.reads() {
            let shape = (chosen.len(), self.intercept.len());
            return Ok(Array2::zeros(shape) + &self.intercept);
        }
        let inputs = shared(set, chosen, inputs, self.maps.as_ref())?;
        Ok(inputs.dot(&self.weights) + &self.intercept)
    }

    /// Predictions of the samples `chosen`, whose inputs are given: chosen × labels, in 0..1.
    fn predict_inputs(
        &self,
        set: &SampleSet<'_>,
        chosen: &[usize],
        inputs: ArrayView2<'_, f32>,
    ) -> Result<Array2<f32>> {
        let scores = self.scores(set, chosen, inputs)?;
        Ok(scores.mapv(|value| value.clamp(0.0, 1.0) as f32))
    }

    /// The model of stored tensors.
    ///
    /// # Errors
    /// A tensor that is missing, or of another shape than the description says.
    pub(crate) fn restore(config: &LinearDescription, mut tensors: NamedTensors) -> Result<Self> {
        let maps = (config.alignment != Aligned::None).then(|| {
            let ids = tensors.keys().filter_map(|name| name.strip_prefix(MAP));
            ids.map(str::to_owned).collect::<Vec<_>>()
        });
        let weights = matrix(&mut tensors, WEIGHTS, config.labels)?;
        let intercept = vector(&mut tensors, INTERCEPT, config.labels)?;
        let mut map = |id: String| {
            let mean = vector(&mut tensors, &format!("{CENTRE}{id}"), config.inputs)?;
            let weights = matrix(&mut tensors, &format!("{MAP}{id}"), weights.nrows())?;
            Ok((id, SubjectMap { mean, weights }))
        };
        let maps = maps.map(|ids| ids.into_iter().map(&mut map).collect::<Result<_>>());
        let maps: Option<BTreeMap<String, SubjectMap>> = maps.transpose()?;
        let read = match (config.family, &maps) {
            (LinearFamily::Prevalence, _) => 0,
            (_, None) => config.inputs,
            (_, Some(_)) => weights.nrows(),
        };
        let mapped = maps.iter().flatten().map(|(_, map)| map.weights.nrows());
        if weights.nrows() != read || mapped.clone().any(|rows| rows != config.inputs) {
            return Err(Error::Request(format!(
                "expected weights of {} inputs, found other shapes",
                config.inputs
            )));
        }
        Ok(Self {
            weights,
            intercept,
            maps,
        })
    }
}

impl Model for LinearModel {
    fn predict(&self, set: &SampleSet<'_>) -> Result<Array2<f32>> {
        let rows: Vec<usize> = (0..set.len()).collect();
        let mut out = Array2::zeros((set.len(), self.intercept.len()));
        let batches = out.axis_chunks_iter_mut(Axis(0), BATCH);
        for (mut out, rows) in batches.zip(rows.chunks(BATCH)) {
            let inputs = match self.reads() {
                true => set.inputs(rows)?,
                false => Array2::zeros((rows.len(), 0)),
            };
            out.assign(&self.predict_inputs(set, rows, inputs.view())?);
        }
        Ok(out)
    }

    fn linear(
        &self,
        set: &SampleSet<'_>,
        chosen: &[usize],
        inputs: ArrayView2<'_, f32>,
    ) -> Result<Option<Array2<f64>>> {
        self.scores(set, chosen, inputs).map(Some)
    }

    fn reads(&self) -> bool {
        !self.weights.is_empty()
    }

    fn outputs(
        &self,
        set: &SampleSet<'_>,
        chosen: &[usize],
        inputs: ArrayView2<'_, f32>,
    ) -> Result<Outputs> {
        Ok(Outputs {
            probabilities: self.predict_inputs(set, chosen, inputs)?,
            tokens: Vec::new(),
        })
    }

    fn tensors(&self) -> Result<NamedTensors> {
        let mut tensors = NamedTensors::new();
        let mut put = |name: String, shape: &[usize], values: Vec<f32>| {
            tensors.insert(name, (shape.to_vec(), values));
        };
        let single = |value: &f64| *value as f32;
        let Self {
            weights,
            intercept,
            maps,
        } = self;
        let values = weights.iter().map(single).collect();
        put(WEIGHTS.to_owned(), weights.shape(), values);
        let values = intercept.iter().map(single).collect();
        put(INTERCEPT.to_owned(), intercept.shape(), values);
        for (id, SubjectMap { mean, weights }) in maps.iter().flatten() {
            let values = mean.iter().map(single).collect();
            put(format!("{CENTRE}{id}"), mean.shape(), values);
            let values = weights.iter().map(single).collect();
            put(format!("{MAP}{id}"), weights.shape(), values);
        }
        Ok(tensors)
    }
}

/// Takes a matrix of so many columns out of stored tensors; a vector is one of one row.
fn matrix(tensors: &mut NamedTensors, name: &str, columns: usize) -> Result<Array2<f64>> {
    let (shape, values) = tensors
        .remove(name)
        .ok_or_else(|| Error::Request(format!("{name} is missing")))?;
    let rows = if shape.len() == 2 { shape[0] } else { 1 };
    let values = values.into_iter().map(f64::from).collect();
    Array2::from_shape_vec((rows, columns), values).map_err(|_| {
        Error::Request(format!(
            "{name}: expected {columns} columns, found shape {shape:?}"
        ))
    })
}

/// Takes a vector of so many values out of stored tensors.
fn vector(tensors: &mut NamedTensors, name: &str, length: usize) -> Result<Array1<f64>> {
    let found = matrix(tensors, name, length)?;
    match found.nrows() {
        1 => Ok(found.row(0).to_owned()),
        rows => Err(Error::Request(format!(
            "{name}: expected 1 row, found {rows}"
        ))),
    }
}

/// Inputs of the samples `chosen`, read some at a time, since they are most of the memory of a fit. The region `left_out` never
/// varies, and so has no weight.
fn doubled(set: &SampleSet<'_>, chosen: &[usize], left_out: Option<&Slot>) -> Result<Array2<f64>> {
    let mut out = Array2::zeros((chosen.len(), set.width()));
    let batches = out.axis_chunks_iter_mut(Axis(0), BATCH);
    for (mut out, rows) in batches.zip(chosen.chunks(BATCH)) {
        out.assign(&set.inputs(rows)?.mapv(f64::from));
    }
    if let Some(slot) = left_out {
        let columns = slot.offset..slot.offset + slot.length;
        out.slice_mut(s![.., columns]).fill(0.0);
    }
    Ok(out)
}

/// Inputs of the samples `chosen` of a set, in the shared space where there is one.
fn shared(
    set: &SampleSet<'_>,
    chosen: &[usize],
    inputs: ArrayView2<'_, f32>,
    maps: Option<&BTreeMap<String, SubjectMap>>,
) -> Result<Array2<f64>> {
    let inputs = inputs.mapv(f64::from);
    let Some(maps) = maps else {
        return Ok(inputs);
    };
    let mut by_subject: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (row, &sample) in chosen.iter().enumerate() {
        let subject = set.subject(&set.samples[sample]);
        by_subject.entry(subject).or_default().push(row);
    }
    let dimensions = maps.values().next().map_or(0, |map| map.weights.ncols());
    let mut out = Array2::zeros((chosen.len(), dimensions));
    for (subject, rows) in by_subject {
        let map = maps.get(subject).ok_or_else(|| {
            Error::Request(format!(
                "subject {subject} was not aligned when the model was trained"
            ))
        })?;
        let own = map.apply(inputs.select(Axis(0), &rows).view());
        for (row, own) in rows.into_iter().zip(own.rows()) {
            out.row_mut(row).assign(&own);
        }
    }
    Ok(out)
}

/// Ridge regression of `targets` on the regions of input rows, each with a penalty or a model of its own.
fn by_regions(
    regions: Regions,
    slots: &[Slot],
    mut inputs: Array2<f64>,
    targets: ArrayView2<'_, f64>,
    parts: &[usize],
) -> Result<Ridge> {
    let columns = |slot: &Slot| s![.., slot.offset..slot.offset + slot.length];
    if regions == Regions::Banded {
        let groups: Vec<_> = slots
            .iter()
            .map(|slot| inputs.slice(columns(slot)))
            .collect();
        let roots = banded::weights(&groups, targets, parts)?.mapv(f64::sqrt);
        for (slot, root) in slots.iter().zip(&roots) {
            inputs
                .slice_mut(columns(slot))
                .mapv_inplace(|value| value * root);
        }
        let mut model = ridge::cross_fit(inputs.view(), targets, &[targets.ncols()], parts)?.model;
        for (slot, root) in slots.iter().zip(&roots) {
            let mut own = model
                .weights
                .slice_mut(s![slot.offset..slot.offset + slot.length, ..]);
            own *= *root;
        }
        return Ok(model);
    }
    // Values of the row, and the regression of them alone.
    let fit = |range: Range<usize>| {
        let own = inputs.slice(s![.., range.clone()]);
        let fitted = ridge::cross_fit(own, targets, &[targets.ncols()], parts)?;
        Ok((range, fitted))
    };
    let regions_alone = slots
        .iter()
        .map(|slot| slot.offset..slot.offset + slot.length);
    let all = (regions == Regions::Stacked).then_some(0..inputs.ncols());
    let fitted: Vec<(Range<usize>, CrossFit)> =
        (regions_alone.chain(all)).map(fit).collect::<Result<_>>()?;
    let mean = targets.mean_axis(Axis(0)).unwrap_or_default();
    let shares = match regions {
        Regions::Stacked => {
            let held_out: Vec<_> = fitted.iter().map(|(_, map)| map.held_out.view()).collect();
            stacking::weights(&held_out, (&targets - &mean).view())?
        }
        _ => Array1::from_elem(slots.len(), (slots.len() as f64).recip()),
    };
    let mut sum = Ridge {
        weights: Array2::zeros((inputs.ncols(), targets.ncols())),
        intercept: mean.clone(),
    };
    for ((range, CrossFit { model, .. }), share) in fitted.into_iter().zip(&shares) {
        let mut own = sum.weights.slice_mut(s![range, ..]);
        own.scaled_add(*share, &model.weights);
        sum.intercept.scaled_add(*share, &(model.intercept - &mean));
    }
    Ok(sum)
}

/// The part of each training sample: all samples of a stimulus, and of its group, are of one.
pub(crate) fn parts(dataset: &Dataset, train: &[Sample], seed: u64) -> Result<Vec<usize>> {
    let stimuli: BTreeSet<usize> = train.iter().map(|s| s.stimulus).collect();
    let stimuli: Vec<usize> = stimuli.into_iter().collect();
    let groups: BTreeSet<&str> = stimuli
        .iter()
        .map(|&stimulus| dataset.stimuli[stimulus].group.as_str())
        .collect();
    if groups.len() < 2 {
        return Err(Error::Request(
            "ridge regression chooses its penalty by cross-validation over groups of training stimuli: expected 2 \
             groups or more, found 1"
                .to_owned(),
        ));
    }
    let dealt = partition(dataset, &stimuli, groups.len().min(PARTS), seed)?;
    let part = |sample: &Sample| {
        let holds = |stimuli: &Vec<usize>| stimuli.binary_search(&sample.stimulus).is_ok();
        dealt.iter().position(holds).unwrap_or(0)
    };
    Ok(train.iter().map(part).collect())
}

/// About the memory of [`by_regions`].
fn by_regions_bytes(regions: Regions, slots: &[Slot], samples: usize, labels: usize) -> FitBytes {
    let bytes = |rows: usize, columns: usize| (8 * rows as u64).saturating_mul(columns as u64);
    let width = slots.iter().map(|slot| slot.length).sum();
    let largest = slots.iter().map(|slot| slot.length).max().unwrap_or(0);
    let all = FitBytes::ridge(samples, width, labels);
    let inputs = bytes(samples, width);
    // Weights of every regression, and what it says of each sample.
    let fitted = bytes(slots.len() * samples + width, labels);
    match regions {
        // Rows are read when they are needed.
        Regions::Together => all,
        Regions::Banded => all.max(FitBytes::banded(samples, slots.len())).and(inputs),
        Regions::Averaged => FitBytes::ridge(samples, largest, labels)
            .and(inputs)
            .and(fitted),
        Regions::Stacked => all
            .and(inputs)
            .and(fitted)
            .and(bytes(samples + width, labels)),
    }
}

/// Mean squared error and cross-entropy of the training samples.
fn losses(predicted: &Array2<f32>, train: &SampleSet<'_>) -> EpochLosses {
    let rows: Vec<usize> = (0..train.len()).collect();
    let targets = train.target_rows(&rows);
    let mean = |loss: fn(f64, f64) -> f64| {
        let pairs = predicted.iter().zip(&targets);
        let sum: f64 = pairs.map(|(p, t)| loss(f64::from(*p), f64::from(*t))).sum();
        sum / predicted.len().max(1) as f64
    };
    EpochLosses {
        total: mean(|p, t| (p - t).powi(2)),
        // Clipped predictions of 0 and 1 have no logarithm on the wrong side.
        classification: mean(|p, t| -(1.0 - (p - t).abs()).max(1e-7).ln()),
        ..EpochLosses::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_intercept_without_a_row_is_refused() {
        let description = LinearDescription {
            family: LinearFamily::Prevalence,
            alignment: Aligned::None,
            inputs: 3,
            labels: 2,
        };
        let tensors = [WEIGHTS, INTERCEPT].map(|name| (name.to_owned(), (vec![0, 2], Vec::new())));
        let restored = LinearModel::restore(&description, tensors.into_iter().collect());
        let message = restored.unwrap_err().to_string();
        assert_eq!(message, "intercept: expected 1 row, found 0");
    }
}
