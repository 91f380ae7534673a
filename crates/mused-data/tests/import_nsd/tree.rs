//! The tree as stored, and what Python makes of it.

use std::fs;
use std::path::{Path, PathBuf};

use mused_data::import::Check;
use mused_data::import::nsd::{NsdConfig, import};
use mused_data::{Dataset, Error, Imported, Subject};
use mused_formats::npy::{self, Dtype};
use ndarray::{Array2, Ix2};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const SUBJECTS: [&str; 2] = ["subj01", "subj02"];
/// What a small tree must be allowed.
pub(crate) const SMALL: [Check; 3] = [Check::SessionMissing, Check::TrialCount, Check::VoxelCount];
pub(crate) const BETAS: &str = "nsddata_betas/ppdata/subj01/func1pt8mm/betas_fithrf_GLMdenoise_RR";
pub(crate) const ROIS: &str = "nsddata/ppdata/subj01/func1pt8mm/roi";
pub(crate) const EXPERIMENT: &str = "nsddata/experiments/nsd";
pub(crate) const ANNOTATIONS: &str = "nsddata_stimuli/stimuli/nsd/annotations";
/// Of the images of masks and betas.
pub(crate) const SHAPE: [usize; 3] = [7, 5, 4];

pub(crate) fn files() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files/nsd")
}

pub(crate) fn config() -> NsdConfig {
    NsdConfig {
        allow: SMALL.to_vec(),
        ..NsdConfig::default()
    }
}

pub(crate) fn try_import(root: &Path, config: &NsdConfig) -> Result<(Imported, Dataset), Error> {
    let out = TempDir::new().unwrap();
    let path = out.path().join("dataset");
    match import(root, &path, config, &mut |_, _| {}) {
        Ok(imported) => Ok((imported, Dataset::open(&path)?)),
        Err(error) => {
            assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
            Err(error)
        }
    }
}

pub(crate) fn open(root: &Path, config: &NsdConfig) -> Dataset {
    try_import(root, config).unwrap().1
}

pub(crate) fn message(root: &Path, config: &NsdConfig) -> String {
    let error = try_import(root, config).map(|(imported, _)| imported.subjects);
    error.unwrap_err().to_string()
}

/// A copy of the tree whose files a test may change.
pub(crate) fn copy() -> TempDir {
    fn copy_folder(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            let target = to.join(path.file_name().unwrap());
            match path.is_dir() {
                true => copy_folder(&path, &target),
                false => assert!(fs::copy(&path, &target).is_ok()),
            }
        }
    }
    let folder = TempDir::new().unwrap();
    copy_folder(&files(), folder.path());
    folder
}

pub(crate) fn responses(subject: &Subject) -> Array2<f32> {
    let mut all = Array2::zeros((subject.trials.len(), subject.voxels.len()));
    let mut row = vec![0.0; subject.voxels.len()];
    for (trial, mut out) in all.rows_mut().into_iter().enumerate() {
        subject.read_response(trial, &mut row).unwrap();
        out.assign(&ndarray::ArrayView1::from(&row));
    }
    all
}

pub(crate) fn expected_responses(subject: &str, variant: &str) -> Array2<f32> {
    let path = files().join(format!("expected/{subject}_{variant}.npy"));
    let array = npy::read_npy_f32(path).unwrap();
    array.into_dimensionality::<Ix2>().unwrap()
}

pub(crate) fn expected() -> Value {
    let text = fs::read_to_string(files().join("expected/expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

pub(crate) fn assert_responses(dataset: &Dataset, variant: &str) {
    assert_eq!(dataset.subjects.len(), 2);
    for (subject, id) in dataset.subjects.iter().zip(SUBJECTS) {
        assert_eq!(subject.id, id);
        assert_eq!(subject.responses.dtype(), Dtype::F16);
        let expected = expected_responses(id, variant);
        assert_eq!(responses(subject), expected, "{id} {variant}");
    }
}
