use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use mused_data::Dataset;
use mused_formats::npy;
use mused_formats::table::{Table, TableWriter};
use mused_stats::Samples;
use ndarray::{Array2, ArrayD, ArrayView2, Ix2};

use crate::{Division, Error, Result};

/// A row of the predictions: one test sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PredictionRow {
    /// Fold whose model predicted it.
    pub fold: usize,
    /// Whose response it is.
    pub subject: String,
    /// What was shown.
    pub stimulus: String,
}

/// Test predictions of a complete run.
#[derive(Clone, Debug)]
pub struct Predictions {
    /// Their names, in the order of the columns.
    pub labels: Vec<String>,
    /// rows × labels
    pub probabilities: Array2<f64>,
    /// rows × labels
    pub targets: Array2<u8>,
    /// Subject and stimulus of each row.
    pub keys: Vec<(String, String)>,
    /// Group of each row's stimulus.
    groups: Vec<String>,
    /// Place of each row's stimulus in the order shown.
    shown: Vec<usize>,
    /// Whether the run recorded that order; runs of version 0.1.0 did not.
    order_is_recorded: bool,
    /// Fold of each row.
    pub row_folds: Vec<usize>,
    /// Folds the rows come from.
    pub folds: usize,
}

impl Predictions {
    pub(crate) fn read(files: &Files, division: &Division) -> Result<Self> {
        let labels = strings(&Table::read(&files.labels)?, "label")?;
        let trials = Table::read(&files.trials)?;
        let shape = (trials.rows(), labels.len());
        let probabilities = matrix(
            &files.predictions,
            npy::read_npy(&files.predictions)?,
            shape,
        )?;
        let targets = matrix(&files.targets, npy::read_npy_u8(&files.targets)?, shape)?;
        let row_folds = trials.column("fold")?.parse::<usize>()?;
        division.refuse_others(row_folds.iter().copied(), &files.trials)?;
        let folds = row_folds.iter().max().map_or(0, |last| last + 1);
        let stimuli = strings(&trials, "stimulus_id")?;
        let subjects = strings(&trials, "subject")?;
        let order_is_recorded = files.shown.is_file();
        let order = match order_is_recorded {
            true => strings(&Table::read(&files.shown)?, "stimulus_id")?,
            false => Vec::new(),
        };
        // Without a record, rows come in the order shown as far as anybody knows.
        let names: Vec<&String> = stimuli.iter().collect();
        let shown = numbers(&names, order.iter().chain(&stimuli));
        let group_of = division.groups();
        let group = |stimulus: &String| {
            (*group_of
                .get(stimulus.as_str())
                .unwrap_or(&stimulus.as_str()))
            .to_owned()
        };
        Ok(Self {
            labels,
            probabilities,
            targets,
            groups: stimuli.iter().map(group).collect(),
            keys: subjects.into_iter().zip(stimuli).collect(),
            shown,
            order_is_recorded,
            row_folds,
            folds,
        })
    }

    /// Takes the order shown from the dataset where the run did not record it.
    pub fn order_by(&mut self, dataset: &Dataset) {
        if self.order_is_recorded {
            return;
        }
        let ids = dataset.stimuli.iter().map(|stimulus| stimulus.id.as_str());
        let order: HashMap<&str, usize> = ids.zip(mused_data::order_shown(dataset)).collect();
        let known = self
            .keys
            .iter()
            .map(|(_, stimulus)| order.get(stimulus.as_str()).copied());
        if let Some(shown) = known.collect::<Option<Vec<usize>>>() {
            self.shown = shown;
        }
    }

    /// Rows of each subject, by name.
    pub fn rows_by_subject(&self) -> BTreeMap<String, Vec<usize>> {
        let mut rows: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (row, (subject, _)) in self.keys.iter().enumerate() {
            rows.entry(subject.clone()).or_default().push(row);
        }
        rows
    }

