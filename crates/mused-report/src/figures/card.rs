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
    /// How the subjects' mean was scored, in words.
    pub(crate) verdict: String,
}

const WIDTH: f64 = 340.0;

/// The top predictions as bars, filled where they are true.
pub(crate) fn card(decoding: &Decoding<'_>) -> Figure {
    let named = decoding.named();
    let start = decoding.start();
    let mut svg = decoding.frame(start, &named);
    let target = format!("{}-bars", decoding.id);
    let each = decoding.probabilities.iter();
    let markup: Vec<String> = each.map(|p| bars(decoding, p.as_deref(), start)).collect();
    svg.target(&target, markup.first().map_or("", String::as_str));
    let mean = decoding.mean();
    let top: Vec<String> = highest(mean)
        .take(3)
        .map(|label| format!("{} {}", decoding.labels[label], three(mean[label])))
        .collect();
    let alt = format!(
        "{}: shows {named}; decoded {}",
        decoding.stimulus,
        top.join(", ")
    );
    let variants = (markup.len() > 1).then_some(Variants {
        target,
        by: By::Subject,
        markup,
        rest: String::new(),
    });
    let table = decoding.table();
    Figure::new(&decoding.id, decoding.stimulus, alt, svg, table)
        .caption(crate::escape::escaped(&decoding.verdict))
        .variants(variants)
}

impl Decoding<'_> {
    /// Mean probabilities over subjects.
    fn mean(&self) -> &[f64] {
        let first = self.probabilities.first();
        first.and_then(Option::as_deref).unwrap_or_default()
    }

    /// Its labels in words.
    fn named(&self) -> String {
        let labels = self.labels.iter().zip(&self.truth);
        let there: Vec<&str> = labels
            .filter_map(|(label, there)| there.then_some(label.as_str()))
            .collect();
        match there.len() {
            0 => "none of the labels".to_owned(),
            _ => there.join(", "),
        }
    }

    /// Where words start: right of the picture.
    fn start(&self) -> f64 {
        if self.image.is_some() { 130.0 } else { 14.0 }
    }

    /// Everything but the bars.
    fn frame(&self, start: f64, named: &str) -> Svg {
        let least = if self.image.is_some() { 132.0 } else { 0.0 };
        let bars_end = 52.0 + 24.0 * self.labels.len().min(SHOWN) as f64;
        let mut svg = Svg::new(WIDTH, bars_end.max(least));
        let stimulus = shortened(self.stimulus, 28);
        svg.sized_text((start, 20.0), Anchor::Start, Ink::Text, 13.0, &stimulus);
        let room = ((WIDTH - start) / 6.2) as usize;
        let truth = shortened(&format!("true: {named}"), room);
        svg.text((start, 37.0), Anchor::Start, Ink::Quiet, &truth);
        if let Some((url, width, height)) = &self.image {
            let (width, height) = (*width as f64, *height as f64);
            let factor = (110.0 / width).min(116.0 / height);
            svg.image(8.0, 12.0, (width * factor, height * factor), url, true);
        }
        svg
    }

    fn table(&self) -> Table {
        let mut table = Table::new(&["subject", "label", "probability", "true"]);
        let labels = self.labels.iter().zip(&self.truth);
        for ((label, there), probability) in labels.zip(self.mean()) {
            table.push([
                "mean over subjects".into(),
                label.into(),
                (*probability).into(),
                if *there { "yes" } else { "no" }.into(),
            ]);
        }
        table
    }
}

fn highest(probabilities: &[f64]) -> impl Iterator<Item = usize> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    order.into_iter()
}

fn bars(decoding: &Decoding<'_>, probabilities: Option<&[f64]>, start: f64) -> String {
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
    let scale = Scale::new((0.0, 1.0), (names + 6.0, WIDTH - 44.0));
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
