use std::path::Path;
use std::sync::Arc;

use mused_data::{
    Dataset, Fold, Guidance, InputReader, InputTransform, Layout, Level, Sample, Severity, samples,
};
use mused_formats::npy;
use mused_formats::table::TableWriter;
use ndarray::{Array2, Axis, concatenate};

use crate::batches::SampleSet;
use crate::fold::{FoldData, Guides, ModelDescription, PREDICTIONS, fold_folder};
use crate::{Config, Error, Result, memory};

/// Who and what is trained and tested in each fold.
pub(crate) struct Plan {
    pub(crate) trained: Vec<usize>,
    tested: Vec<usize>,
    holdout: Option<usize>,
    pub(crate) folds: Vec<Fold>,
    pub(crate) guides: Guides,
}

impl Plan {
    pub(crate) fn new(dataset: &Dataset, config: &Config) -> Result<Self> {
        let problems = dataset.problems();
        if let Some(problem) = problems.iter().find(|p| p.severity == Severity::Error) {
            return Err(Error::Request(format!(
                "{}: {}",
                dataset.root.display(),
                problem.message
            )));
        }
        let holdout = config
            .holdout_subject()
            .map(|id| dataset.subject(id))
            .transpose()?;
        let everyone: Vec<usize> = (0..dataset.subjects.len()).collect();
        let trained: Vec<usize> = everyone
            .iter()
            .copied()
            .filter(|&subject| Some(subject) != holdout)
            .collect();
        if trained.is_empty() {
            return Err(Error::Request(
                "the only subject is held out; none is left to train on".to_owned(),
            ));
        }
        let tested = holdout.map_or(everyone.clone(), |subject| vec![subject]);
        let folds = config.split_plan().folds(dataset)?;
        let largest = folds.iter().map(|fold| fold.train.len()).max().unwrap_or(0);
        config.check_for(&dataset.description)?;
        let arrangement = config.arrangement(dataset.description.kind);
        let layout = Layout::new(dataset, arrangement, &everyone, largest)?;
        let labels = dataset.labels.names.len();
        memory::check(
            &config.decoder(&layout, trained.len(), labels),
            &config.train,
        )?;
        let guides = Guides {
            high: Guidance::load(dataset, Level::High, &config.guidance.high)?,
            low: Guidance::load(dataset, Level::Low, &config.guidance.low)?,
        };
        let plan = Self {
            trained,
            tested,
            holdout,
            folds,
            guides,
        };
        for (index, fold) in plan.folds.iter().enumerate() {
            let subjects = [
                (&plan.trained, &fold.train, "train"),
                (&plan.tested, &fold.test, "test"),
            ];
            for (subjects, stimuli, part) in subjects {
                if samples(dataset, subjects, stimuli).is_empty() {
                    return Err(Error::Request(format!(
                        "fold {index}: no trial shows a {part} stimulus to a {part} subject"
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

    pub(crate) fn train_samples(&self, dataset: &Dataset, fold: usize) -> Vec<Sample> {
        samples(dataset, &self.trained, &self.folds[fold].train)
    }

    pub(crate) fn test_samples(&self, dataset: &Dataset, fold: usize) -> Vec<Sample> {
        samples(dataset, &self.tested, &self.folds[fold].test)
    }

    /// Everything fold `fold` reads, with nothing fitted outside its training part.
    pub(crate) fn load<'d>(
        &self,
        dataset: &'d Dataset,
        config: &Config,
        fold: usize,
    ) -> Result<FoldData<'d>> {
        let train = self.train_samples(dataset, fold);
        let unlabelled: Vec<usize> = self.holdout.into_iter().collect();
        let arrangement = config.arrangement(dataset.description.kind);
        let zscore = config.model.zscore;
        let transform = InputTransform::fit(dataset, arrangement, zscore, &train, &unlabelled)?;
        let subjects = self.trained_ids(dataset);
        let labels = &dataset.labels.names;
        let model = config.decoder(&transform.layout, subjects.len(), labels.len());
        let transform = Arc::new(transform);
        let known: Vec<usize> = self.trained.iter().copied().chain(unlabelled).collect();
        let reader = Arc::new(InputReader::new(dataset, transform.clone(), &known)?);
        let set = |samples| SampleSet::new(reader.clone(), samples, &subjects, model.subjects());
        let validation = samples(dataset, &self.trained, &self.folds[fold].validation);
        Ok(FoldData {
            train: set(train)?,
            validation: set(validation)?,
            test: set(self.test_samples(dataset, fold))?,
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
        for fold in 0..self.folds.len() {
            let rows = self.test_samples(dataset, fold);
            let path = fold_folder(run, fold).join(PREDICTIONS);
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
                    &fold.to_string(),
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
