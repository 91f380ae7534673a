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

use crate::fingerprint::{hexadecimal, of_import, sha256_file};
use crate::import_checks::{Check, Findings, SubjectsWritten, VoxelFlaws};
use crate::{
    DatasetWriter, Description, Error, Imported, Kind, Part, Response, Result, Source, Stimulus,
};
use betas::{Responses, Session};
use coco::Annotated;
use design::Design;
use trials::Planned;

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

    let all = subjects.iter().flat_map(|subject| &subject.shown).flatten();
    let seen: BTreeSet<usize> = all.copied().collect();
    let images: Vec<&design::Image> = seen.iter().map(|&image| &design.images[image]).collect();
    let folder = config.coco.clone();
    let folder = folder.unwrap_or_else(|| tree::stimuli(root).join("annotations"));
    let annotated = coco::read(&folder, &images)?;
    let mut notes = Vec::new();
    for path in &annotated.missing {
        notes.push(format!(
            "{}: not there, images of this split have no captions",
            path.display()
        ));
    }
    let stimuli = stimuli(root, &seen, &design, &annotated, &mut notes)?;
    let index: HashMap<usize, usize> = seen.iter().copied().zip(0..).collect();

    let mut description = describe(config);
    let files = design.files.iter().chain(&annotated.files);
    let regions = subjects.iter().flat_map(|subject| &subject.regions.files);
    description.sources = files
        .clone()
        .chain(regions.clone())
        .map(|path| source(root, path))
        .collect::<Result<_>>()?;
    let mut imported = Imported {
        subjects: Vec::new(),
        stimuli: stimuli.len(),
        labels: annotated.labels.names.clone(),
        notes,
        warnings: Vec::new(),
    };
    let betas = subjects.iter().flat_map(|subject| &subject.files.sessions);
    let read = files.chain(regions).chain(betas.map(|(_, path)| path));
    let fingerprint = of_import(config, read.map(PathBuf::as_path))?;
    let labels = &annotated.labels;
    let mut writer = DatasetWriter::resume(out, &fingerprint, description, stimuli, labels)?;
    let mut written = SubjectsWritten::default();
    let total = subjects.iter().map(|subject| subject.shown.len()).sum();
    let mut done = 0;
    for subject in &subjects {
        let Planned {
            files,
            regions,
            shown,
        } = subject;
        let completed = written.completed(&mut writer, &files.id, &mut findings)?;
        let mut flaws = VoxelFlaws::none(regions.voxels.len());
        let mut sessions = Vec::new();
        for ((number, path), shown) in files.sessions.iter().zip(shown) {
            progress(done, total);
            done += 1;
            let name = format!("{}_session{number:02}", files.id);
            let spill = writer.scratch(&name);
            let recorded: Option<Source> = writer.recorded(&name);
            let values = match (&recorded, completed) {
                (_, Some(_)) => None,
                (Some(_), None) => Some(betas::spilled(&spill, shown.len(), regions.voxels.len())?),
                (None, None) => {
                    let values = betas::read(path, regions, shown.len())?;
                    betas::spill(&values, &spill)?;
                    Some(values)
                }
            };
            let source = match recorded {
                Some(source) => source,
                None => source(root, path)?,
            };
            writer.record(&name, &source)?;
            writer.sources(vec![source]);
            if let Some(values) = values {
                let images = shown.iter().map(|&image| &design.images[image]);
                let training: Vec<bool> = images.map(|image| !image.shared).collect();
                let training = config.zscore.then_some(training.as_slice());
                sessions.push(Session::open(spill, &values, training, &mut flaws)?);
            }
        }
        let (trials, showings) = trials::list(subject, config, &design, &index);
        if let Some(kept) = completed {
            let counts = [shown.len(), trials.len(), kept];
            imported.subjects.push((files.id.clone(), counts));
            continue;
        }
        let responses = Responses {
            sessions: &sessions,
            showings,
        };
        let kept = written.write(
            &mut writer,
            &files.id,
            &trials,
            &regions.voxels,
            (&responses, Dtype::F16),
            &flaws,
            &mut findings,
        )?;
        let voxels = regions.voxels.iter().enumerate();
        let voxels = voxels.filter(|(voxel, _)| flaws.usable(*voxel));
        let voxels: Vec<_> = voxels.map(|(_, voxel)| voxel).collect();
        writer.mask(&files.id, &regions.grid, &voxels)?;
        written.complete(&writer, &files.id)?;
        let counts = [sessions.len(), trials.len(), kept];
        for session in sessions {
            session.remove()?;
        }
        imported.subjects.push((files.id.clone(), counts));
    }
    progress(total, total);
    imported.warnings = findings.take();
    writer.warn(imported.warnings.clone());
    writer.finish()?;
    Ok(imported)
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

fn source(root: &Path, path: &Path) -> Result<Source> {
    let relative = path.strip_prefix(root).ok();
    let relative = relative
        .or_else(|| path.file_name().map(Path::new))
        .unwrap_or(path);
    Ok(Source {
        path: relative.to_string_lossy().into_owned(),
        sha256: hexadecimal(&sha256_file(path)?),
    })
}
