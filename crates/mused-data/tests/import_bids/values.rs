//! Responses, pictures and regions against numpy and nilearn.

use std::fs;

use mused_data::Dataset;
use mused_data::import::bids::{BidsConfig, Drift, Estimate, Region, import};
use mused_formats::npz::NpzFile;
use ndarray::Ix2;
use tempfile::TempDir;

use crate::tree::*;

#[test]
fn responses_equal_numpy_and_nilearn() {
    let root = files();
    let expected = NpzFile::read(root.join("expected.npz")).unwrap();
    let base = config(&root);
    let confounds = ["trans_x*", "a_comp_cor_*"].map(str::to_owned).to_vec();
    let cosine = Drift::Cosine { high_pass: 0.01 };
    let with = |estimate, drift, confounds: &[String], zscore, nuisance: &[&str]| BidsConfig {
        estimate,
        drift,
        confounds: confounds.to_vec(),
        zscore,
        exclude: if nuisance.is_empty() {
            base.exclude.clone()
        } else {
            vec!["rest".to_owned()]
        },
        nuisance: nuisance.iter().map(|name| (*name).to_owned()).collect(),
        ..base.clone()
    };
    let polynomial = Drift::Polynomial { order: 3 };
    let cases = [
        ("window", base.clone()),
        (
            "window_zscore",
            with(Estimate::Window(Some([3.0, 9.0])), cosine, &[], true, &[]),
        ),
        ("lsa_cosine", with(Estimate::Lsa, cosine, &[], false, &[])),
        ("lss_cosine", with(Estimate::Lss, cosine, &[], false, &[])),
        (
            "lsa_polynomial_confounds",
            with(Estimate::Lsa, polynomial, &confounds, false, &[]),
        ),
        (
            "lss_all_zscore",
            with(Estimate::Lss, cosine, &confounds, true, &["button"]),
        ),
    ];
    for (name, config) in cases {
        let dataset = open(&root, &config).unwrap();
        let expected = expected
            .array(name)
            .unwrap()
            .into_dimensionality::<Ix2>()
            .unwrap();
        let found = difference(&responses(&dataset.subjects[0]), &expected);
        eprintln!("{name}: {found:.1e}");
        assert!(found < 1e-6, "{name}: {found:e}");
    }
}

#[test]
fn pictures_are_stimuli_that_repeat_over_runs_and_subjects() {
    let root = files();
    let config = BidsConfig {
        label_columns: vec!["trial_type".to_owned(), "content".to_owned()],
        ..config(&root)
    };
    let dataset = open(&root, &config).unwrap();
    let names = ["building", "face", "house", "indoor", "outdoor", "person"];
    assert_eq!(dataset.labels.names, names);
    assert_eq!(dataset.stimuli.len(), 6);
    assert!(
        dataset
            .stimuli
            .iter()
            .all(|stimulus| stimulus.group == stimulus.id)
    );
    let ids: Vec<&str> = dataset
        .subjects
        .iter()
        .map(|subject| subject.id.as_str())
        .collect();
    assert_eq!(ids, ["sub-01", "sub-02"]);
    let trials = &dataset.subjects[1].trials;
    assert_eq!(trials.len(), 12);
    assert!(
        trials[..6]
            .iter()
            .all(|trial| (trial.run, trial.repeat) == (1, 1))
    );
    assert!(
        trials[6..]
            .iter()
            .all(|trial| (trial.run, trial.repeat) == (2, 2))
    );
    let face = dataset
        .stimuli
        .iter()
        .position(|s| s.id == "face1.png")
        .unwrap();
    assert_eq!(dataset.labels.matrix.row(face).to_vec(), [0, 1, 0, 1, 0, 1]);
    assert_eq!(dataset.description.tr, Some(2.0));
    assert_eq!(dataset.description.sources.len(), 8);
    assert_eq!(
        dataset.description.sources[0].path,
        "derivatives/prep/sub-01/func/sub-01_task-see_run-1_space-T1w_desc-preproc_bold.nii.gz"
    );
}

#[test]
fn regions_come_from_masks_and_atlases() {
    let root = files();
    let config = BidsConfig {
        regions: vec![
            Region::Mask {
                name: "V1".to_owned(),
                path: "sub-{subject}/sub-{subject}_V1_mask.nii.gz".to_owned(),
            },
            Region::Atlas {
                path: "sub-{subject}/sub-{subject}_dseg.nii.gz".to_owned(),
                names: Some("dseg.tsv".to_owned()),
            },
        ],
        ..config(&root)
    };
    let dataset = open(&root, &config).unwrap();
    assert_eq!(dataset.roi_names(), ["V1", "FFA", "PPA"]);
    let subject = &dataset.subjects[0];
    assert_eq!(subject.voxels.len(), 6 + 6 + 6);
    assert_eq!(subject.voxels[0].coordinate, Some([1, 0, 1]));
    let whole = open(&root, &self::config(&root)).unwrap();
    let (part, whole) = (responses(subject), responses(&whole.subjects[0]));
    for (voxel, column) in subject.voxels.iter().zip(part.columns()) {
        let [i, j, k] = voxel.coordinate.unwrap();
        assert_eq!(column, whole.column((i + 4 * (j + 3 * k)) as usize));
    }
}

/// fMRIPrep's framewise displacement is kept whether confounds are asked for or not.
#[test]
fn motion_is_that_of_the_confounds() {
    let folder = copy();
    let root = folder.path();
    let func = root.join("derivatives/prep/sub-01/func");
    let table = func.join("sub-01_task-see_run-2_desc-confounds_timeseries.tsv");
    let text = fs::read_to_string(&table).unwrap();
    let cell = |row: usize| match row {
        0 => "framewise_displacement".to_owned(),
        // The first volume has none before it.
        1 => "n/a".to_owned(),
        row => format!("0.{}", row % 2 + 1),
    };
    let lines = text.lines().enumerate();
    let lines: Vec<String> = lines
        .map(|(row, line)| format!("{line}\t{}", cell(row)))
        .collect();
    fs::write(&table, lines.join("\n") + "\n").unwrap();
    let out = TempDir::new().unwrap();
    let path = out.path().join("dataset");
    import(root, &path, &config(root), &mut |_, _| ()).unwrap();
    let dataset = Dataset::open(&path).unwrap();
    let rows = 2..lines.len();
    let mean = rows
        .clone()
        .map(|row| 0.1 * (row % 2 + 1) as f64)
        .sum::<f64>()
        / rows.len() as f64;
    let found = dataset.subjects[0].motion().unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].session, found[0].run, found[0].largest),
        (1, 2, 0.2)
    );
    assert!((found[0].mean - mean).abs() < 1e-4, "{found:?}");
    assert_eq!(dataset.subjects[1].motion().unwrap(), []);
    let names = dataset
        .description
        .sources
        .iter()
        .map(|source| source.path.as_str());
    assert_eq!(names.filter(|name| name.contains("confounds")).count(), 1);
}
