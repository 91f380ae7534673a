use std::path::{Path, PathBuf};
use std::sync::Arc;

use mused_data::{Dataset, InputReader, samples};
use mused_formats::npy;
use mused_formats::table::{Table, TableWriter};
use mused_kernels::KernelBackend;
use mused_run::Run;
use ndarray::Array2;

use crate::families::restore;
use crate::sample_set::SampleSet;
use crate::{Error, Result};

/// What a run says of a dataset.
#[derive(Clone, Debug, PartialEq)]
pub struct Probabilities {
    /// Names of the columns.
    pub labels: Vec<String>,
    /// Subject and stimulus of each row.
    pub rows: Vec<(String, String)>,
    /// rows × labels
    pub values: Array2<f32>,
}

impl Probabilities {
    /// Writes the values as `out`, .npy, and before them the rows beside it as .tsv. Rows that a killed process left are
    /// taken for what they are.
    ///
    /// # Errors
    /// A name that does not end in .npy, or a file of something else that exists.
    pub fn write(&self, out: &Path) -> Result<()> {
        let path = Self::writable(out)?;
        if path.exists() && !self.are_listed_in(&path) {
            return Err(mused_data::Error::Exists(path).into());
        }
        let mut table = TableWriter::create(&path, &COLUMNS)?;
        for (subject, stimulus) in &self.rows {
            table.write_row([subject, stimulus])?;
        }
        table.finish()?;
        Ok(npy::write_npy_f32(out, self.values.view())?)
    }

    fn are_listed_in(&self, path: &Path) -> bool {
        let table = Table::read(path);
        let rows = table.and_then(|table| {
            let [subjects, stimuli] = COLUMNS.map(|name| table.column(name)?.strings());
            let owned =
                |(subject, stimulus): (&str, &str)| (subject.to_owned(), stimulus.to_owned());
            Ok(subjects?.into_iter().zip(stimuli?).map(owned).collect())
        });
        rows.is_ok_and(|rows: Vec<_>| rows == self.rows)
    }

    /// The table beside `out`, if that can be written.
    ///
    /// # Errors
    /// A name that does not end in .npy, or a file that exists.
    pub fn writable(out: &Path) -> Result<PathBuf> {
        if out.extension().is_none_or(|extension| extension != "npy") {
            return Err(Error::Request(format!(
                "{}: expected a name that ends in .npy; the rows are listed beside it in a .tsv",
                out.display()
            )));
        }
        match out.exists() {
            true => Err(mused_data::Error::Exists(out.to_owned()).into()),
            false => Ok(out.with_extension("tsv")),
        }
    }
}

/// Of the table of rows.
const COLUMNS: [&str; 2] = ["subject", "stimulus_id"];

/// Label probabilities of every subject and stimulus of `dataset`, the mean over the run's folds.
///
/// # Errors
/// When the run is not complete, a subject or region is unknown to it, or responses do not fit.
pub fn predict<B: KernelBackend>(run: &Run, dataset: &Dataset) -> Result<Probabilities> {
    run.refuse_incomplete()?;
    let mut labels: Option<Vec<String>> = None;
    let subjects: Vec<usize> = (0..dataset.subjects.len()).collect();
    let stimuli: Vec<usize> = (0..dataset.stimuli.len()).collect();
    let rows = samples(dataset, &subjects, &stimuli);
    let mut sums: Option<Array2<f32>> = None;
    let mut counts = vec![0.0_f32; rows.len()];
    for task in run.tasks() {
        let (description, model, transform) = restore::<B>(run, task)?;
        let readable: Vec<usize> = match &task.subject {
            None => subjects.clone(),
            Some(id) => dataset.subject(id).into_iter().collect(),
        };
        let own: Vec<usize> = (0..rows.len())
            .filter(|&row| readable.contains(&rows[row].subject))
            .collect();
        if own.is_empty() {
            continue;
        }
        let reader = Arc::new(InputReader::new(dataset, Arc::new(transform), &readable)?);
        let set = SampleSet::new(
            reader,
            own.iter().map(|&row| rows[row].clone()).collect(),
            &description.subjects,
            description.model.subjects(),
        )?;
        let values = model.predict(&set)?;
        let known = labels.get_or_insert_with(|| description.labels.clone());
        if *known != description.labels || values.ncols() != known.len() {
            return Err(Error::invalid(
                run.model_path(task),
                "expected a model of the same labels as the others of the run, found other ones",
            ));
        }
        let sums = sums.get_or_insert_with(|| Array2::zeros((rows.len(), values.ncols())));
        for (&row, values) in own.iter().zip(values.rows()) {
            let mut sum = sums.row_mut(row);
            sum += &values;
            counts[row] += 1.0;
        }
    }
    let unread = counts.iter().position(|&count| count == 0.0);
    let Some(mut mean) = sums.filter(|_| unread.is_none()) else {
        let row = unread.unwrap_or(0);
        let subject = rows
            .get(row)
            .map_or("", |row| &dataset.subjects[row.subject].id);
        return Err(Error::Request(format!(
            "{} has no model of subject {subject:?}: it has one a subject",
            run.path().display()
        )));
    };
    for (mut row, count) in mean.rows_mut().into_iter().zip(counts) {
        row /= count;
    }
    let names = rows.iter().map(|sample| {
        let subject = dataset.subjects[sample.subject].id.clone();
        (subject, dataset.stimuli[sample.stimulus].id.clone())
    });
    Ok(Probabilities {
        labels: labels.unwrap_or_default(),
        rows: names.collect(),
        values: mean,
    })
}
