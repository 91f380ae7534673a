use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mused_formats::cifti::BrainModels;
use mused_formats::npy::{self, Dtype, NpyWriter};
use mused_formats::table::TableWriter;
use mused_formats::{Lock, Locked, Together, make_folder, move_folder, replace_file, sync_folder};
use ndarray::ArrayView2;

use crate::checks::check_names;
use crate::json::read_json;
use crate::{
    Description, Error, FeatureSet, Grid, Labels, Motion, Part, Response, Result, Source, Stimulus,
    Trial, Voxel, motion, places,
};

/// Writes a dataset directory beside its destination and moves it there when it is whole.
///
/// Dropped before [`finish`](Self::finish), it removes what it wrote and leaves the destination
/// as it was. What a killed process leaves is removed, or taken up by the same import, the next time.
#[derive(Debug)]
pub struct DatasetWriter {
    partial: PartialFolder,
    description: Description,
    stimuli: Vec<Stimulus>,
    subjects: HashSet<String>,
    features: HashSet<String>,
    /// Records of what is done and may not be on disk yet.
    unsettled: BTreeMap<PathBuf, String>,
    /// When records last were on disk.
    settled: Option<Instant>,
}

/// How long work is done before it is recorded.
const RECORD_EVERY: Duration = Duration::from_secs(2);

impl DatasetWriter {
    /// Starts a dataset with its stimuli and labels.
    ///
    /// # Errors
    /// When `destination` exists, the label rows do not match the stimuli, or ids repeat.
    pub fn create(
        destination: impl AsRef<Path>,
        description: Description,
        stimuli: Vec<Stimulus>,
        labels: &Labels,
    ) -> Result<Self> {
        let partial = PartialFolder::create(destination.as_ref(), None)?;
        Self::start(partial, description, stimuli, labels)
    }

    /// Removes what a process left beside the dataset at `destination` that was killed when that was whole.
    ///
    /// # Errors
    /// A file that cannot be opened.
    pub fn tidy(destination: &Path) -> Result<()> {
        let lock = lock_of(destination);
        if lock.exists() {
            drop(Lock::take(lock)?);
        }
        Ok(())
    }

    /// [`Self::create`], but what a killed process with the same `fingerprint` has recorded is still there.
    pub(crate) fn resume(
        destination: &Path,
        fingerprint: &str,
        description: Description,
        stimuli: Vec<Stimulus>,
        labels: &Labels,
    ) -> Result<Self> {
        let partial = PartialFolder::create(destination, Some(fingerprint))?;
        Self::start(partial, description, stimuli, labels)
    }

    fn start(
        partial: PartialFolder,
        description: Description,
        stimuli: Vec<Stimulus>,
        labels: &Labels,
    ) -> Result<Self> {
        let subjects = partial.path.join("subjects");
        make_folder(&subjects).map_err(Error::io("cannot create", &subjects))?;
        let writer = Self {
            partial,
            description,
            stimuli,
            subjects: HashSet::new(),
            features: HashSet::new(),
            unsettled: BTreeMap::new(),
            settled: None,
        };
        writer.write_stimuli()?;
        writer.write_labels(labels)?;
        Ok(writer)
    }

    fn write_stimuli(&self) -> Result<()> {
        Stimulus::check_ids(&self.stimuli)?;
        let mut table = TableWriter::create(
            self.partial.path.join("stimuli.tsv"),
            &["stimulus_id", "group", "split", "file", "frame"],
        )?;
        for stimulus in &self.stimuli {
            let part = match stimulus.part {
                Some(Part::Train) => "train",
                Some(Part::Test) => "test",
                None => "n/a",
            };
            table.write_row([
                stimulus.id.as_str(),
                &stimulus.group,
                part,
                stimulus.file.as_deref().unwrap_or("n/a"),
                &stimulus
                    .frame
                    .map_or("n/a".to_owned(), |frame| frame.to_string()),
            ])?;
        }
        table.finish()?;
        if self.stimuli.iter().all(|s| s.captions.is_empty()) {
            return Ok(());
        }
        let path = self.partial.path.join("captions.tsv");
        let mut table = TableWriter::create(path, &["stimulus_id", "caption"])?;
        for stimulus in &self.stimuli {
            for caption in &stimulus.captions {
                table.write_row([&stimulus.id, caption])?;
            }
        }
        Ok(table.finish()?)
    }

