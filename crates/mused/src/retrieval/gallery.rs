//! Galleries: what responses are looked up among.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use mused_data::{Dataset, FeatureSet};
use mused_formats::npy;
use mused_formats::sha256::of_file;
use mused_train::refuse_beyond;
use ndarray::{Array2, Axis, Ix2, concatenate};

use super::{Error, Result};
use crate::features::{PictureModel, encode_pictures};

/// What a folder's pictures end in.
const PICTURES: [&str; 3] = ["png", "jpg", "jpeg"];

/// What is looked through for each response, beside the test stimuli of its fold, which are always there.
#[derive(Clone, Copy, Debug)]
pub enum GalleryChoice<'a> {
    /// Nothing else.
    Tested,
    /// All stimuli of the run's dataset, those that were trained on among them.
    Everything,
    /// The stimuli of another dataset, by its feature set of the same name.
    Dataset(&'a Path),
    /// The pictures of a folder, encoded with the CLIP model that made the run's features.
    Pictures {
        /// The folder.
        folder: &'a Path,
        /// The model's folder.
        model: &'a Path,
    },
    /// Rows of a `.npy` file in the space of the run's features.
    Features(&'a Path),
}

/// An item that is no stimulus of the run's dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) name: String,
    /// Its picture, where it is a file.
    pub(super) file: Option<PathBuf>,
}

/// Stimuli of the run's dataset, then others.
pub(super) struct Gallery {
    /// In words.
    pub(super) words: String,
    /// Whether stimuli that are not tested are in it.
    pub(super) everything: bool,
    pub(super) others: Vec<Item>,
    /// Stimuli and others × features.
    pub(super) features: Array2<f32>,
    pub(super) notes: Vec<String>,
}

impl Gallery {
    /// Reads or encodes what was chosen.
    ///
    /// # Errors
    /// Features of another model or width; pictures that cannot be read or are twice the same.
    pub(super) fn open(
        choice: GalleryChoice<'_>,
        dataset: &Dataset,
        set: &FeatureSet,
        progress: impl FnMut(usize, usize),
    ) -> Result<Self> {
        let own = dataset.read_features(set)?;
        let mut gallery = Self {
            words: "test stimuli of the fold".to_owned(),
            everything: false,
            others: Vec::new(),
            features: own,
            notes: Vec::new(),
        };
        let (others, features, words) = match choice {
            GalleryChoice::Tested => return Ok(gallery),
            GalleryChoice::Everything => {
                gallery.everything = true;
                gallery.words = "all stimuli of the dataset".to_owned();
                return Ok(gallery);
            }
            GalleryChoice::Dataset(path) => {
                let (others, features) =
                    of_dataset(path, set, gallery.features.ncols(), &mut gallery.notes)?;
                (
                    others,
                    features,
                    format!("the stimuli of {}", path.display()),
                )
            }
            GalleryChoice::Pictures { folder, model } => {
                let files = pictures(folder)?;
                let model = PictureModel {
                    folder: model,
                    features: set,
                };
                if set
                    .details
                    .get("guidance")
                    .is_some_and(|guide| guide != "image")
                {
                    gallery.notes.push(format!(
                        "{} is of pictures and captions, the gallery of pictures alone",
                        set.name
                    ));
                }
                let features = encode_pictures(model, &files, progress)?;
                let name = |file: &PathBuf| {
                    let name = file.file_name().unwrap_or(file.as_os_str());
                    Item {
                        name: name.to_string_lossy().into_owned(),
                        file: Some(file.clone()),
                    }
                };
                let others = files.iter().map(name).collect();
                (
                    others,
                    features,
                    format!("the pictures of {}", folder.display()),
                )
            }
            GalleryChoice::Features(path) => {
                let features = matrix(path)?;
                let others = (0..features.nrows())
                    .map(|row| Item {
                        name: format!("row {row}"),
                        file: None,
                    })
                    .collect();
                gallery.notes.push(format!(
                    "{}: whether its features are of the model that made {} is not on record",
                    path.display(),
                    set.name
                ));
                (others, features, format!("the rows of {}", path.display()))
            }
        };
        if features.ncols() != gallery.features.ncols() {
            return Err(Error::Request(format!(
                "{words}: expected features of {} values, as {} has, found {}: they are of another model",
                gallery.features.ncols(),
                set.name,
                features.ncols()
            )));
        }
        finite(&words, &features)?;
        gallery.features = concatenate(Axis(0), &[gallery.features.view(), features.view()])
            .map_err(|error| Error::Request(error.to_string()))?;
        gallery.words = format!("test stimuli of the fold, and {words}");
        gallery.others = others;
        Ok(gallery)
    }
}

