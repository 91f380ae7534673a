//! Datasets with one thing wrong: a message that says what was expected, what was found and where.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};

use mused_data::{
    Dataset, DatasetWriter, Description, FeatureSet, Guidance, Kind, Labels, Level, Response,
    Severity, Stimulus, Trial, Voxel,
};
use mused_formats::npy::{self, Dtype};
use ndarray::{Array2, arr2};
use tempfile::TempDir;

const STIMULI: usize = 4;
const VOXELS: usize = 3;

fn stimuli() -> Vec<Stimulus> {
    (0..STIMULI)
        .map(|index| Stimulus::new(format!("picture-{index}")))
        .collect()
}

fn labels() -> Labels {
    Labels {
        names: vec!["person".to_owned(), "dog".to_owned()],
        matrix: arr2(&[[1, 0], [0, 1], [1, 1], [1, 0]]),
    }
}

fn trials() -> Vec<Trial> {
    let trial = |stimulus| Trial {
        stimulus,
        session: 1,
        run: 1,
        onset: None,
        repeat: 1,
    };
    (0..STIMULI).map(trial).collect()
}

fn voxels() -> Vec<Voxel> {
    let voxel = Voxel {
        roi: "V1".to_owned(),
        coordinate: None,
        reference: None,
    };
    vec![voxel; VOXELS]
}

fn description() -> Description {
    Description::new("small", Kind::Roi, Response::Voxels)
}

fn responses() -> Array2<f32> {
    Array2::from_shape_fn((STIMULI, VOXELS), |(row, column)| {
        (row * row + column) as f32
    })
}

/// A sound dataset, to break.
struct Broken {
    folder: TempDir,
}

impl Broken {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let mut writer =
            DatasetWriter::create(folder.path(), description(), stimuli(), &labels()).unwrap();
        let mut subject = writer
            .subject("sub-01", &trials(), &voxels(), Dtype::F32)
            .unwrap();
        for row in responses().rows() {
            subject.write_response(&row.to_vec()).unwrap();
        }
        subject.finish().unwrap();
        writer.finish().unwrap();
        Self { folder }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Replaces the only occurrence of `from` in a text file.
    fn edit(self, file: &str, from: &str, to: &str) -> Self {
        let text = fs::read_to_string(self.path(file)).unwrap();
        assert_eq!(text.matches(from).count(), 1, "{file}: {text}");
        fs::write(self.path(file), text.replace(from, to)).unwrap();
        self
    }

    fn responses(self, array: &Array2<f32>) -> Self {
        npy::write_npy_f32(self.path(RESPONSES), array.view()).unwrap();
        self
    }

    fn labels(self, matrix: &Array2<u8>) -> Self {
        npy::write_npy_u8(self.path("labels.npy"), matrix.view()).unwrap();
        self
    }

    fn open(&self) -> Dataset {
        Dataset::open(self.folder.path()).unwrap()
    }

    /// Opening fails, with these words in the message.
    fn refused(&self, words: &[&str]) {
        says(&Dataset::open(self.folder.path()).unwrap_err(), words);
    }
}

const TRIALS: &str = "subjects/sub-01/trials.tsv";
const VOXELS_TABLE: &str = "subjects/sub-01/voxels.tsv";
const RESPONSES: &str = "subjects/sub-01/responses.npy";

fn says(error: &mused_data::Error, words: &[&str]) {
    let message = error.to_string();
    for word in words {
        assert!(message.contains(word), "{word:?} is not in: {message}");
    }
}

#[test]
fn a_sound_dataset_has_no_errors() {
    let dataset = Broken::new().open();
    let errors = dataset.problems();
    assert!(errors.iter().all(|p| p.severity == Severity::Warning));
    assert_eq!(dataset.check_arrays().unwrap(), []);
}

#[test]
fn a_missing_file_is_named() {
    let files = [
        "dataset.json",
        "stimuli.tsv",
        "labels.tsv",
        "labels.npy",
        TRIALS,
        VOXELS_TABLE,
        RESPONSES,
    ];
    for file in files {
        let broken = Broken::new();
        fs::remove_file(broken.path(file)).unwrap();
        broken.refused(&[file, &broken.folder.path().display().to_string()]);
    }
    let broken = Broken::new();
    fs::remove_dir_all(broken.path("subjects/sub-01")).unwrap();
    broken.refused(&["subjects", "expected a folder a subject", "found none"]);
    says(
        &Dataset::open("/no/such/dataset").unwrap_err(),
        &["/no/such/dataset", "there is nothing at this path"],
    );
}

