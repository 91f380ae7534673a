//! The events of a run: which of them are trials, of which stimulus, with which labels.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use mused_formats::table::{Column, Table};

use super::design::{self, Interval};
use super::runs::Run;
use super::{BidsConfig, Estimate};
use crate::import::checks::{Check, Findings};
use crate::read::misspelt;
use crate::{Error, Result};

/// What a missing cell is called by `exclude`.
const MISSING: &str = "n/a";
/// Seconds of response a run must still hold behind an onset for its beta to be estimated.
const LEAST_RESPONSE: f64 = 4.0;

/// A trial.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event {
    pub(super) interval: Interval,
    pub(super) stimulus: String,
    /// Whether the events name the stimulus; else it occurs this once.
    pub(super) named: bool,
    pub(super) labels: Vec<String>,
    kind: String,
}

/// The events of a run by their part in the import.
#[derive(Clone, Debug, Default)]
pub(super) struct RunEvents {
    /// In the order of their onsets.
    pub(super) trials: Vec<Event>,
    /// By kind.
    pub(super) nuisance: BTreeMap<String, Vec<Interval>>,
    /// What `nuisance` may name.
    kinds: BTreeSet<String>,
    /// What `exclude` may name besides.
    labels: BTreeSet<String>,
}

/// Values to exclude or to model that no run has are spelling mistakes.
pub(super) fn check_names<'r>(
    config: &BidsConfig,
    runs: impl Iterator<Item = &'r RunEvents> + Clone,
) -> Result<()> {
    let kinds: BTreeSet<&String> = runs.clone().flat_map(|run| &run.kinds).collect();
    let all: BTreeSet<&String> = runs
        .flat_map(|run| &run.labels)
        .chain(kinds.iter().copied())
        .collect();
    for (option, names, known) in [
        ("--exclude", &config.exclude, all),
        ("--nuisance", &config.nuisance, kinds),
    ] {
        if let Some(name) = names.iter().find(|name| !known.contains(name)) {
            let known: Vec<&str> = known.into_iter().map(String::as_str).collect();
            return Err(Error::Request(format!(
                "{option} {name}: expected a value that some event has, found none; there is: {}",
                known.join(", ")
            )));
        }
    }
    Ok(())
}

