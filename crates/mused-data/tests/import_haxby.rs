//! Real runs without BIDS names: one slice of one subject of Haxby et al. 2001.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../mused-formats/tests/support/shared.rs"]
mod shared;

use mused_data::import::Check;
use mused_data::import::bids::{BidsConfig, Estimate, FilePatterns, import};
use mused_data::{Dataset, Published, SplitPlan};
use shared::shared;
use tempfile::TempDir;

const ROOT: &str = "data/haxby2001-one-slice/haxby2001";

fn config() -> BidsConfig {
    let run = "sub{subject}/BOLD/task{task}_run{run}";
    BidsConfig {
        patterns: Some(FilePatterns {
            bold: format!("{run}/bold_1slice.nii.gz"),
            events: format!("{run}/bold_events.tsv"),
            confounds: None,
        }),
        allow: vec![Check::ConstantVoxels],
        ..BidsConfig::default()
    }
}

const EXPECTED: [(usize, usize, f64); 4] = [
    (0, 0, 223.55555555555554),
    (17, 100, 1260.7777777777778),
    (50, 333, 2293.6666666666665),
    (95, 529, 187.22222222222223),
];
const SUM: f64 = 74_002_182.66666666;
const SQUARES: f64 = 120_576_214_795.506_16;
const FIRST: [i32; 3] = [16, 1, 0];
const LAST: [i32; 3] = [38, 19, 0];

#[test]
#[ignore = "reads ../shared/data: run with --ignored where that folder is"]
fn means_over_blocks_equal_nibabel_and_numpy() {
    let out = TempDir::new().unwrap();
    let path = out.path().join("haxby");
    let imported = import(&shared(ROOT), &path, &config(), &mut |_, _| {}).unwrap();
    assert_eq!(imported.subjects, [("sub-001".to_owned(), [12, 96, 530])]);
    assert_eq!((imported.stimuli, imported.labels.len()), (96, 8));
    let dataset = Dataset::open(&path).unwrap();
    assert_eq!(dataset.description.tr, Some(2.5));
    let subject = &dataset.subjects[0];
    let mut rows = vec![vec![0.0; 530]; 96];
    for (trial, row) in rows.iter_mut().enumerate() {
        subject.read_response(trial, row).unwrap();
    }
    // numpy: a[(t >= onset + 4) & (t < onset + 4 + duration)].mean(0) over voxels that vary.
    for (trial, voxel, expected) in EXPECTED {
        let found = f64::from(rows[trial][voxel]);
        assert!(
            (found - expected).abs() < 1e-6 * expected,
            "{trial} {voxel}: {found}"
        );
    }
    let sum: f64 = rows.iter().flatten().map(|value| f64::from(*value)).sum();
    assert!((sum - SUM).abs() < 1e-6 * SUM, "{sum}");
    let squares: f64 = rows
        .iter()
        .flatten()
        .map(|value| f64::from(*value).powi(2))
        .sum();
    assert!((squares - SQUARES).abs() < 1e-6 * SQUARES, "{squares}");
    assert_eq!(subject.voxels[0].coordinate, Some(FIRST));
    assert_eq!(subject.voxels[529].coordinate, Some(LAST));

    assert_eq!(dataset.stimuli[1].id, "sub-001_run-001_face_0002");
    // Folds leave whole runs out.
    let plan = SplitPlan {
        folds: Some(12),
        published: Published::Use,
        test_fraction: 0.1,
        validation_fraction: 0.0,
        seed: 0,
    };
    for fold in plan.folds(&dataset).unwrap() {
        let group = &dataset.stimuli[fold.test[0]].group;
        assert_eq!(fold.test.len(), 8);
        assert!(
            fold.test
                .iter()
                .all(|&stimulus| dataset.stimuli[stimulus].group == *group)
        );
    }
}

#[test]
#[ignore = "reads ../shared/data: run with --ignored where that folder is"]
fn voxels_outside_the_brain_are_refused() {
    let out = TempDir::new().unwrap();
    let config = BidsConfig {
        allow: Vec::new(),
        estimate: Estimate::Lss,
        ..config()
    };
    let error = import(
        &shared(ROOT),
        &out.path().join("haxby"),
        &config,
        &mut |_, _| {},
    )
    .unwrap_err();
    let expected = "expected values that vary in all 800 voxels, found constant ones in 270";
    assert!(error.to_string().contains(expected), "{error}");
}
