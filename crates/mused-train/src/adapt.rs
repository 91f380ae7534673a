//! A model for a person it was not trained on: maps of the person's regions in closed form, the network as it is.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use mused_data::{Aligned, Dataset, Identity, InputReader, InputTransform, Sample, samples};
use mused_kernels::TrainBackend;
use mused_run::{Adapted, Config, HeldOut, Layers, Reading, Resolved, Run, Task, Trials};

use crate::families::restore;
use crate::fold_data::FoldData;
use crate::journal::Journal;
use crate::learner::{Model, save};
use crate::plan::Plan;
use crate::sample_set::SampleSet;
use crate::training::{record, searched};
use crate::{Error, Result, memory};

/// Why an adapted run has no ridge regression beside it.
const NO_RIDGE: &str = "the run was adapted to some trials of one person; `mused curve --new-subjects` holds such runs \
                        against ridge regression on the same trials";

/// Whom to adapt what run to.
#[derive(Debug)]
pub struct AdaptRequest<'a> {
    /// A complete run of aligned inputs.
    pub source: &'a Run,
    /// Data of the new person. Its stimuli are those of the source run: trials of training stimuli are learned from,
    /// trials of test stimuli are tested.
    pub dataset: &'a Dataset,
    /// Name of the person.
    pub subject: &'a str,
    /// How many training stimuli are learned from.
    pub trials: Trials,
    /// Which draw of them.
    pub draw: u64,
    /// Run directory to create.
    pub run: &'a Path,
}

impl AdaptRequest<'_> {
    /// The configuration of the run.
    ///
    /// # Errors
    /// A source whose model reads no aligned inputs, or such as are aligned by the responses of others.
    pub fn config(&self) -> Result<Config> {
        Ok(self.settled()?.0)
    }

    /// The configuration, and what that of the source came to.
    fn settled(&self) -> Result<(Config, &Resolved)> {
        let source = self.source;
        let mut config = source.resolved_config()?;
        let resolved = source.record().resolved.as_ref();
        let both =
            resolved.and_then(|resolved| Some((resolved, resolved.inputs.aligned.as_ref()?)));
        let Some((resolved, aligned)) = both else {
            return Err(Error::Request(format!(
                "{} cannot be adapted: its model does not read aligned inputs. Train one that does (`mused train` without --model, \
                 on voxels of each subject's own); in a common space `mused predict` reads new people as they are",
                source.path().display()
            )));
        };
        if aligned.onto.consensus || aligned.onto.stimuli {
            return Err(Error::Request(format!(
                "{} cannot be adapted: its inputs (\"{}\") are aligned by the responses of others; train with model.inputs = \
                 \"guidance+labels\" or \"labels\"",
                source.path().display(),
                aligned.onto
            )));
        }
        self.subject.clone_into(&mut config.split.holdout_subject);
        (config.split.calibration, config.split.draw) = (self.trials, self.draw);
        config.model.inputs.inputs = Reading::Aligned(aligned.onto);
        Ok((config, resolved))
    }
}

/// Fits the maps of a new person's regions and writes a run whose networks are those of the source. Goes on where it was
/// killed.
///
/// # Errors
/// A source that is not complete, or whose model reads no aligned inputs; a person the source was trained on; other labels,
/// features, stimuli or regions; trials that are too few or show no training or no test stimulus. Models whose test stimuli the person did not see are left
/// out.
pub fn adapt<B: TrainBackend>(request: &AdaptRequest<'_>) -> Result<Run> {
    let AdaptRequest {
        source,
        dataset,
        subject,
        run: path,
        ..
    } = *request;
    source.refuse_incomplete()?;
    let (config, resolved) = request.settled()?;
    let mut plan = plan::<B>(source, dataset, &config, resolved)?;
    let person = dataset.subject(subject)?;
    let counted = |task: &Task| Ok(plan.calibration(dataset, &config, task.fold, person)?.len());
    let adapted = Adapted {
        run: source.name(),
        subjects: source.record().subjects.clone(),
        calibration: plan.tasks.iter().map(counted).collect::<Result<_>>()?,
    };
    plan.resolved.held_out = Some(HeldOut {
        subjects: vec![subject.to_owned()],
        statistics: format!(
            "maps fitted on its own trials of {} training stimuli a fold, with their labels",
            adapted.trials()
        ),
    });
    let begun = Run::exists(path);
    if !begun {
        Run::refuse_occupied(path)?;
    }
    // Nothing is created before everything has been fitted.
    let tasks = plan.tasks.iter();
    let models = tasks.map(|task| Fitted::of::<B>(source, dataset, &config, &plan, task));
    let models: Vec<Fitted<'_>> = models.collect::<Result<_>>()?;
    let _alone = Run::claim(path)?;
    let run = match begun {
        true => started(path, &adapted, &config)?,
        false => {
            let audit = searched(dataset, &plan, &config)?;
            let mut record = record(dataset, &plan, Some(audit), rayon::current_num_threads())?;
            refuse_other_values(source, dataset, record.dataset.identity.as_ref())?;
            record.subjects = adapted.subjects.clone();
            record.config = Some(config.clone());
            record.adapted = Some(adapted);
            record.no_ridge = Some(NO_RIDGE.to_owned());
            let layers = Layers::of(&config)?;
            Run::create(path, record, &layers, dataset, &plan.folds)?
        }
    };
    Journal::open(&run, &[])?;
    for (task, Fitted { data, model }) in plan.tasks.iter().zip(&models) {
        save(&run, task, data, model.as_ref(), 0, &config)?;
    }
    plan.gather(dataset, &run)?;
    Ok(run.finish()?)
}

