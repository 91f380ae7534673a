use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use mused::curve::Curves;
use mused::data::Dataset;
use mused::data::quality::Quality;
use mused::features::Pictures;
use mused::formats::surface::Surface;
use mused::formats::{quoted, replace_file};
use mused::report::{Images, NoImages, Report, Request, RunFiles, ScoredRun, Side};
use mused::run::{Run, run_directories};

use crate::args::ReportArgs;
use crate::bars;

pub(crate) fn run(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    let (given, _) = args.runs.split_first().context("expected a run")?;
    let out = args.out.clone();
    let out = out.unwrap_or_else(|| Run::report_path(given));
    let report = match args.runs.as_slice() {
        [folder] if Curves::path(folder).is_file() => {
            let report = Curves::read(folder)?.report(folder);
            replace_file(&out, report.html().as_bytes())?;
            report
        }
        runs => write_page(runs, args.tsne, &args.allow, &args.surface, None, &out)?,
    };
    println!("written to {}", out.display());
    if let Some(folder) = &args.figures {
        let count = report.write_figures(folder)?;
        println!(
            "{count} figures as SVG, PNG and TSV in {}",
            folder.display()
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads the files of `--surface`.
fn read_surfaces(given: &[(Side, PathBuf)]) -> anyhow::Result<Vec<(Side, Surface)>> {
    let sides: BTreeSet<Side> = given.iter().map(|(side, _)| *side).collect();
    anyhow::ensure!(
        sides.len() == given.len(),
        "--surface: expected one surface of each half, lh=FILE and rh=FILE, found two of one"
    );
    let mut surfaces = Vec::with_capacity(given.len());
    for (side, path) in given {
        let surface = Surface::read(path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // FreeSurfer says of which half a surface is by its file's name alone.
        let other = match side {
            Side::Left => surface.structure == "CortexRight" || name.starts_with("rh."),
            Side::Right => surface.structure == "CortexLeft" || name.starts_with("lh."),
        };
        anyhow::ensure!(
            !other,
            "--surface {}={}: expected that half of the cortex, found the other one",
            side.name(),
            quoted(path)
        );
        surfaces.push((*side, surface));
    }
    Ok(surfaces)
}

/// Makes the page of runs and writes it. Pictures are of the dataset's folder and those that `allow` names.
pub(super) fn write_page(
    runs: &[PathBuf],
    tsne: bool,
    allow: &[PathBuf],
    surfaces: &[(Side, PathBuf)],
    quality: Option<Quality>,
    out: &Path,
) -> anyhow::Result<Report> {
    let directories = run_directories(runs)?;
    let (first, others) = directories.split_first().context("expected a run")?;
    let bar = bars::bar(directories.len(), "runs");
    let run = RunFiles::read(first)?;
    bar.inc(1);
    let mut read = Vec::with_capacity(others.len());
    for other in others {
        read.push(ScoredRun::read(other)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let root = run.dataset().and_then(Dataset::root);
    let mut pictures = root.map(|root| Pictures::new(root, allow));
    let images: &mut dyn Images = match &mut pictures {
        Some(pictures) => pictures,
        None => &mut NoImages,
    };
    let command: Vec<String> = runs.iter().map(quoted).collect();
    let drawn_on = surfaces.iter();
    let drawn_on: String = drawn_on
        .map(|(side, path)| format!(" --surface {}={}", side.name(), quoted(path)))
        .collect();
    let report = Report::new(Request {
        run: &run,
        others: &read,
        images,
        quality,
        surfaces: &read_surfaces(surfaces)?,
        tsne,
        command: &format!("mused report {}{drawn_on}", command.join(" ")),
        out,
    })?;
    replace_file(out, report.html().as_bytes())?;
    Ok(report)
}
