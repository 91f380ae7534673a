//! What a trained run reads, and what its tokens have become: the folder `explain/` of a run directory.

mod attention;
mod geometry;
mod occlusion;
mod output;
mod parts;
mod patterns;
mod rows;
#[cfg(test)]
mod tests;
mod tokens;
mod unique;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use mused_data::{Dataset, Layout};
use mused_formats::replace_folder;
use mused_kernels::KernelBackend;
use mused_run::{Config, Run, Task};
use mused_stats::paired::Difference;

use crate::families::restore;
use crate::training::controlled;
use crate::{Error, Result};
use geometry::Geometry;
use occlusion::{Occlusion, Passes};
use parts::Parts;
use rows::TestRows;
use tokens::FoldTokens;
pub use unique::unique_contributions;

/// Version of the folder's layout.
const SCHEMA: &str = "mused-explain/1";

/// What [`explain`] found, beside its files.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The folder that was written.
    pub folder: PathBuf,
    /// The directory of the dataset that was read; `None` in memory.
    pub dataset: Option<PathBuf>,
    /// In the order of the input row; none for a model that reads nothing.
    pub drops: Vec<PartDrop>,
    /// One a level of the network's tokens.
    pub tokens: Vec<TokenGeometry>,
    /// Subjects with a value for each voxel in `importance/`.
    pub importance: Vec<String>,
    /// Images of patterns, below the folder: a volume or scalar a label.
    pub patterns: Vec<String>,
    /// What could not be made and why, in sentences.
    pub notes: Vec<String>,
}

/// What scores lose without a part of the input.
#[derive(Clone, Debug, PartialEq)]
pub struct PartDrop {
    /// Name of the region, or of the cube by its first voxel.
    pub part: String,
    /// Loss of macro average precision.
    pub average_precision: ScoreDrop,
    /// Loss of area under the ROC curve.
    pub roc_auc: ScoreDrop,
    /// Of each label the loss of area under the ROC curve, mean over subjects, between the ends of its 95 % interval: low,
    /// mean, high.
    pub labels: Vec<Option<[f64; 3]>>,
}

/// What one score loses.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreDrop {
    /// Mean over subjects.
    pub mean: Option<f64>,
    /// Ends of its 95 % interval.
    pub interval: Option<[f64; 2]>,
    /// Subjects by name.
    pub per_subject: Vec<Option<f64>>,
}

impl From<&Difference> for ScoreDrop {
    fn from(found: &Difference) -> Self {
        let scored: Vec<f64> = found.per_subject.iter().flatten().copied().collect();
        Self {
            mean: mused_stats::summary::mean(&scored),
            interval: found.interval.ok().map(|found| [found.low, found.high]),
            per_subject: found.per_subject.clone(),
        }
    }
}

/// How the RDMs of a level's tokens correlate with the guiding RDMs (Spearman): mean over subjects, and over folds, each of
/// which has tokens in a space of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenGeometry {
    /// `high` or `low`.
    pub level: &'static str,
    /// With high-level guidance.
    pub guidance_high: Option<f64>,
    /// With low-level guidance.
    pub guidance_low: Option<f64>,
}

