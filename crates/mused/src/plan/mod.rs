//! Runs of a command that many processes make, on one machine or on a cluster's: a folder with a table of tasks, a script for
//! SLURM, and a claim for each task that somebody is at work on.
//!
//! `plan.json` has the command and the places of its runs, `jobs.tsv` a command a task, `submit.sbatch` an array of them. A
//! task is a run, or several short ones. [`Plan::work`] makes one; it is in `at-work/N` as long as a process has it, and in
//! `failed/` where it failed. What is done is told by the runs themselves. The command that was planned gathers them.

mod script;
mod status;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mused_data::{Dataset, Identity};
use mused_formats::sha256::hexadecimal;
use mused_formats::table::TableWriter;
use mused_formats::{make_folder, plain, quoted, replace_file};
use mused_run::{Config, Layers, Run};
use mused_train::Progress;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use script::Script;
pub use status::{Standing, numbers};
pub use work::Worked;

use crate::kept::{opened, refuse_other_data};
use crate::{Error, Result};

const SCHEMA: &str = "mused-plan/1";
const PLAN: &str = "plan.json";
const JOBS: &str = "jobs.tsv";
const SUBMIT: &str = "submit.sbatch";
const AT_WORK: &str = "at-work";
const FAILED: &str = "failed";
/// Tasks that SLURM takes in one array as it comes (`MaxArraySize` 1001).
const MOST_TASKS: usize = 1000;

/// A command whose runs any process can make, in any order.
pub trait Piecewise {
    /// The data.
    fn dataset(&self) -> &Dataset;

    /// Configuration of the runs, but for what makes each what it is.
    ///
    /// # Errors
    /// Values that do not fit.
    fn config(&self) -> Result<Config>;

    /// Every run that can be made by itself.
    ///
    /// # Errors
    /// As the command; runs that are there and are others.
    fn runs(&self) -> Result<Vec<Piece>>;

    /// Makes the run at a place, goes on with it, or keeps it.
    ///
    /// # Errors
    /// As training; a place where the command makes none.
    fn make<P: Progress>(&self, run: &Path, progress: P) -> Result<()>;
}

/// A run that can be made by itself.
#[derive(Debug)]
pub struct Piece {
    /// What runs of about the same length have in common.
    pub model: String,
    /// Where it lies.
    pub run: PathBuf,
    /// Its configuration.
    pub layers: Layers,
}

/// Tasks of a command.
#[derive(Debug)]
pub struct Plan {
    folder: PathBuf,
    content: Content,
}

/// The content of `plan.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Content {
    schema: String,
    version: String,
    /// Where the command was given.
    folder: PathBuf,
    /// Its arguments.
    command: Vec<String>,
    /// SHA-256 of the configuration.
    config: String,
    dataset: Identity,
    /// Places of the runs of each.
    tasks: Vec<Vec<PathBuf>>,
}

/// Refuses to write among what is no plan's, such as a dataset or a run.
fn refuse_occupied(folder: &Path) -> Result<()> {
    if !folder.exists() || folder.join(PLAN).is_file() {
        return Ok(());
    }
    let cannot = || mused_run::Error::io("cannot list", folder);
    for entry in fs::read_dir(folder).map_err(cannot())? {
        let name = entry.map_err(cannot())?.file_name();
        let name = name.to_string_lossy();
        // What a process leaves that was killed while it planned.
        if ![PLAN, JOBS].iter().any(|own| name.starts_with(own)) {
            return Err(request(format!(
                "{}: expected a folder for a plan alone, found {name} in it: choose another --plan",
                folder.display()
            )));
        }
    }
    Ok(())
}

/// Only the schema, which says what else is there.
#[derive(Deserialize)]
struct Head {
    schema: String,
    version: String,
}

