use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use mused_formats::npy::{self, NpyMatrix};
use mused_formats::table::{Column, Table};
use ndarray::{Array2, ArrayD, Ix2};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Version of the directory layout, the `format` of `dataset.json`.
pub(crate) const FORMAT: &str = "mused-dataset/1";

/// What the voxels of a dataset are arranged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Regions of interest, each a list of voxels.
    Roi,
    /// A brain volume, scattered into a grid on load.
    Volume,
    /// One undivided list of voxels.
    Vector,
}

/// What one value of a response row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Response {
    /// A voxel's response amplitude.
    Voxels,
    /// The similarity of the trial's stimulus to a reference stimulus within a region.
    SimilarityProfiles,
}

/// A file a dataset was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Path as given, relative to the data folder.
    pub path: String,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

/// The content of `dataset.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// Layout version: `mused-dataset/1`.
    pub format: String,
    /// Short name.
    pub name: String,
    /// Arrangement of the voxels.
    pub kind: Kind,
    /// What a response value is.
    pub response: Response,
    /// Anatomical space, e.g. `MNI152`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<String>,
    /// Repetition time in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tr: Option<f64>,
    /// Licence of the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// How to cite the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub citation: Option<String>,
    /// Whether the responses were computed, not measured.
    #[serde(default)]
    pub simulated: bool,
    /// How the responses were made of the recordings, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processing: Option<String>,
    /// What an import found and was told to let pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Files it was made from.
    #[serde(default)]
    pub sources: Vec<Source>,
}

impl Description {
    /// A description with every optional field empty.
    pub fn new(name: impl Into<String>, kind: Kind, response: Response) -> Self {
        Self {
            format: FORMAT.to_owned(),
            name: name.into(),
            kind,
            response,
            space: None,
            tr: None,
            licence: None,
            citation: None,
            simulated: false,
            processing: None,
            warnings: Vec::new(),
            sources: Vec::new(),
        }
    }
}

/// The side of a published split a stimulus belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// May be trained on.
    Train,
    /// Held out by the authors of the data.
    Test,
}

/// One picture, film clip or film second: a row of `stimuli.tsv`.
#[derive(Clone, Debug, PartialEq)]
pub struct Stimulus {
    /// Unique name.
    pub id: String,
    /// Clip, run or scene; groups never straddle a split. The id itself where none is given.
    pub group: String,
    /// Published split, where there is one.
    pub part: Option<Part>,
    /// Image, film or HDF5 file, where there is one; from the dataset directory if relative.
    pub file: Option<String>,
    /// Row of the images in an HDF5 file, or second of a film; `None` = the whole file.
    pub frame: Option<u64>,
    /// What the stimulus shows, in the words of one or several people.
    pub captions: Vec<String>,
}

impl Stimulus {
    /// A stimulus that is its own group and has no file.
    pub fn new(id: impl Into<String>) -> Self {
        let id = id.into();
        Self {
            group: id.clone(),
            id,
            part: None,
            file: None,
            frame: None,
            captions: Vec::new(),
        }
    }
}

/// Label names and which stimulus has which label.
#[derive(Clone, Debug, PartialEq)]
pub struct Labels {
    /// One name a column.
    pub names: Vec<String>,
    /// stimuli × labels, 0 or 1.
    pub matrix: Array2<u8>,
}

impl Labels {
    /// Number of stimuli with each label.
    pub fn positives(&self) -> Vec<usize> {
        let columns = self.matrix.columns().into_iter();
        columns
            .map(|column| column.iter().filter(|value| **value == 1).count())
            .collect()
    }
}

/// One presentation of a stimulus: a row of `trials.tsv` and of `responses.npy`.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Index into the dataset's stimuli.
    pub stimulus: usize,
    /// Scanning session, from 1.
    pub session: u32,
    /// Run within the session, from 1.
    pub run: u32,
    /// Seconds from the start of the run.
    pub onset: Option<f64>,
    /// How often the stimulus has been seen, from 1.
    pub repeat: u32,
}

