//! Subjects and runs that look unlike the others: planted ones are named, and nobody in clean data.
#![allow(clippy::unwrap_used)]

use mused_data::map::{self, Quantity};
use mused_data::quality::{Measure, Outlier, quality};
use mused_data::simulate::{SimulateConfig, simulate};
use mused_data::{Dataset, Trial};
use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

fn simulated(subjects: usize, seed: u64) -> Dataset {
    let folder = TempDir::new().unwrap();
    let config = SimulateConfig {
        subjects,
        stimuli: 400,
        seed,
        ..SimulateConfig::default()
    };
    let path = folder.path().join("data");
    simulate(&config, &path, &mut |_, _| ()).unwrap();
    changed(&Dataset::open(&path).unwrap(), 0, |_, _| ())
}

/// The same in memory, the responses of one subject to its trials changed.
fn changed(
    dataset: &Dataset,
    subject: usize,
    mut change: impl FnMut(&Trial, &mut [f32]),
) -> Dataset {
    let (stimuli, labels) = (dataset.stimuli.to_vec(), (*dataset.labels).clone());
    let mut builder = Dataset::builder("changed", stimuli, labels);
    for (index, data) in dataset.subjects.iter().enumerate() {
        let mut responses = Array2::zeros((data.trials.len(), data.voxels.len()));
        for (at, trial) in data.trials.iter().enumerate() {
            let mut row = vec![0.0; data.voxels.len()];
            data.read_response(at, &mut row).unwrap();
            if index == subject {
                change(trial, &mut row);
            }
            responses
                .row_mut(at)
                .assign(&ndarray::ArrayView1::from(&row));
        }
        let (trials, voxels) = (data.trials.to_vec(), data.voxels.to_vec());
        builder
            .subject(&data.id, trials, voxels, responses)
            .unwrap();
    }
    builder.build().unwrap()
}

fn outliers(dataset: &Dataset) -> Vec<Outlier> {
    quality(dataset).unwrap().outliers
}

#[test]
fn nobody_stands_out_in_clean_data() {
    for seed in 0..20 {
        assert_eq!(outliers(&simulated(5, seed)), [], "simulation {seed}");
    }
}

#[test]
fn a_planted_subject_is_named() {
    let clean = simulated(5, 1);
    let louder = outliers(&changed(&clean, 2, |_, row| {
        row.iter_mut().for_each(|value| *value *= 10.0);
    }));
    assert_eq!(louder.len(), 1, "{louder:?}");
    assert_eq!(louder[0].measure, Measure::Scale);
    let id = &clean.subjects[2].id;
    let text = louder[0].to_string();
    assert!(
        text.starts_with(&format!("subject {id}: responses vary ")),
        "{text}"
    );

    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let noise = outliers(&changed(&clean, 3, |_, row| {
        row.iter_mut()
            .for_each(|value| *value = rng.random::<f32>() - 0.5);
    }));
    let measures: Vec<Measure> = noise.iter().map(|found| found.measure).collect();
    assert!(measures.contains(&Measure::Agreement), "{noise:?}");
    assert!(
        noise
            .iter()
            .all(|found| found.subject == clean.subjects[3].id)
    );
}

