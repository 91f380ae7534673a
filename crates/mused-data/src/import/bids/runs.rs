//! Which runs there are, what belongs to them, and when their volumes were taken.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use mused_formats::nifti::{Header, Nifti};
use serde_json::Value;

use super::design::Timing;
use super::entities::{self, BidsName, DERIVED, Wanted};
use super::recordings;
use super::{BidsConfig, FilePatterns};
use crate::grid::Grid;
use crate::import::checks::{Check, Findings};
use crate::import::data_folder::DataFolder;
use crate::import::pattern::{self, Captured, Place};
use crate::json::read_json;
use crate::{Error, Result};

/// Repetition times that anyone has measured with, in seconds.
const PLAUSIBLE_TR: std::ops::RangeInclusive<f64> = 0.05..=20.0;
/// Relative difference up to which two repetition times are one, rounded differently.
const SAME_TR: f64 = 1e-3;

/// One run of one subject.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) bold: PathBuf,
    pub(super) events: PathBuf,
    pub(super) confounds: Option<PathBuf>,
    /// The table of confounds, whether it was asked for or not.
    pub(super) confounds_there: Option<PathBuf>,
    /// Start of the names of stimuli that occur in this run alone, e.g. `sub-01_run-2`.
    pub(super) name: String,
    /// Group of those stimuli, e.g. `run-2`.
    pub(super) group: String,
    /// Session and run, from 1.
    pub(super) numbers: [u32; 2],
    pub(super) grid: Grid,
    pub(super) timing: Timing,
}

/// A run before its header is read.
struct Found {
    place: Captured,
    bold: PathBuf,
    events: PathBuf,
    confounds: Option<PathBuf>,
    confounds_there: Option<PathBuf>,
    sidecar: Sidecar,
}

#[derive(Default)]
struct Sidecar {
    tr: Option<(f64, PathBuf)>,
    start: Option<f64>,
    /// Where it is said that slices were brought to one time.
    slice_timing_corrected: Option<PathBuf>,
}

/// Runs by subject, in the order of sessions and runs.
pub(super) fn find(
    root: &Path,
    config: &BidsConfig,
    findings: &mut Findings,
) -> Result<BTreeMap<String, Vec<Run>>> {
    let mut found = match &config.patterns {
        Some(patterns) => by_pattern(root, patterns, config)?,
        None => by_name(root, config, findings)?,
    };
    warn_of_times(&found, findings);
    let order = |text: &Option<String>| {
        let text = text.clone().unwrap_or_default();
        (text.parse::<u64>().unwrap_or(u64::MAX), text)
    };
    found.sort_by_key(|run| {
        let place = &run.place;
        (order(&place.session), order(&place.run), order(&place.task))
    });
    let tasks: BTreeSet<_> = found
        .iter()
        .filter_map(|run| run.place.task.clone())
        .collect();
    let mut subjects: BTreeMap<String, Vec<Found>> = BTreeMap::new();
    for run in found {
        let subject = run.place.subject.clone().unwrap_or_default();
        subjects.entry(subject).or_default().push(run);
    }
    let mut finished = BTreeMap::new();
    for (subject, runs) in subjects {
        let numbers = numbers(&runs);
        let mut complete: Vec<Run> = Vec::with_capacity(runs.len());
        for (run, numbers) in runs.into_iter().zip(numbers) {
            let run = run.complete(&subject, tasks.len() > 1, numbers, config, findings)?;
            if let Some(first) = complete.first() {
                first
                    .grid
                    .check(&first.bold, &run.grid, &run.bold, findings)?;
            }
            complete.push(run);
        }
        finished.insert(subject, complete);
    }
    check_trs(&finished, findings)?;
    Ok(finished)
}

