//! What is held out never reaches the model: planted leaks change nothing, splits keep groups whole.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use mused_data::{
    Arrangement, Dataset, DatasetWriter, Description, Fold, InputReader, InputTransform, Kind,
    Labels, Published, Response, Sample, SplitPlan, Stimulus, Trial, Voxel, samples,
};
use mused_formats::npy::Dtype;
use mused_stats::pca::Pca;
use ndarray::Array2;
use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

const SUBJECTS: [&str; 2] = ["sub-01", "sub-02"];
const STIMULI: usize = 12;
const REPEATS: usize = 2;
const ROIS: [&str; 2] = ["V1", "FFA"];
const PLANTED: f32 = 1e6;

/// Two stimuli a group.
fn group(stimulus: usize) -> usize {
    stimulus / 2
}

fn stimuli() -> Vec<Stimulus> {
    let stimulus = |index: usize| Stimulus {
        group: format!("clip-{}", group(index)),
        ..Stimulus::new(format!("picture-{index:02}"))
    };
    (0..STIMULI).map(stimulus).collect()
}

/// Every stimulus `REPEATS` times.
fn trials() -> Vec<Trial> {
    let trial = |row: usize| Trial {
        stimulus: row % STIMULI,
        session: 1,
        run: 1,
        onset: None,
        repeat: (row / STIMULI) as u32 + 1,
    };
    (0..STIMULI * REPEATS).map(trial).collect()
}

/// In each region one column a stimulus: its reference, or just a voxel.
fn voxels(response: Response) -> Vec<Voxel> {
    let column = |roi: &str, index: usize| Voxel {
        roi: roi.to_owned(),
        coordinate: None,
        reference: (response == Response::SimilarityProfiles).then_some(index),
    };
    ROIS.iter()
        .flat_map(|roi| (0..STIMULI).map(move |index| column(roi, index)))
        .collect()
}

/// Writes and opens a dataset of random responses, where `leak(stimulus, column)` replaces some;
/// columns count from 0 within their region.
fn dataset(
    folder: &Path,
    response: Response,
    leak: impl Fn(usize, usize) -> Option<f32>,
) -> Dataset {
    let labels = Labels {
        names: vec!["person".to_owned()],
        matrix: Array2::from_shape_fn((STIMULI, 1), |(stimulus, _)| (stimulus % 2) as u8),
    };
    let description = Description::new("planted", Kind::Roi, response);
    let mut writer = DatasetWriter::create(folder, description, stimuli(), &labels).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let (trials, voxels) = (trials(), voxels(response));
    for id in SUBJECTS {
        let mut subject = writer.subject(id, &trials, &voxels, Dtype::F32).unwrap();
        for trial in &trials {
            let mut row: Vec<f32> = voxels.iter().map(|_| rng.random::<f32>()).collect();
            for (column, value) in row.iter_mut().enumerate() {
                *value = leak(trial.stimulus, column % STIMULI).unwrap_or(*value);
            }
            subject.write_response(&row).unwrap();
        }
        subject.finish().unwrap();
    }
    writer.finish().unwrap();
    Dataset::open(folder).unwrap()
}

fn plan() -> SplitPlan {
    SplitPlan {
        folds: Some(3),
        published: Published::Use,
        test_fraction: 0.2,
        validation_fraction: 0.25,
        seed: 7,
    }
}

/// The transform and the inputs of the train, validation and test samples of both subjects.
struct Seen {
    transform: Arc<InputTransform>,
    parts: [Array2<f32>; 3],
}

/// What training on the subjects `trained` makes of a fold; the others are only read.
fn seen(dataset: &Dataset, fold: &Fold, trained: &[usize]) -> Seen {
    arranged(dataset, fold, trained, Arrangement::Regions)
}

fn arranged(dataset: &Dataset, fold: &Fold, trained: &[usize], arrangement: Arrangement) -> Seen {
    let everyone: Vec<usize> = (0..SUBJECTS.len()).collect();
    let others: Vec<usize> = everyone
        .iter()
        .copied()
        .filter(|subject| !trained.contains(subject))
        .collect();
    let training: Vec<Sample> = samples(dataset, trained, &fold.train);
    let transform = InputTransform::fit(dataset, arrangement, true, &training, &others).unwrap();
    let transform = Arc::new(transform);
    let reader = InputReader::new(dataset, transform.clone(), &everyone).unwrap();
    let parts = [&fold.train, &fold.validation, &fold.test].map(|stimuli| {
        let wanted = samples(dataset, &everyone, stimuli);
        assert_eq!(wanted.len(), everyone.len() * stimuli.len());
        reader.read(&wanted.iter().collect::<Vec<_>>()).unwrap()
    });
    Seen { transform, parts }
}