/// One column of `responses.npy`: a row of `voxels.tsv`.
#[derive(Clone, Debug, PartialEq)]
pub struct Voxel {
    /// Region of interest.
    pub roi: String,
    /// Position in the mask's grid.
    pub coordinate: Option<[i32; 3]>,
    /// For similarity profiles: index of the stimulus this column is the similarity to.
    pub reference: Option<usize>,
}

/// One person: trials, voxels and memory-mapped responses.
#[derive(Debug)]
pub struct Subject {
    /// Unique name.
    pub id: String,
    /// In the order of the response rows.
    pub trials: Vec<Trial>,
    /// In the order of the response columns.
    pub voxels: Vec<Voxel>,
    /// trials × voxels, read a row at a time.
    pub responses: NpyMatrix,
    pub(crate) folder: PathBuf,
}

impl Subject {
    /// Reads the response row of a trial, refusing NaN and infinite values.
    ///
    /// # Errors
    /// When the file cannot be read or a value is not finite.
    pub fn read_response(&self, trial: usize, row: &mut [f32]) -> Result<()> {
        self.responses.read_row(trial, row)?;
        match row.iter().position(|value| !value.is_finite()) {
            None => Ok(()),
            Some(column) => Err(Error::invalid(
                self.folder.join("responses.npy"),
                format!(
                    "expected finite values, found {} in row {trial}, column {column} (roi {}); \
                     remove the voxel or the trial before import",
                    row[column], self.voxels[column].roi,
                ),
            )),
        }
    }
}

/// Which token guidance speaks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The low-level token: what early visual layers represent.
    Low,
    /// The high-level token: what the stimulus means.
    High,
}

/// The content of a `feature.json`, without the array beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureSet {
    /// Folder name below `features/`.
    #[serde(skip)]
    pub name: String,
    /// Which token it guides unless the configuration says otherwise.
    pub level: Option<Level>,
    /// What it is and how it was made.
    pub description: String,
    /// Whether the array is an RDM (`rdm.npy`) rather than features (`features.npy`).
    #[serde(skip)]
    pub is_rdm: bool,
    /// Shape of the array.
    #[serde(skip)]
    pub shape: [usize; 2],
    /// Whatever else the encoder recorded (layer, clipping, normalisation, hashes).
    #[serde(flatten)]
    pub details: serde_json::Map<String, serde_json::Value>,
}

/// A dataset directory, opened and checked; the responses stay on disk.
#[derive(Debug)]
pub struct Dataset {
    /// The directory.
    pub root: PathBuf,
    /// `dataset.json`.
    pub description: Description,
    /// `stimuli.tsv`.
    pub stimuli: Vec<Stimulus>,
    /// `labels.tsv` and `labels.npy`.
    pub labels: Labels,
    /// One a folder of `subjects/`, by name.
    pub subjects: Vec<Subject>,
    /// One a folder of `features/`, by name.
    pub features: Vec<FeatureSet>,
}

impl Dataset {
    /// Opens a dataset directory and checks that its tables and arrays agree.
    ///
    /// Response values are checked when they are read, not here.
    ///
    /// # Errors
    /// Names the file, what was expected there and what was found.
    pub fn open(root: impl AsRef<Path>) -> Result<Self> {
        let root = root.as_ref().to_owned();
        let description_path = root.join("dataset.json");
        if !description_path.is_file() {
            return Err(Error::invalid(
                &root,
                "expected a mused dataset directory, found no dataset.json in it; make one with \
                 `mused import` or `mused simulate`",
            ));
        }
        let description: Description = read_json(&description_path)?;
        if description.format != FORMAT {
            return Err(Error::invalid(
                &description_path,
                format!("expected format {FORMAT:?}, found {:?}", description.format),
            ));
        }
        let stimuli = read_stimuli(&root)?;
        let labels = read_labels(&root, stimuli.len())?;
        let index: HashMap<&str, usize> = stimuli
            .iter()
            .enumerate()
            .map(|(index, stimulus)| (stimulus.id.as_str(), index))
            .collect();
        let subjects_folder = root.join("subjects");
        let subjects = folders(&subjects_folder)?
            .into_iter()
            .map(|folder| read_subject(folder, &description, &index))
            .collect::<Result<Vec<_>>>()?;
        if subjects.is_empty() {
            return Err(Error::invalid(
                subjects_folder,
                "expected a folder a subject, found none",
            ));
        }
        let features_folder = root.join("features");
        let features = if features_folder.is_dir() {
            folders(&features_folder)?
                .into_iter()
                .map(|folder| read_feature_set(&folder, stimuli.len()))
                .collect::<Result<Vec<_>>>()?
        } else {
            Vec::new()
        };
        Ok(Self {
            root,
            description,
            stimuli,
            labels,
            subjects,
            features,
        })
    }

