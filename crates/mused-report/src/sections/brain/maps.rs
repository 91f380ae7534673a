use std::path::{Path, PathBuf};

use mused_data::{Subject, map};

use crate::escape::slug;
use crate::input::{Part, RunFiles};

/// Writes each subject's importance beside a report, where its voxels are in the brain. Nothing where
/// `mused explain` gave no importance.
pub(crate) fn importance_maps(files: &RunFiles, report: &Path) -> Vec<(String, Part<PathBuf>)> {
    let (Ok(explain), Ok(dataset)) = (&files.explain, &files.dataset) else {
        return Vec::new();
    };
    let subjects = dataset.subjects.iter();
    let mut written: Vec<(String, Part<PathBuf>)> = subjects
        .filter_map(|subject| {
            let importance = explain.importance(&subject.id, subject.voxels.len()).ok()?;
            let path = path(report, subject);
            let map = map::write(subject, "importance", &importance, &path);
            let map = map.map(|()| path).map_err(|error| error.to_string());
            Some((subject.id.clone(), map))
        })
        .collect();
    // The same reason for everybody is told once.
    if written.iter().all(|(_, map)| map.is_err()) {
        written.truncate(1);
    }
    written
}

fn path(report: &Path, subject: &Subject) -> PathBuf {
    let stem = report.file_stem();
    let stem = stem.map_or("report".into(), |stem| stem.to_string_lossy());
    // Where voxels have no place, writing says so.
    let ending = map::image(subject)
        .ok()
        .flatten()
        .map_or("nii.gz", |image| image.ending);
    report.with_file_name(format!("{stem}-importance-{}.{ending}", slug(&subject.id)))
}
