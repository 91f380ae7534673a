use std::fmt::Write as _;
use std::process::ExitCode;

use mused::run::{OverSubjects, Stated};
use mused::stats::metrics::Undefined;
use mused::{Results, Run, evaluate_with};

use super::three;
use crate::args::{EvaluateArgs, UndefinedArg};
use crate::bars::spinner;

pub(crate) fn run(args: &EvaluateArgs) -> anyhow::Result<ExitCode> {
    let undefined = match args.undefined {
        UndefinedArg::Exclude => Undefined::Exclude,
        UndefinedArg::Sklearn => Undefined::Sklearn,
        UndefinedArg::Reference => Undefined::Reference,
    };
    let run = Run::open_predictions(&args.run)?;
    let results = evaluate_and_write(&run, undefined)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&results)?);
    } else {
        print!("{}", table(&results));
        println!("\nwritten to {}", run.results_path().display());
        print!("{}", against_ridge(&results));
    }
    Ok(ExitCode::SUCCESS)
}

/// Scores a run and writes its `results.json`, with a sign of life.
pub(crate) fn evaluate_and_write(run: &Run, undefined: Undefined) -> anyhow::Result<Results> {
    let spinner = spinner("scores, intervals, 10,000 relabellings");
    let results = evaluate_with(run, undefined);
    spinner.finish_and_clear();
    Ok(results?)
}

/// A p to two digits.
pub(super) fn p_value(p: f64) -> String {
    if p < 0.001 {
        format!("{p:.1e}")
    } else {
        format!("{p:.3}")
    }
}

/// The last word: whether the network is worth more than ridge regression. Nothing of what is no network.
fn against_ridge(results: &Results) -> String {
    match &results.ridge {
        None => String::new(),
        Some(Stated::Unavailable { unavailable }) => {
            format!("\nno ridge regression to hold the network against: {unavailable}\n")
        }
        Some(Stated::Value(ridge)) => format!(
            "\n{}, beside the network: macro AP {}, macro ROC-AUC {}\n{}\n",
            ridge.name(),
            three(ridge.average_precision),
            three(ridge.roc_auc),
            ridge.sentence()
        ),
    }
}

/// Labels shown in the table; all are in `results.json`.
const SHOWN_LABELS: usize = 10;

fn table(results: &Results) -> String {
    let mut text = String::new();
    let scores = &results.macro_scores;
    let floors = &results.floors;
    let _ = writeln!(
        text,
        "{:<24} {:>7} {:>7} {:>9}",
        "mean over subjects", "score", "sd", "floor"
    );
    let mut row = |name: &str, metric: &OverSubjects, floor: Option<f64>| {
        let (mean, sd) = (three(metric.mean), three(metric.sd));
        let _ = writeln!(text, "{name:<24} {mean:>7} {sd:>7} {:>9}", three(floor));
    };
    if let Some(accuracy) = &results.accuracy {
        row("accuracy", &accuracy.scores, Some(accuracy.most_frequent));
    }
    row(
        "macro AP",
        &scores.average_precision,
        floors.random_average_precision,
    );
    row("macro ROC-AUC", &scores.roc_auc, Some(floors.roc_auc));
    row("Hamming loss", &scores.hamming_loss, floors.hamming_loss);
    if results.accuracy.is_none() {
        row("subset accuracy", &scores.subset_accuracy, None);
    }
    row("micro AP", &scores.micro_average_precision, None);
    let inference = &results.inference;
    let accuracy = results.accuracy.iter();
    let accuracy = accuracy.map(|found| ("accuracy", &found.interval, &found.permutation));
    let macros = [
        ("macro AP", &inference.average_precision),
        ("macro ROC-AUC", &inference.roc_auc),
    ];
    let macros = macros.map(|(name, metric)| (name, &metric.interval, &metric.permutation));
    for (name, interval, permutation) in accuracy.chain(macros) {
        let interval = match interval {
            Stated::Value(interval) => format!(
                "95 % interval {:.3} to {:.3} for other {}",
                interval.low, interval.high, interval.generalises_to
            ),
            Stated::Unavailable { unavailable } => format!("no interval: {unavailable}"),
        };
        let test = match permutation {
            Stated::Value(test) => format!("p = {}", p_value(test.p)),
            Stated::Unavailable { unavailable } => format!("no p: {unavailable}"),
        };
        let _ = writeln!(text, "{name}: {interval}; {test}");
    }
    let _ = writeln!(
        text,
        "p: {} relabellings of test stimuli ({}), predictions fixed",
        inference.permutations,
        match inference.exchanged.as_str() {
            "shift" => "shifted along a circle",
            "groups" => "whole groups exchanged",
            "blocks" => "blocks exchanged within their groups",
            _ => "exchanged",
        }
    );
    let _ = writeln!(
        text,
        "floors: AP = what a random ranking of as many samples is expected to reach, Hamming = predicting no label{}",
        match results.accuracy {
            Some(_) => ", accuracy = naming the most frequent label always",
            None => "",
        }
    );

    let header = format!(
        "{:<24} {:>7} {:>7} {:>7} {:>9}",
        "subject", "AP", "AUC", "Hamming", "samples"
    );
    let _ = writeln!(text, "\n{header}");
    let mut unscorable = 0;
    for (id, subject) in &results.subjects {
        unscorable = unscorable.max(subject.unscorable_average_precision);
        let _ = writeln!(
            text,
            "{id:<24} {:>7} {:>7} {:>7} {:>9}",
            three(subject.average_precision),
            three(subject.roc_auc),
            three(Some(subject.hamming_loss)),
            subject.samples
        );
    }
    if unscorable > 0 {
        let _ = writeln!(
            text,
            "up to {unscorable} of {} labels have no positive test sample in a subject; \
             --undefined {} decided what they count as",
            results.labels.len(),
            results.undefined
        );
    }

    let mut labels: Vec<_> = results.labels.iter().collect();
    labels.sort_by_key(|label| std::cmp::Reverse(label.positives));
    let header = format!(
        "{:<24} {:>7} {:>7} {:>10} {:>8}",
        "label", "AP", "AUC", "prevalence", "q of AUC"
    );
    let _ = writeln!(text, "\n{header}");
    for label in labels.iter().take(SHOWN_LABELS) {
        let _ = writeln!(
            text,
            "{:<24} {:>7} {:>7} {:>10} {:>8}",
            label.name,
            three(label.average_precision),
            three(label.roc_auc),
            three(Some(label.prevalence)),
            label
                .roc_auc_test
                .value()
                .map_or("–".to_owned(), |test| p_value(test.q))
        );
    }
    if labels.len() > SHOWN_LABELS {
        let _ = writeln!(
            text,
            "… {} more in results.json",
            labels.len() - SHOWN_LABELS
        );
    }
    text
}
