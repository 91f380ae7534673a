use mused_results::{MetricInference, NoiseCeiling, OverSubjects, Results, Stated};
use mused_stats::summary::mean;

use super::Input;
use crate::escape::escaped;
use crate::figure::{Block, Section};
use crate::figures::{Score, score};
use crate::input::RunFiles;
use crate::number::{count, of, p_value, three, three_or_dash};

/// What was decoded from whom, in a sentence or two: the page's subtitle.
pub(crate) fn lead(files: &RunFiles) -> String {
    let run = &files.run;
    let mut markup = String::new();
    if run.dataset.simulated {
        markup.push_str(
            r#"<p class="simulated">Simulated data: no brain was measured. The numbers below say how well the method finds what the simulation put in.</p>"#,
        );
    }
    let dataset = escaped(&run.dataset.name);
    let name = escaped(&files.name);
    let subjects = of(files.subjects().len(), "subject", "subjects");
    let Ok(results) = &files.results else {
        markup.push_str(&format!(
            r#"<p class="lead">Run <em>{name}</em> on <em>{dataset}</em>, {subjects}: not complete, so there are no scores yet.</p>"#
        ));
        return markup;
    };
    let mut stimuli: Vec<&String> = match &files.predictions {
        Ok(predictions) => predictions
            .keys
            .iter()
            .map(|(_, stimulus)| stimulus)
            .collect(),
        Err(_) => Vec::new(),
    };
    stimuli.sort_unstable();
    stimuli.dedup();
    let division = match results.folds {
        0 | 1 => "held out from training".to_owned(),
        folds => format!("each held out once in {folds}-fold cross-validation"),
    };
    let holdout = match files.settings.text_at("split.holdout_subject") {
        "" => String::new(),
        subject => format!(" Subject {} was never trained on.", escaped(subject)),
    };
    markup.push_str(&format!(
        r#"<p class="lead">{} decoded from the {} responses of {subjects} to {} of <em>{dataset}</em>, {division}.{holdout} Run <em>{name}</em>.</p>"#,
        of(results.labels.len(), "label", "labels"),
        if run.dataset.simulated { "simulated" } else { "fMRI" },
        of(stimuli.len(), "stimulus", "stimuli"),
    ));
    markup
}

/// Scores with intervals and floor; what is significant; the audit.
pub(crate) fn headline(input: &Input<'_>) -> Section {
    let mut section = Section::new("headline", "In short");
    for note in &input.files.notes {
        section.push(Block::Html(format!(
            r#"<p class="note">{}</p>"#,
            escaped(note)
        )));
    }
    let results = match &input.files.results {
        Ok(results) => results,
        Err(why) => {
            section.missing(format!("There are no scores: {why}"));
            section.push(Block::Html(format!(
                r#"<dl class="tiles">{}</dl>"#,
                audit(input.files)
            )));
            return section;
        }
    };
    let (scores, floors) = (&results.macro_scores, &results.floors);
    let inference = &results.inference;
    let mut tiles = String::new();
    for (name, metric, inferred, floor) in [
        (
            "Macro average precision",
            &scores.average_precision,
            &inference.average_precision,
            floors.random_average_precision,
        ),
        (
            "Macro ROC-AUC",
            &scores.roc_auc,
            &inference.roc_auc,
            Some(floors.roc_auc),
        ),
    ] {
        tiles.push_str(&tile(
            name,
            &three_or_dash(metric.mean),
            &[
                interval(inferred),
                test(inferred),
                retrained(inferred),
                format!("knowing nothing: {}", three_or_dash(floor)),
            ],
        ));
    }
    let tested: Vec<f64> = results
        .labels
        .iter()
        .filter_map(|label| label.roc_auc_test.value().map(|test| test.q))
        .collect();
    let found = tested.iter().filter(|q| **q < 0.05).count();
    tiles.push_str(&tile(
        "Labels found (AUC)",
        &format!("{found} of {}", results.labels.len()),
        &[
            "at a false discovery rate of 0.05".to_owned(),
            match results.labels.len() - tested.len() {
                0 => String::new(),
                untested => format!("{untested} cannot be tested"),
            },
        ],
    ));
    tiles.push_str(&audit(input.files));
    section.push(Block::Html(format!(r#"<dl class="tiles">{tiles}</dl>"#)));
    let figures = [
        figure(
            "score-ap",
            "Macro average precision",
            &scores.average_precision,
            &inference.average_precision,
            floors.random_average_precision,
        ),
        figure(
            "score-auc",
            "Macro ROC-AUC",
            &scores.roc_auc,
            &inference.roc_auc,
            Some(floors.roc_auc),
        ),
    ];
    section.figures(figures.into_iter().flatten());
    section.push(Block::Html(reading(results)));
    section
}

fn tile(name: &str, big: &str, lines: &[String]) -> String {
    let lines: String = lines
        .iter()
        .filter(|line| !line.is_empty())
        .map(|line| format!("<dd>{}</dd>", escaped(line)))
        .collect();
    format!(
        r#"<div><dt>{}</dt><dd class="big">{}</dd>{lines}</div>"#,
        escaped(name),
        escaped(big)
    )
}

fn interval(inferred: &MetricInference) -> String {
    match &inferred.interval {
        Stated::Value(interval) => format!(
            "95 % interval {} to {}",
            three(interval.low),
            three(interval.high)
        ),
        Stated::Unavailable { unavailable } => format!("no interval: {unavailable}"),
    }
}

fn test(inferred: &MetricInference) -> String {
    match &inferred.permutation {
        Stated::Value(test) => format!("p {} against relabelled stimuli", p_value(test.p)),
        Stated::Unavailable { unavailable } => format!("no p: {unavailable}"),
    }
}

fn retrained(inferred: &MetricInference) -> String {
    let test = inferred.retrained.value();
    test.map_or(String::new(), |test| {
        format!("p {} against retrained pipelines", p_value(test.p))
    })
}

fn figure(
    id: &str,
    name: &str,
    metric: &OverSubjects,
    inferred: &MetricInference,
    floor: Option<f64>,
) -> Option<crate::figure::Figure> {
    let interval = inferred.interval.value();
    Some(score(&Score {
        id,
        name,
        mean: metric.mean?,
        interval: interval.map(|interval| (interval.low, interval.high)),
        floor,
        subjects: &metric.per_subject,
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
        other => format!("of {}", escaped(other)),
    };
    format!(
        r#"<p class="note">Filled dot: mean over subjects, with its 95 % interval; open dots: subjects. {whom}The floor of AP is what a random ranking of as many samples is expected to reach (prevalence alone: {}); that of AUC is one half. Relabellings: {}, {exchanged}. {}</p>"#,
        three_or_dash(results.floors.average_precision),
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

fn audit(files: &RunFiles) -> String {
    let Some(audit) = &files.run.audit else {
        return tile(
            "Audit for leaks",
            "not made",
            &["run.json holds none; `mused audit RUN` makes one".to_owned()],
        );
    };
    let mut lines: Vec<String> = audit
        .findings
        .iter()
        .map(|finding| format!("let pass: {} ({})", finding.leak, finding.evidence))
        .collect();
    lines.extend(
        audit
            .skipped
            .iter()
            .map(|skipped| format!("not searched: {skipped}")),
    );
    let big = match audit.findings.len() {
        0 => "none found".to_owned(),
        leaks => of(leaks, "leak", "leaks"),
    };
    tile("Audit for leaks", &big, &lines)
}
