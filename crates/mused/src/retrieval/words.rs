//! Open vocabularies: responses looked up among vectors of words.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use mused_data::Dataset;
use mused_formats::npy;
use mused_formats::table::TableWriter;
use mused_kernels::row_products;
use mused_run::{
    FolderResults as _, IntervalResult, MeasureOfWords, Run, Stated, WORDS_SCHEMA, WordLabel,
    WordsResults, WordsTruth,
};
use mused_stats::interval::{Interval, label_intervals, score_interval};
use mused_stats::retrieval::{mean_over_subjects, unit};
use mused_stats::{Answer, Samples};
use mused_train::{DecodedRow, FoldPoints};
use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate};
use serde_json::Value;

use super::gallery::{finite, matrix};
use super::{Average, Error, Report, Result, decoded, feature_set, output, subject_names};
use crate::features::{PictureModel, encode_texts};

/// The 80 categories of COCO 2017 (Lin et al. 2014), in the order of their numbers.
const COCO: &str = include_str!("coco.txt");

/// The names of the 1,203 categories of LVIS 1.0 (Gupta et al. 2019), in the order of their numbers.
const LVIS: &str = include_str!("lvis.txt");

/// Words that are named for each response.
const NAMED: usize = 5;

/// Words, and where their vectors come from.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    words: Vec<String>,
    from: String,
}

impl Vocabulary {
    /// The categories of COCO.
    pub fn coco() -> Self {
        Self::of(COCO, "COCO")
    }

    /// The categories of LVIS.
    pub fn lvis() -> Self {
        Self::of(LVIS, "LVIS")
    }

    fn of(names: &str, of: &str) -> Self {
        let words: Vec<String> = names.lines().map(str::to_owned).collect();
        Self {
            from: format!("the {} categories of {of}", words.len()),
            words,
        }
    }

    /// Words of a file: one a line; of a `.json`, the names of `categories` in the order of their `id`, as annotations of
    /// COCO and LVIS have them.
    ///
    /// # Errors
    /// A file that cannot be read; words that are empty or repeat.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = mused_formats::read(path)?;
        let refused = |message: String| Error::Request(format!("{}: {message}", path.display()));
        let text = String::from_utf8(bytes)
            .map_err(|_| refused("expected words, one a line, found no UTF-8 text".to_owned()))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let words: Vec<String> = match path.extension().is_some_and(|end| end == "json") {
            true => categories(text).ok_or_else(|| {
                refused("expected categories with `id` and `name`, found other JSON".to_owned())
            })?,
            false => text
                .trim_end()
                .lines()
                .map(|line| line.trim().to_owned())
                .collect(),
        };
        let mut known: BTreeMap<String, usize> = BTreeMap::new();
        for (word, line) in words.iter().zip(1..) {
            if word.is_empty() {
                return Err(refused(format!(
                    "expected a word, found none in line {line}"
                )));
            }
            if let Some(first) = known.insert(plain(word), line) {
                return Err(refused(format!(
                    "the word {word:?} stands in line {first} and in line {line}: leave one out"
                )));
            }
        }
        match words.len() {
            0 | 1 => Err(refused(format!(
                "expected 2 words or more, found {}",
                words.len()
            ))),
            _ => Ok(Self {
                words,
                from: path.display().to_string(),
            }),
        }
    }

    /// The words.
    pub fn words(&self) -> &[String] {
        &self.words
    }
}

/// Names by number; `None` of what is no list of categories.
fn categories(text: &str) -> Option<Vec<String>> {
    let found: Value = serde_json::from_str(text).ok()?;
    let list = found.get("categories").unwrap_or(&found).as_array()?;
    let mut named: Vec<(u64, String)> = list
        .iter()
        .map(|one| {
            Some((
                one.get("id")?.as_u64()?,
                one.get("name")?.as_str()?.to_owned(),
            ))
        })
        .collect::<Option<_>>()?;
    named.sort();
    Some(named.into_iter().map(|(_, name)| name).collect())
}

/// A word, however it is written.
fn plain(word: &str) -> String {
    word.trim().replace('_', " ").to_lowercase()
}

