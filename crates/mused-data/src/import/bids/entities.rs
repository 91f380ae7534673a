//! Names of BIDS files: entities, suffix, extension; and which files apply to a recording.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Deepest folder a recording stands in below its root: sub, ses, func and one to spare.
const MAX_DEPTH: usize = 5;

/// Stands for an entity that a name does not have, e.g. the space of a recording in that of its scanner.
pub(super) const NONE: &str = "none";

/// Entities whose values are numbers: `run-01` is `run-1`.
const INDICES: [&str; 6] = ["run", "echo", "flip", "inv", "split", "chunk"];

/// The value of an entity without zeros before its number, where it is one.
pub(super) fn plain<'v>(key: &str, value: &'v str) -> &'v str {
    let digits = value.trim_start_matches('0');
    match INDICES.contains(&key) && !digits.is_empty() && value.parse::<u64>().is_ok() {
        true => digits,
        false => value,
    }
}

/// Whether two values of an entity say the same.
pub(super) fn same(key: &str, a: &str, b: &str) -> bool {
    plain(key, a) == plain(key, b)
}

/// Entities of a preprocessed run that its events, confounds and raw sidecars do not have.
pub(super) const DERIVED: &[&str] = &["space", "res", "den", "desc"];

/// A file name taken apart, e.g. `sub-01_task-faces_run-2_bold.nii.gz`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BidsName {
    /// Key → value: sub, ses, task, run, space, desc ….
    pub(super) entities: BTreeMap<String, String>,
    /// What stands behind the last underscore, e.g. `bold`.
    pub(super) suffix: String,
    /// From the first dot on, e.g. `.nii.gz`.
    pub(super) extension: String,
}

impl BidsName {
    /// `None` for a name of another form.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (stem, extension) = name.split_at(name.find('.')?);
        let mut parts: Vec<&str> = stem.split('_').collect();
        let suffix = parts.pop()?;
        if suffix.is_empty() || suffix.contains('-') {
            return None;
        }
        let mut entities = BTreeMap::new();
        for part in parts {
            let (key, value) = part.split_once('-')?;
            if key.is_empty() || value.is_empty() {
                return None;
            }
            if entities.insert(key.to_owned(), value.to_owned()).is_some() {
                return None;
            }
        }
        Some(Self {
            entities,
            suffix: suffix.to_owned(),
            extension: extension.to_owned(),
        })
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.entities.get(key).map(String::as_str)
    }

    /// Whether a file of this name, standing at the recording's folder or above, speaks of it.
    pub(super) fn applies_to(&self, recording: &Self, ignored: &[&str]) -> bool {
        self.entities.iter().all(|(key, value)| {
            let own = recording.get(key);
            ignored.contains(&key.as_str()) || own.is_some_and(|own| same(key, own, value))
        })
    }
}

/// The files below `root/sub-*` whose names are `wanted`, sorted by path.
pub(super) fn below(
    root: &Path,
    wanted: impl Fn(&BidsName) -> bool,
) -> Result<Vec<(PathBuf, BidsName)>> {
    let mut found = Vec::new();
    for (path, name) in entries(root)? {
        if name.starts_with("sub-") && path.is_dir() {
            descend(&path, 1, &wanted, &mut found)?;
        }
    }
    Ok(found)
}

fn descend(
    folder: &Path,
    depth: usize,
    wanted: &impl Fn(&BidsName) -> bool,
    found: &mut Vec<(PathBuf, BidsName)>,
) -> Result<()> {
    for (path, name) in entries(folder)? {
        if path.is_dir() {
            if depth < MAX_DEPTH {
                descend(&path, depth + 1, wanted, found)?;
            }
        } else if let Some(name) = BidsName::parse(&name).filter(wanted) {
            found.push((path, name));
        }
    }
    Ok(())
}

