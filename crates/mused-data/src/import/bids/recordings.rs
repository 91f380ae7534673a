//! Which recordings of a BIDS tree are imported: one a run, of the kind that is asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use mused_formats::quoted;

use super::BidsConfig;
use super::entities::{self, BidsName, NONE, Wanted};
use crate::import::checks::{Check, Findings};
use crate::{Error, Result};

/// Runs that a message lists.
const LISTED: usize = 5;

/// What tells runs apart; recordings that differ in other entities alone are of one run.
const RUN: [&str; 4] = ["sub", "ses", "task", "run"];

/// A recording and its name.
pub(super) type Recording = (PathBuf, BidsName);

/// The recordings below `folder` that `config` asks for, one a run.
///
/// # Errors
/// A value that no recording has; several recordings of a run, with the entities they differ in; a run of `root` that
/// has events and no such recording, unless [`Check::RunMissing`] is let pass.
pub(super) fn choose(
    root: &Path,
    folder: &Path,
    config: &BidsConfig,
    findings: &mut Findings,
) -> Result<Vec<Recording>> {
    let all = entities::below(folder, is_recording)?;
    if all.is_empty() {
        let mut expected = "expected *_bold.nii.gz below sub-*, found none; for other names give patterns (--bold, --events)".to_owned();
        if let (None, Some(derivatives)) = (&config.derivatives, derivatives_of(root)) {
            expected += "; runs that were preprocessed are named by --derivatives ";
            expected += &quoted(derivatives);
        }
        return Err(Error::invalid(folder, expected));
    }
    check_subjects(
        config,
        all.iter().filter_map(|(_, name)| name.get("sub")).collect(),
    )?;
    let mut chosen = all.clone();
    chosen.retain(|(_, name)| is_of_subject(config, name));
    for filter in filters(config) {
        let known: BTreeSet<&str> = chosen.iter().map(|(_, n)| value(n, filter.key)).collect();
        let known = Vec::from_iter(known).join(", ");
        chosen.retain(|(_, name)| filter.holds(name));
        if chosen.is_empty() {
            let (option, key) = (filter.option(), filter.key);
            let message =
                format!("{option}: expected a recording that has it, found as {key}: {known}");
            return Err(Error::invalid(folder, message));
        }
    }
    if !filters(config).any(|filter| filter.key == "desc") {
        // Raw and preprocessed runs may lie side by side.
        for preferred in ["preproc", NONE] {
            let is = |(_, name): &Recording| value(name, "desc") == preferred;
            if chosen.iter().any(is) {
                chosen.retain(is);
            }
        }
    }
    check_unique(&chosen)?;
    check_complete(root, folder, &all, &chosen, config, findings)?;
    Ok(chosen)
}

/// A folder of preprocessed runs where BIDS has them, the first by name.
fn derivatives_of(root: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(root.join("derivatives")).ok()?.flatten();
    let folders = entries.map(|entry| entry.path());
    folders
        .filter(|path| entities::below(path, is_recording).is_ok_and(|found| !found.is_empty()))
        .min()
}

/// Refuses subjects that are asked for and not `known`.
pub(super) fn check_subjects(config: &BidsConfig, known: BTreeSet<&str>) -> Result<()> {
    let mut asked = config.subjects.iter();
    match asked.find(|asked| !known.contains(without_key(asked))) {
        None => Ok(()),
        Some(missing) => Err(Error::Request(format!(
            "--subject {missing}: expected runs of it, found those of {}",
            Vec::from_iter(known).join(", ")
        ))),
    }
}

/// Whether a subject is asked for.
pub(super) fn is_wanted(config: &BidsConfig, subject: &str) -> bool {
    let mut asked = config.subjects.iter();
    config.subjects.is_empty() || asked.any(|asked| without_key(asked) == subject)
}

/// `01`, whether a user says `01` or `sub-01`.
fn without_key(subject: &str) -> &str {
    subject.strip_prefix("sub-").unwrap_or(subject)
}

fn is_of_subject(config: &BidsConfig, name: &BidsName) -> bool {
    is_wanted(config, name.get("sub").unwrap_or_default())
}

fn is_recording(name: &BidsName) -> bool {
    name.suffix == "bold" && matches!(name.extension.as_str(), ".nii" | ".nii.gz")
}

/// An entity and the value it must have.
struct Filter<'c> {
    key: &'c str,
    value: &'c str,
}

impl Filter<'_> {
    fn holds(&self, name: &BidsName) -> bool {
        entities::same(self.key, value(name, self.key), self.value)
    }

    /// As its user has written it.
    fn option(&self) -> String {
        match self.key {
            "task" | "space" => format!("--{} {}", self.key, self.value),
            key => format!("--entity {key}={}", self.value),
        }
    }
}

