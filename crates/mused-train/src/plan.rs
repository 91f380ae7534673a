use std::collections::BTreeSet;
use std::sync::Arc;

use mused_data::{
    Aligned, Alignment, Dataset, FitBytes, Fold, Guidance, InputReader, InputTransform, Layout,
    Level, Response, Sample, Severity, samples,
};
use mused_run::{
    Config, EACH, Family, GuidanceUse, HeldOut, Inputs, Onto, PredictionRow, Resolved, Run, Task,
    Trials,
};
use ndarray::{Array2, Axis};

use crate::calibration::drawn;
use crate::fold_data::{FoldData, Guides};
use crate::learner::Learner;
use crate::model_file::ModelDescription;
use crate::sample_set::{SampleSet, kept_bytes};
use crate::{Error, Result};

/// What the inputs of a left-out subject rest on, where voxels are mapped onto something.
const OWN_TRIALS: &str =
    "maps fitted on its own trials of training stimuli, with their labels (split.calibration)";

/// Who and what is trained and tested in each fold.
pub(crate) struct Plan {
    pub(crate) tasks: Vec<Task>,
    /// Everybody some model is trained on.
    pub(crate) trained: Vec<usize>,
    pub(crate) folds: Vec<Fold>,
    pub(crate) guides: Guides,
    /// What the configuration came to.
    pub(crate) resolved: Resolved,
    /// About the memory of a training step, or of a closed form.
    pub(crate) step_bytes: FitBytes,
    /// About the memory of fitting aligned inputs, before the first step.
    pub(crate) maps_bytes: FitBytes,
}

impl Plan {
    pub(crate) fn new(dataset: &Dataset, config: &Config, learner: &dyn Learner) -> Result<Self> {
        let problems = dataset.problems();
        if let Some(problem) = problems.iter().find(|p| p.severity == Severity::Error) {
            let message = format!("{}: {}", dataset.place(), problem.message);
            return Err(mused_data::Error::Request(message).into());
        }
        let chosen = chosen(dataset, config)?;
        let held_out: Vec<usize> = match &config.split.holdout_subject {
            id if id.is_empty() => Vec::new(),
            id if id == EACH => chosen.clone(),
            id => vec![dataset.subject(id)?],
        };
        let trained: Vec<usize> = match held_out.as_slice() {
            [one] => without(&chosen, *one),
            _ => chosen.clone(),
        };
        if trained.is_empty() {
            return Err(Error::Request(
                "the only subject is held out; none is left to train on".to_owned(),
            ));
        }
        let most = trained.len() - usize::from(held_out.len() > 1);
        let folds = config.split_plan().folds(dataset)?;
        let largest = folds.iter().map(|fold| fold.train.len()).max().unwrap_or(0);
        config.check_for(&dataset.description)?;
        let arrangement = config.arrangement(dataset.description.kind);
        let everyone: BTreeSet<usize> = chosen.into_iter().chain(held_out.clone()).collect();
        let everyone: Vec<usize> = everyone.into_iter().collect();
        let mut layout = Layout::new(dataset, arrangement, &everyone, largest)?;
        let inputs = &config.model.inputs;
        if let Some(onto) = inputs.inputs.onto() {
            let components = usize::from(onto.guidance) + usize::from(onto.consensus);
            let likenesses = usize::from(onto.stimuli) * largest;
            let scores = 1 + usize::from(onto.labels);
            let labels = dataset.labels.names.len();
            layout.lengthen(components * inputs.components + likenesses + scores * labels);
        }
        let labels = dataset.labels.names.len();
        let architecture = learner.architecture(&layout, most, labels)?;
        let guides = guides(dataset, config)?;
        let resolved = resolved(dataset, config, &layout, &held_out, &folds)?;
        let mut plan = Self {
            tasks: tasks(dataset, config, &trained, &held_out, folds.len()),
            trained,
            folds,
            guides,
            resolved,
            step_bytes: FitBytes::default(),
            maps_bytes: FitBytes::default(),
        };
        let (mut most_samples, mut beside, mut maps) = (0, 0, 0);
        for task in &plan.tasks {
            let train = plan.train_samples(dataset, config, task)?;
            let test = plan.test_samples(dataset, task);
            most_samples = most_samples.max(train.len());
            maps = maps.max(plan.kept_maps(dataset, config, &layout, task));
            let sizes = [train.len(), test.len()];
            beside = beside.max(plan.kept_beside(dataset, config, &layout, task, sizes)?);
            if let Some(onto) = inputs.inputs.onto() {
                let bytes = plan
                    .alignment(config, onto, task.fold)
                    .bytes(dataset, &train);
                plan.maps_bytes = plan.maps_bytes.max(bytes);
            }
            for (samples, part) in [(train, "train"), (test, "test")] {
                if samples.is_empty() {
                    let name = task.name();
                    return Err(Error::Request(format!(
                        "{name}: no trial shows a {part} stimulus to a {part} subject"
                    )));
                }
            }
        }
        if inputs.inputs.onto().is_some() {
            // Aligned inputs of all training samples have their place before the first map is fitted.
            let kept = most_samples.saturating_mul(layout.width());
            plan.maps_bytes.held += 4 * kept as u64 + maps;
        }
        // A model a subject holds that subject's samples alone, and nobody saw all stimuli where each saw others.
        plan.step_bytes = learner.memory(&architecture, &layout, most_samples, beside + maps)?;
        Ok(plan)
    }

