//! Datasets of arrays: the checks of a directory, the same inputs and identity as one, and views of it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use mused_data::{
    Arrangement, Dataset, DatasetBuilder, Description, FeatureSet, Guidance, InputReader,
    InputTransform, Kind, Labels, Level, Response, Sample, Stimulus, Trial, Voxel, samples,
};
use ndarray::{Array2, arr2};
use tempfile::TempDir;

const STIMULI: usize = 6;
const VOXELS: usize = 4;

fn labels() -> Labels {
    Labels {
        names: vec!["person".to_owned(), "dog".to_owned()],
        matrix: arr2(&[[1, 0], [0, 1], [1, 1], [1, 0], [0, 0], [0, 1]]),
    }
}

fn responses(seed: usize) -> Array2<f32> {
    Array2::from_shape_fn((STIMULI + 1, VOXELS), |(row, column)| {
        ((row * 7 + column * 3 + seed * 5) % 11) as f32 / 3.0
    })
}

fn started() -> DatasetBuilder {
    let stimulus = |index: usize| Stimulus {
        group: format!("clip-{}", index / 2),
        ..Stimulus::new(format!("picture-{index}"))
    };
    Dataset::builder("made up", (0..STIMULI).map(stimulus).collect(), labels())
}

fn shown(builder: &DatasetBuilder) -> Vec<Trial> {
    let ids = [3, 0, 1, 2, 3, 4, 5].map(|index| format!("picture-{index}"));
    builder.trials(ids).unwrap()
}

fn voxels() -> Vec<Voxel> {
    Voxel::in_regions(["V1", "V1", "FFA", "V1"])
}

/// Two subjects, the second first, and two feature sets.
fn built() -> Dataset {
    let mut builder = started();
    for (seed, id) in ["02", "01"].into_iter().enumerate() {
        let trials = shown(&builder);
        builder
            .subject(id, trials, voxels(), responses(seed))
            .unwrap();
    }
    let square = |row: usize, column: usize| row.abs_diff(column) as f32;
    let rdm = FeatureSet {
        is_rdm: true,
        ..FeatureSet::new("geometry", Level::Low)
    };
    let array = Array2::from_shape_fn((STIMULI, STIMULI), |(row, column)| square(row, column));
    builder.features(rdm, array).unwrap();
    let array = Array2::from_shape_fn((STIMULI, 3), |(row, column)| square(row, column));
    builder
        .features(FeatureSet::new("clip", Level::High), array)
        .unwrap();
    builder.build().unwrap()
}

/// Samples of everybody, and their inputs z-scored.
fn inputs(dataset: &Dataset) -> (Vec<Sample>, Array2<f32>) {
    let everybody: Vec<usize> = (0..dataset.subjects.len()).collect();
    let everything: Vec<usize> = (0..dataset.stimuli.len()).collect();
    let samples = samples(dataset, &everybody, &everything);
    let transform =
        InputTransform::fit(dataset, Arrangement::Regions, true, &samples, &[]).unwrap();
    let reader = InputReader::new(dataset, Arc::new(transform), &everybody).unwrap();
    let all: Vec<&Sample> = samples.iter().collect();
    let read = reader.read(&all).unwrap();
    (samples, read)
}

fn says<T: std::fmt::Debug>(refused: mused_data::Result<T>, words: &[&str]) {
    let message = refused.unwrap_err().to_string();
    for word in words {
        assert!(message.contains(word), "{word:?} is not in: {message}");
    }
}

