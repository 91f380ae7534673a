//! Several runs side by side.

mod differences;
mod league;
mod models;

use mused_results::seeds::paired;
use mused_results::{Comparison, compare, verdict};
use mused_stats::summary::mean;

use self::differences::DifferenceRow;
use self::models::{Model, models};
use super::Input;
use crate::escape::escaped;
use crate::figure::{Block, Figure, Section};
use crate::number::of;

/// Models that are held against the first, with intervals and tests.
const COMPARED: usize = 24;

/// Scores of all runs, and their differences from the first one.
pub(crate) fn runs(input: &Input<'_>) -> Section {
    let mut section = Section::new("runs", "Runs compared");
    let models = models(&input.runs);
    section.paragraph(format!(
        "Everything else on this page is about the first run, <em>{}</em>.",
        escaped(&input.first().name)
    ));
    let mut figures: Vec<Figure> = league::figure(&models).into_iter().collect();
    for model in &models {
        for failure in &model.failures {
            section.missing(format!("{}: {failure}", model.name));
        }
    }
    let Some((first, others @ [_, ..])) = models.split_first() else {
        section.figures(figures);
        section.missing("All runs differ in their seed alone: there is no difference to test.");
        return section;
    };
    let (mut rows, mut verdicts, mut unsaid) = (Vec::new(), String::new(), Vec::new());
    for other in others
        .iter()
        .take(COMPARED)
        .filter(|other| !other.runs.is_empty())
    {
        let (found, said) = compared(first, other);
        if let Some(found) = found {
            let sentence = found.verdict.sentence(&other.name, &first.name);
            verdicts.push_str(&format!("<li>{}</li>", escaped(&sentence)));
            rows.extend(DifferenceRow::of(&other.name, found));
        }
        unsaid.extend(said);
    }
    if others.len() > COMPARED {
        unsaid.push(format!(
            "Differences are of the first {COMPARED} others; `mused compare` takes any."
        ));
    }
    if !rows.is_empty() {
        figures.push(differences::figure(&first.name, &rows));
    }
    section.figures(figures);
    if !verdicts.is_empty() {
        section.push(Block::Html(format!(r#"<ul class="words">{verdicts}</ul>"#)));
    }
    for said in unsaid {
        section.missing(said);
    }
    section
}

/// How a model differs from the first over the seeds that both have, and what is left out of it or why there is nothing.
fn compared(first: &Model<'_>, other: &Model<'_>) -> (Option<Comparison>, Option<String>) {
    let name = &other.name;
    let pairs = paired(&first.runs, &other.runs);
    if pairs.is_empty() && !first.runs.is_empty() {
        let [of_first, of_other] =
            [first, other].map(|model| seeds(model.runs.iter().map(|(seed, _)| *seed)));
        let why = format!(
            "{name} is not compared: runs are paired by seed, and {} has {of_first}, {name} {of_other}.",
            first.name
        );
        return (None, Some(why));
    }
    let (a, b): (Vec<_>, Vec<_>) = pairs
        .iter()
        .map(|(_, a, b)| (a.run.clone(), b.run.clone()))
        .unzip();
    match compare(&a, &b) {
        Err(error) => (None, Some(format!("{name} is not compared: {error}"))),
        Ok(comparison) => {
            let left_out = first.runs.len() + other.runs.len() - 2 * pairs.len();
            let said = (left_out > 0).then(|| {
                format!(
                    "{name} is compared over what both models have, {}: {} left out.",
                    seeds(pairs.iter().map(|(seed, ..)| *seed)),
                    of(left_out, "run is", "runs are")
                )
            });
            (Some(comparison), said)
        }
    }
}

/// How the first run stands to the best ridge regression among the others, over the seeds that both have.
pub(crate) fn against_best_ridge(input: &Input<'_>) -> Option<String> {
    let models = models(&input.runs);
    let (first, others) = models.split_first()?;
    let score = |model: &Model<'_>| {
        let scores = (model.runs.iter())
            .map(|(_, scored)| scored.results.macro_scores.average_precision.mean);
        mean(&scores.collect::<Option<Vec<f64>>>()?)
    };
    let ridges = others.iter().filter(|model| model.is_ridge);
    let (_, best) = ridges
        .filter_map(|model| Some((score(model)?, model)))
        .max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    let pairs = paired(&best.runs, &first.runs).into_iter();
    let (ridge, own): (Vec<_>, Vec<_>) = pairs
        .map(|(_, a, b)| (a.run.clone(), b.run.clone()))
        .unzip();
    let verdict = verdict(&ridge, &own).ok()?;
    Some(verdict.sentence(&first.name, &best.name))
}

/// `seed 3`, `seeds 0, 1`, `no known seed`.
fn seeds(seeds: impl Iterator<Item = Option<u64>>) -> String {
    let known: Vec<String> = seeds.flatten().map(|seed| seed.to_string()).collect();
    match known.as_slice() {
        [] => "no known seed".to_owned(),
        [only] => format!("seed {only}"),
        several => format!("seeds {}", several.join(", ")),
    }
}