fn bits(array: &Array2<f32>) -> Vec<u32> {
    array.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn columns_of_held_out_stimuli_and_the_own_column_change_nothing() {
    let temporary = TempDir::new().unwrap();
    let profiles = Response::SimilarityProfiles;
    let clean = dataset(&temporary.path().join("clean"), profiles, |_, _| None);
    for (index, fold) in plan().folds(&clean).unwrap().iter().enumerate() {
        let held_out: BTreeSet<usize> = fold.validation.iter().chain(&fold.test).copied().collect();
        let folder = temporary.path().join(format!("leaking-{index}"));
        let leaking = dataset(&folder, profiles, |stimulus, column| {
            (column == stimulus || held_out.contains(&column))
                .then_some(PLANTED + (stimulus * column) as f32)
        });
        for trained in [&[0, 1][..], &[1]] {
            let expected = seen(&clean, fold, trained);
            let found = seen(&leaking, fold, trained);
            assert_eq!(found.transform, expected.transform);
            for (found, expected) in found.parts.iter().zip(&expected.parts) {
                assert_eq!(bits(found), bits(expected));
            }
            assert_eq!(
                expected.parts[0].ncols(),
                ROIS.len() * fold.train.len(),
                "a column for each training stimulus and no other"
            );
        }
    }
}

#[test]
fn a_column_of_a_training_stimulus_does_change_the_inputs() {
    // Otherwise the test above would prove nothing.
    let temporary = TempDir::new().unwrap();
    let profiles = Response::SimilarityProfiles;
    let clean = dataset(&temporary.path().join("clean"), profiles, |_, _| None);
    let fold = &plan().folds(&clean).unwrap()[0];
    let changed = dataset(&temporary.path().join("changed"), profiles, |_, column| {
        (column == fold.train[0]).then_some(PLANTED)
    });
    let (before, after) = (seen(&clean, fold, &[0, 1]), seen(&changed, fold, &[0, 1]));
    for (before, after) in before.parts.iter().zip(&after.parts) {
        assert_ne!(bits(before), bits(after));
    }
}

#[test]
fn responses_to_held_out_stimuli_do_not_change_what_is_fitted() {
    let temporary = TempDir::new().unwrap();
    let clean = dataset(&temporary.path().join("clean"), Response::Voxels, |_, _| {
        None
    });
    for (index, fold) in plan().folds(&clean).unwrap().iter().enumerate() {
        let folder = temporary.path().join(format!("leaking-{index}"));
        let leaking = dataset(&folder, Response::Voxels, |stimulus, column| {
            (!fold.train.contains(&stimulus)).then_some(PLANTED + column as f32)
        });
        let components = Arrangement::Components { most: 4 };
        for (trained, arrangement) in [
            (&[0, 1][..], Arrangement::Regions),
            (&[1], Arrangement::Regions),
            (&[0, 1], components),
            (&[1], components),
        ] {
            let expected = arranged(&clean, fold, trained, arrangement);
            let found = arranged(&leaking, fold, trained, arrangement);
            assert_eq!(found.transform, expected.transform);
            let [train, validation, test] = [0, 1, 2]
                .map(|part| (bits(&found.parts[part]), bits(&expected.parts[part])))
                .map(|(found, expected)| found == expected);
            assert!(train);
            assert!(!validation && !test, "the planted values were not read");
        }
    }
}

#[test]
fn training_inputs_are_z_scored_a_subject() {
    let temporary = TempDir::new().unwrap();
    let clean = dataset(temporary.path(), Response::Voxels, |_, _| None);
    let fold = &plan().folds(&clean).unwrap()[0];
    let train = &seen(&clean, fold, &[0, 1]).parts[0];
    let subjects = train.exact_chunks((fold.train.len(), train.ncols()));
    for subject in subjects {
        for voxel in subject.columns() {
            let count = voxel.len() as f32;
            let mean = voxel.sum() / count;
            let variance = voxel.iter().map(|z| (z - mean).powi(2)).sum::<f32>() / (count - 1.0);
            assert!(mean.abs() < 1e-5, "{mean}");
            assert!((variance - 1.0).abs() < 1e-4, "{variance}");
        }
    }
}

/// The first column varies in no training sample; otherwise as the clean dataset.
#[test]
fn regions_become_principal_components_of_training_samples() {
    let temporary = TempDir::new().unwrap();
    let constant = |_, column| (column == 0).then_some(3.0);
    let clean = dataset(temporary.path(), Response::Voxels, constant);
    let fold = &plan().folds(&clean).unwrap()[0];
    let count = fold.train.len();
    let voxels = seen(&clean, fold, &[0, 1]);
    let width = STIMULI * ROIS.len();
    for most in [3, 100] {
        let found = arranged(&clean, fold, &[0, 1], Arrangement::Components { most });
        let kept = most.min(count - 1);
        assert_eq!(found.parts[0].ncols(), ROIS.len() * kept);
        for subject in 0..SUBJECTS.len() {
            for region in 0..ROIS.len() {
                let columns = STIMULI * region..STIMULI * (region + 1);
                let rows_of = |part: &Array2<f32>, columns: std::ops::Range<usize>| {
                    let rows = part.nrows() / SUBJECTS.len();
                    let rows = subject * rows..(subject + 1) * rows;
                    part.slice(ndarray::s![rows, columns]).mapv(f64::from)
                };
                assert_eq!(voxels.parts[0].ncols(), width);
                let fitted = rows_of(&voxels.parts[0], columns.clone());
                let pca = Pca::fit(fitted.view(), most).unwrap();
                let scale = pca.variances.mean().unwrap().sqrt();
                for (part, found) in voxels.parts.iter().zip(&found.parts) {
                    let rows = rows_of(part, columns.clone()) - &pca.mean;
                    let expected = rows.dot(&pca.components.t()) / scale;
                    let found = rows_of(found, kept * region..kept * (region + 1));
                    let difference = (&found - &expected).mapv(f64::abs);
                    assert!(difference.iter().all(|d| *d < 1e-5), "{found} {expected}");
                }
            }
        }
    }
}

#[test]
fn subjects_with_fewer_components_end_in_zeros_and_other_voxels_are_refused() {
    let temporary = TempDir::new().unwrap();
    let mut few = dataset(temporary.path(), Response::Voxels, |_, _| None);
    let everything: Vec<usize> = (0..STIMULI).collect();
    // The second subject saw four of the stimuli alone: three components.
    few.subjects[1].trials = few.subjects[1].trials[..4].into();
    let training = samples(&few, &[0, 1], &everything);
    let most = Arrangement::Components { most: 6 };
    let transform = InputTransform::fit(&few, most, true, &training, &[]).unwrap();
    let slots = transform.layout.slots();
    assert_eq!(slots.iter().map(|s| s.length).collect::<Vec<_>>(), [6, 6]);
    let reader = InputReader::new(&few, Arc::new(transform.clone()), &[0, 1]).unwrap();
    let wanted: Vec<&Sample> = training.iter().filter(|s| s.subject == 1).collect();
    let rows = reader.read(&wanted).unwrap();
    for row in rows.rows() {
        assert!(row.iter().take(3).all(|value| *value != 0.0), "{row}");
        assert_eq!(row.slice(ndarray::s![3..6]).to_vec(), [0.0; 3]);
    }
    let voxels = Arc::make_mut(&mut few.subjects[0].voxels);
    voxels.swap(0, STIMULI);
    voxels[1].roi = ROIS[1].to_owned();
    let refused = InputReader::new(&few, Arc::new(transform), &[0]).unwrap_err();
    let expected = "expected the 12 voxels that the model was fitted on, found 1";
    assert!(refused.to_string().contains(expected), "{refused}");
}

#[test]
fn folds_keep_groups_whole_and_test_every_stimulus_once() {
    let temporary = TempDir::new().unwrap();
    let dataset = dataset(temporary.path(), Response::Voxels, |_, _| None);
    for seed in 0..20 {
        let folds = SplitPlan { seed, ..plan() }.folds(&dataset).unwrap();
        let mut tested: Vec<usize> = folds.iter().flat_map(|fold| fold.test.clone()).collect();
        tested.sort_unstable();
        assert_eq!(tested, (0..STIMULI).collect::<Vec<_>>());
        for fold in &folds {
            let parts = [&fold.train, &fold.validation, &fold.test];
            assert!(parts.iter().all(|part| !part.is_empty()));
            let mut all: Vec<usize> = parts.iter().flat_map(|part| part.iter().copied()).collect();
            all.sort_unstable();
            assert_eq!(all, (0..STIMULI).collect::<Vec<_>>(), "parts overlap");
            let groups = parts.map(|part| -> BTreeSet<usize> {
                part.iter().map(|&stimulus| group(stimulus)).collect()
            });
            assert!(groups[0].is_disjoint(&groups[1]));
            assert!(groups[0].is_disjoint(&groups[2]));
            assert!(groups[1].is_disjoint(&groups[2]));
        }
    }
}

#[test]
fn the_validation_share_is_taken_from_the_training_side() {
    let temporary = TempDir::new().unwrap();
    let dataset = dataset(temporary.path(), Response::Voxels, |_, _| None);
    let without = SplitPlan {
        validation_fraction: 0.0,
        ..plan()
    };
    let with = plan().folds(&dataset).unwrap();
    for (with, without) in with.iter().zip(without.folds(&dataset).unwrap()) {
        assert_eq!(with.test, without.test, "the test part moved");
        assert!(without.validation.is_empty());
        let mut side = [with.train.clone(), with.validation.clone()].concat();
        side.sort_unstable();
        assert_eq!(side, without.train);
    }
}
