//! The events of a run: which of them are trials, of which stimulus, with which labels.

use std::collections::{BTreeMap, BTreeSet};

use mused_formats::table::Table;

use super::design::{self, Interval};
use super::runs::Run;
use super::{BidsConfig, Estimate};
use crate::import::checks::{Check, Findings};
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
    let onset_column = table.column("onset")?;
    let onsets: Vec<f64> = onset_column.parse()?;
    let durations: Vec<Option<f64>> = match table.optional_column("duration") {
        Some(column) => column.parse_optional()?,
        None => vec![None; table.rows()],
    };
    let labels = config
        .label_columns
        .iter()
        .map(|name| Ok(table.column(name)?.cells().collect()))
        .collect::<Result<Vec<Vec<Option<&str>>>>>()?;
    let kinds: Vec<Option<&str>> = match table.optional_column("trial_type") {
        Some(column) => column.cells().collect(),
        None => labels.first().cloned().unwrap_or_default(),
    };
    let stimuli: Option<Vec<Option<&str>>> = match &config.stimulus_column {
        Some(name) => Some(
            table
                .column(name)?
                .strings()?
                .into_iter()
                .map(Some)
                .collect(),
        ),
        None => table
            .optional_column("stim_file")
            .map(|column| column.cells().collect()),
    };

    let mut events = RunEvents::default();
    for row in 0..table.rows() {
        let interval = Interval {
            onset: onsets[row],
            duration: durations[row].unwrap_or(0.0),
        };
        if !(interval.onset.is_finite() && (0.0..1e6).contains(&interval.duration)) {
            return Err(onset_column
                .invalid(row, "a finite onset and a duration of 0 seconds or more")
                .into());
        }
        let kind = kinds[row].unwrap_or(MISSING);
        let cells = labels.iter().map(|column| column[row].unwrap_or(MISSING));
        let own: BTreeSet<&str> = cells.flat_map(split).collect();
        events.kinds.insert(kind.to_owned());
        events
            .labels
            .extend(own.iter().map(|&label| label.to_owned()));
        if config.nuisance.iter().any(|name| name == kind) {
            events
                .nuisance
                .entry(kind.to_owned())
                .or_default()
                .push(interval);
            continue;
        }
        if config.exclude.iter().any(|name| name == kind) {
            continue;
        }
        let own: BTreeSet<&str> = own
            .into_iter()
            .filter(|label| !config.exclude.iter().any(|name| name == label))
            .collect();
        if own.is_empty() {
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
        let stimulus = stimuli.as_ref().and_then(|column| column[row]);
        events.trials.push(Event {
            interval,
            stimulus: stimulus.unwrap_or_default().to_owned(),
            named: stimulus.is_some(),
            labels: own.into_iter().map(str::to_owned).collect(),
            kind: kind.to_owned(),
        });
    }
    events
        .trials
        .sort_by(|a, b| a.interval.onset.total_cmp(&b.interval.onset));
    if let Some(gap) = config.merge_gap {
        events.trials = merged(events.trials, gap);
    }
    check_times(&mut events.trials, run, config, findings)?;
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

/// The labels in a cell.
fn split(cell: &str) -> impl Iterator<Item = &str> {
    cell.split([';', ','])
        .map(str::trim)
        .filter(|label| !label.is_empty())
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

/// Trials whose response the run does not hold; those without any of it are left out.
fn check_times(
    trials: &mut Vec<Event>,
    run: &Run,
    config: &BidsConfig,
    findings: &mut Findings,
) -> Result<()> {
    let timing = run.timing;
    let slack = 1e-6 * timing.tr;
    let mut kept = Vec::with_capacity(trials.len());
    for event in std::mem::take(trials) {
        let onset = event.interval.onset;
        let [from, to] = match config.estimate {
            Estimate::Window(window) => event.interval.window(window),
            // What came before the first volume may still act in the run: it is modelled.
            Estimate::Lsa | Estimate::Lss => [onset.max(timing.start), onset + LEAST_RESPONSE],
        };
        if from < timing.start - slack || to > timing.end() + slack {
            let message = format!(
                "{}: expected responses between {} and {} s ({} volumes of {} s), found an event at \
                 {onset} s whose response is taken from {from} to {to} s",
                run.events.display(),
                timing.start,
                timing.end(),
                timing.volumes,
                timing.tr
            );
            findings.report(Check::EventsOutside, message)?;
        }
        let usable = match config.estimate {
            Estimate::Window(window) => {
                design::window_weights(&[event.interval], window, timing).sum() > 0.0
            }
            Estimate::Lsa | Estimate::Lss => to <= timing.end() + slack,
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
    *trials = kept;
    Ok(())
}
