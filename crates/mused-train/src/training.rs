use std::path::Path;

use mused_data::audit::{Finding, Report, audit};
use mused_data::{Arrangement, Dataset};
use mused_kernels::{KeptMemory, TrainBackend, keep_freed_memory, return_freed_memory};
use mused_run::{
    Config, DatasetReference, Division, Family, Identity, Layers, Machine, Parts, Run, RunRecord,
    Task,
};

use crate::crew::{AtOnce, Crew};
use crate::families::{learner, sound_step};
use crate::journal::Journal;
use crate::learner::{Fit, Learner, save};
use crate::maps::Maps;
use crate::plan::Plan;
use crate::reading::settle;
use crate::settle::{Settle, forget};
use crate::watch::Watch;
use crate::{Error, Progress, Result, memory};

/// What to train, where to, and on how many threads.
#[derive(Debug)]
pub struct TrainRequest<'a> {
    /// The data.
    pub dataset: &'a Dataset,
    /// Configuration with origins.
    pub layers: &'a Layers,
    /// Run directory to create.
    pub run: &'a Path,
    /// CPU threads over all folds. The result does not depend on it.
    pub threads: usize,
}

/// How training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All folds are done and the predictions are written.
    Complete,
    /// Stopped on request, with everything saved.
    Interrupted,
}

/// Trains a new run.
///
/// # Errors
/// When the run directory exists, the dataset has problems, the configuration does not fit it,
/// or training fails. Nothing is created before everything has been checked.
pub fn train<B: TrainBackend>(
    request: &TrainRequest<'_>,
    progress: &dyn Progress,
) -> Result<Outcome> {
    train_as::<B>(request, Made::Whole, progress)
}

/// Trains one of the models of a run (see [`models_of`]) as a run of its own, in the place [`Run::part`]: the run takes it in
/// when it is trained.
///
/// # Errors
/// As [`train`].
pub fn train_part<B: TrainBackend>(
    request: &TrainRequest<'_>,
    task: &Task,
    progress: &dyn Progress,
) -> Result<Outcome> {
    train_as::<B>(request, Made::Part(task), progress)
}

/// What is made of a request.
#[derive(Clone, Copy)]
pub(crate) enum Made<'t> {
    Whole,
    /// One of its models.
    Part(&'t Task),
    /// On stimuli that carry the labels of others, by the number of the relabelling.
    Relabelled(u64),
}

pub(crate) fn train_as<B: TrainBackend>(
    request: &TrainRequest<'_>,
    made: Made<'_>,
    progress: &dyn Progress,
) -> Result<Outcome> {
    let TrainRequest {
        layers,
        run,
        threads,
        ..
    } = *request;
    Run::refuse_occupied(run)?;
    let asked = layers.config()?;
    let _kept = kept_memory(&asked);
    let watch = &Watch::new(request.dataset, progress)?;
    let dataset = &controlled(request.dataset, &asked);
    let mut config = asked.clone();
    let aligned = settle(&mut config, dataset)?;
    let learner = learner::<B>(&config);
    let mut plan = Plan::new(dataset, &config, learner.as_ref())?;
    memory::check_maps(plan.maps_bytes, threads)?;
    plan.resolved.inputs.aligned = aligned;
    match made {
        Made::Whole => {}
        Made::Part(task) => plan.tasks.retain(|own| own == task),
        Made::Relabelled(index) => plan.resolved.relabelling = Some(index),
    }
    let audit = searched(dataset, &plan, &config)?;
    // The data as they were given: a control is made of them anew whenever the run is read.
    let mut record = record(request.dataset, &plan, Some(audit), threads)?;
    record.config = Some(asked.clone());
    record.part = matches!(made, Made::Part(_));
    record.machine.device = learner.device();
    // Models that others have trained can be gathered anywhere.
    let begun = |task| Run::part(run, task).is_dir();
    if !plan.tasks.iter().all(begun) {
        learner.check_here()?;
    }
    watch.hold(Run::claim(run)?);
    Run::refuse_gathered(run)?;
    let parts = Parts::claim(run, &plan.tasks, &asked, request.dataset)?;
    let run = Run::create(run, record, layers, dataset, &plan.folds)?;
    parts.take_in(&run)?;
    execute(
        dataset,
        &config,
        learner.as_ref(),
        &plan,
        run,
        threads,
        watch,
    )
}

