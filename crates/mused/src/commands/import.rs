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
    let subjects = bar(0, "subjects");
    let imported = import_rdm::import(
        &args.manifest,
        args.data.as_deref(),
        &args.out,
        &mut |done, total| {
            subjects.set_length(total as u64);
            subjects.set_position(done as u64);
        },
    )?;
    subjects.finish_and_clear();
    for (subject, roi) in &imported.missing {
        eprintln!("note: subject {subject} has no region {roi}");
    }
    println!(
        "{}: imported; look at it with `mused info {0}`",
        args.out.display()
    );
    Ok(ExitCode::SUCCESS)
}
