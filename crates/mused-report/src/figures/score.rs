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

const SIZE: (f64, f64) = (390.0, 176.0);
const TOP: f64 = 52.0;
const BOTTOM: f64 = 132.0;

/// Mean with interval, every subject and the floor on one axis.
pub(crate) fn score(score: &Score<'_>) -> Figure {
    let scale = scale(score);
    let mut svg = axis(&scale, score.name);
    if let Some(floor) = score.floor {
        add_floor(&mut svg, scale.at(floor), floor);
    }
    add_subjects(&mut svg, &scale, score);
    add_mean(&mut svg, &scale, score);
    let floor = score
        .floor
        .map_or(String::new(), |floor| format!("; chance {}", three(floor)));
    let alt = format!(
        "{}: {}{floor}; {} subjects",
        score.name,
        words(score),
        score.subjects.values().flatten().count()
    );
    Figure::new(score.id, score.name, alt, svg, table(score))
}

fn scale(score: &Score<'_>) -> Scale {
    let others = score.subjects.values().flatten().copied();
    let smallest = others.chain(score.floor).fold(score.mean, f64::min);
    // AUC says nothing below one half unless it is reached.
    let low = if smallest >= 0.45 { 0.4 } else { 0.0 };
    Scale::new((low, 1.0), (20.0, SIZE.0 - 20.0))
}

fn axis(scale: &Scale, name: &str) -> Svg {
    let (width, height) = SIZE;
    let mut svg = Svg::new(width, height);
    let (ticks, step) = scale.ticks(6);
    for value in ticks {
        let x = scale.at(value);
        svg.line((x, TOP), (x, BOTTOM), Ink::Grid, 1.0);
        let at = (x, BOTTOM + 17.0);
        svg.text(at, Anchor::Middle, Ink::Quiet, &tick(value, step));
    }
    let (start, end) = scale.range;
    svg.line((start, BOTTOM), (end, BOTTOM), Ink::Axis, 1.0);
    let at = (width / 2.0, height - 6.0);
    svg.text(at, Anchor::Middle, Ink::Text, name);
    svg
}

fn add_floor(svg: &mut Svg, x: f64, floor: f64) {
    svg.dashed((x, TOP - 8.0), (x, BOTTOM), Ink::Floor);
    let anchor = match x {
        x if x > SIZE.0 - 60.0 => Anchor::End,
        x if x < 60.0 => Anchor::Start,
        _ => Anchor::Middle,
    };
    svg.text((x, TOP - 28.0), anchor, Ink::Floor, "chance");
    svg.text((x, TOP - 14.0), anchor, Ink::Floor, &three(floor));
}

fn add_subjects(svg: &mut Svg, scale: &Scale, score: &Score<'_>) {
    let subjects = score.subjects.iter();
    let defined: Vec<(&String, f64)> = subjects.filter_map(|(n, v)| Some((n, (*v)?))).collect();
    let places: Vec<f64> = defined.iter().map(|(_, value)| scale.at(*value)).collect();
    for ((name, value), (x, lift)) in defined.iter().zip(places.iter().zip(strip(&places))) {
        let title = format!("{name}: {}", three(*value));
        svg.dot((*x, BOTTOM - 12.0 - lift), 3.5, Ink::Hollow, &title);
    }
}

fn add_mean(svg: &mut Svg, scale: &Scale, score: &Score<'_>) {
    let (x, y) = (scale.at(score.mean), TOP + 18.0);
    if let Some((low, high)) = score.interval {
        svg.line((scale.at(low), y), (scale.at(high), y), Ink::Mark, 3.0);
    }
    svg.dot((x, y), 6.0, Ink::Mark, &words(score));
    let at = (x, y - 13.0);
    svg.sized_text(at, Anchor::Middle, Ink::Mark, 15.0, &three(score.mean));
}

fn words(score: &Score<'_>) -> String {
    let interval = score.interval.map_or(String::new(), |(low, high)| {
        format!(", 95 % interval {} to {}", three(low), three(high))
    });
    format!("mean over subjects {}{interval}", three(score.mean))
}

fn table(score: &Score<'_>) -> Table {
    let mut table = Table::new(&["what", "value", "low", "high"]);
    let (low, high) = score.interval.unzip();
    let mean = ("mean over subjects", Some(score.mean), low, high);
    let floor = ("chance", score.floor, None, None);
    let subjects = score.subjects.iter();
    let subjects = subjects.map(|(name, value)| (name.as_str(), *value, None, None));
    for (what, value, low, high) in [mean, floor].into_iter().chain(subjects) {
        table.push([what.into(), value.into(), low.into(), high.into()]);
    }
    table
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
