//! The simulator: determinism, label statistics and a dataset that opens.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use mused_data::simulate::{SimulateConfig, SimulatedRoi, Spaces, simulate};
use mused_data::{Dataset, Level, Subject};
use mused_stats::rdm::condensed;
use ndarray::{Array1, Array2, Axis};
use tempfile::TempDir;

fn small() -> SimulateConfig {
    let roi = |name: &str, semantic| SimulatedRoi {
        name: name.to_owned(),
        semantic,
    };
    SimulateConfig {
        stimuli: 60,
        repeats: 2,
        sessions: 2,
        rois: vec![roi("V1", 0.0), roi("FFA", 1.0)],
        ..SimulateConfig::common_space()
    }
}

fn write(config: &SimulateConfig, folder: &Path) {
    simulate(config, folder, &mut |_, _| ()).unwrap();
}

/// Every file below a folder with its bytes.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = fs::read(&path).unwrap();
                found.insert(path.strip_prefix(folder).unwrap().to_owned(), bytes);
            }
        }
    }
    found
}

#[test]
fn the_same_seed_gives_the_same_files() {
    let temporary = TempDir::new().unwrap();
    let [first, second, other] = ["a", "b", "c"].map(|name| temporary.path().join(name));
    write(&small(), &first);
    write(&small(), &second);
    write(&SimulateConfig { seed: 2, ..small() }, &other);
    assert_eq!(files(&first), files(&second));
    let responses = Path::new("subjects/sub-01/responses.npy");
    assert_ne!(files(&first)[responses], files(&other)[responses]);
}

#[test]
fn a_subject_does_not_change_when_others_join() {
    let temporary = TempDir::new().unwrap();
    let [few, many] = ["few", "many"].map(|name| temporary.path().join(name));
    write(
        &SimulateConfig {
            subjects: 2,
            ..small()
        },
        &few,
    );
    write(
        &SimulateConfig {
            subjects: 5,
            ..small()
        },
        &many,
    );
    for (path, bytes) in files(&few) {
        assert_eq!(
            bytes,
            fs::read(many.join(&path)).unwrap(),
            "{}",
            path.display()
        );
    }
}

#[test]
fn stimuli_have_the_statistics_of_photographs() {
    let temporary = TempDir::new().unwrap();
    let out = temporary.path().join("out");
    let mut last = None;
    let common = SimulateConfig::common_space();
    simulate(&common, &out, &mut |done, total| last = Some((done, total))).unwrap();
    assert_eq!(last, Some((4, 4)));
    let size: usize = files(&out).values().map(Vec::len).sum();
    assert!(size < 30_000_000, "{size} bytes");

    let dataset = Dataset::open(&out).unwrap();
    assert!(dataset.description.simulated);
    assert_eq!(dataset.problems(), []);
    assert_eq!(dataset.check_arrays().unwrap(), []);
    let labels = &dataset.labels.matrix;
    assert_eq!(labels.ncols(), 80);
    let positives: Vec<u32> = labels
        .columns()
        .into_iter()
        .map(|column| column.iter().map(|on| u32::from(*on)).sum())
        .collect();
    let mean = f64::from(positives.iter().sum::<u32>()) / labels.nrows() as f64;
    assert!((2.7..3.3).contains(&mean), "{mean} labels a stimulus");
    assert!(positives.iter().all(|count| *count >= 5));
    let share = |rank: usize| f64::from(positives[rank]) / labels.nrows() as f64;
    assert!(
        (0.4..0.7).contains(&share(0)),
        "commonest label in {}",
        share(0)
    );
    assert!(share(79) < 0.03, "rarest label in {}", share(79));

    let groups: BTreeSet<&str> = dataset.stimuli.iter().map(|s| s.group.as_str()).collect();
    assert!(
        (420..600).contains(&groups.len()),
        "{} groups",
        groups.len()
    );
    let levels: Vec<_> = dataset.features.iter().map(|set| set.level).collect();
    assert_eq!(levels, [Some(Level::High), Some(Level::Low)]);
}

#[test]
fn subjects_differ_in_voxels_and_order() {
    let temporary = TempDir::new().unwrap();
    let out = temporary.path().join("out");
    write(&small(), &out);
    let dataset = Dataset::open(&out).unwrap();
    let counts: BTreeSet<usize> = dataset.subjects.iter().map(|s| s.voxels.len()).collect();
    assert!(counts.len() > 1, "{counts:?}");
    assert_eq!(dataset.roi_names(), ["V1", "FFA"]);
    for subject in &dataset.subjects {
        assert_eq!(subject.trials.len(), 120);
        let shown: BTreeSet<_> = subject
            .trials
            .iter()
            .map(|t| (t.stimulus, t.repeat))
            .collect();
        assert_eq!(shown.len(), 120);
        let sessions: BTreeSet<u32> = subject.trials.iter().map(|trial| trial.session).collect();
        assert_eq!(sessions, BTreeSet::from([1, 2]));
        let places: BTreeSet<_> = subject
            .voxels
            .iter()
            .map(|voxel| voxel.coordinate)
            .collect();
        assert_eq!(
            places.len(),
            subject.voxels.len(),
            "two voxels share a place"
        );
    }
    let order = |subject: usize| -> Vec<usize> {
        dataset.subjects[subject]
            .trials
            .iter()
            .map(|trial| trial.stimulus)
            .collect()
    };
    assert_ne!(order(0), order(1));
}