pub(super) fn read(run: &Run, config: &BidsConfig, findings: &mut Findings) -> Result<RunEvents> {
    let table = Table::read(&run.events)?;
    refuse_misspelt(&table, run, config)?;
    let onset_column = table.column("onset")?;
    let onsets = numbers(onset_column)?;
    let duration_column = table.optional_column("duration");
    let durations = match duration_column {
        Some(column) => numbers(column)?,
        None => vec![None; table.rows()],
    };
    let labels = config
        .label_columns
        .iter()
        .map(|name| Ok(known_cells(table.column(name)?)))
        .collect::<Result<Vec<Vec<Option<&str>>>>>()?;
    let kinds: Vec<Option<&str>> = match table.optional_column("trial_type") {
        Some(column) => known_cells(column),
        None => labels.first().cloned().unwrap_or_default(),
    };
    let stimulus_column = match &config.stimulus_column {
        Some(name) => Some(table.column(name)?),
        None => table.optional_column("stim_file"),
    };
    let stimuli = stimulus_column.map(known_cells);

    let mut events = RunEvents::default();
    let mut seen = HashSet::new();
    let mut twice = Vec::new();
    for row in 0..table.rows() {
        let kind = kinds[row].unwrap_or(MISSING);
        let own: BTreeSet<&str> = labels
            .iter()
            .flat_map(|column| split(column[row]))
            .collect();
        events.kinds.insert(kind.to_owned());
        events
            .labels
            .extend(own.iter().map(|&label| label.to_owned()));
        let excluded = |name: &str| config.exclude.iter().any(|excluded| excluded == name);
        let own: BTreeSet<&str> = own.into_iter().filter(|label| !excluded(label)).collect();
        let nuisance = config.nuisance.iter().any(|name| name == kind);
        if !nuisance && (excluded(kind) || own.is_empty()) {
            continue;
        }
        let Some(onset) = onsets[row] else {
            let message = format!(
                "{}: line {}: expected an onset of the event {kind}, found none",
                run.events.display(),
                table.line(row).unwrap_or_default()
            );
            findings.report(Check::OnsetMissing, message)?;
            continue;
        };
        let interval = Interval {
            onset,
            duration: durations[row].unwrap_or(0.0),
        };
        if !interval.onset.is_finite() {
            return Err(onset_column.invalid(row, "a finite number").into());
        }
        if let (Some(column), false) = (duration_column, (0.0..1e6).contains(&interval.duration)) {
            return Err(column.invalid(row, "0 to a million seconds").into());
        }
        let stimulus = stimuli.as_ref().and_then(|column| column[row]);
        let times = [interval.onset, interval.duration].map(f64::to_bits);
        if !seen.insert((times, kind, stimulus, own.clone())) {
            twice.push(table.line(row).unwrap_or_default());
            continue;
        }
        if nuisance {
            let group = events.nuisance.entry(kind.to_owned()).or_default();
            group.push(interval);
            continue;
        }
        if own.contains(MISSING) {
            let line = table.line(row).unwrap_or_default();
            let message = format!(
                "line {line}: expected a label in {}, found none: --exclude {MISSING} leaves it out",
                config.label_columns.join(" and ")
            );
            return Err(Error::invalid(&run.events, message));
        }
        if let (None, Some(column), Some(_)) = (stimulus, stimulus_column, &config.stimulus_column)
        {
            return Err(column.invalid(row, "a stimulus").into());
        }
        events.trials.push(Event {
            interval,
            stimulus: stimulus.unwrap_or_default().to_owned(),
            named: stimulus.is_some(),
            labels: own.into_iter().map(str::to_owned).collect(),
            kind: kind.to_owned(),
        });
    }
    if let Some(first) = twice.first() {
        findings.warn(format!(
            "{}: taken once are events that occur twice with the same onset, duration and values: {}, the first in line \
             {first}",
            run.events.display(),
            twice.len()
        ));
    }
    events
        .trials
        .sort_by(|a, b| a.interval.onset.total_cmp(&b.interval.onset));
    if let Some(gap) = config.merge_gap {
        events.trials = merged(events.trials, gap);
    }
    check_times(&mut events, run, config, findings)?;
    if events.trials.is_empty() {
        let message = format!(
            "expected at least one trial, found none in {} events",
            table.rows()
        );
        return Err(Error::invalid(&run.events, message));
    }
    for (place, event) in events.trials.iter_mut().enumerate() {
        if !event.named {
            // Of letters that any file system and table can hold.
            let plain = |letter: char| {
                if letter.is_alphanumeric() {
                    letter
                } else {
                    '-'
                }
            };
            let kind: String = event.kind.chars().map(plain).collect();
            event.stimulus = format!("{}_{kind}_{:04}", run.name, place + 1);
        }
    }
    Ok(events)
}

/// Refuses a column that was meant to be one of those that are read where they are there. Events have many columns of
/// their own: only what differs in letter case, underscores or one letter is meant.
fn refuse_misspelt(table: &Table, run: &Run, config: &BidsConfig) -> Result<()> {
    let plain = |name: &str| name.trim().replace('_', "").to_lowercase();
    let asked = |name: &String| {
        config.label_columns.contains(name) || config.stimulus_column.as_ref() == Some(name)
    };
    let optional = match config.stimulus_column {
        None => &["duration", "stim_file"][..],
        Some(_) => &["duration"],
    };
    for meant in optional {
        if table.optional_column(meant).is_some() {
            continue;
        }
        let near = |name: &&String| strsim::osa_distance(&plain(name), &plain(meant)) <= 1;
        let mut others = table.columns().iter().filter(|name| !asked(name));
        if let Some(found) = others.find(near) {
            return Err(Error::invalid(
                &run.events,
                misspelt("column", meant, found),
            ));
        }
    }
    Ok(())
}

/// What a cell says: nothing where it is blank or holds what R, pandas, Python and spreadsheets write for a missing value.
fn known(cell: Option<&str>) -> Option<&str> {
    let cell = cell?.trim();
    let missing = matches!(
        cell,
        "" | "NA" | "<NA>" | "#N/A" | "NaT" | "None" | "NULL" | "null"
    ) || cell.eq_ignore_ascii_case("n/a")
        || cell.eq_ignore_ascii_case("nan");
    (!missing).then_some(cell)
}

fn known_cells(column: Column<'_>) -> Vec<Option<&str>> {
    column.cells().map(known).collect()
}

