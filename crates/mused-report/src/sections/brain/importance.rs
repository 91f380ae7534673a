use std::collections::HashMap;

use mused_data::Subject;

use super::pictures::{Pictures, Values, Words};
use super::space::{Person, Space};
use crate::figure::Figure;
use crate::input::LabelDrop;
use crate::table::Table;

/// What each subject's voxels have, by the subject.
pub(super) type Importance = HashMap<String, Vec<f32>>;

/// Importance in the brain: of the mean where subjects share a space, of each subject and of each label when picked.
pub(super) fn figure(
    (id, title, seen): (&str, &str, &str),
    space: &Space<'_>,
    importance: &Importance,
    drops: &[LabelDrop],
    names: [&[String]; 2],
    best: &[usize],
) -> Option<Figure> {
    let [subjects, labels] = names;
    let mut of: HashMap<(&str, &str), f64> = HashMap::new();
    for drop in drops {
        of.insert((&drop.label, &drop.part), drop.drop());
    }
    let in_regions = |own: &Person<'_>| {
        let mut voxels = own.subject.voxels.iter();
        voxels.any(|voxel| drops.iter().any(|drop| drop.part == voxel.roi))
    };
    let shown = match space.people.first().is_some_and(in_regions) {
        true => best,
        false => &[],
    };
    let pictures = Pictures {
        space,
        subjects,
        labels,
        shown,
        what: ["drop of AP", "drop of AUC"],
        elsewhere: "images beside it and explain/occlusion_labels.tsv have it",
    };
    let words = Words {
        id,
        title,
        alt: format!("Importance of regions or cubes in the brain, {seen}"),
        caption: format!(
            "Each voxel has what the score drops without its region or cube: {seen}. Blue: the score needs it; orange: it \
             is better off without. The picked label and subject are shown."
        ),
        table: table(space, importance),
    };
    let mut values =
        |own: &Person<'_>, label: Option<usize>| match label.and_then(|n| labels.get(n)) {
            None => importance.get(&own.subject.id).cloned(),
            Some(label) => Some(of_label(own.subject, label, &of)),
        };
    pictures.figure(words, &mut values as &mut Values<'_>)
}

/// What a label loses in the region of each voxel.
fn of_label(subject: &Subject, label: &str, drops: &HashMap<(&str, &str), f64>) -> Vec<f32> {
    let of = |roi: &str| drops.get(&(label, roi)).copied().unwrap_or(0.0) as f32;
    subject.voxels.iter().map(|voxel| of(&voxel.roi)).collect()
}

/// What each region or cube of each subject's brain loses: a voxel each would be too much for a page, and stands in the images.
fn table(space: &Space<'_>, importance: &Importance) -> Table {
    let mut table = Table::new(&["subject", "roi", "voxels", "importance"]);
    for own in &space.people {
        let Some(values) = importance.get(&own.subject.id) else {
            continue;
        };
        let mut regions: Vec<(&str, usize, f64)> = Vec::new();
        for place in own.drawn() {
            let (Some(voxel), Some(value)) = (own.subject.voxels.get(place), values.get(place))
            else {
                continue;
            };
            match regions.iter_mut().find(|(roi, ..)| *roi == voxel.roi) {
                Some((_, count, sum)) => {
                    *count += 1;
                    *sum += f64::from(*value);
                }
                None => regions.push((&voxel.roi, 1, f64::from(*value))),
            }
        }
        for (roi, count, sum) in regions {
            let mean = sum / count as f64;
            table.push([
                (&own.subject.id).into(),
                roi.into(),
                count.into(),
                mean.into(),
            ]);
        }
    }
    table
}