fn filters(config: &BidsConfig) -> impl Iterator<Item = Filter<'_>> {
    let named = [("task", &config.task), ("space", &config.space)];
    let named = named
        .into_iter()
        .filter_map(|(key, value)| Some((key, value.as_deref()?)));
    let others = config
        .entities
        .iter()
        .map(|(key, value)| (&**key, &**value));
    let all = named.chain(others);
    all.map(|(key, value)| Filter { key, value })
}

/// The value of an entity, as options and messages say it.
fn value<'n>(name: &'n BidsName, key: &str) -> &'n str {
    name.get(key).unwrap_or(NONE)
}

/// What tells a run from others: [`RUN`], numbers without zeros before them.
fn run_of(name: &BidsName) -> [Option<String>; 4] {
    RUN.map(|key| Some(entities::plain(key, name.get(key)?).to_owned()))
}

fn run_name(run: &[Option<String>; 4]) -> String {
    let parts = RUN.iter().zip(run);
    let parts = parts.filter_map(|(key, value)| Some(format!("{key}-{}", value.as_ref()?)));
    parts.collect::<Vec<_>>().join(" ")
}

/// Refuses several recordings of a run, and says by what one of them is chosen.
fn check_unique(chosen: &[Recording]) -> Result<()> {
    let mut runs: BTreeMap<_, Vec<&Recording>> = BTreeMap::new();
    for recording in chosen {
        let own = runs.entry(run_of(&recording.1)).or_default();
        own.push(recording);
    }
    runs.retain(|_, own| own.len() > 1);
    let Some((run, [first, second, ..])) = runs.iter().next().map(|(run, own)| (run, &own[..]))
    else {
        return Ok(());
    };
    let mut differ: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for own in runs.values() {
        let keys: BTreeSet<&String> = own.iter().flat_map(|(_, n)| n.entities.keys()).collect();
        for key in keys.into_iter().filter(|key| !RUN.contains(&key.as_str())) {
            let values: BTreeSet<&str> = own.iter().map(|(_, name)| value(name, key)).collect();
            if values.len() > 1 {
                differ.entry(key).or_default().extend(values);
            }
        }
    }
    let found = format!(
        "expected one recording of {}, found {} too",
        run_name(run),
        second.0.display()
    );
    if differ.is_empty() {
        return Err(Error::invalid(&first.0, format!("{found}: remove one")));
    }
    let listed = differ.iter().map(|(key, values)| {
        format!(
            "{key} ({})",
            Vec::from_iter(values.iter().copied()).join(", ")
        )
    });
    let choice = differ
        .iter()
        .filter_map(|(key, values)| Some(format!("--entity {key}={}", values.first()?)));
    Err(Error::invalid(
        &first.0,
        format!(
            "{found}: they differ in {}; choose one, as with {}",
            listed.collect::<Vec<_>>().join(" and "),
            choice.collect::<Vec<_>>().join(" ")
        ),
    ))
}

/// Reports runs with events that no chosen recording is of: not preprocessed, most often. Of tasks without any
/// recording nothing is expected.
fn check_complete(
    root: &Path,
    folder: &Path,
    all: &[Recording],
    chosen: &[Recording],
    config: &BidsConfig,
    findings: &mut Findings,
) -> Result<()> {
    let has: BTreeSet<_> = chosen.iter().map(|(_, name)| run_of(name)).collect();
    let tasks: BTreeSet<_> = chosen.iter().map(|(_, name)| name.get("task")).collect();
    // A recording that differs from what is asked for in an entity it has is another.
    let asked = |name: &BidsName| {
        is_of_subject(config, name)
            && tasks.contains(&name.get("task"))
            && filters(config).all(|filter| name.get(filter.key).is_none() || filter.holds(name))
    };
    let mut missing = BTreeSet::new();
    let raw = entities::below(root, |name| is_recording(name) || is_events(name))?;
    for (_, name) in raw.iter().chain(all).filter(|(_, name)| asked(name)) {
        let run = run_of(name);
        // Events of several runs in one file are those of each.
        let inherited = || {
            chosen
                .iter()
                .any(|(_, of)| name.applies_to(of, entities::DERIVED))
        };
        if has.contains(&run) || missing.contains(&run) || is_events(name) && inherited() {
            continue;
        }
        let wanted = Wanted::events();
        let folders = entities::folders(root, name);
        if is_events(name) || !entities::applicable(&folders, name, wanted)?.is_empty() {
            missing.insert(run);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let mut listed: Vec<String> = missing.iter().take(LISTED).map(run_name).collect();
    if let Some(more) = missing.len().checked_sub(LISTED).filter(|more| *more > 0) {
        listed.push(format!("{more} more"));
    }
    let message = format!(
        "{}: expected a recording of every run that has events, preprocessed as the others are, found none of {} (--subject \
         chooses subjects)",
        folder.display(),
        listed.join(", ")
    );
    findings.report(Check::RunMissing, message)
}

fn is_events(name: &BidsName) -> bool {
    name.suffix == "events" && name.extension == ".tsv"
}
