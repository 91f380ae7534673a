use std::process::ExitCode;

use mused::data::Dataset;
use mused::formats::quoted;
use mused::run::Trials;
use mused::{AdaptRequest, Run, adapt};

use crate::args::AdaptArgs;

pub(crate) fn run(args: &AdaptArgs) -> anyhow::Result<ExitCode> {
    let trials = Trials::try_from(args.trials.clone())
        .map_err(|error| anyhow::anyhow!("--trials: {error}"))?;
    let dataset = Dataset::open(&args.dataset)?;
    let run = adapt(&AdaptRequest {
        source: &Run::open(&args.run)?,
        dataset: &dataset,
        subject: &args.subject,
        trials,
        draw: args.draw,
        run: &args.out,
    })?;
    let calibration = run.record().adapted.iter();
    let counts = calibration.flat_map(|adapted| adapted.calibration.clone());
    let most = counts.clone().max().unwrap_or_default();
    let least = counts.min().unwrap_or_default();
    let stimuli = match least == most {
        true => most.to_string(),
        false => format!("{least} to {most}"),
    };
    println!(
        "{}: {} adapted to {} by trials of {stimuli} training stimuli; score it with `mused evaluate {}`",
        run.path().display(),
        args.run.display(),
        args.subject,
        quoted(run.path())
    );
    Ok(ExitCode::SUCCESS)
}
