use std::process::ExitCode;

use mused::data::import_rdm;

use crate::args::{ImportArgs, ImportRdmArgs, ImportSource};
use crate::bars::bar;

pub(crate) fn run(args: &ImportArgs) -> anyhow::Result<ExitCode> {
    match &args.source {
        ImportSource::Rdm(args) => rdm(args),
    }
}

fn rdm(args: &ImportRdmArgs) -> anyhow::Result<ExitCode> {
    let files = bar(0, "files");
    import_rdm::import(
        &args.manifest,
        args.data.as_deref(),
        &args.out,
        &mut |done, total| {
            files.set_length(total as u64);
            files.set_position(done as u64);
        },
    )?;
    files.finish_and_clear();
    println!(
        "{}: imported; look at it with `mused info {0}`",
        args.out.display()
    );
    Ok(ExitCode::SUCCESS)
}
