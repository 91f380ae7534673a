//! Of commands that train, and of what belongs to it.

use std::path::PathBuf;

use clap::Args;

use super::layers::LayerArgs;
use super::{DeviceArgs, MemoryArgs, PlanArgs, ThreadArgs, TimeArgs};

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Folder to create for the dataset and the runs
    #[arg(long, default_value = "mused-demo", value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Seed of the simulation and of training
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
    #[command(flatten)]
    pub(crate) memory: MemoryArgs,
}

const TRY_EXAMPLES: &str = "\
Examples:
  mused try my-arrays                    a folder of arrays: stimuli.tsv, labels and SUBJECT.npy
  mused try ds000105 --out first-look    a BIDS folder with preprocessed runs
  mused try data/action                  a dataset that mused made

Stopped, the same command goes on.";

#[derive(Debug, Args)]
#[command(after_help = TRY_EXAMPLES)]
pub(crate) struct TryArgs {
    /// A folder of arrays (see `mused import npy --help`), a BIDS folder, or a dataset
    pub(crate) source: PathBuf,
    /// Folder for the dataset, the run and the page
    #[arg(long, default_value = "mused-try", value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// A leak the audit finds to let pass, on record in run.json; repeatable
    #[arg(long, value_name = "NAME")]
    pub(crate) allow: Vec<String>,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
    #[command(flatten)]
    pub(crate) memory: MemoryArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mused train data/action --out runs/a --folds 5
  mused train data/action --out runs/b --folds 5 --model no-guidance
  mused train data/action --out runs/c --holdout-subject sid000005
  mused train data/action --out runs/d --preset clip-mused --set train.epochs=50
  mused train data/action --out runs/a --resume

Later ones win: --preset, --config, --model, --set, then --folds, --holdout-subject and --seed.
RUN/config.toml keeps every value and where it came from; it is itself a valid --config.")]
pub(crate) struct TrainArgs {
    /// Dataset directory
    pub(crate) dataset: PathBuf,
    /// Run directory to create
    #[arg(long, value_name = "RUN")]
    pub(crate) out: PathBuf,
    /// Named set of defaults: default, clip-mused, clip-mused-hcp
    #[arg(
        long,
        value_name = "NAME",
        default_value = "default",
        conflicts_with = "resume"
    )]
    pub(crate) preset: String,
    /// TOML file with values that differ from the preset
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    pub(crate) config: Option<PathBuf>,
    /// A baseline, control or ablation: settings laid over those (an unknown one lists all)
    #[arg(long, value_name = "NAME", conflicts_with = "resume")]
    pub(crate) model: Option<String>,
    /// One value, e.g. train.epochs=10
    #[arg(long = "set", value_name = "KEY=VALUE", conflicts_with = "resume")]
    pub(crate) settings: Vec<String>,
    /// Cross-validate over K folds of stimulus groups
    #[arg(long, value_name = "K", conflicts_with = "resume")]
    pub(crate) folds: Option<u32>,
    /// Test on this subject alone and train on all others; `each`: on every subject in turn
    #[arg(long, value_name = "ID", conflicts_with = "resume")]
    pub(crate) holdout_subject: Option<String>,
    /// Seed of weights, batches and dropout
    #[arg(long, conflicts_with = "resume")]
    pub(crate) seed: Option<u32>,
    /// A leak the audit finds to let pass, on record in run.json; repeatable
    #[arg(long, value_name = "NAME", conflicts_with = "resume")]
    pub(crate) allow: Vec<String>,
    /// Continue an interrupted run with its own configuration, to the same result
    #[arg(long, conflicts_with = "plan")]
    pub(crate) resume: bool,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
    #[command(flatten)]
    pub(crate) memory: MemoryArgs,
    #[command(flatten)]
    pub(crate) time: TimeArgs,
    #[command(flatten)]
    pub(crate) plan: PlanArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mused config                       every key with its default
  mused config model.dim             one key: type, range, default, meaning, source
  mused config loss                  a section, or any part of a name
  mused config --run runs/action     the keys a run has, with the value of each and where it came from
  mused config --markdown            the page docs/configuration.md")]
