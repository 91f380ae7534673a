use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use mused::data::import::Check;

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    #[command(subcommand)]
    pub(crate) source: ImportSource,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImportSource {
    /// Data published as one dissimilarity matrix a subject and region
    #[command(after_help = "\
The manifest (TOML) names the files, labels and guidance; see examples/action-geometry.toml. Responses are similarity
profiles in a space of all subjects, or with response = \"patterns\" the patterns behind the RDMs in spaces of their own.

Examples:
  mused import rdm examples/action-geometry.toml data/action --data DOWNLOAD
  mused import rdm examples/action-geometry-patterns.toml data/patterns --data DOWNLOAD")]
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
    #[command(after_help = format!("{}\n\nExample:\n  mused import npy my-arrays data/mine", mused::data::import::npy::FILES))]
    Npy(ImportNpyArgs),
}

impl ImportSource {
    /// Dataset directory to create.
    pub(crate) fn out(&self) -> &Path {
        match self {
            Self::Rdm(args) => &args.out,
            Self::Bids(args) => &args.out,
            Self::Hcp(args) => &args.out,
            Self::Nsd(args) => &args.out,
            Self::Npy(args) => &args.out,
        }
    }

    /// Folder of somebody's data that is read; `None` of a manifest, which names files anywhere.
    pub(crate) fn data(&self) -> Option<&Path> {
        match self {
            Self::Rdm(_) => None,
            Self::Bids(args) => Some(&args.root),
            Self::Hcp(args) => Some(&args.root),
            Self::Nsd(args) => Some(&args.root),
            Self::Npy(args) => Some(&args.folder),
        }
    }

    /// What is counted while it is made.
    pub(crate) fn unit(&self) -> &'static str {
        match self {
            Self::Rdm(_) | Self::Npy(_) => "subjects",
            Self::Bids(_) => "runs",
            Self::Hcp(_) => "passes over runs",
            Self::Nsd(_) => "sessions",
        }
    }
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
    /// Licence of the data
    #[arg(long, value_name = "TEXT")]
    pub(crate) licence: Option<String>,
    /// How to cite the data
    #[arg(long, value_name = "TEXT")]
    pub(crate) citation: Option<String>,
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

fn entity(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=');
    let parts = parts.filter(|(key, value)| !key.is_empty() && !value.is_empty());
    let (key, value) = parts.ok_or("expected KEY=VALUE, as res=2")?;
    Ok((key.to_owned(), value.to_owned()))
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
    /// Licence of the data
    #[arg(long, value_name = "TEXT")]
    pub(crate) licence: Option<String>,
    /// How to cite the data
    #[arg(long, value_name = "TEXT")]
    pub(crate) citation: Option<String>,
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
    /// Space, where there are several; none = the scanner's own, which names leave out
    #[arg(long)]
    pub(crate) space: Option<String>,
    /// Another entity the recordings must have, as res=2; none = must not have
    #[arg(long, value_name = "KEY=VALUE", value_parser = entity, conflicts_with = "bold")]
    pub(crate) entity: Vec<(String, String)>,
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
    /// Turn a named check into a warning
    #[arg(long, value_name = "CHECK")]
    pub(crate) allow: Vec<Check>,
}
