use std::process::ExitCode;

use mused::data::Dataset;
use mused::formats::quoted;
use mused::run::{Adapted, Trials};
use mused::{AdaptRequest, Run, adapt};

use crate::args::AdaptArgs;

pub(crate) fn run(args: &AdaptArgs) -> anyhow::Result<ExitCode> {
    args.device.choose()?;
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
    let adapted = run.record().adapted.as_ref();
    let stimuli = adapted.map(Adapted::trials).unwrap_or_default();
    println!(
        "{}: {} adapted to {} by trials of {stimuli} training stimuli; score it with `mused evaluate {}`",
        run.path().display(),
        args.run.display(),
        args.subject,
        quoted(run.path())
    );
    Ok(ExitCode::SUCCESS)
}