pub(crate) struct ConfigArgs {
    /// Key, section or part of a name [default: all]
    pub(crate) key: Option<String>,
    /// Run directory whose values are shown
    #[arg(long, value_name = "RUN", conflicts_with = "markdown")]
    pub(crate) run: Option<PathBuf>,
    /// Print every key as a Markdown page
    #[arg(long, conflicts_with = "key")]
    pub(crate) markdown: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mused audit data/action --folds 5
  mused audit runs/action

Looks for stimuli, clips or neighbouring seconds of a film on both sides of a split, near-duplicate stimuli, subjects
with the same responses, voxels that carry a label, responses z-scored together with test trials, and, of a run, input
statistics that are not those of its training samples. `mused train` looks as well and refuses what it finds. Exit
code 1: something was found.")]
pub(crate) struct AuditArgs {
    /// Dataset or run directory
    pub(crate) path: PathBuf,
    /// Of a dataset: folds of stimulus groups to divide it by [default: its own split]
    #[arg(long, value_name = "K")]
    pub(crate) folds: Option<usize>,
    /// Of a dataset: cosine of features above which two stimuli are near-duplicates
    #[arg(long, value_name = "COSINE", default_value_t = 0.98)]
    pub(crate) near_duplicate: f64,
    /// Print as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mused benchmark data/action --out runs/benchmark --folds 5
  mused benchmark data/action --out runs/guidance --folds 5 --models clip-mused,no-guidance --seeds 0,1,2,3,4
  mused benchmark data/action --out runs/chosen --folds 5 --budget 8
  mused benchmark data/action --out runs/left-out --folds 5 --set split.holdout_subject=each --models ridge-pooled,mlp-shared
  mused benchmark data/action --out runs/geometry --folds 5 --models clip-mused --variant image:guidance.high=low

Every model and seed is a run of its own in OUT/MODEL/seed-S, as `mused train --model` makes it. Runs
that are complete are kept, an interrupted one goes on; OUT/benchmark.tsv has a row for each, and
OUT/differences.tsv says how every model differs from the first, with intervals and tests.")]
pub(crate) struct BenchmarkArgs {
    /// Dataset directory
    pub(crate) dataset: PathBuf,
    /// Folder for the runs and their table; may be there from before
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Models to compare, see `mused train --model` [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) models: Vec<String>,
    /// A model of your own beside them: settings laid over the configuration; repeatable
    #[arg(long = "variant", value_name = "NAME:KEY=VALUE,…")]
    pub(crate) variants: Vec<String>,
    /// Choose the settings of each run, a fold at a time, from N candidates by validation: the configuration and
    /// N - 1 drawn around it
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) budget: u16,
    /// Seeds of weights, batches and dropout
    #[arg(
        long,
        value_name = "SEED",
        value_delimiter = ',',
        default_value = "0,1,2"
    )]
    pub(crate) seeds: Vec<u32>,
    #[command(flatten)]
    pub(crate) layers: LayerArgs,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
    #[command(flatten)]
    pub(crate) memory: MemoryArgs,
    #[command(flatten)]
    pub(crate) time: TimeArgs,
    #[command(flatten)]
    pub(crate) plan: PlanArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mused curve data/mine --out runs/curve --trials 10,20,40,80,all --folds 5
  mused curve data/mine --out runs/new --trials 10,20,40,80,all --folds 5 --new-subjects
  mused curve data/mine --out runs/new --trials 10,20,40,80,160,all --folds 5 --new-subjects
  mused curve data/mine --out runs/people --subjects 1,2,4,8,all --folds 5
  mused report runs/people

Without --new-subjects every subject has so many training trials, of a network for all. Weights are the last, so that no
further trials choose them (--set split.validation_fraction=0.1 lets them). With --new-subjects networks are trained
without each subject in turn, on all trials of the others; the subject has so many for its own maps (mused adapt).
Ridge regression learns from the same trials. What is tested is never trained on; a few trials are among many, whole
groups of stimuli, drawn --draws times.

