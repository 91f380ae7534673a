use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use mused::run::{Stated, TestResult};
use mused::stats::metrics::Undefined;
use mused::{Error, Run, Training, evaluate};

use super::evaluate::{evaluate_and_write, p_value};
use super::three;
use crate::args::PermuteArgs;
use crate::bars::TrainingBar;
use crate::signals;

pub(crate) fn run(args: &PermuteArgs) -> anyhow::Result<ExitCode> {
    args.device.choose()?;
    let run = Run::open(&args.run)?;
    run.refuse_incomplete()?;
    let dataset = run.dataset(args.dataset.as_deref())?;
    let _alone = Run::claim(&run.permutations_folder())?;
    let mut retrained = run.retrained()?;
    // A process may have ended between its scores and the end of its run.
    remove(&run.relabelled_run(retrained.roc_auc.len()))?;
    signals::stop_when_asked()?;
    args.memory.limit();
    for index in retrained.roc_auc.len() + 1..=args.permutations as usize {
        eprintln!("{index}/{}", args.permutations);
        let out = run.relabelled_run(index);
        let bar = TrainingBar::new();
        let training = Training::new(&dataset)
            .progress(&bar)
            .threads(args.threads.count());
        let relabelled = training.relabelled(&run, index as u64, &out);
        bar.finish();
        if let Err(Error::Interrupted(_)) = relabelled {
            eprintln!("stopped and saved; the same command goes on");
            return Ok(signals::exit_code());
        }
        let scores = evaluate(&relabelled?)?.macro_scores;
        let score =
            |score: Option<f64>| score.context("no label of a relabelled test set can be scored");
        retrained.push(
            score(scores.average_precision.mean)?,
            score(scores.roc_auc.mean)?,
        );
        run.write_retrained(&retrained)?;
        remove(&out)?;
    }
    let results = evaluate_and_write(&run, Undefined::Exclude)?;
    println!("{:<16} {:>7} {:>12} {:>7}", "", "score", "relabelled", "p");
    let inference = &results.inference;
    print(
        "macro AP",
        results.macro_scores.average_precision.mean,
        &inference.average_precision.retrained,
    );
    print(
        "macro ROC-AUC",
        results.macro_scores.roc_auc.mean,
        &inference.roc_auc.retrained,
    );
    println!(
        "\n{} runs retrained on relabelled stimuli, as the run was trained; kept in {}",
        retrained.roc_auc.len(),
        run.retrained_path().display()
    );
    Ok(ExitCode::SUCCESS)
}

fn remove(folder: &Path) -> anyhow::Result<()> {
    match folder.exists() {
        true => fs::remove_dir_all(folder)
            .with_context(|| format!("cannot remove {}", folder.display())),
        false => Ok(()),
    }
}

fn print(name: &str, score: Option<f64>, test: &Stated<TestResult>) {
    match test {
        Stated::Value(test) => println!(
            "{name:<16} {:>7} {:>12} {:>7}",
            three(score),
            three(Some(test.null_mean)),
            p_value(test.p)
        ),
        Stated::Unavailable { unavailable } => println!("{name:<16} {unavailable}"),
    }
}
