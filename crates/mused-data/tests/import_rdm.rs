//! `mused import rdm`: real data where it is at hand, and everything a manifest can get wrong.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../mused-formats/tests/support/shared.rs"]
mod shared;

use std::fs;
use std::path::{Path, PathBuf};

use mused_data::import::Check;
use mused_data::import::rdm::{RdmConfig, import};
use mused_data::{Dataset, Error, Imported, Kind, Level, Response};
use mused_formats::npy::{read_npy, write_npy_f32, write_npy_f64};
use ndarray::{Array1, Array2, Axis, arr1, arr2};
use shared::shared;
use tempfile::TempDir;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn import_example(name: &str) -> (Imported, Dataset, TempDir) {
    import_manifest(name, &format!("data/{name}"))
}

fn import_manifest(name: &str, data: &str) -> (Imported, Dataset, TempDir) {
    let manifest = Path::new(ROOT)
        .join("examples")
        .join(format!("{name}.toml"));
    let temporary = TempDir::new().unwrap();
    let out = temporary.path().join("out");
    let mut calls = Vec::new();
    let progress = &mut |done, total| calls.push((done, total));
    let config = RdmConfig {
        data: Some(shared(data)),
        ..RdmConfig::default()
    };
    let imported = import(&manifest, &out, &config, progress).unwrap();
    let subjects = imported.subjects.len();
    assert_eq!(
        calls,
        (0..=subjects)
            .map(|done| (done, subjects))
            .collect::<Vec<_>>()
    );
    (imported, Dataset::open(&out).unwrap(), temporary)
}

fn ids(imported: &Imported) -> Vec<&str> {
    let subjects = imported.subjects.iter();
    subjects.map(|(id, _)| id.as_str()).collect()
}

fn labels_of(dataset: &Dataset, stimulus: usize) -> Vec<&str> {
    let row = dataset.labels.matrix.row(stimulus);
    let named = dataset.labels.names.iter().zip(row);
    named
        .filter(|(_, on)| **on == 1)
        .map(|(name, _)| name.as_str())
        .collect()
}

fn response(dataset: &Dataset, subject: &str, trial: usize) -> Vec<f32> {
    let subject = &dataset.subjects[dataset.subject(subject).unwrap()];
    let mut row = vec![0.0; subject.voxels.len()];
    subject.read_response(trial, &mut row).unwrap();
    row
}

fn features(dataset: &Dataset, name: &str) -> Array2<f32> {
    let set = dataset
        .features
        .iter()
        .find(|set| set.name == name)
        .unwrap();
    dataset.read_features(set).unwrap()
}

fn assert_near(found: f32, expected: f64) {
    assert!(
        (f64::from(found) - expected).abs() < 1e-6,
        "expected {expected}, found {found}"
    );
}

/// Expected values from numpy on the same files; the labels equal `derived_labels.npz` without
/// the five excluded words.
#[test]
#[ignore = "reads ../shared/data: run with --ignored where that folder is"]
fn action_geometry() {
    let (imported, dataset, _temporary) = import_example("action-geometry");
    assert_eq!(
        (
            imported.subjects.len(),
            imported.stimuli,
            dataset.roi_names().len(),
            imported.labels.len()
        ),
        (23, 90, 18, 32)
    );
    assert!(imported.notes.is_empty(), "{:?}", imported.notes);
    assert_eq!(
        (dataset.roi_names()[0], dataset.roi_names()[17]),
        ("lh_AIP", "rh_pSTS")
    );
    assert_eq!(dataset.description.kind, Kind::Roi);
    assert_eq!(dataset.description.response, Response::SimilarityProfiles);
    assert_eq!(dataset.subjects[0].id, "sid000005");
    for subject in &dataset.subjects {
        assert_eq!((subject.trials.len(), subject.voxels.len()), (90, 1620));
    }
    assert_eq!(
        &dataset.labels.names[..5],
        ["arms", "hands", "indoors", "dancing", "eat"]
    );
    assert_eq!(labels_of(&dataset, 0), ["hands", "indoors", "crafting"]);
    assert_eq!(labels_of(&dataset, 47), ["eat", "mouth"]);
    let positives: u32 = dataset.labels.matrix.iter().map(|on| u32::from(*on)).sum();
    assert_eq!(positives, 273); // 273 / (90 × 32) = .0948

    let lo = dataset.subjects[0]
        .voxels
        .iter()
        .position(|voxel| voxel.roi == "lh_LO")
        .unwrap();
    assert_near(response(&dataset, "sid000005", 0)[lo], 0.5813012674019263);
    assert_near(
        response(&dataset, "sid000005", 3)[lo + 7],
        0.10622753035800003,
    );
    let high = features(&dataset, "high");
    assert_near(high[[0, 1]], 0.5310529056575862);
    assert_near(high[[89, 88]], 0.4521429174308415);
    assert_near(features(&dataset, "low")[[0, 1]], 1.114198765835205);
    // 414 RDMs, 2 keyword files, 3 model RDMs.
    assert_eq!(dataset.description.sources.len(), 419);
    assert!(
        dataset
            .description
            .sources
            .iter()
            .all(|source| source.sha256.len() == 64)
    );
}

