use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use mused_formats::npy::{Dtype, NpyWriter};
use mused_formats::{Lock, Locked, make_folder, replace_file, replace_folder};
use ndarray::ArrayView1;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Error, Result};

/// Key of the job's hash in `feature.json`.
const JOB: &str = "job_sha256";

/// Rows of a feature set on their way into `features/NAME`, kept in a hidden folder beside it.
pub(super) struct Store {
    destination: PathBuf,
    partial: PathBuf,
    job: String,
    /// The description of the set that is there now.
    replaced: Option<Map<String, Value>>,
    rows: Option<Rows>,
    /// Rows on disk.
    done: usize,
    /// Two writers would take turns in the same rows.
    _lock: Lock,
}

struct Rows {
    file: BufWriter<File>,
    width: usize,
}

const DESCRIPTION: &str = "feature.json";
/// Names of the job and the rows of an unfinished store.
const LEFT: &str = "job.json";
const ROWS: &str = "rows.f32";

/// `job.json` of an unfinished store.
#[derive(Serialize, Deserialize)]
struct Job {
    job_sha256: String,
    width: usize,
    /// Rows that are on disk: behind them a power cut may leave zeros.
    #[serde(default)]
    rows: usize,
}

impl Store {
    /// Opens the store where it was left; `None` when the same job has been done already.
    ///
    /// # Errors
    /// When features of this name exist that were not made by this command, or another process is making them.
    pub(super) fn open(dataset: &Path, name: &str, job: String) -> Result<Option<Self>> {
        let features = dataset.join("features");
        let destination = features.join(name);
        let lock = features.join(format!(".{name}.lock"));
        // Whoever left a lock was stopped: it goes with the one that is taken here.
        if made(&destination)?.is_some_and(|made| of_job(&made, &job)) && !lock.exists() {
            return Ok(None);
        }
        make_folder(&features).map_err(Error::io("cannot create", &features))?;
        let lock = match Lock::take(lock)? {
            Locked::Own(lock) => lock,
            Locked::Other(holder) => {
                return Err(Error::Request(format!(
                    "{}: {holder} is making these features now: wait until it has ended, or choose another --name",
                    destination.display()
                )));
            }
        };
        // By a process that has ended since.
        let replaced = made(&destination)?;
        if replaced.as_ref().is_some_and(|made| of_job(made, &job)) {
            return Ok(None);
        }
        let partial = features.join(format!(".{name}.partial"));
        if description(&partial).is_some_and(|made| of_job(&made, &job)) {
            // It was killed before it could put what it had made in its place.
            put(&partial, &destination)?;
            return Ok(None);
        }
        let mut store = Self {
            partial,
            destination,
            job,
            replaced,
            rows: None,
            done: 0,
            _lock: lock,
        };
        store.resume()?;
        Ok(Some(store))
    }

    pub(super) fn done(&self) -> usize {
        self.done
    }

    /// The description of the set that this one will replace.
    pub(super) fn replaced(&self) -> Option<&Map<String, Value>> {
        self.replaced.as_ref()
    }

    fn rows_file(&self) -> PathBuf {
        self.partial.join(ROWS)
    }

    /// Takes up whole rows of an interrupted run of the same job; anything else is discarded.
    fn resume(&mut self) -> Result<()> {
        let left: Option<Job> = fs::read(self.partial.join(LEFT))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let path = self.rows_file();
        let left = left.filter(|left| left.job_sha256 == self.job && left.width > 0);
        if let Some(left) = left.filter(|_| path.is_file()) {
            let file = OpenOptions::new()
                .append(true)
                .open(&path)
                .map_err(Error::io("cannot open", &path))?;
            let length = file.metadata().map_err(Error::io("cannot read", &path))?;
            let row = left.width as u64 * 4;
            let whole = (length.len() / row).min(left.rows as u64);
            file.set_len(whole * row)
                .map_err(Error::io("cannot write", &path))?;
            self.done = whole as usize;
            self.rows = Some(Rows {
                file: BufWriter::new(file),
                width: left.width,
            });
        } else if self.partial.exists() {
            fs::remove_dir_all(&self.partial).map_err(Error::io("cannot remove", &self.partial))?;
        }
        Ok(())
    }

