//! Which subjects and sessions an NSD tree has, and where their files lie.

use std::fs;
use std::path::{Path, PathBuf};

use super::NsdConfig;
use crate::import::checks::{Check, Findings};
use crate::{Error, Result};

/// Sessions of subj01 to subj08 (Allen et al. 2022, Table 1 of the data manual).
pub(super) const SESSIONS: [u32; 8] = [40, 40, 32, 30, 40, 32, 40, 30];

/// The files of one subject.
#[derive(Debug)]
pub(super) struct SubjectFiles {
    /// From 1.
    pub(super) number: u8,
    /// `subj01` to `subj08`.
    pub(super) id: String,
    /// Number of a session, from 1, and its betas; ascending.
    pub(super) sessions: Vec<(u32, PathBuf)>,
}

/// Folder of the design files.
pub(super) fn experiment(root: &Path) -> PathBuf {
    root.join("nsddata/experiments/nsd")
}

/// Folder of the stimuli.
pub(super) fn stimuli(root: &Path) -> PathBuf {
    root.join("nsddata_stimuli/stimuli/nsd")
}

pub(super) fn roi(root: &Path, subject: &str, config: &NsdConfig, name: &str) -> PathBuf {
    root.join("nsddata/ppdata")
        .join(subject)
        .join(&config.resolution)
        .join("roi")
        .join(format!("{name}.nii.gz"))
}

pub(super) fn label_table(root: &Path, subject: &str, name: &str) -> PathBuf {
    root.join("nsddata/freesurfer")
        .join(subject)
        .join("label")
        .join(format!("{name}.mgz.ctab"))
}

/// Subjects and sessions to import, by number.
pub(super) fn find(
    root: &Path,
    config: &NsdConfig,
    findings: &mut Findings,
) -> Result<Vec<SubjectFiles>> {
    let folder = root.join("nsddata_betas/ppdata");
    let mut subjects = Vec::new();
    for (number, measured) in (1..).zip(SESSIONS) {
        let wanted = config.subjects.is_empty() || config.subjects.contains(&number);
        let id = format!("subj{number:02}");
        let betas = folder
            .join(&id)
            .join(&config.resolution)
            .join(&config.betas);
        if !wanted || config.subjects.is_empty() && !betas.is_dir() {
            continue;
        }
        let sessions = sessions(&betas, config)?;
        let expected = match config.sessions.as_slice() {
            [] => (1..=measured).collect(),
            chosen => chosen.to_vec(),
        };
        let found = |session: &u32| sessions.iter().any(|(number, _)| number == session);
        let missing: Vec<String> = expected
            .iter()
            .filter(|session| !found(session))
            .map(u32::to_string)
            .collect();
        if sessions.is_empty() {
            let message = format!(
                "expected betas_session01.hdf5 (or .nii.gz) and on of {id}, found no session that was \
                 asked for"
            );
            return Err(Error::invalid(betas, message));
        }
        if !missing.is_empty() {
            let message = format!(
                "{}: expected {} sessions of {id}, found {} (missing: {})",
                betas.display(),
                expected.len(),
                sessions.len(),
                missing.join(", ")
            );
            findings.report(Check::SessionMissing, message)?;
        }
        subjects.push(SubjectFiles {
            number,
            id,
            sessions,
        });
    }
    if subjects.is_empty() {
        let message = format!(
            "expected subj01/{}/{} or another subject's, found none",
            config.resolution, config.betas
        );
        return Err(Error::invalid(folder, message));
    }
    Ok(subjects)
}

/// Sessions in a folder of betas; HDF5 is taken where both kinds are there.
fn sessions(folder: &Path, config: &NsdConfig) -> Result<Vec<(u32, PathBuf)>> {
    let refused = || Error::io("cannot list", folder);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(refused())? {
        let name = entry.map_err(refused())?.file_name();
        names.extend(name.into_string());
    }
    let mut sessions: Vec<(u32, PathBuf)> = Vec::new();
    for ending in [".hdf5", ".nii.gz", ".nii"] {
        for name in &names {
            let number = name
                .strip_prefix("betas_session")
                .and_then(|rest| rest.strip_suffix(ending))
                .and_then(|digits| digits.parse::<u32>().ok());
            let Some(number) = number.filter(|number| *number > 0) else {
                continue;
            };
            let wanted = config.sessions.is_empty() || config.sessions.contains(&number);
            if wanted && sessions.iter().all(|(known, _)| *known != number) {
                sessions.push((number, folder.join(name)));
            }
        }
    }
    sessions.sort_unstable();
    Ok(sessions)
}