/// Writes `run`/explain: attention of the subject tokens to the parts of the input (regions, or cubes of a volume); what
/// scores lose when a part's inputs are replaced by their training mean; patterns of linear models, voxel by voxel; tokens and RDMs of the test samples
/// of `fold`, with their correlations in all folds.
/// An earlier one is replaced, once everything is written. The same bits every time.
///
/// `dataset` is the run's, see [`Run::dataset`] and [`Run::check_dataset`]; `progress` is told how many of how many passes
/// of a sample are done.
///
/// # Errors
/// A run that is not complete; a fold the run does not have; a model that does not give the run's predictions on this
/// dataset.
pub fn explain<B: KernelBackend>(
    run: &Run,
    dataset: &Dataset,
    fold: usize,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Explanation> {
    run.refuse_incomplete()?;
    let tasks = run.tasks();
    let folds = tasks.iter().map(|task| task.fold + 1).max().unwrap_or(0);
    if fold >= folds {
        return Err(Error::Request(format!(
            "{} has {folds} folds, counted from 0: expected --fold below {folds}, found {fold}",
            run.path().display()
        )));
    }
    let config = run.resolved_config()?;
    let dataset = controlled(dataset, &config);

    let folder = run.explain_folder();
    let partial = folder.with_file_name(".explain.partial");
    remove(&partial)?;
    output::create(&partial)?;
    let explanation = write::<B>(run, &dataset, &config, fold, &partial, progress)?;
    replace_folder(&partial, &folder)?;
    Ok(Explanation {
        folder,
        ..explanation
    })
}

fn remove(folder: &Path) -> Result<()> {
    match folder.exists() {
        true => fs::remove_dir_all(folder).map_err(Error::io("cannot remove", folder)),
        false => Ok(()),
    }
}

fn write<B: KernelBackend>(
    run: &Run,
    dataset: &Dataset,
    config: &Config,
    fold: usize,
    folder: &Path,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Explanation> {
    let (tasks, mut notes) = (run.tasks(), Vec::new());
    let rows = TestRows::read(run, dataset)?;
    let parts = parts_of::<B>(run, dataset, tasks, &mut notes)?;
    let names = parts.names();
    let occlusion = Occlusion {
        run,
        dataset,
        tasks,
        rows: &rows,
        parts: &parts,
    };
    let Passes {
        drops,
        attention,
        tokens,
    } = occlusion.pass::<B>(progress, &mut notes)?;

    let subjects = rows.subjects();
    if subjects.len() == 1 {
        notes.push("one test subject: intervals speak of other stimuli alone, and RDMs have no noise ceiling".to_owned());
    }
    if names.len() == 1 {
        notes.push("the input is one part: nothing can be set against it".to_owned());
    }
    let attended = attention.rows();
    if !attended.is_empty() {
        output::attention(folder, dataset, &names, &attended)?;
    } else if !names.is_empty() {
        notes.push("the model has no attention of subject tokens to parts of the input".to_owned());
    }
    let mut importance = Vec::new();
    if !drops.is_empty() {
        output::occlusion(folder, dataset, &subjects, &drops)?;
        output::labels(&folder.join("occlusion_labels.tsv"), dataset, &drops)?;
        importance = output::importance(folder, dataset, &subjects, &parts, &drops)?;
        if importance.len() < subjects.len() {
            let lacking = subjects.len() - importance.len();
            notes.push(format!(
                "no importance a voxel for {lacking} subjects: their voxels have no positions (columns i, j and k of \
                 voxels.tsv, or grayordinates), or their scores are undefined"
            ));
        }
    }
    let patterns = patterns::write::<B>(run, dataset, config, folder, &mut notes)?;
    let none = FoldTokens::default();
    let of_fold = tokens.get(&fold).unwrap_or(&none);
    let levels: Vec<&'static str> = of_fold.levels()?.iter().map(|level| level.level).collect();
    if of_fold.one_network() {
        output::tokens(folder, dataset, &rows, fold, of_fold)?;
    } else if levels.is_empty() {
        notes.push("the model has no subject tokens".to_owned());
    } else {
        notes.push("every subject has a network of its own: their tokens have no space in common and are not listed".to_owned());
    }
    let geometry = |fold: usize, folder: Option<&Path>, notes: &mut Vec<String>| {
        let Some(mut geometry) = Geometry::new(dataset, folder, &rows, fold, notes)? else {
            return Ok::<_, Error>((0, Vec::new()));
        };
        geometry.guidance(&config.guidance, notes)?;
        geometry.tokens(tokens.get(&fold).unwrap_or(&none), notes)?;
        geometry.regions(notes)?;
        geometry.labels()?;
        Ok((geometry.len(), geometry.finish()))
    };
    let (stimuli, shown) = geometry(fold, Some(folder), &mut notes)?;
    let (mut all_stimuli, mut others) = (stimuli, Vec::new());
    let folds: BTreeSet<usize> = tasks.iter().map(|task| task.fold).collect();
    for &other in folds.iter().filter(|other| **other != fold) {
        // What lacks in one fold lacks in all, and is said once.
        let (stimuli, found) = geometry(other, None, &mut Vec::new())?;
        all_stimuli += stimuli;
        others.extend(found);
    }
    let found = geometry::over_folds(shown, &others);
    if !found.is_empty() {
        geometry::write(folder, &found)?;
    }
    output::Description {
        schema: SCHEMA,
        fold,
        levels,
        parts: names,
        part_kind: parts.kind(),
        stimuli,
        folds: folds.len(),
        all_stimuli,
        notes: &notes,
    }
    .write(folder)?;
    Ok(Explanation {
        folder: folder.to_owned(),
        dataset: dataset.root().map(Path::to_owned),
        drops,
        tokens: geometry::of_tokens(&found),
        importance,
        patterns,
        notes,
    })
}

/// What the models of a run read, in parts; none for models that read nothing.
fn parts_of<B: KernelBackend>(
    run: &Run,
    dataset: &Dataset,
    tasks: &[Task],
    notes: &mut Vec<String>,
) -> Result<Parts> {
    let mut layouts: Vec<Layout> = Vec::new();
    for task in tasks {
        let (_, model, transform) = restore::<B>(run, task)?;
        if !model.reads() {
            notes.push("the model predicts the frequency of each label and reads no responses: nothing can be left out".to_owned());
            return Ok(Parts::Regions(Vec::new()));
        }
        if !layouts.contains(&transform.layout) {
            layouts.push(transform.layout);
        }
    }
    let parts = Parts::new(dataset, &layouts);
    if let Some(edge) = parts.edge() {
        notes.push(format!(
            "parts are cubes of {edge} × {edge} × {edge} voxels, named by their first voxel in the grid of the dataset"
        ));
    }
    Ok(parts)
}