/// Where vectors of words come from.
#[derive(Clone, Copy, Debug)]
pub enum Vectors<'a> {
    /// The text encoder of the CLIP model that made the run's features.
    Model {
        /// The model's folder.
        folder: &'a Path,
        /// What is encoded; `{}` stands for the word.
        prompt: &'a str,
    },
    /// Rows of a `.npy` file, in the order of the words.
    File(&'a Path),
}

/// What to say of which responses.
#[derive(Debug)]
pub struct WordsRequest<'a> {
    /// A complete run.
    pub run: &'a Run,
    /// Its dataset.
    pub dataset: &'a Dataset,
    /// The words.
    pub vocabulary: &'a Vocabulary,
    /// Their vectors.
    pub vectors: Vectors<'a>,
    /// Feature set whose space they are in; `None` = the run's high-level guidance.
    pub features: Option<&'a str>,
    /// What a response is; every trial by itself is not offered.
    pub average: Average,
}

/// Says of every test response which words are nearest, and writes the folder `words/` of the run. Decoders are fitted
/// without any label: a word that is a label of the dataset is one that they were never told.
///
/// A word's score is its cosine in units of its standard deviation over training responses, from their mean: a word that is
/// near to everything is so in training, too.
///
/// # Errors
/// As [`super::retrieve`]; vectors of another width, number or model.
pub fn words(
    request: &WordsRequest<'_>,
    report: &mut Report<'_>,
) -> Result<(WordsResults, PathBuf)> {
    let WordsRequest {
        run,
        dataset,
        vocabulary,
        average,
        ..
    } = *request;
    let decoded = decoded(run, dataset, request.features, average, false, report)?;
    let set = feature_set(dataset, &decoded)?;
    let vectors = match request.vectors {
        Vectors::File(path) => matrix(path)?,
        Vectors::Model { folder, prompt } => {
            if !prompt.contains("{}") {
                return Err(Error::Request(format!(
                    "--prompt {prompt:?}: expected {{}} where the word goes"
                )));
            }
            let texts: Vec<String> = (vocabulary.words.iter())
                .map(|word| prompt.replace("{}", &word.replace('_', " ")))
                .collect();
            let model = PictureModel {
                folder,
                features: set,
            };
            encode_texts(model, &texts)?
        }
    };
    let expected = (vocabulary.words.len(), set.shape[1]);
    if vectors.dim() != expected {
        let (words, width) = vectors.dim();
        return Err(Error::Request(format!(
            "expected vectors of {} words with {} values each, as {} has, found {words} of {width}",
            expected.0, expected.1, set.name
        )));
    }
    finite("vectors of words", &vectors)?;
    let vectors = unit(vectors);
    let scores: Vec<Array2<f32>> = decoded
        .iter()
        .map(|points| calibrated(points, &vectors))
        .collect();
    let views: Vec<ArrayView2<'_, f32>> = scores.iter().map(|scores| scores.view()).collect();
    let scores = concatenate(Axis(0), &views).map_err(|error| Error::Request(error.to_string()))?;
    let rows: Vec<(usize, DecodedRow)> = (decoded.iter())
        .flat_map(|points| points.rows.iter().map(|row| (points.fold, *row)))
        .collect();
    let subjects = subject_names(dataset, &decoded, average);
    let said = Said {
        run,
        dataset,
        vocabulary,
        rows,
        scores,
        subjects,
    };
    let mut notes = Vec::new();
    let results = WordsResults {
        schema: WORDS_SCHEMA.to_owned(),
        vocabulary: vocabulary.from.clone(),
        words: vocabulary.words.len(),
        features: set.name.clone(),
        responses: said.rows.len(),
        truth: said.truth(&mut notes)?,
        notes,
    };
    let folder = run.words_folder();
    output::replaced(&folder, |partial| {
        said.write(partial)?;
        Ok(results.write(partial)?)
    })?;
    Ok((results, folder))
}

