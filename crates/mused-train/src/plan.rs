use std::path::{Path, PathBuf};
use std::sync::Arc;

use mused_data::{
    Dataset, Fold, Guidance, InputReader, InputTransform, Layout, Level, Sample, Severity, samples,
};
use mused_formats::npy;
use mused_formats::table::TableWriter;
use ndarray::{Array2, Axis, concatenate};
use serde::{Deserialize, Serialize};

use crate::batches::SampleSet;
use crate::fold::{FoldData, Guides, PREDICTIONS};
use crate::model_file::{Architecture, ModelDescription};
use crate::{Alignment, Config, Error, Result, Sharing, memory};

/// Value of `split.holdout_subject` for a model without each subject.
pub(crate) const EACH: &str = "each";

/// One model to train: that of a fold, or of a fold and a subject that it is of or that it is without.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Task {
    /// Position among the run's tasks; random numbers depend on it.
    pub(crate) index: usize,
    pub(crate) fold: usize,
    /// The one subject it is of, where every subject has a model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<String>,
    /// The subject that is tested and not trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) holdout: Option<String>,
}

impl Task {
    /// Name of its folders.
    pub(crate) fn name(&self) -> String {
        let fold = self.fold;
        match (&self.subject, &self.holdout) {
            (Some(subject), _) => format!("fold-{fold}-{subject}"),
            (None, Some(holdout)) => format!("fold-{fold}-without-{holdout}"),
            (None, None) => format!("fold-{fold}"),
        }
    }

    /// Its folder in a run: weights, input statistics, predictions.
    pub(crate) fn folder(&self, run: &Path) -> PathBuf {
        run.join("checkpoints").join(self.name())
    }
}

/// Who and what is trained and tested in each fold.
pub(crate) struct Plan {
    pub(crate) tasks: Vec<Task>,
    /// Everybody some model is trained on.
    pub(crate) trained: Vec<usize>,
    pub(crate) folds: Vec<Fold>,
    pub(crate) guides: Guides,
    /// About the memory of a training step.
    pub(crate) step_bytes: u64,
}

impl Plan {
    pub(crate) fn new(dataset: &Dataset, config: &Config) -> Result<Self> {
        let problems = dataset.problems();
        if let Some(problem) = problems.iter().find(|p| p.severity == Severity::Error) {
            return Err(Error::Request(format!(
                "{}: {}",
                dataset.place(),
                problem.message
            )));
        }
        let everyone: Vec<usize> = (0..dataset.subjects.len()).collect();
        let held_out: Vec<usize> = match &config.split.holdout_subject {
            id if id.is_empty() => Vec::new(),
            id if id == EACH => everyone.clone(),
            id => vec![dataset.subject(id)?],
        };
        if !held_out.is_empty() && everyone.len() == 1 {
            return Err(Error::Request(
                "the only subject is held out; none is left to train on".to_owned(),
            ));
        }
        let trained: Vec<usize> = match held_out.as_slice() {
            [one] => without(&everyone, *one),
            _ => everyone.clone(),
        };
        let most = trained.len() - usize::from(held_out.len() > 1);
        let folds = config.split_plan().folds(dataset)?;
        let largest = folds.iter().map(|fold| fold.train.len()).max().unwrap_or(0);
        config.check_for(&dataset.description)?;
        let arrangement = config.arrangement(dataset.description.kind);
        let layout = Layout::new(dataset, arrangement, &everyone, largest)?;
        let labels = dataset.labels.names.len();
        let step_bytes = match config.architecture(&layout, most, labels) {
            Architecture::Network(network) => memory::check(&network, &config.train)?,
            Architecture::Linear(linear) => memory::check_linear(&linear, largest * most)?,
        };
        let guides = Guides {
            high: Guidance::load(dataset, Level::High, &config.guidance.high)?,
            low: Guidance::load(dataset, Level::Low, &config.guidance.low)?,
        };
        let id = |&subject: &usize| Some(dataset.subjects[subject].id.clone());
        let models: Vec<(Option<String>, Option<String>)> = match config.model.subjects {
            Sharing::Separate => trained.iter().map(|subject| (id(subject), None)).collect(),
            _ if held_out.is_empty() => vec![(None, None)],
            _ => held_out.iter().map(|subject| (None, id(subject))).collect(),
        };
        let tasks = (0..folds.len())
            .flat_map(|fold| models.iter().map(move |model| (fold, model.clone())))
            .enumerate()
            .map(|(index, (fold, (subject, holdout)))| Task {
                index,
                fold,
                subject,
                holdout,
            });
        let plan = Self {
            tasks: tasks.collect(),
            trained,
            folds,
            guides,
            step_bytes,
        };
        for task in &plan.tasks {
            let parts = [
                (plan.train_samples(dataset, task), "train"),
                (plan.test_samples(dataset, task), "test"),
            ];
            for (samples, part) in parts {
                if samples.is_empty() {
                    let name = task.name();
                    return Err(Error::Request(format!(
                        "{name}: no trial shows a {part} stimulus to a {part} subject"
                    )));
                }
            }
        }
        Ok(plan)
    }

