use std::path::Path;
use std::sync::Arc;

use mused_data::{Dataset, InputReader, samples};
use mused_formats::npy;
use mused_formats::table::TableWriter;
use mused_kernels::KernelBackend;
use ndarray::Array2;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::batches::SampleSet;
use crate::fold::{INPUTS, MODEL, ModelDescription, probabilities};
use crate::parameters::restore;
use crate::run::complete_folds;
use crate::{Error, Result, checkpoint, inputs};

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
    let folds = complete_folds(run)?;
    let device = B::Device::default();
    let subjects: Vec<usize> = (0..dataset.subjects.len()).collect();
    let stimuli: Vec<usize> = (0..dataset.stimuli.len()).collect();
    let rows = samples(dataset, &subjects, &stimuli);
    let mut sum: Option<Array2<f32>> = None;
    for folder in &folds {
        let (description, weights) = checkpoint::read::<ModelDescription>(&folder.join(MODEL))?;
        let transform = Arc::new(inputs::read(&folder.join(INPUTS))?);
        let reader = Arc::new(InputReader::new(dataset, transform, &subjects)?);
        // The drawn weights are all replaced.
        let drawn = description
            .model
            .init::<B>(&mut ChaCha8Rng::seed_from_u64(0), &device)?;
        let model = restore(drawn, weights)?;
        let set = SampleSet::new(
            reader,
            rows.clone(),
            &description.subjects,
            description.model.subjects(),
        )?;
        let values = probabilities(&model, &set, &device)?;
        sum = Some(match sum {
            None => values,
            Some(sum) => sum + values,
        });
    }
    let Some(sum) = sum else {
        return Err(Error::Request(format!("{} has no folds", run.display())));
    };
    let mean = sum / folds.len() as f32;
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