#[test]
fn arrays_written_and_opened_are_the_same_data() {
    let memory = built();
    let folder = TempDir::new().unwrap();
    memory.write(folder.path().join("data")).unwrap();
    let opened = Dataset::open(folder.path().join("data")).unwrap();

    assert_eq!(
        (memory.root(), memory.place().as_str()),
        (None, "dataset \"made up\"")
    );
    assert_eq!(opened.stimuli, memory.stimuli);
    assert_eq!(opened.labels, memory.labels);
    assert_eq!(opened.features, memory.features);
    for (opened, memory) in opened.subjects.iter().zip(&memory.subjects) {
        assert_eq!(opened.id, memory.id);
        assert_eq!(opened.trials, memory.trials);
        assert_eq!(opened.voxels, memory.voxels);
    }
    assert_eq!(inputs(&opened), inputs(&memory));
    for level in [Level::Low, Level::High] {
        let load = |dataset| Guidance::load(dataset, level, "auto").unwrap().unwrap();
        assert_eq!(load(&opened), load(&memory));
    }
    let guides = ["clip", "geometry"];
    let identity = memory.identity(&guides).unwrap();
    assert_eq!(opened.identity(&guides).unwrap(), identity);

    // A view of a directory is a dataset like any other, and so is what is written of it.
    let view = opened.shuffled(1);
    view.write(folder.path().join("view")).unwrap();
    let again = Dataset::open(folder.path().join("view")).unwrap();
    assert_eq!(
        again.identity(&guides).unwrap(),
        view.identity(&guides).unwrap()
    );
}

#[test]
fn files_of_stimuli_are_found_from_where_a_dataset_is_written() {
    let mut builder = Dataset::builder(
        "one",
        vec![Stimulus {
            file: Some("pictures/face.png".to_owned()),
            ..Stimulus::new("face")
        }],
        Labels {
            names: Vec::new(),
            matrix: Array2::zeros((1, 0)),
        },
    );
    let voxels = Voxel::in_regions(["V1"]);
    builder
        .subject("01", vec![Trial::of(0)], voxels, arr2(&[[1.0]]))
        .unwrap();
    let folder = TempDir::new().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    builder.build().unwrap().write(&first).unwrap();
    Dataset::open(&first).unwrap().write(&second).unwrap();
    let file = Dataset::open(&second).unwrap().stimuli[0].file.clone();
    let expected = first.join("pictures/face.png");
    assert_eq!(file.unwrap(), expected.to_str().unwrap());
}

#[test]
fn views_share_responses_and_leave_the_dataset_as_it_was() {
    let dataset = built();
    let relabelled = Labels {
        matrix: labels().matrix.mapv(|value| 1 - value),
        ..labels()
    };
    let view = dataset.with_labels(relabelled.clone()).unwrap();
    assert_eq!((&*view.labels, &*dataset.labels), (&relabelled, &labels()));
    assert_eq!(inputs(&view), inputs(&dataset));
    let short = Labels {
        matrix: Array2::zeros((STIMULI - 1, 2)),
        ..labels()
    };
    says(
        dataset.with_labels(short),
        &["6 stimuli × 2 names", "found 5 × 2"],
    );

    let shuffled = dataset.shuffled(3);
    let trials = |dataset: &Dataset| dataset.subjects[0].trials.to_vec();
    let stimuli = |dataset: &Dataset| -> Vec<usize> {
        trials(dataset).iter().map(|trial| trial.stimulus).collect()
    };
    assert_eq!(trials(&dataset), trials(&built()));
    assert_ne!(stimuli(&shuffled), stimuli(&dataset));
    assert_eq!(stimuli(&shuffled), stimuli(&dataset.shuffled(3)));
    let (mut dealt, mut all) = (stimuli(&shuffled), stimuli(&dataset));
    dealt.sort_unstable();
    all.sort_unstable();
    assert_eq!(dealt, all);
}

