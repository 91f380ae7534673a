//! Imports preprocessed BOLD runs with their events: `mused import bids ROOT OUT`.
//!
//! A trial's response is the mean over a window after its onset, or a least-squares beta. Runs are
//! read volume by volume: memory holds one run's responses, trials × voxels, never a run.
//!
//! What a stimulus is follows from the events. Where they name a file (`stim_file`), that is the
//! stimulus: shown again in another run it is a repeat, and it is a group of its own. Where they have
//! a `trial_type` alone, every event is a stimulus of its own, for nothing says that two of them
//! showed the same; those of a run, over all subjects, are one group, so that folds leave whole runs out.

mod config;
mod design;
mod entities;
mod events;
mod recordings;
mod regions;
mod responses;
mod runs;
mod stimuli;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use mused_formats::npy::{Dtype, NpyMatrix, NpyWriter};

use super::checks::{Findings, VoxelFlaws};
use super::driver::{
    self, Plan, Recipe, Responses, SourceFile, Space, SubjectPlan, Work, copied_rows,
};
use crate::{Imported, Motion, Result};
pub use config::{BidsConfig, Drift, Estimate, FilePatterns, Region};
use events::Event;
use regions::Chosen;
use runs::Run;
use stimuli::EventsOf;

/// Responses of a run in memory at once: 512 MB in double precision.
const MOST_VALUES: usize = 1 << 26;

/// Makes a dataset directory at `out` of the runs below `root`. `progress` is told how many of how
/// many runs are done.
///
/// # Errors
/// Names the file, what was expected and what was found; a named check says how to let it pass.
/// Nothing is left at `out` then.
pub fn import(
    root: &Path,
    out: &Path,
    config: &BidsConfig,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Imported> {
    import_in_portions(root, out, config, MOST_VALUES, progress)
}

/// [`import`] with at most so many responses of a run in memory; where a run has more, it is read once for every
/// portion of its voxels.
fn import_in_portions(
    root: &Path,
    out: &Path,
    config: &BidsConfig,
    most_values: usize,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Imported> {
    config::check(config)?;
    let mut findings = Findings::new(&config.allow);
    let subjects = runs::find(root, config, &mut findings)?;
    let mut events = BTreeMap::new();
    for run in subjects.values().flatten() {
        events.insert(&run.bold, events::read(run, config, &mut findings)?);
    }
    events::check_names(config, events.values())?;
    let plan = plan(root, config, &subjects, &events, &mut findings)?;
    let bids = Bids {
        config,
        events: &events,
        most_values,
    };
    driver::import(out, config, bids, plan, findings, progress)
}

fn plan<'r>(
    root: &Path,
    config: &BidsConfig,
    subjects: &'r BTreeMap<String, Vec<Run>>,
    events: &EventsOf<'_>,
    findings: &mut Findings,
) -> Result<Plan<Own<'r>>> {
    let (stimuli, labels) = stimuli::stimuli(root, subjects, events, findings)?;
    let index: HashMap<String, usize> = stimuli.iter().map(|s| s.id.clone()).zip(0..).collect();
    let runs = || subjects.values().flatten();
    let tr = runs().next().map(|run| run.timing.tr);
    let tr = tr.filter(|tr| runs().all(|run| run.timing.tr == *tr));
    let mut plan = Plan::new(config::describe(root, config, tr), stimuli, labels);
    let mut files = BTreeSet::new();
    for run in runs() {
        let confounds = run.confounds.iter();
        let confounds = confounds.filter(|_| !config.confounds.is_empty());
        let own = [&run.bold, &run.events].into_iter().chain(confounds);
        files.extend(own.cloned());
    }
    for (subject, runs) in subjects {
        let chosen = regions::select(root, config, subject, runs, findings)?;
        files.extend(chosen.files.iter().cloned());
        let (tables, motion): (Vec<_>, Vec<Motion>) = runs.iter().filter_map(motion_of).unzip();
        files.extend(tables.into_iter().cloned());
        plan.subjects.push(SubjectPlan {
            id: format!("sub-{subject}"),
            recordings: runs.len(),
            steps: runs.len(),
            trials: stimuli::trials(runs, events, &index),
            sources: Vec::new(),
            own: Own {
                runs,
                chosen,
                motion,
            },
        });
    }
    let derivatives = config.derivatives.as_deref();
    let folders: Vec<&Path> = [root].into_iter().chain(derivatives).collect();
    let sources = files.iter().map(|path| SourceFile::below(&folders, path));
    plan.sources = sources.collect();
    // By the recorded path: the order of whole paths depends on where the files lie.
    plan.sources.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(plan)
}

