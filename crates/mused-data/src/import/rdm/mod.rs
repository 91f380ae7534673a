//! Imports published RDMs as similarity profiles or patterns: `mused import rdm MANIFEST.toml OUT`.
//!
//! Where a study publishes no voxel responses but one RDM for each subject and region, row i of
//! 1 - RDM says how similar the response to stimulus i was to the response to each reference
//! stimulus. That is a response vector, in a space that all subjects share.
//!
//! Profiles are stored whole, with the column of the stimulus itself and of every other
//! stimulus: which columns a model may see depends on the split, so
//! [`InputTransform`](crate::InputTransform) decides it on loading.
//!
//! An RDM of 1 - r also tells the patterns behind it, up to a rotation: with `response = "patterns"` each subject has
//! them on random axes of its own, as people have voxels of their own. The whole RDM goes into them, test stimuli
//! included. Where nothing of it is negative that is a rotation of what was measured and leaks nothing; otherwise
//! leaving the negative part out lets the responses to test stimuli, never their labels, touch those to others.
//!
//! A [`Manifest`] says which files mean what:
//!
//! ```toml
//! name = "action-geometry"
//! licence = "GPL-3.0"
//! citation = "…"
//!
//! [stimuli]
//! count = 90
//! id = "clip{index:02}"
//!
//! [labels]
//! words = ["word2vec/annotation_verbs.txt"]
//! minimum_stimuli = 5
//!
//! [responses]
//! path = "fmri/cv_rdm/cv_rdm_sub-{subject}_{roi}-v2.npy"
//!
//! [[guidance]]
//! level = "low"
//! description = "motion energy"
//! rdms = [{ path = "RDMs/motion_rdm.npy" }]
//! ```

mod guidance;
mod labels;
pub mod manifest;
mod matrix;
mod patterns;
mod responses;
mod stimuli;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use mused_formats::npy::Dtype;
use ndarray::Array2;

use super::checks::{Check, Findings, VoxelFlaws};
use super::data_folder::DataFolder;
use super::driver::{self, Plan, Recipe, SourceFile, Space, SubjectPlan, Work};
use crate::{Description, Error, Imported, Kind, Response, Result, Trial, Voxel};
pub use manifest::Manifest;
use manifest::{ArrayFile, ResponseForm};
use responses::{Responses, Sessions};

/// What a manifest does not say.
#[derive(Clone, Debug, Default)]
pub struct RdmConfig {
    /// Folder that the manifest's paths start from; the manifest's own where `None`.
    pub data: Option<PathBuf>,
    /// Checks that become warnings.
    pub allow: Vec<Check>,
}

/// Makes a dataset directory at `out` of the files that `manifest` describes. `progress` is told
/// how many of how many subjects are done.
///
/// # Errors
/// Names the file or the field of the manifest, what was expected and what was found; a named check
/// says how to let it pass. Nothing is left at `out` then.
pub fn import(
    manifest: &Path,
    out: &Path,
    config: &RdmConfig,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Imported> {
    let table = Manifest::read(manifest)?;
    let beside = manifest
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = config.data.as_deref().or(beside);
    let mut data = DataFolder::new(folder.unwrap_or(Path::new(".")))?;
    let plan = plan(&table, &mut data, manifest)?;
    let findings = Findings::new(&config.allow);
    let told = (&table, config);
    let rdms = Rdms {
        stimuli: plan.stimuli.len(),
        form: table.responses.response,
        data,
    };
    driver::import(out, &told, rdms, plan, findings, progress)
}

fn plan(table: &Manifest, data: &mut DataFolder, manifest: &Path) -> Result<Plan<Sessions>> {
    let mut stimuli = stimuli::list(table, manifest)?;
    let pictures = stimuli::pictures(&table.stimuli, &mut stimuli, data)?;
    let count = stimuli.len();
    let labels = labels::read(&table.labels, count, data, manifest)?;
    let responses = responses::list(&table.responses, data, manifest)?;
    let features = guidance::read(table, count, data, manifest)?;
    let form = table.responses.response;
    let (response, processing) = match form {
        ResponseForm::Profiles => (Response::SimilarityProfiles, None),
        ResponseForm::Patterns => (Response::Voxels, Some(patterns::PROCESSING)),
    };
    let mut description = Description::new(table.name.as_str(), Kind::Roi, response);
    description.processing = processing.map(str::to_owned);
    description.space.clone_from(&table.space);
    description.licence = Some(table.licence.clone());
    description.citation = Some(table.citation.clone());
    let mut plan = Plan::new(description, stimuli, labels);
    plan.sources = sources(table, &responses, data)?;
    plan.pictures = pictures;
    plan.features = features;
    plan.notes = missing(&responses);
    for (id, sessions) in responses {
        plan.subjects.push(SubjectPlan {
            id,
            recordings: sessions.len(),
            steps: 1,
            trials: match form {
                ResponseForm::Profiles => trials(&sessions, count),
                ResponseForm::Patterns => (0..count).map(Trial::of).collect(),
            },
            sources: Vec::new(),
            own: sessions,
        });
    }
    Ok(plan)
}

/// A trial for every stimulus and session.
fn trials(sessions: &Sessions, stimuli: usize) -> Vec<Trial> {
    let mut trials = Vec::new();
    for (repeat, session) in (1..).zip(sessions.keys()) {
        trials.extend((0..stimuli).map(|stimulus| Trial {
            stimulus,
            session: *session,
            run: 1,
            onset: None,
            repeat,
        }));
    }
    trials
}

struct Rdms {
    stimuli: usize,
    form: ResponseForm,
    data: DataFolder,
}

impl Recipe for Rdms {
    type Subject = Sessions;

    fn responses<'r>(
        &'r mut self,
        subject: &'r SubjectPlan<Sessions>,
        work: &mut Work<'_>,
    ) -> Result<driver::Responses<'r>> {
        work.progress.at(0);
        match self.form {
            ResponseForm::Profiles => Ok(self.profiles(&subject.own)),
            ResponseForm::Patterns => self.patterns(subject, work),
        }
    }
}

