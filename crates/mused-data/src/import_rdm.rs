//! Imports published RDMs as similarity profiles: `mused import rdm MANIFEST.toml OUT`.
//!
//! Where a study publishes no voxel responses but one RDM for each subject and region, row i of
//! 1 - RDM says how similar the response to stimulus i was to the response to each reference
//! stimulus. That is a response vector, in a space that all subjects share.
//!
//! Profiles are stored whole, with the column of the stimulus itself and of every other
//! stimulus: which columns a model may see depends on the split, so
//! [`InputTransform`](crate::InputTransform) decides it on loading.
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

mod labels;
pub mod manifest;
mod rdm;
mod responses;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use mused_formats::npy::Dtype;
use ndarray::{Array2, Array3, Ix2};

use crate::data_folder::DataFolder;
use crate::{
    DatasetWriter, Description, Error, FeatureSet, Kind, Response, Result, Source, Stimulus, Trial,
    Voxel,
};
pub use manifest::Manifest;
use manifest::{ArrayFile, GuidanceTable, StimuliTable};
use responses::{Responses, Sessions};

/// What an import found, for its user to compare with the paper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Number of stimuli.
    pub stimuli: usize,
    /// Number of labels.
    pub labels: usize,
    /// Subjects, sorted.
    pub subjects: Vec<String>,
    /// Regions any subject has, sorted.
    pub rois: Vec<String>,
    /// Subjects and regions they lack though others have them.
    pub missing: Vec<(String, String)>,
}

/// Makes a dataset directory at `out` of the files that `manifest` describes. They are looked for
/// in `data`, or else beside the manifest. `progress` is told how many of how many subjects are
/// done.
///
/// # Errors
/// Names the file or the field of the manifest, what was expected and what was found. Nothing is
/// left at `out` then.
pub fn import(
    manifest: &Path,
    data: Option<&Path>,
    out: &Path,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Imported> {
    let table = Manifest::read(manifest)?;
    let beside = manifest
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let mut data = DataFolder::new(data.or(beside).unwrap_or(Path::new(".")))?;
    let mut stimuli = stimuli(&table, manifest)?;
    let pictures = pictures(&table.stimuli, &mut stimuli, &mut data)?;
    let labels = labels::read(&table.labels, stimuli.len(), &mut data, manifest)?;
    let responses = responses::list(&table.responses, &data, manifest)?;
    let mut names = BTreeSet::new();
    if let Some(twice) = table
        .guidance
        .iter()
        .find(|guidance| !names.insert(guidance.name()))
    {
        let message = format!("guidance {:?} occurs twice", twice.name());
        return Err(Error::invalid(manifest, message));
    }
    let guidance = table
        .guidance
        .iter()
        .map(|guidance| read_guidance(guidance, stimuli.len(), &mut data, manifest))
        .collect::<Result<Vec<_>>>()?;

    let mut description =
        Description::new(table.name.as_str(), Kind::Roi, Response::SimilarityProfiles);
    description.space.clone_from(&table.space);
    description.licence = Some(table.licence.clone());
    description.citation = Some(table.citation.clone());
    description.sources = sources(&table, &responses, &data)?;
    let imported = summary(&responses, stimuli.len(), labels.names.len());

    let mut writer = DatasetWriter::create(out, description, stimuli, &labels)?;
    for (name, bytes) in &pictures {
        writer.file(name, bytes)?;
    }
    for (features, array) in &guidance {
        writer.features(features, array.view())?;
    }
    for (done, (subject, sessions)) in responses.iter().enumerate() {
        progress(done, responses.len());
        write_subject(subject, sessions, imported.stimuli, &mut data, &mut writer)?;
    }
    progress(responses.len(), responses.len());
    writer.finish()?;
    Ok(imported)
}

fn stimuli(table: &Manifest, manifest: &Path) -> Result<Vec<Stimulus>> {
    let invalid = |message: String| Error::invalid(manifest, message);
    let ids = table.stimuli.ids().map_err(invalid)?;
    let mut stimuli: Vec<Stimulus> = ids.into_iter().map(Stimulus::new).collect();
    if let Some(groups) = &table.stimuli.groups {
        if groups.len() != stimuli.len() {
            return Err(invalid(format!(
                "stimuli.groups: expected one for each of the {} stimuli, found {}",
                stimuli.len(),
                groups.len()
            )));
        }
        for (stimulus, group) in stimuli.iter_mut().zip(groups) {
            stimulus.group.clone_from(group);
        }
    }
    Ok(stimuli)
}

/// The stimuli's pictures as PNG files, which become the `file` of each.
fn pictures(
    table: &StimuliTable,
    stimuli: &mut [Stimulus],
    data: &mut DataFolder,
) -> Result<Vec<(String, Vec<u8>)>> {
    let Some(images) = &table.images else {
        return Ok(Vec::new());
    };
    let mut pictures = Vec::with_capacity(stimuli.len());
    for (row, stimulus) in stimuli.iter_mut().enumerate() {
        let select = images.select.as_ref();
        let select = select.map(|select| select.replace("{row}", &row.to_string()));
        let array = data.array(&images.path, select.as_deref())?;
        let path = data.path(&images.path)?;
        let shape = array.shape().to_vec();
        let array: Option<Array3<f64>> = array.into_dimensionality().ok();
        let array = array.filter(|array| array.dim().2 == 3 && !array.is_empty());
        let array = array.ok_or_else(|| {
            let message = format!(
                "picture of {}: expected height × width × 3, found {shape:?}",
                stimulus.id
            );
            Error::invalid(&path, message)
        })?;
        let name = format!("pictures/{:04}.png", row + 1);
        let bytes = png(&array).map_err(|error| Error::invalid(&path, error.to_string()))?;
        stimulus.file = Some(name.clone());
        pictures.push((name, bytes));
    }
    Ok(pictures)
}

fn png(picture: &Array3<f64>) -> std::result::Result<Vec<u8>, png::EncodingError> {
    let (height, width, _) = picture.dim();
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgb);
    let pixels: Vec<u8> = picture
        .iter()
        .map(|value| value.clamp(0.0, 255.0) as u8)
        .collect();
    encoder.write_header()?.write_image_data(&pixels)?;
    Ok(bytes)
}

