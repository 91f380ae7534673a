use std::collections::HashMap;

use ndarray::Array2;

use crate::colour::diverging;
use crate::figure::Figure;
use crate::figures::{Cells, Colours};
use crate::input::LabelDrop;
use crate::number::difference;
use crate::table::Table;

/// Labels and parts in the picture; the table has all.
const SHOWN: usize = 30;

/// Which parts carry which label. `None` where nothing is known of labels.
pub(super) fn figure(drops: &[LabelDrop]) -> Option<Figure> {
    let value: HashMap<(&str, &str), &LabelDrop> = (drops.iter())
        .filter(|drop| drop.roc_auc.is_some())
        .map(|drop| ((drop.label.as_str(), drop.part.as_str()), drop))
        .collect();
    let labels = largest(value.values().map(|drop| (drop.label.as_str(), *drop)));
    let parts = largest(value.values().map(|drop| (drop.part.as_str(), *drop)));
    let strongest = value
        .values()
        .max_by(|a, b| a.drop().total_cmp(&b.drop()))?;
    let most = value
        .values()
        .map(|drop| drop.drop().abs())
        .fold(1e-9, f64::max);
    let of = |label: &str, part: &str| {
        value
            .get(&(label, part))
            .map_or(f64::NAN, |drop| drop.drop())
    };
    let (low, high) = (difference(-most), difference(most));
    let share = |value: f64| (value / most + 1.0) / 2.0;
    let title = |label: &str, part: &str, drop: f64| {
        let ends = value.get(&(label, part)).and_then(|drop| drop.interval);
        let ends = ends.map_or(String::new(), |(low, high)| {
            format!(" ({} to {})", difference(low), difference(high))
        });
        format!("{label} without {part}: {}{ends}", difference(drop))
    };
    let svg = Cells {
        values: Array2::from_shape_fn((labels.len(), parts.len()), |(row, column)| {
            of(labels[row], parts[column])
        }),
        rows: labels.clone(),
        columns: parts.clone(),
        colours: Colours {
            share: &share,
            colour: |share| diverging(2.0 * share - 1.0),
            words: [&low, "drop of AUC", &high],
        },
        title: &title,
        kinds: ["labels", "parts"],
    }
    .draw();
    let alt = format!(
        "What the AUC of {} labels loses without each of {} parts; most: {} without {}, by {}",
        labels.len(),
        parts.len(),
        strongest.label,
        strongest.part,
        difference(strongest.drop())
    );
    let figure = Figure::new(
        "label-region",
        "Which part carries which label",
        alt,
        svg,
        table(drops),
    );
    Some(figure.caption(
        "What the AUC of each label loses without each part, mean over subjects; those that lose most first. Blue: the label \
         needs it. <code>mused explain RUN --label NAME</code> lists one with intervals.",
    ))
}

/// Names by their largest drop, the first of them.
fn largest<'d>(drops: impl Iterator<Item = (&'d str, &'d LabelDrop)>) -> Vec<&'d str> {
    let mut most: HashMap<&str, f64> = HashMap::new();
    for (name, drop) in drops {
        let found = most.entry(name).or_insert(f64::NEG_INFINITY);
        *found = found.max(drop.drop());
    }
    let mut names: Vec<(&str, f64)> = most.into_iter().collect();
    names.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
    names
        .into_iter()
        .take(SHOWN)
        .map(|(name, _)| name)
        .collect()
}

fn table(drops: &[LabelDrop]) -> Table {
    Table::of(
        drops,
        &[
            ("label", |drop| (&drop.label).into()),
            ("part", |drop| (&drop.part).into()),
            ("roc_auc", |drop| drop.roc_auc.into()),
            ("auc_low", |drop| drop.interval.unzip().0.into()),
            ("auc_high", |drop| drop.interval.unzip().1.into()),
        ],
    )
}
