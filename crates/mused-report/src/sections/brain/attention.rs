use std::collections::BTreeMap;

use mused_stats::summary::{mean, sample_sd};

use super::{ROWS, cut, overlays};
use crate::figure::Figure;
use crate::figures::{Mark, Panel, Row, RowsChart};
use crate::input::{About, Attention};
use crate::svg::range_of;
use crate::table::Table;

/// Attention to a part, an entry for each level.
struct PartRow<'a> {
    part: &'a str,
    levels: Vec<Weights<'a>>,
}

/// Weights of a part and level.
struct Weights<'a> {
    subjects: Vec<(&'a str, f64)>,
    /// Over subjects.
    mean: Option<f64>,
    sd: Option<f64>,
}

/// `None` where there is nothing.
pub(super) fn figure(about: &About, found: &[Attention], subjects: &[String]) -> Option<Figure> {
    let levels: Vec<&str> = (about.levels.iter().map(String::as_str))
        .filter(|level| found.iter().any(|row| row.level == *level))
        .collect();
    let rows = rows(about, found, &levels);
    let most = rows.first()?.part;
    let shown = rows.get(..ROWS).unwrap_or(&rows);
    let chart = chart(shown, panels(about, found, &levels)?);
    let variants = overlays("attention-subject", &chart, subjects, |subject| {
        let of = |weights: &Weights<'_>| weights.of(subject);
        let each = shown.iter();
        each.map(|row| row.levels.iter().map(of).collect())
            .collect()
    });
    let alt = format!(
        "Attention weights of {} {}s; most: {most}",
        rows.len(),
        about.part_kind
    );
    let svg = chart.draw(Some(("attention-subject", "")));
    let caption = format!(
        "Weights of the last block, mean over heads, test samples and subjects; line: ± standard deviation over \
         subjects. Dashed: even attention. Orange: the picked subject. Attention tells where a network reads, \
         not what it needs.{}",
        cut(rows.len())
    );
    let figure = Figure::new("attention", "Attention of tokens", alt, svg, table(found));
    Some(figure.caption(caption).variants([variants]).wide())
}

/// Parts that the first level has weights of, the heaviest first.
fn rows<'a>(about: &'a About, found: &'a [Attention], levels: &[&str]) -> Vec<PartRow<'a>> {
    let mut own: BTreeMap<(&str, &str), Vec<(&str, f64)>> = BTreeMap::new();
    for row in found {
        let place = own.entry((&row.part, &row.level)).or_default();
        place.push((&row.subject, row.weight));
    }
    let weights = |part, level| Weights::new(own.get(&(part, level)).cloned().unwrap_or_default());
    let parts = about.parts.iter().map(|part| PartRow {
        part,
        levels: levels.iter().map(|level| weights(part, *level)).collect(),
    });
    let weight = |row: &PartRow<'_>| row.levels.first().and_then(|weights| weights.mean);
    let mut rows: Vec<PartRow<'a>> = parts.filter(|row| weight(row).is_some()).collect();
    let order = |row: &PartRow<'_>| weight(row).unwrap_or_default();
    rows.sort_by(|a, b| order(b).total_cmp(&order(a)));
    rows
}

impl<'a> Weights<'a> {
    fn new(subjects: Vec<(&'a str, f64)>) -> Self {
        let values: Vec<f64> = subjects.iter().map(|(_, weight)| *weight).collect();
        Self {
            subjects,
            mean: mean(&values),
            sd: sample_sd(&values),
        }
    }

    fn of(&self, subject: &str) -> Option<f64> {
        let found = self.subjects.iter().find(|(name, _)| *name == subject);
        found.map(|(_, weight)| *weight)
    }

    fn mark(&self, part: &str) -> Option<Mark> {
        let mean = self.mean?;
        Some(Mark {
            interval: self.sd.map(|sd| ((mean - sd).max(0.0), mean + sd)),
            ..Mark::plain(part, mean)
        })
    }
}

fn chart(shown: &[PartRow<'_>], panels: Vec<Panel>) -> RowsChart {
    let drawn = shown.iter().map(|row| {
        let marks = row.levels.iter().map(|weights| weights.mark(row.part));
        Row::new(row.part, marks)
    });
    RowsChart::new(drawn.collect(), panels)
}

fn panels(about: &About, found: &[Attention], levels: &[&str]) -> Option<Vec<Panel>> {
    let uniform = 1.0 / about.parts.len().max(1) as f64;
    let (_, high) = range_of(found.iter().map(|row| row.weight).chain([uniform]))?;
    let panels = levels.iter().map(|level| Panel {
        title: format!("Attention of the {level}-level token"),
        domain: (0.0, high),
        reference: Some(uniform),
    });
    Some(panels.collect())
}

fn table(found: &[Attention]) -> Table {
    Table::of(
        found,
        &[
            ("subject", |row| (&row.subject).into()),
            ("level", |row| (&row.level).into()),
            ("part", |row| (&row.part).into()),
            ("weight", |row| row.weight.into()),
            ("sd", |row| row.sd.into()),
        ],
    )
}
