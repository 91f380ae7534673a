//! Writes a page of runs: `cargo run -p mused-report --example page -- OUT.html RUN…`.
use std::path::{Path, PathBuf};

use mused_report::{NoImages, OtherRun, Report, Request, RunFiles};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [out, run, others @ ..] = arguments.as_slice() else {
        return Err("expected OUT.html RUN…".into());
    };
    let run = RunFiles::read(run)?;
    let others = others
        .iter()
        .map(|run| OtherRun::read(run))
        .collect::<Result<Vec<_>, _>>()?;
    let report = Report::new(Request {
        run: &run,
        others: &others,
        images: &mut NoImages,
        tsne: false,
        command: "mused report RUN",
        out,
    })?;
    std::fs::write(out, report.html()?)?;
    if let Some(folder) = std::env::var_os("FIGURES") {
        report.write_figures(Path::new(&folder))?;
    }
    Ok(())
}
