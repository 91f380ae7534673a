//! The file of an [`InputTransform`]: a safetensors file, since z-scores of whole brains are large.

use std::path::Path;

use mused_data::{InputTransform, Layout, SubjectInputs, ZScore};
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

/// Writes a transform.
pub(crate) fn write(path: &Path, transform: &InputTransform) -> Result<()> {
    let mut tensors = NamedTensors::new();
    for SubjectInputs { id, z_score } in &transform.subjects {
        if let Some(ZScore { mean, scale }) = z_score {
            for (kind, values) in [(MEAN, mean), (SCALE, scale)] {
                tensors.insert(format!("{kind}.{id}"), (vec![values.len()], values.clone()));
            }
        }
    }
    let description = Description {
        layout: transform.layout.clone(),
        references: transform.references.clone(),
        subjects: transform.subjects.iter().map(|s| s.id.clone()).collect(),
    };
    checkpoint::write(path, &description, &tensors)
}

/// Reads what [`write`] wrote.
pub(crate) fn read(path: &Path) -> Result<InputTransform> {
    let (description, mut tensors) = checkpoint::read::<Description>(path)?;
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
        Ok(SubjectInputs { id, z_score })
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