/// Continues an interrupted run to the same result, bit for bit on one kind of CPU.
///
/// # Errors
/// When there is no such run, the dataset is not the one it was started on, or training fails.
pub fn resume<B: TrainBackend>(
    dataset: &Dataset,
    run: &Path,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Outcome> {
    let run = Run::open(run)?;
    if run.record().adapted.is_some() {
        return Err(Error::invalid(
            run.path(),
            format!(
                "the run was not trained but adapted: {} goes on with it",
                run.same_again()
            ),
        ));
    }
    let alone = Run::claim(run.path())?;
    run.sweep()?;
    let watch = &Watch::new(dataset, progress)?;
    watch.hold(alone);
    run.check_dataset(dataset)?;
    let mut config = run.resolved_config()?;
    let _kept = kept_memory(&config);
    refuse_other_recipe(&run, &config, dataset)?;
    let given = dataset;
    let dataset = &controlled(dataset, &config);
    settle(&mut config, dataset)?;
    let learner = learner::<B>(&config);
    let mut plan = Plan::new(dataset, &config, learner.as_ref())?;
    if run.record().part {
        plan.tasks.retain(|task| run.tasks().contains(task));
    }
    memory::check_maps(plan.maps_bytes, threads)?;
    // Another version may divide in another way: what was trained before would test what is trained on now.
    run.complete_tables(dataset, &plan.folds)?;
    let same = run.tasks() == plan.tasks && run.division()? == Division::of(dataset, &plan.folds);
    if !same {
        return Err(Error::invalid(
            run.path(),
            "expected the models of run.json and the folds of split.tsv to be those that this version of mused makes, \
             found others: bring back the files, or train the run again",
        ));
    }
    Parts::claim(run.path(), &plan.tasks, &run.config()?, given)?.take_in(&run)?;
    execute(
        dataset,
        &config,
        learner.as_ref(),
        &plan,
        run,
        threads,
        watch,
    )
}

/// Refuses to go on with a run of version 0.1.0 that this version trains in another way: weight decay fell there on the
/// embeddings of subjects and cubes.
///
/// # Errors
/// What to do instead.
pub(crate) fn refuse_other_recipe(run: &Run, config: &Config, dataset: &Dataset) -> Result<()> {
    let Family::Transformer(model) = &config.model.family else {
        return Ok(());
    };
    let cubes = matches!(
        config.arrangement(dataset.description.kind),
        Arrangement::Patches { .. }
    );
    let decayed = cubes || model.subjects == Identity::Embedding;
    if run.record().resolved.is_some() || !decayed || config.train.weight_decay == 0.0 {
        return Ok(());
    }
    Err(Error::invalid(
        run.path(),
        "the run is of version 0.1.0, where weight decay fell on the embeddings of subjects and cubes too: this version \
         would train it in another way; train it anew",
    ))
}

/// Describes a run that starts now.
pub(crate) fn record(
    dataset: &Dataset,
    plan: &Plan,
    audit: Option<Report>,
    threads: usize,
) -> Result<RunRecord> {
    let resolved = &plan.resolved;
    let guides = [&resolved.guidance_high, &resolved.guidance_low];
    let features: Vec<&str> = (guides.into_iter())
        .filter_map(|guide| Some(guide.used()?.0))
        .collect();
    let root = dataset.root();
    Ok(RunRecord {
        schema: RunRecord::SCHEMA.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        dataset: DatasetReference {
            name: dataset.description.name.clone(),
            path: root.map(|root| std::fs::canonicalize(root).unwrap_or_else(|_| root.to_owned())),
            identity: Some(dataset.identity(&features)?),
            sha256: None,
            simulated: dataset.description.simulated,
        },
        subjects: plan.trained_ids(dataset),
        folds: plan.folds.len(),
        tasks: plan.tasks.clone(),
        config: None,
        resolved: Some(plan.resolved.clone()),
        audit,
        adapted: None,
        part: false,
        no_ridge: None,
        machine: Machine::here(threads),
        started: RunRecord::now(),
        finished: None,
    })
}

/// Searches for leaks; those that are not let pass are an error. Labels of other stimuli may divide them in another way:
/// what leaks there lifts the scores that chance gives, against the run.
pub(crate) fn searched(dataset: &Dataset, plan: &Plan, config: &Config) -> Result<Report> {
    let report = audit(dataset, &plan.folds, config.audit.near_duplicate)?;
    if plan.resolved.relabelling.is_some() {
        return Ok(report);
    }
    let passes = |finding: &&Finding| config.audit.allow.contains(&finding.leak);
    let findings: Vec<Finding> = report
        .findings
        .iter()
        .filter(|finding| !passes(finding))
        .cloned()
        .collect();
    if findings.is_empty() {
        Ok(report)
    } else {
        Err(Error::Leaks { findings })
    }
}

/// What is freed is kept for networks: their next step asks for the same again, a closed form seldom does.
fn kept_memory(config: &Config) -> Option<KeptMemory> {
    let by_steps = config.model.family.by_steps();
    if !by_steps {
        return_freed_memory();
    }
    by_steps.then(keep_freed_memory)
}

/// The dataset as a run reads it: under the shuffled control with its responses dealt anew.
pub(crate) fn controlled(dataset: &Dataset, config: &Config) -> Dataset {
    match config.model.inputs.shuffled_brain {
        true => dataset.shuffled(config.split.seed),
        false => dataset.clone(),
    }
}

/// About the bytes of memory that training takes on so many threads, one model after another, beside the program itself: with
/// the tables of the dataset.
///
/// # Errors
/// As [`train`].
pub fn memory_of<B: TrainBackend>(
    dataset: &Dataset,
    layers: &Layers,
    threads: usize,
) -> Result<u64> {
    let bytes = planned::<B>(dataset, layers)?.bytes(threads);
    Ok(bytes.saturating_add(dataset.table_bytes()))
}

/// The models that training makes.
///
/// # Errors
/// As [`train`].
pub fn models_of<B: TrainBackend>(dataset: &Dataset, layers: &Layers) -> Result<Vec<Task>> {
    Ok(planned::<B>(dataset, layers)?.tasks)
}

fn planned<B: TrainBackend>(dataset: &Dataset, layers: &Layers) -> Result<Plan> {
    let mut config = layers.config()?;
    let dataset = &controlled(dataset, &config);
    settle(&mut config, dataset)?;
    let learner = learner::<B>(&config);
    Plan::new(dataset, &config, learner.as_ref())
}

fn execute(
    dataset: &Dataset,
    config: &Config,
    learner: &dyn Learner,
    plan: &Plan,
    run: Run,
    threads: usize,
    watch: &Watch<'_>,
) -> Result<Outcome> {
    let progress = watch.progress;
    let recorded = run.epochs()?;
    let standing = |task| {
        let total = learner.steps(plan.train_samples(dataset, config, task)?.len());
        let epochs = epochs_of(total, total, config);
        // After a power cut the journal may lack what the task has done.
        let told = |task| (recorded.iter()).any(|of| of.is_of(task) && of.epoch == epochs);
        let finished =
            is_done(&run, task, progress)? && (run.record().finished.is_some() || told(task));
        let done = match finished {
            true => total,
            false => sound_step(&run, task, progress)?,
        };
        Ok(Standing {
            task,
            total,
            done,
            finished,
        })
    };
    let standing: Vec<Standing<'_>> = plan.tasks.iter().map(standing).collect::<Result<_>>()?;
    let epochs = standing
        .iter()
        .map(|of| (of.task, epochs_of(of.done, of.total, config)));
    let epochs: Vec<(&Task, usize)> = epochs.collect();
    let journal = Journal::open(&run, &epochs)?;
    let steps_done = standing.iter().map(|of| of.done).sum();
    let steps_total = standing.iter().map(|of| of.total).sum();
    let pending: Vec<&Task> = (standing.iter())
        .filter(|of| !of.finished)
        .map(|of| of.task)
        .collect();
    if !pending.is_empty() {
        learner.check_here()?;
    }
    let at_once = match learner.device() {
        None => {
            let bytes = |threads| plan.bytes(threads);
            let at_once = memory::at_once(bytes, pending.len(), threads);
            match config.model.family.by_steps() {
                true => at_once,
                // One step is all of a closed form.
                false => AtOnce {
                    last: at_once.workers,
                    ..at_once
                },
            }
        }
        // A kernel has all of a GPU.
        Some(_) => AtOnce {
            workers: 1,
            last: 1,
            threads,
        },
    };
    let each = plan.bytes((at_once.threads / at_once.last).max(1));
    let bytes = each.saturating_mul(at_once.last as u64);
    progress.start(steps_done, steps_total, bytes);
    let maps = Maps::new(&run, pending.len() * plan.trained.len(), progress);
    let subjects = dataset.subjects.len();
    for of in standing.iter().filter(|of| of.finished) {
        forget(&run, of.task, &maps, subjects);
    }
    let settle = Settle::new(&run, &journal, &maps, subjects);
    let crew = Crew::new(pending.into_iter(), at_once);
    let worked = crew.work(|task, worker| {
        let kept = |subject: usize, fit: &dyn Fn() -> _| maps.of(task, subject, fit);
        let load = || {
            let made = plan.transform(dataset, config, task, kept)?;
            plan.load(dataset, config, learner, task, made)
        };
        let data = match worker.run(load) {
            Err(Error::Interrupted) => {
                worker.stop();
                return Ok(());
            }
            data => data?,
        };
        let fitted = learner.fit(&mut Fit {
            run: &run,
            task,
            data: &data,
            guides: &plan.guides,
            journal: &journal,
            watch,
            worker,
        })?;
        let Some(model) = fitted else { return Ok(()) };
        watch.check(&run)?;
        let steps = learner.steps(data.train.len());
        let save = || save(&run, task, &data, model.as_ref(), steps, config);
        settle.done(task, || worker.run(save))
    });
    // What is done stays so, whatever became of the others.
    let settled = watch.refuse_lost(&run).and_then(|()| settle.all());
    worked.and(settled)?;
    if crew.stopped() {
        return Ok(Outcome::Interrupted);
    }
    plan.gather(dataset, &run)?;
    watch.check(&run)?;
    journal.finish()?;
    drop(settle);
    drop(journal);
    run.finish()?;
    Ok(Outcome::Complete)
}

/// Epochs in so many of all steps of a task.
fn epochs_of(done: usize, total: usize, config: &Config) -> usize {
    done / (total / config.train.epochs).max(1)
}

/// Whether a task is done: its files are there, and as they were written.
fn is_done(run: &Run, task: &Task, progress: &dyn Progress) -> Result<bool> {
    let predictions = run.task_predictions_path(task);
    let files = [
        run.model_path(task),
        run.inputs_path(task),
        predictions.clone(),
    ];
    if !files.iter().all(|file| file.is_file()) {
        return Ok(false);
    }
    let damaged = run.damaged_files(task)?;
    if damaged.is_empty() && !run.is_sealed(task)? {
        // A process ended before their record was written: nobody knows whether they are whole.
        return Ok(false);
    }
    for (_, why) in &damaged {
        progress.note(&format!("{why}; {} is trained anew", task.name()));
    }
    if !damaged.is_empty() {
        std::fs::remove_file(&predictions).map_err(Error::io("cannot remove", &predictions))?;
    }
    Ok(damaged.is_empty())
}

/// How far a task has come.
struct Standing<'t> {
    task: &'t Task,
    total: usize,
    done: usize,
    finished: bool,
}
