//! Figures of what was looked up.

use mused_data::{Dataset, Stimulus};

use super::files::{Looked, Near, Row, Said};
use crate::escape::shortened;
use crate::figure::Figure;
use crate::input::{Images, thumbnail};
use crate::number::three;
use crate::svg::{Anchor, Ink, Plot, Scale, Svg};
use crate::table::Table;

/// Side of a picture on the wall.
const SIDE: f64 = 84.0;
/// From the left end of a picture to that of the next.
const STEP: f64 = 96.0;
/// Where pictures begin.
const START: f64 = 96.0;

/// The share of responses whose picture is among the first share of the gallery.
pub(super) fn rank_curve(looked: &Looked) -> Figure {
    let plot = Plot::new(
        (360.0, 320.0),
        (0.0, 1.0),
        (0.0, 1.0),
        ["first share of the gallery", "right picture among it"],
    );
    let within = |rank: fn(&Row) -> f64| -> Vec<f64> {
        let mut shares: Vec<f64> = (looked.rows.iter())
            .map(|row| rank(row) / row.items.max(1.0))
            .collect();
        shares.sort_unstable_by(f64::total_cmp);
        shares
    };
    let (model, ridge) = (within(|row| row.rank), within(|row| row.rank_ridge));
    let found = |shares: &[f64], at: f64| {
        shares.partition_point(|share| *share <= at + 1e-12) as f64 / shares.len().max(1) as f64
    };
    let mut table = Table::new(&["share of the gallery", "found", "ridge a subject", "chance"]);
    let (mut of_model, mut of_ridge) = (Vec::new(), Vec::new());
    for place in 0..=100 {
        let at = f64::from(place) / 100.0;
        let (own, other) = (found(&model, at), found(&ridge, at));
        of_model.push((at, own));
        of_ridge.push((at, other));
        table.push([at.into(), own.into(), other.into(), at.into()]);
    }
    let mut svg = plot.svg.clone();
    svg.dashed(plot.at((0.0, 0.0)), plot.at((1.0, 1.0)), Ink::Quiet)
        .curve(&plot.all(&of_ridge), Ink::Quiet, 1.5, 1.0)
        .curve(&plot.all(&of_model), Ink::Mark, 2.0, 1.0);
    let tenth = three(found(&model, 0.1));
    let alt = format!(
        "The right picture is among the first tenth of the gallery in {tenth} of responses"
    );
    Figure::new("rank-curve", "Where the right picture comes", alt, svg, table).caption(
        "Bold: the decoder of everybody and the subject's own; thin: the subject's own ridge regression alone; dashed: chance.",
    )
}

/// What each of some responses was a response to, and the first items that were found.
pub(super) fn wall(
    id: &str,
    title: &str,
    rows: &[&Row],
    looked: &Looked,
    dataset: Option<&Dataset>,
    images: &mut dyn Images,
) -> Figure {
    let mut svg = Svg::new(
        START + 6.0 * STEP + 18.0,
        26.0 + rows.len() as f64 * (SIDE + 22.0),
    );
    svg.text((START, 16.0), Anchor::Start, Ink::Text, "seen");
    svg.text(
        (START + STEP + 18.0, 16.0),
        Anchor::Start,
        Ink::Text,
        "nearest to the response",
    );
    let mut table = Table::new(&["subject", "stimulus", "rank", "items", "first five"]);
    let mut placed = Vec::new();
    for (place, row) in rows.iter().enumerate() {
        let top = 26.0 + place as f64 * (SIDE + 22.0);
        for (line, words) in [
            (16.0, shortened(&row.subject, 14)),
            (33.0, format!("rank {}", row.rank)),
            (50.0, format!("of {}", row.items)),
        ] {
            svg.text((6.0, top + line), Anchor::Start, Ink::Quiet, &words);
        }
        let own = Near {
            name: row.stimulus.clone(),
            file: None,
            cosine: 1.0,
            trained: false,
        };
        picture(&mut svg, (START, top), &own, true, dataset, images);
        for (number, near) in row.nearest.iter().enumerate() {
            let left = START + STEP + 18.0 + number as f64 * STEP;
            picture(
                &mut svg,
                (left, top),
                near,
                near.name == row.stimulus,
                dataset,
                images,
            );
        }
        let names: Vec<&str> = row.nearest.iter().map(|near| near.name.as_str()).collect();
        placed.push(format!("{}: {}", row.stimulus, names.join(", ")));
        table.push([
            (&row.subject).into(),
            (&row.stimulus).into(),
            row.rank.into(),
            row.items.into(),
            (&names.join(", ")).into(),
        ]);
    }
    let caption = format!(
        "{} of {} responses. A frame is around the picture that was seen, a dot below one that was trained on.",
        rows.len(),
        looked.rows.len()
    );
    Figure::new(id, title, placed.join("; "), svg, table).caption(caption)
}

