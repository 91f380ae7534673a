//! The way of every import, from the plan of a recipe to the complete dataset.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Debug;
use std::fs;
use std::hash::{DefaultHasher, Hasher as _};
use std::path::{Path, PathBuf};

use mused_formats::cifti::BrainModels;
use mused_formats::npy::Dtype;
use mused_formats::sha256::{self, hexadecimal};
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Imported;
use super::checks::{Check, Findings, Names, VoxelFlaws};
use crate::{
    DatasetWriter, Description, Error, FeatureSet, Grid, Labels, Motion, Result, Source, Stimulus,
    Trial, Voxel,
};

/// What differs between kinds of data: how a subject's responses are read.
pub(super) trait Recipe {
    /// What is planned of a subject, for [`responses`](Self::responses) to read.
    type Subject;

    /// Reads what must be known of a subject before its first response is written.
    fn responses<'r>(
        &'r mut self,
        subject: &'r SubjectPlan<Self::Subject>,
        work: &mut Work<'_>,
    ) -> Result<Responses<'r>>;

    /// How the subject's head moved, where that is known.
    fn motion<'r>(&self, _subject: &'r SubjectPlan<Self::Subject>) -> &'r [Motion] {
        &[]
    }
}

/// A dataset before any response is read.
pub(super) struct Plan<S> {
    pub(super) description: Description,
    pub(super) stimuli: Vec<Stimulus>,
    pub(super) labels: Labels,
    /// Files to hash before any response is read, in their order in `dataset.json`.
    pub(super) sources: Vec<SourceFile>,
    /// Pictures of the stimuli, by their place in the dataset.
    pub(super) pictures: Vec<(String, Vec<u8>)>,
    /// Guidance.
    pub(super) features: Vec<(FeatureSet, Array2<f32>)>,
    pub(super) subjects: Vec<SubjectPlan<S>>,
    /// What was not there and is not needed.
    pub(super) notes: Vec<String>,
}

impl<S> Plan<S> {
    pub(super) fn new(description: Description, stimuli: Vec<Stimulus>, labels: Labels) -> Self {
        Self {
            description,
            stimuli,
            labels,
            sources: Vec::new(),
            pictures: Vec::new(),
            features: Vec::new(),
            subjects: Vec::new(),
            notes: Vec::new(),
        }
    }
}

/// A subject before its responses are read.
pub(super) struct SubjectPlan<S> {
    pub(super) id: String,
    /// Number of runs or sessions.
    pub(super) recordings: usize,
    /// Number of steps that progress is told of.
    pub(super) steps: usize,
    pub(super) trials: Vec<Trial>,
    /// Files too large to be read once more for their hash: they are hashed when they are read, and recorded under a
    /// name.
    pub(super) sources: Vec<(String, SourceFile)>,
    /// The recipe's own.
    pub(super) own: S,
}

/// A file that is read, and its path in `dataset.json`.
#[derive(Clone, Debug)]
pub(super) struct SourceFile {
    pub(super) path: PathBuf,
    pub(super) name: String,
}

impl SourceFile {
    /// Named by where it lies below the first of `folders` that holds it, or else by its file name.
    pub(super) fn below(folders: &[&Path], path: &Path) -> Self {
        let mut below = folders.iter().filter_map(|f| path.strip_prefix(f).ok());
        let name = below.next().or_else(|| path.file_name().map(Path::new));
        Self {
            path: path.to_owned(),
            name: name.unwrap_or(path).to_string_lossy().into_owned(),
        }
    }

    fn hashed(&self) -> Result<Source> {
        Ok(Source {
            path: self.name.clone(),
            sha256: hexadecimal(&sha256::of_file(&self.path)?),
        })
    }
}

/// The responses of a subject, ready to be written.
pub(super) struct Responses<'r> {
    /// A voxel for every value of a row.
    pub(super) voxels: Vec<Voxel>,
    pub(super) flaws: VoxelFlaws,
    pub(super) dtype: Dtype,
    pub(super) space: Space<'r>,
    pub(super) rows: Rows<'r>,
}

/// Where a subject's voxels lie.
pub(super) enum Space<'r> {
    Unknown,
    Volume(Grid),
    /// With the place of each voxel in the brain models.
    Grayordinates(&'r BrainModels, Vec<usize>),
}

/// Hands the response of each trial in turn, one value a voxel, to a function.
pub(super) type Rows<'r> = Box<dyn FnOnce(&mut Progress<'_>, Each<'_>) -> Result<()> + 'r>;
pub(super) type Each<'e> = &'e mut dyn FnMut(&[f32]) -> Result<()>;

/// Rows of which each can be copied.
pub(super) fn copied_rows<'r>(
    [trials, voxels]: [usize; 2],
    copy: impl Fn(usize, &mut [f32]) -> Result<()> + 'r,
) -> Rows<'r> {
    Box::new(move |_, each| {
        let mut row = vec![0.0; voxels];
        (0..trials).try_for_each(|trial| {
            copy(trial, &mut row)?;
            each(&row)
        })
    })
}

/// Tells how many of how many steps are done.
pub(super) struct Progress<'p> {
    tell: &'p mut dyn FnMut(usize, usize),
    done: usize,
    total: usize,
}

