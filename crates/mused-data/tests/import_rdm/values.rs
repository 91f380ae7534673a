//! What becomes of small RDMs.

use std::fs;

use mused_data::import::Check;
use mused_data::import::rdm::{RdmConfig, import};
use mused_data::{Dataset, Level, Response};
use mused_formats::npy::write_npy_f64;
use ndarray::arr2;

use crate::tree::*;

#[test]
fn square_and_condensed_rdms_become_profiles() {
    let small = Small::new();
    let imported = small.import().unwrap();
    let counts = [("01".to_owned(), [1, 3, 3]), ("02".to_owned(), [1, 3, 6])];
    assert_eq!(imported.subjects, counts);
    assert_eq!(imported.notes, ["subject 01 has no region rh_V1"]);
    let dataset = Dataset::open(small.path("out")).unwrap();
    assert_eq!(dataset.roi_names(), ["lh_V1", "rh_V1"]);
    assert_eq!(dataset.labels.names, ["cat", "dog"]);
    assert_eq!(dataset.labels.matrix, arr2(&[[1, 1], [1, 0], [1, 1]]));
    assert_eq!(dataset.stimuli[2].id, "s3");
    let near = |found: Vec<f32>, expected: &[f32]| {
        assert_eq!(found.len(), expected.len());
        assert!(
            found
                .iter()
                .zip(expected)
                .all(|(a, b)| (a - b).abs() < 1e-6),
            "{found:?}"
        );
    };
    near(response(&dataset, "01", 1), &[0.3, 1.0, 0.1]);
    near(response(&dataset, "02", 2), &[0.8, 0.7, 0.5, 0.5, 0.4, 0.5]);
    let voxel = &dataset.subjects[1].voxels[4];
    assert_eq!((voxel.roi.as_str(), voxel.reference), ("rh_V1", Some(1)));
    let low = arr2(&[[0.0, 0.5, 1.0], [0.5, 0.0, 1.5], [1.0, 1.5, 0.0]]);
    assert_eq!(features(&dataset, "low"), low);
    assert_eq!(features(&dataset, "meaning").dim(), (3, 3));
    let levels: Vec<_> = dataset.features.iter().map(|set| set.level).collect();
    assert_eq!(levels, [Some(Level::Low), Some(Level::High)]);
    let sources: Vec<&str> = dataset
        .description
        .sources
        .iter()
        .map(|source| source.path.as_str())
        .collect();
    assert_eq!(
        sources,
        [
            "features.npy",
            "model.npy",
            "rdm/sub-01_lh_V1.npy",
            "rdm/sub-02_lh_V1.npy",
            "rdm/sub-02_rh_V1.npy",
            "words.txt"
        ]
    );
}

#[test]
fn sessions_are_repeats() {
    let small = Small::new();
    fs::create_dir(small.path("rdm/ses-1")).unwrap();
    fs::create_dir(small.path("rdm/ses-7")).unwrap();
    small.square("rdm/ses-1/sub-a_ses-1_V1.npy", [0.1, 0.2, 0.3]);
    small.square("rdm/ses-7/sub-a_ses-7_V1.npy", [0.4, 0.5, 0.6]);
    let pattern = "rdm/ses-{session}/sub-{subject}_ses-{session}_{roi}.npy";
    small.write_manifest(&MANIFEST.replace("rdm/sub-{subject}_{roi}.npy", pattern));
    small.import().unwrap();
    let dataset = Dataset::open(small.path("out")).unwrap();
    let trials = &dataset.subjects[0].trials;
    assert_eq!(trials.len(), 6);
    assert_eq!(
        (trials[5].stimulus, trials[5].session, trials[5].repeat),
        (2, 7, 2)
    );
    assert!((response(&dataset, "a", 4)[0] - 0.6).abs() < 1e-6);

    // A region in one session alone has no place in the other's rows.
    fs::remove_dir_all(small.path("out")).unwrap();
    small.square("rdm/ses-7/sub-a_ses-7_V2.npy", [0.4, 0.5, 0.6]);
    small.fails_with("expected an RDM of subject a, roi V2 in session 1");
}

#[test]
fn sessions_may_have_names() {
    let import = |names: [&str; 2]| {
        let small = Small::new();
        fs::create_dir(small.path("named")).unwrap();
        for (name, first) in names.iter().zip([0.1, 0.15]) {
            small.square(&format!("named/a_{name}_V1.npy"), [first, 0.2, 0.3]);
        }
        let pattern = "named/{subject}_{session}_{roi}.npy";
        small.write_manifest(&MANIFEST.replace("rdm/sub-{subject}_{roi}.npy", pattern));
        small.import().unwrap();
        let dataset = Dataset::open(small.path("out")).unwrap();
        let trials = dataset.subjects[0].trials.iter();
        trials.map(|trial| trial.session).collect::<Vec<_>>()
    };
    assert_eq!(import(["after", "before"]), [1, 1, 1, 2, 2, 2]);
    assert_eq!(import(["day2", "day5"]), [2, 2, 2, 5, 5, 5]);
    // A mean over sessions is none.
    assert_eq!(import(["1", "mean"]), [1, 1, 1]);
}

