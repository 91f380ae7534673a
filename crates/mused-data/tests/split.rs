//! Folds share labels and sizes as evenly as whole groups allow.
#![allow(clippy::unwrap_used)]

use mused_data::{
    Dataset, DatasetWriter, Description, Kind, Labels, Response, SplitPlan, Stimulus, Trial, Voxel,
};
use mused_formats::npy::Dtype;
use ndarray::{Array2, Axis};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

const STIMULI: usize = 90;
const FOLDS: usize = 5;

/// 32 labels of prevalence about .1; `per_group` neighbours a group.
fn dataset(folder: &TempDir, per_group: usize) -> Dataset {
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let labels = Labels {
        names: (0..32).map(|label| format!("label-{label}")).collect(),
        matrix: Array2::from_shape_fn((STIMULI, 32), |_| u8::from(rng.random::<f64>() < 0.1)),
    };
    let stimulus = |index: usize| Stimulus {
        group: format!("clip-{}", index / per_group),
        ..Stimulus::new(format!("picture-{index:02}"))
    };
    let description = Description::new("labels", Kind::Roi, Response::Voxels);
    let stimuli = (0..STIMULI).map(stimulus).collect();
    let mut writer = DatasetWriter::create(folder.path(), description, stimuli, &labels).unwrap();
    let trial = Trial {
        stimulus: 0,
        session: 1,
        run: 1,
        onset: None,
        repeat: 1,
    };
    let voxel = Voxel {
        roi: "V1".to_owned(),
        coordinate: None,
        reference: None,
    };
    let mut subject = writer
        .subject("sub-01", &[trial], &[voxel], Dtype::F32)
        .unwrap();
    subject.write_response(&[1.0]).unwrap();
    subject.finish().unwrap();
    writer.finish().unwrap();
    Dataset::open(folder.path()).unwrap()
}

/// Mean distance of a label's count in a test part from its fair share.
fn unevenness(dataset: &Dataset, parts: &[Vec<usize>]) -> f64 {
    let shares = dataset.labels.positives();
    let mut sum = 0.0;
    for part in parts {
        let counts = dataset.labels.matrix.select(Axis(0), part).mapv(f64::from);
        for (count, &share) in counts.sum_axis(Axis(0)).iter().zip(&shares) {
            sum += (count - share as f64 / parts.len() as f64).abs();
        }
    }
    sum / (parts.len() * shares.len()) as f64
}

#[test]
fn folds_share_labels_and_sizes_evenly() {
    // Groups of three leave less to choose.
    for (per_group, most) in [(1, 0.65), (3, 0.95)] {
        let folder = TempDir::new().unwrap();
        let dataset = dataset(&folder, per_group);
        for seed in 0..20 {
            let plan = SplitPlan {
                folds: Some(FOLDS),
                test_fraction: 0.2,
                validation_fraction: 0.2,
                seed,
            };
            let folds = plan.folds(&dataset).unwrap();
            let tests: Vec<Vec<usize>> = folds.iter().map(|fold| fold.test.clone()).collect();
            let blocks: Vec<Vec<usize>> = (0..FOLDS)
                .map(|fold| (fold * STIMULI / FOLDS..(fold + 1) * STIMULI / FOLDS).collect())
                .collect();
            let (dealt, blind) = (unevenness(&dataset, &tests), unevenness(&dataset, &blocks));
            assert!(
                dealt < most * blind,
                "{per_group} {seed}: {dealt} against {blind}"
            );
            for fold in &folds {
                assert!(fold.test.len().abs_diff(STIMULI / FOLDS) <= 2 * per_group);
                assert!(!fold.validation.is_empty());
            }
        }
    }
}
