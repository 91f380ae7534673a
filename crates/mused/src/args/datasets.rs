//! Of commands that make datasets, look at them or add to them.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{DeviceArgs, MemoryArgs, ThreadArgs};

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