    /// The subject called `id`.
    ///
    /// # Errors
    /// Names the subjects that exist.
    pub fn subject(&self, id: &str) -> Result<usize> {
        self.subjects
            .iter()
            .position(|subject| subject.id == id)
            .ok_or_else(|| {
                let known: Vec<&str> = self.subjects.iter().map(|s| s.id.as_str()).collect();
                Error::Request(format!(
                    "unknown subject {id:?}: {} has {}",
                    self.description.name,
                    known.join(", ")
                ))
            })
    }

    /// Names of the regions, in order of first appearance over all subjects.
    pub fn roi_names(&self) -> Vec<&str> {
        let mut seen = HashSet::new();
        let mut names = Vec::new();
        for voxel in self.subjects.iter().flat_map(|subject| &subject.voxels) {
            if seen.insert(voxel.roi.as_str()) {
                names.push(voxel.roi.as_str());
            }
        }
        names
    }

    /// The array of a feature set: stimuli × features, or stimuli × stimuli for an RDM.
    ///
    /// # Errors
    /// When it cannot be read or holds NaN or infinite values.
    pub fn read_features(&self, features: &FeatureSet) -> Result<Array2<f32>> {
        let file = if features.is_rdm {
            "rdm.npy"
        } else {
            "features.npy"
        };
        let path = self.root.join("features").join(&features.name).join(file);
        let array = matrix(&path, npy::read_npy_f32(&path)?)?;
        match array.indexed_iter().find(|(_, value)| !value.is_finite()) {
            None => Ok(array),
            Some(((row, column), value)) => Err(Error::invalid(
                &path,
                format!("expected finite values, found {value} in row {row}, column {column}"),
            )),
        }
    }
}

pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).map_err(Error::io("cannot read", path))?;
    serde_json::from_str(&text).map_err(|error| Error::invalid(path, error.to_string()))
}

pub(crate) fn matrix<T>(path: &Path, array: ArrayD<T>) -> Result<Array2<T>> {
    let shape = array.shape().to_vec();
    array.into_dimensionality::<Ix2>().map_err(|_| {
        Error::invalid(
            path,
            format!("expected a 2-dimensional array, found shape {shape:?}"),
        )
    })
}

/// Visible sub-folders by name; names starting with a dot are unfinished writes.
fn folders(parent: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(parent).map_err(Error::io("cannot list", parent))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::io("cannot list", parent))?.path();
        let hidden = path
            .file_name()
            .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.is_dir() && !hidden {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn folder_name(folder: &Path) -> Result<String> {
    folder
        .file_name()
        .and_then(|name| name.to_str())
        .map(str::to_owned)
        .ok_or_else(|| Error::invalid(folder, "expected a folder name in UTF-8"))
}

pub(crate) fn unique<'a>(
    column: Column<'_>,
    values: impl IntoIterator<Item = &'a str>,
) -> Result<()> {
    let mut seen = HashSet::new();
    for (row, value) in values.into_iter().enumerate() {
        if !seen.insert(value) {
            return Err(column.invalid(row, "an id that occurs once").into());
        }
    }
    Ok(())
}

