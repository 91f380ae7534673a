//! Imports the movie runs of the Human Connectome Project at 7 T: `mused import hcp ROOT OUT`.
//!
//! ```text
//! ROOT/<subject>/MNINonLinear/Results/tfMRI_MOVIE1_7T_AP/tfMRI_MOVIE1_7T_AP_hp2000_clean.nii.gz
//! …                                   tfMRI_MOVIE2_7T_PA  tfMRI_MOVIE3_7T_PA  tfMRI_MOVIE4_7T_AP
//! ROOT/WordNetFeatures.hdf5           MOVIE1_CC1 … MOVIE4_HO2 (seconds × labels), synsets (names)
//! ```
//!
//! A stimulus is one second of a clip; its clip is its group, so that no clip straddles a split. Run 4 is
//! the test part. The volume `delay` seconds later answers it. Each run is scaled by itself, a voxel at a
//! time, over all its volumes: nothing passes from one run to another.
//!
//! Every run is read twice, volume by volume: once for the voxels that vary and what scales them, once
//! for the responses. Memory holds some numbers a voxel, never a run (of CIFTI: the clips of one run).

mod clips;
mod labels;
mod recordings;
mod regions;
mod series;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use mused_formats::npy::Dtype;

use super::checks::{Check, Findings, VoxelFlaws};
use super::driver::{self, Plan, Recipe, Responses, SourceFile, SubjectPlan, Work};
use crate::{Description, Error, Imported, Kind, Response, Result, Trial};
use clips::{MOVIES, Second};
use recordings::{Recording, Space, TR};

const LABELS: &str = "WordNetFeatures.hdf5";
const TERMS: &str = "WU-Minn HCP Open Access Data Use Terms; not to be passed on";
const CITATION: &str = "Van Essen et al. (2013), The WU-Minn Human Connectome Project: an overview, \
                        NeuroImage 80, 62-79";

/// How the values of a voxel are scaled within a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// To mean 0 and variance 1.
    Zscore,
    /// From 0 to 1, as the published code does.
    MinMax,
    /// Not at all.
    None,
}

/// What to import and how. Paths of masks and atlases may hold `{subject}`; they start from the root or
/// from the current folder.
#[derive(Clone, Debug)]
pub struct HcpConfig {
    /// Name of the dataset.
    pub name: String,
    /// Subjects; empty = all that have a movie run.
    pub subjects: Vec<String>,
    /// What stands behind the run's name in the names of its files, as `hp2000_clean`; needed where there
    /// are several.
    pub variant: Option<String>,
    /// Seconds from a stimulus to the volume that answers it.
    pub delay: usize,
    /// Scaling within a run.
    pub scale: Scale,
    /// Element type of the responses: float16 or float32; `None` = float16 if scaled, else float32.
    pub dtype: Option<Dtype>,
    /// Volume whose voxels above 0 are imported; `None` = those that vary in every run.
    pub mask: Option<String>,
    /// Regions: a volume of whole numbers, or for CIFTI a .dlabel.nii.
    pub atlas: Option<String>,
    /// Names of a volume's regions: a table with columns `index` and `name`.
    pub atlas_names: Option<String>,
    /// The labels; `None` = `WordNetFeatures.hdf5` in the root.
    pub wordnet: Option<PathBuf>,
    /// Names of all labels, one a line, where the labels' file has none.
    pub label_names: Option<PathBuf>,
    /// Part of the training seconds that a label must have to be kept.
    pub label_frequency: f64,
    /// Folder with the films, for the stimuli's files.
    pub movies: Option<PathBuf>,
    /// Checks that become warnings.
    pub allow: Vec<Check>,
}

impl Default for HcpConfig {
    fn default() -> Self {
        Self {
            name: "hcp-7t-movies".to_owned(),
            subjects: Vec::new(),
            variant: None,
            delay: 4,
            scale: Scale::Zscore,
            dtype: None,
            mask: None,
            atlas: None,
            atlas_names: None,
            wordnet: None,
            label_names: None,
            label_frequency: 0.1,
            movies: None,
            allow: Vec::new(),
        }
    }
}

