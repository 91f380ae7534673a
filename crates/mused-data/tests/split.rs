//! Folds and shares hold labels and sizes as evenly as whole groups allow.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use mused_data::{Dataset, Fold, Labels, Part, Published, SplitPlan, Stimulus, Trial, Voxel};
use ndarray::{Array2, Axis, arr2};
use proptest::prelude::{prop, prop_assert, prop_assert_eq, proptest};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

const STIMULI: usize = 90;
const FOLDS: usize = 5;

/// 32 labels of prevalence about .1; the stimuli with one number are a group.
fn dataset(groups: impl IntoIterator<Item = usize>) -> Dataset {
    let stimulus = |(index, group): (usize, usize)| Stimulus {
        group: format!("clip-{group}"),
        ..Stimulus::new(format!("picture-{index:02}"))
    };
    with(groups.into_iter().enumerate().map(stimulus).collect())
}

fn with(stimuli: Vec<Stimulus>) -> Dataset {
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let labels = Labels {
        names: (0..32).map(|label| format!("label-{label}")).collect(),
        matrix: Array2::from_shape_fn((stimuli.len(), 32), |_| u8::from(rng.random::<f64>() < 0.1)),
    };
    let mut builder = Dataset::builder("labels", stimuli, labels);
    let voxels = Voxel::in_regions(["V1"]);
    builder
        .subject("01", vec![Trial::of(0)], voxels, arr2(&[[1.0]]))
        .unwrap();
    builder.build().unwrap()
}

/// `per_group` neighbours a group.
fn neighbours(stimuli: usize, per_group: usize) -> Dataset {
    dataset((0..stimuli).map(|index| index / per_group))
}

fn plan(test_fraction: f64, validation_fraction: f64, seed: u64) -> SplitPlan {
    SplitPlan {
        folds: None,
        published: Published::Use,
        test_fraction,
        validation_fraction,
        seed,
    }
}

fn only(plan: &SplitPlan, dataset: &Dataset) -> Fold {
    let mut folds = plan.folds(dataset).unwrap();
    assert_eq!(folds.len(), 1);
    folds.remove(0)
}

/// Mean distance of a label's count in a part from its share.
fn unevenness(dataset: &Dataset, parts: &[Vec<usize>], share: f64) -> f64 {
    let positives = dataset.labels.positives();
    let mut sum = 0.0;
    for part in parts {
        let counts = dataset.labels.matrix.select(Axis(0), part).mapv(f64::from);
        for (count, &all) in counts.sum_axis(Axis(0)).iter().zip(&positives) {
            sum += (count - all as f64 * share).abs();
        }
    }
    sum / (parts.len() * positives.len()) as f64
}

