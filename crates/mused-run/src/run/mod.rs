mod claim;
mod digests;
mod foreign;
mod gather;
mod parts;
mod places;
mod ridge;

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

use mused_data::{Dataset, Fold, Identity, order_shown};
use mused_formats::table::TableWriter;
use mused_formats::{Together, make_folder, plain, quoted, replace_file};

pub use foreign::run_directories;
pub use parts::Parts;
pub use ridge::RidgeBeside;

use crate::predictions::Files;
use crate::{
    Config, Division, EpochRecord, Error, GuidanceUse, Layers, Predictions, RESULTS_SCHEMA, Result,
    Results, Retrained, RunRecord, Settled, Task, epochs,
};
use foreign::not_a_run;
use places::{CHECKPOINTS, CONFIG, LABELS, PREDICTIONS, RIDGE, RUN, SHOWN, SPLIT, TARGETS, TRIALS};

/// Generations of `run.json` that this version reads.
const KNOWN_SCHEMAS: [&str; 2] = ["mused-run/1", RunRecord::SCHEMA];

/// Generations of `results.json` that this version reads.
const KNOWN_RESULTS: [&str; 3] = ["mused-results/3", "mused-results/4", RESULTS_SCHEMA];

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
    /// A path that is no run directory, with what it is instead; a `run.json` that is damaged or of a newer version; a
    /// `config.toml` that was edited since the run was started.
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
                    "expected the description of a run, found {}: the file is damaged or not of mused; bring back \
                     a copy of it, or train the run again",
                    plain(error)
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
        let run = Self {
            record: serde_json::from_str(&text).map_err(damaged)?,
            path: path.to_owned(),
        };
        run.refuse_edited()?;
        Ok(run)
    }

    /// Opens a run directory, or a folder that holds nothing but predictions, made elsewhere, in the files of a run.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_predictions(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        // A run of mused that lost its run.json is not whole, whoever asks.
        let of_mused = [RUN, CONFIG, CHECKPOINTS]
            .iter()
            .any(|own| path.join(own).exists());
        if of_mused || !path.join(PREDICTIONS).is_file() {
            return Self::open(path);
        }
        Ok(Self {
            path: path.to_owned(),
            record: RunRecord::default(),
        })
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
        make_folder(path).map_err(Error::io("cannot create", path))?;
        Self::forget_plan(path)?;
        let run = Self {
            path: path.to_owned(),
            record,
        };
        let together = Together::new();
        together.include(path);
        run.complete_tables(dataset, folds)?;
        run.seal()?;
        replace_file(path.join(CONFIG), layers.annotated().as_bytes())?;
        together.sync().map_err(Error::io("cannot write", path))?;
        drop(together);
        run.write()?;
        Ok(run)
    }

    /// Writes the tables that follow from the dataset and its division, where they are missing or damaged.
    ///
    /// # Errors
    /// When one cannot be written.
    pub fn complete_tables(&self, dataset: &Dataset, folds: &[Fold]) -> Result<()> {
        let [split, labels, shown] = [SPLIT, LABELS, SHOWN].map(|name| self.path.join(name));
        if !split.is_file() {
            Division::of(dataset, folds).write(&split)?;
        }
        let whole = |path: &Path| path.is_file() && digests::check(path).is_ok();
        if !whole(&labels) {
            write_names(&labels, "label", dataset.labels.names.iter())?;
        }
        if !whole(&shown) {
            let order = order_shown(dataset);
            let mut stimuli: Vec<usize> = (0..order.len()).collect();
            stimuli.sort_by_key(|&stimulus| order[stimulus]);
            let ids = stimuli
                .iter()
                .map(|&stimulus| &dataset.stimuli[stimulus].id);
            write_names(&shown, "stimulus_id", ids)?;
        }
        Ok(())
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
        let network = whole.parent().filter(|_| own == RIDGE);
        if let Some(network) = network.and_then(|network| Self::open(network).ok()) {
            return format!("{}/{own}", network.name());
        }
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
        Err(Error::invalid(
            &self.path,
            format!(
                "expected a complete run with its {PREDICTIONS}, found one that was interrupted; continue it with {}",
                self.same_again()
            ),
        ))
    }

    /// The command that goes on with the run, or mends it.
    pub fn same_again(&self) -> String {
        match self.record.adapted {
            Some(_) => "the same `mused adapt`".to_owned(),
            None => format!(
                "`mused train {} --out {} --resume`",
                self.dataset_place(),
                quoted(&self.path)
            ),
        }
    }

    /// Where its dataset was, as a command can name it.
    fn dataset_place(&self) -> String {
        let path = self.record.dataset.path.as_ref();
        path.map_or("DATASET".to_owned(), quoted)
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
        if let (Some(config), false) = (&self.record.config, self.config_path().is_file()) {
            return Ok(config.clone());
        }
        Config::read(&self.config_text()?).map_err(|error| {
            let found = error.message();
            let advice = match self.record.config {
                Some(_) => "remove the file: run.json has the same values",
                None => "bring back a copy of the file, or train the run again",
            };
            let message = format!("expected the configuration of a run, found {found}: {advice}");
            Error::invalid(self.config_path(), message)
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

    /// The configuration with the feature sets that guided in the place of `auto`: sets that the dataset was given since
    /// change nothing.
    ///
    /// # Errors
    /// As [`Self::config`].
    pub fn resolved_config(&self) -> Result<Config> {
        let mut config = self.config()?;
        if let Some(resolved) = &self.record.resolved {
            let guidance = &mut config.guidance;
            for (choice, guide) in [
                (&mut guidance.high, &resolved.guidance_high),
                (&mut guidance.low, &resolved.guidance_low),
            ] {
                match guide {
                    _ if choice != "auto" => {}
                    GuidanceUse::Used { features, .. } => features.clone_into(choice),
                    GuidanceUse::Unused { unused } if unused == GuidanceUse::NO_SET => {
                        "none".clone_into(choice);
                    }
                    GuidanceUse::Unused { .. } => {}
                }
            }
        }
        Ok(config)
    }

    /// Refuses a run whose `config.toml` was edited since it was started: to go on with it would mix two runs, and to tell
    /// of it would tell of one that was never trained.
    fn refuse_edited(&self) -> Result<()> {
        let Some(started) = &self.record.config else {
            return Ok(());
        };
        let changed = started.changes(&self.config()?)?;
        if changed.is_empty() {
            return Ok(());
        }
        Err(Error::invalid(
            self.config_path(),
            format!(
                "it was edited since the run was started ({}): write the old values back or remove the file, as {RUN} has \
                 them too; `mused train --config {} --out` another folder trains a run of the new ones",
                changed.join("; "),
                quoted(self.config_path())
            ),
        ))
    }

    /// `config.toml` as it stands, with the origin of every value.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn config_text(&self) -> Result<String> {
        let path = self.config_path();
        fs::read_to_string(&path).map_err(Error::io("cannot read", &path))
    }

    /// Who is trained and tested.
    ///
    /// # Errors
    /// A `split.tsv` that is missing or damaged, or lacks the fold of a model.
    pub fn division(&self) -> Result<Division> {
        let path = self.path.join(SPLIT);
        self.check(&path)?;
        let division = Division::read(&path).map_err(|error| self.damaged(&error))?;
        let folds = self.tasks().iter().map(|task| task.fold);
        division.refuse_others(folds, &self.path.join(RUN))?;
        Ok(division)
    }

    /// The course of training; nothing where there is no `metrics.jsonl`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn epochs(&self) -> Result<Vec<EpochRecord>> {
        epochs::read(&self.metrics_path())
    }

    fn files(&self) -> Files {
        let [labels, trials, shown, predictions, targets] =
            [LABELS, TRIALS, SHOWN, PREDICTIONS, TARGETS].map(|name| self.path.join(name));
        Files {
            labels,
            trials,
            shown,
            predictions,
            targets,
        }
    }

    /// The test predictions.
    ///
    /// # Errors
    /// When the run is not complete or its files contradict each other.
    pub fn predictions(&self) -> Result<Predictions> {
        self.refuse_incomplete()?;
        let division = self.division()?;
        let files = self.files();
        for path in files.all() {
            self.check(path)?;
        }
        Predictions::read(&files, &division).map_err(|error| self.damaged(&error))
    }

    /// A file that is missing or damaged and follows from others: what to do.
    pub fn damaged(&self, error: &dyn Display) -> Error {
        Error::invalid(
            &self.path,
            format!(
                "{error}; remove the damaged file, and {} makes it again",
                self.same_again()
            ),
        )
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
        let value: Option<serde_json::Value> = serde_json::from_str(&text).ok();
        let schema = value
            .as_ref()
            .and_then(|value| value.get("schema")?.as_str());
        Ok(match (serde_json::from_str(&text), schema) {
            (results, Some(schema)) if KNOWN_RESULTS.contains(&schema) => match results {
                // Versions before kept no record of it.
                Ok(_) if schema == RESULTS_SCHEMA && digests::check(&path).is_err() => {
                    Err("results.json was not the file that was written".to_owned())
                }
                results => {
                    results.map_err(|error| format!("results.json is damaged ({})", plain(error)))
                }
            },
            (_, found) => Err(format!(
                "results.json was of another version ({}, this one writes {RESULTS_SCHEMA})",
                found.unwrap_or("no schema")
            )),
        })
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
        self.seal_results()?;
        Ok(json)
    }

    /// Scores of pipelines retrained on relabelled stimuli; none where there is no table of them.
    ///
    /// # Errors
    /// A table that is damaged.
    pub fn retrained(&self) -> Result<Retrained> {
        Retrained::read(&self.retrained_path())
    }

    /// Writes them.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub fn write_retrained(&self, retrained: &Retrained) -> Result<()> {
        let path = self.retrained_path();
        if let Some(folder) = path.parent() {
            make_folder(folder).map_err(Error::io("cannot create", folder))?;
        }
        retrained.write(&path)
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
                    "its dataset is no longer at {}: move it back, or say where it is now with --dataset (`mused explain`, `permute`)",
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
        let Some(difference) = self.difference(dataset, None)? else {
            return Ok(());
        };
        let place = dataset.place();
        Err(Error::invalid(
            &self.path,
            format!(
                "{place} is another dataset than the run was made on (what differs: {difference}); bring \
                 the old one back, say where it is with --dataset (`mused explain`, `permute`), or train again on this one"
            ),
        ))
    }

    /// What differs, in what the run read, between its dataset and `dataset`. `known` is the identity of the latter with
    /// the feature sets of many runs, where it was computed before.
    ///
    /// # Errors
    /// A dataset that cannot be read.
    pub fn difference(
        &self,
        dataset: &Dataset,
        known: Option<&Identity>,
    ) -> Result<Option<String>> {
        let reference = &self.record.dataset;
        Ok(match (&reference.identity, &reference.sha256) {
            (Some(identity), _) => {
                let found = match known {
                    Some(known) => known.clone(),
                    None => dataset.identity(&self.features())?,
                };
                identity.difference(&found.with_features(&self.features()))
            }
            (None, Some(sha256)) => (dataset.folder_sha256()?.as_ref() != Some(sha256))
                .then(|| "some file of the folder".to_owned()),
            (None, None) => None,
        })
    }

    /// The feature sets that the run read.
    pub fn features(&self) -> Vec<&str> {
        let identity = self.record.dataset.identity.iter();
        identity
            .flat_map(|identity| identity.features.keys())
            .map(String::as_str)
            .collect()
    }
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

/// Number of a schema `mused-run/N`; 0 of something else.
fn generation(schema: &str) -> u64 {
    let number = schema
        .strip_prefix("mused-run/")
        .and_then(|number| number.parse().ok());
    number.unwrap_or(0)
}
