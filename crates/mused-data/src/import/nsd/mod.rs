//! Imports the Natural Scenes Dataset from its official tree: `mused import nsd ROOT OUT`.
//!
//! ```text
//! nsddata_betas/ppdata/subj0N/func1pt8mm/betas_fithrf_GLMdenoise_RR/betas_sessionSS.hdf5   or .nii.gz, .nii
//! nsddata/ppdata/subj0N/func1pt8mm/roi/nsdgeneral.nii.gz                                   and other sets
//! nsddata/freesurfer/subj0N/label/SET.mgz.ctab                                             names of regions, optional
//! nsddata/experiments/nsd/nsd_expdesign.mat, nsd_stim_info_merged.csv
//! nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5                                             optional
//! nsddata_stimuli/stimuli/nsd/annotations/{instances,captions}_{train,val}2017.json        of COCO; captions optional
//! ```
//!
//! Stored betas are int16, percent signal change times 300, in HDF5 and NIfTI alike. A voxel's betas are z-scored within
//! each session with the mean and standard deviation (dividing by the count) over that session's TRAINING trials, those
//! that show none of the 1,000 shared images; repeats of an image are averaged then. Arithmetic is in f64 over exact whole
//! sums; a response is rounded to f32 and stored as f16 (11 bits: an error of 0.0005 at 1 standard deviation).
//!
//! Each session is read once. Memory holds one session of the chosen voxels as int16 (24 MB of `nsdgeneral`) and the
//! means of all; the rest of a subject's betas waits in the folder that is being written. A killed import that is started
//! again goes on behind the last session it had read.
//!
//! Labels are COCO's 80 categories: an image has those with an annotation whose box and the crop that was shown share an
//! area above 0. Stimuli are the images that an imported subject has seen in an imported session; NSD's shared 1,000 are
//! the test part. Trials have their session; their run is written as 1, for betas are numbered within sessions.

mod betas;
mod coco;
mod design;
mod regions;
mod tree;
mod trials;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use mused_formats::npy::Dtype;

use super::checks::{Check, Findings, VoxelFlaws};
use super::driver::{
    self, Plan, Recipe, Responses, SourceFile, Space, SubjectPlan, Work, copied_rows,
};
use crate::{Description, Error, Imported, Kind, Part, Response, Result, Stimulus};
use betas::Session;
use coco::Annotated;
use design::Design;
use trials::{Planned, Showings};

const CITATION: &str = "Allen et al. (2022). A massive 7T fMRI dataset to bridge cognitive neuroscience and artificial \
                        intelligence. Nature Neuroscience 25, 116–126. https://doi.org/10.1038/s41593-021-00962-x";
const LICENCE: &str = "NSD Data Access Agreement: not to be redistributed";

/// What becomes of the trials that show the same image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeats {
    /// One trial an image: the mean, with the session of the first.
    Average,
    /// A trial each.
    Keep,
}

/// What to import and how.
#[derive(Clone, Debug)]
pub struct NsdConfig {
    /// Name of the dataset; `nsd` where `None`.
    pub name: Option<String>,
    /// Subjects from 1 to 8; empty = all that have betas.
    pub subjects: Vec<u8>,
    /// Sessions from 1; empty = all that are found.
    pub sessions: Vec<u32>,
    /// Folder of the version of betas.
    pub betas: String,
    /// Folder of the space.
    pub resolution: String,
    /// Names of images in `roi/`; a voxel of several belongs to the first.
    pub rois: Vec<String>,
    /// Folder of COCO's annotations; that of the tree where `None`.
    pub coco: Option<PathBuf>,
    /// Whether betas are z-scored within session; otherwise they are percent signal change.
    pub zscore: bool,
    /// What becomes of repeats.
    pub repeats: Repeats,
    /// Checks that become warnings.
    pub allow: Vec<Check>,
}

impl Default for NsdConfig {
    fn default() -> Self {
        Self {
            name: None,
            subjects: Vec::new(),
            sessions: Vec::new(),
            betas: "betas_fithrf_GLMdenoise_RR".to_owned(),
            resolution: "func1pt8mm".to_owned(),
            rois: vec!["nsdgeneral".to_owned()],
            coco: None,
            zscore: true,
            repeats: Repeats::Average,
            allow: Vec::new(),
        }
    }
}

/// Makes a dataset directory at `out` of the tree `root`. `progress` is told how many of how many sessions are done.
///
/// # Errors
/// Names the file, what was expected and what was found; a named check says how to let it pass.
/// Nothing is left at `out` then.
pub fn import(
    root: &Path,
    out: &Path,
    config: &NsdConfig,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Imported> {
    check(config)?;
    let mut findings = Findings::new(&config.allow);
    let subjects = tree::find(root, config, &mut findings)?;
    let design = Design::read(root, subjects.iter().map(|subject| subject.number))?;
    let subjects = trials::plan(root, config, subjects, &design, &mut findings)?;
    let plan = plan(root, config, &design, subjects)?;
    let nsd = Nsd {
        config,
        design: &design,
    };
    driver::import(out, config, nsd, plan, findings, progress)
}

fn plan(
    root: &Path,
    config: &NsdConfig,
    design: &Design,
    subjects: Vec<Planned>,
) -> Result<Plan<(Planned, Showings)>> {
    let all = subjects.iter().flat_map(|subject| &subject.shown).flatten();
    let seen: BTreeSet<usize> = all.copied().collect();
    let images: Vec<&design::Image> = seen.iter().map(|&image| &design.images[image]).collect();
    let folder = config.coco.clone();
    let folder = folder.unwrap_or_else(|| tree::stimuli(root).join("annotations"));
    let annotated = coco::read(&folder, &images)?;
    let missing = annotated.missing.iter().map(|path| {
        let path = path.display();
        format!("{path}: not there, images of this split have no captions")
    });
    let mut notes = missing.collect();
    let stimuli = stimuli(root, &seen, design, &annotated, &mut notes)?;
    let index: HashMap<usize, usize> = seen.iter().copied().zip(0..).collect();

    let mut plan = Plan::new(describe(config), stimuli, annotated.labels);
    plan.notes = notes;
    let source = |path: &PathBuf| SourceFile::below(&[root], path);
    let regions = subjects.iter().flat_map(|subject| &subject.regions.files);
    let files = design.files.iter().chain(&annotated.files).chain(regions);
    plan.sources = files.map(source).collect();
    for subject in subjects {
        let (trials, showings) = trials::list(&subject, config, design, &index);
        let Planned { files, shown, .. } = &subject;
        let sessions = files.sessions.iter();
        plan.subjects.push(SubjectPlan {
            id: files.id.clone(),
            recordings: shown.len(),
            steps: shown.len(),
            trials,
            sources: sessions
                .map(|(number, path)| (format!("{}_session{number:02}", files.id), source(path)))
                .collect(),
            own: (subject, showings),
        });
    }
    Ok(plan)
}

struct Nsd<'r> {
    config: &'r NsdConfig,
    design: &'r Design,
}

