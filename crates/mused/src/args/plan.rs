//! Of plans, and of processes that make their tasks.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::machine::duration;
use super::{MemoryArgs, ThreadArgs, TimeArgs};

/// What becomes of the runs of a command that is planned.
#[derive(Debug, Args)]
#[command(next_help_heading = "On a cluster")]
pub(crate) struct PlanArgs {
    /// Make nothing, but write the runs as tasks to this folder: jobs.tsv, a command a task, and submit.sbatch, an array
    /// of SLURM. Made by `mused work` in any number of processes, they are gathered by the same command without --plan
    #[arg(long, value_name = "DIR")]
    pub(crate) plan: Option<PathBuf>,
    /// Put short runs together to tasks of about this time, where one of them is there to tell how long they take
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = duration, requires = "plan")]
    pub(crate) task_time: Duration,
    /// Partition of the array
    #[arg(long, value_name = "NAME", requires = "plan")]
    pub(crate) partition: Option<String>,
    /// Account of the array
    #[arg(long, value_name = "NAME", requires = "plan")]
    pub(crate) account: Option<String>,
    /// Time of a job of the array; what is not done by then is saved and queued again
    #[arg(long, value_name = "TIME", default_value = "4h", value_parser = duration, requires = "plan")]
    pub(crate) time: Duration,
    /// Processors of a job of the array; its memory is --memory, or what the runs are estimated to need
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..), requires = "plan")]
    pub(crate) cpus: u16,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mused benchmark data/mine --out runs/b --folds 5 --plan plans/b --partition short
  sbatch plans/b/submit.sbatch              on a cluster of SLURM
  mused work plans/b                        here, and in as many other processes and machines as you like
  mused work plans/b --task 7               one task
  mused status plans/b
  mused benchmark data/mine --out runs/b --folds 5

A task that another process is at work on is left to it, one whose process is gone is taken over, one that is done is done.")]
pub(crate) struct WorkArgs {
    /// Folder of --plan
    pub(crate) plan: PathBuf,
    /// The task [default: all that are left and nobody is at work on, one after another]
    #[arg(long, value_name = "N")]
    pub(crate) task: Option<usize>,
    /// Of all tasks: those too that failed
    #[arg(long, conflicts_with = "task")]
    pub(crate) failed: bool,
    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
    #[command(flatten)]
    pub(crate) memory: MemoryArgs,
    #[command(flatten)]
    pub(crate) time: TimeArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mused status plans/b
  mused status plans/b --watch

Read from the files of the plan and its runs, on any machine that sees them. Exit code 1: a task failed.")]
pub(crate) struct StatusArgs {
    /// Folder of --plan
    pub(crate) plan: PathBuf,
    /// Show it again every few seconds, until nothing is left to do
    #[arg(long)]
    pub(crate) watch: bool,
}