pub(crate) fn read_stimuli(root: &Path) -> Result<Vec<Stimulus>> {
    let path = root.join("stimuli.tsv");
    let table = Table::read(&path)?;
    let id_column = table.column("stimulus_id")?;
    let ids = id_column.strings()?;
    unique(id_column, ids.iter().copied())?;
    let mut stimuli: Vec<Stimulus> = ids.into_iter().map(Stimulus::new).collect();
    if stimuli.is_empty() {
        return Err(Error::invalid(
            path,
            "expected a row a stimulus, found none",
        ));
    }
    if let Some(groups) = table.optional_column("group") {
        for (stimulus, group) in stimuli.iter_mut().zip(groups.strings()?) {
            stimulus.group = group.to_owned();
        }
    }
    if let Some(parts) = table.optional_column("split") {
        for (row, (stimulus, part)) in stimuli.iter_mut().zip(parts.cells()).enumerate() {
            stimulus.part = match part {
                None => None,
                Some("train") => Some(Part::Train),
                Some("test") => Some(Part::Test),
                Some(_) => return Err(parts.invalid(row, "train, test or n/a").into()),
            };
        }
    }
    if let Some(files) = table.optional_column("file") {
        for (stimulus, file) in stimuli.iter_mut().zip(files.cells()) {
            stimulus.file = file.map(str::to_owned);
        }
    }
    if let Some(captions) = table.optional_column("caption") {
        for (stimulus, caption) in stimuli.iter_mut().zip(captions.cells()) {
            stimulus.captions.extend(caption.map(str::to_owned));
        }
    }
    if let Some(frames) = table.optional_column("frame") {
        for (row, (stimulus, frame)) in stimuli.iter_mut().zip(frames.cells()).enumerate() {
            stimulus.frame = frame
                .map(|frame| {
                    let number = frame.parse();
                    number.map_err(|_| frames.invalid(row, "a whole number from 0"))
                })
                .transpose()?;
        }
    }
    read_captions(root, &mut stimuli)?;
    Ok(stimuli)
}

/// `captions.tsv`: as many rows a stimulus as there are captions.
fn read_captions(root: &Path, stimuli: &mut [Stimulus]) -> Result<()> {
    let path = root.join("captions.tsv");
    if !path.exists() {
        return Ok(());
    }
    let table = Table::read(&path)?;
    let places: HashMap<String, usize> = stimuli
        .iter()
        .enumerate()
        .map(|(place, stimulus)| (stimulus.id.clone(), place))
        .collect();
    let ids = table.column("stimulus_id")?;
    let captions = table.column("caption")?.strings()?;
    for (row, (id, caption)) in ids.strings()?.into_iter().zip(captions).enumerate() {
        let place = places
            .get(id)
            .ok_or_else(|| ids.invalid(row, "a stimulus_id of stimuli.tsv"))?;
        stimuli[*place].captions.push(caption.to_owned());
    }
    Ok(())
}

fn read_labels(root: &Path, stimuli: usize) -> Result<Labels> {
    let table = Table::read(root.join("labels.tsv"))?;
    let name_column = table.column("label")?;
    let names: Vec<String> = name_column
        .strings()?
        .into_iter()
        .map(str::to_owned)
        .collect();
    unique(name_column, names.iter().map(String::as_str))?;
    let path = root.join("labels.npy");
    let matrix = matrix(&path, npy::read_npy_u8(&path)?)?;
    if matrix.dim() != (stimuli, names.len()) {
        return Err(Error::invalid(
            &path,
            format!(
                "expected {stimuli} rows (stimuli.tsv) × {} columns (labels.tsv), found {} × {}",
                names.len(),
                matrix.nrows(),
                matrix.ncols()
            ),
        ));
    }
    if let Some(((row, column), value)) = matrix.indexed_iter().find(|(_, value)| **value > 1) {
        return Err(Error::invalid(
            &path,
            format!("expected 0 or 1, found {value} in row {row}, column {column}"),
        ));
    }
    Ok(Labels { names, matrix })
}

fn read_subject(
    folder: PathBuf,
    description: &Description,
    stimuli: &HashMap<&str, usize>,
) -> Result<Subject> {
    let id = folder_name(&folder)?;
    let trials = read_trials(&folder.join("trials.tsv"), stimuli)?;
    let voxels = read_voxels(&folder.join("voxels.tsv"), description.response, stimuli)?;
    let path = folder.join("responses.npy");
    let responses = NpyMatrix::open(&path)?;
    if (responses.rows(), responses.columns()) != (trials.len(), voxels.len()) {
        return Err(Error::invalid(
            path,
            format!(
                "expected {} rows (trials.tsv) × {} columns (voxels.tsv), found {} × {}",
                trials.len(),
                voxels.len(),
                responses.rows(),
                responses.columns()
            ),
        ));
    }
    Ok(Subject {
        id,
        trials,
        voxels,
        responses,
        folder,
    })
}

