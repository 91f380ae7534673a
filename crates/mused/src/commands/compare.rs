use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use mused::benchmark::Compared;
use mused::run::Stated;
use mused::seeds::paired;
use mused::{Comparison, MetricDifference, Run, compare_seeds};
use serde_json::json;

use super::evaluate::p_value;
use crate::args::CompareArgs;

pub(crate) fn run(args: &CompareArgs) -> anyhow::Result<ExitCode> {
    let mut comparisons = Vec::with_capacity(args.others.len());
    let reference = seeds(&args.reference)?;
    for other in &args.others {
        let (a, b) = matched(&reference, &seeds(other)?, other)?;
        let comparison = compare_seeds(&a, &b)?;
        comparisons.push((other.display().to_string(), Ok(comparison)));
    }
    if args.json {
        let runs: Vec<_> = comparisons
            .iter()
            .map(|(run, comparison)| json!({ "run": run, "difference": comparison.as_ref().ok() }))
            .collect();
        let all = json!({ "reference": args.reference, "runs": runs });
        println!("{}", serde_json::to_string_pretty(&all)?);
    } else {
        print_differences(&args.reference.display().to_string(), &comparisons);
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs with their seeds.
type Runs = Vec<(Option<u64>, Run)>;

/// The run itself, or the runs `seed-S` in a folder of them.
fn seeds(path: &Path) -> anyhow::Result<Runs> {
    let opened = Run::open_predictions(path);
    let mut runs = Vec::new();
    if opened.is_err() && path.is_dir() {
        for entry in
            fs::read_dir(path).with_context(|| format!("cannot list {}", path.display()))?
        {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            if name.is_some_and(|name| name.starts_with("seed-")) {
                runs.push(Run::open(&path)?);
            }
        }
    }
    if runs.is_empty() {
        runs.push(opened?);
    }
    let seeded = |run: Run| (run.config().ok().map(|config| config.train.seed), run);
    let mut runs: Runs = runs.into_iter().map(seeded).collect();
    runs.sort_by_key(|(seed, _)| *seed);
    Ok(runs)
}

/// The runs of two models side by side: of the same seeds, or one of each.
fn matched(reference: &Runs, other: &Runs, path: &Path) -> anyhow::Result<(Vec<Run>, Vec<Run>)> {
    if let ([(_, a)], [(_, b)]) = (reference.as_slice(), other.as_slice()) {
        return Ok((vec![a.clone()], vec![b.clone()]));
    }
    let pairs = paired(reference, other);
    if pairs.len() < reference.len().max(other.len()) {
        let names = |runs: &Runs| {
            let seeds = runs
                .iter()
                .map(|(seed, _)| seed.map_or("unknown".to_owned(), |s| s.to_string()));
            seeds.collect::<Vec<_>>().join(", ")
        };
        bail!(
            "{}: expected the seeds {} of the reference, found {}",
            path.display(),
            names(reference),
            names(other)
        );
    }
    Ok(pairs
        .into_iter()
        .map(|(_, a, b)| (a.clone(), b.clone()))
        .unzip())
}

/// Prints how models differ from a reference.
pub(super) fn print_differences(reference: &str, comparisons: &[Compared]) {
    println!(
        "{:<28} {:>8} {:>18} {:>9} {:>9} {:>9}",
        format!("minus {reference}"),
        "",
        "95 % interval",
        "subjects",
        "stimuli",
        "both"
    );
    for (model, comparison) in comparisons {
        let comparison = match comparison {
            Ok(comparison) => comparison,
            Err(message) => {
                println!("{model}\n  {message}");
                continue;
            }
        };
        match comparison.seeds {
            1 => println!("{model}"),
            seeds => println!("{model} (mean over {seeds} seeds)"),
        }
        print("macro AP", &comparison.average_precision);
        print("macro ROC-AUC", &comparison.roc_auc);
        println!("    {}", differing_labels(comparison));
        println!("    {}", comparison.verdict.sentence(model, reference));
    }
    println!(
        "last columns: two-sided p for other subjects, other stimuli, both (see CORRECTNESS.md)"
    );
}

/// Labels named in a line; `--json` has all.
const SHOWN_LABELS: usize = 5;

/// The labels that one of the models scores higher.
fn differing_labels(comparison: &Comparison) -> String {
    let mut labels: Vec<(&str, f64)> = (comparison.labels.iter())
        .filter_map(|label| {
            let found = label.average_precision.value()?;
            let sure = found.q.is_some_and(|q| q <= 0.05);
            sure.then_some((label.name.as_str(), found.interval.estimate))
        })
        .collect();
    labels.sort_by(|(_, a), (_, b)| b.abs().total_cmp(&a.abs()));
    let shown = labels.iter().take(SHOWN_LABELS);
    let mut shown: Vec<String> = shown
        .map(|(name, difference)| format!("{name} {difference:+.2}"))
        .collect();
    match labels.len() {
        0 => shown.push("none".to_owned()),
        all if all > SHOWN_LABELS => shown.push(format!("… {} more", all - SHOWN_LABELS)),
        _ => {}
    }
    format!(
        "labels that differ at a false discovery rate of 5 %: {}",
        shown.join(", ")
    )
}

fn print(name: &str, difference: &MetricDifference) {
    let p = |p: &Stated<f64>| p.value().map_or("–".to_owned(), |p| p_value(*p));
    let [mean, interval] = match &difference.interval {
        Stated::Value(interval) => [
            format!("{:+.4}", interval.estimate),
            format!("{:+.4} to {:+.4}", interval.low, interval.high),
        ],
        Stated::Unavailable { .. } => ["–".to_owned(), "–".to_owned()],
    };
    println!(
        "  {name:<26} {mean:>8} {interval:>18} {:>9} {:>9} {:>9}",
        p(&difference.p_over_subjects),
        p(&difference.p_over_stimuli),
        p(&difference.p_over_both)
    );
    if let Stated::Unavailable { unavailable } = &difference.interval {
        println!("    {unavailable}");
    }
}
