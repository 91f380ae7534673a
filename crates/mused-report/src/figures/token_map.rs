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

impl Projection {
    fn words(self) -> &'static str {
        match self {
            Self::PrincipalComponents(_) => "on their first two principal components",
            Self::Tsne => "by t-SNE",
        }
    }

    fn axes(self) -> [String; 2] {
        match self {
            Self::PrincipalComponents(shares) => [0, 1].map(|axis| {
                let percent = 100.0 * shares[axis];
                format!("component {} ({percent:.0} % of variance)", axis + 1)
            }),
            Self::Tsne => ["t-SNE 1", "t-SNE 2"].map(str::to_owned),
        }
    }

    fn columns(self) -> [&'static str; 2] {
        match self {
            Self::PrincipalComponents(_) => ["component_1", "component_2"],
            Self::Tsne => ["tsne_1", "tsne_2"],
        }
    }
}

/// Tokens of samples in a plane.
pub(crate) struct TokenMap<'a> {
    /// `low` or `high`.
    pub(crate) level: &'a str,
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
}

/// The map coloured by subject, or by whether the picked label is there.
pub(crate) fn token_map(map: &TokenMap<'_>, by: By) -> Option<Figure> {
    let x = range_of(map.points.column(0).iter().copied())?;
    let y = range_of(map.points.column(1).iter().copied())?;
    let [right, up] = map.projection.axes();
    let plot = Plot::new((400.0, 360.0), x, y, [&right, &up]);
    let points = map.points.rows().into_iter();
    let at: Vec<(f64, f64)> = points.map(|row| plot.at((row[0], row[1]))).collect();
    let mut svg = plot.svg;
    let (markup, word, caption) = match by {
        By::Label => {
            svg.push(&dots(&at, map.all(), None));
            (
                map.label_overlays(&at),
                "label",
                "Blue: samples with the picked label.",
            )
        }
        _ => {
            let caption = map.draw_subjects(&mut svg, &at);
            (map.subject_overlays(&at), "subject", caption)
        }
    };
    let id = format!("tokens-{}-{word}", map.level);
    let target = format!("{id}-picked");
    svg.target(&target, "");
    let name = format!("{}-level tokens", capitalised(map.level));
    let alt = format!(
        "{name}: {} test samples {}, coloured by {word}",
        at.len(),
        map.projection.words()
    );
    Some(
        Figure::new(&id, &format!("{name}, by {word}"), alt, svg, map.table())
            .caption(caption)
            .variants((!markup.is_empty()).then_some(Variants {
                target,
                by,
                markup,
                rest: String::new(),
            })),
    )
}

impl TokenMap<'_> {
    fn all(&self) -> impl Iterator<Item = usize> {
        0..self.subject_of.len()
    }

    fn of(&self, subject: usize) -> impl Iterator<Item = usize> {
        self.all()
            .filter(move |&sample| self.subject_of[sample] == subject)
    }

    /// Nothing for the mean over labels, then each.
    fn label_overlays(&self, at: &[(f64, f64)]) -> Vec<String> {
        let each = self.with_label.iter();
        let each = each.map(|samples| dots(at, samples.iter().copied(), Some("#0072b2")));
        std::iter::once(String::new()).chain(each).collect()
    }

    /// Nothing for the mean over subjects, then each.
    fn subject_overlays(&self, at: &[(f64, f64)]) -> Vec<String> {
        let each =
            (0..self.subjects.len()).map(|subject| dots(at, self.of(subject), Some("#d55e00")));
        std::iter::once(String::new()).chain(each).collect()
    }

    /// Every sample, in the colour of its subject where there are colours enough; what the colours mean.
    fn draw_subjects(&self, svg: &mut Svg, at: &[(f64, f64)]) -> &'static str {
        if self.subjects.len() > CATEGORIES.len() {
            svg.push(&dots(at, self.all(), None));
            return "Orange: the picked subject.";
        }
        for (subject, colour) in (0..self.subjects.len()).zip(CATEGORIES) {
            svg.push(&dots(at, self.of(subject), Some(colour)));
        }
        for (subject, (name, colour)) in self.subjects.iter().zip(CATEGORIES).enumerate() {
            let y = 24.0 + 15.0 * subject as f64;
            svg.coloured_dot((318.0, y - 4.0), 4.0, colour, "");
            svg.text((327.0, y), Anchor::Start, Ink::Text, &shortened(name, 9));
        }
        "A colour a subject; orange on top: the picked one."
    }

    fn table(&self) -> Table {
        let [first, second] = self.projection.columns();
        let mut table = Table::new(&["subject", "stimulus_id", first, second]);
        for (sample, row) in self.points.rows().into_iter().enumerate() {
            table.push([
                (&self.subjects[self.subject_of[sample]]).into(),
                self.stimuli[sample].into(),
                row[0].into(),
                row[1].into(),
            ]);
        }
        table
    }
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(letters).collect()
}

/// Dots as one path: points of no length with round ends. Grey without a colour.
fn dots(at: &[(f64, f64)], samples: impl Iterator<Item = usize>, colour: Option<&str>) -> String {
    let mut data = String::new();
    for sample in samples {
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