    /// Names of the subjects that have tokens of their own, in the order of the tokens.
    pub(crate) fn trained_ids(&self, dataset: &Dataset) -> Vec<String> {
        let id = |&subject: &usize| dataset.subjects[subject].id.clone();
        self.trained.iter().map(id).collect()
    }

    /// Whom the model of a task is trained on.
    fn trained_by(&self, task: &Task, dataset: &Dataset) -> Vec<usize> {
        let subjects = of(&task.subject, dataset, &self.trained);
        match held_out(task, dataset) {
            Some(subject) => without(&subjects, subject),
            None => subjects,
        }
    }

    pub(crate) fn train_samples(&self, dataset: &Dataset, task: &Task) -> Vec<Sample> {
        let subjects = self.trained_by(task, dataset);
        samples(dataset, &subjects, &self.folds[task.fold].train)
    }

    fn test_samples(&self, dataset: &Dataset, task: &Task) -> Vec<Sample> {
        let subjects = match held_out(task, dataset) {
            Some(subject) => vec![subject],
            None => {
                let everyone: Vec<usize> = (0..dataset.subjects.len()).collect();
                of(&task.subject, dataset, &everyone)
            }
        };
        samples(dataset, &subjects, &self.folds[task.fold].test)
    }

    /// What turns responses into inputs, fitted on the training samples of a task.
    pub(crate) fn transform(
        &self,
        dataset: &Dataset,
        config: &Config,
        task: &Task,
    ) -> Result<InputTransform> {
        let arrangement = config.arrangement(dataset.description.kind);
        let train = self.train_samples(dataset, task);
        let unlabelled: Vec<usize> = held_out(task, dataset).into_iter().collect();
        let zscore = config.model.zscore;
        Ok(InputTransform::fit(
            dataset,
            arrangement,
            zscore,
            &train,
            &unlabelled,
        )?)
    }