With --subjects networks are trained on so many people, with all their training trials. In each draw everybody is scored
once: by a network of a team that the subject is in, or with --new-subjects by one of others, through maps fitted on the
subject's own training trials. Ridge regression of each subject alone is the same for any number of others; where all
share a space, it learns from the same people.

OUT/curve.tsv has a row a number, model, draw and subject, OUT/curve-means.tsv the table, OUT/curve.svg the picture,
OUT/curve.json everything, of which mused report OUT makes a page. The runs stay in OUT: the same command goes on where it was stopped, and with more numbers of trials (the third
example) makes what is missing.")]
pub(crate) struct CurveArgs {
    /// Dataset directory
    pub(crate) dataset: PathBuf,
    /// Folder for the runs and tables; may be there from before
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Numbers of training stimuli of a subject, in each fold; all = what there is
    #[arg(
        long,
        value_name = "N,N,…",
        value_delimiter = ',',
        default_value = "10,20,40,80,all"
    )]
    pub(crate) trials: Vec<String>,
    /// Numbers of subjects that a network is trained on, in place of --trials; all = what there is
    #[arg(
        long,
        value_name = "N,N,…",
        value_delimiter = ',',
        conflicts_with = "trials"
    )]
    pub(crate) subjects: Option<Vec<String>>,
    /// Score people the network was not trained on, every subject in turn
    #[arg(long)]
    pub(crate) new_subjects: bool,
    /// How often so many are drawn
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) draws: u16,
    /// More models, see `mused train --model`; with --new-subjects procrustes-ridge and srm-ridge
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) models: Vec<String>,
    #[command(flatten)]
    pub(crate) layers: LayerArgs,
    #[command(flatten)]
    pub(crate) memory: MemoryArgs,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
    #[command(flatten)]
    pub(crate) time: TimeArgs,
    #[command(flatten)]
    pub(crate) plan: PlanArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mused adapt runs/a data/with-new --subject sub-09 --out runs/sub-09
  mused adapt runs/a data/with-new --subject sub-09 --trials 20 --out runs/sub-09-20
  mused evaluate runs/sub-09

The dataset has the new person's responses to stimuli of the run, with the same labels and
features: the training stimuli of each fold are learned from, its test stimuli are tested. The
run's networks stay as they are; what the new person's voxels mean is found in closed form, in
seconds. RUN reads aligned inputs, what `mused train` does without a flag where everybody has
voxels of their own.")]
pub(crate) struct AdaptArgs {
    /// Run to adapt; it was trained on other people
    pub(crate) run: PathBuf,
    /// Dataset directory with the new person
    pub(crate) dataset: PathBuf,
    /// The new person
    #[arg(long, value_name = "ID")]
    pub(crate) subject: String,
    /// Training stimuli to learn from, at most, a fold: a number, or all
    #[arg(long, value_name = "N", default_value = "all")]
    pub(crate) trials: String,
    /// Which draw of so many
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) draw: u64,
    /// Run directory to create
    #[arg(long, value_name = "RUN")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  mused import-checkpoint best_model.pth runs/published --dataset data/hcp \\
    --subjects 233326,172130,951457,191336,169040,878776,169343,102816,573249
  mused evaluate runs/published

The file holds tensors alone: anything else in it is refused, nothing in it is executed. Sizes of
the network are read from the tensors; the number of heads, which they do not tell, is 4 unless
--set model.heads says otherwise.")]
pub(crate) struct ImportCheckpointArgs {
    /// State dict of the published code: .pth of torch.save, or .safetensors
    pub(crate) checkpoint: PathBuf,
    /// Run directory to create
    pub(crate) run: PathBuf,
    /// Dataset directory whose test part is decoded; its labels are those of the checkpoint
    #[arg(long, value_name = "DIR")]
    pub(crate) dataset: PathBuf,
    /// Subjects in the order of the checkpoint's tokens [default: those of the dataset]
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub(crate) subjects: Vec<String>,
    /// A configuration value, e.g. model.grid=[]; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) settings: Vec<String>,
}