impl Progress<'_> {
    /// The subject at work is at one of its steps, from 0.
    pub(super) fn at(&mut self, step: usize) {
        (self.tell)(self.done + step, self.total);
    }
}

/// A dataset at work.
pub(super) struct Work<'p> {
    pub(super) progress: Progress<'p>,
    pub(super) findings: Findings,
    writer: DatasetWriter,
    /// Whose responses have this hash.
    hashes: HashMap<String, String>,
    regions: Names,
    /// Files of the subject at work, removed when it is complete.
    scratch: Vec<PathBuf>,
}

/// Trials of a run that are written.
#[derive(Default)]
struct Written {
    trials: usize,
    hash: DefaultHasher,
    /// Whether voxels differ anywhere.
    varies: bool,
}

/// Names of regions, each once.
fn distinct(voxels: &[Voxel]) -> Vec<String> {
    let names: BTreeSet<&str> = voxels.iter().map(|voxel| &*voxel.roi).collect();
    names.into_iter().map(str::to_owned).collect()
}

/// What is recorded of a subject that is complete.
#[derive(Debug, Serialize, Deserialize)]
struct Completed {
    hash: String,
    voxels: usize,
    regions: Vec<String>,
    warnings: Vec<String>,
}

/// Makes the dataset directory `out`. `config` is all that decides what is made of the files.
pub(super) fn import<R: Recipe>(
    out: &Path,
    config: &impl Debug,
    mut recipe: R,
    plan: Plan<R::Subject>,
    mut findings: Findings,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Imported> {
    let (mut labels, mut groups) = (Names::default(), Names::default());
    for name in &plan.labels.names {
        labels.add("label", name, &mut findings)?;
    }
    // What belongs together would be trained on and tested.
    // Who names no groups has none but the stimuli, whose names are checked by who shows them.
    for stimulus in plan.stimuli.iter().filter(|one| one.group != one.id) {
        groups.add("group", &stimulus.group, &mut findings)?;
    }
    let mut imported = Imported {
        stimuli: plan.stimuli.len(),
        labels: plan.labels.names.clone(),
        notes: plan.notes,
        ..Imported::default()
    };
    let sources = plan.sources.iter().map(SourceFile::hashed);
    let mut description = plan.description;
    description.sources = sources.collect::<Result<_>>()?;
    let large = plan.subjects.iter().flat_map(|subject| &subject.sources);
    let files = plan.sources.iter().chain(large.map(|(_, file)| file));
    let fingerprint = fingerprint(config, files)?;
    let (stimuli, labels) = (plan.stimuli, &plan.labels);
    let mut writer = DatasetWriter::resume(out, &fingerprint, description, stimuli, labels)?;
    for (name, bytes) in &plan.pictures {
        writer.file(name, bytes)?;
    }
    for (features, array) in &plan.features {
        writer.features(features, array.view())?;
    }
    let mut work = Work {
        progress: Progress {
            tell: progress,
            done: 0,
            total: plan.subjects.iter().map(|subject| subject.steps).sum(),
        },
        findings,
        writer,
        hashes: HashMap::new(),
        regions: Names::default(),
        scratch: Vec::new(),
    };
    for subject in &plan.subjects {
        let voxels = work.subject(&mut recipe, subject)?;
        let counts = [subject.recordings, subject.trials.len(), voxels];
        imported.subjects.push((subject.id.clone(), counts));
    }
    work.progress.at(0);
    imported.warnings = work.findings.warnings;
    work.writer.warn(imported.warnings.clone());
    work.writer.finish()?;
    Ok(imported)
}

/// SHA-256 over what an import was told and the sizes and times of its files: equal for the same work.
fn fingerprint<'f>(
    config: &impl Debug,
    files: impl Iterator<Item = &'f SourceFile>,
) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(format!("{} {config:?}", env!("CARGO_PKG_VERSION")));
    for SourceFile { path, .. } in files {
        let metadata = fs::metadata(path).map_err(Error::io("cannot read", path))?;
        let modified = metadata.modified().ok();
        hash.update(format!("{path:?} {} {modified:?}", metadata.len()));
    }
    Ok(hexadecimal(&hash.finalize()))
}

