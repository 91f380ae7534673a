use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use mused_formats::npy;
use mused_formats::table::Table;
use mused_stats::Samples;
use ndarray::{Array2, ArrayD, Ix2};

use crate::{Error, Result};

/// Test rows of a run directory.
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
    /// Folds the rows come from.
    pub folds: usize,
}

impl Predictions {
    /// Reads those of a complete run.
    ///
    /// # Errors
    /// When the run is not complete or its files contradict each other.
    pub fn read(run: &Path) -> Result<Self> {
        let path = run.join("predictions.npy");
        if !path.is_file() {
            return Err(Error::Invalid {
                path,
                message: "expected the predictions of a complete run, found none; train it, or \
                          continue it with `mused train … --resume`"
                    .to_owned(),
            });
        }
        let labels = strings(&Table::read(run.join("labels.tsv"))?, "label")?;
        let trials = Table::read(run.join("trials.tsv"))?;
        let shape = (trials.rows(), labels.len());
        let probabilities = matrix(&path, npy::read_npy(&path)?, shape)?;
        let path = run.join("targets.npy");
        let targets = matrix(&path, npy::read_npy_u8(&path)?, shape)?;
        let folds = trials.column("fold")?.parse::<usize>()?;
        let folds = folds.into_iter().max().map_or(0, |last| last + 1);
        let stimuli = strings(&trials, "stimulus_id")?;
        let subjects = strings(&trials, "subject")?;
        let division = Table::read(run.join("split.tsv"))?;
        let group_of: HashMap<String, String> = strings(&division, "stimulus_id")?
            .into_iter()
            .zip(strings(&division, "group")?)
            .collect();
        let group = |stimulus: &String| group_of.get(stimulus).unwrap_or(stimulus).clone();
        Ok(Self {
            labels,
            probabilities,
            targets,
            groups: stimuli.iter().map(group).collect(),
            keys: subjects.into_iter().zip(stimuli).collect(),
            folds,
        })
    }

    /// Rows of each subject, by name.
    pub fn rows_by_subject(&self) -> BTreeMap<String, Vec<usize>> {
        let mut rows: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (row, (subject, _)) in self.keys.iter().enumerate() {
            rows.entry(subject.clone()).or_default().push(row);
        }
        rows
    }

    /// Who saw what; subjects in alphabetical order.
    pub(crate) fn samples(&self) -> Result<Samples> {
        let subjects = numbers(self.keys.iter().map(|(subject, _)| subject));
        let stimuli = numbers(self.keys.iter().map(|(_, stimulus)| stimulus));
        Ok(Samples::new(
            &subjects,
            &stimuli,
            &numbers(self.groups.iter()),
        )?)
    }
}

/// Numbers of values in alphabetical order.
fn numbers<'v>(values: impl Iterator<Item = &'v String> + Clone) -> Vec<usize> {
    let sorted: BTreeSet<&String> = values.clone().collect();
    let number: HashMap<&String, usize> = sorted.into_iter().zip(0..).collect();
    values.map(|value| number[value]).collect()
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
    array.ok_or_else(|| Error::Invalid {
        path: path.to_owned(),
        message: format!(
            "expected {} rows × {} labels, found {found:?}",
            expected.0, expected.1
        ),
    })
}