fn read_rdm(file: &ArrayFile, stimuli: usize, data: &mut DataFolder) -> Result<Array2<f64>> {
    let array = data.array(&file.path, file.select.as_deref())?;
    rdm::square(array, stimuli).map_err(|message| {
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

fn read_guidance(
    table: &GuidanceTable,
    stimuli: usize,
    data: &mut DataFolder,
    manifest: &Path,
) -> Result<(FeatureSet, Array2<f32>)> {
    let name = table.name();
    let invalid =
        |message: String| Error::invalid(manifest, format!("guidance {name:?}: {message}"));
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\']) {
        return Err(invalid(
            "expected a level, or a name usable as a folder's".to_owned(),
        ));
    }
    let (array, is_rdm) = match (&table.rdms, &table.features) {
        (Some(files), None) if !files.is_empty() && table.select.is_none() => {
            let rdms = files
                .iter()
                .map(|file| read_rdm(file, stimuli, data))
                .collect::<Result<Vec<_>>>()?;
            (rdm::normalised_mean(&rdms).map_err(invalid)?, true)
        }
        (None, Some(file)) => (
            read_features(file, table.select.as_deref(), stimuli, data)?,
            false,
        ),
        _ => {
            return Err(invalid(
                "expected either rdms = [{ path, select }, …] or features, perhaps with select"
                    .to_owned(),
            ));
        }
    };
    let features = FeatureSet {
        name: name.to_owned(),
        level: table.level,
        description: table.description.clone(),
        is_rdm,
        shape: [array.nrows(), array.ncols()],
        details: serde_json::Map::new(),
    };
    Ok((features, array.mapv(|value| value as f32)))
}

fn read_features(
    file: &str,
    select: Option<&str>,
    stimuli: usize,
    data: &mut DataFolder,
) -> Result<Array2<f64>> {
    let array = data.array(file, select)?;
    let path = data.path(file)?;
    rdm::check_finite(&array).map_err(|message| Error::invalid(&path, message))?;
    let shape = array.shape().to_vec();
    match array.into_dimensionality::<Ix2>() {
        Ok(features) if features.nrows() == stimuli => Ok(features),
        _ => Err(Error::invalid(
            path,
            format!("expected {stimuli} stimuli × features, found shape {shape:?}"),
        )),
    }
}

/// Every file that is read, once, by path.
fn sources(table: &Manifest, responses: &Responses, data: &DataFolder) -> Result<Vec<Source>> {
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

fn summary(responses: &Responses, stimuli: usize, labels: usize) -> Imported {
    // All sessions of a subject have the same regions.
    let of = |sessions: &Sessions| -> BTreeSet<String> {
        sessions
            .values()
            .flat_map(BTreeMap::keys)
            .cloned()
            .collect()
    };
    let rois: BTreeSet<String> = responses.values().flat_map(of).collect();
    let missing = responses
        .iter()
        .flat_map(|(subject, sessions)| {
            let lacking = rois.difference(&of(sessions)).cloned().collect::<Vec<_>>();
            lacking.into_iter().map(|roi| (subject.clone(), roi))
        })
        .collect();
    let subjects = responses.keys().cloned().collect();
    Imported {
        stimuli,
        labels,
        subjects,
        rois: rois.into_iter().collect(),
        missing,
    }
}

/// Writes a subject: a trial for every stimulus and session, columns region by region, in
/// each a column for every reference stimulus.
fn write_subject(
    subject: &str,
    sessions: &Sessions,
    stimuli: usize,
    data: &mut DataFolder,
    writer: &mut DatasetWriter,
) -> Result<()> {
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
    let voxels: Vec<Voxel> = sessions
        .values()
        .take(1)
        .flat_map(BTreeMap::keys)
        .flat_map(|roi| {
            (0..stimuli).map(|reference| Voxel {
                roi: roi.clone(),
                coordinate: None,
                reference: Some(reference),
            })
        })
        .collect();
    let mut rows = writer.subject(subject, &trials, &voxels, Dtype::F32)?;
    let mut row = Vec::with_capacity(voxels.len());
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
            rows.write_response(&row)?;
        }
    }
    rows.finish()
}
