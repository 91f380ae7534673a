use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use mused_data::Dataset;
use mused_formats::replace_file;
use mused_formats::table::Table;
use mused_results::{Predictions, Results, SCHEMA, evaluate};
use mused_stats::metrics::Undefined;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{Epoch, Explain, Settings, journal};
use crate::{Error, Result};

/// The content of `run.json`, as far as a report needs it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RunDescription {
    pub(crate) version: String,
    pub(crate) dataset: DatasetReference,
    pub(crate) subjects: Vec<String>,
    pub(crate) audit: Option<Audit>,
    pub(crate) machine: BTreeMap<String, Value>,
    pub(crate) started: String,
    pub(crate) finished: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct DatasetReference {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) sha256: String,
    pub(crate) simulated: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Audit {
    pub(crate) findings: Vec<AuditFinding>,
    pub(crate) skipped: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct AuditFinding {
    pub(crate) leak: String,
    pub(crate) evidence: String,
}

/// A thing of a run, or why it is not there.
pub(crate) type Part<T> = std::result::Result<T, String>;

/// Sizes of the parts of a fold, in stimuli.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FoldSizes {
    pub(crate) train: usize,
    pub(crate) validation: usize,
    pub(crate) test: usize,
}

/// A run directory, as far as it is there.
#[derive(Debug)]
pub struct RunFiles {
    pub(crate) path: PathBuf,
    pub(crate) name: String,
    pub(crate) run: RunDescription,
    pub(crate) settings: Settings,
    /// Scores as this version writes them.
    pub(crate) results: Part<Results>,
    /// What happened to a `results.json` of another version.
    pub(crate) notes: Vec<String>,
    pub(crate) predictions: Part<Predictions>,
    pub(crate) epochs: Vec<Epoch>,
    pub(crate) folds: Vec<FoldSizes>,
    pub(crate) grouped: bool,
    pub(crate) split_sha256: Option<String>,
    pub(crate) dataset: Part<Dataset>,
    pub(crate) explain: Part<Explain>,
}

impl RunFiles {
    /// Reads a run directory. Scores that are missing or of another version are computed and written, as
    /// `mused evaluate` does.
    ///
    /// # Errors
    /// When it is no run directory, or `results.json` cannot be written. What else is missing or broken is told where
    /// it would be shown.
    pub fn read(path: &Path) -> Result<Self> {
        let run = path.join("run.json");
        if !run.is_file() {
            return Err(Error::invalid(
                path,
                "expected a run directory, found no run.json in it; `mused train` makes one",
            ));
        }
        let text = fs::read_to_string(&run).map_err(Error::io(&run))?;
        let description: RunDescription =
            serde_json::from_str(&text).map_err(|error| Error::invalid(&run, error))?;
        let mut notes = Vec::new();
        let predictions = Predictions::read(path).map_err(|error| error.to_string());
        let results = match &predictions {
            Ok(_) => results(path, &mut notes)?,
            Err(why) => Err(why.clone()),
        };
        let (folds, grouped) = split(path).unwrap_or_default();
        let split_bytes = fs::read(path.join("split.tsv")).ok();
        Ok(Self {
            name: name_of(path),
            settings: Settings::read(&path.join("config.toml")),
            results,
            notes,
            predictions,
            epochs: journal::read(&path.join("metrics.jsonl")),
            folds,
            grouped,
            split_sha256: split_bytes.map(|bytes| hexadecimal(&Sha256::digest(bytes))),
            dataset: dataset(&description),
            explain: Explain::read(path),
            run: description,
            path: path.to_owned(),
        })
    }

    /// Where the run's dataset is, if it is still there.
    pub fn dataset(&self) -> Option<&Dataset> {
        self.dataset.as_ref().ok()
    }

    /// Subjects that were tested, in alphabetical order.
    pub(crate) fn subjects(&self) -> Vec<String> {
        match &self.results {
            Ok(results) => results.subjects.keys().cloned().collect(),
            Err(_) => self.run.subjects.clone(),
        }
    }

    pub(crate) fn labels(&self) -> Vec<String> {
        match &self.results {
            Ok(results) => results
                .labels
                .iter()
                .map(|label| label.name.clone())
                .collect(),
            Err(_) => Vec::new(),
        }
    }
}

/// The last parts of a path that tell runs apart.
pub(super) fn name_of(path: &Path) -> String {
    let whole = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let last = |path: &Path| {
        path.file_name()
            .map(|name| name.to_string_lossy().into_owned())
    };
    let own = last(&whole).unwrap_or_else(|| path.display().to_string());
    match whole.parent().and_then(last) {
        Some(parent) if own.starts_with("seed-") => format!("{parent}/{own}"),
        _ => own,
    }
}

pub(super) fn results(run: &Path, notes: &mut Vec<String>) -> Result<Part<Results>> {
    let path = run.join("results.json");
    if path.is_file() {
        let text = fs::read_to_string(&path).map_err(Error::io(&path))?;
        match serde_json::from_str::<Results>(&text) {
            Ok(results) if results.schema == SCHEMA => return Ok(Ok(results)),
            _ => {
                let found: Option<Value> = serde_json::from_str(&text).ok();
                let found = found.and_then(|value| Some(value.get("schema")?.as_str()?.to_owned()));
                notes.push(format!(
                    "results.json was of another version ({}, this one writes {SCHEMA}): the predictions were scored \
                     anew and results.json was replaced.",
                    found.unwrap_or_else(|| "no schema".to_owned())
                ));
            }
        }
    }
    match evaluate(run, Undefined::Exclude) {
        Ok(results) => {
            let json = serde_json::to_string_pretty(&results)
                .map_err(|error| Error::invalid(&path, error))?;
            replace_file(&path, json.as_bytes())?;
            Ok(Ok(results))
        }
        Err(error) => Ok(Err(error.to_string())),
    }
}

fn split(run: &Path) -> Option<(Vec<FoldSizes>, bool)> {
    let table = Table::read(run.join("split.tsv")).ok()?;
    let numbers: Vec<usize> = table.column("fold").ok()?.parse().ok()?;
    let parts = table.column("part").ok()?.strings().ok()?;
    let stimuli = table.column("stimulus_id").ok()?.strings().ok()?;
    let groups = table.column("group").ok()?.strings().ok()?;
    // A table of as many rows as one fold cannot name more folds than that.
    let count = numbers
        .iter()
        .max()
        .map_or(0, |last| last + 1)
        .min(numbers.len());
    let mut folds = vec![FoldSizes::default(); count];
    for (number, part) in numbers.iter().zip(parts) {
        let fold = folds.get_mut(*number)?;
        match part {
            "train" => fold.train += 1,
            "validation" => fold.validation += 1,
            "test" => fold.test += 1,
            _ => {}
        }
    }
    Some((folds, stimuli != groups))
}

fn dataset(description: &RunDescription) -> Part<Dataset> {
    let path = &description.dataset.path;
    if path.as_os_str().is_empty() {
        return Err("run.json does not say where the dataset was".to_owned());
    }
    let dataset = Dataset::open(path).map_err(|error| error.to_string())?;
    // Hashing gigabytes of responses again is what `mused audit RUN` does.
    let found = &dataset.description.name;
    if *found != description.dataset.name {
        return Err(format!(
            "the dataset at {} is called {found:?}, the run was made from {:?}",
            path.display(),
            description.dataset.name
        ));
    }
    Ok(dataset)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
