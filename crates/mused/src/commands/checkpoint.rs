use std::process::ExitCode;

use mused::data::Dataset;
use mused::formats::quoted;
use mused::{Layers, PublishedRequest, Run, export_published, import_published};

use crate::args::{ExportCheckpointArgs, ImportCheckpointArgs};

/// The published recipe, whose grid and scaling its checkpoints need.
const PRESET: &str = "clip-mused-hcp";

pub(crate) fn import(args: &ImportCheckpointArgs) -> anyhow::Result<ExitCode> {
    let dataset = Dataset::open(&args.dataset)?;
    let mut layers = Layers::preset(PRESET)?;
    for assignment in &args.settings {
        layers.set(assignment)?;
    }
    import_published(&PublishedRequest {
        checkpoint: &args.checkpoint,
        dataset: &dataset,
        layers: &layers,
        subjects: &args.subjects,
        run: &args.run,
    })?;
    println!(
        "{}: a run of {}; score it with `mused evaluate {}`",
        args.run.display(),
        args.checkpoint.display(),
        quoted(&args.run)
    );
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn export(args: &ExportCheckpointArgs) -> anyhow::Result<ExitCode> {
    export_published(&Run::open(&args.run)?, args.fold, &args.out)?;
    println!("{}: written, for load_state_dict", args.out.display());
    Ok(ExitCode::SUCCESS)
}
