//! RDMs of features and responses against NumPy.
#![allow(clippy::unwrap_used)]

use mused_data::{
    Dataset, DatasetWriter, Description, FeatureSet, Kind, Labels, Response, Stimulus, Trial,
    Voxel, common_stimuli, feature_rdm, response_rdm,
};
use mused_formats::npy::Dtype;
use ndarray::{Array2, arr2};
use tempfile::TempDir;

/// Two repeats of three stimuli; s3 is never shown.
const SHOWN: [usize; 6] = [0, 1, 2, 0, 1, 2];
const ROIS: [&str; 5] = ["V1", "LO", "V1", "V1", "LO"];

fn dataset(folder: &TempDir, response: Response) -> Dataset {
    let labels = Labels {
        names: vec!["dog".to_owned()],
        matrix: arr2(&[[1], [0], [1], [0]]),
    };
    let stimuli = (0..4).map(|s| Stimulus::new(format!("s{s}"))).collect();
    let description = Description::new("three", Kind::Roi, response);
    let mut writer = DatasetWriter::create(folder.path(), description, stimuli, &labels).unwrap();
    let trial = |(row, &stimulus): (usize, &usize)| Trial {
        stimulus,
        session: 1,
        run: 1,
        onset: None,
        repeat: 1 + row as u32 / 3,
    };
    let trials: Vec<Trial> = SHOWN.iter().enumerate().map(trial).collect();
    // For profiles, V1's columns are stimuli 1, 0, 2.
    let references = [1, 0, 0, 2, 1];
    let voxels: Vec<Voxel> = ROIS
        .iter()
        .zip(references)
        .map(|(roi, reference)| Voxel {
            roi: (*roi).to_owned(),
            coordinate: None,
            reference: (response == Response::SimilarityProfiles).then_some(reference),
        })
        .collect();
    let rows = [
        [1.0, 0.0, 2.0, 5.0, 9.0],
        [2.0, 1.0, 1.0, 7.0, 8.0],
        [9.0, 5.0, 3.0, 1.0, 5.0],
        [3.0, 2.0, 4.0, 1.0, 7.0],
        [2.0, 3.0, 3.0, 9.0, 6.0],
        [7.0, 4.0, 7.0, 2.0, 4.0],
    ];
    let mut subject = writer
        .subject("anna", &trials, &voxels, Dtype::F32)
        .unwrap();
    for row in rows {
        subject.write_response(&row).unwrap();
    }
    subject.finish().unwrap();
    let features = FeatureSet {
        name: "clip".to_owned(),
        level: None,
        is_rdm: false,
        description: String::new(),
        shape: [4, 3],
        details: Default::default(),
    };
    let array = arr2(&[
        [1.0, 0.0, 2.0],
        [2.0, 1.0, 0.0],
        [0.0, 3.0, 1.0],
        [5.0, 5.0, 5.0],
    ]);
    writer.features(&features, array.view()).unwrap();
    writer.finish().unwrap();
    Dataset::open(folder.path()).unwrap()
}

fn close(found: &Array2<f64>, expected: [[f64; 3]; 3]) {
    for (found, expected) in found.iter().zip(expected.as_flattened()) {
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }
}

/// `1 - numpy.corrcoef` of the mean over repeats, and the published cosine form in NumPy.
#[test]
fn rdms_are_numpys() {
    let folder = TempDir::new().unwrap();
    let dataset = dataset(&folder, Response::Voxels);
    let stimuli = common_stimuli(&dataset);
    assert_eq!(stimuli, [0, 1, 2]);
    let found = response_rdm(&dataset, 0, "V1", &stimuli).unwrap().unwrap();
    close(&found, RESPONSES);
    let found = feature_rdm(&dataset, &dataset.features[0], &stimuli).unwrap();
    close(&found, FEATURES);
    assert!(
        response_rdm(&dataset, 0, "PPA", &stimuli)
            .unwrap()
            .is_none()
    );
    let message = response_rdm(&dataset, 0, "V1", &[0, 3])
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("anna responded to 1 of the 2"),
        "{message}"
    );
}

#[test]
fn profiles_give_back_the_dissimilarities_they_were_made_from() {
    let folder = TempDir::new().unwrap();
    let dataset = dataset(&folder, Response::SimilarityProfiles);
    let found = response_rdm(&dataset, 0, "V1", &[0, 1, 2])
        .unwrap()
        .unwrap();
    // 1 - mean over repeats, columns put in the order of the stimuli.
    close(
        &found,
        [[-2.0, -1.0, -2.0], [-1.0, -1.0, -7.0], [-4.0, -7.0, -0.5]],
    );
    let message = response_rdm(&dataset, 0, "LO", &[0, 1, 2])
        .unwrap_err()
        .to_string();
    assert!(message.contains("no column for stimulus s2"), "{message}");
}

const RESPONSES: [[f64; 3]; 3] = [
    [0.0, 0.5, 1.84298868],
    [0.5, 0.0, 1.88735651],
    [1.84298868, 1.88735651, 0.0],
];
const FEATURES: [[f64; 3]; 3] = [
    [0.0, 0.60000008, 0.717157328],
    [0.60000008, 0.0, 0.575735991],
    [0.717157328, 0.575735991, 0.0],
];