/// Slices that were brought to one time have it in `StartTime`; older preprocessing does not say which.
fn warn_of_times(found: &[Found], findings: &mut Findings) {
    let unsaid = found.iter().filter(|run| run.sidecar.start.is_none());
    let mut unsaid = unsaid.filter_map(|run| run.sidecar.slice_timing_corrected.as_ref());
    if let Some(first) = unsaid.next() {
        findings.warn(format!(
            "{}: SliceTimingCorrected without StartTime, in {} runs: a volume is taken for the start of its repetition \
             time; where slices were brought to the middle, as fMRIPrep does, write half of RepetitionTime as StartTime",
            first.display(),
            1 + unsaid.count()
        ));
    }
}

fn check_trs(subjects: &BTreeMap<String, Vec<Run>>, findings: &mut Findings) -> Result<()> {
    let mut runs = subjects.values().flatten();
    let Some(first) = runs.next() else {
        return Ok(());
    };
    for run in runs {
        let (expected, found) = (first.timing.tr, run.timing.tr);
        if (expected - found).abs() > SAME_TR * expected {
            let message = format!(
                "{}: expected the repetition time {expected} s of {}, found {found} s",
                run.bold.display(),
                first.bold.display()
            );
            findings.report(Check::TrDiffers, message)?;
        }
    }
    Ok(())
}

/// Session and run a run; labels that are numbers keep them, others are counted.
fn numbers(runs: &[Found]) -> Vec<[u32; 2]> {
    let sessions: Vec<Option<&str>> = runs
        .iter()
        .map(|run| run.place.session.as_deref())
        .collect();
    let distinct: Vec<Option<&str>> = sessions.iter().fold(Vec::new(), |mut known, session| {
        if !known.contains(session) {
            known.push(*session);
        }
        known
    });
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<u32>().ok());
    let numeric = distinct.iter().all(|session| number(*session).is_some());
    let session_of = |session: Option<&str>| {
        let counted = distinct
            .iter()
            .position(|known| *known == session)
            .unwrap_or(0) as u32
            + 1;
        if numeric {
            number(session).unwrap_or(counted)
        } else {
            counted
        }
    };
    let labelled: Vec<Option<[u32; 2]>> = runs
        .iter()
        .zip(&sessions)
        .map(|(run, session)| Some([session_of(*session), number(run.place.run.as_deref())?]))
        .collect();
    let unique: BTreeSet<_> = labelled.iter().flatten().collect();
    if unique.len() == runs.len() {
        return labelled.into_iter().flatten().collect();
    }
    let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
    sessions
        .into_iter()
        .map(|session| {
            let session = session_of(session);
            let count = counts.entry(session).or_default();
            *count += 1;
            [session, *count]
        })
        .collect()
}

fn by_pattern(root: &Path, patterns: &FilePatterns, config: &BidsConfig) -> Result<Vec<Found>> {
    let data = DataFolder::new(root)?;
    let invalid = |message: String| Error::invalid(root, message);
    data.path(&patterns.bold)?;
    let components = pattern::parse(&patterns.bold, &[Place::Subject])
        .map_err(|message| invalid(format!("pattern of the runs: {message}")))?;
    let mut found = Vec::new();
    let matching = data.matching(&components)?;
    let subjects = matching
        .iter()
        .filter_map(|(_, place)| place.subject.as_deref());
    if !matching.is_empty() {
        recordings::check_subjects(config, subjects.collect())?;
    }
    for (relative, place) in matching {
        if !recordings::is_wanted(config, place.subject.as_deref().unwrap_or_default())
            || config.task.is_some() && place.task != config.task
        {
            continue;
        }
        let beside = |pattern: &str| {
            let filled = pattern::fill(pattern, &place).map_err(|message| {
                invalid(format!("pattern {pattern:?} for {relative}: {message}"))
            })?;
            let path = data.path(&filled)?;
            if path.is_file() {
                return Ok(path);
            }
            Err(invalid(format!(
                "expected {filled} for the run {relative}, found none"
            )))
        };
        let events = beside(&patterns.events)?;
        let confounds = patterns.confounds.as_deref().map(beside).transpose()?;
        let bold = data.path(&relative)?;
        let sidecar = Sidecar::read(&sidecars_by_pattern(root, &relative)?)?;
        found.push(Found {
            place,
            bold,
            events,
            confounds_there: confounds.clone(),
            confounds,
            sidecar,
        });
    }
    if found.is_empty() {
        return Err(invalid(format!(
            "expected runs like {:?}, found none",
            patterns.bold
        )));
    }
    Ok(found)
}

