//! Single stimuli: what is in them and what was decoded.

mod decoded;
mod pictures;

use self::decoded::{Choice, Decoded, decode};
use self::pictures::Pictures;
use super::Input;
use crate::figure::{Figure, Section};
use crate::figures::{Decoding, card};
use crate::input::Images;
use crate::number::{three, three_or_dash};

/// Subjects up to which cards show each.
const SINGLE_SUBJECTS: usize = 60;

/// Best, worst and most surprising decodings, and whether there are pictures.
pub(crate) fn stimuli(input: &Input<'_>, images: &mut dyn Images) -> (Section, bool) {
    let mut section = Section::new("stimuli", "Stimuli");
    let (Ok(predictions), Some(scores)) = (&input.files.predictions, input.scores) else {
        section.missing("There are no test predictions: the run is not complete.");
        return (section, false);
    };
    let decoded = decode(predictions, scores);
    if decoded.is_empty() {
        section.missing("No test stimulus carries a label.");
        return (section, false);
    }
    section.paragraph(
        "The most probable labels of the mean over subjects, or of the picked subject: filled where the label is there. \
         Ranking: 1 where all labels of the stimulus come first. Surprise: mean cross-entropy a label, in bits.",
    );
    let mut pictures = Pictures::new(input.files.dataset(), images);
    let Choice {
        best,
        worst,
        surprising,
    } = Choice::of(decoded);
    for (kind, title, chosen) in [
        ("best", "Best", best),
        ("worst", "Worst", worst),
        ("surprising", "Most surprising of the others", surprising),
    ] {
        if chosen.is_empty() {
            continue;
        }
        section.heading(title);
        let cards = chosen.into_iter().zip(1..);
        section.figures(cards.map(|(decoded, place)| {
            figure(input, decoded, format!("{kind}-{place}"), &mut pictures)
        }));
    }
    if let Some(why) = pictures.why_missing() {
        section.missing(why);
    }
    if input.subjects.len() > SINGLE_SUBJECTS {
        section.missing(format!(
            "The cards show the mean over subjects alone: {} subjects are too many for this page.",
            input.subjects.len()
        ));
    }
    let any = pictures.any();
    (section, any)
}

fn figure(
    input: &Input<'_>,
    decoded: Decoded<'_>,
    id: String,
    pictures: &mut Pictures<'_>,
) -> Figure {
    let ranking = three_or_dash(decoded.ranking);
    let mut probabilities = decoded.probabilities;
    if !(2..=SINGLE_SUBJECTS).contains(&input.subjects.len()) {
        probabilities.truncate(1);
    }
    card(&Decoding {
        id,
        stimulus: decoded.stimulus,
        image: pictures.read(decoded.stimulus),
        labels: input.labels,
        truth: decoded.truth,
        probabilities,
        verdict: format!("Ranking {ranking}, surprise {}.", three(decoded.surprise)),
    })
}
