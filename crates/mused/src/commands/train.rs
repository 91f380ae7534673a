use std::process::ExitCode;

use mused::data::Dataset;
use mused::formats::quoted;
use mused::{Error, Layers, Models, Progress, Training};

use super::planned;
use crate::args::TrainArgs;
use crate::bars::TrainingBar;
use crate::signals;

/// What the models of a run borrow.
pub(crate) struct Asked<'a> {
    args: &'a TrainArgs,
    dataset: Dataset,
    layers: Layers,
}

impl<'a> Asked<'a> {
    pub(crate) fn new(args: &'a TrainArgs) -> anyhow::Result<Self> {
        args.device.choose()?;
        Ok(Self {
            args,
            dataset: Dataset::open(&args.dataset)?,
            layers: layers(args)?,
        })
    }

    pub(crate) fn models(&self, threads: usize) -> Models<'_> {
        Models {
            dataset: &self.dataset,
            layers: &self.layers,
            run: &self.args.out,
            threads,
        }
    }
}

pub(crate) fn run(args: &TrainArgs) -> anyhow::Result<ExitCode> {
    if let Some(folder) = &args.plan.plan {
        let asked = Asked::new(args)?;
        let models = asked.models(args.threads.count());
        return planned::write(folder, &args.plan, args.memory.asked(), &models);
    }
    args.device.choose()?;
    let dataset = Dataset::open(&args.dataset)?;
    signals::stop_when_asked()?;
    args.memory.limit();
    args.time.limit();
    let bar = TrainingBar::new();
    if dataset.has_no_groups() && !args.resume {
        bar.note(
            "every stimulus is a group of its own: where some are of one clip or scene, name it in the column group of \
             stimuli.tsv, or what is tested was as good as seen in training",
        );
    }
    let training = Training::new(&dataset)
        .progress(&bar)
        .threads(args.threads.count());
    let trained = match args.resume {
        true => training.resume(&args.out),
        false => training.layers(&layers(args)?).train(&args.out),
    };
    match trained {
        Ok(_) => {
            bar.finish();
            println!(
                "{}: trained; score it with `mused evaluate {}`",
                args.out.display(),
                quoted(&args.out)
            );
            Ok(ExitCode::SUCCESS)
        }
        Err(Error::Interrupted(_)) => {
            bar.finish();
            eprintln!(
                "stopped and saved; go on with `mused train {} --out {} --resume`",
                quoted(&args.dataset),
                quoted(&args.out)
            );
            Ok(signals::exit_code())
        }
        Err(error) => Err(error.into()),
    }
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
