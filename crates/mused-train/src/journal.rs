use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use mused_formats::replace_file;
use serde::{Deserialize, Serialize};

use crate::plan::Task;
use crate::tensorboard::{self, Scalar};
use crate::{EpochLosses, Error, Result, ValidationScores};

/// A line an epoch of each model.
pub(crate) const METRICS: &str = "metrics.jsonl";

/// One line of `metrics.jsonl`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct EpochRecord {
    pub(crate) fold: usize,
    /// The one subject the model is of, where every subject has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<String>,
    /// The subject the model is tested on and not trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) holdout: Option<String>,
    /// From 1.
    pub(crate) epoch: usize,
    /// Steps of the model so far.
    pub(crate) step: usize,
    pub(crate) learning_rate: f64,
    pub(crate) train: EpochLosses,
    pub(crate) validation: Option<ValidationScores>,
    /// Unix time.
    pub(crate) time: f64,
}

impl EpochRecord {
    /// Whether it is of the model of a task.
    pub(crate) fn is_of(&self, task: &Task) -> bool {
        let Task {
            fold,
            subject,
            holdout,
            ..
        } = task;
        (&self.fold, &self.subject, &self.holdout) == (fold, subject, holdout)
    }
}

/// The course of training: `metrics.jsonl` for all models, a TensorBoard event file for each.
pub(crate) struct Journal {
    root: PathBuf,
    lines: Mutex<File>,
}

impl Journal {
    /// Opens the journal of a run; records after the epochs that a model has done are dropped,
    /// since the interrupted run's continuation makes them again.
    pub(crate) fn open(root: &Path, done: &[(&Task, usize)]) -> Result<Self> {
        let path = root.join(METRICS);
        let mut records = match path.exists() {
            true => read(root)?,
            false => Vec::new(),
        };
        records.retain(|record| {
            let mut tasks = done.iter();
            tasks.any(|(task, epochs)| record.is_of(task) && record.epoch <= *epochs)
        });
        let mut kept = String::new();
        for record in &records {
            kept.push_str(&line(&path, record)?);
        }
        replace_file(&path, kept.as_bytes())?;
        for (task, _) in done {
            let events = root.join("tensorboard").join(task.name());
            fs::create_dir_all(&events).map_err(Error::io("cannot create", &events))?;
            let mut content = tensorboard::file_header(now());
            for record in records.iter().filter(|record| record.is_of(task)) {
                content.extend(event(record));
            }
            replace_file(event_file(root, task), &content)?;
        }
        let lines = append(&path)?;
        Ok(Self {
            root: root.to_owned(),
            lines: Mutex::new(lines),
        })
    }

    pub(crate) fn write(&self, task: &Task, record: &EpochRecord) -> Result<()> {
        let path = self.root.join(METRICS);
        let line = line(&path, record)?;
        let mut lines = self
            .lines
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        lines
            .write_all(line.as_bytes())
            .map_err(Error::io("cannot write", &path))?;
        let path = event_file(&self.root, task);
        append(&path)?
            .write_all(&event(record))
            .map_err(Error::io("cannot write", &path))
    }
}

/// What a run recorded.
pub(crate) fn read(root: &Path) -> Result<Vec<EpochRecord>> {
    let path = root.join(METRICS);
    let text = fs::read_to_string(&path).map_err(Error::io("cannot read", &path))?;
    // The last line of a killed process may be a part of one.
    let records = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    Ok(records.collect())
}

/// Seconds since 1970.
pub(crate) fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |elapsed| elapsed.as_secs_f64())
}

fn event_file(root: &Path, task: &Task) -> PathBuf {
    root.join("tensorboard")
        .join(task.name())
        .join("events.out.tfevents.0.mused")
}

fn append(path: &Path) -> Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .map_err(Error::io("cannot open", path))
}

pub(crate) fn line(path: &Path, record: &EpochRecord) -> Result<String> {
    serde_json::to_string(record)
        .map(|line| line + "\n")
        .map_err(|error| Error::invalid(path, error.to_string()))
}

fn event(record: &EpochRecord) -> Vec<u8> {
    let train = &record.train;
    let mut values = vec![
        ("learning_rate", Some(record.learning_rate)),
        ("train/total", Some(train.total)),
        ("train/classification", Some(train.classification)),
        ("train/orthogonality", train.orthogonality),
        ("train/rsa_high", train.high),
        ("train/rsa_low", train.low),
    ];
    if let Some(validation) = &record.validation {
        values.push((
            "validation/average_precision",
            Some(validation.average_precision),
        ));
        values.push(("validation/roc_auc", Some(validation.roc_auc)));
    }
    let scalars: Vec<Scalar<'_>> = values
        .iter()
        .filter_map(|(tag, value)| {
            value.map(|value| Scalar {
                tag,
                value: value as f32,
            })
        })
        .collect();
    tensorboard::scalars(record.time, record.epoch as u64, &scalars)
}
