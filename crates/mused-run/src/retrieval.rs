//! What `mused retrieve` and `mused words` found: `results.json` in a folder of the run, beside tables and arrays.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use mused_formats::{plain, replace_file};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Error, IntervalResult, Result, Stated, TestResult};

/// The `schema` of what `mused retrieve` writes.
pub const RETRIEVAL_SCHEMA: &str = "mused-retrieval/1";
/// The `schema` of what `mused words` writes.
pub const WORDS_SCHEMA: &str = "mused-words/1";

const RESULTS: &str = "results.json";

/// Which pictures: `RUN/retrieval/results.json`. Beside it `responses.tsv` (a row a response, as those of `points.npy`),
/// `nearest.tsv` (the first items of each response) and `gallery.tsv`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RetrievalResults {
    /// Version of the layout.
    pub schema: String,
    /// The gallery, in words.
    pub gallery: String,
    /// Items of it, the fewest and the most of any fold.
    pub items: [usize; 2],
    /// Name of the feature set.
    pub features: String,
    /// What a response is, in words.
    pub averaged: String,
    /// Responses.
    pub responses: usize,
    /// Cosine of features above which two items are one picture.
    pub near_duplicate: f64,
    /// Responses whose picture has a near-duplicate in the gallery, which does not compete with it.
    pub duplicated: usize,
    /// Responses whose picture was trained on, as a near-duplicate.
    pub trained: usize,
    /// Items that were trained on, the most of any fold.
    pub seen: usize,
    /// Among all items.
    pub all: Vec<MeasureResult>,
    /// Among items that were not trained on, where some were.
    pub unseen: Option<Vec<MeasureResult>>,
    /// What is to be known of the numbers.
    pub notes: Vec<String>,
}

/// A measure of retrieval, and the same of each subject's own ridge regression.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeasureResult {
    /// `top-1`, `top-5`, `pairwise` or `median rank`.
    pub name: String,
    /// By subject.
    pub per_subject: BTreeMap<String, f64>,
    /// Mean over subjects.
    pub mean: f64,
    /// What a random order gives.
    pub chance: f64,
    /// Of the mean.
    pub interval: Stated<IntervalResult>,
    /// Stimuli in the places of others.
    pub permutation: Stated<TestResult>,
    /// Of ridge regression a subject.
    pub ridge: f64,
    /// How much better the run's decoder is than that (of ranks: how much lower).
    pub gain: Stated<IntervalResult>,
    /// Two-sided p of no gain.
    pub gain_p: Stated<f64>,
}

/// Which words: `RUN/words/results.json`. Beside it `words.tsv` (the first words of each response) and `scores.npy`
/// (responses × words, calibrated; rows as in `responses.tsv`, columns as in `vocabulary.tsv`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WordsResults {
    /// Version of the layout.
    pub schema: String,
    /// Where the words are from.
    pub vocabulary: String,
    /// How many.
    pub words: usize,
    /// Name of the feature set.
    pub features: String,
    /// Responses.
    pub responses: usize,
    /// Words that are labels of the dataset, of which no decoder was told: how well they are found.
    pub truth: Option<WordsTruth>,
    /// What is to be known of the numbers.
    pub notes: Vec<String>,
}

/// How well words are found that are labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WordsTruth {
    /// By name: AUC, the mean over subjects; of the run, which was trained on the label.
    pub labels: Vec<WordLabel>,
    /// Macro ROC-AUC, the mean over subjects; chance is .5.
    pub roc_auc: Stated<IntervalResult>,
    /// The same of the run, which was trained on the labels.
    pub supervised: Stated<IntervalResult>,
    /// A true word among the first five of the vocabulary.
    pub top_five: MeasureOfWords,
}

/// A label that is a word.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WordLabel {
    /// Its name.
    pub name: String,
    /// ROC-AUC of the word.
    pub roc_auc: Option<f64>,
    /// Its 95 % interval.
    pub interval: Option<[f64; 2]>,
    /// ROC-AUC of the run that was trained on it.
    pub supervised: Option<f64>,
}

/// A share of responses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeasureOfWords {
    /// Mean over subjects.
    pub mean: f64,
    /// What a random order of the words gives.
    pub chance: f64,
    /// Of the mean.
    pub interval: Stated<IntervalResult>,
}

/// A file of results in a folder of a run.
pub trait FolderResults: Serialize + DeserializeOwned {
    /// Version of the layout that this program writes.
    const SCHEMA: &str;

    /// Writes it into a folder.
    ///
    /// # Errors
    /// A file that cannot be written.
    fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(RESULTS);
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| Error::invalid(&path, error.to_string()))?;
        Ok(replace_file(path, text.as_bytes())?)
    }

    /// Reads that of a folder; `None` where there is none.
    ///
    /// # Errors
    /// A file of another version or that is damaged.
    fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(RESULTS);
        if !path.is_file() {
            return Ok(None);
        }
        let text = fs::read_to_string(&path).map_err(Error::io("cannot read", &path))?;
        let found = serde_json::from_str(&text).map_err(|error| {
            let found = plain(error);
            let message = format!("expected {}, found {found}: make it again", Self::SCHEMA);
            Error::invalid(&path, message)
        });
        found.map(Some)
    }
}

impl FolderResults for RetrievalResults {
    const SCHEMA: &str = RETRIEVAL_SCHEMA;
}

impl FolderResults for WordsResults {
    const SCHEMA: &str = WORDS_SCHEMA;
}