#[test]
fn a_kind_there_is_not_is_named() {
    Broken::new()
        .edit("dataset.json", "\"roi\"", "\"vector\"")
        .refused(&[
            "dataset.json",
            "`vector`",
            "expected `roi` or `volume`",
            "line",
        ]);
}

#[test]
fn responses_have_a_row_a_trial_and_a_column_a_voxel() {
    for shape in [(STIMULI - 1, VOXELS), (STIMULI, VOXELS + 1)] {
        let found = format!("found {} × {}", shape.0, shape.1);
        Broken::new().responses(&Array2::ones(shape)).refused(&[
            RESPONSES,
            "expected 4 rows",
            "3 columns",
            &found,
        ]);
    }
    let broken = Broken::new();
    let bytes = fs::read(broken.path(RESPONSES)).unwrap();
    fs::write(broken.path(RESPONSES), &bytes[..bytes.len() - 1]).unwrap();
    broken.refused(&[RESPONSES, "expected", "found"]);
}

#[test]
fn responses_that_are_not_finite_are_found_when_read() {
    for (value, word) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
        let mut array = responses();
        array[[2, 1]] = value;
        let dataset = Broken::new().responses(&array).open();
        let words = [RESPONSES, "finite", word, "V1"];
        says(&dataset.check_arrays().unwrap_err(), &words);
        let subject = &dataset.subjects[0];
        let mut row = vec![0.0; VOXELS];
        subject.read_response(1, &mut row).unwrap();
        says(&subject.read_response(2, &mut row).unwrap_err(), &words);
    }
}

#[test]
fn a_constant_voxel_is_a_warning() {
    let mut array = responses();
    array.column_mut(1).fill(2.0);
    let broken = Broken::new().responses(&array);
    let problems = broken.open().check_arrays().unwrap();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].severity, Severity::Warning);
    assert!(problems[0].message.contains("sub-01: 1 of 3 voxels"));
}

#[test]
fn a_subject_needs_trials() {
    let broken = Broken::new();
    let text = fs::read_to_string(broken.path(TRIALS)).unwrap();
    let header = text.lines().next().unwrap();
    fs::write(broken.path(TRIALS), format!("{header}\n")).unwrap();
    broken.refused(&[TRIALS, "expected at least one trial", "found none"]);

    let folder = TempDir::new().unwrap();
    let mut writer =
        DatasetWriter::create(folder.path(), description(), stimuli(), &labels()).unwrap();
    let error = writer
        .subject("sub-01", &[], &voxels(), Dtype::F32)
        .unwrap_err();
    says(&error, &["sub-01", "0 trials"]);
}

#[test]
fn a_trial_names_a_known_stimulus() {
    Broken::new()
        .edit(TRIALS, "picture-2", "picture-9")
        .refused(&[TRIALS, "stimuli.tsv", "picture-9", "line 4"]);
}

#[test]
fn every_stimulus_has_a_label_row() {
    let matrix = labels().matrix;
    Broken::new()
        .labels(&matrix.slice(ndarray::s![..3, ..]).to_owned())
        .refused(&["labels.npy", "expected 4 rows", "found 3 × 2"]);
}

#[test]
fn labels_are_0_or_1() {
    let mut matrix = labels().matrix;
    matrix[[3, 1]] = 2;
    Broken::new().labels(&matrix).refused(&[
        "labels.npy",
        "0 or 1",
        "found 2",
        "row 3",
        "column 1",
    ]);
}

#[test]
fn ids_and_label_names_occur_once() {
    Broken::new()
        .edit(
            "stimuli.tsv",
            "picture-3\tpicture-3",
            "picture-0\tpicture-3",
        )
        .refused(&["stimuli.tsv", "once", "picture-0", "line 5"]);
    Broken::new().edit("labels.tsv", "dog", "person").refused(&[
        "labels.tsv",
        "once",
        "person",
        "line 3",
    ]);

    let folder = TempDir::new().unwrap();
    let twice = vec![Stimulus::new("same"), Stimulus::new("same")];
    let two = Labels {
        matrix: labels().matrix.slice(ndarray::s![..2, ..]).to_owned(),
        ..labels()
    };
    let error = DatasetWriter::create(folder.path(), description(), twice, &two).unwrap_err();
    says(&error, &["\"same\"", "twice"]);
}