/// Scores of the words for the test responses of a model: responses × words.
fn calibrated(points: &FoldPoints, vectors: &Array2<f32>) -> Array2<f32> {
    // Texts lie around a centre of their own.
    let centre = vectors
        .mapv(f64::from)
        .mean_axis(Axis(0))
        .unwrap_or_default();
    let level = points.space.level();
    let placed = points.space.place_around(vectors.view(), &centre) * &level;
    let placed = unit(placed.mapv(|value| value as f32));
    let level = level.mapv(|factor| factor as f32);
    let width = placed.ncols();
    let right: Vec<f32> = placed.iter().copied().collect();
    let cosines = |of: &Array2<f32>| {
        let left: Vec<f32> = unit(of * &level).into_iter().collect();
        let found = row_products(&left, &right, width);
        // As many as there are rows of each.
        Array2::from_shape_vec((of.nrows(), placed.nrows()), found).unwrap_or_default()
    };
    let training = cosines(&points.training).mapv(f64::from);
    let mean = training.mean_axis(Axis(0)).unwrap_or_default();
    let sd = match training.nrows() {
        0 => Array1::zeros(mean.len()),
        _ => training.std_axis(Axis(0), 0.0),
    };
    let mut scores = cosines(&points.points);
    for ((mut scores, mean), sd) in scores.columns_mut().into_iter().zip(&mean).zip(&sd) {
        let scale = if *sd > 1e-9 { sd.recip() } else { 0.0 };
        scores.mapv_inplace(|cosine| ((f64::from(cosine) - mean) * scale) as f32);
    }
    scores
}

/// Scores of words for responses.
struct Said<'s> {
    run: &'s Run,
    dataset: &'s Dataset,
    vocabulary: &'s Vocabulary,
    /// With the fold of each.
    rows: Vec<(usize, DecodedRow)>,
    scores: Array2<f32>,
    subjects: BTreeMap<usize, String>,
}