/// The sidecars that speak of a run found by a pattern: where it has a BIDS name those of that name from the root down to
/// it, and the one beside it.
fn sidecars_by_pattern(root: &Path, relative: &str) -> Result<Vec<PathBuf>> {
    let bold = root.join(relative);
    let file = bold.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let mut sidecars = match BidsName::parse(file).filter(|name| name.suffix == "bold") {
        Some(name) => {
            let mut folders = entities::folders(root, &name);
            let above: Vec<&Path> = Path::new(relative).ancestors().skip(1).collect();
            let above = above.into_iter().rev().map(|folder| root.join(folder));
            folders.retain(|folder| !above.clone().any(|other| other == *folder));
            folders.extend(above);
            entities::applicable(&folders, &name, sidecar(&[]))?
        }
        None => Vec::new(),
    };
    let stem = file.strip_suffix(".gz").unwrap_or(file);
    let beside = bold.with_file_name(stem).with_extension("json");
    if beside.is_file() && !sidecars.contains(&beside) {
        sidecars.push(beside);
    }
    Ok(sidecars)
}

fn by_name(root: &Path, config: &BidsConfig, findings: &mut Findings) -> Result<Vec<Found>> {
    let folder = config.derivatives.as_deref().unwrap_or(root);
    let mut found = Vec::new();
    for (bold, name) in recordings::choose(root, folder, config, findings)? {
        let value = |key: &str| name.get(key).map(str::to_owned);
        let place = Captured {
            subject: value("sub"),
            session: value("ses"),
            task: value("task"),
            run: value("run"),
            ..Captured::default()
        };
        let last = |root: &Path, wanted: Wanted<'_>| {
            let folders = entities::folders(root, &name);
            Ok::<_, Error>(entities::applicable(&folders, &name, wanted)?.pop())
        };
        let events = match last(root, Wanted::events())? {
            Some(events) => events,
            None => last(folder, Wanted::events())?.ok_or_else(|| {
                Error::invalid(
                    &bold,
                    format!(
                        "expected an events.tsv of this run below {}, found none; where runs are \
                         derivatives, give the raw dataset as ROOT and their folder as --derivatives",
                        root.display()
                    ),
                )
            })?,
        };
        let there = last(folder, Wanted::confounds());
        // Several tables, of which none is asked for, stand in nobody's way.
        let (confounds, confounds_there) = match config.confounds.is_empty() {
            true => (None, there.ok().flatten()),
            false => {
                let there = there?;
                (there.clone(), there)
            }
        };
        let sidecar_below = |root: &Path, ignored: &[&str]| {
            let folders = entities::folders(root, &name);
            Sidecar::read(&entities::applicable(&folders, &name, sidecar(ignored))?)
        };
        let mut sidecar = sidecar_below(folder, &[])?;
        if sidecar.tr.is_none() {
            sidecar.tr = sidecar_below(root, DERIVED)?.tr;
        }
        found.push(Found {
            place,
            bold,
            events,
            confounds,
            confounds_there,
            sidecar,
        });
    }
    Ok(found)
}

