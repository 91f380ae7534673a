use std::collections::BTreeMap;

use crate::figure::Figure;
use crate::number::{three, tick};
use crate::svg::{Anchor, Ink, Scale, Svg};
use crate::table::Table;

/// One metric of a run.
pub(crate) struct Score<'a> {
    pub(crate) id: &'a str,
    pub(crate) name: &'a str,
    pub(crate) mean: f64,
    pub(crate) interval: Option<(f64, f64)>,
    pub(crate) floor: Option<f64>,
    pub(crate) subjects: &'a BTreeMap<String, Option<f64>>,
}

/// Mean with interval, every subject and the floor on one axis.
pub(crate) fn score(score: &Score<'_>) -> Figure {
    let (width, height) = (440.0, 176.0);
    let values: Vec<f64> = score.subjects.values().flatten().copied().collect();
    let smallest = values
        .iter()
        .copied()
        .chain(score.floor)
        .fold(score.mean, f64::min);
    // AUC says nothing below one half unless it is reached.
    let low = if smallest >= 0.45 { 0.4 } else { 0.0 };
    let scale = Scale::new((low, 1.0), (20.0, width - 20.0));
    let mut svg = Svg::new(width, height);
    let (top, bottom) = (52.0, 132.0);
    let (ticks, step) = scale.ticks(6);
    for value in ticks {
        let x = scale.at(value);
        svg.line((x, top), (x, bottom), Ink::Grid, 1.0);
        svg.text(
            (x, bottom + 17.0),
            Anchor::Middle,
            Ink::Quiet,
            &tick(value, step),
        );
    }
    svg.line(
        (scale.range.0, bottom),
        (scale.range.1, bottom),
        Ink::Axis,
        1.0,
    );
    svg.text(
        (width / 2.0, height - 6.0),
        Anchor::Middle,
        Ink::Text,
        score.name,
    );
    if let Some(floor) = score.floor {
        let x = scale.at(floor);
        svg.dashed((x, top - 8.0), (x, bottom), Ink::Floor);
        let anchor = match x {
            x if x > width - 60.0 => Anchor::End,
            x if x < 60.0 => Anchor::Start,
            _ => Anchor::Middle,
        };
        svg.text((x, top - 28.0), anchor, Ink::Floor, "floor");
        svg.text((x, top - 14.0), anchor, Ink::Floor, &three(floor));
    }
    let places = strip(
        &values
            .iter()
            .map(|value| scale.at(*value))
            .collect::<Vec<f64>>(),
    );
    for ((name, value), lift) in score
        .subjects
        .iter()
        .filter_map(|(n, v)| Some((n, (*v)?)))
        .zip(places)
    {
        let title = format!("{name}: {}", three(value));
        svg.dot(
            (scale.at(value), bottom - 12.0 - lift),
            3.5,
            Ink::Hollow,
            &title,
        );
    }
    let (x, y) = (scale.at(score.mean), top + 18.0);
    let mut words = format!("mean over subjects {}", three(score.mean));
    if let Some((low, high)) = score.interval {
        svg.line((scale.at(low), y), (scale.at(high), y), Ink::Mark, 3.0);
        words = format!("{words}, 95 % interval {} to {}", three(low), three(high));
    }
    svg.dot((x, y), 6.0, Ink::Mark, &words);
    svg.sized_text(
        (x, y - 13.0),
        Anchor::Middle,
        Ink::Mark,
        15.0,
        &three(score.mean),
    );
    let mut table = Table::new(&["what", "value", "low", "high"]);
    let (low, high) = score.interval.unzip();
    table.push([
        "mean over subjects".into(),
        score.mean.into(),
        low.into(),
        high.into(),
    ]);
    table.push([
        "floor".into(),
        score.floor.into(),
        None::<f64>.into(),
        None::<f64>.into(),
    ]);
    for (name, value) in score.subjects {
        table.push([
            name.into(),
            (*value).into(),
            None::<f64>.into(),
            None::<f64>.into(),
        ]);
    }
    let floor = score
        .floor
        .map_or(String::new(), |floor| format!("; floor {}", three(floor)));
    let alt = format!("{}: {words}{floor}; {} subjects", score.name, values.len());
    Figure::new(score.id, score.name, alt, svg, table)
}

/// How far dots are lifted so that none hides another, in the order given.
fn strip(positions: &[f64]) -> Vec<f64> {
    let mut placed: Vec<(f64, f64)> = Vec::new();
    let mut lifts = Vec::with_capacity(positions.len());
    for &x in positions {
        let free = |lift: f64| {
            placed
                .iter()
                .all(|(other, height)| (other - x).abs() >= 7.0 || (height - lift).abs() >= 7.0)
        };
        let lift = (0..6)
            .map(|level| f64::from(level) * 7.0)
            .find(|lift| free(*lift))
            .unwrap_or(0.0);
        placed.push((x, lift));
        lifts.push(lift);
    }
    lifts
}
