use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use mused::formats::table::{Table, TableWriter};
use mused::results::{Stated, TestResult, evaluate};
use mused::stats::metrics::Undefined;
use mused::train::{Outcome, dataset_of, retrain_relabelled};

use super::evaluate::{evaluate_and_write, p_value};
use super::{CpuTraining, three};
use crate::args::PermuteArgs;
use crate::bars::{TrainingBar, stop_on_interrupt};

/// Index and macro scores of each relabelling.
type Row = [String; 3];

pub(crate) fn run(args: &PermuteArgs) -> anyhow::Result<ExitCode> {
    evaluate(&args.run, Undefined::Exclude)?;
    let dataset = dataset_of(&args.run, args.dataset.as_deref())?;
    let folder = args.run.join("permutations");
    let table = folder.join("scores.tsv");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut rows = read(&table)?;
    stop_on_interrupt()?;
    for index in rows.len() + 1..=args.permutations as usize {
        eprintln!("{index}/{}", args.permutations);
        let run = folder.join(index.to_string());
        let bar = TrainingBar::new();
        let threads = args.threads.count();
        let outcome = retrain_relabelled::<CpuTraining>(
            &args.run,
            &dataset,
            index as u64,
            &run,
            threads,
            &bar,
        )?;
        bar.finish();
        if outcome == Outcome::Interrupted {
            eprintln!("stopped and saved; the same command goes on");
            return Ok(ExitCode::from(130));
        }
        let scores = evaluate(&run, Undefined::Exclude)?.macro_scores;
        let score = |score: Option<f64>| {
            let score = score.context("no label of a relabelled test set can be scored")?;
            anyhow::Ok(score.to_string())
        };
        rows.push([
            index.to_string(),
            score(scores.average_precision.mean)?,
            score(scores.roc_auc.mean)?,
        ]);
        write(&table, &rows)?;
        fs::remove_dir_all(&run).with_context(|| format!("cannot remove {}", run.display()))?;
    }
    let (results, _) = evaluate_and_write(&args.run, Undefined::Exclude)?;
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
        rows.len(),
        table.display()
    );
    Ok(ExitCode::SUCCESS)
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

fn read(path: &Path) -> anyhow::Result<Vec<Row>> {
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let table = Table::read(path)?;
    let column = |name: &str| anyhow::Ok(table.column(name)?.strings()?.into_iter());
    let scores = column("macro_ap")?.zip(column("macro_auc")?);
    let rows = column("index")?.zip(scores);
    let owned = |(index, (ap, auc)): (&str, (&str, &str))| [index, ap, auc].map(str::to_owned);
    Ok(rows.map(owned).collect())
}

fn write(path: &Path, rows: &[Row]) -> anyhow::Result<()> {
    let mut table = TableWriter::create(path, &["index", "macro_ap", "macro_auc"])?;
    for row in rows {
        table.write_row(row)?;
    }
    Ok(table.finish()?)
}
