use std::fs;
use std::path::{Path, PathBuf};

use mused_data::{Dataset, Fold, Identity, order_shown};
use mused_formats::table::{Table, TableWriter};
use mused_formats::{npy, replace_file};
use ndarray::{Array2, ArrayView2, Axis, Ix2, concatenate};

use crate::predictions::Files;
use crate::{
    Config, Division, EpochRecord, Error, Layers, PredictionRow, Predictions, RESULTS_SCHEMA,
    Result, Results, Retrained, RunRecord, Settled, Task, epochs,
};

const RUN: &str = "run.json";
const CONFIG: &str = "config.toml";
const SPLIT: &str = "split.tsv";
const METRICS: &str = "metrics.jsonl";
const TENSORBOARD: &str = "tensorboard";
const CHECKPOINTS: &str = "checkpoints";
const LABELS: &str = "labels.tsv";
const TRIALS: &str = "trials.tsv";
const SHOWN: &str = "shown.tsv";
const PREDICTIONS: &str = "predictions.npy";
const TARGETS: &str = "targets.npy";
const RESULTS: &str = "results.json";
const PERMUTATIONS: &str = "permutations";
const CHOSEN: &str = "chosen.tsv";
const CANDIDATES: &str = "candidates";
const EXPLAIN: &str = "explain";
const REPORT: &str = "report.html";
/// Of a task: weights and their description.
const MODEL: &str = "model.safetensors";
/// Of a task: what turns responses into inputs.
const INPUTS: &str = "inputs.safetensors";
/// Of a task: where training stands.
const STATE: &str = "state.safetensors";
/// Table of a folder of `mused benchmark`.
const BENCHMARK: &str = "benchmark.tsv";

/// Generations of `run.json` that this version reads.
const KNOWN_SCHEMAS: [&str; 2] = ["mused-run/1", RunRecord::SCHEMA];

/// A run directory.
#[derive(Clone, Debug)]
pub struct Run {
    path: PathBuf,
    record: RunRecord,
}

impl Run {
    /// Whether there is a run directory at `path`, complete or not.
    pub fn exists(path: &Path) -> bool {
        path.join(RUN).is_file()
    }

