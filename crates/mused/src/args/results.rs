//! Of commands that read finished runs.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use mused::report::Side;

use super::{DeviceArgs, MemoryArgs, PlanArgs, ThreadArgs, TimeArgs};

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
Examples:
  mused report runs/a
  mused report runs/guided runs/unguided --out guided.html --figures figures
  mused report runs/benchmark
  mused report runs/hcp --surface lh=S1200.L.inflated_MSMAll.32k_fs_LR.surf.gii --surface rh=S1200.R.inflated_MSMAll.32k_fs_LR.surf.gii

The page needs no network and no other file. Several runs are compared with the first, which the rest of the page is
about; a folder of `mused benchmark` stands for all its runs, one of `mused curve` for its curve. Run `mused explain RUN`
before for attention, importance and token maps; importance is also written as images beside the page, where voxels have
places. Surfaces have the vertices that responses of vertices are of, or lie in the millimetres of the voxels (white, middle or
pial ones; FreeSurfer's own after `mris_convert --to-scanner`); a vertex then has the value of the nearest voxel, no further
away than a voxel is long.")]
pub(crate) struct ReportArgs {
    /// Run directories, or a folder of `mused benchmark` or `mused curve`
    #[arg(required = true, value_name = "RUN")]
    pub(crate) runs: Vec<PathBuf>,
    /// Page to write [default: report.html in the first RUN]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Token maps by t-SNE (neighbours are near, distances mean nothing) instead of principal components
    #[arg(long)]
    pub(crate) tsne: bool,
    /// Folder outside of the dataset whose pictures of stimuli may be shown
    #[arg(long, value_name = "DIR")]
    pub(crate) allow: Vec<PathBuf>,
    /// Surface of a half of the cortex, to draw importance and patterns on: GIFTI or FreeSurfer, as lh=FILE and rh=FILE
    #[arg(long, value_name = "SIDE=FILE", value_parser = surface)]
    pub(crate) surface: Vec<(Side, PathBuf)>,
    /// Folder for every figure as SVG, PNG (300 dpi) and TSV
    #[arg(long, value_name = "DIR")]
    pub(crate) figures: Option<PathBuf>,
}

fn surface(text: &str) -> Result<(Side, PathBuf), String> {
    let given = text.split_once('=').filter(|(_, file)| !file.is_empty());
    let given = given.and_then(|(side, file)| Some((Side::named(side)?, PathBuf::from(file))));
    given.ok_or_else(|| "expected lh=FILE or rh=FILE".to_owned())
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mused compare runs/guided runs/unguided
  mused compare runs/benchmark/clip-mused runs/benchmark/no-guidance --json

Differences are other minus reference, of the same test samples. A model's folder in a benchmark stands for the mean
over its seeds.")]
pub(crate) struct CompareArgs {
    /// Run, or folder of seeds, that the others are held against
    pub(crate) reference: PathBuf,
    /// Runs, or folders of seeds, of the same test samples
    #[arg(required = true)]
    pub(crate) others: Vec<PathBuf>,
    /// Print as JSON, with the difference of each subject and label
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mused explain runs/action
  mused explain runs/action --label face            which regions carry it
  mused explain runs/action --label face --unique   which region says of it what no other does
  mused explain runs/action --fold 2 --dataset /mnt/data/action

Writes the folder explain/ of the run. Each part of the input (a region, or a cube of a volume) is replaced by its
training mean in the test samples: what the scores lose then, with intervals, is in occlusion.tsv, what each label loses
in occlusion_labels.tsv, and of each voxel in importance/, for `mused map --values`. patterns/ holds what each voxel does where
a label is decoded by the run's ridge regression, or the one beside it (Haufe et al. 2014): an array labels × voxels a
subject, and an image with a map a label where voxels have places. attention.tsv says what the subject tokens attend to;
rdms/ holds the test stimuli's dissimilarities in guidance, tokens, regions and labels. A part whose loss is small need not
be empty: others may carry the same.")]
pub(crate) struct ExplainArgs {
    /// Run directory
    pub(crate) run: PathBuf,
    /// Dataset directory, where it is no longer where it was
    #[arg(long, value_name = "DIR")]
    pub(crate) dataset: Option<PathBuf>,
    /// Say what this label loses without each part
    #[arg(long, value_name = "NAME")]
    pub(crate) label: Option<String>,
    /// Fit ridge regression again without each region too: what each says that no other does
    #[arg(long)]
    pub(crate) unique: bool,
    /// Fold whose test samples the files of tokens and RDMs are of; their correlations, and all else, are of all folds
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) fold: usize,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  mused permute runs/a --permutations 99

Trains as RUN was trained, on stimuli that carry the labels of others, and scores it: what the whole pipeline finds
where there is nothing to find. `mused evaluate` tests the finished predictions instead, in a second. Scores are kept in
RUN/permutations/scores.tsv; a larger N goes on from there, and results.json has the p.")]
pub(crate) struct PermuteArgs {
    /// Run directory
    pub(crate) run: PathBuf,
    /// Relabellings to train on; the smallest p they allow is 1 / (1 + N)
    #[arg(long, value_name = "N", default_value_t = 99, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) permutations: u32,
    /// Where the run's dataset is now [default: where it was]
    #[arg(long, value_name = "DATASET")]
    pub(crate) dataset: Option<PathBuf>,
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

/// What a response is.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum AverageArg {
    /// A subject's trials of a stimulus, averaged, as in training
    Repeats,
    /// Every trial by itself
    None,
    /// The decoded points of all subjects, averaged
    Subjects,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mused retrieve runs/a
  mused retrieve runs/a --gallery dataset --k 5
  mused retrieve runs/a --gallery pictures --model clip-vit-base-patch32
  mused retrieve runs/a --gallery features.npy --average subjects

Decodes each test response to a point in the space of the stimuli's features and looks for the nearest stimuli. A gallery
is the test stimuli of the fold (`test`), all stimuli (`dataset`), or the test stimuli among others: the stimuli of another
dataset, the pictures of a folder, rows of a .npy. Stimuli that were trained on are marked, and scores without them told
apart; near-duplicates of the picture that was seen do not compete with it. Writes the folder retrieval/ of the run:
responses.tsv, nearest.tsv, gallery.tsv, points.npy, results.json.")]
pub(crate) struct RetrieveArgs {
    /// Run directory
    pub(crate) run: PathBuf,
    /// What is looked through: test, dataset, a dataset directory, a folder of pictures, or features as .npy
    #[arg(long, value_name = "GALLERY", default_value = "test")]
    pub(crate) gallery: PathBuf,
    /// CLIP model that made the run's features, for a folder of pictures
    #[arg(long, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,
    /// Feature set whose space it is [default: the run's high-level guidance]
    #[arg(long, value_name = "NAME")]
    pub(crate) features: Option<String>,
    /// What a response is
    #[arg(long, value_enum, default_value = "repeats")]
    pub(crate) average: AverageArg,
    /// Items named for each response
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) k: u16,
    /// Dataset directory, where it is no longer where it was
    #[arg(long, value_name = "DIR")]
    pub(crate) dataset: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mused words runs/a --words coco --model clip-vit-base-patch32
  mused words runs/a --words lvis --model clip-vit-base-patch32 --prompt 'a photo of a {}'
  mused words runs/a --words names.txt --vectors names.npy

Says which words are nearest to each test response. coco: its 80 categories, lvis: its 1,203. FILE has a word a line, or is a .json of such categories;
vectors come from the CLIP model that made the run's features, or from a .npy (words x features). No label is used: words
that are labels of the dataset are scored as ones that the decoder was never told (zero-shot), beside the run that was
trained on them. Writes the folder words/ of the run: words.tsv, scores.npy, results.json.")]
pub(crate) struct WordsArgs {
    /// Run directory
    pub(crate) run: PathBuf,
    /// Words: coco, lvis, or a file
    #[arg(long, value_name = "FILE")]
    pub(crate) words: PathBuf,
    /// Vectors of the words as .npy, where there is no model
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    pub(crate) vectors: Option<PathBuf>,
    /// CLIP model that made the run's features
    #[arg(long, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,
    /// What is encoded; {} stands for the word
    #[arg(long, default_value = "a photo of a {}")]
    pub(crate) prompt: String,
    /// Feature set whose space it is [default: the run's high-level guidance]
    #[arg(long, value_name = "NAME")]
    pub(crate) features: Option<String>,
    /// Average the decoded points over subjects
    #[arg(long)]
    pub(crate) over_subjects: bool,
    /// Dataset directory, where it is no longer where it was
    #[arg(long, value_name = "DIR")]
    pub(crate) dataset: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
}
