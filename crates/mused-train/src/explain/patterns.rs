//! What responses do where a linear model decodes a label, voxel by voxel: `patterns/`.

use std::path::Path;
use std::sync::Arc;

use mused_data::{Dataset, Fold, InputReader, Subject, map, samples};
use mused_formats::npy;
use mused_formats::table::TableWriter;
use mused_kernels::KernelBackend;
use mused_run::{Config, Run, Task};
use mused_stats::decoding_patterns::DecodingPatterns;
use ndarray::Array2;

use super::output::create;
use crate::Result;
use crate::families::{evaluation_batch, restore};
use crate::sample_set::SampleSet;

/// Most values of a subject's patterns, voxels × labels: sums of as many are held at once (512 MiB).
const MOST_VALUES: usize = 1 << 26;

/// Most values of an image, places × labels: more take minutes to write (1 GiB).
const MOST_IMAGE_VALUES: usize = 1 << 28;

/// A run of linear models, and what it was trained on.
struct LinearRun<'a> {
    run: Run,
    dataset: &'a Dataset,
    folds: Vec<Fold>,
}

/// Writes patterns of the run's linear models, or of the ridge regression beside a network: for each subject an array
/// labels × voxels and, where its voxels have a place, an image with a volume or scalar a label; an image of the mean where
/// all lie in one space. Gives the images.
pub(super) fn write<B: KernelBackend>(
    run: &Run,
    dataset: &Dataset,
    config: &Config,
    folder: &Path,
    notes: &mut Vec<String>,
) -> Result<Vec<String>> {
    let linear = match linear(run, config, dataset) {
        Ok(linear) => linear,
        Err(why) => {
            notes.push(format!("no patterns of voxels: {why}"));
            return Ok(Vec::new());
        }
    };
    let folds = linear.division()?.folds(dataset)?;
    let linear = LinearRun {
        run: linear,
        dataset,
        folds,
    };
    let names: Vec<&str> = dataset.labels.names.iter().map(String::as_str).collect();
    let place = folder.join("patterns");
    let mut found: Vec<(&Subject, Array2<f32>)> = Vec::new();
    let mut images = Vec::new();
    for (index, subject) in dataset.subjects.iter().enumerate() {
        if subject.voxels.len() * names.len() > MOST_VALUES {
            notes.push(format!(
                "no patterns of {}: {} voxels × {} labels are too many",
                subject.id,
                subject.voxels.len(),
                names.len()
            ));
            continue;
        }
        let Some(patterns) = linear.of::<B>(index)? else {
            continue;
        };
        create(&place)?;
        npy::write_npy_f32(place.join(format!("{}.npy", subject.id)), patterns.view())?;
        if let Some(image) = map::image(subject)?
            && image.places * names.len() <= MOST_IMAGE_VALUES
        {
            let file = format!("patterns/{}.{}", subject.id, image.ending);
            map::write_means(&[(subject, patterns.view())], &names, &folder.join(&file))?;
            images.push(file);
            found.push((subject, patterns));
        }
    }
    if place.is_dir() {
        let mut table = TableWriter::create(place.join("labels.tsv"), &["volume", "label"])?;
        for (volume, name) in (1..).zip(&names) {
            table.write_row([volume.to_string().as_str(), name])?;
        }
        table.finish()?;
    }
    let subjects: Vec<&Subject> = found.iter().map(|(subject, _)| *subject).collect();
    if found.len() > 1
        && map::one_space(&subjects)?
        && let Some(image) = map::image(subjects[0])?
    {
        let all: Vec<_> = found.iter().map(|(s, maps)| (*s, maps.view())).collect();
        let file = format!("patterns_mean.{}", image.ending);
        map::write_means(&all, &names, &folder.join(&file))?;
        images.push(file);
    }
    Ok(images)
}

/// The run's own models where they are linear, else the ridge regression beside them, or why there is none.
pub(super) fn linear(
    run: &Run,
    config: &Config,
    dataset: &Dataset,
) -> std::result::Result<Run, String> {
    if dataset.profiles() {
        return Err("similarities to stimuli are no voxels".to_owned());
    }
    if config.model.family.is_ridge() {
        return Run::open(run.path()).map_err(|error| error.to_string());
    }
    match run.ridge() {
        Some(Ok(beside)) => Ok(beside.run),
        Some(Err(why)) => Err(why),
        None => Err("the model is not linear, and no ridge regression lies beside it".to_owned()),
    }
}

impl LinearRun<'_> {
    /// Labels × voxels, mean over the models that were fitted on the subject; `None` of a subject that none was.
    fn of<B: KernelBackend>(&self, subject: usize) -> Result<Option<Array2<f32>>> {
        let id = &self.dataset.subjects[subject].id;
        let mut sum: Option<Array2<f64>> = None;
        let mut models = 0;
        for task in self.run.tasks() {
            if task.subject.as_ref().is_some_and(|own| own != id) {
                continue;
            }
            if let Some(patterns) = self.of_task::<B>(subject, task)? {
                models += 1;
                sum = Some(match sum {
                    Some(sum) => sum + patterns,
                    None => patterns,
                });
            }
        }
        Ok(sum.map(|sum| (sum.reversed_axes() / f64::from(models)).mapv(|value| value as f32)))
    }

    /// Voxels × labels, over the training samples of a model.
    fn of_task<B: KernelBackend>(
        &self,
        subject: usize,
        task: &Task,
    ) -> Result<Option<Array2<f64>>> {
        let (description, model, transform) = restore::<B>(&self.run, task)?;
        let person = &self.dataset.subjects[subject];
        let train = self
            .folds
            .get(task.fold)
            .map_or(&[][..], |fold| &fold.train);
        let own = samples(self.dataset, &[subject], train);
        if !description.subjects.contains(&person.id) || own.len() < 2 {
            return Ok(None);
        }
        let reader = Arc::new(InputReader::new(
            self.dataset,
            Arc::new(transform),
            &[subject],
        )?);
        let voxels = person.voxels.len();
        let mut sums = DecodingPatterns::new(voxels, description.labels.len());
        for own in own.chunks(evaluation_batch(voxels)) {
            let responses = reader.responses(own)?.mapv(f64::from);
            let set = SampleSet::new(reader.clone(), own.to_vec(), &description.subjects, 1)?;
            let all: Vec<usize> = (0..own.len()).collect();
            let scores = model.linear(&set, &all, set.inputs(&all)?.view())?;
            let Some(scores) = scores else {
                return Ok(None);
            };
            sums.add(responses.view(), scores.view())?;
        }
        Ok(Some(sums.patterns()?))
    }
}
