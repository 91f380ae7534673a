mod import;
mod layers;
mod results;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub(crate) use import::*;
use layers::LayerArgs;
pub(crate) use results::*;

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

Exit codes: 0 done, 1 failed, 2 wrong usage; stopped and resumable: 130 by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP.";

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
        )
    }
}

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
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
    #[command(flatten)]
    pub(crate) memory: MemoryArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ThreadArgs {
    /// CPU threads [default: all]; the result does not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
}

#[derive(Debug, Args)]
pub(crate) struct DeviceArgs {
    /// What networks run on: the best GPU that this build reaches, else the processor; see `mused devices`
    #[arg(long, value_name = "DEVICE", default_value = "auto", value_parser = mused::DEVICE_NAMES)]
    device: String,
}

impl DeviceArgs {
    /// Has networks run on what was asked for, and says so where that is a GPU.
    pub(crate) fn choose(&self) -> anyhow::Result<()> {
        let found = mused::use_device(&self.device)?;
        if found.by != "cpu" {
            eprintln!("networks run on {found}");
        }
        if found.software {
            eprintln!(
                "this is no GPU but a program that acts as one, for tests: --device cpu is faster"
            );
        }
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(crate) struct MemoryArgs {
    /// Memory to keep to, e.g. 8GB, by fewer models side by side [default: what the machine, control groups and ulimit
    /// leave]
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    memory: Option<u64>,
}

impl MemoryArgs {
    /// Keeps the process to the memory asked for.
    pub(crate) fn limit(&self) {
        if let Some(bytes) = self.memory {
            mused::limit_memory(bytes);
        }
    }
}

/// A size in bytes, kB, MB, GB or TB.
fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = text.split_at(text.find(char::is_alphabetic).unwrap_or(text.len()));
    let factor = match unit.to_ascii_lowercase().trim_end_matches('b') {
        "" => Some(1.0),
        "k" => Some(1e3),
        "m" => Some(1e6),
        "g" => Some(1e9),
        "t" => Some(1e12),
        _ => None,
    };
    let number = number.trim().parse::<f64>().ok().filter(|n| *n > 0.0);
    let size = number.zip(factor).map(|(number, factor)| number * factor);
    size.map(|size| size as u64)
        .ok_or_else(|| "expected a size such as 8GB or 500MB".to_owned())
}

impl ThreadArgs {
    pub(crate) fn count(&self) -> usize {
        let all = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.map_or_else(all, usize::from)
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum SimulatedKind {
    /// Regions of interest with different voxels a subject
    Roi,
    /// The same voxels as a volume, for patches and convolutions
    Volume,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum SpacesArg {
    /// Everybody's voxels are their own, and some stimuli
    Own,
    /// Voxels at the same places do the same in two kinds of people, who see the same stimuli
    Common,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mused simulate --subjects 4 --stimuli 600 --seed 1 data/simulated
  mused simulate --subjects 4 --stimuli 3000 --repeats 1 --voxels 2000 --shared 0.1 data/many")]
pub(crate) struct SimulateArgs {
    /// What the voxels are arranged by
    #[arg(long, value_enum, default_value = "roi")]
    pub(crate) kind: SimulatedKind,
    /// What the voxels of two people have in common
    #[arg(long, value_enum, default_value = "own")]
    pub(crate) spaces: SpacesArg,
    /// Number of subjects
    #[arg(long, value_name = "N")]
    pub(crate) subjects: Option<usize>,
    /// Number of stimuli that each subject sees
    #[arg(long, value_name = "N")]
    pub(crate) stimuli: Option<usize>,
    /// Share of these that everybody sees [default: 0.25 in spaces of their own, 1 in a common one]
    #[arg(long, value_name = "SHARE")]
    pub(crate) shared: Option<f64>,
    /// Number of labels, of falling frequency
    #[arg(long, value_name = "N")]
    pub(crate) labels: Option<usize>,
    /// Presentations of each stimulus
    #[arg(long, value_name = "N")]
    pub(crate) repeats: Option<usize>,
    /// Voxels of a subject, about
    #[arg(long, value_name = "N")]
    pub(crate) voxels: Option<usize>,
    /// Seed of everything drawn
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Dataset directory to create
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// Dataset directory
    pub(crate) dataset: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum TokensArg {
    /// Mean of all tokens
    Mean,
    /// Class token
    Cls,
    /// All tokens, one after another
    Flatten,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum GuideArg {
    /// Mean of image and captions
    Both,
    /// Image alone
    Image,
    /// Captions alone
    Text,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mused features data/mine --model models/clip-vit-base-patch32
  mused features data/mine --model models/clip-vit-base-patch32 --high --guidance image

Images are named in the `file` column of stimuli.tsv: an image, a row of an HDF5 file (NSD's
imgBrick, with the row in `frame`) or a film (an image a second, through ffmpeg; with `frame` that
second alone). Captions are the `caption` column or captions.tsv, several a stimulus.
Without --low and --high both are made: features/NAME-low and features/NAME-high, which `mused train`
finds by their level. What is there and unchanged is left; what was interrupted goes on.")]
pub(crate) struct FeaturesArgs {
    /// Dataset directory
    pub(crate) dataset: PathBuf,
    /// Folder outside of the dataset from which files of stimuli may be read
    #[arg(long, value_name = "DIR")]
    pub(crate) allow: Vec<PathBuf>,
    /// CLIP model: a folder in the layout of Hugging Face, or the id of a model there
    #[arg(long, value_name = "DIR|HUB_ID")]
    pub(crate) model: String,
    /// Revision of a model from the hub
    #[arg(long, default_value = "main")]
    pub(crate) revision: String,
    /// Make low-level features: the image encoder's first layer
    #[arg(long)]
    pub(crate) low: bool,
    /// How that layer's tokens become a vector
    #[arg(long, value_enum, default_value = "mean")]
    pub(crate) low_tokens: TokensArg,
    /// Make high-level features: the joint space of images and captions
    #[arg(long)]
    pub(crate) high: bool,
    /// What the high-level features are made of
    #[arg(long, value_enum, default_value = "both")]
    pub(crate) guidance: GuideArg,
    /// Bound every value by ±BOUND
    #[arg(long, value_name = "BOUND", num_args = 0..=1, default_missing_value = "1.5")]
    pub(crate) clip: Option<f32>,
    /// Divide each stimulus' features by their norm
    #[arg(long)]
    pub(crate) normalise: bool,
    /// Feature sets are called NAME-low and NAME-high
    #[arg(long, default_value = "clip")]
    pub(crate) name: String,
    /// Images encoded at once
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) batch: u16,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    #[command(flatten)]
    pub(crate) memory: MemoryArgs,
    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  mused rdm data/action --features high

Writes high-rdm.npy (stimuli × stimuli) and high-rdm.svg, and prints its Spearman correlation with
the RDMs of other features and of responses, a region: the mean over subjects, with a one-sided p
from permuting the stimuli. Compared are the stimuli that every subject saw.")]
pub(crate) struct RdmArgs {
    /// Dataset directory
    pub(crate) dataset: PathBuf,
    /// Folder of features/
    #[arg(long, value_name = "NAME")]
    pub(crate) features: String,
    /// Matrix to write; the picture lies beside it [default: NAME-rdm.npy]
    #[arg(long, value_name = "FILE.npy")]
    pub(crate) out: Option<PathBuf>,
    /// Random permutations of the stimuli
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub(crate) permutations: usize,
    /// Seed of the permutations
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Print JSON, with the correlation of every subject
    #[arg(long)]
    pub(crate) json: bool,
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
    #[arg(long)]
    pub(crate) resume: bool,
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
  mused predict runs/a data/action --out probabilities.npy

Writes probabilities.npy (rows × labels) and probabilities.tsv (subject, stimulus of each row).
With several folds it is the mean over their models: stimuli of the run's own dataset were
trained on by some of them. For honest scores use `mused evaluate`.")]
pub(crate) struct PredictArgs {
    /// Run directory
    pub(crate) run: PathBuf,
    /// Dataset directory whose subjects the run knows
    pub(crate) dataset: PathBuf,
    /// Probabilities to write
    #[arg(long, value_name = "FILE.npy")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum QuantityArg {
    /// Mean response over trials
    Mean,
    /// Standard deviation over trials
    Sd,
    /// Number of the region, from 1; printed with its name
    Roi,
    /// Correlation over stimuli of odd with even presentations
    Repeatability,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mused map data/hcp --subject 100610 --quantity sd --out sd.nii.gz
  mused map data/hcp --subject 100610 --values weights.npy --out weights.nii.gz
  mused map data/grayordinates --subject 100610 --values auc.tsv --out auc.dscalar.nii

--values is an array with a value a voxel (.npy), or a table with a column `value` and either a row
a voxel or a column `roi` and a row a region; regions it does not list are 0. Elsewhere a map is 0
where the subject has no voxel. Where regions share a voxel, the first counts.")]
pub(crate) struct MapArgs {
    /// Dataset directory
    pub(crate) dataset: PathBuf,
    /// Subject
    #[arg(long, value_name = "ID")]
    pub(crate) subject: String,
    /// What to compute of the responses
    #[arg(
        long,
        value_enum,
        conflicts_with = "values",
        required_unless_present = "values"
    )]
    pub(crate) quantity: Option<QuantityArg>,
    /// What was computed elsewhere
    #[arg(long, value_name = "FILE")]
    pub(crate) values: Option<PathBuf>,
    /// Image to write: .nii, .nii.gz, or .dscalar.nii of a dataset from CIFTI
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
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

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  mused export-checkpoint runs/hcp weights.safetensors
  python -c \"from safetensors.torch import load_file; model.load_state_dict(load_file('weights.safetensors'))\"")]
pub(crate) struct ExportCheckpointArgs {
    /// Run directory of a volume model (model.family = \"brainformer\")
    pub(crate) run: PathBuf,
    /// File to write
    pub(crate) out: PathBuf,
    /// Fold whose weights to write
    #[arg(long, default_value_t = 0)]
    pub(crate) fold: usize,
}