    fn write_labels(&self, labels: &Labels) -> Result<()> {
        labels.check(self.stimuli.len())?;
        let mut table = TableWriter::create(self.partial.path.join("labels.tsv"), &["label"])?;
        for name in &labels.names {
            table.write_row([name])?;
        }
        table.finish()?;
        Ok(npy::write_npy_u8(
            self.partial.path.join("labels.npy"),
            labels.matrix.view(),
        )?)
    }

    /// Starts a subject; its response rows follow through the returned writer.
    ///
    /// # Errors
    /// When the id repeats or cannot be a folder name, or there are no trials or voxels.
    pub fn subject(
        &mut self,
        id: &str,
        trials: &[Trial],
        voxels: &[Voxel],
        dtype: Dtype,
    ) -> Result<SubjectWriter> {
        claim_folder_name("subject id", id, &mut self.subjects)?;
        if trials.is_empty() || voxels.is_empty() {
            return Err(Error::Request(format!(
                "subject {id} has {} trials and {} voxels, expected at least one of each",
                trials.len(),
                voxels.len()
            )));
        }
        let folder = self.partial.path.join("subjects").join(id);
        if folder.exists() {
            // A killed process did not come to its end.
            fs::remove_dir_all(&folder).map_err(Error::io("cannot remove", &folder))?;
        }
        make_folder(&folder).map_err(Error::io("cannot create", &folder))?;
        self.write_trials(&folder, trials)?;
        self.write_voxels(&folder, voxels)?;
        let responses = NpyWriter::create(
            folder.join("responses.npy"),
            dtype,
            trials.len(),
            voxels.len(),
        )?;
        Ok(SubjectWriter { responses })
    }

    fn write_trials(&self, folder: &Path, trials: &[Trial]) -> Result<()> {
        let mut table = TableWriter::create(
            folder.join("trials.tsv"),
            &["stimulus_id", "session", "run", "onset", "repeat"],
        )?;
        for trial in trials {
            let onset = trial
                .onset
                .map_or("n/a".to_owned(), |seconds| seconds.to_string());
            table.write_row([
                self.stimulus_id(trial.stimulus)?,
                &trial.session.to_string(),
                &trial.run.to_string(),
                &onset,
                &trial.repeat.to_string(),
            ])?;
        }
        Ok(table.finish()?)
    }

    fn write_voxels(&self, folder: &Path, voxels: &[Voxel]) -> Result<()> {
        let profiles = self.description.response == Response::SimilarityProfiles;
        let mut columns = vec!["roi", "i", "j", "k"];
        if profiles {
            columns.push("reference_stimulus");
        }
        check_names("name of a region", voxels.iter().map(|voxel| &*voxel.roi))?;
        let mut table = TableWriter::create(folder.join("voxels.tsv"), &columns)?;
        for voxel in voxels {
            let mut row = vec![voxel.roi.clone()];
            match voxel.coordinate {
                Some(position) => row.extend(position.iter().map(i32::to_string)),
                None => row.extend(["n/a"; 3].map(str::to_owned)),
            }
            if profiles {
                let reference = voxel.reference.ok_or_else(|| {
                    Error::Request("a similarity profile column needs a reference".to_owned())
                })?;
                row.push(self.stimulus_id(reference)?.to_owned());
            }
            table.write_row(&row)?;
        }
        Ok(table.finish()?)
    }

    fn stimulus_id(&self, index: usize) -> Result<&str> {
        self.stimuli
            .get(index)
            .map(|stimulus| stimulus.id.as_str())
            .ok_or_else(|| {
                Error::Request(format!(
                    "stimulus index {index} is beyond the {} stimuli",
                    self.stimuli.len()
                ))
            })
    }

    /// Adds `mask.nii.gz` to a subject: where its voxels lie.
    ///
    /// # Errors
    /// When a voxel has no coordinate or lies outside the grid, or writing fails.
    pub fn mask(&self, subject: &str, grid: &Grid, voxels: &[&Voxel]) -> Result<()> {
        places::write_mask(
            &self.partial.path.join("subjects").join(subject),
            grid,
            voxels,
        )
    }

    /// Adds `motion.tsv` to a subject.
    pub(crate) fn motion(&self, subject: &str, runs: &[Motion]) -> Result<()> {
        motion::write(&self.partial.path.join("subjects").join(subject), runs)
    }

