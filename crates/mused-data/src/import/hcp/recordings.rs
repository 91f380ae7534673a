//! The files of the runs, and what their headers say.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mused_formats::cifti::{Axis, BrainModels, Cifti};
use mused_formats::nifti::Nifti;

use super::clips::{MOVIES, Movie};
use crate::import::checks::{Check, Findings};
use crate::read::folders;
use crate::{Error, Grid, Result};

/// Seconds between volumes.
pub(super) const TR: f64 = 1.0;
/// Relative difference up to which two repetition times are one, rounded differently.
const SAME_TR: f64 = 1e-3;
const ENDINGS: [&str; 3] = [".nii.gz", ".dtseries.nii", ".nii"];

/// What the values of a volume or of a time point lie on.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Space {
    Volume(Grid),
    Grayordinates(BrainModels),
}

impl Space {
    /// Number of values a time point.
    pub(super) fn places(&self) -> usize {
        match self {
            Self::Volume(grid) => grid.voxels(),
            Self::Grayordinates(brain) => brain.models.iter().map(|model| model.length()).sum(),
        }
    }
}

/// One run of one subject.
#[derive(Debug)]
pub(super) struct Recording {
    pub(super) path: PathBuf,
    /// Index into [`MOVIES`].
    pub(super) movie: usize,
    pub(super) volumes: usize,
    pub(super) space: Space,
}

/// Runs by subject, in the order of the movies.
pub(super) fn find(
    root: &Path,
    subjects: &[String],
    variant: Option<&str>,
    findings: &mut Findings,
) -> Result<BTreeMap<String, Vec<Recording>>> {
    let results = |subject: &str| root.join(subject).join("MNINonLinear").join("Results");
    let mut names = Vec::new();
    for folder in folders(root)? {
        let name = folder.file_name().and_then(|name| name.to_str());
        names.extend(name.map(str::to_owned));
    }
    names.retain(|name| {
        let mut runs = MOVIES.iter().map(|movie| results(name).join(movie.run));
        runs.any(|run| run.is_dir())
    });
    if let Some(missing) = subjects.iter().find(|asked| !names.contains(asked)) {
        let message = format!(
            "--subjects {missing}: expected movie runs of it, found those of {}",
            names.join(", ")
        );
        return Err(Error::invalid(root, message));
    }
    names.retain(|name| subjects.is_empty() || subjects.contains(name));
    let mut found = BTreeMap::new();
    for name in names {
        let runs = subject(&results(&name), &name, variant, findings)?;
        found.insert(name, runs);
    }
    if found.is_empty() {
        let message = format!(
            "expected <subject>/MNINonLinear/Results/{} and the three other movie runs, found none",
            MOVIES[0].run
        );
        return Err(Error::invalid(root, message));
    }
    Ok(found)
}

fn subject(
    results: &Path,
    name: &str,
    variant: Option<&str>,
    findings: &mut Findings,
) -> Result<Vec<Recording>> {
    let mut runs: Vec<Recording> = Vec::new();
    for (index, movie) in MOVIES.iter().enumerate() {
        let Some(path) = file(&results.join(movie.run), movie, variant)? else {
            let message = format!(
                "subject {name}: expected the run {0} in {0} below {1}, found none",
                movie.run,
                results.display()
            );
            findings.report(Check::RunMissing, message)?;
            continue;
        };
        let run = open(path, index, findings)?;
        if let Some(first) = runs.first() {
            same_space(first, &run, findings)?;
        }
        runs.push(run);
    }
    if runs.is_empty() {
        let message = format!("expected movie runs of subject {name}, found none");
        return Err(Error::invalid(results, message));
    }
    Ok(runs)
}

