use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mused_formats::npy;
use ndarray::{ArcArray2, Array2};
use serde::{Deserialize, Serialize};

use crate::json::read_json;
use crate::read::{
    Unread, folders, matrix, read_feature_set, read_labels, read_stimuli, read_subject,
};
use crate::{Error, Responses, Result};

const DESCRIPTION: &str = "dataset.json";
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

impl From<&str> for Description {
    /// Voxels in regions, by name alone.
    fn from(name: &str) -> Self {
        Self::new(name, Kind::Roi, Response::Voxels)
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

impl Trial {
    /// The first presentation of a stimulus, in run 1 of session 1, at no known time.
    pub fn of(stimulus: usize) -> Self {
        Self {
            stimulus,
            session: 1,
            run: 1,
            onset: None,
            repeat: 1,
        }
    }
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

impl Voxel {
    /// Voxels of which nothing but their regions is known.
    pub fn in_regions<S: Into<String>>(regions: impl IntoIterator<Item = S>) -> Vec<Self> {
        let voxel = |roi: S| Self {
            roi: roi.into(),
            coordinate: None,
            reference: None,
        };
        regions.into_iter().map(voxel).collect()
    }
}

/// One person: trials, voxels and responses. Clones share them.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Unique name.
    pub id: String,
    /// In the order of the response rows.
    pub trials: Arc<[Trial]>,
    /// In the order of the response columns.
    pub voxels: Arc<[Voxel]>,
    /// trials × voxels, read a row at a time.
    pub responses: Responses,
    /// `None` in memory.
    pub(crate) folder: Option<PathBuf>,
}

impl Subject {
    /// Reads the response row of a trial, refusing NaN and infinite values.
    ///
    /// # Errors
    /// When the row cannot be read or a value is not finite.
    pub fn read_response(&self, trial: usize, row: &mut [f32]) -> Result<()> {
        self.responses.read_row(trial, row)?;
        match row.iter().position(|value| !value.is_finite()) {
            None => Ok(()),
            Some(column) => Err(self.invalid(
                "responses.npy",
                &format!(
                    "expected finite values, found {} in row {trial}, column {column} (roi {}); \
                     remove the voxel or the trial before import",
                    row[column], self.voxels[column].roi,
                ),
            )),
        }
    }

    /// An error in a file of its folder; in memory the name of the file says what would be there.
    pub(crate) fn invalid(&self, file: &str, message: &str) -> Error {
        match &self.folder {
            Some(folder) => Error::invalid(folder.join(file), message),
            None => Error::Request(format!("subject {}, {file}: {message}", self.id)),
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

impl FeatureSet {
    /// Features (not an RDM), of a shape that [`DatasetBuilder::features`](crate::DatasetBuilder::features) takes from
    /// their array.
    pub fn new(name: impl Into<String>, level: impl Into<Option<Level>>) -> Self {
        Self {
            name: name.into(),
            level: level.into(),
            description: String::new(),
            is_rdm: false,
            shape: [0, 0],
            details: serde_json::Map::new(),
        }
    }

    /// The file of its array.
    pub(crate) fn file(&self) -> &'static str {
        match self.is_rdm {
            true => "rdm.npy",
            false => "features.npy",
        }
    }
}

/// A dataset, checked: an opened directory, whose responses stay on disk, or arrays in memory. A cheap value: clones
/// and what is made from it ([`with_labels`](Self::with_labels), [`shuffled`](Self::shuffled)) share what they can.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The directory; `None` in memory.
    pub(crate) root: Option<PathBuf>,
    /// `dataset.json`.
    pub description: Description,
    /// `stimuli.tsv`.
    pub stimuli: Arc<[Stimulus]>,
    /// `labels.tsv` and `labels.npy`.
    pub labels: Arc<Labels>,
    /// One a folder of `subjects/`, by name.
    pub subjects: Vec<Subject>,
    /// One a folder of `features/`, by name.
    pub features: Vec<FeatureSet>,
    /// Arrays of the features that are not in files, by name.
    pub(crate) arrays: BTreeMap<String, ArcArray2<f32>>,
    /// Columns of its tables that nothing reads.
    pub(crate) unread: Unread,
}

impl Dataset {
    /// Whether there is a dataset directory at `root`.
    pub fn exists(root: &Path) -> bool {
        root.join(DESCRIPTION).is_file()
    }

    /// About the bytes of memory that its tables and labels take, without arrays of responses and features.
    pub fn table_bytes(&self) -> u64 {
        /// What an allocation takes beside what it holds.
        const BLOCK: usize = 16;
        let text = |text: &String| text.capacity() + BLOCK;
        let subjects = self.subjects.iter().map(|subject| {
            let names = subject.voxels.iter().map(|voxel| text(&voxel.roi));
            size_of_val(&*subject.trials) + size_of_val(&*subject.voxels) + names.sum::<usize>()
        });
        let stimuli = self.stimuli.iter().map(|stimulus| {
            let captions = stimulus
                .captions
                .iter()
                .map(|own| size_of_val(own) + text(own));
            let file = stimulus.file.as_ref().map_or(0, text);
            let names = text(&stimulus.id) + text(&stimulus.group);
            size_of_val(stimulus) + names + file + captions.sum::<usize>()
        });
        (subjects.chain(stimuli).sum::<usize>() + self.labels.matrix.len()) as u64
    }

    /// Opens a dataset directory and checks that its tables and arrays agree.
    ///
    /// Response values are checked when they are read, not here.
    ///
    /// # Errors
    /// Names the file, what was expected there and what was found.
    pub fn open(root: impl AsRef<Path>) -> Result<Self> {
        let root = root.as_ref().to_owned();
        let description_path = root.join(DESCRIPTION);
        if !Self::exists(&root) {
            let message = match root.join("run.json").is_file() {
                true => {
                    "expected a dataset directory, found a run directory; `mused evaluate`, `explain`, `report`, \
                     `predict`, `permute`, `compare` and `audit` take it"
                }
                false if !root.exists() => {
                    "there is nothing at this path; `mused import` or `mused simulate` makes a dataset"
                }
                false => {
                    "expected a mused dataset directory, found no dataset.json in it; make one with `mused import` or \
                     `mused simulate`"
                }
            };
            return Err(Error::invalid(&root, message));
        }
        let description: Description = read_json(&description_path)?;
        if description.format != FORMAT {
            return Err(Error::invalid(
                &description_path,
                format!("expected format {FORMAT:?}, found {:?}", description.format),
            ));
        }
        let mut unread = Unread::new();
        let stimuli = read_stimuli(&root, &mut unread)?;
        let labels = read_labels(&root, stimuli.len(), &mut unread)?;
        let index: HashMap<&str, usize> = stimuli
            .iter()
            .enumerate()
            .map(|(index, stimulus)| (stimulus.id.as_str(), index))
            .collect();
        let subjects_folder = root.join("subjects");
        let subjects = folders(&subjects_folder)?
            .into_iter()
            .map(|folder| read_subject(folder, &description, &index, &mut unread))
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
            root: Some(root),
            description,
            stimuli: stimuli.into(),
            labels: labels.into(),
            subjects,
            features,
            arrays: BTreeMap::new(),
            unread,
        })
    }

    /// The directory it was opened from; `None` in memory.
    pub fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// What messages call it: its directory, or in memory its name.
    pub fn place(&self) -> String {
        match &self.root {
            Some(root) => root.display().to_string(),
            None => format!("dataset {:?}", self.description.name),
        }
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
                    "unknown subject {id:?} in {}: expected {}",
                    self.description.name,
                    crate::one_of(id, &known)
                ))
            })
    }

    /// Names of the regions, in order of first appearance over all subjects.
    pub fn roi_names(&self) -> Vec<&str> {
        let mut seen = HashSet::new();
        let mut names = Vec::new();
        for voxel in self.subjects.iter().flat_map(|s| s.voxels.iter()) {
            if seen.insert(voxel.roi.as_str()) {
                names.push(voxel.roi.as_str());
            }
        }
        names
    }

    /// Whether responses are similarity profiles.
    pub fn profiles(&self) -> bool {
        self.description.response == Response::SimilarityProfiles
    }

    /// Whether a voxel means the same in every subject, as far as the dataset tells: similarity profiles, volumes, the
    /// same voxels at the same places in all, or regions of one value.
    pub fn shares_space(&self) -> bool {
        if self.profiles() || self.description.kind == Kind::Volume {
            return true;
        }
        let place = |voxel: &Voxel| (voxel.roi.clone(), voxel.coordinate);
        let places = |subject: &Subject| subject.voxels.iter().map(place).collect::<Vec<_>>();
        let Some(first) = self.subjects.first().map(places) else {
            return true;
        };
        if self.subjects.len() == 1 {
            return false;
        }
        let placed = first.iter().all(|(_, coordinate)| coordinate.is_some());
        let regions: HashSet<&str> = first.iter().map(|(roi, _)| roi.as_str()).collect();
        let single = regions.len() == first.len();
        (placed || single) && self.subjects.iter().all(|subject| places(subject) == first)
    }

    /// The array of a feature set: stimuli × features, or stimuli × stimuli for an RDM.
    ///
    /// # Errors
    /// When it cannot be read, holds NaN or infinite values, is no RDM where it should be one, or says the same of all
    /// stimuli.
    pub fn read_features(&self, features: &FeatureSet) -> Result<Array2<f32>> {
        let name = &features.name;
        let (place, array) = match (self.arrays.get(name), &self.root) {
            (Some(array), _) => (PathBuf::from(format!("features {name}")), array.to_owned()),
            (None, Some(root)) => {
                let path = root.join("features").join(name).join(features.file());
                let array = matrix(&path, npy::read_npy_f32(&path)?)?;
                (path, array)
            }
            (None, None) => {
                let message = format!("{} has no feature set {name:?}", self.place());
                return Err(Error::Request(message));
            }
        };
        match features.check_values(&array) {
            Ok(()) => Ok(array),
            Err(message) => Err(Error::invalid(place, message)),
        }
    }
}
