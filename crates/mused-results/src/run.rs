//! What `run.json` says of a run's dataset and of the search for leaks.

use std::fs;
use std::path::{Path, PathBuf};

use mused_data::{Dataset, Identity};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, Stated};

/// The search for leaks before training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Audit {
    /// Leaks that were found and let pass.
    pub findings: Vec<Finding>,
    /// What could not be searched, and why.
    pub skipped: Vec<String>,
}

/// A way in which test data reach training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Its name, as `--allow` takes it.
    pub leak: String,
    /// Where.
    pub evidence: String,
}

/// What is read of `run.json`.
#[derive(Deserialize)]
pub(crate) struct RunFile {
    dataset: DatasetReference,
    audit: Option<Audit>,
}

#[derive(Deserialize)]
struct DatasetReference {
    /// None of data in memory.
    path: Option<PathBuf>,
    /// In runs of versions after 0.1.0.
    identity: Option<Identity>,
    /// Of the folder, in runs of version 0.1.0.
    sha256: Option<String>,
}

impl DatasetReference {
    fn is(&self, dataset: &Dataset) -> mused_data::Result<bool> {
        match &self.identity {
            Some(recorded) => {
                let features: Vec<&str> = recorded.features.keys().map(String::as_str).collect();
                Ok(dataset.identity(&features)? == *recorded)
            }
            None => Ok(dataset.folder_sha256()? == self.sha256),
        }
    }
}

impl RunFile {
    /// `None` for predictions without a run.
    pub(crate) fn read(run: &Path) -> Result<Option<Self>> {
        let path = run.join("run.json");
        if !path.is_file() {
            return Ok(None);
        }
        let invalid = |message: String| Error::Invalid {
            path: path.clone(),
            message,
        };
        let text = fs::read_to_string(&path).map_err(|error| invalid(error.to_string()))?;
        let file = serde_json::from_str(&text).map_err(|error| invalid(error.to_string()))?;
        Ok(Some(file))
    }
}

/// The dataset of a run, or why it cannot be looked at.
pub(crate) fn dataset(run: Option<&RunFile>) -> std::result::Result<Dataset, String> {
    let Some(RunFile { dataset, .. }) = run else {
        return Err("there is no run.json that names the dataset".to_owned());
    };
    let Some(path) = &dataset.path else {
        return Err("the run was made of data in memory".to_owned());
    };
    let place = path.display();
    let opened = Dataset::open(path)
        .and_then(|opened| Ok((dataset.is(&opened)?, opened)))
        .map_err(|_| format!("the dataset is no longer at {place}"))?;
    match opened {
        (true, opened) => Ok(opened),
        _ => Err(format!("the dataset at {place} is another one by now")),
    }
}

pub(crate) fn audit(run: Option<RunFile>) -> Stated<Audit> {
    match run.and_then(|run| run.audit) {
        Some(audit) => Stated::Value(audit),
        None => Stated::because(
            "the run was made without a search for leaks; `mused audit RUN` makes one",
        ),
    }
}

#[cfg(test)]
mod tests {
    use mused_data::{Labels, Stimulus, Trial, Voxel};
    use ndarray::arr2;
    use tempfile::TempDir;

    use super::*;

    fn write(path: &Path, response: f32) -> Dataset {
        let labels = Labels {
            names: vec!["person".to_owned()],
            matrix: arr2(&[[1]]),
        };
        let mut builder = Dataset::builder("one", vec![Stimulus::new("face")], labels);
        let (trials, voxels) = (vec![Trial::of(0)], Voxel::in_regions(["V1"]));
        builder
            .subject("01", trials, voxels, arr2(&[[response]]))
            .unwrap();
        builder.build().unwrap().write(path).unwrap();
        Dataset::open(path).unwrap()
    }

    #[test]
    fn the_dataset_of_a_run_is_known_by_what_it_read_or_by_its_folder() {
        let folder = TempDir::new().unwrap();
        let (path, run) = (folder.path().join("data"), folder.path().join("run.json"));
        let written = write(&path, 1.0);
        let references = [
            serde_json::json!({"path": path, "identity": written.identity(&[]).unwrap()}),
            serde_json::json!({"path": path, "sha256": written.folder_sha256().unwrap()}),
        ];
        let found = |reference: &serde_json::Value| {
            fs::write(&run, serde_json::json!({"dataset": reference}).to_string()).unwrap();
            let file = RunFile::read(folder.path()).unwrap();
            dataset(file.as_ref()).err().unwrap_or_default()
        };
        assert_eq!(references.each_ref().map(found), ["", ""]);
        // Which no run reads, but a folder is not the same with it.
        fs::write(path.join(".DS_Store"), "Finder").unwrap();
        let [by_content, by_folder] = references.each_ref().map(found);
        assert_eq!(by_content, "");
        assert!(by_folder.contains("is another one by now"), "{by_folder}");
        fs::remove_dir_all(&path).unwrap();
        write(&path, 2.0);
        for message in references.each_ref().map(found) {
            assert!(message.contains("is another one by now"), "{message}");
        }
    }
}
