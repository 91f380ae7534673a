//! A small data folder with its manifest, and what is read of a dataset.

use std::fs;
use std::path::PathBuf;

use mused_data::import::rdm::{RdmConfig, import};
use mused_data::{Dataset, Error, Imported};
use mused_formats::npy::{write_npy_f32, write_npy_f64};
use ndarray::{Array2, Axis, arr1, arr2};
use tempfile::TempDir;

pub(crate) fn response(dataset: &Dataset, subject: &str, trial: usize) -> Vec<f32> {
    let subject = &dataset.subjects[dataset.subject(subject).unwrap()];
    let mut row = vec![0.0; subject.voxels.len()];
    subject.read_response(trial, &mut row).unwrap();
    row
}

/// A small data folder: two subjects, two regions (the second subject lacks one), three stimuli.
pub(crate) struct Small {
    pub(crate) folder: TempDir,
}

pub(crate) const MANIFEST: &str = r#"
name = "small"
licence = "CC0-1.0"
citation = "nobody"
[stimuli]
count = 3
id = "s{index}"
[labels]
words = ["words.txt"]
exclude = ["it"]
[responses]
path = "rdm/sub-{subject}_{roi}.npy"
[[guidance]]
level = "low"
description = "condensed"
rdms = [{ path = "model.npy" }]
[[guidance]]
level = "high"
name = "meaning"
description = "features"
features = "features.npy"
"#;

impl Small {
    pub(crate) fn new() -> Self {
        let small = Self {
            folder: TempDir::new().unwrap(),
        };
        fs::create_dir(small.path("rdm")).unwrap();
        small.square("rdm/sub-02_lh_V1.npy", [0.1, 0.2, 0.3]);
        small.square("rdm/sub-02_rh_V1.npy", [0.4, 0.5, 0.6]);
        write_npy_f64(
            small.path("rdm/sub-01_lh_V1.npy"),
            arr1(&[0.7, 0.8, 0.9]).view(),
        )
        .unwrap();
        fs::write(small.path("rdm/notes.txt"), "not an RDM").unwrap();
        fs::write(small.path("words.txt"), "dog, cat\ncat,it\n dog ,cat, \n").unwrap();
        write_npy_f64(small.path("model.npy"), arr1(&[1.0, 2.0, 3.0]).view()).unwrap();
        write_npy_f32(small.path("features.npy"), Array2::<f32>::eye(3).view()).unwrap();
        small.write_manifest(MANIFEST);
        small
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// A square RDM with the upper triangle given and .5 on the diagonal.
    pub(crate) fn square(&self, relative: &str, [ab, ac, bc]: [f64; 3]) {
        let rdm = arr2(&[[0.5, ab, ac], [ab, 0.5, bc], [ac, bc, 0.5]]);
        write_npy_f64(self.path(relative), rdm.view()).unwrap();
    }

    pub(crate) fn write_manifest(&self, text: &str) {
        fs::write(self.path("manifest.toml"), text).unwrap();
    }

    pub(crate) fn import(&self) -> Result<Imported, Error> {
        import(
            &self.path("manifest.toml"),
            &self.path("out"),
            &RdmConfig::default(),
            &mut |_, _| (),
        )
    }

    /// The message of a failing import, which must leave nothing behind.
    #[track_caller]
    pub(crate) fn message(&self) -> String {
        let message = self.import().unwrap_err().to_string();
        for entry in fs::read_dir(self.folder.path()).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(!name.contains("out"), "left {name} behind");
        }
        message
    }

    #[track_caller]
    pub(crate) fn fails_with(&self, expected: &str) {
        let message = self.message();
        assert!(
            message.contains(expected),
            "expected {expected:?} in {message:?}"
        );
    }

    /// Fails where `from` in the manifest is replaced by `to`.
    #[track_caller]
    pub(crate) fn replaced_fails_with(&self, from: &str, to: &str, expected: &str) {
        assert!(MANIFEST.contains(from));
        self.write_manifest(&MANIFEST.replacen(from, to, 1));
        self.fails_with(expected);
    }
}

/// The centred kernel of an RDM, its diagonal taken as 0.
pub(crate) fn kernel(rdm: &Array2<f64>) -> Array2<f64> {
    let mut kernel = 1.0 - rdm;
    kernel.diag_mut().fill(1.0);
    let size = rdm.nrows();
    let centring = Array2::<f64>::eye(size) - 1.0 / size as f64;
    centring.dot(&kernel).dot(&centring)
}

pub(crate) fn patterns_of(dataset: &Dataset, subject: usize, roi: &str) -> Array2<f64> {
    let subject = &dataset.subjects[subject];
    let columns = (0..subject.voxels.len()).filter(|&column| subject.voxels[column].roi == roi);
    let columns: Vec<usize> = columns.collect();
    let rows = (0..subject.trials.len()).map(|trial| response(dataset, &subject.id, trial));
    let rows: Vec<f32> = rows.flatten().collect();
    let rows = Array2::from_shape_vec((subject.trials.len(), subject.voxels.len()), rows);
    rows.unwrap().select(Axis(1), &columns).mapv(f64::from)
}

pub(crate) fn assert_inner_products(patterns: &Array2<f64>, expected: &Array2<f64>) {
    let found = patterns.dot(&patterns.t());
    let differences = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
    assert!(differences.fold(0.0, f64::max) < 1e-5, "{found} {expected}");
}

pub(crate) fn ids(imported: &Imported) -> Vec<&str> {
    let subjects = imported.subjects.iter();
    subjects.map(|(id, _)| id.as_str()).collect()
}

pub(crate) fn labels_of(dataset: &Dataset, stimulus: usize) -> Vec<&str> {
    let row = dataset.labels.matrix.row(stimulus);
    let named = dataset.labels.names.iter().zip(row);
    named
        .filter(|(_, on)| **on == 1)
        .map(|(name, _)| name.as_str())
        .collect()
}

pub(crate) fn features(dataset: &Dataset, name: &str) -> Array2<f32> {
    let set = dataset
        .features
        .iter()
        .find(|set| set.name == name)
        .unwrap();
    dataset.read_features(set).unwrap()
}

pub(crate) fn assert_near(found: f32, expected: f64) {
    assert!(
        (f64::from(found) - expected).abs() < 1e-6,
        "expected {expected}, found {found}"
    );
}
