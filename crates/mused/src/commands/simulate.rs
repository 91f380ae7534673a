use std::process::ExitCode;

use mused::data::Kind;
use mused::data::simulate::{SimulateConfig, simulate};
use mused::formats::quoted;

use crate::args::{SimulateArgs, SimulatedKind, SpacesArg};
use crate::bars::bar;

pub(crate) fn run(args: &SimulateArgs) -> anyhow::Result<ExitCode> {
    let config = config(args);
    let subjects = bar(config.subjects, "subjects");
    simulate(&config, &args.out, &mut |done, total| {
        subjects.set_length(total as u64);
        subjects.set_position(done as u64);
    })?;
    subjects.finish_and_clear();
    println!(
        "{}: simulated; look at it with `mused info {}`",
        args.out.display(),
        quoted(&args.out)
    );
    Ok(ExitCode::SUCCESS)
}

fn config(args: &SimulateArgs) -> SimulateConfig {
    let default = match args.spaces {
        SpacesArg::Own => SimulateConfig::default(),
        SpacesArg::Common => SimulateConfig::common_space(),
    };
    let voxels = args.voxels.map(|voxels| {
        let mean = voxels as f64 / default.rois.len() as f64;
        let part = |share: f64| (share * mean).round() as usize;
        (part(0.9), part(1.1))
    });
    SimulateConfig {
        kind: match args.kind {
            SimulatedKind::Roi => Kind::Roi,
            SimulatedKind::Volume => Kind::Volume,
        },
        seed: args.seed,
        subjects: args.subjects.unwrap_or(default.subjects),
        stimuli: args.stimuli.unwrap_or(default.stimuli),
        shared: args.shared.unwrap_or(default.shared),
        labels: args.labels.unwrap_or(default.labels),
        repeats: args.repeats.unwrap_or(default.repeats),
        voxels_per_roi: voxels.unwrap_or(default.voxels_per_roi),
        ..default
    }
}
