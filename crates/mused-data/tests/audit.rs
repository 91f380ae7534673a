//! Every planted leak is found with its evidence; a clean dataset raises none.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use mused_data::audit::{Leak, Report, audit};
use mused_data::simulate::{SimulateConfig, simulate};
use mused_data::{
    Dataset, DatasetWriter, Description, FeatureSet, Fold, Kind, Labels, Level, Response, Stimulus,
    Trial, Voxel,
};
use mused_formats::npy::Dtype;
use ndarray::Array2;
use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};
use tempfile::TempDir;

const STIMULI: usize = 40;
const VOXELS: usize = 6;
const TESTED: usize = 30;

/// Everything a test may spoil.
struct Plan {
    stimuli: Vec<Stimulus>,
    labels: Array2<u8>,
    features: Array2<f32>,
    /// A subject's responses, trials × voxels.
    responses: Vec<Array2<f32>>,
    fold: Fold,
}

impl Plan {
    fn clean() -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(4);
        let mut normal = |_: (usize, usize)| -> f32 {
            let value: f32 = StandardNormal.sample(&mut random);
            value
        };
        let features = Array2::from_shape_fn((STIMULI, 16), &mut normal);
        let responses = (0..2)
            .map(|_| Array2::from_shape_fn((STIMULI, VOXELS), &mut normal) * 3.0 + 1000.0)
            .collect();
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let labels =
            Array2::from_shape_simple_fn((STIMULI, 3), || u8::from(random.random_bool(0.4)));
        let stimulus = |index: usize| Stimulus {
            group: format!("clip-{}", index / 2),
            file: Some(format!("film-{}.mp4", index / 10)),
            frame: Some(index as u64),
            ..Stimulus::new(format!("s{index:02}"))
        };
        Self {
            stimuli: (0..STIMULI).map(stimulus).collect(),
            labels,
            features,
            responses,
            fold: Fold {
                train: (0..TESTED - 4).collect(),
                validation: (TESTED - 4..TESTED).collect(),
                test: (TESTED..STIMULI).collect(),
            },
        }
    }

    fn audit(self) -> Report {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("data");
        let description = Description::new("planted", Kind::Roi, Response::Voxels);
        let labels = Labels {
            names: ["face", "house", "tool"].map(str::to_owned).to_vec(),
            matrix: self.labels,
        };
        let mut writer = DatasetWriter::create(&path, description, self.stimuli, &labels).unwrap();
        let features = FeatureSet {
            name: "clip-high".to_owned(),
            level: Some(Level::High),
            description: String::new(),
            is_rdm: false,
            shape: [STIMULI, self.features.ncols()],
            details: serde_json::Map::new(),
        };
        writer.features(&features, self.features.view()).unwrap();
        let trial = |stimulus: usize| Trial {
            stimulus,
            session: 1,
            run: 1,
            onset: None,
            repeat: 1,
        };
        let trials: Vec<Trial> = (0..STIMULI).map(trial).collect();
        let voxel = |_| Voxel {
            roi: "V1".to_owned(),
            coordinate: None,
            reference: None,
        };
        let voxels: Vec<Voxel> = (0..VOXELS).map(voxel).collect();
        for (subject, responses) in ["anna", "berta"].iter().zip(&self.responses) {
            let mut out = writer
                .subject(subject, &trials, &voxels, Dtype::F32)
                .unwrap();
            for row in responses.rows() {
                out.write_response(&row.to_vec()).unwrap();
            }
            out.finish().unwrap();
        }
        writer.finish().unwrap();
        audit(&Dataset::open(&path).unwrap(), &[self.fold], 0.98).unwrap()
    }

    /// Finds this leak alone, with these words of evidence.
    fn finds(self, leak: Leak, words: &[&str]) {
        let report = self.audit();
        let [finding] = report.findings.as_slice() else {
            panic!("{report:?}");
        };
        assert_eq!(finding.leak, leak);
        for word in words {
            assert!(finding.evidence.contains(word), "{finding}");
        }
    }
}

#[test]
fn clean_data_raise_none() {
    assert_eq!(Plan::clean().audit(), Report::default());
    let mut large = Plan::clean();
    for responses in &mut large.responses {
        *responses = (responses.clone() - 1000.0) * 1e37;
    }
    assert_eq!(large.audit(), Report::default());
}

