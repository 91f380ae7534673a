//! A value a place for the mean and every subject and label, as far as a page has room.

use crate::figure::{By, Figure, Variants};
use crate::svg::{Anchor, Ink, Svg};
use crate::table::Table;

use super::space::{Person, Space};

/// Room of a figure's pictures.
pub(super) const MEGABYTES: usize = 2;

/// What is drawn of a label, or of all.
pub(super) struct Pictures<'s, 'a> {
    pub(super) space: &'s Space<'a>,
    /// All that can be picked.
    pub(super) subjects: &'s [String],
    pub(super) labels: &'s [String],
    /// Labels that are drawn, the most telling first.
    pub(super) shown: &'s [usize],
    /// What a value is called: of all labels together, and of one.
    pub(super) what: [&'static str; 2],
    /// Where what is not drawn can be found.
    pub(super) elsewhere: &'static str,
}

/// What a figure says beside its pictures.
pub(super) struct Words<'w> {
    pub(super) id: &'w str,
    pub(super) title: &'w str,
    pub(super) alt: String,
    pub(super) caption: String,
    pub(super) table: Table,
}

/// Gives a value for each voxel of a person, of a label or of all.
pub(super) type Values<'v> = dyn FnMut(&Person<'_>, Option<usize>) -> Option<Vec<f32>> + 'v;

impl Pictures<'_, '_> {
    /// Means over subjects first, then each subject, of each the most telling labels first, until the room is full.
    pub(super) fn figure(&self, words: Words<'_>, values: &mut Values<'_>) -> Option<Figure> {
        let views = self.space.whole.as_ref().or(self
            .space
            .people
            .first()
            .map(|own| &own.views))?;
        let width = self.subjects.len() + 1;
        let (by, rows) = match self.shown.is_empty() {
            true => (By::Subject, 1),
            false => (By::Both, self.labels.len() + 1),
        };
        let mut markup = vec![String::new(); rows * width];
        let mut room = MEGABYTES << 20;
        let each = std::iter::once(None).chain(self.shown.iter().copied().map(Some));
        let each: Vec<Option<usize>> = each.collect();
        let cells = (0..width).flat_map(|column| each.iter().map(move |label| (column, *label)));
        for (column, label) in cells {
            let drawn = self.drawn(column, label, values);
            let drawn = drawn.unwrap_or_else(|| words_alone(&["Nothing is known here."]));
            let row = label.map_or(0, |label| label + 1);
            let Some(slot) = markup.get_mut(row * width + column) else {
                continue;
            };
            if drawn.len() > room {
                break;
            }
            room -= drawn.len();
            *slot = drawn;
        }
        let target = format!("{}-views", words.id);
        let svg: Svg = views.picture(&target, markup.first().map_or("", String::as_str));
        let figure = Figure::new(words.id, words.title, words.alt, svg, words.table);
        Some(figure.caption(words.caption).variants([Variants {
            target,
            by,
            markup,
            rest: words_alone(&["Not drawn on this page:", self.elsewhere]),
        }]))
    }

    /// The mean over subjects (0) or one of them; of subjects without a common space the first.
    fn drawn(
        &self,
        column: usize,
        label: Option<usize>,
        values: &mut Values<'_>,
    ) -> Option<String> {
        let what = self.what[usize::from(label.is_some())];
        let of_label = match label.and_then(|label| self.labels.get(label)) {
            Some(label) => format!("{label}, "),
            None => String::new(),
        };
        let people = &self.space.people;
        if let (0, Some(views)) = (column, &self.space.whole) {
            let all = people
                .iter()
                .filter_map(|own| Some(own.at(&values(own, label)?)));
            let name = format!("{of_label}mean over subjects");
            return Some(views.drawn(&name, &mean(all), what));
        }
        let (own, more) = match column.checked_sub(1) {
            Some(subject) => {
                let id = self.subjects.get(subject);
                (people.iter().find(|own| Some(&own.subject.id) == id), "")
            }
            None if people.len() > 1 => (people.first(), " (brains differ: no mean)"),
            None => (people.first(), ""),
        };
        let own = own?;
        let name = format!("{of_label}{}{more}", own.subject.id);
        Some(own.views.drawn(&name, &own.at(&values(own, label)?), what))
    }
}

/// What stands in the place of a picture that is not on the page.
fn words_alone(lines: &[&str]) -> String {
    let mut svg = Svg::new(0.0, 0.0);
    for (line, y) in lines.iter().zip([14.0, 32.0]) {
        svg.text((8.0, y), Anchor::Start, Ink::Quiet, line);
    }
    svg.body
}

/// Of each place, over those who have a value there.
fn mean(all: impl Iterator<Item = Vec<f32>>) -> Vec<f32> {
    let mut sums: Vec<(f64, f64)> = Vec::new();
    for values in all {
        sums.resize(values.len(), (0.0, 0.0));
        for ((sum, count), value) in sums.iter_mut().zip(values) {
            if value.is_finite() {
                *sum += f64::from(value);
                *count += 1.0;
            }
        }
    }
    let each = sums.into_iter();
    each.map(|(sum, count)| (sum / count) as f32).collect()
}
