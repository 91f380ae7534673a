use std::collections::HashMap;

use super::pictures::{Pictures, Values, Words};
use super::space::{Person, Space};
use crate::figure::Figure;
use crate::input::Patterns;
use crate::table::Table;

/// Labels in the table.
const LISTED: usize = 30;

/// What responses do where a label is decoded: of the mean where subjects share a space, of each subject and label.
pub(super) fn figure(
    (id, title, seen): (&str, &str, &str),
    space: &Space<'_>,
    patterns: &HashMap<String, Patterns>,
    names: [&[String]; 2],
    best: &[usize],
) -> Option<Figure> {
    let [subjects, labels] = names;
    let pictures = Pictures {
        space,
        subjects,
        labels,
        shown: best,
        what: ["size over labels", "pattern"],
        elsewhere: "explain/patterns has it, and says in labels.tsv where",
    };
    let words = Words {
        id,
        title,
        alt: format!(
            "Patterns of linear models of {} labels in the brain, {seen}",
            labels.len()
        ),
        caption: format!(
            "What a response does where a linear model decodes the label one standard deviation more (Haufe et al. 2014): rises \
             (blue) or falls (orange); {seen}. All labels: their root mean square. Drawn are means over subjects, the labels of \
             highest AUC first, then subjects, as far as {} MB reach; <code>explain/patterns</code> has all.",
            super::pictures::MEGABYTES
        ),
        table: table(space, patterns, labels, best),
    };
    let mut values = |own: &Person<'_>, label: Option<usize>| {
        let patterns = patterns.get(&own.subject.id)?;
        match label.and_then(|label| labels.get(label)) {
            None => patterns.size().ok(),
            Some(label) => patterns.of(label).ok(),
        }
    };
    pictures.figure(words, &mut values as &mut Values<'_>)
}

/// Where the largest pattern of each subject and label is.
fn table(
    space: &Space<'_>,
    patterns: &HashMap<String, Patterns>,
    labels: &[String],
    best: &[usize],
) -> Table {
    let mut table = Table::new(&["label", "subject", "roi", "place", "pattern"]);
    let listed = best
        .iter()
        .take(LISTED)
        .filter_map(|label| labels.get(*label));
    for label in listed {
        for own in &space.people {
            let found = patterns
                .get(&own.subject.id)
                .and_then(|own| own.of(label).ok());
            let Some(values) = found else {
                continue;
            };
            let drawn = own.voxels.iter().enumerate();
            let drawn = drawn
                .filter_map(|(place, voxel)| Some((place, (*voxel)?, *values.get((*voxel)?)?)));
            let known = drawn.filter(|(.., value)| value.is_finite());
            let Some((place, voxel, value)) = known.max_by(|a, b| a.2.abs().total_cmp(&b.2.abs()))
            else {
                continue;
            };
            let roi = own
                .subject
                .voxels
                .get(voxel)
                .map_or("", |voxel| voxel.roi.as_str());
            table.push([
                label.into(),
                (&own.subject.id).into(),
                roi.into(),
                (&own.views.place(place)).into(),
                f64::from(value).into(),
            ]);
        }
    }
    table
}