/// Makes a dataset directory at `out` of the runs below `root`. `progress` is told how many of how many
/// passes over runs are done, two a run.
///
/// # Errors
/// Names the file, what was expected and what was found; a named check says how to let it pass.
/// Nothing is left at `out` then.
pub fn import(
    root: &Path,
    out: &Path,
    config: &HcpConfig,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Imported> {
    check(config)?;
    let mut findings = Findings::new(&config.allow);
    let variant = config.variant.as_deref();
    let subjects = recordings::find(root, &config.subjects, variant, &mut findings)?;
    let plan = plan(root, config, subjects, &mut findings)?;
    driver::import(out, config, Hcp { config }, plan, findings, progress)
}

fn plan(
    root: &Path,
    config: &HcpConfig,
    subjects: BTreeMap<String, Vec<Recording>>,
    findings: &mut Findings,
) -> Result<Plan<Own>> {
    let seconds = clips::seconds();
    let stimuli = clips::stimuli(&seconds, config.movies.as_deref())?;
    let wordnet = config.wordnet.clone().unwrap_or_else(|| root.join(LABELS));
    if !wordnet.is_file() {
        let message = "expected the labels of the movies, found none: give --wordnet";
        return Err(Error::invalid(&wordnet, message));
    }
    let names = config.label_names.as_deref();
    let frequency = config.label_frequency;
    let labels = labels::read(&wordnet, names, &seconds, frequency, findings)?;
    let first = subjects.values().flatten().next();
    let description = describe(config, first.map(|run| &run.space));
    let mut plan = Plan::new(description, stimuli, labels);
    let mut files = BTreeSet::from([wordnet]);
    files.extend(config.label_names.clone());
    for (id, runs) in subjects {
        let (trials, volumes) = trials(&id, &runs, &seconds, config.delay, findings)?;
        let regions = regions::Files::of(root, config, &id)?;
        files.extend(runs.iter().map(|run| run.path.clone()));
        files.extend(regions.all().cloned());
        plan.subjects.push(SubjectPlan {
            id,
            recordings: runs.len(),
            steps: 2 * runs.len(),
            trials,
            sources: Vec::new(),
            own: Own {
                runs,
                volumes,
                regions,
            },
        });
    }
    let sources = files.into_iter().map(|path| SourceFile {
        name: path
            .strip_prefix(root)
            .unwrap_or(&path)
            .display()
            .to_string(),
        path,
    });
    plan.sources = sources.collect();
    // By the recorded path: the order of whole paths depends on where the files lie.
    plan.sources.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(plan)
}

struct Hcp<'c> {
    config: &'c HcpConfig,
}

/// Runs of a subject and what is read of them.
struct Own {
    runs: Vec<Recording>,
    /// Volumes of each run, in the order of the trials.
    volumes: Vec<Vec<usize>>,
    regions: regions::Files,
}

impl Recipe for Hcp<'_> {
    type Subject = Own;

    /// Reads all runs for what their voxels are and what scales them, run by run; they are read again for the rows.
    fn responses<'r>(
        &'r mut self,
        subject: &'r SubjectPlan<Own>,
        work: &mut Work<'_>,
    ) -> Result<Responses<'r>> {
        let Own {
            runs,
            volumes,
            regions,
        } = &subject.own;
        let places = runs.first().map_or(0, |run| run.space.places());
        let mut flaws = VoxelFlaws::none(places);
        let mut scalings = Vec::with_capacity(runs.len());
        for (step, run) in runs.iter().enumerate() {
            work.progress.at(step);
            scalings.push(series::scalings(run, self.config.scale, &mut flaws)?);
        }
        let chosen = regions.select(runs, &flaws, &mut work.findings)?;
        let of_chosen = |flags: &[bool]| chosen.places.iter().map(|&place| flags[place]).collect();
        let flaws = VoxelFlaws {
            nan: of_chosen(&flaws.nan),
            constant: of_chosen(&flaws.constant),
        };
        let space = match runs.first().map(|run| &run.space) {
            Some(Space::Volume(grid)) => driver::Space::Volume(grid.clone()),
            Some(Space::Grayordinates(brain)) => {
                driver::Space::Grayordinates(brain, chosen.places.clone())
            }
            None => driver::Space::Unknown,
        };
        Ok(Responses {
            voxels: chosen.voxels,
            flaws,
            dtype: dtype(self.config),
            space,
            rows: Box::new(move |progress, each| {
                let mut passes = (runs.len()..).zip(runs).zip(scalings.iter().zip(volumes));
                passes.try_for_each(|((step, run), (scalings, volumes))| {
                    progress.at(step);
                    series::for_each_response(run, &chosen.places, scalings, volumes, &mut *each)
                })
            }),
        })
    }
}