impl Rdms {
    fn patterns(
        &mut self,
        subject: &SubjectPlan<Sessions>,
        work: &mut Work<'_>,
    ) -> Result<driver::Responses<'static>> {
        let Self { stimuli, data, .. } = self;
        let findings = &mut work.findings;
        let (voxels, rows) =
            patterns::of_subject(&subject.id, &subject.own, *stimuli, data, findings)?;
        Ok(driver::Responses {
            flaws: VoxelFlaws::none(voxels.len()),
            voxels,
            dtype: Dtype::F32,
            space: Space::Unknown,
            rows: Box::new(move |_, each| {
                rows.outer_iter().try_for_each(|row| each(&row.to_vec()))
            }),
        })
    }

    /// Columns region by region, in each a column for every reference stimulus.
    fn profiles<'r>(&'r mut self, sessions: &'r Sessions) -> driver::Responses<'r> {
        let Self { stimuli, data, .. } = self;
        let stimuli = *stimuli;
        // All sessions of a subject have the same regions.
        let rois = sessions.values().take(1).flat_map(BTreeMap::keys);
        let voxels = rois.flat_map(|roi| {
            (0..stimuli).map(|reference| Voxel {
                roi: roi.clone(),
                coordinate: None,
                reference: Some(reference),
            })
        });
        let voxels: Vec<Voxel> = voxels.collect();
        driver::Responses {
            flaws: VoxelFlaws::none(voxels.len()),
            voxels,
            dtype: Dtype::F32,
            space: Space::Unknown,
            rows: Box::new(move |_, each| {
                let mut row = Vec::new();
                for rois in sessions.values() {
                    let rdms = rois
                        .values()
                        .map(|file| read_rdm(file, stimuli, data))
                        .collect::<Result<Vec<_>>>()?;
                    for stimulus in 0..stimuli {
                        row.clear();
                        for rdm in &rdms {
                            row.extend(rdm.row(stimulus).iter().map(|value| (1.0 - value) as f32));
                        }
                        each(&row)?;
                    }
                }
                Ok(())
            }),
        }
    }
}

fn read_rdm(file: &ArrayFile, stimuli: usize, data: &mut DataFolder) -> Result<Array2<f64>> {
    let array = data.array(&file.path, file.select.as_deref())?;
    matrix::square(array, stimuli).map_err(|message| {
        let place = file
            .select
            .as_ref()
            .map_or_else(String::new, |select| format!("{select}: "));
        match data.path(&file.path) {
            Ok(path) => Error::invalid(path, place + &message),
            Err(error) => error,
        }
    })
}

/// Every file that is read, once, by path.
fn sources(table: &Manifest, responses: &Responses, data: &DataFolder) -> Result<Vec<SourceFile>> {
    let labels = table
        .labels
        .words
        .iter()
        .flatten()
        .chain(&table.labels.matrix);
    let rdms = responses
        .values()
        .flat_map(BTreeMap::values)
        .flat_map(BTreeMap::values)
        .map(|file| &file.path);
    let guidance = table.guidance.iter().flat_map(|guidance| {
        let rdms = guidance.rdms.iter().flatten().map(|file| &file.path);
        rdms.chain(&guidance.features)
    });
    let pictures = table.stimuli.images.iter().map(|file| &file.path);
    let paths: BTreeSet<&String> = labels.chain(rdms).chain(guidance).chain(pictures).collect();
    paths.into_iter().map(|path| data.source(path)).collect()
}

/// A note on every region that a subject lacks though others have it.
fn missing(responses: &Responses) -> Vec<String> {
    let of = |sessions: &Sessions| -> BTreeSet<String> {
        sessions
            .values()
            .flat_map(BTreeMap::keys)
            .cloned()
            .collect()
    };
    let rois: BTreeSet<String> = responses.values().flat_map(of).collect();
    let mut notes = Vec::new();
    for (subject, sessions) in responses {
        let own = of(sessions);
        let lacking = rois.difference(&own);
        notes.extend(lacking.map(|roi| format!("subject {subject} has no region {roi}")));
    }
    notes
}
