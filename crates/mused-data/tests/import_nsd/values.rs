//! What is imported.

use std::fs;

use mused_data::import::Check;
use mused_data::import::nsd::{NsdConfig, Repeats, import};
use mused_data::{Dataset, Part};
use mused_formats::nifti::read_nifti;
use serde_json::Value;
use tempfile::TempDir;

use crate::tree::{
    ANNOTATIONS, BETAS, ROIS, SMALL, SUBJECTS, assert_responses, config, copy, expected,
    expected_responses, files, message, open, responses, try_import,
};

#[test]
fn responses_equal_numpy_bit_by_bit() {
    let root = files();
    let sets = ["prf-visualrois", "streams", "nsdgeneral"];
    let cases = [
        ("default", config()),
        (
            "repeats",
            NsdConfig {
                repeats: Repeats::Keep,
                ..config()
            },
        ),
        (
            "raw",
            NsdConfig {
                zscore: false,
                ..config()
            },
        ),
        (
            "several",
            NsdConfig {
                rois: sets.map(str::to_owned).to_vec(),
                ..config()
            },
        ),
    ];
    for (variant, case) in cases {
        assert_responses(&open(&root, &case), variant);
        // The same betas as .nii.gz and .nii.
        let nifti = NsdConfig {
            betas: "betas_fithrf".to_owned(),
            ..case
        };
        assert_responses(&open(&root, &nifti), variant);
    }
}

#[test]
fn storage_of_the_betas_does_not_matter() {
    for variant in ["contiguous", "blocks"] {
        let tree = copy();
        let stored = files().join(format!("variants/{variant}.hdf5"));
        fs::copy(stored, tree.path().join(BETAS).join("betas_session01.hdf5")).unwrap();
        assert_responses(&open(tree.path(), &config()), "default");
    }
}

#[test]
fn trials_are_those_of_the_table() {
    let expected = expected();
    let averaged = open(&files(), &config());
    let keep = NsdConfig {
        repeats: Repeats::Keep,
        ..config()
    };
    let kept = open(&files(), &keep);
    for (position, id) in SUBJECTS.into_iter().enumerate() {
        let shown: Vec<String> = expected["subjects"][id]["shown"]
            .as_array()
            .unwrap()
            .iter()
            .map(|image| format!("nsd{:05}", image.as_u64().unwrap()))
            .collect();
        let subject = &kept.subjects[position];
        assert_eq!(subject.trials.len(), shown.len());
        let mut first = Vec::new();
        for (place, (trial, id)) in subject.trials.iter().zip(&shown).enumerate() {
            assert_eq!(&kept.stimuli[trial.stimulus].id, id);
            assert_eq!(trial.session as usize, place / 24 + 1);
            let earlier = shown[..place].iter().filter(|other| *other == id).count();
            assert_eq!(trial.repeat as usize, earlier + 1);
            if earlier == 0 {
                first.push((id.clone(), trial.session));
            }
        }
        let trials = &averaged.subjects[position].trials;
        let averaged: Vec<_> = trials
            .iter()
            .map(|trial| (averaged.stimuli[trial.stimulus].id.clone(), trial.session))
            .collect();
        assert_eq!(averaged, first);
    }
}

