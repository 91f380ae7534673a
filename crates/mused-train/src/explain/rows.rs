use std::collections::HashMap;

use mused_data::{Dataset, Sample, samples};
use mused_run::{Run, Task};
use mused_stats::Samples;
use ndarray::{Array2, Axis};

use crate::{Error, Result};

/// The test samples of a run and what its models said of them.
pub(super) struct TestRows {
    /// Fold of each row.
    pub(super) folds: Vec<usize>,
    pub(super) samples: Vec<Sample>,
    /// rows × labels
    pub(super) probabilities: Array2<f32>,
    /// rows × labels
    pub(super) targets: Array2<u8>,
}

impl TestRows {
    /// Those of a complete run.
    pub(super) fn read(run: &Run, dataset: &Dataset) -> Result<Self> {
        let predictions = run.predictions()?;
        let ids = dataset.stimuli.iter().map(|stimulus| stimulus.id.as_str());
        let places: HashMap<&str, usize> = ids.zip(0..).collect();
        let everyone: Vec<usize> = (0..dataset.subjects.len()).collect();
        let everything: Vec<usize> = (0..dataset.stimuli.len()).collect();
        let all = samples(dataset, &everyone, &everything);
        let shown: HashMap<(usize, usize), &Sample> = all
            .iter()
            .map(|sample| ((sample.subject, sample.stimulus), sample))
            .collect();
        let sample = |(subject, stimulus): &(String, String)| -> Result<Sample> {
            let number = dataset.subject(subject)?;
            let found = places
                .get(stimulus.as_str())
                .and_then(|&at| shown.get(&(number, at)));
            found.map(|&sample| sample.clone()).ok_or_else(|| {
                let message =
                    format!("the dataset has no trial that shows {stimulus} to {subject}");
                Error::invalid(run.path(), message)
            })
        };
        let samples: Vec<Sample> = (predictions.keys.iter())
            .map(sample)
            .collect::<Result<_>>()?;
        let stimuli: Vec<usize> = samples.iter().map(|sample| sample.stimulus).collect();
        Ok(Self {
            folds: predictions.row_folds,
            probabilities: predictions.probabilities.mapv(|value| value as f32),
            targets: dataset.labels.matrix.select(Axis(0), &stimuli),
            samples,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.samples.len()
    }

    /// The rows that a task predicted.
    pub(super) fn of_task(&self, dataset: &Dataset, task: &Task) -> Vec<usize> {
        let own = |row: &usize| {
            let id = &dataset.subjects[self.samples[*row].subject].id;
            let tested = task.subject.as_ref().or(task.holdout.as_ref());
            self.folds[*row] == task.fold && tested.is_none_or(|tested| tested == id)
        };
        (0..self.len()).filter(own).collect()
    }

    /// The tested subjects, ascending.
    pub(super) fn subjects(&self) -> Vec<usize> {
        let mut subjects: Vec<usize> = self.samples.iter().map(|s| s.subject).collect();
        subjects.sort_unstable();
        subjects.dedup();
        subjects
    }

    /// Who saw what; subjects in the order of [`Self::subjects`].
    pub(super) fn crossed(&self, dataset: &Dataset) -> Result<Samples> {
        let mut numbers: HashMap<&str, usize> = HashMap::new();
        let mut group = |sample: &Sample| {
            let next = numbers.len();
            let name = dataset.stimuli[sample.stimulus].group.as_str();
            *numbers.entry(name).or_insert(next)
        };
        let groups: Vec<usize> = self.samples.iter().map(&mut group).collect();
        let subjects: Vec<usize> = self.samples.iter().map(|s| s.subject).collect();
        let stimuli: Vec<usize> = self.samples.iter().map(|s| s.stimulus).collect();
        Ok(Samples::new(&subjects, &stimuli, &groups)?)
    }
}
