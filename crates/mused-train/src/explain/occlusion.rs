use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use mused_data::{Dataset, InputReader, InputTransform, Sample, samples};
use mused_kernels::KernelBackend;
use mused_run::{Run, Task};
use mused_stats::Answer;
use mused_stats::paired::{self, LabelDifference};
use ndarray::Array2;

use super::attention::Attention;
use super::parts::Parts;
use super::rows::TestRows;
use super::tokens::FoldTokens;
use crate::families::{evaluation_batch, restore};
use crate::learner::Model;
use crate::sample_set::SampleSet;
use crate::{Error, PartDrop, Result};

/// Most probabilities of occluded inputs that are held at once (256 MiB).
const HELD_VALUES: usize = 1 << 26;

/// How far a model's outputs may lie from those of the run, which another processor may have computed.
const SAME: f32 = 1e-3;

/// What the passes over the test samples found.
pub(super) struct Passes {
    /// One a part.
    pub(super) drops: Vec<PartDrop>,
    pub(super) attention: Attention,
    /// By fold.
    pub(super) tokens: BTreeMap<usize, FoldTokens>,
}

/// Passes all test samples through their models, as they are and without each part.
pub(super) struct Occlusion<'a> {
    pub(super) run: &'a Run,
    pub(super) dataset: &'a Dataset,
    pub(super) tasks: &'a [Task],
    pub(super) rows: &'a TestRows,
    pub(super) parts: &'a Parts,
}

impl Occlusion<'_> {
    pub(super) fn pass<B: KernelBackend>(
        &self,
        progress: &mut dyn FnMut(usize, usize),
        notes: &mut Vec<String>,
    ) -> Result<Passes> {
        let names = self.parts.names();
        let mut passes = Passes {
            drops: Vec::with_capacity(names.len()),
            attention: Attention::new(names.len()),
            tokens: BTreeMap::new(),
        };
        let values = self.rows.probabilities.len().max(1);
        let at_once = (HELD_VALUES / values).clamp(1, names.len().max(1));
        let total = self.rows.len() * names.len();
        let mut done = 0;
        progress(done, total);
        for first in (0..names.len()).step_by(at_once) {
            let group = first..(first + at_once).min(names.len());
            // What a part does not reach stays as it was.
            let mut occluded: Vec<Array2<f32>> = group
                .clone()
                .map(|_| self.rows.probabilities.clone())
                .collect();
            for task in self.tasks {
                let mut count = |samples: usize| {
                    done += samples;
                    progress(done, total);
                };
                let fresh = first == 0;
                let model = TestedModel::read::<B>(self, task, fresh.then_some(&mut *notes))?;
                let intact = fresh.then_some(&mut passes);
                model.pass(self, &group, intact, &mut occluded, &mut count)?;
            }
            for (part, occluded) in group.zip(&occluded) {
                passes
                    .drops
                    .push(drop(self.rows, self.dataset, &names[part], occluded)?);
            }
        }
        Ok(passes)
    }
}

/// What the scores lose where the test samples have other probabilities.
pub(super) fn drop(
    rows: &TestRows,
    dataset: &Dataset,
    part: &str,
    occluded: &Array2<f32>,
) -> Result<PartDrop> {
    let (intact, occluded) = (rows.probabilities.mapv(f64::from), occluded.mapv(f64::from));
    let (targets, samples) = (rows.targets.view(), rows.crossed(dataset)?);
    let found = paired::compare(
        &[intact.view()],
        &[occluded.view()],
        targets,
        &samples,
        // Intervals alone are asked for.
        0,
        0,
    )?;
    let labels = paired::compare_labels(&[intact.view()], &[occluded.view()], targets, &samples)?;
    let label = |found: &Answer<LabelDifference>| {
        let interval = found.ok().map(|found| found.interval);
        interval.map(|interval| [interval.low, interval.estimate, interval.high])
    };
    Ok(PartDrop {
        labels: labels.roc_auc.iter().map(label).collect(),
        part: part.to_owned(),
        average_precision: (&found.average_precision).into(),
        roc_auc: (&found.roc_auc).into(),
    })
}

/// A task's model with the test samples it predicted.
struct TestedModel<'a> {
    task: &'a Task,
    model: Box<dyn Model>,
    set: SampleSet<'a>,
    /// Row of each sample of the set.
    rows: Vec<usize>,
    /// Columns of each part.
    columns: Vec<Vec<Range<usize>>>,
    slots: Vec<Option<usize>>,
    means: TrainingMeans,
}

impl<'a> TestedModel<'a> {
    fn read<B: KernelBackend>(
        of: &Occlusion<'a>,
        task: &'a Task,
        notes: Option<&mut Vec<String>>,
    ) -> Result<Self> {
        let (description, model, transform) = restore::<B>(of.run, task)?;
        let transform = Arc::new(transform);
        let rows = of.rows.of_task(of.dataset, task);
        let own: Vec<Sample> = rows
            .iter()
            .map(|&row| of.rows.samples[row].clone())
            .collect();
        let mut subjects: Vec<usize> = own.iter().map(|sample| sample.subject).collect();
        subjects.sort_unstable();
        subjects.dedup();
        let reader = Arc::new(InputReader::new(of.dataset, transform.clone(), &subjects)?);
        let means = TrainingMeans::new(of, task, &transform, &reader, &subjects, notes)?;
        let (known, count) = (&description.subjects, description.model.subjects());
        Ok(Self {
            task,
            model,
            set: SampleSet::new(reader, own, known, count)?,
            rows,
            columns: of.parts.columns(&transform.layout),
            slots: of.parts.of_slots(&transform.layout),
            means,
        })
    }