/// Refuses other labels or features of the very stimuli that the source was trained on. Where the new person saw further
/// stimuli, sums over all of them say nothing.
fn refuse_other_values(source: &Run, dataset: &Dataset, found: Option<&Identity>) -> Result<()> {
    let known = source.record().dataset.identity.as_ref();
    let (Some(known), Some(found)) = (known, found) else {
        return Ok(());
    };
    let found = Identity {
        subjects: known.subjects.clone(),
        ..found.clone()
    };
    match known.difference(&found) {
        Some(difference) if known.stimuli == found.stimuli => Err(Error::Request(format!(
            "{} was trained with other data of the same stimuli (what differs: {difference}): give {} the labels and \
             features that it was trained with",
            source.path().display(),
            dataset.place()
        ))),
        _ => Ok(()),
    }
}

/// The run of the same request that was begun before, or damaged since.
fn started(path: &Path, adapted: &Adapted, config: &Config) -> Result<Run> {
    let run = Run::open(path)?;
    let same = run.record().adapted.as_ref() == Some(adapted) && run.config()? == *config;
    match same && !run.is_whole() {
        true => {
            run.sweep()?;
            Ok(run)
        }
        false => Err(mused_data::Error::Exists(path.to_owned()).into()),
    }
}

/// The folds of the source that can be tested on the new person.
fn plan<B: TrainBackend>(
    source: &Run,
    dataset: &Dataset,
    config: &Config,
    resolved: &Resolved,
) -> Result<Plan> {
    let person = config.split.holdout_subject.as_str();
    let own = dataset.subject(person)?;
    let folds = source.division()?.folds(dataset)?;
    let mut tasks = Vec::new();
    for task in source.tasks() {
        // Of a run that left everybody out in turn, the models without this person.
        if task.holdout.as_deref().is_some_and(|other| other != person) {
            continue;
        }
        let (description, ..) = restore::<B>(source, task)?;
        if description.subjects.iter().any(|known| known == person) {
            return Err(Error::Request(format!(
                "{} was trained on subject {person}: it reads that subject as it is (mused predict), and what it says of the \
                 subject's test stimuli is in its predictions",
                source.path().display()
            )));
        }
        let labels = &dataset.labels.names;
        if description.labels != *labels {
            return Err(Error::Request(format!(
                "expected the labels that {} was trained on ({}), found {}",
                source.path().display(),
                description.labels.join(", "),
                labels.join(", ")
            )));
        }
        // Who saw a part of the stimuli may have seen none that some of the models are tested by.
        let tested = folds.get(task.fold).map_or(&[][..], |fold| &fold.test);
        if samples(dataset, &[own], tested).is_empty() {
            continue;
        }
        tasks.push(Task {
            index: tasks.len(),
            fold: task.fold,
            subject: None,
            holdout: Some(person.to_owned()),
        });
    }
    if tasks.is_empty() {
        return Err(Error::Request(format!(
            "no trial of subject {person} shows a test stimulus of {}: there is nothing to score the adapted model by",
            source.path().display()
        )));
    }
    let plan = Plan::of(dataset, config, tasks, folds, resolved.clone())?;
    let onto = config.model.inputs.inputs.onto().unwrap_or_default();
    if onto.guidance && plan.guides.high.is_none() {
        return Err(Error::Request(format!(
            "{} is aligned by the features {:?}: make them for {} too (mused features)",
            source.path().display(),
            config.guidance.high,
            dataset.place()
        )));
    }
    Ok(plan)
}

