use std::process::ExitCode;

use mused::results::{Comparison, MetricDifference, Stated, compare};
use serde_json::json;

use super::evaluate::p_value;
use crate::args::CompareArgs;

pub(crate) fn run(args: &CompareArgs) -> anyhow::Result<ExitCode> {
    let mut comparisons = Vec::with_capacity(args.others.len());
    for other in &args.others {
        comparisons.push((other, compare(&args.reference, other)?));
    }
    if args.json {
        let runs: Vec<_> = comparisons
            .iter()
            .map(|(run, comparison)| json!({ "run": run, "difference": comparison }))
            .collect();
        let all = json!({ "reference": args.reference, "runs": runs });
        println!("{}", serde_json::to_string_pretty(&all)?);
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "{:<28} {:>8} {:>18} {:>9} {:>9} {:>9}",
        format!("minus {}", args.reference.display()),
        "",
        "95 % interval",
        "subjects",
        "stimuli",
        "both"
    );
    for (run, comparison) in &comparisons {
        let Comparison {
            average_precision,
            roc_auc,
        } = comparison;
        println!("{}", run.display());
        print("macro AP", average_precision);
        print("macro ROC-AUC", roc_auc);
    }
    println!(
        "last columns: two-sided p for other subjects, other stimuli, both (see CORRECTNESS.md)"
    );
    Ok(ExitCode::SUCCESS)
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
