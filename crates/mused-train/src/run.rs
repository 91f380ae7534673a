use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::SystemTime;

use mused_data::Dataset;
use mused_data::audit::{Finding, Report, audit};
use mused_formats::replace_file;
use mused_kernels::TrainBackend;
use rayon::{ThreadPool, ThreadPoolBuilder};
use serde::{Deserialize, Serialize};

use crate::fold::{FoldTrainer, PREDICTIONS, saved_step, steps};
use crate::journal::Journal;
use crate::plan::{Plan, Task};
use crate::{Config, Error, Layers, Progress, Result, linear};

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

/// The content of `run.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RunDescription {
    schema: String,
    version: String,
    dataset: DatasetReference,
    /// Subjects trained on.
    subjects: Vec<String>,
    folds: usize,
    models: Vec<Task>,
    /// Leaks that were let pass, and what could not be searched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    audit: Option<Report>,
    machine: Machine,
    started: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    finished: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct DatasetReference {
    name: String,
    path: PathBuf,
    sha256: String,
    simulated: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Machine {
    os: String,
    architecture: String,
    cpus: usize,
    threads: usize,
}

pub(crate) const RUN: &str = "run.json";
pub(crate) const CONFIG: &str = "config.toml";

impl RunDescription {
    /// Describes a run that starts now.
    pub(crate) fn new(dataset: &Dataset, plan: &Plan, threads: usize) -> Result<Self> {
        Ok(Self {
            schema: "mused-run/1".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            dataset: DatasetReference {
                name: dataset.description.name.clone(),
                path: fs::canonicalize(&dataset.root).unwrap_or_else(|_| dataset.root.clone()),
                sha256: dataset.fingerprint()?,
                simulated: dataset.description.simulated,
            },
            subjects: plan.trained_ids(dataset),
            folds: plan.folds.len(),
            models: plan.tasks.clone(),
            audit: None,
            machine: Machine {
                os: std::env::consts::OS.to_owned(),
                architecture: std::env::consts::ARCH.to_owned(),
                cpus: std::thread::available_parallelism().map_or(1, usize::from),
                threads,
            },
            started: timestamp(),
            finished: None,
        })
    }

    /// Where the dataset was.
    pub(crate) fn dataset_path(&self) -> &Path {
        &self.dataset.path
    }

    /// Refuses another dataset than the run was started on.
    pub(crate) fn check_dataset(&self, dataset: &Dataset, run: &Path) -> Result<()> {
        let found = dataset.fingerprint()?;
        if found == self.dataset.sha256 {
            return Ok(());
        }
        Err(Error::Request(format!(
            "{} was started on another dataset: expected sha256 {} ({}), found {found}",
            run.display(),
            self.dataset.sha256,
            self.dataset.path.display()
        )))
    }

    pub(crate) fn read(run: &Path) -> Result<Self> {
        let path = run.join(RUN);
        if !path.is_file() {
            return Err(Error::Request(format!(
                "{}: expected a run directory, found no {RUN} in it; `mused train` makes one",
                run.display()
            )));
        }
        let text = fs::read_to_string(&path).map_err(Error::io("cannot read", &path))?;
        serde_json::from_str(&text).map_err(|error| Error::invalid(&path, error.to_string()))
    }

    fn write(&self, run: &Path) -> Result<()> {
        let path = run.join(RUN);
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| Error::invalid(&path, error.to_string()))?;
        Ok(replace_file(&path, text.as_bytes())?)
    }

    /// Marks the run as complete.
    pub(crate) fn finish(mut self, run: &Path) -> Result<()> {
        self.finished = Some(timestamp());
        self.write(run)
    }
}

/// The dataset a run was made on, at `moved` or where it was.
///
/// # Errors
/// When it is not there, or is another one.
pub fn dataset_of(run: &Path, moved: Option<&Path>) -> Result<Dataset> {
    let description = RunDescription::read(run)?;
    let path = moved.unwrap_or(description.dataset_path());
    if moved.is_none() && !path.is_dir() {
        return Err(Error::Request(format!(
            "the dataset of {} is no longer at {}: say where it is now with --dataset",
            run.display(),
            path.display()
        )));
    }
    let dataset = Dataset::open(path)?;
    description.check_dataset(&dataset, run).map_err(|error| {
        let hint = "name the dataset of the run with --dataset, or train again on this one";
        Error::Request(format!("{error} at {}; {hint}", path.display()))
    })?;
    Ok(dataset)
}

