use std::path::{Path, PathBuf};

use mused_clip::{Images, RgbImage, Texts, settings_sha256, unit_rows, weights_sha256};
use mused_data::FeatureSet;
use mused_kernels::KernelBackend;
use ndarray::{Array2, Axis, concatenate};
use rayon::prelude::*;
use serde_json::{Value, json};

use super::made::SETTINGS;
use super::{Error, Result};
use crate::device::chosen;

/// Pictures, or texts, encoded at once.
const BATCH: usize = 16;

/// A CLIP model that pictures or texts are encoded with, in the space of a feature set that it made.
#[derive(Clone, Copy, Debug)]
pub struct PictureModel<'a> {
    /// Model directory in the layout of Hugging Face.
    pub folder: &'a Path,
    /// The feature set.
    pub features: &'a FeatureSet,
}

impl PictureModel<'_> {
    /// Refuses another model than that of the feature set.
    fn check(&self, images: bool) -> Result<()> {
        let Self { folder, features } = *self;
        let of_set = |key: &str| features.details.get(key);
        let Some(known) = of_set("weights_sha256") else {
            return Err(Error::Request(format!(
                "{} was not made by `mused features`: what its model makes of other pictures and words is not on record; \
                 give their vectors as .npy",
                features.name
            )));
        };
        let other = |what: &str| {
            Error::Request(format!(
                "{} is another model than the one that made {} ({what} differ): give that one",
                folder.display(),
                features.name
            ))
        };
        if *known != json!(weights_sha256(folder)?) {
            return Err(other("the weights"));
        }
        let settings = settings_sha256(folder, images, !images)?;
        let settings = json!(settings);
        let (Some(known), Some(found)) = (
            of_set(SETTINGS).and_then(Value::as_object),
            settings.as_object(),
        ) else {
            return Ok(());
        };
        let differs = |(file, digest): &(&String, &Value)| {
            known.get(*file).is_some_and(|known| known != *digest)
        };
        match found.iter().find(differs) {
            Some((file, _)) => Err(other(&format!("the settings in {file}"))),
            None => Ok(()),
        }
    }
}

/// Vectors of norm 1 of picture files, in the space shared with texts. `progress` is told how many of how many are done.
///
/// # Errors
/// Another model than that of the feature set; a file that is no picture.
pub fn encode_pictures(
    model: PictureModel<'_>,
    files: &[PathBuf],
    progress: impl FnMut(usize, usize),
) -> Result<Array2<f32>> {
    model.check(true)?;
    on_device!(chosen(), Engine => pictures_on::<Engine>(model.folder, files, progress))
}

fn pictures_on<B: KernelBackend>(
    folder: &Path,
    files: &[PathBuf],
    mut progress: impl FnMut(usize, usize),
) -> Result<Array2<f32>> {
    let encoder = Images::<B>::open(folder, &Default::default())?;
    let (mut rows, mut done) = (Vec::new(), 0);
    for files_of_batch in files.chunks(BATCH) {
        let images: Vec<RgbImage> = files_of_batch
            .par_iter()
            .map(RgbImage::open)
            .collect::<mused_clip::Result<_>>()?;
        rows.extend(encoder.features(&images, None, true)?.projected);
        done += files_of_batch.len();
        progress(done, files.len());
    }
    Ok(unit_rows(below(&rows)?))
}

/// Vectors of norm 1 of texts, in the space shared with pictures.
///
/// # Errors
/// Another model than that of the feature set, or one without a text encoder.
pub fn encode_texts(model: PictureModel<'_>, texts: &[String]) -> Result<Array2<f32>> {
    model.check(false)?;
    on_device!(chosen(), Engine => texts_on::<Engine>(model.folder, texts))
}

fn texts_on<B: KernelBackend>(folder: &Path, texts: &[String]) -> Result<Array2<f32>> {
    let encoder = Texts::<B>::open(folder, &Default::default())?;
    let rows: Vec<Array2<f32>> = texts
        .chunks(BATCH)
        .map(|texts| encoder.projected(texts))
        .collect::<mused_clip::Result<_>>()?;
    Ok(unit_rows(below(&rows)?))
}

fn below(rows: &[Array2<f32>]) -> Result<Array2<f32>> {
    let views: Vec<_> = rows.iter().map(|rows| rows.view()).collect();
    concatenate(Axis(0), &views).map_err(|_| Error::Request("nothing to encode".to_owned()))
}