    /// Fills `occluded`, one a part of `group`, and what the intact inputs give.
    fn pass(
        &self,
        of: &Occlusion<'_>,
        group: &Range<usize>,
        mut intact: Option<&mut Passes>,
        occluded: &mut [Array2<f32>],
        count: &mut dyn FnMut(usize),
    ) -> Result<()> {
        let all: Vec<usize> = (0..self.set.len()).collect();
        for chosen in all.chunks(evaluation_batch(self.set.width())) {
            let inputs = self.set.inputs(chosen)?;
            if let Some(passes) = &mut intact {
                self.look(of, chosen, &inputs, passes)?;
            }
            for (part, occluded) in group.clone().zip(&mut *occluded) {
                if !self.columns[part].is_empty() {
                    let mut without = inputs.clone();
                    for (mut row, &sample) in without.rows_mut().into_iter().zip(chosen) {
                        let mean = self.means.of(self.set.samples[sample].subject);
                        for columns in &self.columns[part] {
                            for column in columns.clone() {
                                row[column] = mean.map_or(0.0, |mean| mean[column]);
                            }
                        }
                    }
                    let found = self.model.outputs(&self.set, chosen, without.view())?;
                    for (&sample, found) in chosen.iter().zip(found.probabilities.rows()) {
                        occluded.row_mut(self.rows[sample]).assign(&found);
                    }
                }
                count(chosen.len());
            }
        }
        Ok(())
    }

    /// Tokens and attention of the inputs as they are, and whether they give what the run recorded.
    fn look(
        &self,
        of: &Occlusion<'_>,
        chosen: &[usize],
        inputs: &Array2<f32>,
        passes: &mut Passes,
    ) -> Result<()> {
        let found = self.model.outputs(&self.set, chosen, inputs.view())?;
        for (&sample, found) in chosen.iter().zip(found.probabilities.rows()) {
            let recorded = of.rows.probabilities.row(self.rows[sample]);
            let differ = |(a, b): (&f32, &f32)| (a - b).abs() > SAME;
            if found.len() != recorded.len() || found.iter().zip(&recorded).any(differ) {
                return Err(Error::invalid(
                    of.run.task_folder(self.task),
                    "expected a model that gives the probabilities in the run's predictions.npy, found another; train \
                     the run again",
                ));
            }
        }
        let rows: Vec<usize> = chosen.iter().map(|&sample| self.rows[sample]).collect();
        let own = passes.tokens.entry(self.task.fold).or_default();
        own.add(self.task, &rows, &found.tokens);
        if let Some(weights) = self.model.attention(&self.set, chosen, inputs.view())? {
            let subjects: Vec<usize> = rows
                .iter()
                .map(|&row| of.rows.samples[row].subject)
                .collect();
            let levels: Vec<&'static str> = found.tokens.iter().map(|(level, _)| *level).collect();
            passes
                .attention
                .add(&subjects, &levels, &self.slots, &weights);
        }
        Ok(())
    }
}

/// The mean input row of each subject over its training samples, where that is not 0 already.
struct TrainingMeans(HashMap<usize, Vec<f32>>);

impl TrainingMeans {
    fn new(
        of: &Occlusion<'_>,
        task: &Task,
        transform: &InputTransform,
        reader: &InputReader<'_>,
        subjects: &[usize],
        mut notes: Option<&mut Vec<String>>,
    ) -> Result<Self> {
        // Both z-scores and principal components are centred on the training samples.
        let centred: BTreeMap<&str, bool> = transform
            .subjects
            .iter()
            .map(|own| {
                (
                    own.id.as_str(),
                    own.z_score.is_some() || own.projections.is_some(),
                )
            })
            .collect();
        let mut means = HashMap::new();
        let mut folds = None;
        for &subject in subjects {
            let id = of.dataset.subjects[subject].id.as_str();
            if centred.get(id).copied().unwrap_or(false) {
                continue;
            }
            if folds.is_none() {
                folds = Some(of.run.division()?.folds(of.dataset)?);
            }
            let fold = folds.as_ref().and_then(|folds| folds.get(task.fold));
            let train = fold.map_or(&[][..], |fold| &fold.train);
            let own = samples(of.dataset, &[subject], train);
            if own.is_empty() {
                if let Some(notes) = &mut notes {
                    notes.push(format!(
                        "{}: inputs of {id} are not z-scored and it has no training samples: its parts were replaced \
                         by 0",
                        task.name()
                    ));
                }
                continue;
            }
            let mut sums = vec![0.0_f64; transform.layout.width()];
            for samples in own.chunks(evaluation_batch(sums.len())) {
                let inputs = reader.read(&samples.iter().collect::<Vec<_>>())?;
                for row in inputs.rows() {
                    for (sum, &value) in sums.iter_mut().zip(row) {
                        *sum += f64::from(value);
                    }
                }
            }
            let mean = |sum: f64| (sum / own.len() as f64) as f32;
            means.insert(subject, sums.into_iter().map(mean).collect());
        }
        let note = "inputs are not z-scored: parts were replaced by the subject's mean input over its training samples";
        if let Some(notes) = notes
            && !means.is_empty()
            && !notes.iter().any(|known| known == note)
        {
            notes.push(note.to_owned());
        }
        Ok(Self(means))
    }

    fn of(&self, subject: usize) -> Option<&[f32]> {
        self.0.get(&subject).map(Vec::as_slice)
    }
}