    /// Opens a run directory of this version or an earlier one.
    ///
    /// # Errors
    /// A path that is no run directory, with what it is instead; a `run.json` that is damaged or of a newer version.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = path.join(RUN);
        if !file.is_file() {
            return Err(Error::invalid(path, not_a_run(path)));
        }
        let text = fs::read_to_string(&file).map_err(Error::io("cannot read", &file))?;
        let damaged = |error: serde_json::Error| {
            Error::invalid(
                &file,
                format!(
                    "expected the description of a run, found {error}: the file is damaged or not of mused; bring back \
                     a copy of it, or train the run again"
                ),
            )
        };
        let schema = serde_json::from_str::<serde_json::Value>(&text).map_err(damaged)?;
        let schema = schema
            .get("schema")
            .and_then(|schema| schema.as_str())
            .unwrap_or_default();
        if !KNOWN_SCHEMAS.contains(&schema) {
            let newer = generation(schema) > generation(RunRecord::SCHEMA);
            let advice = match newer {
                true => "the run was made by a newer mused; update this one",
                false => "this is not the run.json of a run of mused",
            };
            return Err(Error::invalid(
                &file,
                format!(
                    "expected schema {:?} or older, found {schema:?}: {advice}",
                    RunRecord::SCHEMA
                ),
            ));
        }
        Ok(Self {
            record: serde_json::from_str(&text).map_err(damaged)?,
            path: path.to_owned(),
        })
    }

    /// Opens a run directory, or a folder that holds nothing but predictions, made elsewhere, in the files of a run.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_predictions(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if Self::exists(path) || !path.join(PREDICTIONS).is_file() {
            return Self::open(path);
        }
        Ok(Self {
            path: path.to_owned(),
            record: RunRecord::default(),
        })
    }

    /// Refuses a run directory that holds something.
    ///
    /// # Errors
    /// What to do instead.
    pub fn refuse_occupied(path: &Path) -> Result<()> {
        let occupied =
            fs::read_dir(path).map_or(path.exists(), |mut entries| entries.next().is_some());
        if !occupied {
            return Ok(());
        }
        let advice = match Self::exists(path) {
            true => "choose another --out, or continue it with --resume",
            false => "choose another --out",
        };
        Err(Error::Request(format!(
            "{} already exists: {advice}",
            path.display()
        )))
    }

    /// Creates a run directory. `run.json` comes last, so that a directory that has one can be resumed.
    ///
    /// # Errors
    /// When the directory holds something or cannot be written.
    pub fn create(
        path: &Path,
        record: RunRecord,
        layers: &Layers,
        dataset: &Dataset,
        folds: &[Fold],
    ) -> Result<Self> {
        Self::refuse_occupied(path)?;
        fs::create_dir_all(path).map_err(Error::io("cannot create", path))?;
        let run = Self {
            path: path.to_owned(),
            record,
        };
        Division::of(dataset, folds).write(&path.join(SPLIT))?;
        write_names(&path.join(LABELS), "label", dataset.labels.names.iter())?;
        let order = order_shown(dataset);
        let mut stimuli: Vec<usize> = (0..order.len()).collect();
        stimuli.sort_by_key(|&stimulus| order[stimulus]);
        let ids = stimuli
            .iter()
            .map(|&stimulus| &dataset.stimuli[stimulus].id);
        write_names(&path.join(SHOWN), "stimulus_id", ids)?;
        replace_file(path.join(CONFIG), layers.annotated().as_bytes())?;
        run.write()?;
        Ok(run)
    }

    fn write(&self) -> Result<()> {
        let path = self.path.join(RUN);
        let text = serde_json::to_string_pretty(&self.record)
            .map_err(|error| Error::invalid(&path, error.to_string()))?;
        Ok(replace_file(&path, text.as_bytes())?)
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The last parts of its path that tell runs apart.
    pub fn name(&self) -> String {
        let whole = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let last = |path: &Path| {
            path.file_name()
                .map(|name| name.to_string_lossy().into_owned())
        };
        let own = last(&whole).unwrap_or_else(|| self.path.display().to_string());
        match whole.parent().and_then(last) {
            Some(parent) if own.starts_with("seed-") => format!("{parent}/{own}"),
            _ => own,
        }
    }

    /// The content of `run.json`.
    pub fn record(&self) -> &RunRecord {
        &self.record
    }

    /// The models of the run.
    pub fn tasks(&self) -> &[Task] {
        &self.record.tasks
    }

    /// Whether all models are trained and the predictions written.
    pub fn is_complete(&self) -> bool {
        let made_elsewhere = self.record.schema.is_empty();
        self.path.join(PREDICTIONS).is_file() && (made_elsewhere || self.record.finished.is_some())
    }

    /// Refuses a run that is not complete.
    ///
    /// # Errors
    /// How to complete it.
    pub fn refuse_incomplete(&self) -> Result<()> {
        if self.is_complete() {
            return Ok(());
        }
        let dataset = match &self.record.dataset.path {
            Some(path) => path.display().to_string(),
            None => "DATASET".to_owned(),
        };
        Err(Error::invalid(
            &self.path,
            format!(
                "expected a complete run with its {PREDICTIONS}, found one that was interrupted; continue it with `mused \
                 train {dataset} --out {} --resume`",
                self.path.display()
            ),
        ))
    }

    /// Marks the run as complete.
    ///
    /// # Errors
    /// When `run.json` cannot be written.
    pub fn finish(mut self) -> Result<Self> {
        self.record.finished = Some(RunRecord::now());
        self.write()?;
        Ok(self)
    }

    /// The configuration: keys that are missing have their defaults, unknown ones are passed over.
    ///
    /// # Errors
    /// A `config.toml` that is missing, or has values of the wrong type.
    pub fn config(&self) -> Result<Config> {
        let path = self.path.join(CONFIG);
        Config::read(&self.config_text()?).map_err(|error| {
            Error::invalid(
                &path,
                format!(
                    "expected the configuration of a run, found {}",
                    error.message()
                ),
            )
        })
    }

    /// The values of `config.toml`, each with where it came from.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn settled(&self) -> Result<Settled> {
        let settled = Settled::read(&self.config_text()?);
        settled.map_err(|error| Error::invalid(self.config_path(), error.message()))
    }

    /// Refuses a run whose `config.toml` was edited since it was started: to go on with it would mix two runs.
    ///
    /// # Errors
    /// Names the keys that changed.
    pub fn refuse_edited(&self) -> Result<()> {
        let Some(started) = &self.record.config else {
            return Ok(());
        };
        let changed = Layers::of(started)?.changes(&Layers::of(&self.config()?)?);
        if changed.is_empty() {
            return Ok(());
        }
        Err(Error::invalid(
            self.config_path(),
            format!(
                "it was edited since the run was started ({}): write the old values back, or train a new run with \
                 --config {}",
                changed.join("; "),
                self.config_path().display()
            ),
        ))
    }

    /// `config.toml` as it stands, with the origin of every value.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn config_text(&self) -> Result<String> {
        let path = self.path.join(CONFIG);
        fs::read_to_string(&path).map_err(Error::io("cannot read", &path))
    }

    /// Where the configuration lies, a valid `--config`.
    pub fn config_path(&self) -> PathBuf {
        self.path.join(CONFIG)
    }

    /// Who is trained and tested.
    ///
    /// # Errors
    /// A `split.tsv` that is missing or damaged.
    pub fn division(&self) -> Result<Division> {
        Division::read(&self.path.join(SPLIT))
    }

    /// Where the division lies.
    pub fn division_path(&self) -> PathBuf {
        self.path.join(SPLIT)
    }

    /// The course of training; nothing where there is no `metrics.jsonl`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn epochs(&self) -> Result<Vec<EpochRecord>> {
        epochs::read(&self.metrics_path())
    }

    /// Where the course of training is recorded.
    pub fn metrics_path(&self) -> PathBuf {
        self.path.join(METRICS)
    }

    /// Folder of a task's TensorBoard events.
    pub fn tensorboard_folder(&self, task: &Task) -> PathBuf {
        self.path.join(TENSORBOARD).join(task.name())
    }

    /// Folder of a task: weights, input statistics, predictions.
    pub fn task_folder(&self, task: &Task) -> PathBuf {
        self.path.join(CHECKPOINTS).join(task.name())
    }

    /// Weights of a task's model and their description.
    pub fn model_path(&self, task: &Task) -> PathBuf {
        self.task_folder(task).join(MODEL)
    }

    /// What turns responses into the inputs of a task's model.
    pub fn inputs_path(&self, task: &Task) -> PathBuf {
        self.task_folder(task).join(INPUTS)
    }

    /// Where an interrupted task stands; gone when it is done.
    pub fn state_path(&self, task: &Task) -> PathBuf {
        self.task_folder(task).join(STATE)
    }

    /// Test probabilities of a task: the last file written, so that its presence says that the task is done.
    pub fn task_predictions_path(&self, task: &Task) -> PathBuf {
        self.task_folder(task).join(PREDICTIONS)
    }

    fn with_files<T>(&self, use_files: impl FnOnce(&Files<'_>) -> Result<T>) -> Result<T> {
        let [labels, trials, shown, predictions, targets] =
            [LABELS, TRIALS, SHOWN, PREDICTIONS, TARGETS].map(|name| self.path.join(name));
        use_files(&Files {
            labels: &labels,
            trials: &trials,
            shown: &shown,
            predictions: &predictions,
            targets: &targets,
        })
    }

    /// The test predictions.
    ///
    /// # Errors
    /// When the run is not complete or its files contradict each other.
    pub fn predictions(&self) -> Result<Predictions> {
        self.refuse_incomplete()?;
        let division = self.division()?;
        self.with_files(|files| Predictions::read(files, &division))
    }

    /// The scores, where they are as this version writes them; else why not.
    ///
    /// # Errors
    /// When a `results.json` that is there cannot be read.
    pub fn results(&self) -> Result<std::result::Result<Results, String>> {
        let path = self.results_path();
        if !path.is_file() {
            return Ok(Err("the run has not been scored".to_owned()));
        }
        let text = fs::read_to_string(&path).map_err(Error::io("cannot read", &path))?;
        Ok(match serde_json::from_str::<Results>(&text) {
            Ok(results) if results.schema == RESULTS_SCHEMA => Ok(results),
            _ => {
                let found: Option<serde_json::Value> = serde_json::from_str(&text).ok();
                let found = found.and_then(|value| Some(value.get("schema")?.as_str()?.to_owned()));
                let found = found.unwrap_or_else(|| "no schema".to_owned());
                Err(format!(
                    "results.json was of another version ({found}, this one writes {RESULTS_SCHEMA})"
                ))
            }
        })
    }

    /// Where the scores lie.
    pub fn results_path(&self) -> PathBuf {
        self.path.join(RESULTS)
    }

    /// Writes the scores, and gives them as JSON.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write_results(&self, results: &Results) -> Result<String> {
        let path = self.results_path();
        let json = serde_json::to_string_pretty(results)
            .map_err(|error| Error::invalid(&path, error.to_string()))?;
        replace_file(&path, json.as_bytes())?;
        Ok(json)
    }

    /// Scores of pipelines retrained on relabelled stimuli; none where there is no table of them.
    ///
    /// # Errors
    /// A table that is damaged.
    pub fn retrained(&self) -> Result<Retrained> {
        Retrained::read(&self.retrained_path())
    }

    /// Where they lie.
    pub fn retrained_path(&self) -> PathBuf {
        self.path.join(PERMUTATIONS).join("scores.tsv")
    }

    /// Writes them.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub fn write_retrained(&self, retrained: &Retrained) -> Result<()> {
        let path = self.retrained_path();
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(Error::io("cannot create", folder))?;
        }
        retrained.write(&path)
    }

    /// Where the run of a relabelling is trained.
    pub fn relabelled_run(&self, index: usize) -> PathBuf {
        self.path.join(PERMUTATIONS).join(index.to_string())
    }

    /// Folder of what `mused explain` finds.
    pub fn explain_folder(&self) -> PathBuf {
        self.path.join(EXPLAIN)
    }

    /// The page of `mused report`.
    pub fn report_path(&self) -> PathBuf {
        self.path.join(REPORT)
    }

    /// Which candidate each model of a run at `path` is, where it was put together from candidates.
    pub fn chosen_path(path: &Path) -> PathBuf {
        path.join(CHOSEN)
    }

    /// A candidate of a run at `path`.
    pub fn candidate(path: &Path, index: usize) -> PathBuf {
        path.join(CANDIDATES).join(index.to_string())
    }

    /// The dataset of the run, at `moved` or where it was, if it is still the same in all that the run read.
    ///
    /// # Errors
    /// When it is not there, or has changed: what, and what to do.
    pub fn dataset(&self, moved: Option<&Path>) -> Result<Dataset> {
        let recorded = self.record.dataset.path.as_deref();
        let path = moved.or(recorded).ok_or_else(|| {
            let message = match self.record.schema.is_empty() {
                true => "there is no run.json that names the dataset",
                false => "the run was made from data in memory: write them with Dataset::write and name the folder with --dataset",
            };
            Error::invalid(&self.path, message)
        })?;
        if moved.is_none() && !path.is_dir() {
            return Err(Error::invalid(
                &self.path,
                format!(
                    "its dataset is no longer at {}: say where it is now with --dataset",
                    path.display()
                ),
            ));
        }
        let dataset = Dataset::open(path)?;
        self.check_dataset(&dataset)?;
        Ok(dataset)
    }

    /// Refuses another dataset than the run was started on.
    ///
    /// # Errors
    /// What differs, and what to do.
    pub fn check_dataset(&self, dataset: &Dataset) -> Result<()> {
        let reference = &self.record.dataset;
        let difference = match (&reference.identity, &reference.sha256) {
            (Some(identity), _) => identity.difference(&identity_for(identity, dataset)?),
            (None, Some(sha256)) => (dataset.folder_sha256()?.as_ref() != Some(sha256))
                .then(|| "some file of the folder".to_owned()),
            (None, None) => None,
        };
        let Some(difference) = difference else {
            return Ok(());
        };
        let place = dataset.place();
        Err(Error::invalid(
            &self.path,
            format!(
                "{place} is another dataset than the run was made on (what differs: {difference}); name the \
                 dataset of the run with --dataset, or train again on this one"
            ),
        ))
    }

    /// Test probabilities of a task that is done: samples × labels.
    ///
    /// # Errors
    /// A file that is missing or holds something else.
    pub fn task_predictions(&self, task: &Task) -> Result<Array2<f32>> {
        let path = self.task_predictions_path(task);
        let array = npy::read_npy_f32(&path)?.into_dimensionality::<Ix2>();
        array.map_err(|error| Error::invalid(&path, error.to_string()))
    }

    /// Puts the test probabilities of all tasks together, in the order of the tasks; the run is complete then. `rows`
    /// says what they are of, `targets` is rows × labels.
    ///
    /// # Errors
    /// A task that is not done, or has predicted something else.
    pub fn gather(&self, rows: &[PredictionRow], targets: ArrayView2<'_, u8>) -> Result<()> {
        let each = self.tasks().iter().map(|task| self.task_predictions(task));
        let all = together(&each.collect::<Result<Vec<_>>>()?, &self.path)?;
        if all.dim() != targets.dim() || all.nrows() != rows.len() {
            return Err(Error::invalid(
                &self.path,
                format!(
                    "expected the predictions of its models to be {:?} in all, found {:?}",
                    targets.dim(),
                    all.dim()
                ),
            ));
        }
        self.with_files(|files| files.write(rows, all.view(), targets))
    }

    /// Puts a run together whose tasks are taken from complete runs of the same tasks, one for each, in order.
    ///
    /// # Errors
    /// No run at all, or files that cannot be copied.
    pub fn assemble(path: &Path, chosen: &[(&Self, &Task)]) -> Result<Self> {
        let Some((first, _)) = chosen.first() else {
            return Err(Error::invalid(path, "there is no run to take models from"));
        };
        fs::create_dir_all(path).map_err(Error::io("cannot create", path))?;
        let copy = |from: &Path, to: &Path| -> Result<()> {
            fs::copy(from, to)
                .map(drop)
                .map_err(Error::io("cannot copy", from))
        };
        let mut metrics = String::new();
        let mut predictions = Vec::with_capacity(chosen.len());
        let made = Self {
            path: path.to_owned(),
            record: first.record.clone(),
        };
        for (run, task) in chosen {
            let (from, to) = (run.task_folder(task), made.task_folder(task));
            fs::create_dir_all(&to).map_err(Error::io("cannot create", &to))?;
            for entry in fs::read_dir(&from).map_err(Error::io("cannot list", &from))? {
                let entry = entry.map_err(Error::io("cannot list", &from))?;
                copy(&entry.path(), &to.join(entry.file_name()))?;
            }
            predictions.push(run.task_predictions(task)?);
            for record in run.epochs()?.iter().filter(|record| record.is_of(task)) {
                metrics.push_str(&record.line()?);
            }
        }
        for name in [CONFIG, LABELS, SPLIT, TRIALS, SHOWN, TARGETS] {
            copy(&first.path.join(name), &path.join(name))?;
        }
        replace_file(made.metrics_path(), metrics.as_bytes())?;
        let all = together(&predictions, path)?;
        npy::write_npy_f32(path.join(PREDICTIONS), all.view())?;
        made.finish()
    }
}