impl Plan {
    /// Divides the runs of a command into tasks of about so long, as far as runs that are there tell how long they take, and
    /// writes them to `folder`.
    ///
    /// # Errors
    /// A folder that cannot be written, that holds something other than a plan, or whose tasks somebody is at work on.
    pub fn write(
        folder: &Path,
        command: Vec<String>,
        of: &impl Piecewise,
        pieces: &[Piece],
        task_time: Duration,
    ) -> Result<Self> {
        if let Some((task, claim)) = status::claims(folder).into_iter().next() {
            return Err(request(format!(
                "{}: task {task} is at work ({}): wait until it has ended, or choose another --plan",
                folder.display(),
                claim.holder
            )));
        }
        refuse_occupied(folder)?;
        make_folder(folder).map_err(mused_run::Error::io("cannot create", folder))?;
        let here = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let folder = fs::canonicalize(folder).unwrap_or_else(|_| here(folder));
        let mut tasks: Vec<Vec<PathBuf>> = Vec::new();
        for alike in pieces.chunk_by(|a, b| a.model == b.model) {
            let size = group_size(alike, task_time).max(pieces.len().div_ceil(MOST_TASKS));
            let places = |pieces: &[Piece]| pieces.iter().map(|piece| here(&piece.run)).collect();
            tasks.extend(alike.chunks(size).map(places));
        }
        let failed = folder.join(FAILED);
        if failed.is_dir() {
            fs::remove_dir_all(&failed).map_err(mused_run::Error::io("cannot remove", &failed))?;
        }
        let plan = Self {
            content: Content {
                schema: SCHEMA.to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                folder: here(Path::new(".")),
                command,
                config: digest(&of.config()?),
                dataset: of.dataset().identity(&[])?,
                tasks,
            },
            folder,
        };
        let path = plan.folder.join(PLAN);
        let text = serde_json::to_string(&plan.content)
            .map_err(|error| mused_run::Error::invalid(&path, error.to_string()))?;
        plan.write_jobs()?;
        replace_file(&path, text.as_bytes()).map_err(mused_run::Error::from)?;
        Ok(plan)
    }

    fn write_jobs(&self) -> Result<()> {
        let write = || -> mused_formats::Result<()> {
            let mut table = TableWriter::create(self.jobs_path(), &["task", "runs", "command"])?;
            for (task, runs) in (1..).zip(&self.content.tasks) {
                let command = format!("mused work {} --task {task}", quoted(&self.folder));
                table.write_row([task.to_string(), runs.len().to_string(), command])?;
            }
            table.finish()
        };
        Ok(write().map_err(mused_run::Error::from)?)
    }

    /// Opens a plan of this version.
    ///
    /// # Errors
    /// A folder without one; one of another version.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(PLAN);
        if !path.is_file() {
            let message = "expected a plan, found none; `mused benchmark`, `train`, `curve` and `permute` make one with --plan";
            return Err(mused_run::Error::invalid(folder, message).into());
        }
        let text = fs::read_to_string(&path).map_err(mused_run::Error::io("cannot read", &path))?;
        let damaged = |error: serde_json::Error| {
            let found = plain(error);
            let message =
                format!("expected a plan, found {found}: plan again with the same command");
            mused_run::Error::invalid(&path, message)
        };
        let head: Head = serde_json::from_str(&text).map_err(damaged)?;
        let own = (SCHEMA, env!("CARGO_PKG_VERSION"));
        if (head.schema.as_str(), head.version.as_str()) != own {
            let message = format!(
                "expected a plan of mused {}, found one of {}: this version may make other runs; plan again with the same \
                 command, runs that are complete are kept",
                own.1, head.version
            );
            return Err(mused_run::Error::invalid(&path, message).into());
        }
        Ok(Self {
            content: serde_json::from_str(&text).map_err(damaged)?,
            folder: fs::canonicalize(folder)
                .map_err(mused_run::Error::io("cannot read", folder))?,
        })
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The table of tasks.
    pub fn jobs_path(&self) -> PathBuf {
        self.folder.join(JOBS)
    }

    /// The script for SLURM.
    pub fn submit_path(&self) -> PathBuf {
        self.folder.join(SUBMIT)
    }

    /// The arguments of the command that was planned, and where it was given.
    pub fn command(&self) -> (&[String], &Path) {
        (&self.content.command, &self.content.folder)
    }

    /// How many there are.
    pub fn tasks(&self) -> usize {
        self.content.tasks.len()
    }

