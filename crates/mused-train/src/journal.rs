use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use mused_formats::{Together, make_folder, replace_file};
use mused_run::{EpochRecord, Run, Task};

use crate::tensorboard::{self, Scalar};
use crate::{Error, Result};

/// The course of training: `metrics.jsonl` for all models, a TensorBoard event file for each.
pub(crate) struct Journal<'r> {
    pub(crate) run: &'r Run,
    lines: Mutex<File>,
    /// Figures for TensorBoard: nothing that goes on rests on them.
    events: Together,
}

impl<'r> Journal<'r> {
    /// Opens the journal of a run; records after the epochs that a model has done are dropped,
    /// since the interrupted run's continuation makes them again.
    pub(crate) fn open(run: &'r Run, done: &[(&Task, usize)]) -> Result<Self> {
        let mut records = run.epochs()?;
        records.retain(|record| {
            let mut tasks = done.iter();
            tasks.any(|(task, epochs)| record.is_of(task) && record.epoch <= *epochs)
        });
        let kept = records.iter().map(EpochRecord::line);
        let kept: String = kept.collect::<mused_run::Result<_>>()?;
        let path = run.metrics_path();
        replace_file(&path, kept.as_bytes())?;
        let together = Together::new();
        together.include(run.tensorboard_path());
        for (task, _) in done {
            let events = run.tensorboard_folder(task);
            make_folder(&events).map_err(Error::io("cannot create", &events))?;
            let mut content = tensorboard::file_header(now());
            for record in records.iter().filter(|record| record.is_of(task)) {
                content.extend(event(record));
            }
            replace_file(event_file(run, task), &content)?;
        }
        let lines = append(&path)?;
        Ok(Self {
            run,
            lines: Mutex::new(lines),
            events: together,
        })
    }

    pub(crate) fn write(&self, task: &Task, record: &EpochRecord) -> Result<()> {
        let line = record.line()?;
        let mut lines = self
            .lines
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let path = self.run.metrics_path();
        lines
            .write_all(line.as_bytes())
            .map_err(Error::io("cannot write", &path))?;
        let path = event_file(self.run, task);
        append(&path)?
            .write_all(&event(record))
            .map_err(Error::io("cannot write", &path))
    }

    /// Brings what was written to disk: what a saved model has done is in the journal too.
    pub(crate) fn sync(&self) -> Result<()> {
        let lines = self
            .lines
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        (lines.sync_data()).map_err(Error::io("cannot write", &self.run.metrics_path()))
    }

    /// Brings the figures to disk too.
    pub(crate) fn finish(&self) -> Result<()> {
        self.sync()?;
        let synced = self.events.sync();
        synced.map_err(Error::io("cannot write", self.run.path()))
    }
}

fn event_file(run: &Run, task: &Task) -> PathBuf {
    run.tensorboard_folder(task)
        .join("events.out.tfevents.0.mused")
}

fn append(path: &Path) -> Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .map_err(Error::io("cannot open", path))
}

/// Seconds since 1970.
pub(crate) fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |elapsed| elapsed.as_secs_f64())
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
