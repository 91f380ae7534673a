//! Every name in a run directory.

use std::path::{Path, PathBuf};

use super::Run;
use crate::Task;

pub(super) const RUN: &str = "run.json";
pub(super) const CONFIG: &str = "config.toml";
pub(super) const SPLIT: &str = "split.tsv";
pub(super) const METRICS: &str = "metrics.jsonl";
pub(super) const TENSORBOARD: &str = "tensorboard";
pub(super) const CHECKPOINTS: &str = "checkpoints";
pub(super) const LABELS: &str = "labels.tsv";
pub(super) const TRIALS: &str = "trials.tsv";
pub(super) const SHOWN: &str = "shown.tsv";
pub(super) const PREDICTIONS: &str = "predictions.npy";
pub(super) const TARGETS: &str = "targets.npy";
pub(super) const RESULTS: &str = "results.json";
pub(super) const PERMUTATIONS: &str = "permutations";
/// Table of scores in it.
pub(super) const RETRAINED: &str = "scores.tsv";
/// Models that are made one by one, each a run of its own, before the run is.
pub(super) const PARTS: &str = "parts";
pub(super) const CHOSEN: &str = "chosen.tsv";
pub(super) const CANDIDATES: &str = "candidates";
pub(super) const EXPLAIN: &str = "explain";
pub(super) const RETRIEVAL: &str = "retrieval";
pub(super) const WORDS: &str = "words";
/// The ridge regression beside a network: a run directory of its own.
pub(super) const RIDGE: &str = "ridge";
pub(super) const REPORT: &str = "report.html";
/// Of a task: weights and their description.
pub(super) const MODEL: &str = "model.safetensors";
/// Of a task: what turns responses into inputs.
pub(super) const INPUTS: &str = "inputs.safetensors";
/// Of a task: where training stands.
pub(super) const STATE: &str = "state.safetensors";
/// Of a task: where it stood when it was saved the time before.
pub(super) const STATE_BEFORE: &str = "state-before.safetensors";
/// Of the run and of each task: digests of its other files.
pub(super) const DIGESTS: &str = "sha256.tsv";
/// Of a run or a folder of runs, while a process writes it.
pub(super) const LOCK: &str = ".lock";
/// Table of a folder of `mused benchmark`.
pub(super) const BENCHMARK: &str = "benchmark.tsv";

impl Run {
    /// Where the configuration lies, a valid `--config`.
    pub fn config_path(&self) -> PathBuf {
        self.path.join(CONFIG)
    }

    /// Where the division lies.
    pub fn division_path(&self) -> PathBuf {
        self.path.join(SPLIT)
    }

    /// Where the course of training is recorded.
    pub fn metrics_path(&self) -> PathBuf {
        self.path.join(METRICS)
    }

    /// Folder of all TensorBoard events.
    pub fn tensorboard_path(&self) -> PathBuf {
        self.path.join(TENSORBOARD)
    }

    /// Folder of a task's TensorBoard events.
    pub fn tensorboard_folder(&self, task: &Task) -> PathBuf {
        self.tensorboard_path().join(task.name())
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

    /// Where it stood when it was saved the time before, to go back to when the newer state is damaged.
    pub fn state_before_path(&self, task: &Task) -> PathBuf {
        self.task_folder(task).join(STATE_BEFORE)
    }

    /// Maps of a subject that took long to fit; gone when the task is done.
    pub fn maps_path(&self, task: &Task, subject: usize) -> PathBuf {
        let name = format!("maps-{subject}.safetensors");
        self.task_folder(task).join(name)
    }

    /// Test probabilities of a task that is done.
    pub fn task_predictions_path(&self, task: &Task) -> PathBuf {
        self.task_folder(task).join(PREDICTIONS)
    }

    /// Where the scores lie.
    pub fn results_path(&self) -> PathBuf {
        self.path.join(RESULTS)
    }

    /// Where they lie.
    pub fn retrained_path(&self) -> PathBuf {
        self.path.join(PERMUTATIONS).join(RETRAINED)
    }

    /// Folder of what `mused permute` makes.
    pub fn permutations_folder(&self) -> PathBuf {
        self.path.join(PERMUTATIONS)
    }

    /// Where the run of a relabelling is trained.
    pub fn relabelled_run(&self, index: usize) -> PathBuf {
        self.path.join(PERMUTATIONS).join(index.to_string())
    }

    /// Where the ridge regression beside a network is trained.
    pub fn ridge_path(&self) -> PathBuf {
        self.path.join(RIDGE)
    }

    /// Folder of what `mused explain` finds.
    pub fn explain_folder(&self) -> PathBuf {
        self.path.join(EXPLAIN)
    }

    /// Folder of `mused retrieve`.
    pub fn retrieval_folder(&self) -> PathBuf {
        self.path.join(RETRIEVAL)
    }

    /// Folder of `mused words`.
    pub fn words_folder(&self) -> PathBuf {
        self.path.join(WORDS)
    }

    /// The page of `mused report` of a run, or folder of runs, at `path`.
    pub fn report_path(path: &Path) -> PathBuf {
        path.join(REPORT)
    }

    /// The table of runs of `mused benchmark` in a folder of them.
    pub fn benchmark_path(folder: &Path) -> PathBuf {
        folder.join(BENCHMARK)
    }

    /// Which candidate each model of a run at `path` is, where it was put together from candidates.
    pub fn chosen_path(path: &Path) -> PathBuf {
        path.join(CHOSEN)
    }

    /// A candidate of a run at `path`.
    pub fn candidate(path: &Path, index: usize) -> PathBuf {
        path.join(CANDIDATES).join(index.to_string())
    }
}
