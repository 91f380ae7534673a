//! Models of a run that several processes make, each a run of its own, until the run takes them in.

use std::fs;
use std::path::{Path, PathBuf};

use mused_data::Dataset;
use mused_formats::{Lock, make_folder, move_folder, replace_file};

use super::Run;
use super::places::{CHECKPOINTS, PARTS, PERMUTATIONS, RETRAINED};
use crate::{Config, EpochRecord, Error, Result, Retrained, Task};

/// What was made of the models of a run one by one; nobody else writes it.
#[derive(Debug)]
pub struct Parts(Vec<Part>);

#[derive(Debug)]
struct Part {
    path: PathBuf,
    alone: Lock,
    task: Task,
    /// `None` where it was not begun.
    run: Option<Run>,
}

impl Run {
    /// Where one model of a run at `path` is made by itself.
    pub fn part(path: &Path, task: &Task) -> PathBuf {
        path.join(PARTS).join((task.index + 1).to_string())
    }

    /// How many of the runs in a folder, which are numbered from 1, were gathered: what they are of has all that is wanted
    /// of them, and they may be gone.
    pub fn gathered(folder: &Path) -> usize {
        match (folder.parent(), folder.file_name()) {
            (Some(whole), Some(name)) if name == PARTS && Self::exists(whole) => usize::MAX,
            (_, Some(name)) if name == PERMUTATIONS => {
                Retrained::read(&folder.join(RETRAINED)).map_or(0, |scores| scores.roc_auc.len())
            }
            _ => 0,
        }
    }

    /// Whether a run was gathered, where [`Self::gathered`] of its folder are so many.
    pub fn is_among(path: &Path, gathered: usize) -> bool {
        let name = path.file_name().and_then(|name| name.to_str());
        let number = name.and_then(|name| name.parse::<usize>().ok());
        number.is_some_and(|number| (1..=gathered).contains(&number))
    }

    /// Refuses to make what was gathered meanwhile.
    ///
    /// # Errors
    /// That it was.
    pub fn refuse_gathered(path: &Path) -> Result<()> {
        let folder = path.parent().unwrap_or(path);
        match Self::is_among(path, Self::gathered(folder)) {
            true => Err(Error::invalid(
                path,
                "it was gathered by another process meanwhile: there is nothing left to do",
            )),
            false => Ok(()),
        }
    }
}

impl Parts {
    /// Claims what was made of the models of a run at `path`.
    ///
    /// # Errors
    /// A process that is at work on one of them; models of another dataset or configuration.
    pub fn claim(path: &Path, tasks: &[Task], config: &Config, dataset: &Dataset) -> Result<Self> {
        if !path.join(PARTS).is_dir() {
            return Ok(Self(Vec::new()));
        }
        let part = |task: &Task| {
            let path = Run::part(path, task);
            let alone = Run::claim(&path)?;
            let run = Run::exists(&path).then(|| Run::open(&path)).transpose()?;
            if let Some(run) = &run {
                run.check_dataset(dataset)?;
                if run.config()? != *config || run.tasks() != [task.clone()] {
                    let message = "it was made with other settings: give the same ones, remove it, or choose another --out";
                    return Err(Error::invalid(&path, message));
                }
            }
            let task = task.clone();
            Ok(Part {
                path,
                alone,
                task,
                run,
            })
        };
        Ok(Self(tasks.iter().map(part).collect::<Result<_>>()?))
    }

    /// Moves them into the run, whatever they have come to, and removes what is left of them. A process that is killed
    /// meanwhile has the run go on with the rest.
    ///
    /// # Errors
    /// Files that cannot be read, moved or written.
    pub fn take_in(self, run: &Run) -> Result<()> {
        let missing = |part: &&Part| !run.task_folder(&part.task).exists();
        let begun = self.0.iter().filter(missing);
        let begun: Vec<(&Run, &Task)> = begun
            .filter_map(|part| Some((part.run.as_ref()?, &part.task)))
            .filter(|(part, task)| part.task_folder(task).is_dir())
            .collect();
        let mut epochs = run.epochs()?;
        epochs.retain(|record| !begun.iter().any(|(_, task)| record.is_of(task)));
        for (part, _) in &begun {
            epochs.extend(part.epochs()?);
        }
        let lines = epochs.iter().map(EpochRecord::line);
        if !begun.is_empty() {
            replace_file(
                run.metrics_path(),
                lines.collect::<Result<String>>()?.as_bytes(),
            )?;
            let models = run.path.join(CHECKPOINTS);
            make_folder(&models).map_err(Error::io("cannot create", &models))?;
        }
        for (part, task) in begun {
            let (from, to) = (part.task_folder(task), run.task_folder(task));
            move_folder(&from, &to).map_err(Error::io("cannot move", &from))?;
        }
        for part in self.0 {
            // A file that is open keeps its folder on some file servers.
            drop(part.alone);
            let _ = fs::remove_dir_all(&part.path);
        }
        // What is left now is wanted by nobody.
        let _ = fs::remove_dir(run.path.join(PARTS));
        Ok(())
    }
}