fn check(config: &HcpConfig) -> Result<()> {
    let frequency = config.label_frequency;
    if !(0.0..=1.0).contains(&frequency) {
        let message = format!("expected a label frequency from 0 to 1, found {frequency}");
        return Err(Error::Request(message));
    }
    if let Some(dtype) = config
        .dtype
        .filter(|dtype| !matches!(dtype, Dtype::F16 | Dtype::F32))
    {
        let message = format!("expected responses as float16 or float32, found {dtype}");
        return Err(Error::Request(message));
    }
    Ok(())
}

/// Raw signals of some ten thousand keep 3 digits in float16, too few.
fn dtype(config: &HcpConfig) -> Dtype {
    let fitting = match config.scale {
        Scale::None => Dtype::F32,
        Scale::Zscore | Scale::MinMax => Dtype::F16,
    };
    config.dtype.unwrap_or(fitting)
}

fn describe(config: &HcpConfig, space: Option<&Space>) -> Description {
    let volume = matches!(space, Some(Space::Volume(_)));
    let kind = match (volume, &config.atlas) {
        (true, None) => Kind::Volume,
        _ => Kind::Roi,
    };
    let mut description = Description::new(&config.name, kind, Response::Voxels);
    let space = if volume {
        "MNI152NLin6Asym"
    } else {
        "fsLR and MNI152NLin6Asym (grayordinates)"
    };
    description.space = Some(space.to_owned());
    description.tr = Some(TR);
    description.licence = Some(TERMS.to_owned());
    description.citation = Some(CITATION.to_owned());
    let scaled = match config.scale {
        Scale::Zscore => "z-scored a voxel over all volumes of its run",
        Scale::MinMax => "scaled a voxel to 0..1 over all volumes of its run",
        Scale::None => "not scaled",
    };
    description.processing = Some(format!(
        "the volume {} s after each second of a clip; {scaled}; stored as {}",
        config.delay,
        dtype(config)
    ));
    description
}

/// A subject's trials, one a second, and the volumes of each run that answer them.
fn trials(
    subject: &str,
    runs: &[Recording],
    seconds: &[Second],
    delay: usize,
    findings: &mut Findings,
) -> Result<(Vec<Trial>, Vec<Vec<usize>>)> {
    let mut trials = Vec::new();
    let mut volumes = Vec::with_capacity(runs.len());
    let mut tested = 0;
    for run in runs {
        let mut own = Vec::new();
        let shown = seconds.iter().enumerate();
        let shown = shown.filter(|(_, second)| second.movie == run.movie);
        let mut outside = 0;
        for (stimulus, second) in shown {
            let volume = second.second + delay;
            if volume >= run.volumes {
                outside += 1;
                continue;
            }
            own.push(volume);
            tested += usize::from(second.is_test());
            trials.push(Trial {
                stimulus,
                session: second.movie().session,
                run: run.movie as u32 + 1,
                onset: Some(second.second as f64 * TR),
                repeat: 1,
            });
        }
        if outside > 0 {
            let message = format!(
                "{}: expected a volume {delay} s after every second of a clip, the last of them \
                 {}, found {outside} seconds without one: the run has {} volumes",
                run.path.display(),
                MOVIES[run.movie].last_second(),
                run.volumes
            );
            findings.report(Check::EventsOutside, message)?;
        }
        volumes.push(own);
    }
    if tested != clips::TEST_SECONDS {
        let expected = clips::TEST_SECONDS;
        let message =
            format!("subject {subject}: expected {expected} test seconds (run 4), found {tested}");
        findings.report(Check::TestSeconds, message)?;
    }
    Ok((trials, volumes))
}