#[test]
#[ignore = "reads ../shared/data: run with --ignored where that folder is"]
fn kriegeskorte92() {
    let (imported, dataset, _temporary) = import_example("kriegeskorte92");
    assert_eq!(ids(&imported), ["BE", "KO", "SN", "TI"]);
    assert_eq!((imported.stimuli, imported.labels.len()), (92, 9));
    assert_eq!(dataset.roi_names(), ["hIT"]);
    let positives: Vec<u32> = dataset
        .labels
        .matrix
        .columns()
        .into_iter()
        .map(|column| column.iter().map(|on| u32::from(*on)).sum())
        .collect();
    assert_eq!(positives, [48, 44, 24, 24, 24, 24, 23, 21, 7]);
    assert_eq!(labels_of(&dataset, 0), ["animate", "human", "body"]);
    assert_eq!(labels_of(&dataset, 60), ["inanim", "natObj"]);
    let trials = &dataset.subjects[2].trials;
    assert_eq!(trials.len(), 184);
    let last = trials.last().unwrap();
    assert_eq!((last.stimulus, last.session, last.repeat), (91, 2, 2));
    // SN, session 2, image 5 against image 10; BE, session 1, image 1 against image 2.
    assert_near(response(&dataset, "SN", 92 + 4)[9], 0.23339444);
    assert_near(response(&dataset, "BE", 0)[1], 0.17121696);
    assert_eq!(features(&dataset, "low").dim(), (92, 1568));
    assert_eq!(features(&dataset, "high").dim(), (92, 1280));
    // Sum of all values, and the colour in row 60, column 100, as scipy reads them.
    for (stimulus, sum, colour) in [
        (0, 11_807_435_u64, [246, 163, 140]),
        (91, 17_296_379, [55, 54, 45]),
    ] {
        let path = dataset
            .root()
            .unwrap()
            .join(dataset.stimuli[stimulus].file.as_ref().unwrap());
        let mut reader = png::Decoder::new(std::io::BufReader::new(fs::File::open(path).unwrap()))
            .read_info()
            .unwrap();
        let mut pixels = vec![0; 175 * 175 * 3];
        reader.next_frame(&mut pixels).unwrap();
        assert_eq!(
            pixels.iter().map(|value| u64::from(*value)).sum::<u64>(),
            sum
        );
        let at = 3 * (60 * 175 + 100);
        assert_eq!(pixels[at..at + 3], colour);
    }
}

