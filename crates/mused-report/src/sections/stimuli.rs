use std::collections::BTreeMap;

use mused_data::Dataset;
use mused_results::Predictions;

use super::Input;
use crate::figure::{Figure, Section};
use crate::figures::{Decoding, card};
use crate::input::{Images, Scores, thumbnail};
use crate::number::three;

/// Stimuli of each kind.
const SHOWN: usize = 6;
/// Subjects up to which cards show each.
const SINGLE_SUBJECTS: usize = 60;

/// A test stimulus and how its mean over subjects was decoded.
struct Decoded<'a> {
    stimulus: &'a str,
    truth: Vec<bool>,
    /// Mean over subjects, then each subject.
    probabilities: Vec<Option<Vec<f64>>>,
    /// Label-ranking average precision; `None` without labels.
    ranking: Option<f64>,
    /// Mean cross-entropy a label, in bits.
    surprise: f64,
}

/// Best, worst and most surprising decodings.
pub(crate) fn stimuli(input: &Input<'_>, images: &mut dyn Images) -> Section {
    let mut section = Section::new("stimuli", "Stimuli");
    let (predictions, scores) = match (&input.files.predictions, input.scores) {
        (Ok(predictions), Some(scores)) => (predictions, scores),
        _ => {
            section.missing("There are no test predictions: the run is not complete.");
            return section;
        }
    };
    let mut decoded = decode(predictions, scores);
    if decoded.is_empty() {
        section.missing("No test stimulus carries a label.");
        return section;
    }
    let dataset = input.files.dataset();
    let mut reader = Reader::new(dataset, images);
    section.paragraph(
        "Bars: the most probable labels of the mean over subjects, or of the picked subject; filled where the label is \
         there. Ranking: label-ranking average precision, 1 where all its labels come first. Surprise: mean \
         cross-entropy a label, in bits.",
    );
    let by_ranking = |decoded: &Decoded<'_>| (decoded.ranking.unwrap_or(2.0), -decoded.surprise);
    decoded.sort_by(|a, b| {
        by_ranking(a)
            .partial_cmp(&by_ranking(b))
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    let with_labels = decoded
        .iter()
        .filter(|decoded| decoded.ranking.is_some())
        .count();
    let count = SHOWN.min(with_labels / 2).max(usize::from(with_labels > 0));
    let worst: Vec<Decoded<'_>> = decoded.drain(..count.min(decoded.len())).collect();
    let last = decoded
        .iter()
        .filter(|decoded| decoded.ranking.is_some())
        .count();
    let best: Vec<Decoded<'_>> = decoded
        .drain(last.saturating_sub(count)..last)
        .rev()
        .collect();
    decoded.sort_by(|a, b| b.surprise.total_cmp(&a.surprise));
    decoded.truncate(SHOWN);
    for (kind, title, chosen) in [
        ("best", "Best", best),
        ("worst", "Worst", worst),
        ("surprising", "Most surprising of the others", decoded),
    ] {
        if chosen.is_empty() {
            continue;
        }
        section.heading(title);
        let figures: Vec<Figure> = chosen
            .into_iter()
            .enumerate()
            .map(|(place, decoded)| {
                figure(input, decoded, format!("{kind}-{}", place + 1), &mut reader)
            })
            .collect();
        section.figures(figures);
    }
    if let Some(why) = reader.why_none() {
        section.missing(why);
    }
    if input.subjects.len() > SINGLE_SUBJECTS {
        section.missing(format!(
            "The cards show the mean over subjects alone: {} subjects are too many for this page.",
            input.subjects.len()
        ));
    }
    section
}

fn figure(input: &Input<'_>, decoded: Decoded<'_>, id: String, reader: &mut Reader<'_>) -> Figure {
    let ranking = decoded.ranking.map_or("–".to_owned(), three);
    let mut probabilities = decoded.probabilities;
    if input.subjects.len() > SINGLE_SUBJECTS || input.subjects.len() < 2 {
        probabilities.truncate(1);
    }
    card(&Decoding {
        id,
        stimulus: decoded.stimulus,
        image: reader.read(decoded.stimulus),
        labels: input.labels,
        truth: decoded.truth,
        probabilities,
        subjects: input.subjects,
        verdict: format!("Ranking {ranking}, surprise {}.", three(decoded.surprise)),
    })
}

fn decode<'p>(predictions: &'p Predictions, scores: &Scores) -> Vec<Decoded<'p>> {
    let mut rows: BTreeMap<&str, Vec<(usize, usize)>> = BTreeMap::new();
    for (subject, own) in scores.rows.iter().enumerate() {
        for &row in own {
            rows.entry(&predictions.keys[row].1)
                .or_default()
                .push((subject, row));
        }
    }
    let each = rows.into_iter();
    each.map(|(stimulus, rows)| {
        let labels = predictions.labels.len();
        let mut mean = vec![0.0; labels];
        let mut single: Vec<Option<(Vec<f64>, f64)>> = vec![None; scores.subjects.len()];
        for &(subject, row) in &rows {
            let values = predictions.probabilities.row(row);
            let (sum, seen) = single[subject].get_or_insert_with(|| (vec![0.0; labels], 0.0));
            *seen += 1.0;
            for ((sum, mean), value) in sum.iter_mut().zip(&mut mean).zip(values) {
                *sum += value;
                *mean += value / rows.len() as f64;
            }
        }
        // Several trials of a stimulus in a subject: their mean.
        let own =
            |(sum, seen): (Vec<f64>, f64)| sum.into_iter().map(|value| value / seen).collect();
        let single = single.into_iter().map(|subject| subject.map(own));
        let first = rows.first().map(|(_, row)| predictions.targets.row(*row));
        let truth: Vec<bool> = first
            .into_iter()
            .flatten()
            .map(|value| *value == 1)
            .collect();
        Decoded {
            stimulus,
            ranking: ranking(&mean, &truth),
            surprise: surprise(&mean, &truth),
            truth,
            probabilities: std::iter::once(Some(mean.clone())).chain(single).collect(),
        }
    })
    .collect()
}

