use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use mused::data::import_checks::Check;

/// Decode what several people see from their fMRI, with one model for all of them
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Cli {
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

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted (resumable).";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Simulate, train with and without guidance, and compare: the whole path in one command
    Demo(DemoArgs),
    /// Make a dataset of simulated subjects
    Simulate(SimulateArgs),
    /// Make a dataset from published files
    Import(ImportArgs),
    /// Describe and check a dataset
    Info(InfoArgs),
    /// CLIP features of the stimuli, which guide training
    Features(FeaturesArgs),
    /// Dissimilarity matrix of stimulus features, and its correlation with responses
    Rdm(RdmArgs),
    /// Train one model for all subjects of a dataset
    Train(TrainArgs),
    /// Score a run on its held-out stimuli
    Evaluate(EvaluateArgs),
    /// Label probabilities of a run's models for a dataset
    Predict(PredictArgs),
    /// A value a voxel, back in the subject's space: NIfTI or CIFTI
    Map(MapArgs),
    /// Make a run of a checkpoint of the published volume model
    ImportCheckpoint(ImportCheckpointArgs),
    /// Weights of a volume model under the published names, for PyTorch
    ExportCheckpoint(ExportCheckpointArgs),
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
    pub(crate) threads: ThreadArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ThreadArgs {
    /// CPU threads [default: all]; the result does not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
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

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  mused simulate --kind roi --subjects 4 --stimuli 600 --seed 1 data/simulated")]
pub(crate) struct SimulateArgs {
    /// What the voxels are arranged by
    #[arg(long, value_enum, default_value = "roi")]
    pub(crate) kind: SimulatedKind,
    /// Number of subjects
    #[arg(long, value_name = "N")]
    pub(crate) subjects: Option<usize>,
    /// Number of stimuli, seen by every subject
    #[arg(long, value_name = "N")]
    pub(crate) stimuli: Option<usize>,
    /// Seed of everything drawn
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Dataset directory to create
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    #[command(subcommand)]
    pub(crate) source: ImportSource,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImportSource {
    /// Data published as one dissimilarity matrix a subject and region
    #[command(after_help = "\
The manifest (TOML) names the files, labels and guidance; see examples/action-geometry.toml.

Example:
  mused import rdm examples/action-geometry.toml data/action --data DOWNLOAD")]
    Rdm(ImportRdmArgs),
    /// Preprocessed BOLD runs with their events, in BIDS or by patterns
    #[command(after_help = "\
Examples:
  mused import bids STUDY data/study --derivatives STUDY/derivatives/fmriprep --space T1w \\
      --roi V1=masks/sub-{subject}_V1.nii.gz --betas lss --confound 'trans_*' --confound 'rot_*'
  mused import bids STUDY data/study --window 4,8 --exclude rest

Events that name a stim_file show that stimulus, again in every repeat. Others are a stimulus each,
grouped by run, so that folds leave whole runs out.")]
    Bids(Box<ImportBidsArgs>),
    /// The 7T movie runs of the Human Connectome Project
    #[command(after_help = "\
Examples:
  mused import hcp HCP_1200 data/hcp --variant hp2000_clean --movies Post_20140821_version
  mused import hcp HCP_1200 data/hcp --variant hp2000_clean --scale minmax --subjects 233326,172130
  mused import hcp HCP_1200 data/hcp --variant Atlas_1.6mm_MSMAll_hp2000_clean --atlas glasser.dlabel.nii

Reads ROOT/SUBJECT/MNINonLinear/Results/tfMRI_MOVIE1_7T_AP/tfMRI_MOVIE1_7T_AP_VARIANT.nii.gz (or
.dtseries.nii) and the three other runs. A stimulus is a second of a clip, run 4 is the test part. Each
run is scaled a voxel at a time by itself. The clip that ends every run is left out.")]
    Hcp(Box<ImportHcpArgs>),
    /// The Natural Scenes Dataset, from its official tree
    #[command(after_help = "\
Examples:
  mused import nsd NSD data/nsd --coco COCO/annotations
  mused import nsd NSD data/nsd-streams --roi streams --roi prf-visualrois --subjects 1,2,5,7

NSD holds nsddata, nsddata_betas and nsddata_stimuli as released. Test images are the shared 1,000. An
image has the COCO labels whose boxes share an area with the crop that was shown.")]
    Nsd(ImportNsdArgs),
    /// NumPy arrays and tables: stimuli.tsv, labels.tsv, SUBJECT.npy, SUBJECT_trials.tsv
    Npy(ImportNpyArgs),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ZscoreArg {
    /// By mean and standard deviation of a session's training trials
    Session,
    /// Percent signal change as released
    None,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum RepeatsArg {
    /// One trial an image
    Average,
    /// A trial each
    Keep,
}

#[derive(Debug, Args)]
pub(crate) struct ImportNsdArgs {
    /// Folder with nsddata, nsddata_betas and nsddata_stimuli
    pub(crate) root: PathBuf,
    /// Dataset directory to create
    pub(crate) out: PathBuf,
    /// Name of the dataset [default: nsd]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Subjects by number [default: all that have betas]
    #[arg(long, value_name = "N,N", value_delimiter = ',')]
    pub(crate) subjects: Vec<u8>,
    /// Sessions by number [default: all]
    #[arg(long, value_name = "N,N", value_delimiter = ',')]
    pub(crate) sessions: Vec<u32>,
    /// Image of roi/: nsdgeneral, streams, prf-visualrois, floc-faces, HCP_MMP1 …; voxels of several belong to the first
    #[arg(long, value_name = "NAME", default_value = "nsdgeneral")]
    pub(crate) roi: Vec<String>,
    /// Version of the betas
    #[arg(
        long,
        value_name = "NAME",
        default_value = "betas_fithrf_GLMdenoise_RR"
    )]
    pub(crate) betas: String,
    /// Space of betas and regions: func1pt8mm or func1mm
    #[arg(long, value_name = "NAME", default_value = "func1pt8mm")]
    pub(crate) resolution: String,
    /// Folder of COCO's instances_*.json and captions_*.json [default: annotations beside nsd_stimuli.hdf5]
    #[arg(long, value_name = "DIR")]
    pub(crate) coco: Option<PathBuf>,
    /// Z-scoring of each voxel
    #[arg(long, value_enum, default_value = "session")]
    pub(crate) zscore: ZscoreArg,
    /// What becomes of an image's repeats
    #[arg(long, value_enum, default_value = "average")]
    pub(crate) repeats: RepeatsArg,
    /// Turn a named check into a warning
    #[arg(long, value_name = "CHECK")]
    pub(crate) allow: Vec<Check>,
}

#[derive(Debug, Args)]
pub(crate) struct ImportNpyArgs {
    /// Folder with the arrays and tables
    pub(crate) folder: PathBuf,
    /// Dataset directory to create
    pub(crate) out: PathBuf,
    /// Name of the dataset [default: the folder's]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Turn a named check into a warning
    #[arg(long, value_name = "CHECK")]
    pub(crate) allow: Vec<Check>,
}

fn window(text: &str) -> Result<[f64; 2], String> {
    let numbers = text
        .split_once(',')
        .and_then(|(from, to)| Some([from.trim().parse().ok()?, to.trim().parse().ok()?]));
    numbers.ok_or_else(|| "expected two numbers of seconds, as 4,8".to_owned())
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum BetasArg {
    /// All trials of a run in one model
    Lsa,
    /// A model a trial
    Lss,
}

#[derive(Debug, Args)]
pub(crate) struct ImportBidsArgs {
    /// BIDS dataset, which has the events
    pub(crate) root: PathBuf,
    /// Dataset directory to create
    pub(crate) out: PathBuf,
    /// Name of the dataset [default: the folder's]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Folder of the preprocessed runs [default: ROOT]
    #[arg(long, value_name = "DIR")]
    pub(crate) derivatives: Option<PathBuf>,
    /// Runs without BIDS names, below ROOT, with {subject}, {session}, {task}, {run}
    #[arg(long, value_name = "PATTERN", requires = "events")]
    pub(crate) bold: Option<String>,
    /// Events of such runs
    #[arg(long, value_name = "PATTERN", requires = "bold")]
    pub(crate) events: Option<String>,
    /// Confounds of such runs
    #[arg(long, value_name = "PATTERN", requires = "bold")]
    pub(crate) confounds_file: Option<String>,
    /// Subject to import, without sub- [default: all]
    #[arg(long, value_name = "ID")]
    pub(crate) subject: Vec<String>,
    /// Task, where there are several
    #[arg(long)]
    pub(crate) task: Option<String>,
    /// Space, where there are several
    #[arg(long)]
    pub(crate) space: Option<String>,
    /// Region: a mask, with {subject} [default: all voxels]
    #[arg(long, value_name = "NAME=PATTERN")]
    pub(crate) roi: Vec<String>,
    /// Regions: an image of whole numbers, with {subject}
    #[arg(long, value_name = "PATTERN")]
    pub(crate) atlas: Option<String>,
    /// Its regions: a table with columns index and name
    #[arg(long, value_name = "PATTERN", requires = "atlas")]
    pub(crate) atlas_names: Option<String>,
    /// Mean from FROM to TO seconds after onset [default: from 4 s, for the event's duration]
    #[arg(long, value_name = "FROM,TO", value_parser = window, allow_hyphen_values = true, conflicts_with = "betas")]
    pub(crate) window: Option<[f64; 2]>,
    /// Least-squares betas in place of means
    #[arg(long)]
    pub(crate) betas: Option<BetasArg>,
    /// Cut-off of the cosine drift of betas, in Hz
    #[arg(long, value_name = "HZ", default_value_t = 0.01)]
    pub(crate) high_pass: f64,
    /// Polynomial drift of betas in place of cosines
    #[arg(long, value_name = "ORDER", value_parser = clap::value_parser!(u32).range(0..=20))]
    pub(crate) polynomial: Option<u32>,
    /// Confound column of the model; a * at its end stands for any ending
    #[arg(long, value_name = "COLUMN")]
    pub(crate) confound: Vec<String>,
    /// Z-score each voxel within run
    #[arg(long)]
    pub(crate) zscore: bool,
    /// Column of the events with labels [default: trial_type]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) label_column: Vec<String>,
    /// Column of the events that names the stimulus [default: stim_file]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) stimulus_column: Option<String>,
    /// trial_type or label to leave out
    #[arg(long, value_name = "VALUE")]
    pub(crate) exclude: Vec<String>,
    /// trial_type that is in the model but no trial
    #[arg(long, value_name = "VALUE")]
    pub(crate) nuisance: Vec<String>,
    /// Join events of one kind at most so far apart into a block
    #[arg(long, value_name = "SECONDS")]
    pub(crate) merge_gap: Option<f64>,
    /// Repetition time, against what files say
    #[arg(long, value_name = "SECONDS")]
    pub(crate) tr: Option<f64>,
    /// Turn a named check into a warning
    #[arg(long, value_name = "CHECK")]
    pub(crate) allow: Vec<Check>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ScaleArg {
    /// To mean 0 and variance 1
    Zscore,
    /// From 0 to 1, as the published code
    Minmax,
    /// Not at all
    None,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum FloatArg {
    /// float16
    F16,
    /// float32
    F32,
}

#[derive(Debug, Args)]
pub(crate) struct ImportHcpArgs {
    /// Folder with a folder a subject
    pub(crate) root: PathBuf,
    /// Dataset directory to create
    pub(crate) out: PathBuf,
    /// Name of the dataset [default: hcp-7t-movies]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Subjects to import [default: all with a movie run]
    #[arg(long, value_name = "ID,ID", value_delimiter = ',')]
    pub(crate) subjects: Vec<String>,
    /// What follows the run's name in its files' names, where there are several, as hp2000_clean
    #[arg(long, value_name = "TEXT")]
    pub(crate) variant: Option<String>,
    /// From a second of a movie to the volume that answers it
    #[arg(long, value_name = "SECONDS", default_value_t = 4)]
    pub(crate) delay: usize,
    /// Scaling of each voxel within a run
    #[arg(long, value_enum, default_value = "zscore")]
    pub(crate) scale: ScaleArg,
    /// How responses are stored [default: f16; f32 if they are not scaled]
    #[arg(long, value_enum)]
    pub(crate) dtype: Option<FloatArg>,
    /// Volume whose voxels above 0 are imported, with {subject} [default: voxels that vary in all runs]
    #[arg(long, value_name = "PATTERN")]
    pub(crate) mask: Option<String>,
    /// Regions: a volume of whole numbers or a .dlabel.nii, with {subject}
    #[arg(long, value_name = "PATTERN")]
    pub(crate) atlas: Option<String>,
    /// Regions of a volume: a table with columns index and name
    #[arg(long, value_name = "PATTERN", requires = "atlas")]
    pub(crate) atlas_names: Option<String>,
    /// Labels [default: ROOT/WordNetFeatures.hdf5]
    #[arg(long, value_name = "FILE")]
    pub(crate) wordnet: Option<PathBuf>,
    /// Names of all labels, one a line, where that file has none
    #[arg(long, value_name = "FILE")]
    pub(crate) label_names: Option<PathBuf>,
    /// Leave out labels that fewer of the training seconds have
    #[arg(long, value_name = "PART", default_value_t = 0.1)]
    pub(crate) label_frequency: f64,
    /// Folder with the films, for `mused features`
    #[arg(long, value_name = "DIR")]
    pub(crate) movies: Option<PathBuf>,
    /// Turn a named check into a warning
    #[arg(long, value_name = "CHECK")]
    pub(crate) allow: Vec<Check>,
}

#[derive(Debug, Args)]
pub(crate) struct ImportRdmArgs {
    /// Description of the published files
    pub(crate) manifest: PathBuf,
    /// Dataset directory to create
    pub(crate) out: PathBuf,
    /// Folder the manifest's paths start from [default: the manifest's own]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
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
  mused train data/action --out runs/b --folds 5 --set guidance.high=none --set guidance.low=none
  mused train data/action --out runs/c --holdout-subject sid000005
  mused train data/action --out runs/d --preset clip-mused --set train.epochs=50
  mused train data/action --out runs/a --resume

Later ones win: --preset, --config, --set, then --folds, --holdout-subject and --seed.
RUN/config.toml keeps every value and where it came from; it is itself a valid --config.")]
pub(crate) struct TrainArgs {
    /// Dataset directory
    pub(crate) dataset: PathBuf,
    /// Run directory to create
    #[arg(long, value_name = "RUN")]
    pub(crate) out: PathBuf,
    /// Named set of defaults: default, clip-mused
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
    /// One value, e.g. train.epochs=10
    #[arg(long = "set", value_name = "KEY=VALUE", conflicts_with = "resume")]
    pub(crate) settings: Vec<String>,
    /// Cross-validate over K folds of stimulus groups
    #[arg(long, value_name = "K", conflicts_with = "resume")]
    pub(crate) folds: Option<u32>,
    /// Test on this subject alone and train on all others
    #[arg(long, value_name = "ID", conflicts_with = "resume")]
    pub(crate) holdout_subject: Option<String>,
    /// Seed of weights, batches and dropout
    #[arg(long, conflicts_with = "resume")]
    pub(crate) seed: Option<u32>,
    /// Continue an interrupted run with its own configuration, to the same result
    #[arg(long)]
    pub(crate) resume: bool,
    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum UndefinedArg {
    /// Leave labels that cannot be scored out of the mean, and count them
    Exclude,
    /// As scikit-learn: AP 0 without positives, AUC left out
    Sklearn,
    /// As the published code: AUC 1 where undefined
    Reference,
}

#[derive(Debug, Args)]
pub(crate) struct EvaluateArgs {
    /// Run directory
    pub(crate) run: PathBuf,
    /// What a label that cannot be scored counts as
    #[arg(long, value_enum, default_value = "exclude")]
    pub(crate) undefined: UndefinedArg,
    /// Print results.json instead of the table
    #[arg(long)]
    pub(crate) json: bool,
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
--set brainformer.heads says otherwise.")]
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
    /// Run directory of a volume model (model.tokenizer = \"convolutions\")
    pub(crate) run: PathBuf,
    /// File to write
    pub(crate) out: PathBuf,
    /// Fold whose weights to write
    #[arg(long, default_value_t = 0)]
    pub(crate) fold: usize,
}
