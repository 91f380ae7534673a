use mused_data::{Dataset, Grid, Subject};

use crate::figure::{By, Figure, Section, Variants};
use crate::figures::{Brain, mean_of};
use crate::input::{Explain, LabelDrop, Part};
use crate::table::Table;

/// Pictures of a page at most.
const PICTURES: usize = 400;

/// What importance is called below its colours.
const DROP: [&str; 2] = ["drop of AP", "drop of AUC"];

/// A subject with a value for each placed voxel.
struct Placed<'a> {
    subject: &'a Subject,
    grid: Option<Grid>,
    brain: Brain,
    /// Of placed voxels.
    importance: Vec<f32>,
}

/// Importance in the brain: of the mean where subjects share a space, of each subject and of each label when picked.
pub(super) fn figure(
    section: &mut Section,
    dataset: &Part<Dataset>,
    explain: &Explain,
    subjects: &[String],
    labels: &[String],
) -> Option<Figure> {
    let dataset = match dataset {
        Ok(dataset) => dataset,
        Err(why) => {
            section.missing(format!(
                "The dataset cannot be read, and with it the places of voxels: {why}"
            ));
            return None;
        }
    };
    let mut voxels = (dataset.subjects.iter()).flat_map(|subject| subject.voxels.iter());
    if voxels.all(|voxel| voxel.coordinate.is_none()) {
        section.missing(
            "The dataset has no positions of voxels: importance cannot be shown on a brain.",
        );
        return None;
    }
    let (mut placed, mut failures) = (Vec::new(), Vec::new());
    for subject in &dataset.subjects {
        match place(subject, explain) {
            Ok(found) => placed.extend(found),
            Err(why) => failures.push(why),
        }
    }
    let Some(first) = placed.first() else {
        let why = (failures.into_iter().next())
            .unwrap_or_else(|| "no subject has placed voxels".to_owned());
        section.missing(format!("Importance cannot be shown on a brain: {why}"));
        return None;
    };
    let one_space = placed.iter().all(|other| other.grid == first.grid)
        && (first.grid.is_some() || dataset.shares_space());
    let all = placed
        .iter()
        .map(|own| (&own.brain, own.importance.as_slice()));
    let mean = match one_space && placed.len() > 1 {
        true => {
            let (places, values) = mean_of(all);
            Brain::new(places, first.grid.clone()).map(|brain| (brain, values))
        }
        false => None,
    };
    let drops = explain.label_drops.as_deref().unwrap_or_default();
    Some(drawn(&placed, mean, drops, subjects, labels))
}

fn place<'a>(subject: &'a Subject, explain: &Explain) -> Part<Option<Placed<'a>>> {
    let importance = explain.importance(&subject.id, subject.voxels.len())?;
    let voxels = subject.voxels.iter().zip(importance);
    let (places, importance) = voxels
        .filter_map(|(voxel, value)| Some((voxel.coordinate?, value)))
        .unzip();
    // A mask that does not fit is told where maps are written; the shape is there without it.
    let grid = subject.grid().ok().flatten();
    Ok(Brain::new(places, grid.clone()).map(|brain| Placed {
        subject,
        grid,
        brain,
        importance,
    }))
}

/// What a label loses in the region of each placed voxel.
fn of_label(subject: &Subject, label: &str, drops: &[LabelDrop]) -> Vec<f32> {
    let placed = subject
        .voxels
        .iter()
        .filter(|voxel| voxel.coordinate.is_some());
    let value = |roi: &str| {
        let mut own = drops.iter();
        let own = own.find(|drop| drop.label == label && drop.part == roi);
        own.and_then(|drop| drop.roc_auc).unwrap_or(0.0) as f32
    };
    let mut known: std::collections::HashMap<&str, f32> = std::collections::HashMap::new();
    placed
        .map(|voxel| *(known.entry(voxel.roi.as_str())).or_insert_with(|| value(&voxel.roi)))
        .collect()
}

fn drawn(
    placed: &[Placed<'_>],
    mean: Option<(Brain, Vec<f32>)>,
    drops: &[LabelDrop],
    subjects: &[String],
    labels: &[String],
) -> Figure {
    let first = &placed[0];
    let apart = match placed.len() {
        1 => String::new(),
        _ => " (brains differ: no mean)".to_owned(),
    };
    let view = |own: &Placed<'_>, label: Option<&String>, more: &str| match label {
        None => {
            let name = format!("{}{more}", own.subject.id);
            own.brain.views(&name, &own.importance, DROP[0])
        }
        Some(label) => {
            let name = format!("{label}, {}{more}", own.subject.id);
            let values = of_label(own.subject, label, drops);
            own.brain.views(&name, &values, DROP[1])
        }
    };
    // Means over subjects come first, whatever label it is.
    let whole = |label: Option<&String>| match (&mean, label) {
        (Some((brain, values)), None) => brain.views("mean over subjects", values, DROP[0]),
        (Some((brain, _)), Some(label)) => {
            let each: Vec<Vec<f32>> = (placed.iter())
                .map(|own| of_label(own.subject, label, drops))
                .collect();
            let all = placed.iter().zip(&each);
            let (_, values) = mean_of(all.map(|(own, values)| (&own.brain, values.as_slice())));
            brain.views(&format!("{label}, all subjects"), &values, DROP[1])
        }
        (None, label) => view(first, label, &apart),
    };
    let row = |label: Option<&String>| {
        let single = subjects.iter().map(|id| {
            let own = placed.iter().find(|own| own.subject.id == *id);
            own.map_or(String::new(), |own| view(own, label, ""))
        });
        std::iter::once(whole(label))
            .chain(single)
            .collect::<Vec<_>>()
    };
    let in_regions = |drop: &LabelDrop| {
        let mut voxels = first.subject.voxels.iter();
        voxels.any(|voxel| voxel.roi == drop.part)
    };
    let each_label =
        drops.iter().any(in_regions) && (labels.len() + 1) * (subjects.len() + 1) <= PICTURES;
    let (by, markup) = match each_label {
        true => {
            let all = std::iter::once(None).chain(labels.iter().map(Some));
            (By::Both, all.flat_map(row).collect())
        }
        false => (By::Subject, row(None)),
    };
    let target = "brain-views".to_owned();
    let shown: &str = markup.first().map_or("", String::as_str);
    let mut svg = first.brain.picture();
    if let Some((brain, _)) = &mean {
        svg = brain.picture();
    }
    svg.target(&target, shown);
    let alt = "Importance of regions or cubes in the brain, seen through from the side, from behind and from above";
    let caption = "Each voxel has what the score drops without its region or cube: seen through from the right, from behind \
                   and from above, the largest value along each line. Blue: the score needs it; orange: it is better off \
                   without. The picked label and subject are shown.";
    Figure::new(
        "brain",
        "Importance in the brain",
        alt.to_owned(),
        svg,
        table(placed),
    )
    .caption(caption)
    .variants([Variants { target, by, markup }])
}

/// What each region or cube of each subject's brain loses: a voxel each would be too much for a page, and stands in the images.
fn table(placed: &[Placed<'_>]) -> Table {
    let mut table = Table::new(&["subject", "roi", "voxels", "importance"]);
    for own in placed {
        let voxels = own
            .subject
            .voxels
            .iter()
            .filter(|voxel| voxel.coordinate.is_some());
        let mut regions: Vec<(&str, usize, f64)> = Vec::new();
        for (voxel, value) in voxels.zip(&own.importance) {
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