#[test]
fn a_planted_run_is_named() {
    let clean = simulated(5, 2);
    let last = clean.subjects[1]
        .trials
        .iter()
        .map(|trial| trial.run)
        .max()
        .unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    type Change<'c> = &'c mut dyn FnMut(usize, &mut f32);
    let cases: [(Measure, Change<'_>); 5] = [
        (Measure::Scale, &mut |_, value| *value *= 5.0),
        (Measure::Scale, &mut |_, value| *value = 0.0),
        (Measure::Shift, &mut |_, value| *value += 8.0),
        // Of either sign, by voxel.
        (Measure::Shift, &mut |voxel, value| {
            *value += [8.0, -8.0][voxel % 2];
        }),
        (Measure::Consistency, &mut |_, value| {
            *value = 4.0 * (rng.random::<f32>() - 0.5)
        }),
    ];
    for (measure, change) in cases {
        let found = outliers(&changed(&clean, 1, |trial, row| {
            if (trial.session, trial.run) == (1, last) {
                for (voxel, value) in row.iter_mut().enumerate() {
                    change(voxel, value);
                }
            }
        }));
        // A run far off can make its subject stand out.
        let of_runs: Vec<&Outlier> = found.iter().filter(|found| found.run.is_some()).collect();
        let named = of_runs.iter().any(|found| found.measure == measure);
        assert!(named, "{measure:?} is not among {found:?}");
        assert!(
            of_runs.iter().all(|found| found.run == Some((1, last))),
            "{found:?}"
        );
        assert!(
            found
                .iter()
                .all(|found| found.subject == clean.subjects[1].id)
        );
    }
}

/// They would hide each other if each were held against all the others.
#[test]
fn two_planted_runs_are_named() {
    let clean = simulated(5, 2);
    let runs: std::collections::BTreeSet<(u32, u32)> = (clean.subjects[1].trials.iter())
        .map(|trial| (trial.session, trial.run))
        .collect();
    assert!(runs.len() >= 8, "{runs:?}");
    let bad: Vec<(u32, u32)> = runs.iter().copied().take(2).collect();
    let found = outliers(&changed(&clean, 1, |trial, row| {
        if bad.contains(&(trial.session, trial.run)) {
            row.iter_mut().for_each(|value| *value *= 6.0);
        }
    }));
    let mut named: Vec<_> = found.iter().filter_map(|found| found.run).collect();
    named.sort_unstable();
    assert_eq!(named, bad, "{found:?}");
}

#[test]
fn broken_voxels_are_named() {
    let clean = simulated(5, 3);
    for broken in [
        |_: usize| 7.0_f32,
        |voxel: usize| (voxel * 7919 % 101) as f32,
    ] {
        let mut trial_number = 0;
        let found = outliers(&changed(&clean, 2, |_, row| {
            trial_number += 1;
            let third = row.len() / 3;
            for value in &mut row[..third] {
                *value = broken(trial_number);
            }
        }));
        let voxels = found.iter().find(|found| found.measure == Measure::Voxels);
        let text = voxels.map(ToString::to_string).unwrap_or_default();
        assert!(text.contains("% of its voxels do not vary"), "{found:?}");
        let own = |found: &Outlier| found.subject == clean.subjects[2].id && found.run.is_none();
        assert!(found.iter().all(own), "{found:?}");
    }
}

/// A trial far off is one line, not one a measure.
#[test]
fn an_extreme_trial_is_told_once() {
    let clean = simulated(5, 4);
    let mut first = true;
    let found = outliers(&changed(&clean, 0, |_, row| {
        if std::mem::take(&mut first) {
            row.iter_mut().for_each(|value| *value *= 500.0);
        }
    }));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].run.is_some());
}

#[test]
fn too_few_to_compare_name_nobody() {
    let one = quality(&simulated(1, 0)).unwrap();
    assert!(one.subjects[0].scale.is_some() && one.subjects[0].agreement.is_none());
    assert_eq!(one.outliers, []);
}