/// The numbers of a column.
fn numbers(column: Column<'_>) -> Result<Vec<Option<f64>>> {
    let cells = known_cells(column).into_iter().enumerate();
    let number = |(row, cell): (usize, Option<&str>)| match cell.map(str::parse) {
        None => Ok(None),
        Some(Ok(number)) => Ok(Some(number)),
        Some(Err(_)) => Err(column.invalid(row, "a number or n/a").into()),
    };
    cells.map(number).collect()
}

/// The labels in a cell.
fn split(cell: Option<&str>) -> Vec<&str> {
    let labels = cell.unwrap_or_default().split([';', ',']).map(str::trim);
    let labels = labels.filter(|label| !label.is_empty());
    let labels: Vec<&str> = labels
        .map(|label| known(Some(label)).unwrap_or(MISSING))
        .collect();
    if labels.is_empty() {
        vec![MISSING]
    } else {
        labels
    }
}

/// Joins events of one kind that follow one another closely.
fn merged(events: Vec<Event>, gap: f64) -> Vec<Event> {
    let mut blocks: Vec<Event> = Vec::new();
    for event in events {
        let end = event.interval.onset + event.interval.duration;
        match blocks.last_mut() {
            Some(block)
                if block.kind == event.kind
                    && block.labels == event.labels
                    && event.interval.onset
                        <= block.interval.onset + block.interval.duration + gap + 1e-9 =>
            {
                block.interval.duration = block.interval.duration.max(end - block.interval.onset);
            }
            _ => blocks.push(Event {
                named: false,
                ..event
            }),
        }
    }
    blocks
}

/// Events whose response the run does not hold; those without any of it are left out.
fn check_times(
    events: &mut RunEvents,
    run: &Run,
    config: &BidsConfig,
    findings: &mut Findings,
) -> Result<()> {
    let timing = run.timing;
    let slack = 1e-6 * timing.tr;
    // What came shortly before the first volume still acts in the run: a model has it.
    let modelled = |onset: f64| onset >= timing.start + design::GRID_START;
    let mut outside: Vec<[f64; 3]> = Vec::new();
    for group in events.nuisance.values_mut() {
        for &Interval { onset, .. } in group.iter().filter(|event| !modelled(event.onset)) {
            outside.push([onset, onset, onset + LEAST_RESPONSE]);
        }
        group.retain(|event| modelled(event.onset));
    }
    let mut kept = Vec::with_capacity(events.trials.len());
    for event in std::mem::take(&mut events.trials) {
        let onset = event.interval.onset;
        let [from, to] = match config.estimate {
            Estimate::Window(window) => event.interval.window(window),
            Estimate::Lsa | Estimate::Lss => {
                let to = onset + LEAST_RESPONSE;
                // A beta of the undershoot alone says little.
                let has_peak = to + event.interval.duration > timing.start;
                let from = if has_peak {
                    onset.max(timing.start)
                } else {
                    onset
                };
                [from, to]
            }
        };
        if from < timing.start - slack || to > timing.end() + slack {
            outside.push([onset, from, to]);
        }
        let usable = match config.estimate {
            Estimate::Window(window) => {
                design::window_weights(&[event.interval], window, timing).sum() > 0.0
            }
            Estimate::Lsa | Estimate::Lss => modelled(onset) && to <= timing.end() + slack,
        };
        if usable {
            kept.push(event);
        } else if to <= timing.end() + slack && from >= timing.start - slack {
            let message = format!(
                "expected a volume in the window from {from} to {to} s of the event at {onset} s, found \
                 none at a repetition time of {} s: widen it",
                timing.tr
            );
            return Err(Error::invalid(&run.events, message));
        }
    }
    events.trials = kept;
    let Some([onset, from, to]) = outside.first() else {
        return Ok(());
    };
    let others = match outside.len() {
        1 => String::new(),
        all => format!(", and {} more", all - 1),
    };
    // Such a file may be shifted as a whole: what lies in the run would be wrong too.
    let shifted = match outside.iter().any(|[_, _, to]| *to < timing.start) {
        true => {
            ", some before the run: look whether the file counts from its first volume and is of this run"
        }
        false => "",
    };
    let message = format!(
        "{}: expected responses between {} and {} s ({} volumes of {} s), found an event at {onset} s whose response is \
         taken from {from} to {to} s{others}{shifted}",
        run.events.display(),
        timing.start,
        timing.end(),
        timing.volumes,
        timing.tr
    );
    findings.report(Check::EventsOutside, message)
}
