//! What is asked for on the command line: a file for each kind of command.

mod datasets;
mod import;
mod layers;
mod machine;
mod plan;
mod results;
mod training;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clap_complete::Shell;

pub(crate) use datasets::*;
pub(crate) use import::*;
use machine::{DeviceArgs, MemoryArgs, ThreadArgs, TimeArgs};
pub(crate) use plan::*;
pub(crate) use results::*;
pub(crate) use training::*;

/// Decode what several people see from their fMRI, with one model for all of them
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// Say nothing of how far work has come: results, notes, warnings and errors alone
    #[arg(long, global = true)]
    pub(crate) quiet: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  mused demo                                    see it work on simulated brains, offline
  mused import rdm examples/action-geometry.toml data/action --data DOWNLOAD
  mused info data/action
  mused train data/action --out runs/first --folds 5
  mused evaluate runs/first

Exit codes: 0 done, 1 failed, 2 wrong usage; 130 stopped and saved, to go on: by Ctrl-C, SIGTERM,
SIGHUP, SIGUSR1 or --time-limit.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Simulate, train one model for all and ridge regression, and compare: the whole path in one command
    Demo(DemoArgs),
    /// Try it on data of your own: import, check, train, test, explain and report in one command, and what came out in
    /// words
    Try(TryArgs),
    /// Make a dataset of simulated subjects
    Simulate(SimulateArgs),
    /// Make a dataset from published files
    Import(ImportArgs),
    /// Describe and check a dataset
    Info(InfoArgs),
    /// What networks can run on: the processor, and the GPUs that this build reaches
    Devices,
    /// CLIP features of the stimuli, which guide training
    Features(FeaturesArgs),
    /// Dissimilarity matrix of stimulus features, and its correlation with responses
    Rdm(RdmArgs),
    /// Train one model for all subjects of a dataset, and ridge regression to hold it against
    Train(TrainArgs),
    /// Keys of the configuration: what they do, what they take, where they come from
    Config(ConfigArgs),
    /// Search a dataset or a run for ways test data reach training
    Audit(AuditArgs),
    /// Train and score baselines, ablations and controls on the same splits
    Benchmark(BenchmarkArgs),
    /// Scores over numbers of trials, of training or of a new person, beside ridge regression on the same trials
    Curve(CurveArgs),
    /// Make runs that were planned with --plan: a task, or all that are left
    Work(WorkArgs),
    /// Where the tasks of a plan stand: done, running, failed, waiting
    Status(StatusArgs),
    /// Score a run on its held-out stimuli: how good it is, and whether it is ahead of ridge regression
    Evaluate(EvaluateArgs),
    /// One HTML file of figures, tables and methods, of a run or several
    Report(ReportArgs),
    /// Differences between runs, with intervals and tests
    Compare(CompareArgs),
    /// Train a run again and again on exchanged labels: a permutation test of the whole pipeline
    Permute(PermuteArgs),
    /// What a run reads: attention and occlusion of parts, geometry of tokens and regions
    Explain(ExplainArgs),
    /// Which picture was seen: test responses looked up among pictures, and how often the right one is found
    Retrieve(RetrieveArgs),
    /// Which words are nearest to what was decoded, whether a model was told them or not
    Words(WordsArgs),
    /// Make a run of a trained one for a person it was not trained on
    Adapt(AdaptArgs),
    /// Label probabilities of a run's models for a dataset
    Predict(PredictArgs),
    /// A value a voxel, back in the subject's space: NIfTI or CIFTI
    Map(MapArgs),
    /// Make a run of a checkpoint of the published volume model
    ImportCheckpoint(ImportCheckpointArgs),
    /// Weights of a volume model under the published names, for PyTorch
    ExportCheckpoint(ExportCheckpointArgs),
    /// Words that a shell completes, as a script for it: `mused completions bash > ~/.local/share/bash-completion/completions/mused`
    Completions {
        /// bash, zsh, fish, elvish or powershell
        shell: Shell,
    },
    /// Manual pages, one a command
    Man {
        /// Folder to write them to
        #[arg(long, default_value = "man", value_name = "DIR")]
        out: PathBuf,
    },
}

impl Command {
    /// Whether what it makes is in files, and its output says no more than that.
    pub(crate) fn saves(&self) -> bool {
        matches!(
            self,
            Self::Demo(_)
                | Self::Try(_)
                | Self::Simulate(_)
                | Self::Import(_)
                | Self::Features(_)
                | Self::Train(_)
                | Self::Benchmark(_)
                | Self::Permute(_)
                | Self::Work(_)
        )
    }
}
