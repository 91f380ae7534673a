use std::process::ExitCode;

use mused::data::Kind;
use mused::data::simulate::{SimulateConfig, simulate};

use crate::args::{SimulateArgs, SimulatedKind};
use crate::bars::bar;

pub(crate) fn run(args: &SimulateArgs) -> anyhow::Result<ExitCode> {
    let mut config = SimulateConfig {
        seed: args.seed,
        ..SimulateConfig::default()
    };
    config.kind = match args.kind {
        SimulatedKind::Roi => Kind::Roi,
        SimulatedKind::Volume => Kind::Volume,
    };
    if let Some(subjects) = args.subjects {
        config.subjects = subjects;
    }
    if let Some(stimuli) = args.stimuli {
        config.stimuli = stimuli;
    }
    let subjects = bar(config.subjects, "subjects");
    simulate(&config, &args.out, &mut |done, total| {
        subjects.set_length(total as u64);
        subjects.set_position(done as u64);
    })?;
    subjects.finish_and_clear();
    println!(
        "{}: simulated; look at it with `mused info {0}`",
        args.out.display()
    );
    Ok(ExitCode::SUCCESS)
}
