//! Which file holds the RDM of which subject, region and session.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::manifest::{ArrayFile, ResponsesTable};
use crate::import::data_folder::DataFolder;
use crate::import::pattern::{self, Place};
use crate::read::numbers_of;
use crate::{Error, Result};

/// The RDMs of a subject: session → region → file, all sorted.
pub(super) type Sessions = BTreeMap<u32, BTreeMap<String, ArrayFile>>;

/// All RDMs by subject, sorted.
pub(super) type Responses = BTreeMap<String, Sessions>;

/// Lists the RDMs; nothing is read yet.
pub(super) fn list(
    table: &ResponsesTable,
    data: &DataFolder,
    manifest: &Path,
) -> Result<Responses> {
    let mut responses = Responses::new();
    match (&table.path, table.rdm.as_slice()) {
        (Some(path), []) => discover(path, data, manifest, &mut responses)?,
        (None, [_, ..]) => {
            for (place, rdm) in table.rdm.iter().enumerate() {
                let file = ArrayFile {
                    path: rdm.path.clone(),
                    select: rdm.select.clone(),
                };
                let added = add(&mut responses, &rdm.subject, &rdm.roi, rdm.session, file);
                added.map_err(|message| {
                    Error::invalid(manifest, format!("responses.rdm[{place}]: {message}"))
                })?;
            }
        }
        _ => {
            let message = "responses: expected either path or [[responses.rdm]]";
            return Err(Error::invalid(manifest, message));
        }
    }
    for (subject, sessions) in &responses {
        check_sessions(subject, sessions).map_err(|message| Error::invalid(manifest, message))?;
    }
    Ok(responses)
}

fn discover(
    path: &str,
    data: &DataFolder,
    manifest: &Path,
    responses: &mut Responses,
) -> Result<()> {
    let invalid = |message: String| Error::invalid(manifest, message);
    // Refuses a pattern that leads out of the folder before any folder is listed.
    data.path(path)?;
    let components = pattern::parse(path, &[Place::Subject, Place::Roi])
        .map_err(|message| invalid(format!("responses.path: {message}, found {path:?}")))?;
    let files = data.matching(&components)?;
    if files.is_empty() {
        let root = data.path(".")?;
        return Err(invalid(format!(
            "responses.path: expected files like {path:?} in {}, found none",
            root.display()
        )));
    }
    let names = files
        .iter()
        .filter_map(|(_, found)| found.session.as_deref());
    let numbers = sessions(names.collect());
    for (relative, captured) in &files {
        let (Some(subject), Some(roi)) = (&captured.subject, &captured.roi) else {
            continue;
        };
        let session = match captured.session.as_deref() {
            None => 1,
            Some(name) => match numbers.get(name) {
                Some(Some(session)) => *session,
                Some(None) => {
                    let message = "its session is too large";
                    return Err(Error::invalid(data.path(relative)?, message));
                }
                // Beside numbers, a name is no session but, say, a mean over them.
                None => continue,
            },
        };
        let file = ArrayFile {
            path: relative.clone(),
            select: None,
        };
        add(responses, subject, roi, session, file)
            .map_err(|message| invalid(format!("responses.path: {relative}: {message}")))?;
    }
    Ok(())
}

/// The numbers of sessions; names count where there are no numbers. `None` is a number too large.
fn sessions(found: BTreeSet<&str>) -> BTreeMap<&str, Option<u32>> {
    let is_number = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (numbers, names): (Vec<&str>, Vec<&str>) = found.into_iter().partition(is_number);
    match numbers.is_empty() {
        true => {
            let counted = numbers_of(&names).into_iter().map(Some);
            names.iter().copied().zip(counted).collect()
        }
        false => numbers
            .into_iter()
            .map(|text| (text, text.parse().ok()))
            .collect(),
    }
}

fn add(
    responses: &mut Responses,
    subject: &str,
    roi: &str,
    session: u32,
    file: ArrayFile,
) -> std::result::Result<(), String> {
    if subject.is_empty() || roi.is_empty() {
        return Err("expected a subject and a roi, found an empty name".to_owned());
    }
    let rois = responses
        .entry(subject.to_owned())
        .or_default()
        .entry(session)
        .or_default();
    match rois.insert(roi.to_owned(), file) {
        None => Ok(()),
        Some(other) => Err(format!(
            "expected one RDM of subject {subject}, roi {roi}, session {session}, found {} too",
            other.path
        )),
    }
}

/// A region may be missing for a subject, but not for some of its sessions: their trials are rows
/// of one array.
fn check_sessions(subject: &str, sessions: &Sessions) -> std::result::Result<(), String> {
    let all: BTreeSet<&String> = sessions.values().flat_map(BTreeMap::keys).collect();
    for (session, rois) in sessions {
        if let Some(missing) = all.iter().find(|roi| !rois.contains_key(**roi)) {
            return Err(format!(
                "responses: expected an RDM of subject {subject}, roi {missing} in session \
                 {session} as in its other sessions, found none"
            ));
        }
    }
    Ok(())
}
