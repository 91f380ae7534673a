use std::path::Path;
use std::sync::Arc;

use mused_data::{Dataset, InputReader, samples};
use mused_formats::npy;
use mused_formats::table::TableWriter;
use mused_kernels::KernelBackend;
use ndarray::Array2;

use crate::batches::SampleSet;
use crate::fold::INPUTS;
use crate::restored::Restored;
use crate::run::complete_models;
use crate::{Error, Result, inputs};

/// Label probabilities of every subject and stimulus of `dataset`, the mean over the run's folds:
/// `out` as .npy (rows × labels, f32) and, beside it, the rows as .tsv.
///
/// # Errors
/// When the run is not complete, a subject or region is unknown to it, responses do not fit, or
/// `out` exists.
pub fn predict<B: KernelBackend>(run: &Path, dataset: &Dataset, out: &Path) -> Result<usize> {
    let rows_path = out.with_extension("tsv");
    for path in [out, &rows_path] {
        if path.exists() {
            return Err(mused_data::Error::Exists(path.to_owned()).into());
        }
    }
    let models = complete_models(run)?;
    let subjects: Vec<usize> = (0..dataset.subjects.len()).collect();
    let stimuli: Vec<usize> = (0..dataset.stimuli.len()).collect();
    let rows = samples(dataset, &subjects, &stimuli);
    let mut sums: Option<Array2<f32>> = None;
    let mut counts = vec![0.0_f32; rows.len()];
    for task in &models {
        let folder = task.folder(run);
        let (description, model) = Restored::<B>::read(&folder)?;
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
        let transform = Arc::new(inputs::read(&folder.join(INPUTS))?);
        let reader = Arc::new(InputReader::new(dataset, transform, &readable)?);
        let set = SampleSet::new(
            reader,
            own.iter().map(|&row| rows[row].clone()).collect(),
            &description.subjects,
            description.model.subjects(),
        )?;
        let values = model.predict(&set)?;
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
            run.display()
        )));
    };
    for (mut row, count) in mean.rows_mut().into_iter().zip(counts) {
        row /= count;
    }
    let mut table = TableWriter::create(&rows_path, &["subject", "stimulus_id"])?;
    for sample in &rows {
        let (subject, stimulus) = (
            &dataset.subjects[sample.subject],
            &dataset.stimuli[sample.stimulus],
        );
        table.write_row([&subject.id, &stimulus.id])?;
    }
    table.finish()?;
    npy::write_npy_f32(out, mean.view())?;
    Ok(rows.len())
}
