use mused_data::audit::Report;
use mused_data::quality::Quality;
use mused_run::{
    AccuracyResult, IntervalResult, MetricInference, NoiseCeiling, OverSubjects, Results, Stated,
    TestResult,
};
use mused_stats::summary::mean;

use super::{Input, against_best_ridge};
use crate::escape::escaped;
use crate::figure::{Block, Figure, Section};
use crate::figures::{Score, score};
use crate::number::{count, of, p_value, three, three_or_dash};

/// Scores with intervals and floor; what is significant; the audit.
pub(crate) fn headline(input: &Input<'_>) -> Section {
    let mut section = Section::new("headline", "In short");
    if let Some(note) = &input.first().note {
        section.push(Block::Html(format!(
            r#"<p class="note">{}</p>"#,
            escaped(note)
        )));
    }
    let audit = audit(input.facts.audit);
    match &input.first().results {
        Ok(results) => {
            if let Some(verdict) = verdict(input, results) {
                section.push(Block::Html(verdict));
            }
            section.push(words(results, input.quality.as_ref()));
            let metrics = metrics(results);
            let mut all: Vec<Tile> = results
                .accuracy
                .iter()
                .map(|own| accuracy(input, own))
                .collect();
            all.extend(metrics.iter().map(tile));
            all.extend([found(results), audit]);
            section.push(tiles(&all));
            let named = results.accuracy.iter().filter_map(of_accuracy);
            section.figures(named.chain(metrics.iter().filter_map(figure)));
            let mut how = Section::inside();
            how.push(Block::Html(reading(results)));
            section.fold("How to read these numbers", how);
        }
        Err(why) => {
            section.missing(format!("There are no scores: {why}"));
            section.push(tiles(&[audit]));
        }
    }
    section
}