fn sidecar<'a>(ignored: &'a [&'a str]) -> Wanted<'a> {
    Wanted {
        suffixes: &["bold"],
        extension: ".json",
        ignored,
        desc: None,
    }
}

impl Sidecar {
    /// Fields of sidecars; the last that has a field decides it.
    fn read(paths: &[PathBuf]) -> Result<Self> {
        let mut sidecar = Self::default();
        for path in paths {
            let fields: Value = read_json(path)?;
            let number = |field: &str| match fields.get(field) {
                None | Some(Value::Null) => Ok(None),
                Some(value) => value.as_f64().map(Some).ok_or_else(|| {
                    Error::invalid(path, format!("{field}: expected a number, found {value}"))
                }),
            };
            if fields.get("VolumeTiming").is_some() {
                let message =
                    "VolumeTiming: expected volumes at equal distances, found times of their own";
                return Err(Error::invalid(path, message));
            }
            if let Some(tr) = number("RepetitionTime")? {
                sidecar.tr = Some((tr, path.clone()));
            }
            if fields.get("SliceTimingCorrected") == Some(&Value::Bool(true)) {
                sidecar.slice_timing_corrected = Some(path.clone());
            }
            if let Some(start) = number("StartTime")? {
                sidecar.start = Some(start);
            }
        }
        Ok(sidecar)
    }
}

impl Found {
    fn complete(
        self,
        subject: &str,
        tasks: bool,
        numbers: [u32; 2],
        config: &BidsConfig,
        findings: &mut Findings,
    ) -> Result<Run> {
        let file = Nifti::open(&self.bold)?;
        let header = file.header();
        let series = header.series().filter(|volumes| *volumes > 1);
        let Some(volumes) = series.filter(|_| header.voxels() > 0) else {
            return Err(Error::invalid(
                &self.bold,
                format!(
                    "expected 4 dimensions and at least 2 volumes, found shape {:?}",
                    header.shape
                ),
            ));
        };
        let tr = repetition_time(&self, header, config, findings)?;
        let timing = Timing {
            volumes,
            tr,
            start: self.sidecar.start.unwrap_or(0.0),
        };
        let place = &self.place;
        let parts = [
            ("ses", place.session.as_deref()),
            ("task", place.task.as_deref().filter(|_| tasks)),
            ("run", place.run.as_deref()),
        ];
        let parts: Vec<String> = parts
            .iter()
            .filter_map(|(key, value)| value.map(|value| format!("{key}-{value}")))
            .collect();
        let mut group = parts.join("_");
        if group.is_empty() {
            group = "run-1".to_owned();
        }
        Ok(Run {
            name: format!("sub-{subject}_{group}"),
            group,
            numbers,
            grid: Grid::of(header),
            timing,
            bold: self.bold,
            events: self.events,
            confounds: self.confounds,
            confounds_there: self.confounds_there,
        })
    }
}

/// What the user says, else the sidecar, else the header, which must agree with them. A header without a unit of time
/// says nothing against the user, and alone it is not enough: 1 is what nobody has set.
fn repetition_time(
    run: &Found,
    header: &Header,
    config: &BidsConfig,
    findings: &mut Findings,
) -> Result<f64> {
    let user = config.tr.map(|tr| (tr, "--tr".to_owned()));
    let sidecar = run.sidecar.tr.as_ref();
    let stated = user.or_else(|| sidecar.map(|(tr, path)| (*tr, path.display().to_string())));
    let header_tr = header
        .tr
        .filter(|_| header.tr_has_unit || config.tr.is_none());
    let tr = match (&stated, header_tr) {
        (Some((tr, origin)), Some(header)) if (tr - header).abs() > SAME_TR * tr.abs() => {
            let message = format!(
                "{}: expected the repetition time {tr} s of {origin} in the header, found {header} s",
                run.bold.display()
            );
            findings.report(Check::TrHeader, message)?;
            *tr
        }
        (Some((tr, _)), _) => *tr,
        (None, Some(tr)) if header.tr_has_unit => tr,
        (None, Some(tr)) => {
            let message = format!(
                "expected a repetition time in a sidecar or with its unit in the header, found {tr} of no unit: give \
                 --tr"
            );
            return Err(Error::invalid(&run.bold, message));
        }
        (None, None) => {
            let message =
                "expected a repetition time in a sidecar or the header, found none: give --tr";
            return Err(Error::invalid(&run.bold, message));
        }
    };
    if PLAUSIBLE_TR.contains(&tr) {
        return Ok(tr);
    }
    let (least, most) = (PLAUSIBLE_TR.start(), PLAUSIBLE_TR.end());
    let message = format!(
        "expected a repetition time from {least} to {most} seconds, found {tr}: if it is in other \
         units, give --tr and --allow {}",
        Check::TrHeader
    );
    Err(Error::invalid(&run.bold, message))
}
