use std::process::ExitCode;

use mused::benchmark::{Benchmark, Row, rows};
use mused::data::Dataset;
use mused::results::Results;
use mused::train::{Layers, MODELS};

use super::{CpuTraining, three};
use crate::args::BenchmarkArgs;
use crate::bars::{TrainingBar, stop_on_interrupt};

pub(crate) fn run(args: &BenchmarkArgs) -> anyhow::Result<ExitCode> {
    let dataset = Dataset::open(&args.dataset)?;
    let mut layers = Layers::preset(&args.preset)?;
    if let Some(file) = &args.config {
        layers.file(file)?;
    }
    for assignment in &args.settings {
        layers.set(assignment)?;
    }
    if let Some(folds) = args.folds {
        layers.insert("split.folds", i64::from(folds), "--folds")?;
    }
    let models = match args.models.as_slice() {
        [] => MODELS.iter().map(|model| model.name.to_owned()).collect(),
        chosen => chosen.to_vec(),
    };
    stop_on_interrupt()?;
    let benchmark = Benchmark {
        dataset: &dataset,
        layers: &layers,
        models: &models,
        seeds: &args.seeds,
        out: &args.out,
        threads: args.threads.count(),
    };
    let entries = benchmark.run::<CpuTraining, _>(|place, total, name| {
        eprintln!("{place}/{total}: {name}");
        TrainingBar::new()
    })?;
    let Some(entries) = entries else {
        eprintln!("stopped and saved; the same command goes on");
        return Ok(ExitCode::from(130));
    };
    let mut scored = entries
        .iter()
        .filter_map(|entry| entry.results.as_ref().ok());
    print(&rows(&entries), scored.next_back());
    let mut failed = false;
    for entry in &entries {
        if let Err(message) = &entry.results {
            failed = true;
            eprintln!("{}, seed {}: {message}", entry.model, entry.seed);
        }
    }
    let table = args.out.join("benchmark.tsv");
    println!("\nwritten to {}", table.display());
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn print(rows: &[Row], any: Option<&Results>) {
    println!(
        "{:<26} {:>5} {:>15} {:>15} {:>15}",
        "mean over subjects", "seeds", "macro AP", "macro ROC-AUC", "Hamming loss"
    );
    for row in rows {
        let [ap, auc, hamming] = row.scores.map(|(mean, sd)| match sd {
            Some(sd) => format!("{} ± {sd:.3}", three(mean)),
            None => three(mean),
        });
        println!(
            "{:<26} {:>5} {ap:>15} {auc:>15} {hamming:>15}",
            row.model, row.seeds
        );
    }
    if let Some(results) = any {
        let floors = &results.floors;
        println!(
            "{:<26} {:>5} {:>15} {:>15} {:>15}",
            "knowing nothing",
            "",
            three(floors.random_average_precision),
            three(Some(floors.roc_auc)),
            three(floors.hamming_loss)
        );
        println!("± standard deviation over seeds");
    }
}