/// Visible entries by name.
fn entries(folder: &Path) -> Result<BTreeMap<PathBuf, String>> {
    let refused = || Error::io("cannot list", folder);
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(refused())? {
        let entry = entry.map_err(refused())?;
        if let Ok(name) = entry.file_name().into_string()
            && !name.starts_with('.')
        {
            found.insert(entry.path(), name);
        }
    }
    Ok(found)
}

/// Which kind of file is looked for beside a recording.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    /// One of these suffixes.
    pub(super) suffixes: &'a [&'a str],
    pub(super) extension: &'a str,
    /// Entities of the file that need not be the recording's.
    pub(super) ignored: &'a [&'a str],
    /// What `desc` must be, where the file has one and it counts.
    pub(super) desc: Option<&'a str>,
}

impl Wanted<'_> {
    /// Events, which a preprocessed run has of the raw one.
    pub(super) fn events() -> Self {
        Self {
            suffixes: &["events"],
            extension: ".tsv",
            ignored: DERIVED,
            desc: None,
        }
    }

    pub(super) fn confounds() -> Self {
        Self {
            suffixes: &["timeseries", "regressors"],
            desc: Some("confounds"),
            ..Self::events()
        }
    }
}

/// Where files that apply to a recording may stand, from `root` down to the recording's folder.
pub(super) fn folders(root: &Path, recording: &BidsName) -> Vec<PathBuf> {
    let mut folders = vec![root.to_owned()];
    if let Some(subject) = recording.get("sub") {
        let mut folder = root.join(format!("sub-{subject}"));
        folders.push(folder.clone());
        if let Some(session) = recording.get("ses") {
            folder = folder.join(format!("ses-{session}"));
            folders.push(folder.clone());
        }
        folders.push(folder.join("func"));
    }
    folders
}

/// Files that apply to a recording by the inheritance principle: their entities are a part of the recording's. The most
/// specific is last: that of the last folder, and in one folder the one of most entities.
///
/// # Errors
/// When two files of one folder are equally specific, or a folder cannot be listed.
pub(super) fn applicable(
    folders: &[PathBuf],
    recording: &BidsName,
    wanted: Wanted<'_>,
) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        let mut here = Vec::new();
        for (path, name) in entries(folder)? {
            if let Some(name) = BidsName::parse(&name)
                && wanted.suffixes.contains(&name.suffix.as_str())
                && name.extension == wanted.extension
                && name.applies_to(recording, wanted.ignored)
                && wanted
                    .desc
                    .is_none_or(|desc| name.get("desc").is_none_or(|own| own == desc))
            {
                here.push((name.entities.len(), path));
            }
        }
        here.sort();
        if let [.., (a, first), (b, second)] = here.as_slice()
            && a == b
        {
            return Err(Error::invalid(
                first,
                format!(
                    "expected one {} file for a recording, found {} too: remove the one that is not of it",
                    wanted.suffixes.join(" or "),
                    second.display()
                ),
            ));
        }
        found.extend(here.into_iter().map(|(_, path)| path));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let name =
            BidsName::parse("sub-01_ses-a_task-faces_run-2_space-MNI_desc-preproc_bold.nii.gz");
        let name = name.unwrap();
        assert_eq!(name.get("ses"), Some("a"));
        assert_eq!(name.get("desc"), Some("preproc"));
        assert_eq!(
            (name.suffix.as_str(), name.extension.as_str()),
            ("bold", ".nii.gz")
        );
        let root = BidsName::parse("task-faces_bold.json").unwrap();
        assert!(root.applies_to(&name, &[]));
        let other = BidsName::parse("task-faces_run-3_bold.json").unwrap();
        assert!(!other.applies_to(&name, &[]));
        assert!(other.applies_to(&name, &["run"]));
        for wrong in [
            "bold",
            "sub_bold.nii",
            "sub-01_sub-02_bold.nii",
            "sub-01.nii",
            "sub-_bold.nii",
        ] {
            assert_eq!(BidsName::parse(wrong), None, "{wrong}");
        }
    }
}