/// Samples that the maps of the new person's regions are fitted on, and the maps.
fn fit(
    dataset: &Dataset,
    config: &Config,
    plan: &Plan,
    fold: usize,
) -> Result<(Vec<Sample>, Aligned)> {
    let id = &config.split.holdout_subject;
    let own = plan.calibration(dataset, config, fold, dataset.subject(id)?)?;
    if own.is_empty() {
        return Err(Error::Request(format!(
            "fold {fold}: no trial of subject {id} shows a training stimulus: there is nothing to learn its maps from"
        )));
    }
    let group = |sample: &Sample| dataset.stimuli[sample.stimulus].group.as_str();
    if own.iter().map(group).collect::<BTreeSet<_>>().len() < 2 {
        return Err(Error::Request(format!(
            "fold {fold}: the trials of subject {id} are of one group of stimuli, and its maps are tested on other groups: \
             they need two groups or more; allow more trials (--trials)"
        )));
    }
    let onto = config.model.inputs.inputs.onto().unwrap_or_default();
    let alignment = plan.alignment(config, onto, fold);
    memory::check_maps(alignment.bytes(dataset, &own), rayon::current_num_threads())?;
    let maps = alignment.fit(dataset, &own, |_, fit| fit())?;
    Ok((own, maps))
}

/// A model of the new person: its network is the source's, its inputs are the person's.
struct Fitted<'d> {
    data: FoldData<'d>,
    model: Box<dyn Model>,
}

impl<'d> Fitted<'d> {
    fn of<B: TrainBackend>(
        source: &Run,
        dataset: &'d Dataset,
        config: &Config,
        plan: &Plan,
        task: &Task,
    ) -> Result<Self> {
        let of_fold = |one: &&Task| {
            let other = one.holdout.is_some() && one.holdout != task.holdout;
            one.fold == task.fold && !other
        };
        let trained = source.tasks().iter().find(of_fold).ok_or_else(|| {
            Error::invalid(
                source.path(),
                format!("expected a model of fold {}, found none", task.fold),
            )
        })?;
        let (description, model, known) = restore::<B>(source, trained)?;
        let (own, fitted) = fit(dataset, config, plan, task.fold)?;
        let person = dataset.subject(&config.split.holdout_subject)?;
        for own in fitted.transform.layout.slots() {
            let slots = known.layout.slots();
            match slots.iter().find(|slot| slot.name == own.name) {
                Some(slot) if slot.length == own.length => {}
                Some(slot) => {
                    return Err(Error::Request(format!(
                        "region {}: expected {} values of it, as {} reads them, found {}: its features are other ones",
                        own.name,
                        slot.length,
                        source.path().display(),
                        own.length
                    )));
                }
                None => {
                    let known: Vec<&str> = slots.iter().map(|slot| slot.name.as_str()).collect();
                    return Err(Error::Request(format!(
                        "region {} of subject {} is not among those that {} reads ({}): import the subject with these",
                        own.name,
                        config.split.holdout_subject,
                        source.path().display(),
                        known.join(", ")
                    )));
                }
            }
        }
        let transform = Arc::new(InputTransform {
            layout: known.layout,
            references: None,
            subjects: fitted.transform.subjects,
        });
        let reader = Arc::new(InputReader::new(dataset, transform.clone(), &[person])?);
        // Nobody's tokens are the new person's: it gets the mean of all.
        let tokens = description.model.subjects();
        let set = |samples| SampleSet::new(reader.clone(), samples, &description.subjects, tokens);
        let of = |stimuli: &[usize]| samples(dataset, &[person], stimuli);
        let fold = &plan.folds[task.fold];
        let data = FoldData {
            train: set(own)?,
            validation: set(of(&fold.validation))?,
            test: set(of(&fold.test))?,
            unlabelled: None,
            transform,
            description: description.clone(),
        };
        Ok(Self { data, model })
    }
}

/// Whether the inputs of a model of an adapted run are made by maps of its calibration trials.
pub(crate) fn sound(
    run: &Run,
    dataset: &Dataset,
    config: &Config,
    task: &Task,
    stored: &InputTransform,
) -> Result<bool> {
    let Some(resolved) = run.record().resolved.clone() else {
        return Ok(false);
    };
    let folds = run.division()?.folds(dataset)?;
    let plan = Plan::of(dataset, config, Vec::new(), folds, resolved)?;
    let (_, fitted) = fit(dataset, config, &plan, task.fold)?;
    Ok(fitted.transform.subjects == stored.subjects)
}
