use crate::escape::shortened;
use crate::figure::{By, Figure, Variants};
use crate::number::three;
use crate::svg::{Anchor, Ink, Scale, Svg};
use crate::table::Table;

/// Predictions on a card.
const SHOWN: usize = 6;

/// A stimulus, what is in it, and what was decoded of it.
pub(crate) struct Decoding<'a> {
    pub(crate) id: String,
    pub(crate) stimulus: &'a str,
    /// A small picture as a URL, with its size.
    pub(crate) image: Option<(String, usize, usize)>,
    pub(crate) labels: &'a [String],
    /// Which labels it has.
    pub(crate) truth: Vec<bool>,
    /// Mean over subjects, then each subject; `None` of one who was not tested on it.
    pub(crate) probabilities: Vec<Option<Vec<f64>>>,
    pub(crate) subjects: &'a [String],
    /// How the subjects' mean was scored, in words.
    pub(crate) verdict: String,
}

/// The top predictions as bars, filled where they are true.
pub(crate) fn card(decoding: &Decoding<'_>) -> Figure {
    let width = 340.0;
    let picture = if decoding.image.is_some() { 116.0 } else { 0.0 };
    let start = 14.0 + picture;
    let truth: Vec<&str> = decoding
        .labels
        .iter()
        .zip(&decoding.truth)
        .filter_map(|(label, there)| there.then_some(label.as_str()))
        .collect();
    let named = match truth.len() {
        0 => "none of the labels".to_owned(),
        _ => truth.join(", "),
    };
    let least = if decoding.image.is_some() { 132.0 } else { 0.0 };
    let bars_end = 52.0 + 24.0 * decoding.labels.len().min(SHOWN) as f64;
    let mut svg = Svg::new(width, bars_end.max(least));
    svg.sized_text(
        (start, 20.0),
        Anchor::Start,
        Ink::Text,
        13.0,
        &shortened(decoding.stimulus, 28),
    );
    let room = ((width - start) / 6.2) as usize;
    svg.text(
        (start, 37.0),
        Anchor::Start,
        Ink::Quiet,
        &shortened(&format!("true: {named}"), room),
    );
    if let Some((url, w, h)) = &decoding.image {
        let factor = (110.0 / *w as f64).min(116.0 / *h as f64);
        svg.image(
            8.0,
            12.0,
            (*w as f64 * factor, *h as f64 * factor),
            url,
            true,
        );
    }
    let target = format!("{}-bars", decoding.id);
    let markup: Vec<String> = decoding
        .probabilities
        .iter()
        .map(|p| bars(decoding, p.as_deref(), start, width))
        .collect();
    svg.target(&target, markup.first().map_or("", String::as_str));
    let mut table = Table::new(&["subject", "label", "probability", "true"]);
    let names =
        std::iter::once("mean over subjects").chain(decoding.subjects.iter().map(String::as_str));
    for (name, probabilities) in names.zip(&decoding.probabilities).take(1) {
        for (label, probability) in probabilities.iter().flatten().enumerate() {
            let there = if decoding.truth[label] { "yes" } else { "no" };
            table.push([
                name.into(),
                (&decoding.labels[label]).into(),
                (*probability).into(),
                there.into(),
            ]);
        }
    }
    let top: Vec<String> = match decoding.probabilities.first() {
        Some(Some(mean)) => highest(mean)
            .take(3)
            .map(|label| format!("{} {}", decoding.labels[label], three(mean[label])))
            .collect(),
        _ => Vec::new(),
    };
    let alt = format!(
        "{}: shows {named}; decoded {}",
        decoding.stimulus,
        top.join(", ")
    );
    let variants = (markup.len() > 1).then_some(Variants {
        target,
        by: By::Subject,
        markup,
    });
    Figure::new(&decoding.id, decoding.stimulus, alt, svg, table)
        .caption(crate::escape::escaped(&decoding.verdict))
        .variants(variants)
}

fn highest(probabilities: &[f64]) -> impl Iterator<Item = usize> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    order.into_iter()
}

fn bars(decoding: &Decoding<'_>, probabilities: Option<&[f64]>, start: f64, width: f64) -> String {
    let mut svg = Svg::new(0.0, 0.0);
    let Some(probabilities) = probabilities else {
        svg.text(
            (start, 64.0),
            Anchor::Start,
            Ink::Quiet,
            "not tested on this stimulus",
        );
        return svg.body;
    };
    let names = start + 94.0;
    let scale = Scale::new((0.0, 1.0), (names + 6.0, width - 44.0));
    for (place, label) in highest(probabilities).take(SHOWN).enumerate() {
        let (y, probability) = (46.0 + place as f64 * 24.0, probabilities[label]);
        let there = decoding.truth[label];
        let ink = if there { Ink::Mark } else { Ink::Hollow };
        let words = if there { "true" } else { "not there" };
        let title = format!(
            "{}: {} ({words})",
            decoding.labels[label],
            three(probability)
        );
        svg.text(
            (names, y + 13.0),
            Anchor::End,
            Ink::Text,
            &shortened(&decoding.labels[label], 15),
        );
        svg.rect(
            scale.range.0,
            y + 2.0,
            (scale.at(probability) - scale.range.0, 14.0),
            ink,
            &title,
        );
        svg.text(
            (scale.at(probability) + 5.0, y + 13.0),
            Anchor::Start,
            Ink::Quiet,
            &format!("{probability:.2}"),
        );
    }
    svg.body
}