impl Said<'_> {
    /// Words from the highest score to the lowest.
    fn order(&self, row: usize) -> Vec<usize> {
        let scores = self.scores.row(row);
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
        order
    }

    /// Words that are labels of the dataset: their places in both.
    fn labels(&self) -> Vec<(usize, usize)> {
        let words = self.vocabulary.words.iter().map(|word| plain(word));
        let places: HashMap<String, usize> = words.zip(0..).collect();
        let names = self.dataset.labels.names.iter().enumerate();
        names
            .filter_map(|(label, name)| Some((*places.get(&plain(name))?, label)))
            .collect()
    }

    fn truth(&self, notes: &mut Vec<String>) -> Result<Option<WordsTruth>> {
        let labels = self.labels();
        if labels.is_empty() {
            notes.push(
                "no word is the name of a label of the dataset: nothing tells whether the words are right".to_owned(),
            );
            return Ok(None);
        }
        let stimuli: Vec<usize> = self.rows.iter().map(|(_, row)| row.stimulus).collect();
        let columns: Vec<usize> = labels.iter().map(|(_, label)| *label).collect();
        let targets = (self.dataset.labels.matrix)
            .select(Axis(0), &stimuli)
            .select(Axis(1), &columns);
        let own: Vec<usize> = labels.iter().map(|(word, _)| *word).collect();
        let scores = self.scores.select(Axis(1), &own).mapv(f64::from);
        let groups = self.groups();
        let subjects: Vec<usize> = self.rows.iter().map(|(_, row)| row.subject).collect();
        let samples = Samples::new(&subjects, &stimuli, &groups)?;
        let auc =
            |scores: ArrayView2<'_, f64>| -> Result<(Answer<Interval>, Vec<Answer<Interval>>)> {
                let all = score_interval(scores, targets.view(), &samples)?.roc_auc;
                Ok((
                    all,
                    label_intervals(scores, targets.view(), &samples)?.roc_auc,
                ))
            };
        let (all, each) = auc(scores.view())?;
        let of_run = match self.supervised(&columns)? {
            Some(scores) => Some(auc(scores.view())?),
            None => None,
        };
        let label = |(place, found): (usize, Answer<Interval>)| WordLabel {
            name: self.dataset.labels.names[columns[place]].clone(),
            roc_auc: found.ok().map(|found| found.estimate),
            interval: found.ok().map(|found| [found.low, found.high]),
            supervised: (of_run.as_ref()).and_then(|(_, each)| Some(each[place].ok()?.estimate)),
        };
        Ok(Some(WordsTruth {
            labels: each.into_iter().enumerate().map(label).collect(),
            roc_auc: Stated::of(all, IntervalResult::from),
            supervised: match of_run {
                Some((all, _)) => Stated::of(all, IntervalResult::from),
                None => Stated::because("the run's predictions are of other responses"),
            },
            top_five: self.top_five(&own, targets.view(), &subjects, &groups),
        }))
    }

    /// Responses with a true word among the first five of all.
    fn top_five(
        &self,
        own: &[usize],
        targets: ArrayView2<'_, u8>,
        subjects: &[usize],
        groups: &[usize],
    ) -> MeasureOfWords {
        let words = self.vocabulary.words.len();
        let (mut hits, mut of, mut among, mut chances) = (vec![], vec![], vec![], vec![]);
        for (row, targets) in targets.rows().into_iter().enumerate() {
            let truths: BTreeSet<usize> = (own.iter().zip(targets))
                .filter(|(_, there)| **there == 1)
                .map(|(word, _)| *word)
                .collect();
            if truths.is_empty() {
                continue;
            }
            let order = self.order(row);
            let hit = order.iter().take(NAMED).any(|word| truths.contains(word));
            hits.push(f64::from(u8::from(hit)));
            of.push(subjects[row]);
            among.push(groups[row]);
            // None of them among so many that are drawn.
            let missed = (0..NAMED.min(words)).map(|drawn| {
                (words - truths.len()).saturating_sub(drawn) as f64 / (words - drawn) as f64
            });
            chances.push(1.0 - missed.product::<f64>());
        }
        let (mean, interval) = mean_over_subjects(&hits, &of, &among);
        MeasureOfWords {
            mean,
            chance: mused_stats::summary::mean(&chances).unwrap_or(f64::NAN),
            interval: Stated::of(interval, IntervalResult::from),
        }
    }

    /// What the run says of labels for the same responses; `None` where it tested others.
    fn supervised(&self, columns: &[usize]) -> Result<Option<Array2<f64>>> {
        let predictions = self.run.predictions()?;
        let keys = predictions.keys.iter().zip(0..);
        let places: HashMap<(&str, &str), usize> = keys
            .map(|((subject, stimulus), row)| ((subject.as_str(), stimulus.as_str()), row))
            .collect();
        let place = |(_, row): &(usize, DecodedRow)| {
            let subject = self.subjects.get(&row.subject)?.as_str();
            let stimulus = self.dataset.stimuli[row.stimulus].id.as_str();
            places.get(&(subject, stimulus)).copied()
        };
        let rows: Option<Vec<usize>> = self.rows.iter().map(place).collect();
        Ok(rows.map(|rows| {
            let of_rows = predictions.probabilities.select(Axis(0), &rows);
            of_rows.select(Axis(1), columns)
        }))
    }

    fn write(&self, folder: &Path) -> Result<()> {
        npy::write_npy_f32(folder.join("scores.npy"), self.scores.view())?;
        let mut vocabulary = TableWriter::create(folder.join("vocabulary.tsv"), &["word"])?;
        for word in &self.vocabulary.words {
            vocabulary.write_row([word])?;
        }
        vocabulary.finish()?;
        let columns = ["fold", "subject", "stimulus_id"];
        let mut responses = TableWriter::create(folder.join("responses.tsv"), &columns)?;
        let columns = ["response", "place", "word", "score", "label"];
        let mut said = TableWriter::create(folder.join("words.tsv"), &columns)?;
        let labels: HashMap<usize, usize> = self.labels().into_iter().collect();
        for (number, (fold, row)) in self.rows.iter().enumerate() {
            responses.write_row([
                fold.to_string(),
                self.subjects.get(&row.subject).cloned().unwrap_or_default(),
                self.dataset.stimuli[row.stimulus].id.clone(),
            ])?;
            for (place, word) in self.order(number).into_iter().take(NAMED).enumerate() {
                let there = labels
                    .get(&word)
                    .map(|&label| self.dataset.labels.matrix[[row.stimulus, label]]);
                said.write_row([
                    number.to_string(),
                    (place + 1).to_string(),
                    self.vocabulary.words[word].clone(),
                    format!("{:.4}", self.scores[[number, word]]),
                    there.map_or("n/a".to_owned(), |there| there.to_string()),
                ])?;
            }
        }
        responses.finish()?;
        Ok(said.finish()?)
    }

    fn groups(&self) -> Vec<usize> {
        let mut numbers: HashMap<&str, usize> = HashMap::new();
        self.rows
            .iter()
            .map(|(_, row)| {
                let next = numbers.len();
                let group = self.dataset.stimuli[row.stimulus].group.as_str();
                *numbers.entry(group).or_insert(next)
            })
            .collect()
    }
}