/// The recording in a run's folder: what stands behind the run's name is its variant.
fn file(folder: &Path, movie: &Movie, variant: Option<&str>) -> Result<Option<PathBuf>> {
    if !folder.is_dir() {
        return Ok(None);
    }
    let mut variants = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io("cannot list", folder))? {
        let path = entry.map_err(Error::io("cannot list", folder))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(rest) = name.and_then(|name| name.strip_prefix(movie.run)) else {
            continue;
        };
        let Some(end) = ENDINGS.iter().find(|end| rest.ends_with(*end)) else {
            continue;
        };
        let kind = rest.trim_end_matches(end).trim_start_matches(['_', '.']);
        if path.is_file() && is_series(&path, kind, end) {
            variants.insert((kind.to_owned(), *end), path);
        }
    }
    let known: Vec<String> = variants
        .keys()
        .map(|(kind, end)| format!("{:?}", format!("{kind}{end}")))
        .collect();
    if let Some(wanted) = variant {
        let wanted = wanted.trim_start_matches('_');
        variants.retain(|(kind, end), _| kind == wanted || format!("{kind}{end}") == wanted);
    }
    let list = known.join(", ");
    match (variants.len(), variant) {
        (1, _) => Ok(variants.into_values().next()),
        (0, None) => Ok(None),
        (0, Some(variant)) => {
            let message = format!("expected the variant {variant:?} of the run, found {list}");
            Err(Error::invalid(folder, message))
        }
        _ => {
            let message = format!(
                "expected one recording of the run, found {list}: choose one with --variant"
            );
            Err(Error::invalid(folder, message))
        }
    }
}

/// Whether a file may be a time series: the folder also holds reference images, masks and .dscalar.nii.
fn is_series(path: &Path, kind: &str, end: &str) -> bool {
    let other_cifti = kind.contains(".d");
    // One that cannot be opened is kept, so that its error is told.
    let volumes = || Nifti::open(path).map_or(2, |file| file.header().volumes());
    !other_cifti && (end == ".dtseries.nii" || volumes() > 1)
}

fn open(path: PathBuf, movie: usize, findings: &mut Findings) -> Result<Recording> {
    let name = path.file_name().and_then(|name| name.to_str());
    let cifti = name.is_some_and(|name| name.ends_with(".dtseries.nii"));
    let (space, volumes, tr) = if cifti {
        grayordinates(&path)?
    } else {
        let file = Nifti::open(&path)?;
        let header = file.header();
        let volumes = header.series().ok_or_else(|| {
            let message = format!("expected 4 dimensions, found shape {:?}", header.shape);
            Error::invalid(&path, message)
        })?;
        (Space::Volume(Grid::of(header)), volumes, header.tr)
    };
    if tr.is_none_or(|tr| (tr - TR).abs() > SAME_TR) {
        let found = tr.map_or_else(|| "none".to_owned(), |tr| format!("{tr} s"));
        let place = path.display();
        let message = format!("{place}: expected the repetition time {TR} s, found {found}");
        findings.report(Check::TrHeader, message)?;
    }
    let expected = MOVIES[movie].seconds;
    if volumes != expected {
        let place = path.display();
        let message = format!("{place}: expected {expected} volumes, found {volumes}");
        findings.report(Check::RunLength, message)?;
    }
    Ok(Recording {
        path,
        movie,
        volumes,
        space,
    })
}

fn grayordinates(path: &Path) -> Result<(Space, usize, Option<f64>)> {
    let file = Cifti::open(path)?;
    let (Axis::Series(time), Axis::BrainModels(brain)) = (file.columns(), file.rows()) else {
        let message = "expected a dense series (time points × brain models), found other axes";
        return Err(Error::invalid(path, message));
    };
    let tr = (time.unit == "SECOND").then_some(time.step);
    Ok((Space::Grayordinates(brain.clone()), time.length, tr))
}

fn same_space(first: &Recording, run: &Recording, findings: &mut Findings) -> Result<()> {
    match (&first.space, &run.space) {
        (Space::Volume(grid), Space::Volume(other)) => {
            grid.check(&first.path, other, &run.path, findings)
        }
        (own, other) if own == other => Ok(()),
        (own, other) => {
            let message = format!(
                "expected the vertices and voxels of {} ({}), found others ({})",
                first.path.display(),
                own.places(),
                other.places()
            );
            Err(Error::invalid(&run.path, message))
        }
    }
}
