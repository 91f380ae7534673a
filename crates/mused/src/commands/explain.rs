use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use mused::formats::quoted;
use mused::{Explanation, PartDrop, Run, explain};

use super::three;
use crate::args::ExplainArgs;
use crate::bars::Counter;

pub(crate) fn run(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    args.device.choose()?;
    let explanation = explained(&args.run, args.dataset.as_deref(), args.fold)?;
    print!("{}", summary(&explanation));
    Ok(ExitCode::SUCCESS)
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

fn summary(explanation: &Explanation) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    if !explanation.drops.is_empty() {
        let _ = writeln!(
            text,
            "what macro AP and AUC lose without a part (95 % interval), the largest {} of {}",
            SHOWN_PARTS.min(explanation.drops.len()),
            explanation.drops.len()
        );
    }
    let mut largest: Vec<&PartDrop> = explanation.drops.iter().collect();
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