    /// Adds `grayordinates.dscalar.nii` to a subject; `columns` has the place of each response column
    /// in `brain`.
    pub(crate) fn grayordinates(
        &self,
        subject: &str,
        brain: &BrainModels,
        columns: &[usize],
    ) -> Result<()> {
        let folder = self.partial.path.join("subjects").join(subject);
        places::write_grayordinates(&folder, brain, columns)
    }

    /// Adds a file of another kind, named by its place in the dataset.
    pub(crate) fn file(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.partial.path.join(name);
        if let Some(folder) = path.parent() {
            make_folder(folder).map_err(Error::io("cannot create", folder))?;
        }
        Ok(replace_file(path, bytes)?)
    }

    /// Adds guidance: stimuli × features, or stimuli × stimuli where `features.is_rdm`.
    ///
    /// # Errors
    /// When the name repeats or cannot be a folder name, the rows do not match the stimuli, or
    /// writing fails.
    pub fn features(&mut self, features: &FeatureSet, array: ArrayView2<'_, f32>) -> Result<()> {
        claim_folder_name("name of features", &features.name, &mut self.features)?;
        features.check(array.dim().into(), self.stimuli.len())?;
        let folder = self.partial.path.join("features").join(&features.name);
        make_folder(&folder).map_err(Error::io("cannot create", &folder))?;
        npy::write_npy_f32(folder.join(features.file()), array)?;
        write_json(&folder.join("feature.json"), features)
    }

    /// Adds what an import let pass to `dataset.json`.
    pub(crate) fn warn(&mut self, warnings: Vec<String>) {
        self.description.warnings.extend(warnings);
    }

    /// Adds files that were read meanwhile to `dataset.json`.
    pub(crate) fn sources(&mut self, sources: Vec<Source>) {
        self.description.sources.extend(sources);
    }

    /// Where an import may keep a file until [`finish`](Self::finish).
    pub(crate) fn scratch(&self, name: &str) -> PathBuf {
        self.partial.path.join(WORK).join(name)
    }

    /// Records that a piece of work is done: a process that resumes this one finds it by its name. Disks are slow to tell that
    /// something is safe: after the first such piece they are asked every few seconds, or by [`Self::settle`]: a kill costs no more than that.
    pub(crate) fn record<T: serde::Serialize>(&mut self, name: &str, result: &T) -> Result<()> {
        let path = self.scratch(&format!("{name}.json"));
        let text = serde_json::to_string_pretty(result)
            .map_err(|error| Error::invalid(&path, error.to_string()))?;
        self.unsettled.insert(path, text);
        let due = self
            .settled
            .is_none_or(|before| before.elapsed() >= RECORD_EVERY);
        if due { self.settle() } else { Ok(()) }
    }

    /// Brings to disk what was done and, after it, the records that it was.
    pub(crate) fn settle(&mut self) -> Result<()> {
        // Neither is there a record of what is not on disk, nor is anything removed before the record is.
        self.partial.sync()?;
        for (path, text) in std::mem::take(&mut self.unsettled) {
            replace_file(path, text.as_bytes())?;
        }
        self.partial.sync()?;
        self.settled = Some(Instant::now());
        Ok(())
    }

    /// What was recorded, if that is whole.
    pub(crate) fn recorded<T: serde::de::DeserializeOwned>(&self, name: &str) -> Option<T> {
        let path = self.scratch(&format!("{name}.json"));
        match self.unsettled.get(&path) {
            Some(text) => serde_json::from_str(text).ok(),
            None => read_json(&path).ok(),
        }
    }

    /// Takes over a subject that an earlier process has written.
    pub(crate) fn keep_subject(&mut self, id: &str) -> Result<()> {
        claim_folder_name("subject id", id, &mut self.subjects)
    }

    /// Completes the dataset and moves it to its destination.
    ///
    /// # Errors
    /// When the destination has come to exist meanwhile, or writing fails.
    pub fn finish(self) -> Result<()> {
        write_json(&self.partial.path.join("dataset.json"), &self.description)?;
        self.partial.finish()
    }
}

/// Takes the response rows of one subject, in the order of its trials.
#[derive(Debug)]
pub struct SubjectWriter {
    responses: NpyWriter,
}

impl SubjectWriter {
    /// Appends one trial's response, one value a voxel.
    ///
    /// # Errors
    /// When the length is wrong, a value does not fit the stored type, or writing fails.
    pub fn write_response(&mut self, row: &[f32]) -> Result<()> {
        Ok(self.responses.write_row(row)?)
    }

    /// Completes the file.
    ///
    /// # Errors
    /// When rows are missing.
    pub fn finish(self) -> Result<()> {
        Ok(self.responses.finish()?)
    }
}