/// Numbers of columns and shares of negative variance as numpy has them.
#[test]
#[ignore = "reads ../shared/data: run with --ignored where that folder is"]
fn patterns_behind_real_rdms() {
    let (imported, dataset, _temporary) =
        import_manifest("action-geometry-patterns", "data/action-geometry");
    assert_eq!(imported.warnings.len(), 23);
    let said =
        "subject sid000005: negative variance was left out, by share: lh_AIP 0.111, lh_EV 0.099";
    assert!(
        imported.warnings[0].starts_with(said),
        "{}",
        imported.warnings[0]
    );
    assert_eq!(imported.subjects[0].1, [1, 90, 1471]);
    assert_eq!(dataset.features.len(), 3);
    let (imported, dataset, _temporary) =
        import_manifest("kriegeskorte92-patterns", "data/kriegeskorte92");
    assert!(imported.warnings.is_empty(), "{:?}", imported.warnings);
    assert_eq!(imported.subjects[0].1, [2, 92, 91]);
    assert_eq!(dataset.features.len(), 2);
    let (imported, dataset, _temporary) = import_manifest("cichy92-patterns", "data");
    assert!(imported.warnings.is_empty(), "{:?}", imported.warnings);
    let rdm = read_npy(shared("data/cichy92-8/rdm_s03_IT.npy")).unwrap();
    let rdm = rdm.into_dimensionality().unwrap();
    assert_inner_products(&patterns_of(&dataset, 2, "IT"), &kernel(&rdm));
}

/// A small data folder: two subjects, two regions (the second subject lacks one), three stimuli.
struct Small {
    folder: TempDir,
}

const MANIFEST: &str = r#"
name = "small"
licence = "CC0-1.0"
citation = "nobody"
[stimuli]
count = 3
id = "s{index}"
[labels]
words = ["words.txt"]
exclude = ["it"]
[responses]
path = "rdm/sub-{subject}_{roi}.npy"
[[guidance]]
level = "low"
description = "condensed"
rdms = [{ path = "model.npy" }]
[[guidance]]
level = "high"
name = "meaning"
description = "features"
features = "features.npy"
"#;

impl Small {
    fn new() -> Self {
        let small = Self {
            folder: TempDir::new().unwrap(),
        };
        fs::create_dir(small.path("rdm")).unwrap();
        small.square("rdm/sub-02_lh_V1.npy", [0.1, 0.2, 0.3]);
        small.square("rdm/sub-02_rh_V1.npy", [0.4, 0.5, 0.6]);
        write_npy_f64(
            small.path("rdm/sub-01_lh_V1.npy"),
            arr1(&[0.7, 0.8, 0.9]).view(),
        )
        .unwrap();
        fs::write(small.path("rdm/notes.txt"), "not an RDM").unwrap();
        fs::write(small.path("words.txt"), "dog, cat\ncat,it\n dog ,cat, \n").unwrap();
        write_npy_f64(small.path("model.npy"), arr1(&[1.0, 2.0, 3.0]).view()).unwrap();
        write_npy_f32(small.path("features.npy"), Array2::<f32>::eye(3).view()).unwrap();
        small.write_manifest(MANIFEST);
        small
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// A square RDM with the upper triangle given and .5 on the diagonal.
    fn square(&self, relative: &str, [ab, ac, bc]: [f64; 3]) {
        let rdm = arr2(&[[0.5, ab, ac], [ab, 0.5, bc], [ac, bc, 0.5]]);
        write_npy_f64(self.path(relative), rdm.view()).unwrap();
    }

    fn write_manifest(&self, text: &str) {
        fs::write(self.path("manifest.toml"), text).unwrap();
    }

    fn import(&self) -> Result<Imported, Error> {
        import(
            &self.path("manifest.toml"),
            &self.path("out"),
            &RdmConfig::default(),
            &mut |_, _| (),
        )
    }

    /// The message of a failing import, which must leave nothing behind.
    #[track_caller]
    fn message(&self) -> String {
        let message = self.import().unwrap_err().to_string();
        for entry in fs::read_dir(self.folder.path()).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(!name.contains("out"), "left {name} behind");
        }
        message
    }

    #[track_caller]
    fn fails_with(&self, expected: &str) {
        let message = self.message();
        assert!(
            message.contains(expected),
            "expected {expected:?} in {message:?}"
        );
    }

    /// Fails where `from` in the manifest is replaced by `to`.
    #[track_caller]
    fn replaced_fails_with(&self, from: &str, to: &str, expected: &str) {
        assert!(MANIFEST.contains(from));
        self.write_manifest(&MANIFEST.replacen(from, to, 1));
        self.fails_with(expected);
    }
}

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

