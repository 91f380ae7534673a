use crate::colour::CATEGORIES;
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

/// A line for each model, and the mean of each run's.
pub(crate) fn learning(id: &str, title: &str, lines: &[Line], runs: &[String]) -> Option<Figure> {
    let values = || lines.iter().flat_map(|line| &line.points);
    let y = range_of(values().map(|(_, y)| *y))?;
    let last = values().map(|(x, _)| *x).fold(1.0, f64::max);
    // A loss is read against 0, and nothing that is not negative needs room below it.
    let smallest = values().map(|(_, y)| *y).fold(f64::INFINITY, f64::min);
    let y = if smallest >= 0.0 && y.0 < y.1 * 0.5 {
        (0.0, y.1)
    } else {
        y
    };
    let mut plot = Plot::new((360.0, 240.0), (1.0, last.max(2.0)), y, ["epoch", title]);
    let mut table = Table::new(&["run", "model", "epoch", id]);
    for line in lines {
        let points = plot.all(&line.points);
        let colour = CATEGORIES[line.run % CATEGORIES.len()];
        if let [only] = points.as_slice() {
            plot.svg.coloured_dot(*only, 3.0, colour, "");
        }
        let opacity = if lines.len() > 1 { 0.3 } else { 1.0 };
        plot.svg.coloured_curve(&points, colour, 1.2, opacity);
        for (epoch, value) in &line.points {
            let run = runs.get(line.run).map_or("", String::as_str);
            table.push([
                run.into(),
                (&line.model).into(),
                (*epoch as usize).into(),
                (*value).into(),
            ]);
        }
    }
    for run in 0..runs.len() {
        let own: Vec<&Line> = lines.iter().filter(|line| line.run == run).collect();
        if own.len() > 1 {
            let points = plot.all(&mean(&own));
            plot.svg
                .coloured_curve(&points, CATEGORIES[run % CATEGORIES.len()], 2.5, 1.0);
        }
        if runs.len() > 1 && runs.len() <= 6 {
            let y = 26.0 + 15.0 * run as f64;
            plot.svg.coloured_dot(
                (228.0, y - 4.0),
                4.0,
                CATEGORIES[run % CATEGORIES.len()],
                "",
            );
            plot.svg.text(
                (238.0, y),
                Anchor::Start,
                Ink::Text,
                &crate::escape::shortened(&runs[run], 18),
            );
        }
    }
    let first = values().next().map_or(0.0, |(_, y)| *y);
    let end = lines
        .last()
        .and_then(|line| line.points.last())
        .map_or(0.0, |(_, y)| *y);
    let alt = format!(
        "{title} over {last} epochs of {} models, from {first:.3} to {end:.3}",
        lines.len()
    );
    Some(Figure::new(id, title, alt, plot.svg, table))
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