pub(crate) fn claim_folder_name(what: &str, name: &str, taken: &mut HashSet<String>) -> Result<()> {
    let plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\']);
    if plain && taken.insert(name.to_owned()) {
        return Ok(());
    }
    Err(Error::Request(format!(
        "{what} {name:?} must be unique and usable as the name of a folder"
    )))
}

/// A folder written beside its destination, by one process at a time.
#[derive(Debug)]
struct PartialFolder {
    destination: PathBuf,
    path: PathBuf,
    /// Nothing in it counts before it is moved, or recorded.
    together: Together,
    _lock: Lock,
}

/// Folder of scratch files and records.
const WORK: &str = "work";

impl PartialFolder {
    fn create(destination: &Path, fingerprint: Option<&str>) -> Result<Self> {
        let Some(name) = destination.file_name().and_then(|name| name.to_str()) else {
            let expected = "expected the name of a folder to create";
            return Err(Error::invalid(destination, expected));
        };
        let lock = lock_of(destination);
        // Whoever left a lock was stopped: it goes with the one that is taken here.
        if !lock.exists() {
            refuse_occupied(destination)?;
        }
        if let Some(parent) = destination.parent() {
            make_folder(parent).map_err(Error::io("cannot create", parent))?;
        }
        let lock = match Lock::take(lock)? {
            Locked::Own(lock) => lock,
            Locked::Other(holder) => {
                return Err(Error::Request(format!(
                    "{}: {holder} is writing it: wait until it has ended, or choose another name",
                    destination.display()
                )));
            }
        };
        // By a process that has ended since.
        refuse_occupied(destination)?;
        let path = destination.with_file_name(format!(".{name}.partial"));
        make_folder(&path).map_err(Error::io("cannot create", &path))?;
        let folder = Self {
            destination: destination.to_owned(),
            path,
            together: Together::new(),
            _lock: lock,
        };
        let mark = folder.mark();
        let found = fs::read_to_string(&mark).ok();
        if found.is_none() || found.as_deref() != fingerprint {
            // What an earlier process left of other work.
            folder.discard()?;
            let work = folder.path.join(WORK);
            make_folder(&work).map_err(Error::io("cannot create", &work))?;
            replace_file(&mark, fingerprint.unwrap_or_default().as_bytes())?;
        }
        folder.together.include(&folder.path);
        Ok(folder)
    }

    /// Whose work is recorded.
    fn mark(&self) -> PathBuf {
        self.path.join(WORK).join("fingerprint")
    }

    /// Removes it; the mark first, for without its files no record holds.
    fn discard(&self) -> Result<()> {
        let mark = self.mark();
        if mark.exists() {
            fs::remove_file(&mark).map_err(Error::io("cannot remove", &mark))?;
            let work = self.path.join(WORK);
            sync_folder(&work).map_err(Error::io("cannot write", &work))?;
        }
        fs::remove_dir_all(&self.path).map_err(Error::io("cannot remove", &self.path))
    }

    /// Brings to disk what was written.
    fn sync(&self) -> Result<()> {
        let synced = self.together.sync();
        synced.map_err(Error::io("cannot write", &self.path))
    }

    fn finish(self) -> Result<()> {
        let work = self.path.join(WORK);
        fs::remove_dir_all(&work).map_err(Error::io("cannot remove", &work))?;
        self.sync()?;
        // An empty folder made by the user is taken over; anything else is an error of `rename`.
        move_folder(&self.path, &self.destination)
            .map_err(Error::io("cannot create", &self.destination))
    }
}

/// What stands for the right to write a dataset.
fn lock_of(destination: &Path) -> PathBuf {
    let name = destination.file_name().unwrap_or_default();
    destination.with_file_name(format!(".{}.lock", name.display()))
}

fn refuse_occupied(destination: &Path) -> Result<()> {
    let occupied = match fs::read_dir(destination) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => destination.exists(),
    };
    match occupied {
        true => Err(Error::Exists(destination.to_owned())),
        false => Ok(()),
    }
}

impl Drop for PartialFolder {
    fn drop(&mut self) {
        // After `finish` the folder is no longer there; a failed clean-up has nobody to tell.
        let _ = self.discard();
    }
}

fn write_json<T: serde::Serialize>(path: &Path, value: &T) -> Result<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Error::invalid(path, error.to_string()))?;
    Ok(replace_file(path, text.as_bytes())?)
}