/// Which labels and subjects did best and worst, and who looks unlike the others.
fn words(results: &Results, quality: Option<&Quality>) -> Block {
    let mut sentences = results.of_labels_and_subjects();
    sentences.extend(quality.into_iter().flat_map(Quality::in_words));
    let paragraph = |sentence: &String| format!("<p>{}</p>", escaped(sentence));
    let sentences: String = sentences.iter().map(paragraph).collect();
    Block::Html(format!(r#"<div class="words">{sentences}</div>"#))
}

/// How the network stands to ridge regression: the one beside it, else the best of the runs that it is compared with.
fn verdict(input: &Input<'_>, results: &Results) -> Option<String> {
    let (class, words) = match (&results.ridge, against_best_ridge(input)) {
        (Some(Stated::Value(ridge)), _) => ("verdict", ridge.sentence()),
        (Some(_), Some(sentence)) => ("verdict", sentence),
        (Some(Stated::Unavailable { unavailable }), None) => (
            "note",
            format!("No ridge regression to hold the network against: {unavailable}."),
        ),
        (None, _) => return None,
    };
    Some(format!(r#"<p class="{class}">{}</p>"#, escaped(&words)))
}

/// A number in large letters, and what is said of it.
struct Tile {
    name: &'static str,
    big: String,
    /// Empty ones are left out.
    lines: Vec<String>,
}

fn tiles(tiles: &[Tile]) -> Block {
    let line = |line: &String| match line.as_str() {
        "" => String::new(),
        line => format!("<dd>{}</dd>", escaped(line)),
    };
    let tile = |tile: &Tile| {
        format!(
            r#"<div><dt>{}</dt><dd class="big">{}</dd>{}</div>"#,
            escaped(tile.name),
            escaped(&tile.big),
            tile.lines.iter().map(line).collect::<String>()
        )
    };
    let tiles: String = tiles.iter().map(tile).collect();
    Block::Html(format!(r#"<dl class="tiles">{tiles}</dl>"#))
}

/// A macro score with what is known of it.
struct Metric<'a> {
    id: &'static str,
    name: &'static str,
    scores: &'a OverSubjects,
    inferred: &'a MetricInference,
    /// Of the ridge regression beside a network.
    ridge: Option<f64>,
    floor: Option<f64>,
}

fn metrics(results: &Results) -> [Metric<'_>; 2] {
    let (scores, inference) = (&results.macro_scores, &results.inference);
    let ridge = results.ridge.as_ref().and_then(Stated::value);
    [
        Metric {
            id: "score-ap",
            name: "Macro average precision",
            scores: &scores.average_precision,
            inferred: &inference.average_precision,
            ridge: ridge.and_then(|ridge| ridge.average_precision),
            floor: results.floors.random_average_precision,
        },
        Metric {
            id: "score-auc",
            name: "Macro ROC-AUC",
            scores: &scores.roc_auc,
            inferred: &inference.roc_auc,
            ridge: ridge.and_then(|ridge| ridge.roc_auc),
            floor: Some(results.floors.roc_auc),
        },
    ]
}

fn tile(metric: &Metric<'_>) -> Tile {
    Tile {
        name: metric.name,
        big: three_or_dash(metric.scores.mean),
        lines: vec![
            beside(metric.ridge, metric.floor),
            interval(&metric.inferred.interval),
            test(&metric.inferred.permutation),
            retrained(metric.inferred),
        ],
    }
}

/// What a score is held against.
fn beside(ridge: Option<f64>, floor: Option<f64>) -> String {
    let chance = format!("chance {}", three_or_dash(floor));
    match ridge {
        Some(ridge) => format!("ridge {} · {chance}", three(ridge)),
        None => chance,
    }
}

fn accuracy(input: &Input<'_>, found: &AccuracyResult) -> Tile {
    let ridge = input.files.run().ridge().and_then(Result::ok);
    let ridge = ridge.and_then(|ridge| ridge.run.results().ok()?.ok());
    let ridge = ridge.and_then(|results| results.accuracy?.scores.mean);
    Tile {
        name: "Accuracy",
        big: three_or_dash(found.scores.mean),
        lines: vec![
            beside(ridge, Some(found.most_frequent)),
            interval(&found.interval),
            test(&found.permutation),
        ],
    }
}

fn interval(interval: &Stated<IntervalResult>) -> String {
    match interval {
        Stated::Value(interval) => format!(
            "95 % interval {} to {}",
            three(interval.low),
            three(interval.high)
        ),
        Stated::Unavailable { unavailable } => format!("no interval: {unavailable}"),
    }
}

fn test(test: &Stated<TestResult>) -> String {
    match test {
        Stated::Value(test) => format!("p {}", p_value(test.p)),
        Stated::Unavailable { unavailable } => format!("no p: {unavailable}"),
    }
}

fn retrained(inferred: &MetricInference) -> String {
    let test = inferred.retrained.value();
    test.map_or(String::new(), |test| {
        format!("p {} over retrained pipelines", p_value(test.p))
    })
}

fn found(results: &Results) -> Tile {
    let labels = results.labels.iter();
    let tested: Vec<f64> = labels
        .filter_map(|label| Some(label.roc_auc_test.value()?.q))
        .collect();
    let found = tested.iter().filter(|q| **q < 0.05).count();
    let untested = match results.labels.len() - tested.len() {
        0 => String::new(),
        untested => format!("{untested} cannot be tested"),
    };
    Tile {
        name: "Labels found (AUC)",
        big: match tested.is_empty() {
            true => "not tested".to_owned(),
            false => format!("{found} of {}", results.labels.len()),
        },
        lines: vec!["false discovery rate 0.05".to_owned(), untested],
    }
}

fn audit(audit: Option<&Report>) -> Tile {
    let name = "Audit for leaks";
    let Some(audit) = audit else {
        return Tile {
            name,
            big: "not made".to_owned(),
            lines: vec!["run.json holds none; `mused audit RUN` makes one".to_owned()],
        };
    };
    let findings = audit.findings.iter();
    let findings = findings.map(|found| format!("let pass: {} ({})", found.leak, found.evidence));
    let skipped = match audit.skipped.len() {
        0 => None,
        count => Some(format!(
            "{} not searched: see Methods",
            of(count, "kind", "kinds")
        )),
    };
    Tile {
        name,
        big: match audit.findings.len() {
            0 => "none found".to_owned(),
            leaks => of(leaks, "leak", "leaks"),
        },
        lines: findings.chain(skipped).collect(),
    }
}

fn of_accuracy(found: &AccuracyResult) -> Option<Figure> {
    let interval = found.interval.value();
    Some(score(&Score {
        id: "score-accuracy",
        name: "Accuracy",
        mean: found.scores.mean?,
        interval: interval.map(|interval| (interval.low, interval.high)),
        floor: Some(found.most_frequent),
        subjects: &found.scores.per_subject,
    }))
}

fn figure(metric: &Metric<'_>) -> Option<Figure> {
    let interval = metric.inferred.interval.value();
    Some(score(&Score {
        id: metric.id,
        name: metric.name,
        mean: metric.scores.mean?,
        interval: interval.map(|interval| (interval.low, interval.high)),
        floor: metric.floor,
        subjects: &metric.scores.per_subject,
    }))
}

fn reading(results: &Results) -> String {
    let whom = match results.inference.roc_auc.interval.value() {
        Some(interval) => format!(
            "Intervals are for other {}. ",
            escaped(&interval.generalises_to)
        ),
        None => String::new(),
    };
    let exchanged = match results.inference.exchanged.as_str() {
        "shift" => "shifted along a circle".to_owned(),
        "blocks" => "of blocks within their groups".to_owned(),
        other => format!("of {}", escaped(other)),
    };
    format!(
        r#"<p class="note">Filled dot: mean over subjects, with its 95 % interval; open dots: subjects. {whom}Chance of AP is what a random ranking of as many samples is expected to reach; that of AUC is one half. Chance of accuracy: naming the most frequent label always. p: against {} relabellings of test stimuli, {exchanged}. {}</p>"#,
        count(results.inference.permutations),
        ceiling(&results.noise_ceiling),
    )
}

/// A decoder's scores have no noise ceiling; its data do.
fn ceiling(ceiling: &NoiseCeiling) -> String {
    let mut text = "No formula gives the noise ceiling of a decoder's scores.".to_owned();
    let known: Vec<f64> = ceiling
        .responses
        .values()
        .filter_map(|share| share.value().copied())
        .collect();
    if let Some(mean) = mean(&known) {
        text.push_str(&format!(
            " Repeats: stimuli explain {} of the variance of a voxel's mean response (mean over subjects).",
            three(mean)
        ));
    }
    if let Stated::Value(geometry) = &ceiling.geometry {
        text.push_str(&format!(
            " Between subjects: a perfect model of the geometry of responses would correlate {} to {} with them.",
            three(geometry.lower),
            three(geometry.upper)
        ));
    }
    text
}