impl Recipe for Nsd<'_> {
    type Subject = (Planned, Showings);

    /// Brings all sessions into scratch files, but for those that a killed process had read.
    fn responses<'r>(
        &'r mut self,
        subject: &'r SubjectPlan<Self::Subject>,
        work: &mut Work<'_>,
    ) -> Result<Responses<'r>> {
        let (Planned { regions, shown, .. }, showings) = &subject.own;
        let voxels = regions.voxels.len();
        let mut flaws = VoxelFlaws::none(voxels);
        let mut sessions = Vec::new();
        for (step, ((name, file), shown)) in subject.sources.iter().zip(shown).enumerate() {
            work.progress.at(step);
            let spill = work.scratch(name);
            // A power cut at the end may leave the record of what was removed already.
            let values = if work.has_read(name) && spill.is_file() {
                betas::spilled(&spill, shown.len(), voxels)?
            } else {
                let values = betas::read(&file.path, regions, shown.len())?;
                betas::spill(&values, &spill)?;
                work.read(name, file)?;
                values
            };
            let images = shown.iter().map(|&image| &self.design.images[image]);
            let training: Vec<bool> = images.map(|image| !image.shared).collect();
            let training = self.config.zscore.then_some(training.as_slice());
            sessions.push(Session::open(spill, &values, training, &mut flaws)?);
        }
        let copy = move |row: usize, out: &mut [f32]| betas::mean(&sessions, &showings[row], out);
        Ok(Responses {
            voxels: regions.voxels.clone(),
            flaws,
            dtype: Dtype::F16,
            space: Space::Volume(regions.grid.clone()),
            rows: copied_rows([subject.trials.len(), voxels], copy),
        })
    }
}

fn check(config: &NsdConfig) -> Result<()> {
    let number = config
        .subjects
        .iter()
        .find(|number| !(1..=8).contains(*number));
    if let Some(number) = number {
        let message = format!("expected subjects from 1 to 8, found {number}");
        return Err(Error::Request(message));
    }
    let names = [&config.betas, &config.resolution];
    let mut names = names.into_iter().chain(&config.rois);
    if let Some(name) = names.find(|name| name.is_empty() || name.contains(['/', '\\'])) {
        let message = format!("expected the name of a file or folder of NSD, found {name:?}");
        return Err(Error::Request(message));
    }
    Ok(())
}

/// Images by their number from 0.
fn stimuli(
    root: &Path,
    seen: &BTreeSet<usize>,
    design: &Design,
    annotated: &Annotated,
    notes: &mut Vec<String>,
) -> Result<Vec<Stimulus>> {
    let path = tree::stimuli(root).join("nsd_stimuli.hdf5");
    let file = match path.is_file() {
        true => {
            let path = path
                .canonicalize()
                .map_err(Error::io("cannot find", &path))?;
            path.to_str().map(str::to_owned)
        }
        false => {
            notes.push(format!(
                "{}: not there, stimuli have no images",
                path.display()
            ));
            None
        }
    };
    let stimuli = seen
        .iter()
        .zip(&annotated.captions)
        .map(|(&image, captions)| {
            let mut stimulus = Stimulus::new(format!("nsd{image:05}"));
            stimulus.part = Some(match design.images[image].shared {
                true => Part::Test,
                false => Part::Train,
            });
            stimulus.file.clone_from(&file);
            stimulus.frame = file.is_some().then_some(image as u64);
            stimulus.captions.clone_from(captions);
            stimulus
        });
    Ok(stimuli.collect())
}

fn describe(config: &NsdConfig) -> Description {
    let name = config.name.clone().unwrap_or_else(|| "nsd".to_owned());
    let mut description = Description::new(name, Kind::Roi, Response::Voxels);
    description.space = Some(config.resolution.clone());
    description.licence = Some(LICENCE.to_owned());
    description.citation = Some(CITATION.to_owned());
    let values = match config.zscore {
        true => "z-scored within session with mean and standard deviation of its training trials",
        false => "percent signal change",
    };
    let repeats = match config.repeats {
        Repeats::Average => "repeats averaged",
        Repeats::Keep => "repeats kept",
    };
    description.processing = Some(format!(
        "{} in {}, regions {}; {values}; {repeats}; labels of COCO boxes that share an area with the crop",
        config.betas,
        config.resolution,
        config.rois.join(", ")
    ));
    description
}
