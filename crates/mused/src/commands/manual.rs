//! What shells and readers of manual pages want to know of the commands.

use std::path::Path;
use std::process::ExitCode;

use anyhow::anyhow;
use clap::CommandFactory as _;
use clap_complete::{Shell, generate};
use mused::formats::refusal;

use crate::args::Cli;

pub(crate) fn completions(shell: Shell) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "mused", &mut script);
    print!("{}", String::from_utf8_lossy(&script));
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn pages(out: &Path) -> anyhow::Result<ExitCode> {
    let written =
        std::fs::create_dir_all(out).and_then(|()| clap_mangen::generate_to(Cli::command(), out));
    written.map_err(|error| {
        let why = refusal(&error);
        anyhow!("cannot write manual pages to {}: {why}", out.display())
    })?;
    println!(
        "manual pages in {}: man {}",
        out.display(),
        out.join("mused.1").display()
    );
    Ok(ExitCode::SUCCESS)
}