/// The configuration of a run.
pub(crate) fn config_of(run: &Path) -> Result<Config> {
    let path = run.join(CONFIG);
    let text = fs::read_to_string(&path).map_err(Error::io("cannot read", &path))?;
    toml::from_str(&text).map_err(|error| Error::invalid(&path, error.to_string()))
}

/// Refuses a run directory that holds something.
pub(crate) fn refuse_occupied(run: &Path) -> Result<()> {
    let occupied = fs::read_dir(run).map_or(run.exists(), |mut entries| entries.next().is_some());
    if !occupied {
        return Ok(());
    }
    Err(Error::Request(format!(
        "{} already exists: choose another --out, or continue it with --resume",
        run.display()
    )))
}

/// Creates a run directory with its plan and configuration.
pub(crate) fn create(run: &Path, dataset: &Dataset, plan: &Plan, layers: &Layers) -> Result<()> {
    fs::create_dir_all(run).map_err(Error::io("cannot create", run))?;
    plan.write(dataset, run)?;
    Ok(replace_file(
        run.join(CONFIG),
        layers.annotated().as_bytes(),
    )?)
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
    let TrainRequest {
        dataset,
        layers,
        run,
        threads,
    } = *request;
    refuse_occupied(run)?;
    let config = layers.config()?;
    let shuffled = control(dataset, &config)?;
    let dataset = shuffled.as_ref().unwrap_or(dataset);
    let plan = Plan::new(dataset, &config)?;
    let audit = searched(dataset, &plan, &config)?;
    let mut description = RunDescription::new(dataset, &plan, threads)?;
    description.audit = Some(audit);
    create(run, dataset, &plan, layers)?;
    // Last, so that a directory with a run.json can be resumed.
    description.write(run)?;
    execute::<B>(dataset, &config, &plan, run, threads, description, progress)
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
    let path = run.join(RUN);
    if !path.is_file() {
        return Err(Error::Request(format!(
            "{} has no {RUN}: there is no run to resume; start one without --resume",
            run.display()
        )));
    }
    let description = RunDescription::read(run)?;
    description.check_dataset(dataset, run)?;
    let config = config_of(run)?;
    let shuffled = control(dataset, &config)?;
    let dataset = shuffled.as_ref().unwrap_or(dataset);
    let plan = Plan::new(dataset, &config)?;
    execute::<B>(dataset, &config, &plan, run, threads, description, progress)
}

