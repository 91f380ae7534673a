use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use mused::run::{Stated, TestResult};
use mused::stats::metrics::Undefined;
use mused::{Dataset, Error, Permutations, Run, evaluate};

use super::evaluate::{evaluate_and_write, p_value};
use super::{planned, three};
use crate::args::PermuteArgs;
use crate::bars::TrainingBar;
use crate::signals;

/// What permutations borrow.
pub(crate) struct Asked {
    run: Run,
    dataset: Dataset,
    count: usize,
}

impl Asked {
    pub(crate) fn new(args: &PermuteArgs) -> anyhow::Result<Self> {
        args.device.choose()?;
        let run = Run::open(&args.run)?;
        run.refuse_incomplete()?;
        Ok(Self {
            dataset: run.dataset(args.dataset.as_deref())?,
            run,
            count: args.permutations as usize,
        })
    }

    pub(crate) fn permutations(&self, threads: usize) -> Permutations<'_> {
        Permutations {
            run: &self.run,
            dataset: &self.dataset,
            count: self.count,
            threads,
        }
    }
}

pub(crate) fn run(args: &PermuteArgs) -> anyhow::Result<ExitCode> {
    let asked = Asked::new(args)?;
    let permutations = asked.permutations(args.threads.count());
    if let Some(folder) = &args.plan.plan {
        return planned::write(folder, &args.plan, args.memory.asked(), &permutations);
    }
    let run = &asked.run;
    let _alone = Run::claim(&run.permutations_folder())?;
    let mut retrained = run.retrained()?;
    // A process may have ended between its scores and the end of its run.
    remove(&run.relabelled_run(retrained.roc_auc.len()))?;
    signals::stop_when_asked()?;
    args.memory.limit();
    args.time.limit();
    for index in permutations.missing()? {
        eprintln!("{index}/{}", args.permutations);
        let bar = TrainingBar::new();
        let relabelled = permutations.relabelled(index, &bar);
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
        remove(&run.relabelled_run(index))?;
    }
    let results = evaluate_and_write(run, Undefined::Exclude)?;
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