    pub(super) fn append(&mut self, row: ArrayView1<'_, f32>) -> Result<()> {
        let path = self.rows_file();
        let rows = match &mut self.rows {
            Some(rows) => rows,
            None => {
                make_folder(&self.partial).map_err(Error::io("cannot create", &self.partial))?;
                let file = File::create(&path).map_err(Error::io("cannot create", &path))?;
                record(&self.partial, &self.job, row.len(), 0)?;
                self.rows.insert(Rows {
                    file: BufWriter::new(file),
                    width: row.len(),
                })
            }
        };
        if row.len() != rows.width {
            return Err(Error::Request(format!(
                "expected features of {} values, found {}",
                rows.width,
                row.len()
            )));
        }
        for value in row {
            rows.file
                .write_all(&value.to_le_bytes())
                .map_err(Error::io("cannot write", &path))?;
        }
        self.done += 1;
        Ok(())
    }

    /// Brings what was appended to disk.
    pub(super) fn flush(&mut self) -> Result<()> {
        let path = self.rows_file();
        let Some(rows) = &mut self.rows else {
            return Ok(());
        };
        (rows.file.flush())
            .and_then(|()| rows.file.get_ref().sync_data())
            .map_err(Error::io("cannot write", &path))?;
        record(&self.partial, &self.job, rows.width, self.done)
    }

    /// Moves the complete feature set to its place.
    pub(super) fn finish(mut self, mut description: Map<String, Value>) -> Result<()> {
        self.flush()?;
        let Some(Rows { width, .. }) = self.rows.take() else {
            return Err(Error::Request("there are no stimuli".to_owned()));
        };
        let path = self.rows_file();
        let read = Error::io("cannot read", &path);
        let mut rows = BufReader::new(File::open(&path).map_err(read)?);
        let file = self.partial.join("features.npy");
        let mut array = NpyWriter::create(file, Dtype::F32, self.done, width)?;
        let mut bytes = vec![0; width * 4];
        let mut row = vec![0.0; width];
        for _ in 0..self.done {
            rows.read_exact(&mut bytes)
                .map_err(Error::io("cannot read", &path))?;
            for (value, bytes) in row.iter_mut().zip(bytes.as_chunks::<4>().0) {
                *value = f32::from_le_bytes(*bytes);
            }
            array.write_row(&row)?;
        }
        array.finish()?;
        description.insert(JOB.to_owned(), self.job.into());
        let text = serde_json::to_vec_pretty(&description).unwrap_or_default();
        replace_file(self.partial.join(DESCRIPTION), &text)?;
        put(&self.partial, &self.destination)
    }
}

/// Writes down how far an unfinished store has come.
fn record(partial: &Path, job: &str, width: usize, rows: usize) -> Result<()> {
    let job = Job {
        job_sha256: job.to_owned(),
        width,
        rows,
    };
    let text = serde_json::to_vec(&job).unwrap_or_default();
    Ok(replace_file(partial.join(LEFT), &text)?)
}

/// Moves a complete set to its place, without what it was made of.
fn put(partial: &Path, destination: &Path) -> Result<()> {
    for scaffold in [LEFT, ROWS] {
        let path = partial.join(scaffold);
        if path.exists() {
            fs::remove_file(&path).map_err(Error::io("cannot remove", &path))?;
        }
    }
    Ok(replace_folder(partial, destination)?)
}

/// The description of the features that are there, which must be of this command's making.
fn made(destination: &Path) -> Result<Option<Map<String, Value>>> {
    if !destination.exists() {
        return Ok(None);
    }
    match description(destination).filter(|found| found.contains_key(JOB)) {
        Some(found) => Ok(Some(found)),
        None => Err(Error::Request(format!(
            "{} was not made by `mused features`: choose another --name",
            destination.display()
        ))),
    }
}

/// Written last: what has one is complete.
fn description(folder: &Path) -> Option<Map<String, Value>> {
    let text = fs::read_to_string(folder.join(DESCRIPTION)).ok()?;
    serde_json::from_str(&text).ok()
}

fn of_job(made: &Map<String, Value>, job: &str) -> bool {
    made.get(JOB).and_then(Value::as_str) == Some(job)
}