/// Searches for leaks; those that are not let pass are an error.
fn searched(dataset: &Dataset, plan: &Plan, config: &Config) -> Result<Report> {
    let report = audit(dataset, &plan.folds, config.audit.near_duplicate)?;
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

/// For the shuffled control, the dataset with its responses dealt anew.
pub(crate) fn control(dataset: &Dataset, config: &Config) -> Result<Option<Dataset>> {
    if !config.model.shuffled_brain {
        return Ok(None);
    }
    let mut shuffled = Dataset::open(&dataset.root)?;
    shuffled.shuffle_responses(config.split.seed);
    Ok(Some(shuffled))
}

fn execute<B: TrainBackend>(
    dataset: &Dataset,
    config: &Config,
    plan: &Plan,
    run: &Path,
    threads: usize,
    description: RunDescription,
    progress: &dyn Progress,
) -> Result<Outcome> {
    let tasks = &plan.tasks;
    let total = |task: &Task| steps(config, plan.train_samples(dataset, task).len());
    let finished = |task: &Task| task.folder(run).join(PREDICTIONS).is_file();
    let done = |task: &Task| match finished(task) {
        true => total(task),
        false => saved_step(run, task),
    };
    let epochs = |task: &Task| done(task) / (total(task) / config.train.epochs).max(1);
    let epochs: Vec<(&Task, usize)> = tasks.iter().map(|task| (task, epochs(task))).collect();
    let journal = Journal::open(run, &epochs)?;
    let steps_done = tasks.iter().map(done).sum();
    let steps_total = tasks.iter().map(total).sum();
    progress.start(steps_done, steps_total, plan.step_bytes);
    let crew = Crew {
        pending: Mutex::new(tasks.iter().filter(|task| !finished(task)).rev().collect()),
        at_work: AtomicUsize::new(0),
        stopped: AtomicBool::new(false),
        threads: threads.max(1),
    };
    let workers = crew.threads.min(tasks.len());
    let results: Vec<Result<()>> = std::thread::scope(|scope| {
        let spawn = |_| {
            scope.spawn(|| {
                crew.work(|task, pools| {
                    let data = pools.run(&crew, || plan.load(dataset, config, task))?;
                    if config.model.family.closed_form() {
                        return pools.run(&crew, || {
                            linear::work(run, task, config, &data, &journal, progress)
                        });
                    }
                    let mut trainer = FoldTrainer::<B>::new(run, task, config, data, &plan.guides)?;
                    while !trainer.finished() {
                        pools.run(&crew, || trainer.step(&journal, progress))?;
                        if progress.interrupted() || crew.stopped.load(Ordering::Relaxed) {
                            crew.stopped.store(true, Ordering::Relaxed);
                            return trainer.save();
                        }
                    }
                    pools.run(&crew, || trainer.finish())
                })
            })
        };
        let handles: Vec<_> = (0..workers).map(spawn).collect();
        let join = |handle: std::thread::ScopedJoinHandle<'_, Result<()>>| {
            handle
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        handles.into_iter().map(join).collect()
    });
    results.into_iter().collect::<Result<()>>()?;
    if crew.stopped.load(Ordering::Relaxed) {
        return Ok(Outcome::Interrupted);
    }
    plan.gather(dataset, run)?;
    description.finish(run)?;
    Ok(Outcome::Complete)
}

/// Threads that take tasks from a common list. Each step of a task runs in a pool of its share of
/// the CPU threads, so that the last ones get what the finished ones leave.
struct Crew<'t> {
    pending: Mutex<Vec<&'t Task>>,
    at_work: AtomicUsize,
    stopped: AtomicBool,
    threads: usize,
}

impl<'t> Crew<'t> {
    fn work(&self, mut train: impl FnMut(&'t Task, &mut Pools) -> Result<()>) -> Result<()> {
        let mut pools = Pools::default();
        self.at_work.fetch_add(1, Ordering::Relaxed);
        let mut result = Ok(());
        while result.is_ok() && !self.stopped.load(Ordering::Relaxed) {
            let next = self.pending.lock().unwrap_or_else(|p| p.into_inner()).pop();
            let Some(task) = next else { break };
            result = train(task, &mut pools);
        }
        if result.is_err() {
            self.stopped.store(true, Ordering::Relaxed);
        }
        self.at_work.fetch_sub(1, Ordering::Relaxed);
        result
    }
}

/// A worker's thread pools by size, made when first needed.
#[derive(Default)]
struct Pools(HashMap<usize, ThreadPool>);

impl Pools {
    fn run<T: Send>(
        &mut self,
        crew: &Crew<'_>,
        job: impl FnOnce() -> Result<T> + Send,
    ) -> Result<T> {
        let size = (crew.threads / crew.at_work.load(Ordering::Relaxed).max(1)).max(1);
        let pool = match self.0.entry(size) {
            Entry::Occupied(made) => made.into_mut(),
            Entry::Vacant(new) => {
                let pool = ThreadPoolBuilder::new().num_threads(size).build();
                new.insert(pool.map_err(|error| {
                    Error::Request(format!("cannot start {size} threads: {error}"))
                })?)
            }
        };
        pool.install(job)
    }
}

fn timestamp() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// The models of a run directory.
///
/// # Errors
/// When the run is not complete.
pub(crate) fn complete_models(run: &Path) -> Result<Vec<Task>> {
    let description = RunDescription::read(run)?;
    if description.finished.is_none() {
        return Err(Error::Request(format!(
            "{} is not complete: continue it with `mused train {} --out {} --resume`",
            run.display(),
            description.dataset.path.display(),
            run.display()
        )));
    }
    Ok(description.models)
}