/// How the head moved, with the table that says so.
fn motion_of(run: &Run) -> Option<(&PathBuf, Motion)> {
    let path = run.confounds_there.as_ref()?;
    Some((path, Motion::of_confounds(path, run.numbers)?))
}

struct Bids<'r> {
    config: &'r BidsConfig,
    events: &'r EventsOf<'r>,
    most_values: usize,
}

/// Runs of a subject and the voxels that are read of them.
struct Own<'r> {
    runs: &'r [Run],
    chosen: Chosen,
    motion: Vec<Motion>,
}

impl<'e> Recipe for Bids<'e> {
    type Subject = Own<'e>;

    /// Brings the responses of all runs into scratch files, some voxels after others.
    fn responses<'r>(
        &'r mut self,
        subject: &'r SubjectPlan<Own<'e>>,
        work: &mut Work<'_>,
    ) -> Result<Responses<'r>> {
        let Own { runs, chosen, .. } = &subject.own;
        let most_trials = runs.iter().map(|run| self.events[&run.bold].trials.len());
        let size = (self.most_values / most_trials.max().unwrap_or(0).max(1)).max(1);
        let passes = chosen.mask.len().div_ceil(size);
        let mut flaws = VoxelFlaws::none(0);
        let mut portions = Vec::new();
        for (number, mask) in chosen.mask.chunks(size).enumerate() {
            let scratch = work.scratch(&format!("responses-{number}.npy"));
            let mut own = VoxelFlaws::none(mask.len());
            let trials = subject.trials.len();
            let mut spill = NpyWriter::create(&scratch, Dtype::F32, trials, mask.len())?;
            for (index, run) in runs.iter().enumerate() {
                work.progress.at((number * runs.len() + index) / passes);
                let events = &self.events[&run.bold];
                let rows = responses::read(run, events, mask, self.config, &mut own)?;
                for row in rows.rows() {
                    spill.write_row(&row.iter().map(|value| *value as f32).collect::<Vec<_>>())?;
                }
            }
            spill.finish()?;
            portions.push(NpyMatrix::open(&scratch)?);
            flaws.nan.extend(own.nan);
            flaws.constant.extend(own.constant);
        }
        let copy = move |row: usize, mut out: &mut [f32]| -> Result<()> {
            for portion in &portions {
                let (own, rest) = out.split_at_mut(portion.columns());
                portion.read_row(row, own)?;
                out = rest;
            }
            Ok(())
        };
        let grid = runs.first().map(|run| run.grid.clone());
        Ok(Responses {
            voxels: chosen.voxels.clone(),
            flaws,
            dtype: Dtype::F32,
            space: grid.map_or(Space::Unknown, Space::Volume),
            rows: copied_rows([subject.trials.len(), chosen.voxels.len()], copy),
        })
    }

    fn motion<'r>(&self, subject: &'r SubjectPlan<Own<'e>>) -> &'r [Motion] {
        &subject.own.motion
    }
}

fn intervals(events: &[Event]) -> Vec<design::Interval> {
    events.iter().map(|event| event.interval).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::Check;

    #[test]
    fn portions_of_the_voxels_give_the_same_files() {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/files/bids"));
        let config = BidsConfig {
            derivatives: Some(root.join("derivatives/prep")),
            estimate: Estimate::Lss,
            zscore: true,
            allow: vec![Check::NanVoxels, Check::ConstantVoxels, Check::TrHeader],
            ..BidsConfig::default()
        };
        let folder = tempfile::TempDir::new().unwrap();
        let import = |name: &str, most_values| {
            let out = folder.path().join(name);
            let mut last = (0, 0);
            let imported = import_in_portions(root, &out, &config, most_values, &mut |done, of| {
                assert!(
                    done >= last.0 && done <= of,
                    "{done} of {of} after {last:?}"
                );
                last = (done, of);
            });
            imported.unwrap();
            assert_eq!(last.0, last.1);
            out
        };
        let (whole, parts) = (import("whole", MOST_VALUES), import("parts", 40));
        for subject in std::fs::read_dir(whole.join("subjects")).unwrap() {
            let subject = subject.unwrap().file_name();
            for file in ["responses.npy", "voxels.tsv", "mask.nii.gz"] {
                let read = |dataset: &Path| {
                    std::fs::read(dataset.join("subjects").join(&subject).join(file)).unwrap()
                };
                assert_eq!(read(&whole), read(&parts), "{file}");
            }
        }
    }
}