#[test]
fn a_label_nothing_has_is_an_error_of_the_data() {
    let mut matrix = labels().matrix;
    matrix.column_mut(1).fill(0);
    let problems = Broken::new().labels(&matrix).open().problems();
    let errors: Vec<_> = problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .collect();
    assert_eq!(errors.len(), 1);
    assert!(errors[0].message.contains("dog"), "{}", errors[0]);
    assert!(!errors[0].message.contains("person"), "{}", errors[0]);

    matrix.column_mut(1).fill(1);
    let problems = Broken::new().labels(&matrix).open().problems();
    let said = |problem: &&mused_data::Problem| {
        let message = &problem.message;
        problem.severity == Severity::Warning
            && message.contains("every stimulus has the label dog")
    };
    assert_eq!(problems.iter().filter(said).count(), 1, "{problems:?}");
}

#[test]
fn an_existing_destination_is_left_untouched() {
    let create =
        |path: &Path| DatasetWriter::create(path, description(), stimuli(), &labels()).unwrap_err();
    let parent = TempDir::new().unwrap();
    let folder = parent.path().join("data");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("notes.txt"), "mine").unwrap();
    let file = parent.path().join("file");
    fs::write(&file, "mine too").unwrap();

    says(&create(&folder), &["data", "already exists"]);
    says(&create(&file), &["file", "already exists"]);

    assert_eq!(fs::read(folder.join("notes.txt")).unwrap(), b"mine");
    assert_eq!(fs::read(&file).unwrap(), b"mine too");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 2);
}

#[test]
fn an_unfinished_dataset_leaves_nothing_behind() {
    let parent = TempDir::new().unwrap();
    let folder = parent.path().join("data");
    drop(DatasetWriter::create(&folder, description(), stimuli(), &labels()).unwrap());
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
}

#[test]
fn a_refused_dataset_leaves_nothing_behind() {
    let parent = TempDir::new().unwrap();
    let folder = parent.path().join("data");
    let twice = vec![Stimulus::new("same"), Stimulus::new("same")];
    DatasetWriter::create(&folder, description(), twice, &labels()).unwrap_err();
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
}

#[test]
fn misspelt_columns_are_refused() {
    for (file, column, misspelt) in [
        ("stimuli.tsv", "group", "Group"),
        ("stimuli.tsv", "group", "gruop"),
        ("stimuli.tsv", "split", "splits"),
        (TRIALS, "session", " session"),
        (TRIALS, "repeat", "repeats"),
        (VOXELS_TABLE, "\tk", "\tK"),
    ] {
        Broken::new().edit(file, column, misspelt).refused(&[
            file,
            column.trim(),
            misspelt.trim(),
            "rename it",
        ]);
    }
}

#[test]
fn a_misspelt_level_and_two_arrays_are_refused() {
    let broken = Broken::new();
    let folder = broken.path("features/own");
    fs::create_dir_all(&folder).unwrap();
    let array = Array2::from_shape_fn((STIMULI, STIMULI), |(a, b)| a.abs_diff(b) as f32);
    npy::write_npy_f32(folder.join("rdm.npy"), array.view()).unwrap();
    let description = |level: &str| {
        let json = format!("{{{level:?}: \"high\", \"description\": \"own\", \"layer\": 3}}");
        fs::write(folder.join("feature.json"), json).unwrap();
    };
    for level in ["Level", "levl", "levels"] {
        description(level);
        broken.refused(&["feature.json", "the key \"level\"", level]);
    }
    description("level");
    assert_eq!(broken.open().features[0].level, Some(Level::High));
    // What guides is looked at with the rest.
    npy::write_npy_f32(folder.join("rdm.npy"), (-&array).view()).unwrap();
    let found = broken.open().check_arrays().unwrap_err();
    says(&found, &["rdm.npy", "from 0 upwards"]);
    npy::write_npy_f32(folder.join("features.npy"), array.view()).unwrap();
    broken.refused(&["features/own", "found both"]);
}

#[test]
fn columns_that_nothing_reads_are_warnings() {
    let broken = Broken::new();
    let table = "stimulus_id\tgroup\tgroup2\tsubject_notes\n";
    let row = |index: usize| format!("picture-{index}\tg{index}\tx\tslept\n");
    let rows: String = (0..STIMULI).map(row).collect();
    fs::write(broken.path("stimuli.tsv"), table.to_owned() + &rows).unwrap();
    let problems = broken.open().problems();
    for column in ["group2", "subject_notes"] {
        let expected = format!("warning: column {column:?} of stimuli.tsv is not read");
        let said = problems.iter().filter(|p| p.to_string() == expected);
        assert_eq!(said.count(), 1, "{problems:?}");
    }
    assert!(
        Broken::new()
            .open()
            .problems()
            .iter()
            .all(|p| !p.message.contains("not read"))
    );
}