#[test]
fn folds_share_labels_and_sizes_evenly() {
    // Groups of three leave less to choose.
    for (per_group, most) in [(1, 0.65), (3, 0.95)] {
        let dataset = neighbours(STIMULI, per_group);
        for seed in 0..20 {
            let plan = SplitPlan {
                folds: Some(FOLDS),
                ..plan(0.2, 0.2, seed)
            };
            let folds = plan.folds(&dataset).unwrap();
            let tests: Vec<Vec<usize>> = folds.iter().map(|fold| fold.test.clone()).collect();
            let blocks: Vec<Vec<usize>> = (0..FOLDS)
                .map(|fold| (fold * STIMULI / FOLDS..(fold + 1) * STIMULI / FOLDS).collect())
                .collect();
            let share = 1.0 / FOLDS as f64;
            let dealt = unevenness(&dataset, &tests, share);
            let blind = unevenness(&dataset, &blocks, share);
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

#[test]
fn the_shares_of_earlier_runs_divide_as_they_did() {
    // As version 0.1.0 divided them.
    let test = [
        0, 9, 12, 19, 21, 26, 28, 34, 35, 37, 45, 48, 54, 65, 73, 74, 80, 88,
    ];
    let validation = [16, 23, 33, 40, 46, 75, 77];
    let fold = only(&plan(0.2, 0.1, 3), &neighbours(STIMULI, 1));
    assert_eq!(
        (&fold.test[..], &fold.validation[..]),
        (&test[..], &validation[..])
    );

    let dataset = neighbours(STIMULI, 3);
    let test = [18, 19, 20, 30, 31, 32, 54, 55, 56, 69, 70, 71, 84, 85, 86];
    let validation = [42, 43, 44, 87, 88, 89];
    let fold = only(&plan(0.2, 0.1, 3), &dataset);
    assert_eq!(
        (&fold.test[..], &fold.validation[..]),
        (&test[..], &validation[..])
    );
    let test = [42, 43, 44, 69, 70, 71, 75, 76, 77, 84, 85, 86];
    let validation = [6, 7, 8, 18, 19, 20, 27, 28, 29, 39, 40, 41, 51, 52, 53];
    let fold = only(&plan(0.1, 0.2, 3), &dataset);
    assert_eq!(
        (&fold.test[..], &fold.validation[..]),
        (&test[..], &validation[..])
    );
}

#[test]
fn validation_does_not_take_half_of_what_is_trained_on() {
    let runs = |sizes: &[usize]| {
        let runs = sizes.iter().enumerate();
        dataset(runs.flat_map(|(run, &size)| std::iter::repeat_n(run, size)))
    };
    let folds = |dataset: &Dataset, share| {
        let groups: BTreeSet<&str> = dataset.stimuli.iter().map(|s| &*s.group).collect();
        let plan = SplitPlan {
            folds: Some(groups.len()),
            ..plan(0.2, share, 0)
        };
        plan.folds(dataset).unwrap()
    };
    // Of three runs, one tested, a tenth would be one of two.
    let three = runs(&[20, 20, 20]);
    for fold in folds(&three, 0.1) {
        assert_eq!((fold.train.len(), fold.validation.len()), (40, 0));
    }
    // Who asks for a half gets it; four runs leave a third.
    for fold in folds(&three, 0.5) {
        assert_eq!((fold.train.len(), fold.validation.len()), (20, 20));
    }
    for fold in folds(&runs(&[20, 20, 20, 20]), 0.1) {
        assert_eq!((fold.train.len(), fold.validation.len()), (40, 20));
    }
}

#[test]
fn a_share_is_the_nearest_number_of_stimuli() {
    let shares = [
        (60, 0.4, 24),
        (60, 0.45, 27),
        (60, 0.3, 18),
        (60, 0.35, 21),
        (60, 0.7, 42),
        (60, 0.9, 54),
        (60, 0.001, 1),
        (60, 0.999, 59),
        (7, 0.15, 1),
    ];
    for (stimuli, share, expected) in shares {
        let dataset = neighbours(stimuli, 1);
        for seed in 0..5 {
            let test = only(&plan(share, 0.0, seed), &dataset).test;
            assert_eq!(test.len(), expected, "{share} of {stimuli}");
            assert_eq!(test, only(&plan(share, 0.0, seed), &dataset).test);
        }
        // Of the training side.
        let fold = only(&plan(0.2, share, 0), &dataset);
        let side = (fold.train.len() + fold.validation.len()) as f64;
        let off = (fold.validation.len() as f64 - share * side).abs();
        assert!(off <= 0.5 || [1, side as usize - 1].contains(&fold.validation.len()));
    }
    let test = |seed| only(&plan(0.4, 0.0, seed), &neighbours(60, 1)).test;
    assert_ne!(test(0), test(1));
}

#[test]
fn a_share_holds_its_share_of_each_label() {
    for (per_group, most) in [(1, 0.65), (3, 0.95)] {
        let dataset = neighbours(STIMULI, per_group);
        for share in [0.4, 0.7] {
            let (mut dealt, mut blind) = (0.0, 0.0);
            for seed in 0..20 {
                let test = only(&plan(share, 0.0, seed), &dataset).test;
                dealt += unevenness(&dataset, &[test.to_vec()], share);
                let block = (0..test.len()).map(|at| (at + 4 * seed as usize) % STIMULI);
                blind += unevenness(&dataset, &[block.collect()], share);
            }
            assert!(
                dealt < most * blind,
                "{per_group} {share}: {dealt} against {blind}"
            );
        }
    }
}

proptest! {
    #[test]
    fn a_share_in_groups_of_any_size_is_as_near_as_can_be(
        sizes in prop::collection::vec(1_usize..9, 2..9),
        share in 0.51..0.99,
        seed in 0_u64..100,
    ) {
        let number = |(group, &size): (usize, &usize)| vec![group; size];
        let dataset = dataset(sizes.iter().enumerate().flat_map(number));
        let fold = only(&plan(share, 0.0, seed), &dataset);
        let group = |stimulus: &usize| &dataset.stimuli[*stimulus].group;
        let tested: BTreeSet<_> = fold.test.iter().map(group).collect();
        let trained: BTreeSet<_> = fold.train.iter().map(group).collect();
        prop_assert!(tested.is_disjoint(&trained) && !trained.is_empty() && !tested.is_empty());
        let wanted = share * dataset.stimuli.len() as f64;
        let off = |chosen: usize| {
            let of = |(group, size): (usize, &usize)| size * (chosen >> group & 1);
            (sizes.iter().enumerate().map(of).sum::<usize>() as f64 - wanted).abs()
        };
        let nearest = (1..(1 << sizes.len()) - 1).map(off).fold(f64::INFINITY, f64::min);
        prop_assert_eq!((fold.test.len() as f64 - wanted).abs(), nearest);
    }
}

#[test]
fn shares_that_cannot_be_had_are_refused() {
    let refused = |test: f64, validation: f64, dataset: &Dataset| {
        let refused = plan(test, validation, 0).folds(dataset);
        refused.unwrap_err().to_string()
    };
    let dataset = neighbours(60, 1);
    for share in [0.0, 1.0, 1.5, -0.2, f64::NAN] {
        let message = refused(share, 0.0, &dataset);
        assert!(message.contains("split.test_fraction"), "{message}");
        assert!(message.contains("above 0 and below 1"), "{message}");
    }
    let message = refused(0.2, -0.1, &dataset);
    assert!(
        message.contains("split.validation_fraction is -0.1"),
        "{message}"
    );
    let message = refused(0.3, 0.0, &neighbours(60, 60));
    assert!(
        message.contains("60 stimuli to divide are all of one group"),
        "{message}"
    );
}

#[test]
fn folds_do_not_mix_a_published_test_part_into_training_unless_told_to() {
    let part = |index| match index % 4 {
        0 => Some(Part::Test),
        1 => None,
        _ => Some(Part::Train),
    };
    let stimulus = |index: usize| Stimulus {
        part: part(index),
        ..Stimulus::new(format!("picture-{index}"))
    };
    let dataset = with((0..STIMULI).map(stimulus).collect());
    let folds = |folds, published| SplitPlan {
        folds,
        published,
        ..plan(0.4, 0.0, 0)
    };
    let published: Vec<usize> = (0..STIMULI).step_by(4).collect();
    assert_eq!(only(&folds(None, Published::Use), &dataset).test, published);
    let message = folds(Some(FOLDS), Published::Use).folds(&dataset);
    let message = message.unwrap_err().to_string();
    for words in [
        "23 stimuli",
        "leave out the folds",
        "split.published = \"ignore\"",
    ] {
        assert!(message.contains(words), "{message}");
    }
    let all = folds(Some(FOLDS), Published::Ignore)
        .folds(&dataset)
        .unwrap();
    let tested: BTreeSet<usize> = all.iter().flat_map(|fold| fold.test.clone()).collect();
    assert_eq!(tested.len(), STIMULI);
    assert_eq!(
        only(&folds(None, Published::Ignore), &dataset).test.len(),
        36
    );
    let without = neighbours(STIMULI, 1);
    let used = folds(Some(FOLDS), Published::Use).folds(&without).unwrap();
    assert_eq!(
        used,
        folds(Some(FOLDS), Published::Ignore)
            .folds(&without)
            .unwrap()
    );
}

#[test]
fn a_training_side_of_one_group_has_no_validation_part() {
    // Two runs, one of them tested.
    let dataset = neighbours(60, 30);
    for plan in [
        plan(0.2, 0.1, 0),
        SplitPlan {
            folds: Some(2),
            ..plan(0.2, 0.1, 0)
        },
    ] {
        for fold in plan.folds(&dataset).unwrap() {
            assert_eq!(
                [fold.train.len(), fold.validation.len(), fold.test.len()],
                [30, 0, 30]
            );
        }
    }
}