fn own() -> SimulateConfig {
    SimulateConfig {
        spaces: Spaces::Own,
        shared: 0.4,
        subjects: 3,
        ..small()
    }
}

#[test]
fn people_with_spaces_of_their_own_share_some_stimuli() {
    let temporary = TempDir::new().unwrap();
    let [first, second] = ["a", "b"].map(|name| temporary.path().join(name));
    write(&own(), &first);
    write(&own(), &second);
    assert_eq!(files(&first), files(&second));
    let dataset = Dataset::open(&first).unwrap();
    // 24 of everybody, 36 of each one.
    assert_eq!(dataset.stimuli.len(), 24 + 3 * 36);
    let of = |subject: &Subject| -> BTreeSet<usize> {
        subject.trials.iter().map(|trial| trial.stimulus).collect()
    };
    let seen: Vec<BTreeSet<usize>> = dataset.subjects.iter().map(of).collect();
    assert!(seen.iter().all(|stimuli| stimuli.len() == 60));
    assert_eq!(&seen[0] & &seen[1], (0..24).collect());
    assert_eq!(&seen[1] & &seen[2], (0..24).collect());
    assert!(
        dataset
            .subjects
            .iter()
            .all(|subject| subject.trials.len() == 120)
    );
    let processing = dataset.description.processing.unwrap();
    assert!(processing.contains("24 stimuli that everybody sees and 36 of its own"));
    for (shared, stimuli) in [(0.0, 180), (1.0, 60)] {
        let out = temporary.path().join(stimuli.to_string());
        write(&SimulateConfig { shared, ..own() }, &out);
        assert_eq!(Dataset::open(&out).unwrap().stimuli.len(), stimuli);
    }
}

/// Mean over voxels of r between the voxels at one place in the first subject and in the third, which is of its kind,
/// and r between the two geometries, in a region without noise.
fn alike(config: &SimulateConfig) -> [f64; 2] {
    let temporary = TempDir::new().unwrap();
    let out = temporary.path().join("out");
    let quiet = SimulateConfig {
        subjects: 3,
        repeats: 1,
        sessions: 1,
        signal_to_noise: 100.0,
        shared: 1.0,
        rois: vec![config.rois[1].clone()],
        voxels_per_roi: (80, 80),
        ..config.clone()
    };
    write(&quiet, &out);
    let dataset = Dataset::open(&out).unwrap();
    let [a, b] = [0, 2].map(|subject| {
        let subject = &dataset.subjects[subject];
        let mut rows = Array2::<f32>::zeros((60, 80));
        for (place, trial) in subject.trials.iter().enumerate() {
            let mut row = vec![0.0; 80];
            subject.read_response(place, &mut row).unwrap();
            rows.row_mut(trial.stimulus).assign(&Array1::from(row));
        }
        let rows = rows.mapv(f64::from);
        let mean = rows.mean_axis(Axis(0)).unwrap();
        rows - mean
    });
    let r = |a: &[f64], b: &[f64]| {
        let [a, b] = [a, b].map(|x| {
            let x = Array1::from(x.to_vec());
            let mean = x.mean().unwrap();
            x - mean
        });
        a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt()
    };
    let voxels = a.columns().into_iter().zip(b.columns());
    let voxels = voxels
        .map(|(a, b)| r(&a.to_vec(), &b.to_vec()))
        .sum::<f64>()
        / 80.0;
    let geometry = |x: &Array2<f64>| condensed(x.dot(&x.t()).view()).unwrap();
    [voxels, r(&geometry(&a), &geometry(&b))]
}

#[test]
fn what_spaces_of_their_own_have_in_common_is_geometry() {
    let [voxels, geometry] = alike(&own());
    assert!(voxels.abs() < 0.15, "{voxels}");
    assert!(geometry > 0.4, "{geometry}");
    let [voxels, _] = alike(&small());
    assert!(voxels > 0.8, "{voxels}");
}

#[test]
fn impossible_experiments_are_refused() {
    let temporary = TempDir::new().unwrap();
    let out = temporary.path().join("out");
    let mut twice = small();
    twice.rois.push(twice.rois[0].clone());
    for (config, expected) in [
        (
            SimulateConfig {
                subjects: 0,
                ..small()
            },
            "subjects is 0, expected from 1 to 10000",
        ),
        (
            SimulateConfig {
                stimuli: 3,
                ..small()
            },
            "stimuli is 3, expected from 10 to 1000000",
        ),
        (
            SimulateConfig {
                signal_to_noise: f64::NAN,
                ..small()
            },
            "signal_to_noise is NaN",
        ),
        (
            SimulateConfig {
                shared: 1.5,
                ..small()
            },
            "shared is 1.5, expected from 0 to 1",
        ),
        (
            SimulateConfig {
                voxels_per_roi: (2, usize::MAX),
                ..small()
            },
            "most voxels of a region is 18446744073709551615",
        ),
        (
            SimulateConfig {
                subjects: 10_000,
                stimuli: 1_000_000,
                repeats: 1000,
                ..small()
            },
            "fewer subjects, stimuli, repeats, voxels or labels",
        ),
        (twice, "roi \"V1\" occurs twice"),
    ] {
        let error = simulate(&config, &out, &mut |_, _| ())
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!out.exists());
    }
}