fn together(parts: &[Array2<f32>], run: &Path) -> Result<Array2<f32>> {
    let views: Vec<_> = parts.iter().map(|array| array.view()).collect();
    concatenate(Axis(0), &views).map_err(|error| {
        Error::invalid(run, format!("its models predict different labels: {error}"))
    })
}

/// A table of one column.
fn write_names<'n>(
    path: &Path,
    column: &str,
    names: impl Iterator<Item = &'n String>,
) -> Result<()> {
    let mut table = TableWriter::create(path, &[column])?;
    for name in names {
        table.write_row([name])?;
    }
    Ok(table.finish()?)
}

/// The identity of a dataset in what another identity covers.
fn identity_for(identity: &Identity, dataset: &Dataset) -> Result<Identity> {
    let features: Vec<&str> = identity.features.keys().map(String::as_str).collect();
    Ok(dataset.identity(&features)?)
}

/// Number of a schema `mused-run/N`; 0 of something else.
fn generation(schema: &str) -> u64 {
    let number = schema
        .strip_prefix("mused-run/")
        .and_then(|number| number.parse().ok());
    number.unwrap_or(0)
}

/// What a path that is no run directory is, and what takes it.
fn not_a_run(path: &Path) -> String {
    if path.join("dataset.json").is_file() {
        return "expected a run directory, found a dataset; `mused train` makes a run of it, and `mused info`, `audit`, \
                `features`, `rdm`, `map` and `benchmark` take the dataset itself"
            .to_owned();
    }
    if path.join(BENCHMARK).is_file() {
        return format!(
            "expected a run directory, found a folder of `mused benchmark`: name one of its runs (see {BENCHMARK}); \
             `mused report` and `compare` take the folder"
        );
    }
    if path.join(CONFIG).is_file() || path.join(SPLIT).is_file() {
        return format!(
            "expected a run directory, found one without {RUN}: its training never began, or the file was lost"
        );
    }
    match path.exists() {
        true => format!("expected a run directory, found no {RUN} in it; `mused train` makes one"),
        false => "there is nothing at this path; `mused train` makes a run".to_owned(),
    }
}

/// The run directories that paths name: runs as they are, and of a folder of `mused benchmark` every run it lists.
///
/// # Errors
/// A benchmark's table that cannot be read, or lists no run.
pub fn run_directories(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut runs = Vec::new();
    for path in paths {
        let table = path.join(BENCHMARK);
        if Run::exists(path) || !table.is_file() {
            runs.push(path.clone());
            continue;
        }
        let listed = Table::read(&table)?;
        let names = listed.column("run")?.strings()?;
        if names.is_empty() {
            return Err(Error::invalid(&table, "expected a row a run, found none"));
        }
        runs.extend(names.into_iter().map(|name| path.join(name)));
    }
    Ok(runs)
}
