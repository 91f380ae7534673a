//! The file of an [`InputTransform`]: a safetensors file, since z-scores of whole brains and
//! principal components of regions are large.

use std::path::Path;

use mused_data::{InputTransform, Layout, Projection, SubjectInputs, ZScore};
use mused_run::{Run, Task};
use serde::{Deserialize, Serialize};

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

fn of_region(kind: &str, id: &str, region: &str) -> String {
    format!("{kind}.{id}.{region}")
}

/// Writes a transform.
pub(crate) fn write(path: &Path, transform: &InputTransform) -> Result<()> {
    let mut tensors = NamedTensors::new();
    for inputs in &transform.subjects {
        let SubjectInputs {
            id,
            z_score,
            projections,
        } = inputs;
        if let Some(ZScore { mean, scale }) = z_score {
            for (kind, values) in [(MEAN, mean), (SCALE, scale)] {
                tensors.insert(format!("{kind}.{id}"), (vec![values.len()], values.clone()));
            }
        }
        for own in projections.iter().flatten() {
            let voxels = own.mean.len();
            let centre = (vec![voxels], own.mean.clone());
            tensors.insert(of_region(CENTRE, id, &own.region), centre);
            let components = (vec![own.components(), voxels], own.weights.clone());
            tensors.insert(of_region(COMPONENTS, id, &own.region), components);
        }
    }
    let description = Description {
        layout: transform.layout.clone(),
        references: transform.references.clone(),
        subjects: transform.subjects.iter().map(|s| s.id.clone()).collect(),
    };
    checkpoint::write(path, &description, &tensors)
}

/// Reads the transform of a task.
pub(crate) fn read(run: &Run, task: &Task) -> Result<InputTransform> {
    let path = &run.inputs_path(task);
    let (description, mut tensors) = checkpoint::read_of::<Description>(run, path)?;
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