impl Work<'_> {
    /// Where the subject at work may keep a file until it is complete.
    pub(super) fn scratch(&mut self, name: &str) -> PathBuf {
        let path = self.writer.scratch(name);
        self.scratch.push(path.clone());
        path
    }

    /// Whether a [large](SubjectPlan::sources) file has been read.
    pub(super) fn has_read(&self, record: &str) -> bool {
        self.writer.recorded::<Source>(record).is_some()
    }

    /// Records that a large file has been read, and its hash.
    pub(super) fn read(&mut self, record: &str, file: &SourceFile) -> Result<Source> {
        if let Some(source) = self.writer.recorded(record) {
            return Ok(source);
        }
        let source = file.hashed()?;
        self.writer.record(record, &source)?;
        self.writer.settle()?;
        Ok(source)
    }

    /// Writes a subject, or takes over what a killed process has written; returns its number of voxels.
    fn subject<R: Recipe>(
        &mut self,
        recipe: &mut R,
        subject: &SubjectPlan<R::Subject>,
    ) -> Result<usize> {
        let record = format!("subject-{}", subject.id);
        let voxels = match self.writer.recorded::<Completed>(&record) {
            Some(completed) => {
                (0..subject.steps).for_each(|step| self.progress.at(step));
                self.writer.keep_subject(&subject.id)?;
                self.findings.warnings.extend(completed.warnings);
                self.hashes.insert(completed.hash, subject.id.clone());
                // Those of them that are alike were let pass, and are among the warnings.
                let mut told = Findings::new(&[Check::NamesAlike]);
                for name in &completed.regions {
                    self.regions.add("region", name, &mut told)?;
                }
                completed.voxels
            }
            None => {
                let before = self.findings.warnings.len();
                let responses = recipe.responses(subject, self)?;
                let regions = distinct(&responses.voxels);
                let (hash, voxels) = self.write(&subject.id, &subject.trials, responses)?;
                let motion = recipe.motion(subject);
                if !motion.is_empty() {
                    self.writer.motion(&subject.id, motion)?;
                }
                let warnings = self.findings.warnings[before..].to_vec();
                let completed = Completed {
                    hash,
                    voxels,
                    regions,
                    warnings,
                };
                self.writer.record(&record, &completed)?;
                voxels
            }
        };
        for (record, file) in &subject.sources {
            let source = self.read(record, file)?;
            self.writer.sources(vec![source]);
        }
        if !self.scratch.is_empty() {
            self.writer.settle()?;
        }
        for path in self.scratch.drain(..) {
            fs::remove_file(&path).map_err(Error::io("cannot remove", &path))?;
        }
        self.progress.done += subject.steps;
        Ok(voxels)
    }

    /// Writes a subject without the voxels that cannot be used; returns the hash of its responses and how many voxels
    /// are left.
    fn write(
        &mut self,
        id: &str,
        trials: &[Trial],
        responses: Responses<'_>,
    ) -> Result<(String, usize)> {
        let Responses {
            voxels,
            flaws,
            dtype,
            space,
            rows,
        } = responses;
        for name in distinct(&voxels) {
            self.regions.add("region", &name, &mut self.findings)?;
        }
        let kept = flaws.kept(id, &voxels, &mut self.findings)?;
        let voxels = voxels.into_iter().enumerate();
        let voxels = voxels.filter(|(voxel, _)| flaws.usable(*voxel));
        let voxels: Vec<Voxel> = voxels.map(|(_, voxel)| voxel).collect();
        let mut out = self.writer.subject(id, trials, &voxels, dtype)?;
        let mut hash = DefaultHasher::new();
        let mut runs: BTreeMap<_, Written> = BTreeMap::new();
        let mut written = trials.iter();
        let mut chosen = Vec::with_capacity(kept.len());
        rows(&mut self.progress, &mut |row| {
            chosen.clear();
            chosen.extend(kept.iter().map(|&voxel| row[voxel]));
            let bytes: Vec<u8> = chosen
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            hash.write(&bytes);
            if let Some(trial) = written.next() {
                let run = runs.entry((trial.session, trial.run)).or_default();
                run.trials += 1;
                run.hash.write(&bytes);
                run.varies |= chosen.iter().any(|value| Some(value) != chosen.first());
            }
            out.write_response(&chosen)
        })?;
        out.finish()?;
        self.report_copied(id, runs)?;
        match space {
            Space::Unknown => {}
            Space::Volume(grid) => {
                self.writer
                    .mask(id, &grid, &voxels.iter().collect::<Vec<_>>())?;
            }
            Space::Grayordinates(brain, places) => {
                let places: Vec<usize> = kept.iter().map(|&voxel| places[voxel]).collect();
                self.writer.grayordinates(id, brain, &places)?;
            }
        }
        let hash = format!("{:x}", hash.finish());
        if let Some(other) = self.hashes.insert(hash.clone(), id.to_owned()) {
            let message = format!(
                "expected responses of their own for each subject, found those of {id} equal to those of {other} in \
                 all {} trials and {} voxels",
                trials.len(),
                voxels.len()
            );
            self.findings.report(Check::IdenticalSubjects, message)?;
        }
        Ok((hash, voxels.len()))
    }

    /// Reports two runs of a subject that are one.
    fn report_copied(&mut self, id: &str, runs: BTreeMap<(u32, u32), Written>) -> Result<()> {
        let mut known = HashMap::new();
        // Single trials may well be of the same volumes, and runs without signal are alike.
        let whole = runs.into_iter();
        for ((session, run), written) in whole.filter(|(_, run)| run.trials > 1 && run.varies) {
            let (name, count) = (format!("run {run} of session {session}"), written.trials);
            if let Some(other) = known.insert((count, written.hash.finish()), name.clone()) {
                let message = format!(
                    "subject {id}: expected responses of their own for each run, found those of {name} equal to those of \
                     {other} in all {count} trials: a file that was copied under two names?"
                );
                self.findings.report(Check::IdenticalRuns, message)?;
            }
        }
        Ok(())
    }
}
