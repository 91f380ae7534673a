use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use mused_data::{
    Dataset, Fold, Guidance, InputReader, InputTransform, Level, Sample, Severity, samples,
};
use mused_formats::table::TableWriter;
use mused_formats::{npy, replace_file};
use mused_kernels::TrainBackend;
use ndarray::{Array2, Axis, concatenate};
use rayon::{ThreadPool, ThreadPoolBuilder};
use serde::{Deserialize, Serialize};

use crate::batches::SampleSet;
use crate::fold::{
    FoldData, FoldTrainer, Guides, ModelDescription, PREDICTIONS, fold_folder, saved_step, steps,
};
use crate::journal::Journal;
use crate::{Config, Error, Layers, Progress, Result};

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
struct RunDescription {
    schema: String,
    version: String,
    dataset: DatasetReference,
    /// Subjects trained on.
    subjects: Vec<String>,
    folds: usize,
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

const RUN: &str = "run.json";
const CONFIG: &str = "config.toml";

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
    let occupied = fs::read_dir(run).map_or(run.exists(), |mut entries| entries.next().is_some());
    if occupied {
        return Err(Error::Request(format!(
            "{} already exists: choose another --out, or continue it with --resume",
            run.display()
        )));
    }
    let config = layers.config()?;
    let plan = Plan::new(dataset, &config)?;
    let description = RunDescription {
        schema: "mused-run/1".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        dataset: DatasetReference {
            name: dataset.description.name.clone(),
            path: fs::canonicalize(&dataset.root).unwrap_or_else(|_| dataset.root.clone()),
            sha256: dataset.fingerprint()?,
            simulated: dataset.description.simulated,
        },
        subjects: plan
            .trained
            .iter()
            .map(|&s| dataset.subjects[s].id.clone())
            .collect(),
        folds: plan.folds.len(),
        machine: Machine {
            os: std::env::consts::OS.to_owned(),
            architecture: std::env::consts::ARCH.to_owned(),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            threads,
        },
        started: timestamp(),
        finished: None,
    };
    fs::create_dir_all(run).map_err(Error::io("cannot create", run))?;
    plan.write(dataset, run)?;
    replace_file(run.join(CONFIG), layers.annotated().as_bytes())?;
    // Last, so that a directory with a run.json can be resumed.
    write_description(run, &description)?;
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
    let text = fs::read_to_string(&path).map_err(Error::io("cannot read", &path))?;
    let description: RunDescription =
        serde_json::from_str(&text).map_err(|error| Error::invalid(&path, error.to_string()))?;
    let found = dataset.fingerprint()?;
    if found != description.dataset.sha256 {
        return Err(Error::Request(format!(
            "{} was started on another dataset: expected sha256 {} ({}), found {found}",
            run.display(),
            description.dataset.sha256,
            description.dataset.path.display()
        )));
    }
    let path = run.join(CONFIG);
    let text = fs::read_to_string(&path).map_err(Error::io("cannot read", &path))?;
    let config: Config =
        toml::from_str(&text).map_err(|error| Error::invalid(&path, error.to_string()))?;
    let plan = Plan::new(dataset, &config)?;
    execute::<B>(dataset, &config, &plan, run, threads, description, progress)
}

/// Who and what is trained and tested in each fold.
struct Plan {
    trained: Vec<usize>,
    tested: Vec<usize>,
    holdout: Option<usize>,
    folds: Vec<Fold>,
    guides: Guides,
}

impl Plan {
    fn new(dataset: &Dataset, config: &Config) -> Result<Self> {
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
        let tested = holdout.map_or(everyone, |subject| vec![subject]);
        let folds = config.split_plan().folds(dataset)?;
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

    fn train_samples(&self, dataset: &Dataset, fold: usize) -> Vec<Sample> {
        samples(dataset, &self.trained, &self.folds[fold].train)
    }

    fn test_samples(&self, dataset: &Dataset, fold: usize) -> Vec<Sample> {
        samples(dataset, &self.tested, &self.folds[fold].test)
    }

    /// Everything fold `fold` reads, with nothing fitted outside its training part.
    fn load<'d>(&self, dataset: &'d Dataset, config: &Config, fold: usize) -> Result<FoldData<'d>> {
        let train = self.train_samples(dataset, fold);
        let unlabelled: Vec<usize> = self.holdout.into_iter().collect();
        let arrangement = config.arrangement(dataset.description.kind);
        let zscore = config.model.zscore;
        let transform = InputTransform::fit(dataset, arrangement, zscore, &train, &unlabelled)?;
        let subjects: Vec<String> = self
            .trained
            .iter()
            .map(|&s| dataset.subjects[s].id.clone())
            .collect();
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