/// A picture, or its name where there is none to show.
fn picture(
    svg: &mut Svg,
    (left, top): (f64, f64),
    near: &Near,
    right: bool,
    dataset: Option<&Dataset>,
    images: &mut dyn Images,
) {
    let own = dataset.and_then(|dataset| {
        let mut stimuli = dataset.stimuli.iter();
        stimuli.find(|stimulus| stimulus.id == near.name)
    });
    let other = || {
        let mut stimulus = Stimulus::new(&near.name);
        stimulus.file.clone_from(&near.file);
        stimulus
    };
    let pixels = match own {
        Some(stimulus) => images.read(stimulus),
        None => images.read(&other()),
    };
    if right {
        svg.rect(
            left - 3.0,
            top - 3.0,
            (SIDE + 6.0, SIDE + 6.0),
            Ink::Mark,
            &near.name,
        );
    }
    match pixels.ok().as_ref().and_then(thumbnail) {
        Some((url, width, height)) => {
            let (width, height) = (width as f64, height as f64);
            let factor = (SIDE / width).min(SIDE / height);
            let size = (width * factor, height * factor);
            svg.image(left, top, size, &url, true);
        }
        None => {
            svg.rect(left, top, (SIDE, SIDE), Ink::Grid, &near.name);
            svg.sized_text(
                (left + 4.0, top + SIDE / 2.0),
                Anchor::Start,
                Ink::Text,
                10.0,
                &shortened(&near.name, 14),
            );
        }
    }
    if near.trained {
        svg.dot(
            (left + SIDE / 2.0, top + SIDE + 9.0),
            3.0,
            Ink::Quiet,
            "trained on",
        );
    }
}

/// The first words of a response as bars, filled where they are true.
pub(super) fn said(number: usize, said: &Said) -> Figure {
    let (width, names) = (340.0, 130.0);
    let mut svg = Svg::new(width, 30.0 + 22.0 * said.words.len() as f64);
    let title = format!("{} seen by {}", said.stimulus, said.subject);
    svg.text(
        (8.0, 16.0),
        Anchor::Start,
        Ink::Text,
        &shortened(&title, 50),
    );
    let most = said
        .words
        .iter()
        .fold(1e-9_f64, |most, (_, score, _)| most.max(*score));
    let scale = Scale::new((0.0, most), (names + 6.0, width - 44.0));
    let mut table = Table::new(&["word", "score", "true"]);
    for (place, (word, score, there)) in said.words.iter().enumerate() {
        let y = 24.0 + place as f64 * 22.0;
        let ink = if *there == Some(true) {
            Ink::Mark
        } else {
            Ink::Hollow
        };
        svg.text(
            (names, y + 13.0),
            Anchor::End,
            Ink::Text,
            &shortened(word, 19),
        );
        let length = scale.at(score.max(0.0)) - scale.range.0;
        svg.rect(scale.range.0, y + 2.0, (length, 14.0), ink, word);
        let end = scale.range.0 + length + 5.0;
        svg.text(
            (end, y + 13.0),
            Anchor::Start,
            Ink::Quiet,
            &format!("{score:.2}"),
        );
        let there = there.map_or("n/a", |there| if there { "yes" } else { "no" });
        table.push([word.into(), (*score).into(), there.into()]);
    }
    let named: Vec<&str> = said.words.iter().map(|(word, ..)| word.as_str()).collect();
    let alt = format!("{title}: {}", named.join(", "));
    Figure::new(&format!("words-{number}"), &title, alt, svg, table)
        .caption("Filled: a label that the stimulus has.")
}
