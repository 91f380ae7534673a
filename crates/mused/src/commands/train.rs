use std::path::Path;
use std::process::ExitCode;

use mused::data::Dataset;
use mused::train::{Layers, Outcome, TrainRequest, resume, train};

use super::CpuTraining;
use crate::args::TrainArgs;
use crate::bars::{TrainingBar, stop_on_interrupt};

/// Interrupted by the user, as shells report it.
const INTERRUPTED: u8 = 130;

pub(crate) fn run(args: &TrainArgs) -> anyhow::Result<ExitCode> {
    let dataset = Dataset::open(&args.dataset)?;
    let threads = args.threads.count();
    stop_on_interrupt()?;
    let bar = TrainingBar::new();
    let outcome = if args.resume {
        resume::<CpuTraining>(&dataset, &args.out, threads, &bar)
    } else {
        let layers = layers(args)?;
        let request = TrainRequest {
            dataset: &dataset,
            layers: &layers,
            run: &args.out,
            threads,
        };
        train::<CpuTraining>(&request, &bar)
    }?;
    bar.finish();
    Ok(report(outcome, &args.dataset, &args.out))
}

fn layers(args: &TrainArgs) -> anyhow::Result<Layers> {
    let mut layers = Layers::preset(&args.preset)?;
    if let Some(file) = &args.config {
        layers.file(file)?;
    }
    if let Some(model) = &args.model {
        layers.model(model)?;
    }
    for assignment in &args.settings {
        layers.set(assignment)?;
    }
    if let Some(folds) = args.folds {
        layers.insert("split.folds", i64::from(folds), "--folds")?;
    }
    if let Some(subject) = &args.holdout_subject {
        layers.insert(
            "split.holdout_subject",
            subject.clone(),
            "--holdout-subject",
        )?;
    }
    if !args.allow.is_empty() {
        layers.insert("audit.allow", args.allow.clone(), "--allow")?;
    }
    if let Some(seed) = args.seed {
        layers.insert("train.seed", i64::from(seed), "--seed")?;
    }
    Ok(layers)
}

fn report(outcome: Outcome, dataset: &Path, run: &Path) -> ExitCode {
    match outcome {
        Outcome::Complete => {
            println!(
                "{}: trained; score it with `mused evaluate {0}`",
                run.display()
            );
            ExitCode::SUCCESS
        }
        Outcome::Interrupted => {
            eprintln!(
                "stopped and saved; go on with `mused train {} --out {} --resume`",
                dataset.display(),
                run.display()
            );
            ExitCode::from(INTERRUPTED)
        }
    }
}