    /// Bytes of what makes the inputs of everybody of a task, in memory until it is done.
    fn kept_maps(&self, dataset: &Dataset, config: &Config, layout: &Layout, task: &Task) -> u64 {
        // Of a voxel: its shift and scale; and a weight for each value of its region, with a shift of its own.
        let inputs = &config.model.inputs;
        let projected = inputs.inputs.onto().is_some() || inputs.roi_components > 0;
        let of_voxel = match projected {
            true => 3 + layout.width() / layout.slots().len().max(1),
            false => 2,
        };
        let trained = self.trained_by(task, dataset).into_iter();
        let everybody = trained.chain(held_out(task, dataset));
        let voxels: usize = everybody
            .map(|subject| dataset.subjects[subject].voxels.len())
            .sum();
        4 * voxels.saturating_mul(of_voxel) as u64
    }

    /// Bytes of what a task keeps beside the inputs of its `train` training samples: those that it is tested on, `test` and
    /// the validation part, those of which the labels are unknown, and the labels of all.
    fn kept_beside(
        &self,
        dataset: &Dataset,
        config: &Config,
        layout: &Layout,
        task: &Task,
        [train, test]: [usize; 2],
    ) -> Result<u64> {
        let trained = self.trained_by(task, dataset);
        let validation = samples(dataset, &trained, &self.folds[task.fold].validation).len();
        let unlabelled = self.unlabelled_samples(dataset, config, task)?;
        let beside = [validation, test, unlabelled.map_or(0, |own| own.len())];
        let all = train + beside.iter().sum::<usize>();
        let labels = all.saturating_mul(dataset.labels.names.len());
        let inputs = beside.map(|own| kept_bytes(own, layout.width()));
        Ok(4 * labels as u64 + inputs.iter().sum::<u64>())
    }

    /// Samples of a subject left out whose responses are known to a task and whose labels are not.
    fn unlabelled_samples(
        &self,
        dataset: &Dataset,
        config: &Config,
        task: &Task,
    ) -> Result<Option<Vec<Sample>>> {
        match (&config.model.family, held_out(task, dataset)) {
            (Family::AlignedRidge(_), Some(subject)) => {
                let mut config = config.clone();
                if config.split.calibration == Trials::None {
                    config.split.calibration = Trials::All;
                }
                let drawn = self.calibration(dataset, &config, task.fold, subject)?;
                Ok(Some(drawn))
            }
            _ => Ok(None),
        }
    }

