//! Which file holds the RDM of which subject, region and session.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::manifest::{ArrayFile, ResponsesTable};
use crate::import::data_folder::DataFolder;
use crate::import::pattern::{self, Place};
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
    let mut files = data.matching(&components)?;
    // What has a name in the place of a number, as a mean over sessions, is no session.
    let number = |text: &String| text.bytes().all(|byte| byte.is_ascii_digit());
    files.retain(|(_, captured)| captured.session.as_ref().is_none_or(number));
    if files.is_empty() {
        let root = data.path(".")?;
        return Err(invalid(format!(
            "responses.path: expected files like {path:?} in {}, with a number as session, found none",
            root.display()
        )));
    }
    for (relative, captured) in files {
        let (Some(subject), Some(roi)) = (captured.subject, captured.roi) else {
            continue;
        };
        let session = match captured.session.as_deref().map(str::parse) {
            None => 1,
            Some(Ok(session)) => session,
            Some(Err(_)) => {
                return Err(Error::invalid(
                    data.path(&relative)?,
                    "its session is too large",
                ));
            }
        };
        let file = ArrayFile {
            path: relative.clone(),
            select: None,
        };
        add(responses, &subject, &roi, session, file)
            .map_err(|message| invalid(format!("responses.path: {relative}: {message}")))?;
    }
    Ok(())
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