/// Mean over true labels of the share of true labels among those ranked as high
/// (`sklearn.metrics.label_ranking_average_precision_score`).
fn ranking(probabilities: &[f64], truth: &[bool]) -> Option<f64> {
    let there: Vec<f64> = truth
        .iter()
        .zip(probabilities)
        .filter(|(there, _)| **there)
        .map(|(_, p)| *p)
        .collect();
    let share = |p: &f64| {
        let true_above = there.iter().filter(|other| *other >= p).count();
        let above = probabilities.iter().filter(|other| *other >= p).count();
        true_above as f64 / above as f64
    };
    mused_stats::summary::mean(&there.iter().map(share).collect::<Vec<f64>>())
}

/// Mean cross-entropy in bits; probabilities of exactly 0 and 1 count as a millionth from them.
fn surprise(probabilities: &[f64], truth: &[bool]) -> f64 {
    let bits = |(p, there): (&f64, &bool)| {
        let p = p.clamp(1e-6, 1.0 - 1e-6);
        -(if *there { p } else { 1.0 - p }).log2()
    };
    let sum: f64 = probabilities.iter().zip(truth).map(bits).sum();
    sum / probabilities.len().max(1) as f64
}

/// Pictures of stimuli, and why there were none.
struct Reader<'a> {
    dataset: Option<&'a Dataset>,
    images: &'a mut dyn Images,
    found: usize,
    missing: Vec<String>,
}

impl<'a> Reader<'a> {
    fn new(dataset: Option<&'a Dataset>, images: &'a mut dyn Images) -> Self {
        Self {
            dataset,
            images,
            found: 0,
            missing: Vec::new(),
        }
    }

    fn read(&mut self, id: &str) -> Option<(String, usize, usize)> {
        let mut stimuli = self.dataset.iter().flat_map(|data| data.stimuli.iter());
        let found = stimuli.find(|stimulus| stimulus.id == id);
        let read = match found {
            None => Err("the dataset cannot be read now".to_owned()),
            Some(stimulus) if stimulus.file.is_none() => {
                Err("the dataset names no files of its stimuli".to_owned())
            }
            Some(stimulus) => self.images.read(stimulus).and_then(|pixels| {
                thumbnail(&pixels).ok_or_else(|| format!("the picture of {id} is broken"))
            }),
        };
        match read {
            Ok(image) => {
                self.found += 1;
                Some(image)
            }
            Err(why) => {
                self.missing.push(why);
                None
            }
        }
    }

    fn why_none(&self) -> Option<String> {
        let first = self.missing.first()?;
        Some(match self.found {
            0 => format!("There are no pictures: {first}."),
            _ => format!(
                "{} pictures are missing; the first because {first}.",
                self.missing.len()
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rankings_are_those_of_scikit_learn() {
        // label_ranking_average_precision_score([[1, 0, 0, 1]], [[0.75, 0.5, 1, 0.5]])
        let found = ranking(&[0.75, 0.5, 1.0, 0.5], &[true, false, false, true]);
        assert_eq!(found, Some(0.5));
        assert_eq!(ranking(&[0.1, 0.2], &[false, false]), None);
        assert_eq!(surprise(&[0.5, 0.25], &[true, true]), 1.5);
    }
}