    /// About the memory of a model with so many threads.
    pub(crate) fn bytes(&self, threads: usize) -> u64 {
        let step = self.step_bytes.with(threads);
        match self.maps_bytes == FitBytes::default() {
            true => step,
            false => step.max(self.maps_bytes.with(threads)),
        }
    }

    /// A plan of models that were trained before.
    pub(crate) fn of(
        dataset: &Dataset,
        config: &Config,
        tasks: Vec<Task>,
        folds: Vec<Fold>,
        resolved: Resolved,
    ) -> Result<Self> {
        Ok(Self {
            tasks,
            trained: Vec::new(),
            folds,
            guides: guides(dataset, config)?,
            resolved,
            step_bytes: FitBytes::default(),
            maps_bytes: FitBytes::default(),
        })
    }

    /// Names of the subjects that have tokens of their own, in the order of the tokens.
    pub(crate) fn trained_ids(&self, dataset: &Dataset) -> Vec<String> {
        ids(dataset, &self.trained)
    }

    /// Whom the model of a task is trained on.
    fn trained_by(&self, task: &Task, dataset: &Dataset) -> Vec<usize> {
        let subjects = of(&task.subject, dataset, &self.trained);
        match held_out(task, dataset) {
            Some(subject) => without(&subjects, subject),
            None => subjects,
        }
    }

    pub(crate) fn train_samples(
        &self,
        dataset: &Dataset,
        config: &Config,
        task: &Task,
    ) -> Result<Vec<Sample>> {
        let subjects = self.trained_by(task, dataset);
        let all = samples(dataset, &subjects, &self.folds[task.fold].train);
        drawn(dataset, all, config.split.trials, config, task.fold)
    }

    /// Samples of a left-out subject that its own maps are fitted on.
    pub(crate) fn calibration(
        &self,
        dataset: &Dataset,
        config: &Config,
        fold: usize,
        subject: usize,
    ) -> Result<Vec<Sample>> {
        let all = samples(dataset, &[subject], &self.folds[fold].train);
        drawn(dataset, all, config.split.calibration, config, fold)
    }

