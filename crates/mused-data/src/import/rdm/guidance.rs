//! Guidance of a manifest: RDMs that are averaged, or features.

use std::collections::BTreeSet;
use std::path::Path;

use ndarray::{Array2, Ix2};

use super::manifest::{GuidanceTable, Manifest};
use super::{matrix, read_rdm};
use crate::import::data_folder::DataFolder;
use crate::{Error, FeatureSet, Result};

/// All guidance, with its arrays: stimuli × stimuli, or stimuli × features.
pub(super) fn read(
    table: &Manifest,
    stimuli: usize,
    data: &mut DataFolder,
    manifest: &Path,
) -> Result<Vec<(FeatureSet, Array2<f32>)>> {
    let mut names = BTreeSet::new();
    let mut guidance = table.guidance.iter();
    if let Some(twice) = guidance.find(|guidance| !names.insert(guidance.name())) {
        let message = format!("guidance {:?} occurs twice", twice.name());
        return Err(Error::invalid(manifest, message));
    }
    let guidance = table.guidance.iter();
    guidance
        .map(|guidance| read_guidance(guidance, stimuli, data, manifest))
        .collect()
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
            (matrix::normalised_mean(&rdms).map_err(invalid)?, true)
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
    matrix::check_finite(&array).map_err(|message| Error::invalid(&path, message))?;
    let shape = array.shape().to_vec();
    match array.into_dimensionality::<Ix2>() {
        Ok(features) if features.nrows() == stimuli => Ok(features),
        _ => Err(Error::invalid(
            path,
            format!("expected {stimuli} stimuli × features, found shape {shape:?}"),
        )),
    }
}