/// Framewise displacement beside the responses: a run in which the head moved, a subject who always moved.
#[test]
fn motion_is_told_and_named() {
    let folder = TempDir::new().unwrap();
    let config = SimulateConfig {
        subjects: 6,
        stimuli: 400,
        seed: 6,
        ..SimulateConfig::default()
    };
    let path = folder.path().join("data");
    simulate(&config, &path, &mut |_, _| ()).unwrap();
    let runs: std::collections::BTreeSet<(u32, u32)> =
        (Dataset::open(&path).unwrap().subjects[0].trials.iter())
            .map(|trial| (trial.session, trial.run))
            .collect();
    assert!(runs.len() >= 4, "{runs:?}");
    let bad = *runs.first().unwrap();
    let tables = |moved: &dyn Fn(usize, (u32, u32)) -> f64| {
        for subject in 0..6 {
            let row = |&(session, run): &(u32, u32)| {
                let mean = moved(subject, (session, run));
                format!("{session}\t{run}\t{mean}\t{}\n", 4.0 * mean)
            };
            let rows: String = runs.iter().map(row).collect();
            let own = path.join(format!("subjects/sub-{:02}/motion.tsv", subject + 1));
            std::fs::write(own, format!("session\trun\tmean\tlargest\n{rows}")).unwrap();
        }
        quality(&Dataset::open(&path).unwrap()).unwrap()
    };
    let usual =
        |subject: usize, run: (u32, u32)| 0.1 + 0.01 * ((subject + run.1 as usize) % 4) as f64;
    let clean = tables(&usual);
    assert_eq!(clean.outliers, []);
    let words = clean.in_words().join("\n");
    assert!(
        words.contains("Head motion (framewise displacement, mean over volumes): from 0.1"),
        "{words}"
    );

    let found = tables(&|subject, run| match (subject, run == bad) {
        (2, true) => 0.9,
        _ => usual(subject, run),
    });
    assert_eq!(found.outliers.len(), 1, "{:?}", found.outliers);
    assert_eq!(found.outliers[0].run, Some(bad));
    let text = found.outliers[0].to_string();
    assert!(text.contains("the head moved 0.90 mm a volume"), "{text}");

    let found = tables(&|subject, run| usual(subject, run) * if subject == 4 { 8.0 } else { 1.0 });
    let named: Vec<_> = found.outliers.iter().map(|o| (o.measure, o.run)).collect();
    assert_eq!(named, [(Measure::Motion, None)]);

    // What is written elsewhere keeps it.
    let copy = folder.path().join("copy");
    let dataset = Dataset::open(&path).unwrap();
    dataset.write(&copy).unwrap();
    let copied = Dataset::open(&copy).unwrap();
    assert_eq!(copied.subjects[3].motion().unwrap().len(), runs.len());
    assert_eq!(
        copied.identity(&[]).unwrap().subjects,
        dataset.identity(&[]).unwrap().subjects
    );
}

/// Correlation of the means of odd and even presentations; noise in a subject's repeats is named.
#[test]
fn repeatability_is_told_and_named() {
    let folder = TempDir::new().unwrap();
    let config = SimulateConfig {
        subjects: 5,
        stimuli: 120,
        repeats: 4,
        seed: 7,
        ..SimulateConfig::default()
    };
    let path = folder.path().join("data");
    simulate(&config, &path, &mut |_, _| ()).unwrap();
    let clean = Dataset::open(&path).unwrap();
    let found = quality(&clean).unwrap();
    assert_eq!(found.outliers, []);
    for (index, subject) in found.subjects.iter().enumerate() {
        let voxels = map::compute(&clean, index, Quantity::Repeatability).unwrap();
        let mut voxels: Vec<f32> = voxels.into_iter().filter(|r| r.is_finite()).collect();
        voxels.sort_by(f32::total_cmp);
        let middle = f64::from(voxels[voxels.len() / 2]);
        let own = subject.repeatability.unwrap();
        assert!((own - middle).abs() < 0.03, "{own} {middle}");
        assert!(own > 0.1, "{own}");
    }
    assert!(
        found
            .in_words()
            .join("\n")
            .contains("Repeatability (r of split halves")
    );
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let noise = outliers(&changed(&clean, 3, |_, row| {
        row.iter_mut()
            .for_each(|value| *value = rng.random::<f32>() - 0.5);
    }));
    assert!(
        noise
            .iter()
            .any(|found| found.measure == Measure::Repeatability),
        "{noise:?}"
    );
    // Nothing shown again: nothing to say.
    let once = quality(&simulated(2, 0)).unwrap();
    let repeats = once.subjects[0].repeatability.is_some();
    assert_eq!(repeats, once.in_words().join("").contains("Repeatability"));
}
