//! The file of an [`InputTransform`]: a safetensors file, since z-scores of whole brains and
//! principal components of regions are large.

use std::path::Path;

use mused_data::{Aligned, InputTransform, Layout, Projection, SubjectInputs, ZScore};
use mused_run::{Run, Task};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::checkpoint::Tensors;
use crate::parameters::NamedTensors;
use crate::{Error, Result, checkpoint};

#[derive(Serialize, Deserialize)]
struct Description {
    layout: Layout,
    references: Option<Vec<String>>,
    subjects: Vec<String>,
}

const MEAN: &str = "mean";
const SCALE: &str = "scale";
/// Of a subject's region: its mean, and components × voxels.
const CENTRE: &str = "centre";
const COMPONENTS: &str = "components";
/// Of maps that are kept: inputs of the samples they were fitted on.
const TRAINING: &str = "training";

fn of_region(kind: &str, id: &str, region: &str) -> String {
    format!("{kind}.{id}.{region}")
}

/// Writes a transform.
pub(crate) fn write(path: &Path, transform: &InputTransform) -> Result<()> {
    let (description, tensors) = tensors(transform);
    checkpoint::write(path, &description, &tensors)
}

/// Writes maps and the inputs of the samples that they were fitted on.
pub(crate) fn write_aligned(path: &Path, aligned: &Aligned) -> Result<()> {
    let training = aligned.training.as_standard_layout();
    let (description, mut tensors) = tensors(&aligned.transform);
    let (rows, columns) = training.dim();
    let values = training.as_slice().unwrap_or_default();
    tensors.insert(TRAINING.to_owned(), (vec![rows, columns], values));
    checkpoint::write(path, &description, &tensors)
}

/// Reads what [`write_aligned`] wrote.
pub(crate) fn read_aligned(path: &Path) -> Result<Aligned> {
    let (description, mut tensors) = checkpoint::read::<Description>(path)?;
    let training = tensors
        .remove(TRAINING)
        .and_then(|(shape, values)| match shape[..] {
            [rows, columns] => Array2::from_shape_vec((rows, columns), values).ok(),
            _ => None,
        });
    let missing = || Error::invalid(path, "expected the inputs of training samples, found none");
    Ok(Aligned {
        training: training.ok_or_else(missing)?,
        transform: transform(path, description, tensors)?,
    })
}

/// Borrowed: maps of many people, or of whole brains, are not in memory twice.
fn tensors(transform: &InputTransform) -> (Description, Tensors<&[f32]>) {
    let mut tensors = Tensors::new();
    for inputs in &transform.subjects {
        let SubjectInputs {
            id,
            z_score,
            projections,
        } = inputs;
        if let Some(ZScore { mean, scale }) = z_score {
            for (kind, values) in [(MEAN, mean), (SCALE, scale)] {
                let values = values.as_slice();
                tensors.insert(format!("{kind}.{id}"), (vec![values.len()], values));
            }
        }
        for own in projections.iter().flatten() {
            let voxels = own.mean.len();
            let centre = (vec![voxels], own.mean.as_slice());
            tensors.insert(of_region(CENTRE, id, &own.region), centre);
            let components = (vec![own.components(), voxels], own.weights.as_slice());
            tensors.insert(of_region(COMPONENTS, id, &own.region), components);
        }
    }
    let description = Description {
        layout: transform.layout.clone(),
        references: transform.references.clone(),
        subjects: transform.subjects.iter().map(|s| s.id.clone()).collect(),
    };
    (description, tensors)
}

/// Reads the transform of a task.
pub(crate) fn read(run: &Run, task: &Task) -> Result<InputTransform> {
    let path = &run.inputs_path(task);
    let (description, tensors) = checkpoint::read_of(run, path)?;
    transform(path, description, tensors)
}

/// The transform of stored tensors.
fn transform(
    path: &Path,
    description: Description,
    mut tensors: NamedTensors,
) -> Result<InputTransform> {
    let mut subject = |id: String| {
        let mut take = |kind: &str| Some(tensors.remove(&format!("{kind}.{id}"))?.1);
        let z_score = match (take(MEAN), take(SCALE)) {
            (Some(mean), Some(scale)) if mean.len() == scale.len() => Some(ZScore { mean, scale }),
            (None, None) => None,
            _ => {
                let message = format!("expected as many means as scales of subject {id}");
                return Err(Error::invalid(path, message));
            }
        };
        let mut projections = Vec::new();
        for slot in description.layout.slots() {
            let region = slot.name.clone();
            let mut take = |kind: &str| tensors.remove(&of_region(kind, &id, &region));
            match (take(CENTRE), take(COMPONENTS)) {
                (None, None) => {}
                (Some((_, mean)), Some((shape, weights)))
                    if shape.len() == 2 && shape[1] == mean.len() && !mean.is_empty() =>
                {
                    projections.push(Projection {
                        region,
                        mean,
                        weights,
                    });
                }
                _ => {
                    let message = format!(
                        "expected components of the voxels of region {region} of subject {id}"
                    );
                    return Err(Error::invalid(path, message));
                }
            }
        }
        Ok(SubjectInputs {
            id,
            z_score,
            // Every subject has voxels, so every subject of a projected run has some.
            projections: (!projections.is_empty()).then_some(projections),
        })
    };
    Ok(InputTransform {
        subjects: description
            .subjects
            .into_iter()
            .map(&mut subject)
            .collect::<Result<_>>()?,
        layout: description.layout,
        references: description.references,
    })
}
