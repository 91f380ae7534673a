use std::fmt::Write as _;

use ndarray::Array2;

use crate::colour::CATEGORIES;
use crate::escape::shortened;
use crate::figure::{By, Figure, Variants};
use crate::svg::{Anchor, Ink, Plot, Svg, range_of};
use crate::table::Table;

/// How tokens came into the plane.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Projection {
    /// With the shares of variance of the two directions.
    PrincipalComponents([f64; 2]),
    /// Neighbours are near; distances and directions mean nothing.
    Tsne,
}

/// Tokens of samples in a plane.
pub(crate) struct TokenMap<'a> {
    pub(crate) id: &'a str,
    pub(crate) title: String,
    /// samples × 2
    pub(crate) points: Array2<f64>,
    pub(crate) projection: Projection,
    /// Subject of each sample.
    pub(crate) subject_of: Vec<usize>,
    pub(crate) subjects: &'a [String],
    /// Stimulus of each sample.
    pub(crate) stimuli: Vec<&'a str>,
    /// Samples that have each label; empty where nothing is known of labels.
    pub(crate) with_label: Vec<Vec<usize>>,
    pub(crate) picked: usize,
}

/// The map coloured by subject, or by whether the picked label is there.
pub(crate) fn token_map(map: &TokenMap<'_>, by: By) -> Option<Figure> {
    let x = range_of(map.points.column(0).iter().copied())?;
    let y = range_of(map.points.column(1).iter().copied())?;
    let axis = |number: usize| match map.projection {
        Projection::PrincipalComponents(shares) => format!(
            "component {} ({:.0} % of variance)",
            number + 1,
            100.0 * shares[number]
        ),
        Projection::Tsne => format!("t-SNE {}", number + 1),
    };
    let (plane, columns) = match map.projection {
        Projection::PrincipalComponents(_) => (
            "on their first two principal components",
            ["component_1", "component_2"],
        ),
        Projection::Tsne => ("by t-SNE", ["tsne_1", "tsne_2"]),
    };
    let plot = Plot::new((400.0, 360.0), x, y, [&axis(0), &axis(1)]);
    let at: Vec<(f64, f64)> = map
        .points
        .rows()
        .into_iter()
        .map(|row| plot.at((row[0], row[1])))
        .collect();
    let mut svg = plot.svg.clone();
    let every: Vec<usize> = (0..at.len()).collect();
    let target = format!("{}-picked", map.id);
    let (markup, by_words) = match by {
        By::Label => {
            svg.push(&dots(&at, &every, None));
            let each = map
                .with_label
                .iter()
                .map(|samples| dots(&at, samples, Some("#0072b2")));
            (each.collect::<Vec<_>>(), "label")
        }
        _ => {
            let of = |subject: usize| -> Vec<usize> {
                every
                    .iter()
                    .copied()
                    .filter(|&sample| map.subject_of[sample] == subject)
                    .collect()
            };
            let few = map.subjects.len() <= CATEGORIES.len();
            if few {
                for (subject, colour) in (0..map.subjects.len()).zip(CATEGORIES) {
                    svg.push(&dots(&at, &of(subject), Some(colour)));
                }
                for (subject, name) in map.subjects.iter().enumerate() {
                    let y = 24.0 + 15.0 * subject as f64;
                    svg.coloured_dot((318.0, y - 4.0), 4.0, CATEGORIES[subject], "");
                    svg.text((327.0, y), Anchor::Start, Ink::Text, &shortened(name, 9));
                }
            } else {
                svg.push(&dots(&at, &every, None));
            }
            let each =
                (0..map.subjects.len()).map(|subject| dots(&at, &of(subject), Some("#d55e00")));
            (
                std::iter::once(String::new()).chain(each).collect(),
                "subject",
            )
        }
    };
    let first = match by {
        By::Label => markup.get(map.picked).cloned().unwrap_or_default(),
        _ => String::new(),
    };
    svg.target(&target, &first);
    let mut table = Table::new(&["subject", "stimulus_id", columns[0], columns[1]]);
    for (sample, row) in map.points.rows().into_iter().enumerate() {
        let name = &map.subjects[map.subject_of[sample]];
        table.push([
            name.into(),
            map.stimuli[sample].into(),
            row[0].into(),
            row[1].into(),
        ]);
    }
    let alt = format!(
        "{}: {} test samples {plane}, coloured by {by_words}",
        map.title,
        at.len()
    );
    let caption = match by {
        By::Label => "Blue: samples with the picked label.",
        _ if map.subjects.len() <= CATEGORIES.len() => {
            "A colour a subject; orange on top: the picked one."
        }
        _ => "Orange: the picked subject.",
    };
    let title = format!("{}, by {by_words}", map.title);
    Some(
        Figure::new(map.id, &title, alt, svg, table)
            .caption(caption)
            .variants((!markup.is_empty()).then_some(Variants { target, by, markup })),
    )
}

/// Dots as one path: points of no length with round ends. Grey without a colour.
fn dots(at: &[(f64, f64)], samples: &[usize], colour: Option<&str>) -> String {
    let mut data = String::new();
    for &sample in samples {
        let (x, y) = at[sample];
        // Writing to a String cannot fail.
        let _ = write!(data, "M{x:.0} {y:.0}h.1");
    }
    if data.is_empty() {
        return data;
    }
    let mut svg = Svg::new(0.0, 0.0);
    let (class, colour, opacity) = match colour {
        None => (r#" class="axis-line""#, "#7d8791", 0.35),
        Some(colour) => ("", colour, 0.7),
    };
    svg.push(&format!(
        r#"<path d="{data}"{class} stroke="{colour}" fill="none" stroke-width="4.5" stroke-opacity="{opacity}" stroke-linecap="round"/>"#
    ));
    svg.body
}