#[test]
fn stimuli_labels_captions_and_voxels() {
    let expected = expected();
    let (imported, dataset) = try_import(&files(), &config()).unwrap();
    let names: Vec<&str> = expected["labels"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    assert_eq!(names.len(), 80);
    assert_eq!(dataset.labels.names, names);
    assert_eq!(imported.labels, names);
    let stimuli = expected["stimuli"].as_array().unwrap();
    assert_eq!(dataset.stimuli.len(), stimuli.len());
    assert_eq!(imported.stimuli, stimuli.len());
    let images = files().canonicalize().unwrap();
    let images = images.join("nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5");
    for ((stimulus, expected), labels) in dataset
        .stimuli
        .iter()
        .zip(stimuli)
        .zip(dataset.labels.matrix.rows())
    {
        let image = expected["nsdId"].as_u64().unwrap();
        assert_eq!(stimulus.id, format!("nsd{image:05}"));
        assert_eq!(stimulus.group, stimulus.id);
        let part = match expected["shared"].as_bool().unwrap() {
            true => Part::Test,
            false => Part::Train,
        };
        assert_eq!(stimulus.part, Some(part));
        assert_eq!(stimulus.frame, Some(image));
        assert_eq!(stimulus.file.as_deref(), images.to_str());
        assert_eq!(serde_json::json!(stimulus.captions), expected["captions"]);
        assert_eq!(
            serde_json::json!(labels.to_vec()),
            expected["labels"],
            "{image}"
        );
    }
    let sets = ["prf-visualrois", "streams", "nsdgeneral"].map(str::to_owned);
    let several = NsdConfig {
        rois: sets.to_vec(),
        ..config()
    };
    for (dataset, sets) in [
        (&dataset, "default"),
        (&open(&files(), &several), "several"),
    ] {
        for subject in &dataset.subjects {
            let voxels: Vec<_> = subject
                .voxels
                .iter()
                .map(|voxel| {
                    let [i, j, k] = voxel.coordinate.unwrap();
                    serde_json::json!([voxel.roi, i, j, k])
                })
                .collect();
            assert_eq!(Value::from(voxels), expected["subjects"][&subject.id][sets]);
        }
    }
}

#[test]
fn description_mask_and_sources() {
    let out = TempDir::new().unwrap();
    let path = out.path().join("dataset");
    let mut seen = Vec::new();
    let imported = import(&files(), &path, &config(), &mut |done, total| {
        seen.push((done, total));
    })
    .unwrap();
    assert_eq!(seen, (0..=5).map(|done| (done, 5)).collect::<Vec<_>>());
    let dataset = Dataset::open(&path).unwrap();
    let expected = expected();
    for (position, (id, [sessions, trials, voxels])) in imported.subjects.iter().enumerate() {
        assert_eq!(*sessions, 3 - position);
        assert_eq!(*trials, dataset.subjects[position].trials.len());
        let (header, mask) = read_nifti(path.join(format!("subjects/{id}/mask.nii.gz"))).unwrap();
        let roi = files()
            .join(ROIS.replace("subj01", id))
            .join("nsdgeneral.nii.gz");
        let (original, general) = read_nifti(roi).unwrap();
        assert_eq!(header.affine, original.affine);
        assert_eq!(mask, general.mapv(|value| f32::from(value == 1.0)));
        assert_eq!(mask.sum() as usize, *voxels);
        let listed = expected["subjects"][id]["default"].as_array().unwrap();
        assert_eq!(listed.len(), *voxels);
    }
    let description = &dataset.description;
    assert_eq!(description.space.as_deref(), Some("func1pt8mm"));
    let processing = description.processing.as_deref().unwrap();
    for part in [
        "betas_fithrf_GLMdenoise_RR",
        "z-scored within session",
        "averaged",
    ] {
        assert!(processing.contains(part), "{processing}");
    }
    // Three checks: sessions and voxels a subject, trials a session.
    assert_eq!(description.warnings.len(), 2 + 2 + 5);
    assert!(imported.notes.is_empty(), "{:?}", imported.notes);
    let betas = description
        .sources
        .iter()
        .filter(|source| source.path.ends_with(".hdf5"));
    assert_eq!(betas.count(), 5);
    assert_eq!(description.sources.len(), 5 + 2 + 4 + 2);
    let left: Vec<_> = fs::read_dir(&path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    let scratch = left
        .iter()
        .filter(|name| name.to_string_lossy().contains("betas"));
    assert_eq!(scratch.count(), 0);
}

#[test]
fn each_check_fails_unless_it_is_let_pass() {
    let cases = [
        (
            Check::SessionMissing,
            "expected 40 sessions of subj01, found 3 (missing: 4, 5, 6,",
        ),
        (Check::TrialCount, "expected 750 trials, found 24"),
        (
            Check::VoxelCount,
            "expected the 15724 voxels of value 1 that subj01",
        ),
    ];
    for (check, part) in cases {
        let others = SMALL.into_iter().filter(|allowed| *allowed != check);
        let case = NsdConfig {
            allow: others.collect(),
            ..config()
        };
        let message = message(&files(), &case);
        assert!(message.contains(part), "{message}");
        assert!(
            message.ends_with(&format!("`--allow {check}` lets it pass")),
            "{message}"
        );
    }
    // A gap among the sessions asked for.
    let case = NsdConfig {
        sessions: vec![1, 4],
        subjects: vec![1],
        allow: vec![Check::TrialCount, Check::VoxelCount],
        ..config()
    };
    let found = message(&files(), &case);
    assert!(
        found.contains("expected 2 sessions of subj01, found 1 (missing: 4)"),
        "{found}"
    );
}

#[test]
fn subjects_and_sessions_are_chosen() {
    let case = NsdConfig {
        subjects: vec![2],
        sessions: vec![2],
        repeats: Repeats::Keep,
        allow: vec![Check::TrialCount, Check::VoxelCount],
        ..config()
    };
    let dataset = open(&files(), &case);
    let [subject] = dataset.subjects.as_slice() else {
        panic!("expected one subject");
    };
    let both = expected_responses("subj02", "repeats");
    let second = both.slice(ndarray::s![24.., ..]);
    assert_eq!(responses(subject), second);
    let shown = expected()["subjects"]["subj02"]["shown"].clone();
    let trial = &subject.trials[0];
    let image = shown[24].as_u64().unwrap();
    assert_eq!(dataset.stimuli[trial.stimulus].id, format!("nsd{image:05}"));
    assert_eq!(trial.session, 2);
    let earlier = (0..24).filter(|&place| shown[place] == shown[24]).count();
    assert_eq!(trial.repeat as usize, earlier + 1);
    for (subjects, part) in [
        (vec![9], "expected subjects from 1 to 8, found 9"),
        (vec![3], "cannot list"),
    ] {
        let case = NsdConfig {
            subjects,
            ..config()
        };
        let message = message(&files(), &case);
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn what_is_not_needed_may_be_missing() {
    let tree = copy();
    fs::remove_file(
        tree.path()
            .join("nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5"),
    )
    .unwrap();
    fs::remove_file(tree.path().join(ANNOTATIONS).join("captions_val2017.json")).unwrap();
    fs::remove_dir_all(tree.path().join("nsddata/freesurfer")).unwrap();
    let case = NsdConfig {
        rois: vec!["prf-visualrois".to_owned()],
        ..config()
    };
    let (imported, dataset) = try_import(tree.path(), &case).unwrap();
    assert_eq!(imported.notes.len(), 2, "{:?}", imported.notes);
    assert!(
        dataset
            .stimuli
            .iter()
            .all(|stimulus| stimulus.file.is_none())
    );
    let without = dataset
        .stimuli
        .iter()
        .filter(|stimulus| stimulus.captions.is_empty());
    assert!((1..dataset.stimuli.len()).contains(&without.count()));
    assert_eq!(dataset.subjects[0].voxels[0].roi, "prf-visualrois_1");

    let annotations = tree.path().join(ANNOTATIONS);
    let elsewhere = tree.path().join("coco");
    fs::rename(&annotations, &elsewhere).unwrap();
    let found = message(tree.path(), &config());
    assert!(found.contains("instances_train2017.json"), "{found}");
    assert!(found.contains("https://cocodataset.org"), "{found}");
    let case = NsdConfig {
        coco: Some(elsewhere),
        ..config()
    };
    assert_responses(&open(tree.path(), &case), "default");
}