    fn write(&self, dataset: &Dataset, run: &Path) -> Result<()> {
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
}

fn execute<B: TrainBackend>(
    dataset: &Dataset,
    config: &Config,
    plan: &Plan,
    run: &Path,
    threads: usize,
    mut description: RunDescription,
    progress: &dyn Progress,
) -> Result<Outcome> {
    let folds = plan.folds.len();
    let total = |fold: usize| steps(config, plan.train_samples(dataset, fold).len());
    let finished = |fold: &usize| fold_folder(run, *fold).join(PREDICTIONS).is_file();
    let done: Vec<usize> = (0..folds)
        .map(|fold| {
            if finished(&fold) {
                total(fold)
            } else {
                saved_step(run, fold)
            }
        })
        .collect();
    let epochs: Vec<usize> = (0..folds)
        .map(|fold| done[fold] / (total(fold) / config.train.epochs))
        .collect();
    let journal = Journal::open(run, &epochs)?;
    progress.start(done.iter().sum(), (0..folds).map(total).sum());
    let crew = Crew {
        pending: Mutex::new((0..folds).filter(|fold| !finished(fold)).rev().collect()),
        at_work: AtomicUsize::new(0),
        stopped: AtomicBool::new(false),
        threads: threads.max(1),
    };
    let workers = crew.threads.min(folds);
    let results: Vec<Result<()>> = std::thread::scope(|scope| {
        let spawn = |_| {
            scope.spawn(|| {
                crew.work(|fold, pools| {
                    let data = pools.run(&crew, || plan.load(dataset, config, fold))?;
                    let mut trainer = FoldTrainer::<B>::new(run, fold, config, data, &plan.guides)?;
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
    gather(dataset, plan, run)?;
    description.finished = Some(timestamp());
    write_description(run, &description)?;
    Ok(Outcome::Complete)
}

/// Threads that take folds from a common list. Each step of a fold runs in a pool of its share of
/// the CPU threads, so that the last folds get what the finished ones leave.
struct Crew {
    pending: Mutex<Vec<usize>>,
    at_work: AtomicUsize,
    stopped: AtomicBool,
    threads: usize,
}

impl Crew {
    fn work(&self, mut train: impl FnMut(usize, &mut Pools) -> Result<()>) -> Result<()> {
        let mut pools = Pools::default();
        self.at_work.fetch_add(1, Ordering::Relaxed);
        let mut result = Ok(());
        while result.is_ok() && !self.stopped.load(Ordering::Relaxed) {
            let next = self.pending.lock().unwrap_or_else(|p| p.into_inner()).pop();
            let Some(fold) = next else { break };
            result = train(fold, &mut pools);
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
    fn run<T: Send>(&mut self, crew: &Crew, job: impl FnOnce() -> Result<T> + Send) -> Result<T> {
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

/// Puts the folds' test predictions together: `predictions.npy`, `targets.npy`, `trials.tsv`.
fn gather(dataset: &Dataset, plan: &Plan, run: &Path) -> Result<()> {
    let trials = run.join("trials.tsv");
    let mut table = TableWriter::create(&trials, &["fold", "subject", "stimulus_id"])?;
    let (mut predictions, mut targets) = (Vec::new(), Vec::new());
    for fold in 0..plan.folds.len() {
        let rows = plan.test_samples(dataset, fold);
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

fn write_description(run: &Path, description: &RunDescription) -> Result<()> {
    let path = run.join(RUN);
    let text = serde_json::to_string_pretty(description)
        .map_err(|error| Error::invalid(&path, error.to_string()))?;
    Ok(replace_file(&path, text.as_bytes())?)
}

fn timestamp() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// Folds whose models a run directory holds.
///
/// # Errors
/// When the run is not complete.
pub(crate) fn complete_folds(run: &Path) -> Result<Vec<PathBuf>> {
    let path = run.join(RUN);
    let text = fs::read_to_string(&path).map_err(Error::io("cannot read", &path))?;
    let description: RunDescription =
        serde_json::from_str(&text).map_err(|error| Error::invalid(&path, error.to_string()))?;
    if description.finished.is_none() {
        return Err(Error::Request(format!(
            "{} is not complete: continue it with `mused train {} --out {} --resume`",
            run.display(),
            description.dataset.path.display(),
            run.display()
        )));
    }
    Ok((0..description.folds)
        .map(|fold| fold_folder(run, fold))
        .collect())
}
