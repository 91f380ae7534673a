//! The generated files, copies of them that may be damaged, and what is read of them.

use std::fs;
use std::path::{Path, PathBuf};

use mused_data::import::bids::{BidsConfig, Estimate, import};
use mused_data::{Dataset, Error, Subject};
use mused_formats::nifti::{NewNifti, Nifti, NiftiWriter, read_nifti};
use mused_formats::npy::Dtype;
use ndarray::Array2;
use tempfile::TempDir;

pub(crate) fn files() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files/bids")
}

pub(crate) fn config(root: &Path) -> BidsConfig {
    BidsConfig {
        derivatives: Some(root.join("derivatives/prep")),
        exclude: vec!["rest".to_owned(), "button".to_owned()],
        estimate: Estimate::Window(Some([4.0, 8.0])),
        ..BidsConfig::default()
    }
}

pub(crate) fn open(root: &Path, config: &BidsConfig) -> Result<Dataset, Error> {
    let out = TempDir::new().unwrap();
    let path = out.path().join("dataset");
    match import(root, &path, config, &mut |_, _| {}) {
        Ok(_) => Dataset::open(&path),
        Err(error) => {
            assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
            Err(error)
        }
    }
}

pub(crate) fn message(root: &Path, config: &BidsConfig) -> String {
    open(root, config).unwrap_err().to_string()
}

pub(crate) fn responses(subject: &Subject) -> Array2<f64> {
    let mut row = vec![0.0; subject.voxels.len()];
    let mut all = Array2::zeros((subject.trials.len(), row.len()));
    for (trial, mut out) in all.rows_mut().into_iter().enumerate() {
        subject.read_response(trial, &mut row).unwrap();
        out.assign(&ndarray::ArrayView1::from(&row).mapv(f64::from));
    }
    all
}

/// Largest difference relative to the largest value.
pub(crate) fn difference(found: &Array2<f64>, expected: &Array2<f64>) -> f64 {
    assert_eq!(found.dim(), expected.dim());
    let size = expected
        .iter()
        .fold(0.0_f64, |most, value| most.max(value.abs()));
    let pairs = found.iter().zip(expected);
    pairs.fold(0.0_f64, |most, (a, b)| most.max((a - b).abs())) / size
}

/// A copy of the files that may be damaged.
pub(crate) fn copy() -> TempDir {
    fn copy_folder(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            let target = to.join(path.file_name().unwrap());
            if path.is_dir() {
                copy_folder(&path, &target);
            } else {
                fs::copy(&path, &target).unwrap();
            }
        }
    }
    let folder = TempDir::new().unwrap();
    copy_folder(&files(), folder.path());
    folder
}

pub(crate) const RUN: &str =
    "derivatives/prep/sub-01/func/sub-01_task-see_run-2_space-T1w_desc-preproc_bold.nii.gz";
pub(crate) const EVENTS: &str = "sub-01/func/sub-01_task-see_run-2_events.tsv";

/// Writes a run again with other values, repetition time or position.
pub(crate) fn rewrite(path: &Path, tr: f64, shift: f64, value: impl Fn(usize, usize, f32) -> f32) {
    let (header, _) = read_nifti(path).unwrap();
    let mut volumes = Vec::new();
    let mut file = Nifti::open(path).unwrap();
    for volume in 0..header.volumes() {
        let values = file.read_volume(volume).unwrap();
        let values = values.into_iter().enumerate();
        volumes.push(
            values
                .map(|(voxel, old)| value(volume, voxel, old))
                .collect::<Vec<_>>(),
        );
    }
    let mut affine = header.affine;
    affine[0][3] += shift;
    write(path, &header.shape, affine, tr, &volumes);
}

pub(crate) fn write(
    path: &Path,
    shape: &[usize],
    affine: [[f64; 4]; 4],
    tr: f64,
    volumes: &[Vec<f32>],
) {
    let new = NewNifti {
        shape: shape.to_vec(),
        affine,
        tr: Some(tr),
        dtype: Dtype::F32,
    };
    let mut writer = NiftiWriter::create(path, &new).unwrap();
    for volume in volumes {
        writer.write_volume(volume).unwrap();
    }
    writer.finish().unwrap();
}
