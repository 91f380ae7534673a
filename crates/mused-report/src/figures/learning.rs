use crate::colour::CATEGORIES;
use crate::escape::shortened;
use crate::figure::Figure;
use crate::svg::{Anchor, Ink, Plot, range_of};
use crate::table::Table;

/// The course of a value over the epochs of one model.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// What it is of, for the table.
    pub(crate) model: String,
    /// Which run it belongs to.
    pub(crate) run: usize,
    pub(crate) points: Vec<(f64, f64)>,
}

/// A line for each model, and the mean of each run's. `None` without values.
pub(crate) fn learning(id: &str, title: &str, lines: &[Line], runs: &[String]) -> Option<Figure> {
    let values = || lines.iter().flat_map(|line| &line.points);
    let last = values().map(|(x, _)| *x).fold(1.0, f64::max);
    let y = height(values().map(|(_, y)| *y))?;
    let mut plot = Plot::new((360.0, 240.0), (1.0, last.max(2.0)), y, ["epoch", title]);
    for line in lines {
        add_line(&mut plot, line, lines.len());
    }
    for (run, name) in runs.iter().enumerate() {
        add_mean(&mut plot, run, lines);
        if runs.len() > 1 && runs.len() <= 6 {
            add_name(&mut plot, run, name);
        }
    }
    let first = values().next().map_or(0.0, |(_, y)| *y);
    let end = lines.last().and_then(|line| line.points.last());
    let end = end.map_or(0.0, |(_, y)| *y);
    let alt = format!(
        "{title} over {last} epochs of {} models, from {first:.3} to {end:.3}",
        lines.len()
    );
    Some(Figure::new(
        id,
        title,
        alt,
        plot.svg,
        table(id, lines, runs),
    ))
}

/// A loss is read against 0, and nothing that is not negative needs room below it.
fn height(values: impl Iterator<Item = f64> + Clone) -> Option<(f64, f64)> {
    let (low, high) = range_of(values.clone())?;
    let smallest = values.fold(f64::INFINITY, f64::min);
    Some(match smallest >= 0.0 && low < high * 0.5 {
        true => (0.0, high),
        false => (low, high),
    })
}

fn colour(run: usize) -> &'static str {
    CATEGORIES[run % CATEGORIES.len()]
}

fn add_line(plot: &mut Plot, line: &Line, lines: usize) {
    let points = plot.all(&line.points);
    if let [only] = points.as_slice() {
        plot.svg.coloured_dot(*only, 3.0, colour(line.run), "");
    }
    let opacity = if lines > 1 { 0.3 } else { 1.0 };
    plot.svg
        .coloured_curve(&points, colour(line.run), 1.2, opacity);
}

fn add_mean(plot: &mut Plot, run: usize, lines: &[Line]) {
    let own: Vec<&Line> = lines.iter().filter(|line| line.run == run).collect();
    if own.len() > 1 {
        let points = plot.all(&mean(&own));
        plot.svg.coloured_curve(&points, colour(run), 2.5, 1.0);
    }
}

fn add_name(plot: &mut Plot, run: usize, name: &str) {
    let y = 26.0 + 15.0 * run as f64;
    plot.svg
        .coloured_dot((228.0, y - 4.0), 4.0, colour(run), "");
    plot.svg
        .text((238.0, y), Anchor::Start, Ink::Text, &shortened(name, 18));
}

fn table(id: &str, lines: &[Line], runs: &[String]) -> Table {
    let mut table = Table::new(&["run", "model", "epoch", id]);
    for line in lines {
        let run = runs.get(line.run).map_or("", String::as_str);
        for (epoch, value) in &line.points {
            table.push([
                run.into(),
                (&line.model).into(),
                (*epoch as usize).into(),
                (*value).into(),
            ]);
        }
    }
    table
}

fn mean(lines: &[&Line]) -> Vec<(f64, f64)> {
    let mut sums: std::collections::BTreeMap<u64, (f64, f64)> = std::collections::BTreeMap::new();
    for (x, y) in lines.iter().flat_map(|line| &line.points) {
        let (sum, count) = sums.entry(*x as u64).or_default();
        *sum += y;
        *count += 1.0;
    }
    let means = sums
        .into_iter()
        .map(|(x, (sum, count))| (x as f64, sum / count));
    means.collect()
}