pub(crate) fn read_trials(path: &Path, stimuli: &HashMap<&str, usize>) -> Result<Vec<Trial>> {
    let table = Table::read(path)?;
    if table.rows() == 0 {
        return Err(Error::invalid(
            path,
            "expected at least one trial, found none",
        ));
    }
    let ids = table.column("stimulus_id")?;
    let counted = |name: &str| -> Result<Vec<Option<u32>>> {
        match table.optional_column(name) {
            Some(column) => Ok(column.parse_optional()?),
            None => Ok(vec![None; table.rows()]),
        }
    };
    let (sessions, runs, repeats) = (counted("session")?, counted("run")?, counted("repeat")?);
    let onsets: Vec<Option<f64>> = match table.optional_column("onset") {
        Some(column) => column.parse_optional()?,
        None => vec![None; table.rows()],
    };
    let mut trials = Vec::with_capacity(table.rows());
    for (row, id) in ids.strings()?.into_iter().enumerate() {
        let stimulus = *stimuli
            .get(id)
            .ok_or_else(|| ids.invalid(row, "a stimulus_id that stimuli.tsv lists"))?;
        trials.push(Trial {
            stimulus,
            session: sessions[row].unwrap_or(1),
            run: runs[row].unwrap_or(1),
            onset: onsets[row],
            repeat: repeats[row].unwrap_or(1),
        });
    }
    Ok(trials)
}

pub(crate) fn read_voxels(
    path: &Path,
    response: Response,
    stimuli: &HashMap<&str, usize>,
) -> Result<Vec<Voxel>> {
    let table = Table::read(path)?;
    let rois = table.column("roi")?.strings()?;
    let mut axes = Vec::new();
    for axis in ["i", "j", "k"] {
        if let Some(column) = table.optional_column(axis) {
            axes.push(column.parse_optional::<i32>()?);
        }
    }
    let mut voxels: Vec<Voxel> = rois
        .into_iter()
        .enumerate()
        .map(|(row, roi)| Voxel {
            roi: roi.to_owned(),
            coordinate: match axes.as_slice() {
                [i, j, k] => i[row].zip(j[row]).zip(k[row]).map(|((i, j), k)| [i, j, k]),
                _ => None,
            },
            reference: None,
        })
        .collect();
    if response == Response::SimilarityProfiles {
        let column = table.column("reference_stimulus")?;
        let mut seen: BTreeMap<(&str, usize), ()> = BTreeMap::new();
        for (row, id) in column.strings()?.into_iter().enumerate() {
            let reference = *stimuli
                .get(id)
                .ok_or_else(|| column.invalid(row, "a stimulus_id that stimuli.tsv lists"))?;
            voxels[row].reference = Some(reference);
        }
        for (row, voxel) in voxels.iter().enumerate() {
            if let Some(reference) = voxel.reference
                && seen.insert((&voxel.roi, reference), ()).is_some()
            {
                return Err(column
                    .invalid(row, "a reference that occurs once in a roi")
                    .into());
            }
        }
    }
    Ok(voxels)
}

fn read_feature_set(folder: &Path, stimuli: usize) -> Result<FeatureSet> {
    let mut features: FeatureSet = read_json(&folder.join("feature.json"))?;
    features.name = folder_name(folder)?;
    let rdm = folder.join("rdm.npy");
    features.is_rdm = rdm.is_file();
    let path = if features.is_rdm {
        rdm
    } else {
        folder.join("features.npy")
    };
    let array = NpyMatrix::open(&path)?;
    features.shape = [array.rows(), array.columns()];
    let columns = if features.is_rdm {
        stimuli
    } else {
        features.shape[1]
    };
    if features.shape != [stimuli, columns] {
        return Err(Error::invalid(
            path,
            format!(
                "expected {stimuli} rows (stimuli.tsv) × {columns} columns, found {} × {}",
                features.shape[0], features.shape[1]
            ),
        ));
    }
    Ok(features)
}