/// A matrix of a `.npy` file, in whose rows something is looked up.
pub(super) fn matrix(path: &Path) -> Result<Array2<f32>> {
    let bytes = fs::metadata(path).map_or(0, |file| file.len());
    has_room(
        &format!("{}: looking rows up in it needs", path.display()),
        bytes,
    )?;
    let array = npy::read_npy_f32(path)?;
    let shape = array.shape().to_vec();
    array.into_dimensionality::<Ix2>().map_err(|_| {
        Error::Request(format!(
            "{}: expected rows × features, found an array of shape {shape:?}",
            path.display()
        ))
    })
}

/// Refuses to look through so many bytes of features where there is no memory for them, for what else is joined to them, and
/// for a copy brought to length 1.
fn has_room(what: &str, bytes: u64) -> Result<()> {
    let advice = |_| Ok("choose a smaller gallery".to_owned());
    Ok(refuse_beyond(what, bytes.saturating_mul(7) / 2, advice)?)
}

/// Refuses NaN and infinity.
pub(super) fn finite(words: &str, features: &Array2<f32>) -> Result<()> {
    // Where all are, no place is looked for.
    let bad = match features.iter().all(|value| value.is_finite()) {
        true => None,
        false => (features.indexed_iter()).find(|(_, value)| !value.is_finite()),
    };
    match bad {
        None => Ok(()),
        Some(((row, column), value)) => Err(Error::Request(format!(
            "{words}: expected finite features, found {value} in row {row}, column {column}"
        ))),
    }
}

fn of_dataset(
    path: &Path,
    set: &FeatureSet,
    width: usize,
    notes: &mut Vec<String>,
) -> Result<(Vec<Item>, Array2<f32>)> {
    let other = Dataset::open(path)?;
    let found = other.features.iter().find(|found| found.name == set.name);
    let Some(found) = found.filter(|found| !found.is_rdm) else {
        return Err(Error::Request(format!(
            "{} has no features {}: make them with the model that made those of the run (mused features)",
            path.display(),
            set.name
        )));
    };
    for key in [
        "weights_sha256",
        "settings_sha256",
        "guidance",
        "clip",
        "l2_normalised",
    ] {
        if found.details.get(key) != set.details.get(key) {
            return Err(Error::Request(format!(
                "{}: its {} are of another model than those of the run ({key} differs): make them with the same model and \
                 options",
                path.display(),
                set.name
            )));
        }
    }
    if !set.details.contains_key("weights_sha256") {
        notes.push(format!(
            "{}: whether its {} are of the model of the run's is not on record",
            path.display(),
            set.name
        ));
    }
    let values = other.stimuli.len().saturating_mul(width);
    has_room(
        &format!("looking through {} needs", path.display()),
        4 * values as u64,
    )?;
    let items = other.stimuli.iter().map(|stimulus| Item {
        name: stimulus.id.clone(),
        file: None,
    });
    Ok((items.collect(), other.read_features(found)?))
}

/// The pictures of a folder by name, none of them twice.
fn pictures(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io("cannot read", folder))? {
        let path = entry.map_err(Error::io("cannot read", folder))?.path();
        let ending = path
            .extension()
            .map(|end| end.to_string_lossy().to_lowercase());
        if ending.is_some_and(|end| PICTURES.contains(&end.as_str())) {
            files.push(path);
        }
    }
    files.sort_unstable();
    if files.is_empty() {
        return Err(Error::Request(format!(
            "{}: expected pictures (.png, .jpg), found none",
            folder.display()
        )));
    }
    let mut known: BTreeMap<[u8; 32], &PathBuf> = BTreeMap::new();
    for file in &files {
        if let Some(first) = known.insert(of_file(file)?, file) {
            return Err(Error::Request(format!(
                "{} and {} are the same picture: leave one out",
                first.display(),
                file.display()
            )));
        }
    }
    Ok(files)
}