    /// Refuses a command that would make other runs by now.
    ///
    /// # Errors
    /// What changed.
    pub fn check(&self, of: &impl Piecewise) -> Result<()> {
        let found = of.dataset().identity(&[])?;
        let what = match self.content.dataset.difference(&found) {
            Some(difference) => format!(
                "{} changed since the plan was made (what differs: {difference}): bring the old data back, or plan again with \
                 another --out",
                of.dataset().place()
            ),
            None if digest(&of.config()?) != self.content.config => {
                "the configuration changed since the plan was made: bring the old one back, or plan again with another --out"
                    .to_owned()
            }
            None => return Ok(()),
        };
        Err(mused_run::Error::invalid(self.folder.join(PLAN), what).into())
    }

    /// The runs of a task, from 1.
    fn runs(&self, task: usize) -> Result<&[PathBuf]> {
        let runs = task
            .checked_sub(1)
            .and_then(|index| self.content.tasks.get(index));
        runs.map(Vec::as_slice).ok_or_else(|| {
            request(format!(
                "--task {task}: expected 1 to {}, the tasks of {}",
                self.tasks(),
                self.jobs_path().display()
            ))
        })
    }

    fn claim_path(&self, task: usize) -> PathBuf {
        self.folder.join(AT_WORK).join(task.to_string())
    }

    /// Where it is said why a task failed. A hundred in a folder: file servers are slow with many.
    fn failure_path(&self, task: usize) -> PathBuf {
        let hundred = (task / 100).to_string();
        self.folder
            .join(FAILED)
            .join(hundred)
            .join(task.to_string())
    }
}

/// About the memory that a process takes that makes any of these runs, the program itself included. `None` where it cannot be
/// told from here.
pub fn memory_of(dataset: &Dataset, pieces: &[Piece], threads: usize) -> Option<u64> {
    /// The program, its libraries and buffers, and what an estimate may be wrong by.
    const BESIDE: u64 = 1 << 30;

    let first_of_each = pieces
        .chunk_by(|a, b| a.model == b.model)
        .filter_map(<[Piece]>::first);
    let bytes = first_of_each.map(|piece| {
        mused_train::memory_of::<mused_kernels::CpuTraining>(dataset, &piece.layers, threads).ok()
    });
    let most = bytes.collect::<Option<Vec<u64>>>()?.into_iter().max()?;
    Some(most.saturating_mul(5) / 4 + BESIDE)
}

/// How many runs alike take about so long, by the first that is there; one where none is.
fn group_size(alike: &[Piece], task_time: Duration) -> usize {
    let took = |piece: &Piece| {
        let run = Run::open(&piece.run).ok()?;
        run.is_complete().then(|| run.record().took())?
    };
    let one = alike.iter().find_map(took);
    one.map_or(1, |one| {
        let one = one.max(Duration::from_secs(1));
        ((task_time.as_secs_f64() / one.as_secs_f64()) as usize).max(1)
    })
}

fn digest(config: &Config) -> String {
    let text = serde_json::to_vec(config).unwrap_or_default();
    hexadecimal(&Sha256::digest(text))
}

fn request(message: String) -> Error {
    mused_run::Error::Request(message).into()
}

/// Refuses runs that are there and were made on other data or with other settings.
pub(crate) fn refuse_others(dataset: &Dataset, pieces: &[Piece]) -> Result<()> {
    refuse_other_data(dataset, pieces.iter().map(|piece| piece.run.as_path()))?;
    for piece in pieces {
        opened(&piece.run, &piece.layers)?;
    }
    Ok(())
}

/// Of a place where a command makes no run.
pub(crate) fn no_such_run(run: &Path) -> Error {
    let message =
        "the command that was planned makes no such run by now: plan again with the same command";
    mused_run::Error::invalid(run, message).into()
}

/// Of folders of runs, how many of these were gathered.
struct Gathered<'r>(BTreeMap<&'r Path, usize>);

impl<'r> Gathered<'r> {
    fn of(runs: impl Iterator<Item = &'r PathBuf>) -> Self {
        let folders: BTreeSet<&Path> = runs.filter_map(|run| run.parent()).collect();
        let gathered = |folder| (folder, Run::gathered(folder));
        Self(folders.into_iter().map(gathered).collect())
    }

    /// Whether a run is there and complete, or was gathered.
    fn is_done(&self, run: &Path) -> bool {
        let gathered = run.parent().and_then(|folder| self.0.get(folder));
        Run::open(run).is_ok_and(|run| run.is_complete())
            || gathered.is_some_and(|&gathered| Run::is_among(run, gathered))
    }
}
