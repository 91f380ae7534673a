use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use mused::data::one_of;
use mused::formats::quoted;
use mused::{Explanation, PartDrop, Run, explain, unique_contributions};

use super::three;
use crate::args::ExplainArgs;
use crate::bars::Counter;

pub(crate) fn run(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    args.device.choose()?;
    let label = match &args.label {
        Some(name) => Some((name, label_of(&Run::open(&args.run)?, name)?)),
        None => None,
    };
    let explanation = explained(&args.run, args.dataset.as_deref(), args.fold)?;
    print!("{}", summary(&explanation));
    if let Some((name, label)) = label {
        print!("{}", of_label(&explanation, name, label));
    }
    if args.unique {
        let drops = unique(&args.run, args.dataset.as_deref())?;
        println!(
            "\nwhere ridge regression is fitted again without a part, what it alone says is lost"
        );
        print!("{}", largest(&drops));
        if let Some((name, label)) = label {
            print!("{}", lost_by(&drops, name, label));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The place of a label of a run.
fn label_of(run: &Run, name: &str) -> anyhow::Result<usize> {
    let labels = run.predictions()?.labels;
    let place = labels.iter().position(|label| label == name);
    place.with_context(|| {
        let known: Vec<&str> = labels.iter().map(String::as_str).collect();
        format!(
            "--label {name}: expected a label of the run, {}",
            one_of(name, &known)
        )
    })
}

/// Fits again without each region, with a bar.
fn unique(run: &Path, dataset: Option<&Path>) -> anyhow::Result<Vec<PartDrop>> {
    let fits = Counter::new("fits");
    let run = Run::open(run)?;
    let dataset = run.dataset(dataset)?;
    let drops = unique_contributions(&run, &dataset, &mut |done, total| fits.set(done, total));
    fits.finish();
    Ok(drops?)
}

/// What a label loses without each part, and where its pattern is.
fn of_label(explanation: &Explanation, name: &str, label: usize) -> String {
    let mut text = lost_by(&explanation.drops, name, label);
    if let Some(image) = explanation.patterns.last() {
        let _ = writeln!(
            text,
            "its pattern, voxel by voxel: map {} of {}",
            label + 1,
            explanation.folder.join(image).display()
        );
    }
    text
}

/// What a label loses without each part, the most first.
fn lost_by(drops: &[PartDrop], name: &str, label: usize) -> String {
    let mut text = format!("\nwhat the AUC of {name} loses without a part (95 % interval)\n");
    let known = drops.iter();
    let mut lost: Vec<(&str, [f64; 3])> = known
        .filter_map(|drop| Some((drop.part.as_str(), (*drop.labels.get(label)?)?)))
        .collect();
    lost.sort_by(|a, b| b.1[1].total_cmp(&a.1[1]));
    for (part, [low, mean, high]) in &lost {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{part:<24} {mean:>6.3} ({low:.3} to {high:.3})");
    }
    if lost.is_empty() {
        text.push_str("not known: too few test samples have it\n");
    }
    text
}

/// Explains a run, with a bar.
pub(super) fn explained(
    run: &Path,
    dataset: Option<&Path>,
    fold: usize,
) -> anyhow::Result<Explanation> {
    let passes = Counter::new("passes");
    let run = Run::open(run)?;
    let dataset = run.dataset(dataset)?;
    let explanation = explain(&run, &dataset, fold, &mut |done, total| {
        passes.set(done, total)
    });
    passes.finish();
    Ok(explanation?)
}

/// Parts shown; all are in `occlusion.tsv`.
const SHOWN_PARTS: usize = 5;

/// What scores lose without a part, the most first.
fn largest(drops: &[PartDrop]) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    if !drops.is_empty() {
        let _ = writeln!(
            text,
            "what macro AP and AUC lose without a part (95 % interval), the largest {} of {}",
            SHOWN_PARTS.min(drops.len()),
            drops.len()
        );
    }
    let mut largest: Vec<&PartDrop> = drops.iter().collect();
    let lost = |drop: &PartDrop| drop.average_precision.mean.unwrap_or(f64::NEG_INFINITY);
    largest.sort_by(|a, b| lost(b).total_cmp(&lost(a)));
    for drop in largest.into_iter().take(SHOWN_PARTS) {
        let _ = write!(text, "{:<24}", drop.part);
        for (name, score) in [("AP", &drop.average_precision), ("AUC", &drop.roc_auc)] {
            let _ = write!(text, "  {name} {:>6}", three(score.mean));
            if let Some([low, high]) = score.interval {
                let _ = write!(text, " ({low:.3} to {high:.3})");
            }
        }
        text.push('\n');
    }
    text
}

fn summary(explanation: &Explanation) -> String {
    let mut text = largest(&explanation.drops);
    // Writing to a String cannot fail.
    if !explanation.tokens.is_empty() {
        let _ = writeln!(
            text,
            "\n{:<24}{:>8}{:>8}  Spearman, mean over subjects",
            "guidance", "high", "low"
        );
    }
    for token in &explanation.tokens {
        let (high, low) = (three(token.guidance_high), three(token.guidance_low));
        let _ = writeln!(
            text,
            "{:<24}{high:>8}{low:>8}",
            format!("{}-level token", token.level)
        );
    }
    for note in &explanation.notes {
        let _ = writeln!(text, "note: {note}");
    }
    let _ = writeln!(text, "\nwritten to {}", explanation.folder.display());
    if !explanation.patterns.is_empty() {
        let _ = writeln!(
            text,
            "patterns of ridge regression, a map a label (patterns/labels.tsv): {}",
            explanation.patterns.join(", ")
        );
    }
    if let (Some(subject), Some(dataset)) = (explanation.importance.first(), &explanation.dataset) {
        let values = explanation.folder.join("importance");
        let _ = writeln!(
            text,
            "as an image: mused map {} --subject {} --values {} --out {}",
            quoted(dataset),
            quoted(subject),
            quoted(values.join(format!("{subject}.npy"))),
            quoted(format!("{subject}.nii.gz"))
        );
    }
    text
}