    /// Maps of the regions of subjects, all but fitted.
    pub(crate) fn alignment(&self, config: &Config, onto: Onto, fold: usize) -> Alignment<'_> {
        let inputs = &config.model.inputs;
        Alignment {
            consensus: onto.consensus,
            guidance: self.guides.high.as_ref().filter(|_| onto.guidance),
            guided: &self.folds[fold].train,
            stimuli: onto.stimuli,
            components: inputs.components,
            labels: onto.labels,
            zscore: inputs.zscore,
            seed: config.split.seed,
        }
    }

    pub(crate) fn test_samples(&self, dataset: &Dataset, task: &Task) -> Vec<Sample> {
        let subjects = match held_out(task, dataset) {
            Some(subject) => vec![subject],
            None => of(&task.subject, dataset, &self.trained),
        };
        samples(dataset, &subjects, &self.folds[task.fold].test)
    }

    /// What turns responses into inputs, fitted on the training samples of a task; and their inputs, where those are
    /// made by other maps than the inputs of other samples. Maps of a subject are what `maps` returns, see
    /// [`Alignment::fit`].
    pub(crate) fn transform(
        &self,
        dataset: &Dataset,
        config: &Config,
        task: &Task,
        maps: impl FnMut(usize, &dyn Fn() -> mused_data::Result<Aligned>) -> Result<Aligned>,
    ) -> Result<(InputTransform, Option<Array2<f32>>)> {
        let arrangement = config.arrangement(dataset.description.kind);
        let train = self.train_samples(dataset, config, task)?;
        let inputs = &config.model.inputs;
        if let Some(onto) = inputs.inputs.onto() {
            let alignment = self.alignment(config, onto, task.fold);
            let mut aligned = alignment.fit(dataset, &train, maps)?;
            if let Some(person) = held_out(task, dataset) {
                let own = self.calibration(dataset, config, task.fold, person)?;
                let own = alignment.fit(dataset, &own, |_, fit| fit())?;
                aligned.transform.subjects.extend(own.transform.subjects);
            }
            return Ok((aligned.transform, Some(aligned.training)));
        }
        let unlabelled: Vec<usize> = held_out(task, dataset).into_iter().collect();
        let fitted = InputTransform::fit(dataset, arrangement, inputs.zscore, &train, &unlabelled)?;
        Ok((fitted, None))
    }

    /// Everything a task reads, given what [`Self::transform`] made: nothing is fitted outside its training part.
    pub(crate) fn load<'d>(
        &self,
        dataset: &'d Dataset,
        config: &Config,
        learner: &dyn Learner,
        task: &Task,
        (transform, training): (InputTransform, Option<Array2<f32>>),
    ) -> Result<FoldData<'d>> {
        let (trained, holdout) = (self.trained_by(task, dataset), held_out(task, dataset));
        let subjects = ids(dataset, &trained);
        let labels = &dataset.labels.names;
        let model = learner.architecture(&transform.layout, subjects.len(), labels.len())?;
        let train = self.train_samples(dataset, config, task)?;
        let transform = Arc::new(transform);
        let known: Vec<usize> = trained.iter().copied().chain(holdout).collect();
        let reader = Arc::new(InputReader::new(dataset, transform.clone(), &known)?);
        let tokens = model.subjects();
        let set = |samples| SampleSet::new(reader.clone(), samples, &subjects, tokens);
        let validation = samples(dataset, &trained, &self.folds[task.fold].validation);
        let unlabelled = self.unlabelled_samples(dataset, config, task)?;
        let unlabelled = unlabelled.map(&set).transpose()?;
        Ok(FoldData {
            unlabelled,
            train: match training {
                // What maps of their own made is not read again by the maps of all.
                made @ Some(_) => {
                    SampleSet::with_inputs(reader.clone(), train, &subjects, tokens, made)
                }
                None => set(train)?,
            },
            validation: set(validation)?,
            test: set(self.test_samples(dataset, task))?,
            description: ModelDescription {
                model: model.clone(),
                subjects: subjects.clone(),
                labels: labels.clone(),
                members: match config.model.family.by_steps() {
                    true => config.train.ensemble,
                    false => 1,
                },
            },
            transform,
        })
    }

    /// Puts the tasks' test predictions together; the run is complete then.
    pub(crate) fn gather(&self, dataset: &Dataset, run: &Run) -> Result<()> {
        let (mut rows, mut stimuli) = (Vec::new(), Vec::new());
        for task in &self.tasks {
            for sample in self.test_samples(dataset, task) {
                rows.push(PredictionRow {
                    fold: task.fold,
                    subject: dataset.subjects[sample.subject].id.clone(),
                    stimulus: dataset.stimuli[sample.stimulus].id.clone(),
                });
                stimuli.push(sample.stimulus);
            }
        }
        let targets = dataset.labels.matrix.select(Axis(0), &stimuli);
        Ok(run.gather(&rows, targets.view())?)
    }
}

/// The models of a run: of every fold one for all subjects, one for each, or one without each that is held out.
fn tasks(
    dataset: &Dataset,
    config: &Config,
    trained: &[usize],
    held_out: &[usize],
    folds: usize,
) -> Vec<Task> {
    let each = |subjects: &[usize]| ids(dataset, subjects).into_iter().map(Some);
    let models: Vec<(Option<String>, Option<String>)> = match config.model.family.separate() {
        true => each(trained).map(|subject| (subject, None)).collect(),
        _ if held_out.is_empty() => vec![(None, None)],
        _ => each(held_out).map(|subject| (None, subject)).collect(),
    };
    let folds = (0..folds).flat_map(|fold| models.iter().map(move |model| (fold, model.clone())));
    let task = |(index, (fold, (subject, holdout)))| Task {
        index,
        fold,
        subject,
        holdout,
    };
    folds.enumerate().map(task).collect()
}

