//! The stimuli of a manifest, and their pictures.

use std::path::Path;

use ndarray::Array3;

use super::manifest::{Manifest, StimuliTable};
use crate::import::data_folder::DataFolder;
use crate::{Error, Result, Stimulus};

/// The stimuli in the order of the RDMs' rows.
pub(super) fn list(table: &Manifest, manifest: &Path) -> Result<Vec<Stimulus>> {
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
pub(super) fn pictures(
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
