use crate::colour::CATEGORIES;
use crate::escape::shortened;
use crate::figure::Figure;
use crate::number::count;
use crate::svg::{Anchor, Ink, Plot, range_of};
use crate::table::{Cell, Table};

/// Size of the picture.
const SIZE: (f64, f64) = (520.0, 340.0);

/// Share of the axis that the words of a tick need.
const TICK_WIDTH: f64 = 0.06;

/// A model's scores over numbers of trials or subjects.
#[derive(Clone, Debug, PartialEq)]
pub struct SizeLine {
    /// Name of the model.
    pub name: String,
    /// By rising numbers.
    pub points: Vec<SizePoint>,
}

/// A score from so many.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SizePoint {
    /// How many, above 0.
    pub size: f64,
    /// Mean over subjects.
    pub score: f64,
    /// Ends of its interval, where there is one.
    pub interval: Option<[f64; 2]>,
}

/// Scores over numbers of trials or subjects (on a logarithmic axis), a line a model with its intervals. `None` without
/// points.
///
/// `names` are those of the axes.
pub fn over_sizes(id: &str, lines: &[SizeLine], names: [&str; 2]) -> Option<Figure> {
    let points = || lines.iter().flat_map(|line| &line.points);
    let heights = points().flat_map(|p| {
        [p.score]
            .into_iter()
            .chain(p.interval.into_iter().flatten())
    });
    let y = range_of(heights)?;
    let mut counts: Vec<f64> = points().map(|p| p.size).collect();
    counts.sort_by(f64::total_cmp);
    counts.dedup();
    let x = range_of(counts.iter().map(|count| count.log10()))?;
    let mut ticks: Vec<(f64, String)> = Vec::new();
    for &size in &counts {
        let at = size.log10();
        if ticks
            .last()
            .is_none_or(|(last, _)| at - last > TICK_WIDTH * (x.1 - x.0))
        {
            ticks.push((at, count(size.round() as usize)));
        }
    }
    let mut plot = Plot::with_ticks(SIZE, (x, ticks), y, names);
    for (index, line) in lines.iter().enumerate() {
        add(&mut plot, line, index, lines.len());
    }
    let ends = lines.iter().filter_map(|line| {
        let (first, last) = (line.points.first()?, line.points.last()?);
        Some(format!(
            "{} from {:.3} at {:.0} to {:.3} at {:.0}",
            line.name, first.score, first.size, last.score, last.size
        ))
    });
    let alt = format!(
        "{} over {}: {}",
        names[1],
        names[0],
        ends.collect::<Vec<_>>().join("; ")
    );
    let mut table = Table::new(&["model", names[0], names[1], "low", "high"]);
    for line in lines {
        for point in &line.points {
            let ends = [0, 1].map(|end| Cell::from(point.interval.map(|ends| ends[end])));
            let cells = [(&line.name).into(), point.size.into(), point.score.into()];
            table.push(cells.into_iter().chain(ends));
        }
    }
    let figure = Figure::new(id, names[1], alt, plot.svg, table);
    Some(figure.caption(
        "Means over subjects, of their means over draws, with 95 % intervals over subjects.",
    ))
}

/// A line with its intervals, beside those of other lines, and its name.
fn add(plot: &mut Plot, line: &SizeLine, index: usize, lines: usize) {
    let colour = CATEGORIES[index % CATEGORIES.len()];
    let beside = 4.0 * (index as f64 - (lines as f64 - 1.0) / 2.0);
    let at = |plot: &Plot, size: f64, score: f64| {
        let (x, y) = plot.at((size.log10(), score));
        (x + beside, y)
    };
    let mut course = Vec::new();
    for point in &line.points {
        let place = at(plot, point.size, point.score);
        if let Some(ends) = point.interval {
            let ends = ends.map(|end| at(plot, point.size, end));
            plot.svg.coloured_curve(&ends, colour, 1.5, 0.6);
        }
        let title = format!("{}: {:.3} at {:.0}", line.name, point.score, point.size);
        plot.svg.coloured_dot(place, 4.0, colour, &title);
        course.push(place);
    }
    plot.svg.coloured_curve(&course, colour, 2.0, 1.0);
    let (x, bottom) = (SIZE.0 - 170.0, plot.y.range.0);
    let y = bottom - 12.0 - 15.0 * (lines - 1 - index) as f64;
    plot.svg.coloured_dot((x, y - 4.0), 4.0, colour, "");
    let name = shortened(&line.name, 22);
    plot.svg
        .text((x + 10.0, y), Anchor::Start, Ink::Text, &name);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_a_model_over_a_logarithmic_axis() {
        let point = |size: f64, score: f64| SizePoint {
            size,
            score,
            interval: Some([score - 0.1, score + 0.1]),
        };
        let line = |name: &str, score: f64| SizeLine {
            name: name.to_owned(),
            points: vec![
                point(10.0, score),
                point(20.0, score + 0.1),
                point(40.0, score + 0.2),
            ],
        };
        let lines = [line("a<b", 0.3), line("ridge", 0.2)];
        let figure = over_sizes("curve", &lines, ["trials", "macro AP"]).unwrap();
        let svg = figure.svg;
        assert!(
            svg.contains("a&lt;b from 0.300 at 10 to 0.500 at 40"),
            "{svg}"
        );
        for tick in ["10", "20", "40"] {
            assert!(svg.contains(&format!(">{tick}</text>")), "{svg}");
        }
        // Twice as many trials are as far apart anywhere.
        let dots = svg.split("<circle cx=\"").skip(1);
        let x: Vec<f64> = dots
            .take(3)
            .map(|dot| dot.split('"').next().unwrap().parse().unwrap())
            .collect();
        assert!((x[2] - x[1] - (x[1] - x[0])).abs() < 0.11, "{x:?}");
        let row = "a<b\t20\t0.4\t0.30000000000000004\t0.5\n";
        assert!(figure.table.to_tsv().contains(row));
        assert!(over_sizes("curve", &[], ["trials", "macro AP"]).is_none());
    }
}
