use mused_data::{Dataset, Subject};

use crate::escape::slug;
use crate::figure::{Figure, Section};
use crate::figures::{Volume, slices};
use crate::input::{Explain, Part};

/// Subjects whose slices are shown.
const SUBJECTS: usize = 4;

/// Slices of the first subjects with importance, or why there are none.
pub(super) fn add(section: &mut Section, dataset: &Part<Dataset>, explain: &Explain) {
    let dataset = match dataset {
        Ok(dataset) => dataset,
        Err(why) => {
            section.missing(format!(
                "The dataset cannot be read, and with it the places of voxels: {why}"
            ));
            return;
        }
    };
    let mut voxels = dataset
        .subjects
        .iter()
        .flat_map(|subject| subject.voxels.iter());
    if voxels.all(|voxel| voxel.coordinate.is_none()) {
        section.missing(
            "The dataset has no positions of voxels: importance cannot be shown on a brain.",
        );
        return;
    }
    let (mut failures, mut shown) = (Vec::new(), 0);
    for subject in &dataset.subjects {
        if shown == SUBJECTS {
            break;
        }
        match explain.importance(&subject.id, subject.voxels.len()) {
            Ok(importance) => {
                if let Some(figure) = figure(subject, importance) {
                    section.figures([figure]);
                    shown += 1;
                }
            }
            Err(why) => failures.push(why),
        }
    }
    if shown == 0 {
        let why = (failures.into_iter().next())
            .unwrap_or_else(|| "no subject has placed voxels".to_owned());
        section.missing(format!("Importance cannot be shown on a brain: {why}"));
    }
}

fn figure(subject: &Subject, importance: Vec<f32>) -> Option<Figure> {
    let voxels = subject.voxels.iter().zip(importance);
    let placed = voxels.filter_map(|(voxel, value)| Some((voxel.coordinate?, value)));
    let (places, values) = placed.unzip();
    let title = format!("Importance in {}", subject.id);
    let id = format!("slices-{}", slug(&subject.id));
    Some(slices(&id, &title, &Volume { places, values })?.caption(
        "Each voxel has the drop of AP without its region or cube: axial slices, then cuts through the \
         most important voxel. Blue: the score needs it; orange: it is better off without. Indices are \
         voxels of the dataset.",
    ))
}