    /// Everything a task reads, with nothing fitted outside its training part.
    pub(crate) fn load<'d>(
        &self,
        dataset: &'d Dataset,
        config: &Config,
        task: &Task,
    ) -> Result<FoldData<'d>> {
        let transform = self.transform(dataset, config, task)?;
        let (trained, holdout) = (self.trained_by(task, dataset), held_out(task, dataset));
        let id = |&subject: &usize| dataset.subjects[subject].id.clone();
        let subjects: Vec<String> = trained.iter().map(id).collect();
        let labels = &dataset.labels.names;
        let model = config.architecture(&transform.layout, subjects.len(), labels.len());
        let transform = Arc::new(transform);
        let known: Vec<usize> = trained.iter().copied().chain(holdout).collect();
        let reader = Arc::new(InputReader::new(dataset, transform.clone(), &known)?);
        let set = |samples| SampleSet::new(reader.clone(), samples, &subjects, model.subjects());
        let validation = samples(dataset, &trained, &self.folds[task.fold].validation);
        let unlabelled = match (config.model.alignment, holdout) {
            (Alignment::None, _) | (_, None) => None,
            (_, Some(subject)) => {
                let own = samples(dataset, &[subject], &self.folds[task.fold].train);
                Some(set(own)?)
            }
        };
        Ok(FoldData {
            unlabelled,
            train: set(self.train_samples(dataset, task))?,
            validation: set(validation)?,
            test: set(self.test_samples(dataset, task))?,
            description: ModelDescription {
                model: model.clone(),
                subjects: subjects.clone(),
                labels: labels.clone(),
            },
            transform,
        })
    }

    pub(crate) fn write(&self, dataset: &Dataset, run: &Path) -> Result<()> {
        let mut table = TableWriter::create(
            run.join("split.tsv"),
            &["fold", "part", "stimulus_id", "group"],
        )?;
        for (index, fold) in self.folds.iter().enumerate() {
            let parts = [
                ("train", &fold.train),
                ("validation", &fold.validation),
                ("test", &fold.test),
            ];
            for (part, stimuli) in parts {
                for &stimulus in stimuli {
                    let stimulus = &dataset.stimuli[stimulus];
                    table.write_row([&index.to_string(), part, &stimulus.id, &stimulus.group])?;
                }
            }
        }
        table.finish()?;
        let mut table = TableWriter::create(run.join("labels.tsv"), &["label"])?;
        for name in &dataset.labels.names {
            table.write_row([name])?;
        }
        Ok(table.finish()?)
    }

    /// Puts the folds' test predictions together: `predictions.npy`, `targets.npy`, `trials.tsv`.
    pub(crate) fn gather(&self, dataset: &Dataset, run: &Path) -> Result<()> {
        let trials = run.join("trials.tsv");
        let mut table = TableWriter::create(&trials, &["fold", "subject", "stimulus_id"])?;
        let (mut predictions, mut targets) = (Vec::new(), Vec::new());
        for task in &self.tasks {
            let rows = self.test_samples(dataset, task);
            let path = task.folder(run).join(PREDICTIONS);
            let values = npy::read_npy_f32(&path)?;
            let shape = (rows.len(), dataset.labels.names.len());
            let values: Array2<f32> = values.into_shape_with_order(shape).map_err(|error| {
                Error::invalid(
                    &path,
                    format!("expected {} × {} values: {error}", shape.0, shape.1),
                )
            })?;
            let stimuli: Vec<usize> = rows.iter().map(|sample| sample.stimulus).collect();
            for sample in &rows {
                table.write_row([
                    &task.fold.to_string(),
                    &dataset.subjects[sample.subject].id,
                    &dataset.stimuli[sample.stimulus].id,
                ])?;
            }
            predictions.push(values);
            targets.push(dataset.labels.matrix.select(Axis(0), &stimuli));
        }
        table.finish()?;
        let mismatch = |error: ndarray::ShapeError| Error::Request(error.to_string());
        let views: Vec<_> = targets.iter().map(|array| array.view()).collect();
        let all = concatenate(Axis(0), &views).map_err(mismatch)?;
        npy::write_npy_u8(run.join("targets.npy"), all.view())?;
        let views: Vec<_> = predictions.iter().map(|array| array.view()).collect();
        let all = concatenate(Axis(0), &views).map_err(mismatch)?;
        // Last: a run with predictions is complete.
        Ok(npy::write_npy_f32(run.join("predictions.npy"), all.view())?)
    }
}

/// The subject that a task's model is tested on and not trained on.
fn held_out(task: &Task, dataset: &Dataset) -> Option<usize> {
    task.holdout
        .as_ref()
        .and_then(|id| dataset.subject(id).ok())
}

fn without(subjects: &[usize], one: usize) -> Vec<usize> {
    let others = subjects.iter().copied().filter(|&subject| subject != one);
    others.collect()
}

/// `subjects`, or the one of them that a model is of.
fn of(own: &Option<String>, dataset: &Dataset, subjects: &[usize]) -> Vec<usize> {
    let chosen = |subject: &usize| match own {
        None => true,
        Some(own) => dataset.subjects[*subject].id == *own,
    };
    subjects.iter().copied().filter(chosen).collect()
}