#[test]
fn a_stimulus_on_both_sides() {
    let mut plan = Plan::clean();
    plan.fold.validation.push(35);
    plan.stimuli[35].group = "alone".to_owned();
    // Its neighbours are tested too, so that it is trained on beside them.
    let report = plan.audit();
    let leaks: Vec<Leak> = report.findings.iter().map(|finding| finding.leak).collect();
    assert!(leaks.contains(&Leak::SameStimulus), "{report:?}");
    assert!(leaks.contains(&Leak::SameGroup), "{report:?}");
    assert!(
        report.findings[0].evidence.contains("s35 in fold 0"),
        "{report:?}"
    );
}

#[test]
fn a_clip_on_both_sides() {
    let mut plan = Plan::clean();
    plan.stimuli[3].group = "clip-17".to_owned();
    plan.finds(Leak::SameGroup, &["1 groups", "clip-17 in fold 0"]);
}

#[test]
fn neighbouring_seconds_on_both_sides() {
    let mut plan = Plan::clean();
    plan.stimuli[TESTED].file = plan.stimuli[TESTED - 1].file.clone();
    let words = ["1 pairs", "seconds 29 and 30 of film-2.mp4 in fold 0"];
    plan.finds(Leak::NeighbouringFrames, &words);
}

#[test]
fn stimuli_that_look_alike_on_both_sides() {
    let mut plan = Plan::clean();
    let twin = &plan.features.row(2) * 1.5;
    plan.features.row_mut(38).assign(&twin);
    plan.finds(
        Leak::NearDuplicates,
        &["s02 and s38 in fold 0", "clip-high", "1.0000"],
    );
    // On one side they are no leak.
    let mut plan = Plan::clean();
    let twin = plan.features.row(2).to_owned();
    plan.features.row_mut(3).assign(&twin);
    assert_eq!(plan.audit(), Report::default());
}

#[test]
fn two_subjects_with_one_file() {
    let mut plan = Plan::clean();
    plan.responses[1] = plan.responses[0].clone();
    plan.finds(Leak::IdenticalSubjects, &["berta and anna"]);
}

#[test]
fn a_voxel_that_carries_a_label() {
    let mut plan = Plan::clean();
    for trial in 0..STIMULI {
        let label = f32::from(plan.labels[[trial, 1]]);
        let noise = &mut plan.responses[0][[trial, 4]];
        *noise = 500.0 - 40.0 * label + 0.5 * (*noise - 1000.0);
    }
    plan.finds(
        Leak::LabelColumns,
        &["column 4 (V1) of anna and house", "r -"],
    );
}

#[test]
fn responses_z_scored_together_with_test_trials() {
    let z_scored = |rows: &[usize]| {
        let mut plan = Plan::clean();
        for subject in &mut plan.responses {
            for mut voxel in subject.columns_mut() {
                let chosen: Vec<f32> = rows.iter().map(|&row| voxel[row]).collect();
                let count = chosen.len() as f32;
                let mean = chosen.iter().sum::<f32>() / count;
                let squares: f32 = chosen.iter().map(|value| (value - mean).powi(2)).sum();
                let sd = (squares / (count - 1.0)).sqrt();
                voxel.mapv_inplace(|value| (value - mean) / sd);
            }
        }
        plan
    };
    let all: Vec<usize> = (0..STIMULI).collect();
    z_scored(&all).finds(Leak::ZScoredWithTest, &["session 1 of anna"]);
    // With training statistics there is no leak.
    let training: Vec<usize> = (0..TESTED).collect();
    assert_eq!(z_scored(&training).audit(), Report::default());
}

#[test]
fn without_features_near_duplicates_are_said_to_be_unsearched() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("data");
    let config = SimulateConfig {
        subjects: 1,
        stimuli: 20,
        ..SimulateConfig::common_space()
    };
    simulate(&config, &path, &mut |_, _| ()).unwrap();
    std::fs::remove_dir_all(path.join("features")).unwrap();
    let dataset = Dataset::open(&path).unwrap();
    let fold = Fold {
        train: (0..10).collect(),
        validation: Vec::new(),
        test: (10..20).collect(),
    };
    let report = audit(&dataset, &[fold], 0.98).unwrap();
    assert_eq!(report.skipped.len(), 1);
    assert!(
        report.skipped[0].starts_with("near-duplicates"),
        "{report:?}"
    );
}