    /// Who saw what; subjects in alphabetical order. A permutation test that moves stimuli in time finds them in the
    /// order shown, whatever their names.
    ///
    /// # Errors
    /// A stimulus of two groups, or a subject with two rows of one stimulus.
    pub fn samples(&self) -> Result<Samples> {
        let mut rows: Vec<usize> = (0..self.keys.len()).collect();
        rows.sort_by_key(|&row| self.shown[row]);
        let by_time = |names: &[&String]| numbers(names, rows.iter().map(|&row| names[row]));
        let by_name = |names: &[&String]| {
            let sorted: BTreeSet<&String> = names.iter().copied().collect();
            numbers(names, sorted.into_iter())
        };
        let (subjects, stimuli): (Vec<&String>, Vec<&String>) = self
            .keys
            .iter()
            .map(|(subject, stimulus)| (subject, stimulus))
            .unzip();
        let groups: Vec<&String> = self.groups.iter().collect();
        let contradict = |error| {
            Error::Request(format!(
                "the test rows of the run contradict one another: {error}"
            ))
        };
        let subjects = by_name(&subjects);
        let timed = Samples::new(&subjects, &by_time(&stimuli), &by_time(&groups));
        let named = Samples::new(&subjects, &by_name(&stimuli), &by_name(&groups));
        let (timed, named) = (timed.map_err(contradict)?, named.map_err(contradict)?);
        // Other exchanges do not ask for time: there a seed gives the p that it always gave.
        let asks_for_time = |samples: &Samples| {
            let exchange = samples.exchange(self.targets.view()).map_err(contradict)?;
            Ok::<_, Error>(exchange.in_time())
        };
        Ok(match asks_for_time(&timed)? || asks_for_time(&named)? {
            true => timed,
            false => named,
        })
    }
}

/// Where the parts of the predictions lie.
pub(crate) struct Files {
    pub(crate) labels: PathBuf,
    pub(crate) trials: PathBuf,
    pub(crate) shown: PathBuf,
    pub(crate) predictions: PathBuf,
    pub(crate) targets: PathBuf,
}

impl Files {
    pub(crate) fn all(&self) -> [&Path; 5] {
        [
            &self.labels,
            &self.trials,
            &self.shown,
            &self.predictions,
            &self.targets,
        ]
        .map(PathBuf::as_path)
    }

    pub(crate) fn write(
        &self,
        rows: &[PredictionRow],
        probabilities: ArrayView2<'_, f32>,
        targets: ArrayView2<'_, u8>,
    ) -> Result<()> {
        let mut table = TableWriter::create(&self.trials, &["fold", "subject", "stimulus_id"])?;
        for row in rows {
            table.write_row([&row.fold.to_string(), &row.subject, &row.stimulus])?;
        }
        table.finish()?;
        npy::write_npy_u8(&self.targets, targets)?;
        // Last: a run with predictions is complete.
        Ok(npy::write_npy_f32(&self.predictions, probabilities)?)
    }
}

/// The number of each name in an order of names.
fn numbers<'n>(names: &[&'n String], order: impl Iterator<Item = &'n String>) -> Vec<usize> {
    let mut number: HashMap<&String, usize> = HashMap::new();
    for name in order {
        let next = number.len();
        number.entry(name).or_insert(next);
    }
    names.iter().map(|name| number[name]).collect()
}

fn strings(table: &Table, column: &str) -> Result<Vec<String>> {
    let cells = table.column(column)?.strings()?;
    Ok(cells.into_iter().map(str::to_owned).collect())
}

fn matrix<T>(path: &Path, array: ArrayD<T>, expected: (usize, usize)) -> Result<Array2<T>> {
    let found = array.shape().to_vec();
    let array = array
        .into_dimensionality::<Ix2>()
        .ok()
        .filter(|array| array.dim() == expected);
    array.ok_or_else(|| {
        Error::invalid(
            path,
            format!(
                "expected {} rows × {} labels, found {found:?}",
                expected.0, expected.1
            ),
        )
    })
}