/// The centred kernel of an RDM, its diagonal taken as 0.
fn kernel(rdm: &Array2<f64>) -> Array2<f64> {
    let mut kernel = 1.0 - rdm;
    kernel.diag_mut().fill(1.0);
    let size = rdm.nrows();
    let centring = Array2::<f64>::eye(size) - 1.0 / size as f64;
    centring.dot(&kernel).dot(&centring)
}

fn patterns_of(dataset: &Dataset, subject: usize, roi: &str) -> Array2<f64> {
    let subject = &dataset.subjects[subject];
    let columns = (0..subject.voxels.len()).filter(|&column| subject.voxels[column].roi == roi);
    let columns: Vec<usize> = columns.collect();
    let rows = (0..subject.trials.len()).map(|trial| response(dataset, &subject.id, trial));
    let rows: Vec<f32> = rows.flatten().collect();
    let rows = Array2::from_shape_vec((subject.trials.len(), subject.voxels.len()), rows);
    rows.unwrap().select(Axis(1), &columns).mapv(f64::from)
}

fn assert_inner_products(patterns: &Array2<f64>, expected: &Array2<f64>) {
    let found = patterns.dot(&patterns.t());
    let differences = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
    assert!(differences.fold(0.0, f64::max) < 1e-5, "{found} {expected}");
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
fn bad_rdms_are_refused() {
    let small = Small::new();
    let rdm = small.path("rdm/sub-02_rh_V1.npy");
    let write = |array: Array2<f64>| write_npy_f64(&rdm, array.view()).unwrap();
    write(Array2::zeros((3, 4)));
    small.fails_with("sub-02_rh_V1.npy: expected a square or condensed RDM, found shape [3, 4]");
    write(Array2::zeros((4, 4)));
    small.fails_with("expected an RDM of the 3 stimuli declared, found one of 4");
    write_npy_f64(&rdm, Array1::<f64>::zeros(6).view()).unwrap();
    small.fails_with("expected an RDM of the 3 stimuli declared, found one of 4");
    write_npy_f64(&rdm, Array1::<f64>::zeros(4).view()).unwrap();
    small.fails_with("expected a condensed RDM of n (n - 1) / 2 entries, found 4");
    write(arr2(&[[0.0, 1.0, 2.0], [1.0, 0.0, 3.0], [2.5, 3.0, 0.0]]));
    small.fails_with("expected a symmetric RDM, found 2 at [0, 2] and 2.5 at [2, 0]");
    write(arr2(&[
        [0.0, 1.0, 2.0],
        [1.0, 0.0, f64::NAN],
        [2.0, 3.0, 0.0],
    ]));
    small.fails_with("expected finite values, found NaN at [1, 2]");
    write_npy_f64(&rdm, arr1(&[0.0, f64::INFINITY, 1.0]).view()).unwrap();
    small.fails_with("expected finite values, found inf at [1]");
    fs::write(&rdm, "nonsense").unwrap();
    small.fails_with("sub-02_rh_V1.npy");
}

#[test]
fn rounding_is_no_asymmetry() {
    let small = Small::new();
    let rdm = arr2(&[[0.0, 1.0, 2.0], [1.0, 0.0, 3.0], [2.0 + 1e-6, 3.0, 0.0]]);
    write_npy_f64(small.path("rdm/sub-02_rh_V1.npy"), rdm.view()).unwrap();
    small.import().unwrap();
}

#[test]
fn bad_manifests_are_refused() {
    let small = Small::new();
    small.replaced_fails_with("licence", "license", "unknown field `license`");
    small.replaced_fails_with("citation = \"nobody\"", "", "missing field `citation`");
    small.replaced_fails_with(
        "level = \"low\"",
        "level = \"mid\"",
        "unknown variant `mid`",
    );
    small.replaced_fails_with(
        "count = 3",
        "",
        "stimuli: expected either count and id, or ids",
    );
    small.replaced_fails_with(
        "count = 3",
        "count = 0",
        "stimuli.count: expected from 1 to",
    );
    small.replaced_fails_with("s{index}", "s", "stimuli.id: expected one {index}");
    small.replaced_fails_with(
        "count = 3",
        "groups = [\"a\"]\ncount = 3",
        "stimuli.groups: expected one for each of the 3 stimuli, found 1",
    );
    small.replaced_fails_with(
        "count = 3\nid = \"s{index}\"",
        "ids = [\"a\", \"b\", \"a\"]",
        "\"a\" occurs twice",
    );
    small.replaced_fails_with("_{roi}", "", "responses.path: expected {roi} in it");
    small.replaced_fails_with(
        "rdm/sub-",
        "rdm/subject-",
        "expected files like \"rdm/subject-",
    );
    small.replaced_fails_with("\"rdm/sub", "\"../rdm/sub", "inside the data folder");
    small.replaced_fails_with("\"model.npy\"", "\"/model.npy\"", "inside the data folder");
    small.replaced_fails_with(
        "{ path = \"model.npy\" }",
        "{ path = \"model.npy\", select = \"RDM\" }",
        "select = \"RDM\" is for .mat files alone",
    );
    small.replaced_fails_with("\"meaning\"", "\"low\"", "guidance \"low\" occurs twice");
    small.replaced_fails_with("\"meaning\"", "\"../low\"", "usable as a folder's");
    small.replaced_fails_with(
        "features = \"features.npy\"",
        "",
        "guidance \"meaning\": expected either rdms",
    );
    small.replaced_fails_with("\"model.npy\"", "\"absent.npy\"", "absent.npy");
}

#[test]
fn the_same_rdm_twice_is_refused() {
    let small = Small::new();
    let list = r#"
[[responses.rdm]]
subject = "a"
roi = "V1"
path = "rdm/sub-02_lh_V1.npy"
[[responses.rdm]]
subject = "a"
roi = "V1"
path = "rdm/sub-02_rh_V1.npy"
"#;
    small.replaced_fails_with(
        "[responses]\npath = \"rdm/sub-{subject}_{roi}.npy\"\n",
        list,
        "responses.rdm[1]: expected one RDM of subject a, roi V1, session 1, found \
         rdm/sub-02_lh_V1.npy too",
    );
}

#[test]
fn bad_labels_are_refused() {
    let small = Small::new();
    small.replaced_fails_with(
        "[\"it\"]",
        "[\"its\"]",
        "labels.exclude: expected names that occur",
    );
    small.replaced_fails_with(
        "exclude",
        "minimum_stimuli = 9\nexclude",
        "labels.words: expected labels, none are left",
    );
    small.replaced_fails_with(
        "words = [\"words.txt\"]",
        "",
        "expected either words or matrix",
    );
    small.replaced_fails_with(
        "exclude",
        "select = \"x\"\nexclude",
        "go with matrix, not words",
    );
    small.write_manifest(MANIFEST);
    fs::write(small.path("words.txt"), "dog, it\ncat\n").unwrap();
    small.fails_with("expected a line for each of the 3 stimuli, found 2 lines");

    let matrix = "matrix = \"labels.npy\"\nnames = [\"a\", \"b\", \"it\"]";
    let text = MANIFEST.replace("words = [\"words.txt\"]", matrix);
    small.write_manifest(&text);
    let write = |array: Array2<f64>| write_npy_f64(small.path("labels.npy"), array.view()).unwrap();
    write(Array2::zeros((3, 2)));
    small.fails_with("labels.npy: expected 3 stimuli × 3 names, found shape [3, 2]");
    write(Array2::from_elem((3, 3), 2.0));
    small.fails_with("labels.npy: expected 0 or 1, found 2 in row 0, column 0");
    small.write_manifest(&text.replace("\"b\"", "\"a\""));
    write(Array2::ones((3, 3)));
    small.fails_with("label \"a\" occurs twice");
    small.write_manifest(&text);
    small.import().unwrap();
    assert_eq!(
        Dataset::open(small.path("out")).unwrap().labels.names,
        ["a", "b"]
    );
}

#[test]
fn an_existing_dataset_is_left_alone() {
    let small = Small::new();
    small.import().unwrap();
    assert!(matches!(small.import().unwrap_err(), Error::Exists(_)));
    Dataset::open(small.path("out")).unwrap();
}

/// Folder of the manifest that [`killed`] imports.
const KILLED: &str = "MUSED_TEST_KILLED_FOLDER";

/// Does nothing unless [`a_killed_import_goes_on`] starts it: then it ends before the second subject, without any
/// clean-up.
#[test]
fn killed() {
    let Ok(folder) = std::env::var(KILLED) else {
        return;
    };
    let folder = Path::new(&folder);
    let (manifest, out) = (folder.join("manifest.toml"), folder.join("resumed"));
    import(&manifest, &out, &RdmConfig::default(), &mut |done, _| {
        if done == 1 {
            std::process::abort();
        }
    })
    .unwrap();
}

#[test]
fn a_killed_import_goes_on() {
    let small = Small::new();
    let expected = small.import().unwrap();
    let killed = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed"])
        .env(KILLED, small.folder.path())
        .output()
        .unwrap();
    assert!(!killed.status.success());
    let (out, partial) = (small.path("resumed"), small.path(".resumed.partial"));
    assert!(!out.exists());
    // What is complete is taken over as it is: a mark in it stays.
    let kept = partial.join("subjects/01/trials.tsv");
    let marked = fs::read_to_string(&kept).unwrap() + "mark\t1\t1\tn/a\t1\n";
    fs::write(&kept, &marked).unwrap();
    let (manifest, config) = (small.path("manifest.toml"), RdmConfig::default());
    let imported = import(&manifest, &out, &config, &mut |_, _| ()).unwrap();
    assert_eq!(imported, expected);
    assert!(!partial.exists());
    assert_eq!(
        fs::read_to_string(out.join("subjects/01/trials.tsv")).unwrap(),
        marked
    );
    for name in [
        "dataset.json",
        "stimuli.tsv",
        "labels.tsv",
        "labels.npy",
        "features/low/rdm.npy",
        "features/meaning/features.npy",
        "features/meaning/feature.json",
        "subjects/01/responses.npy",
        "subjects/01/voxels.tsv",
        "subjects/02/responses.npy",
        "subjects/02/trials.tsv",
        "subjects/02/voxels.tsv",
    ] {
        let read = |folder: PathBuf| fs::read(folder.join(name)).unwrap();
        assert_eq!(read(out.clone()), read(small.path("out")), "{name}");
    }
    let count = |folder: PathBuf| fs::read_dir(folder).unwrap().count();
    assert_eq!(count(out), count(small.path("out")));
}

#[test]
fn one_subjects_rdms_under_two_names_are_refused_unless_allowed() {
    let small = Small::new();
    let path = |name| small.path(&format!("rdm/sub-{name}.npy"));
    fs::remove_file(path("02_rh_V1")).unwrap();
    fs::copy(path("01_lh_V1"), path("02_lh_V1")).unwrap();
    small.fails_with("found those of 02 equal to those of 01");
    let config = RdmConfig {
        allow: vec![Check::IdenticalSubjects],
        ..RdmConfig::default()
    };
    let manifest = small.path("manifest.toml");
    let imported = import(&manifest, &small.path("out"), &config, &mut |_, _| ()).unwrap();
    assert_eq!(imported.warnings.len(), 1);
}

#[test]
fn texts_are_read_as_others_write_them_or_called_by_their_name() {
    let small = Small::new();
    let words = "\u{feff}dog, cat\ncat,it\n dog ,cat, \n";
    fs::write(small.path("words.txt"), words).unwrap();
    small.write_manifest(&format!("\u{feff}{MANIFEST}"));
    assert_eq!(small.import().unwrap().labels, ["cat", "dog"]);
    let small = Small::new();
    fs::write(
        small.path("words.txt"),
        "version https://git-lfs.github.com/spec/v1\n\n\n",
    )
    .unwrap();
    let message = small.message();
    assert!(
        message.contains("words.txt: expected text, found a Git LFS pointer"),
        "{message}"
    );
}