/// The manifest for patterns of two sessions of subjects a and b, who have the same RDMs.
fn patterns(sessions: [[f64; 3]; 2]) -> Small {
    let small = Small::new();
    for subject in ["a", "b"] {
        for (session, triangle) in (1..).zip(sessions) {
            for roi in ["V1", "V2"] {
                small.square(&format!("rdm/{subject}_{session}_{roi}.npy"), triangle);
            }
        }
    }
    small.write_manifest(&MANIFEST.replace(
        "path = \"rdm/sub-{subject}_{roi}.npy\"",
        "response = \"patterns\"\npath = \"rdm/{subject}_{session}_{roi}.npy\"",
    ));
    small
}

#[test]
fn patterns_have_the_inner_products_of_the_mean_rdm_on_axes_of_their_own() {
    let small = patterns([[0.2, 0.9, 1.1], [0.4, 1.1, 1.3]]);
    let imported = small.import().unwrap();
    let counts = |id: &str| (id.to_owned(), [2, 3, 4]);
    assert_eq!(imported.subjects, [counts("a"), counts("b")]);
    assert!(imported.warnings.is_empty(), "{:?}", imported.warnings);
    let dataset = Dataset::open(small.path("out")).unwrap();
    assert_eq!(dataset.description.response, Response::Voxels);
    let processing = dataset.description.processing.as_deref().unwrap();
    assert!(processing.starts_with("Patterns behind published RDMs"));
    let mean = arr2(&[[0.0, 0.3, 1.0], [0.3, 0.0, 1.2], [1.0, 1.2, 0.0]]);
    let mut spaces = Vec::new();
    for subject in 0..2 {
        for roi in ["V1", "V2"] {
            let found = patterns_of(&dataset, subject, roi);
            assert_inner_products(&found, &kernel(&mean));
            spaces.push(found);
        }
    }
    // The same RDM, but no subject or region has the axes of another.
    for (place, space) in spaces.iter().enumerate() {
        for other in &spaces[..place] {
            assert!(
                (space - other)
                    .iter()
                    .any(|difference| difference.abs() > 0.05)
            );
        }
    }
    // The same files again, the same bits.
    let bytes = || fs::read(small.path("out/subjects/b/responses.npy")).unwrap();
    let first = bytes();
    fs::remove_dir_all(small.path("out")).unwrap();
    small.import().unwrap();
    assert_eq!(bytes(), first);
}

#[test]
fn negative_variance_is_told_and_much_of_it_refused() {
    // b is near to a and to c, which are far from each other.
    let little = patterns([[0.3, 1.4, 0.3]; 2]);
    let imported = little.import().unwrap();
    assert_eq!(imported.warnings.len(), 2);
    let said = "subject a: negative variance was left out, by share: V1 0.";
    assert!(
        imported.warnings[0].starts_with(said),
        "{:?}",
        imported.warnings
    );
    let dataset = Dataset::open(little.path("out")).unwrap();
    assert_eq!(dataset.description.warnings, imported.warnings);

    let much = patterns([[-1.0, 2.0, 0.5]; 2]);
    much.fails_with("subject a, region V1: expected at most 0.25 of the variance behind 1 - RDM");
    much.fails_with("`--allow negative-variance` lets it pass");
    let config = RdmConfig {
        allow: vec![Check::NegativeVariance],
        ..RdmConfig::default()
    };
    let out = much.path("out");
    let imported = import(&much.path("manifest.toml"), &out, &config, &mut |_, _| ()).unwrap();
    assert_eq!(imported.warnings.len(), 4);
    assert!(imported.warnings[3].starts_with("negative-variance: subject b, region V2"));

    let alike = patterns([[0.0; 3]; 2]);
    alike.fails_with("subject a, region V1: expected an RDM of stimuli that differ");
    let small = patterns([[0.5; 3]; 2]);
    let text = fs::read_to_string(small.path("manifest.toml")).unwrap();
    small.write_manifest(&text.replace("\"patterns\"", "\"voxels\""));
    small.fails_with("unknown variant `voxels`, expected `profiles` or `patterns`");
}

#[test]
fn rounding_is_no_asymmetry() {
    let small = Small::new();
    let rdm = arr2(&[[0.0, 1.0, 2.0], [1.0, 0.0, 3.0], [2.0 + 1e-6, 3.0, 0.0]]);
    write_npy_f64(small.path("rdm/sub-02_rh_V1.npy"), rdm.view()).unwrap();
    small.import().unwrap();
}