#[test]
fn guidance_that_is_none_is_refused() {
    let rdm = arr2(&[
        [0.0, 1.0, 2.0, 3.0],
        [1.0, 0.0, 1.5, 2.5],
        [2.0, 1.5, 0.0, 0.5],
        [3.0, 2.5, 0.5, 0.0_f32],
    ]);
    let mut asymmetric = rdm.clone();
    asymmetric[[0, 1]] = 9.0;
    let mut diagonal = rdm.clone();
    diagonal[[2, 2]] = 0.5;
    let similarity = rdm.mapv(|value| 1.0 - value / 3.0);
    let flat = Array2::from_shape_fn(rdm.dim(), |(row, column)| f32::from(row != column));
    let cases: [(bool, &Array2<f32>, &[&str]); 8] = [
        (true, &rdm, &[]),
        (
            true,
            &asymmetric,
            &["symmetric", "found 9 in row 0, column 1 and 1", "transpose"],
        ),
        (
            true,
            &diagonal,
            &["0 on the diagonal", "found 0.5 in row 2, column 2"],
        ),
        (
            true,
            &similarity,
            &["found 1 in row 0, column 0", "1 - similarity"],
        ),
        (
            true,
            &-&rdm,
            &["found -1 in row 0, column 1", "from 0 upwards"],
        ),
        (true, &flat, &["the same for all pairs"]),
        (
            false,
            &Array2::from_elem((STIMULI, 3), 2.0),
            &["the same for all"],
        ),
        (false, &rdm, &[]),
    ];
    for (is_rdm, array, words) in cases {
        let mut builder = Dataset::builder("small", stimuli(), labels());
        builder
            .subject("sub-01", trials(), voxels(), responses())
            .unwrap();
        let features = FeatureSet {
            is_rdm,
            ..FeatureSet::new("own", Level::High)
        };
        builder.features(features, array.clone()).unwrap();
        let found = Guidance::load(&builder.build().unwrap(), Level::High, "auto");
        match words {
            [] => assert!(found.unwrap().is_some()),
            words => says(&found.unwrap_err(), &[words, &["features own"]].concat()),
        }
    }
}

#[test]
fn two_writers_of_one_dataset_do_not_meet() {
    let parent = TempDir::new().unwrap();
    let folder = parent.path().join("data");
    let create = || DatasetWriter::create(&folder, description(), stimuli(), &labels());
    let first = create().unwrap();
    says(&create().unwrap_err(), &["data", "is writing it"]);
    first.finish().unwrap();
    assert!(folder.join("labels.npy").is_file());
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
}

#[test]
fn what_a_killed_writer_left_is_replaced() {
    let parent = TempDir::new().unwrap();
    let left = parent.path().join(".data.partial/subjects/sub-09");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("trials.tsv"), "half").unwrap();
    let folder = parent.path().join("data");
    let writer = DatasetWriter::create(&folder, description(), stimuli(), &labels()).unwrap();
    writer.finish().unwrap();
    assert!(!folder.join("subjects/sub-09").exists());
    assert!(!folder.join(".lock").exists());
}

#[test]
fn names_that_are_no_folder_names_are_refused() {
    let parent = TempDir::new().unwrap();
    let folder = parent.path().join("data");
    let mut writer = DatasetWriter::create(&folder, description(), stimuli(), &labels()).unwrap();
    let array = Array2::<f32>::ones((STIMULI, 2));
    let mut features = |name: &str| {
        let features = FeatureSet {
            name: name.to_owned(),
            level: Some(Level::High),
            is_rdm: false,
            description: String::new(),
            shape: [STIMULI, 2],
            details: Default::default(),
        };
        writer.features(&features, array.view())
    };
    for name in ["../up", "a/b", "a\\b", ".hidden", ""] {
        says(
            &features(name).unwrap_err(),
            &["name of features", "folder"],
        );
    }
    features("clip").unwrap();
    says(&features("clip").unwrap_err(), &["\"clip\"", "unique"]);
}

/// What is written must be read again.
#[test]
fn groups_and_captions_that_tables_take_for_missing_ones_are_refused() {
    for name in ["n/a", "", " "] {
        let folder = TempDir::new().unwrap();
        let start = |stimuli| {
            let path = folder.path().join("dataset");
            DatasetWriter::create(path, description(), stimuli, &labels())
        };
        let mut grouped = stimuli();
        grouped[1].group = name.to_owned();
        let found = start(grouped).unwrap_err().to_string();
        assert!(
            found.contains("expected a group of a stimulus, found"),
            "{found}"
        );
        let mut described = stimuli();
        described[1].captions = vec![name.to_owned()];
        let found = start(described).unwrap_err().to_string();
        assert!(found.contains("expected a caption, found"), "{found}");
    }
}