#[test]
fn arrays_that_do_not_fit_are_refused() {
    let mut builder = started();
    let trials = shown(&builder);
    let mut subject = |id: &str, trials: &[Trial], voxels: Vec<Voxel>, array| {
        builder.subject(id, trials.to_vec(), voxels, array)
    };
    let fewer = || Array2::zeros((STIMULI, VOXELS));
    says(
        subject("a", &trials, voxels(), fewer()),
        &["subject a", "7 trials × 4 voxels", "found 6 × 4"],
    );
    says(
        subject("b", &[], voxels(), fewer()),
        &["subject b", "at least one trial", "found 0 and 4"],
    );
    let mut beyond = trials.clone();
    beyond[2].stimulus = STIMULI;
    says(
        subject("c", &beyond, voxels(), responses(0)),
        &["subject c", "one of 6 stimuli", "found 6 in trial 2"],
    );
    says(
        subject("a/b", &trials, voxels(), responses(0)),
        &["\"a/b\"", "folder"],
    );
    subject("d", &trials, voxels(), responses(0)).unwrap();
    says(
        subject("d", &trials, voxels(), responses(0)),
        &["subject id \"d\"", "unique"],
    );
    says(
        builder.trials(["picture-9"]),
        &["trial 0", "6 stimuli", "picture-9"],
    );
    let clip = FeatureSet::new("clip", None);
    says(
        builder.features(clip, Array2::zeros((STIMULI - 1, 2))),
        &["\"clip\"", "6 stimuli × 2", "found 5 × 2"],
    );
    let names: Vec<&str> = (builder.so_far().subjects.iter())
        .map(|subject| subject.id.as_str())
        .collect();
    assert_eq!(names, ["d"]);

    says(
        started().build(),
        &["\"made up\"", "6 stimuli and 0 subjects"],
    );
    let twice = vec![Stimulus::new("same"); STIMULI];
    for (stimuli, labels, words) in [
        (twice, labels(), "\"same\" occurs twice"),
        (
            (0..STIMULI).map(|n| Stimulus::new(n.to_string())).collect(),
            Labels {
                matrix: labels().matrix * 2,
                ..labels()
            },
            "0 or 1, found 2 in row 0, column 0",
        ),
    ] {
        let mut builder = Dataset::builder("made up", stimuli, labels);
        says(builder.check(), &[words]);
        builder
            .subject("01", trials.clone(), voxels(), responses(0))
            .unwrap();
        says(builder.build(), &[words]);
    }
}

#[test]
fn profiles_name_their_references() {
    let description = Description::new("profiles", Kind::Roi, Response::SimilarityProfiles);
    let stimuli = vec![Stimulus::new("a"), Stimulus::new("b")];
    let labels = Labels {
        names: vec!["person".to_owned()],
        matrix: arr2(&[[1], [0]]),
    };
    let mut builder = Dataset::builder(description, stimuli, labels);
    let mut add = |id: &str, references: [Option<usize>; 2]| {
        let mut voxels = Voxel::in_regions(["IT", "IT"]);
        for (voxel, reference) in voxels.iter_mut().zip(references) {
            voxel.reference = reference;
        }
        builder.subject(id, vec![Trial::of(0)], voxels, arr2(&[[1.0, 0.5]]))
    };
    add("sound", [Some(1), Some(0)]).unwrap();
    for (id, references) in [
        ("none", [Some(0), None]),
        ("beyond", [Some(0), Some(2)]),
        ("twice", [Some(1), Some(1)]),
    ] {
        says(add(id, references), &[id, "column 1", "roi IT"]);
    }

    let mut builder = started();
    let trials = shown(&builder);
    let mut columns = voxels();
    columns[2].reference = Some(0);
    says(
        builder.subject("01", trials, columns, responses(0)),
        &["column 2", "none of a voxel"],
    );
}

#[test]
fn values_in_memory_that_are_not_finite_are_found_when_read() {
    let mut builder = started();
    let mut array = responses(0);
    array[[2, 1]] = f32::NAN;
    let trials = shown(&builder);
    builder.subject("01", trials, voxels(), array).unwrap();
    let array = Array2::from_elem((STIMULI, 1), f32::INFINITY);
    let clip = FeatureSet::new("clip", Level::High);
    builder.features(clip, array).unwrap();
    let dataset = builder.build().unwrap();
    says(
        dataset.check_arrays(),
        &[
            "subject 01, responses.npy",
            "NaN in row 2, column 1 (roi V1)",
        ],
    );
    says(
        dataset.read_features(&dataset.features[0]),
        &["features clip", "found inf in row 0"],
    );
    let folder = TempDir::new().unwrap();
    says(dataset.write(folder.path().join("data")), &["NaN"]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