fn guides(dataset: &Dataset, config: &Config) -> Result<Guides> {
    Ok(Guides {
        high: Guidance::load(dataset, Level::High, &config.guidance.high)?,
        low: Guidance::load(dataset, Level::Low, &config.guidance.low)?,
    })
}

/// What a configuration comes to on a dataset.
fn resolved(
    dataset: &Dataset,
    config: &Config,
    layout: &Layout,
    held_out: &[usize],
    folds: &[Fold],
) -> Result<Resolved> {
    let (guidance, loss) = (&config.guidance, &config.loss);
    let [high, low] = config.model.family.tokens();
    let zscored =
        config.model.inputs.zscore && dataset.description.response != Response::SimilarityProfiles;
    let fitted = zscored || config.model.inputs.roi_components > 0;
    let statistics = match fitted {
        _ if config.model.inputs.inputs.onto().is_some() => OWN_TRIALS,
        true => "their own responses to training stimuli, without labels",
        false => "nothing: responses were read as they are",
    };
    Ok(Resolved {
        guidance_high: guidance_use(dataset, Level::High, high, &guidance.high, loss.high)?,
        guidance_low: guidance_use(dataset, Level::Low, low, &guidance.low, loss.low)?,
        inputs: Inputs {
            arrangement: match (layout, config.model.inputs.roi_components) {
                _ if config.model.inputs.inputs.onto().is_some() => "aligned",
                (Layout::Regions { .. }, 0) => "regions",
                (Layout::Regions { .. }, _) => "components",
                (Layout::Patches { .. }, _) => "patches",
                (Layout::Grid { .. }, _) => "grid",
            }
            .to_owned(),
            aligned: None,
            zscored,
            slots: layout.slots().len().max(1),
            width: layout.width(),
        },
        weights_chosen_by_validation: config.model.family.by_steps()
            && folds.iter().any(|fold| !fold.validation.is_empty()),
        held_out: (!held_out.is_empty()).then(|| HeldOut {
            subjects: ids(dataset, held_out),
            statistics: statistics.to_owned(),
        }),
        shuffled_brain: config.model.inputs.shuffled_brain,
        relabelling: None,
    })
}

/// Whether a token is guided, and by what.
fn guidance_use(
    dataset: &Dataset,
    level: Level,
    token: bool,
    choice: &str,
    weight: f64,
) -> Result<GuidanceUse> {
    let features = Guidance::choose(dataset, level, choice)?;
    let unused = match (token, choice, features) {
        (false, ..) => "the model has no such token",
        (_, "none", _) => "the configuration says none",
        (_, _, None) => GuidanceUse::NO_SET,
        _ if weight == 0.0 => "its weight is 0",
        (_, _, Some(features)) => {
            return Ok(GuidanceUse::Used {
                features: features.name.clone(),
                weight,
            });
        }
    };
    Ok(GuidanceUse::Unused {
        unused: unused.to_owned(),
    })
}

fn ids(dataset: &Dataset, subjects: &[usize]) -> Vec<String> {
    let id = |&subject: &usize| dataset.subjects[subject].id.clone();
    subjects.iter().map(id).collect()
}

/// The subjects that `split.subjects` names, or all, in the order of the dataset.
fn chosen(dataset: &Dataset, config: &Config) -> Result<Vec<usize>> {
    let named = config.split.subjects.iter();
    let named = named.map(|id| Ok(dataset.subject(id)?));
    let named: BTreeSet<usize> = named.collect::<Result<_>>()?;
    Ok(match named.is_empty() {
        true => (0..dataset.subjects.len()).collect(),
        false => named.into_iter().collect(),
    })
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
