//! A small tree in NSD's layout against numpy, pandas and h5py (`generate_nsd.py`), and everything that can be wrong
//! with one.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};

use mused_data::import_checks::Check;
use mused_data::import_nsd::{Imported, NsdConfig, Repeats, import};
use mused_data::{Dataset, Error, Part, Subject};
use mused_formats::nifti::{NewNifti, NiftiWriter, read_nifti};
use mused_formats::npy::{self, Dtype};
use ndarray::{Array2, Ix2};
use serde_json::Value;
use tempfile::TempDir;

const SUBJECTS: [&str; 2] = ["subj01", "subj02"];
/// What a small tree must be allowed.
const SMALL: [Check; 3] = [Check::SessionMissing, Check::TrialCount, Check::VoxelCount];
const BETAS: &str = "nsddata_betas/ppdata/subj01/func1pt8mm/betas_fithrf_GLMdenoise_RR";
const ROIS: &str = "nsddata/ppdata/subj01/func1pt8mm/roi";
const EXPERIMENT: &str = "nsddata/experiments/nsd";
const ANNOTATIONS: &str = "nsddata_stimuli/stimuli/nsd/annotations";
/// Of the images of masks and betas.
const SHAPE: [usize; 3] = [7, 5, 4];

fn files() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files/nsd")
}

fn config() -> NsdConfig {
    NsdConfig {
        allow: SMALL.to_vec(),
        ..NsdConfig::default()
    }
}

fn try_import(root: &Path, config: &NsdConfig) -> Result<(Imported, Dataset), Error> {
    let out = TempDir::new().unwrap();
    let path = out.path().join("dataset");
    match import(root, &path, config, &mut |_, _| {}) {
        Ok(imported) => Ok((imported, Dataset::open(&path)?)),
        Err(error) => {
            assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
            Err(error)
        }
    }
}

fn open(root: &Path, config: &NsdConfig) -> Dataset {
    try_import(root, config).unwrap().1
}

fn message(root: &Path, config: &NsdConfig) -> String {
    let error = try_import(root, config).map(|(imported, _)| imported.subjects);
    error.unwrap_err().to_string()
}

/// A copy of the tree whose files a test may change.
fn copy() -> TempDir {
    fn copy_folder(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            let target = to.join(path.file_name().unwrap());
            match path.is_dir() {
                true => copy_folder(&path, &target),
                false => assert!(fs::copy(&path, &target).is_ok()),
            }
        }
    }
    let folder = TempDir::new().unwrap();
    copy_folder(&files(), folder.path());
    folder
}

fn responses(subject: &Subject) -> Array2<f32> {
    let mut all = Array2::zeros((subject.trials.len(), subject.voxels.len()));
    let mut row = vec![0.0; subject.voxels.len()];
    for (trial, mut out) in all.rows_mut().into_iter().enumerate() {
        subject.read_response(trial, &mut row).unwrap();
        out.assign(&ndarray::ArrayView1::from(&row));
    }
    all
}

fn expected_responses(subject: &str, variant: &str) -> Array2<f32> {
    let path = files().join(format!("expected/{subject}_{variant}.npy"));
    let array = npy::read_npy_f32(path).unwrap();
    array.into_dimensionality::<Ix2>().unwrap()
}

fn expected() -> Value {
    let text = fs::read_to_string(files().join("expected/expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn assert_responses(dataset: &Dataset, variant: &str) {
    assert_eq!(dataset.subjects.len(), 2);
    for (subject, id) in dataset.subjects.iter().zip(SUBJECTS) {
        assert_eq!(subject.id, id);
        assert_eq!(subject.responses.dtype(), Dtype::F16);
        let expected = expected_responses(id, variant);
        assert_eq!(responses(subject), expected, "{id} {variant}");
    }
}

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

/// Changes one file of a copy of the tree.
type Damage = fn(&Path);

fn replace(path: PathBuf, from: &str, to: &str) {
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{} has no {from:?}", path.display());
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

fn write_image(path: PathBuf, dtype: Dtype, volumes: usize, value: impl Fn(usize, usize) -> f32) {
    let (header, _) = read_nifti(files().join(ROIS).join("nsdgeneral.nii.gz")).unwrap();
    let mut shape = SHAPE.to_vec();
    if volumes > 1 {
        shape.push(volumes);
    }
    let new = NewNifti {
        dtype,
        shape,
        affine: header.affine,
        tr: None,
    };
    let mut writer = NiftiWriter::create(path, &new).unwrap();
    for volume in 0..volumes {
        let values: Vec<f32> = (0..SHAPE.iter().product())
            .map(|voxel| value(volume, voxel))
            .collect();
        writer.write_volume(&values).unwrap();
    }
    writer.finish().unwrap();
}

fn session(root: &Path) -> PathBuf {
    root.join(BETAS).join("betas_session02.hdf5")
}

fn copy_variant(name: &str, root: &Path) {
    let stored = files().join(format!("variants/{name}.hdf5"));
    fs::copy(stored, session(root)).unwrap();
}

/// Replaces the second session by an image.
fn write_session(root: &Path, dtype: Dtype, trials: usize, value: impl Fn(usize, usize) -> f32) {
    fs::remove_file(session(root)).unwrap();
    let path = root.join(BETAS).join("betas_session02.nii.gz");
    write_image(path, dtype, trials, value);
}

fn table(root: &Path) -> PathBuf {
    root.join(EXPERIMENT).join("nsd_stim_info_merged.csv")
}

#[test]
fn bad_input_is_named() {
    let cases: [(Damage, &[&str]); 18] = [
        (
            |root| {
                let bytes = fs::read(session(root)).unwrap();
                fs::write(session(root), &bytes[..bytes.len() / 2]).unwrap();
            },
            &["betas_session02.hdf5"],
        ),
        (
            |root| copy_variant("float", root),
            &[
                "betas_session02.hdf5",
                "betas: expected int16, found float32",
            ],
        ),
        (
            |root| copy_variant("other_name", root),
            &["betas_session02.hdf5", "betas", "beta"],
        ),
        (
            |root| write_session(root, Dtype::F32, 24, |trial, voxel| (trial * voxel) as f32),
            &[
                "betas_session02.nii.gz",
                "expected int16 without scaling, found float32",
            ],
        ),
        (
            |root| write_session(root, Dtype::I16, 23, |trial, voxel| (trial * voxel) as f32),
            &[
                "betas_session02.nii.gz",
                "expected 24 trials, as in",
                "found 23",
            ],
        ),
        (
            // Every voxel but the first of the mask varies.
            |root| {
                write_session(root, Dtype::I16, 24, |trial, voxel| {
                    if voxel < 80 {
                        5.0
                    } else {
                        (trial * voxel) as f32
                    }
                });
            },
            &[
                "subject subj01",
                "expected values that vary",
                "--allow constant-voxels",
            ],
        ),
        (
            |root| {
                let path = root.join(ROIS).join("nsdgeneral.nii.gz");
                write_image(path, Dtype::I16, 1, |_, voxel| (voxel % 3) as f32);
            },
            &[
                "nsdgeneral.nii.gz",
                "expected a mask of -1, 0 and 1, found 2",
            ],
        ),
        (
            |root| {
                let path = root.join(ROIS).join("nsdgeneral.nii.gz");
                write_image(path, Dtype::I16, 1, |_, voxel| -((voxel % 2) as f32));
            },
            &[
                "nsdgeneral.nii.gz",
                "expected voxels of value 1 or more, found none",
            ],
        ),
        (
            |root| fs::remove_file(root.join(ROIS).join("nsdgeneral.nii.gz")).unwrap(),
            &["nsdgeneral.nii.gz"],
        ),
        (
            |root| replace(table(root), "cropBox", "crop"),
            &["nsd_stim_info_merged.csv", "cropBox"],
        ),
        (
            |root| replace(table(root), "\"(0, 0,", "\"(zero, 0,"),
            &[
                "nsd_stim_info_merged.csv",
                "cropBox",
                "(top, bottom, left, right)",
            ],
        ),
        (
            |root| replace(table(root), ",True,1,", ",perhaps,1,"),
            &[
                "nsd_stim_info_merged.csv",
                "shared1000",
                "True or False",
                "perhaps",
            ],
        ),
        (
            |root| replace(table(root), "train2017", "test2017"),
            &[
                "nsd_stim_info_merged.csv",
                "cocoSplit",
                "train2017 or val2017",
            ],
        ),
        (
            |root| {
                let text = fs::read_to_string(table(root)).unwrap();
                let row = text.lines().find(|line| line.contains(",True,1,")).unwrap();
                let other = row.replacen(",True,1,", ",False,1,", 1);
                fs::write(table(root), text.replacen(row, &other, 1)).unwrap();
            },
            &[
                "nsd_stim_info_merged.csv",
                "shared1000: expected True",
                "sharedix",
            ],
        ),
        (
            |root| {
                let text = fs::read_to_string(table(root)).unwrap();
                let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
                let shown = lines
                    .iter()
                    .position(|line| line.contains(",True,1,"))
                    .unwrap();
                let cells = lines[shown].clone();
                let (before, last) = cells.rsplit_once(',').unwrap();
                // The last column is of subject 8, who is not imported; the first is of subject 1.
                let from = before.match_indices(',').map(|(at, _)| at).nth(19).unwrap();
                let to = before[from + 1..].find(',').unwrap() + from + 1;
                lines[shown] = format!("{},77{},{last}", &before[..from], &before[to..]);
                fs::write(table(root), lines.join("\n")).unwrap();
            },
            &[
                "nsd_stim_info_merged.csv",
                "subject1_rep",
                "as nsd_expdesign.mat says",
                "77",
            ],
        ),
        (
            |root| {
                let path = root.join(ANNOTATIONS).join("instances_train2017.json");
                let text = fs::read_to_string(&path).unwrap();
                fs::write(&path, &text[..text.len() / 2]).unwrap();
            },
            &[
                "instances_train2017.json",
                "expected annotations of COCO as JSON",
            ],
        ),
        (
            |root| {
                let path = root.join(ANNOTATIONS).join("instances_train2017.json");
                replace(path, "\"bbox\"", "\"box\"");
            },
            &["instances_train2017.json", "bbox"],
        ),
        (
            |root| {
                let path = root.join(ANNOTATIONS).join("instances_train2017.json");
                let images = "{\"info\":{},\"images\":[],\"annotations\":[],\"categories\":[]}";
                fs::write(path, images).unwrap();
            },
            &["instances_train2017.json", "categories: expected the names"],
        ),
    ];
    for (number, (damage, parts)) in cases.into_iter().enumerate() {
        let tree = copy();
        damage(tree.path());
        let message = message(tree.path(), &config());
        for part in parts {
            assert!(message.contains(part), "case {number}: {message}");
        }
    }
}

/// The design file as MATLAB 5, uncompressed: variables of float64.
fn write_design(root: &Path, variables: &[(&str, [usize; 2], Vec<f64>)]) {
    let mut bytes = vec![b' '; 124];
    bytes.extend([0, 1, b'I', b'M']);
    let element = |kind: u32, data: &[u8]| {
        let mut out = kind.to_le_bytes().to_vec();
        out.extend((data.len() as u32).to_le_bytes());
        out.extend(data);
        out.resize(out.len().next_multiple_of(8), 0);
        out
    };
    for (name, shape, values) in variables {
        let flags: Vec<u8> = [6_u32, 0]
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        let lengths: Vec<u8> = shape
            .iter()
            .flat_map(|length| (*length as i32).to_le_bytes())
            .collect();
        let values: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        let parts = [
            element(6, &flags),
            element(5, &lengths),
            element(1, name.as_bytes()),
            element(9, &values),
        ];
        bytes.extend(element(14, &parts.concat()));
    }
    fs::write(root.join(EXPERIMENT).join("nsd_expdesign.mat"), bytes).unwrap();
}

#[test]
fn bad_designs_are_named() {
    let read = |name: &str| {
        let path = files().join(EXPERIMENT).join("nsd_expdesign.mat");
        mused_formats::mat::read_mat(path, name).unwrap()
    };
    let columns = |array: &ndarray::ArrayD<f64>| array.t().iter().copied().collect::<Vec<f64>>();
    let [ordering, images, shared] = ["masterordering", "subjectim", "sharedix"].map(read);
    let ordering = ("masterordering", [1, 90], columns(&ordering));
    let images = ("subjectim", [8, 30], columns(&images));
    let shared = ("sharedix", [1, 6], columns(&shared));
    let with =
        |(name, shape, values): &(&'static str, [usize; 2], Vec<f64>), at: usize, value: f64| {
            let mut values = values.clone();
            values[at] = value;
            (*name, *shape, values)
        };
    let whole = [ordering.clone(), images.clone(), shared.clone()];
    let tree = copy();
    write_design(tree.path(), &whole);
    assert_responses(&open(tree.path(), &config()), "default");

    let short = ("masterordering", [1, 40], ordering.2[..40].to_vec());
    let few = (
        "subjectim",
        [1, 30],
        images.2.iter().copied().step_by(8).collect(),
    );
    let cases = [
        (vec![ordering.clone(), images.clone()], vec!["sharedix"]),
        (
            vec![with(&ordering, 4, 31.0), images.clone(), shared.clone()],
            vec!["masterordering", "from 1 to 30", "found 31 at trial 5"],
        ),
        (
            vec![with(&ordering, 4, 0.0), images.clone(), shared.clone()],
            vec!["masterordering", "found 0 at place 5"],
        ),
        (
            vec![ordering.clone(), with(&images, 0, 201.0), shared.clone()],
            vec!["subjectim", "from 1 to 200", "found 201"],
        ),
        (
            vec![ordering.clone(), images.clone(), with(&shared, 2, 1.5)],
            vec!["sharedix", "found 1.5 at place 3"],
        ),
        (
            vec![short, images.clone(), shared.clone()],
            vec!["nsd_stim_info_merged.csv", "subject1_rep"],
        ),
        (
            vec![ordering, few, shared],
            vec!["subjectim", "subject 2, found 1"],
        ),
    ];
    for (variables, parts) in cases {
        write_design(tree.path(), &variables);
        let message = message(tree.path(), &config());
        for part in parts {
            assert!(message.contains(part), "{message}");
        }
    }
}

#[test]
fn masks_lie_where_the_betas_do() {
    let tree = copy();
    let path = tree.path().join(ROIS).join("nsdgeneral.nii.gz");
    let (header, mask) = read_nifti(&path).unwrap();
    let mut new = NewNifti {
        dtype: Dtype::I16,
        shape: header.shape.clone(),
        affine: header.affine,
        tr: None,
    };
    let values: Vec<f32> = mask.t().iter().copied().collect();
    let write = |new: &NewNifti| {
        let mut writer = NiftiWriter::create(&path, new).unwrap();
        writer.write_volume(&values).unwrap();
        writer.finish().unwrap();
    };
    new.affine[0][3] += 3.0;
    write(&new);
    let mut case = NsdConfig {
        betas: "betas_fithrf".to_owned(),
        ..config()
    };
    let found = message(tree.path(), &case);
    for part in ["betas_session01.nii.gz", "3.00 mm away", "--allow affine"] {
        assert!(found.contains(part), "{found}");
    }
    case.allow.push(Check::Affine);
    assert_responses(&open(tree.path(), &case), "default");
    // An HDF5 file says nothing of space but its shape.
    assert_responses(&open(tree.path(), &config()), "default");
    new.shape.swap(0, 1);
    write(&new);
    for (case, parts) in [
        (
            config(),
            [
                "betas_session01.hdf5",
                "expected trials × 4 × 7 × 5",
                "found [24, 4, 5, 7]",
            ],
        ),
        (
            case,
            [
                "betas_session01.nii.gz",
                "expected the grid [5, 7, 4]",
                "found [7, 5, 4]",
            ],
        ),
    ] {
        let found = message(tree.path(), &case);
        for part in parts {
            assert!(found.contains(part), "{found}");
        }
    }
}

#[test]
fn constant_voxels_are_left_out_where_they_are_let_pass() {
    let tree = copy();
    write_session(tree.path(), Dtype::I16, 24, |trial, voxel| {
        if voxel < 80 {
            5.0
        } else {
            (trial * (voxel % 7 + 1)) as f32
        }
    });
    let mut case = config();
    case.allow.push(Check::ConstantVoxels);
    case.subjects = vec![1];
    let (imported, dataset) = try_import(tree.path(), &case).unwrap();
    let all = expected()["subjects"]["subj01"]["default"].clone();
    let kept = all.as_array().unwrap().iter().filter(|voxel| {
        let at = |axis: usize| voxel[axis + 1].as_u64().unwrap() as usize;
        at(0) + SHAPE[0] * (at(1) + SHAPE[1] * at(2)) >= 80
    });
    let kept = kept.count();
    assert_eq!(dataset.subjects[0].voxels.len(), kept);
    assert!(
        imported
            .warnings
            .iter()
            .any(|warning| warning.starts_with("constant-voxels"))
    );
}

#[test]
fn a_copy_under_another_name_is_seen() {
    let tree = copy();
    let other = |path: &str| tree.path().join(path.replace("subj01", "subj02"));
    for (from, names) in [
        (
            BETAS,
            ["betas_session01.hdf5", "betas_session02.hdf5"].as_slice(),
        ),
        (ROIS, &["nsdgeneral.nii.gz"]),
    ] {
        for name in names {
            fs::copy(tree.path().join(from).join(name), other(from).join(name)).unwrap();
        }
    }
    let case = NsdConfig {
        sessions: vec![1, 2],
        zscore: false,
        repeats: Repeats::Keep,
        ..config()
    };
    let found = message(tree.path(), &case);
    assert!(
        found.contains("found those of subj02 equal to those of subj01"),
        "{found}"
    );
}

/// Where the import of [`killed`] goes, and after how many sessions it ends.
const KILLED: [&str; 2] = ["MUSED_TEST_KILLED_OUT", "MUSED_TEST_KILLED_AFTER"];

/// Does nothing unless [`a_killed_import_goes_on`] starts it: then it ends without any clean-up.
#[test]
fn killed() {
    let [Ok(out), Ok(after)] = KILLED.map(std::env::var) else {
        return;
    };
    let after: usize = after.parse().unwrap();
    import(&files(), out.as_ref(), &config(), &mut |done, _| {
        if done == after {
            std::process::abort();
        }
    })
    .unwrap();
}

/// Names and bytes of all files, in order.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(contents(&path)),
            false => found.push((path.display().to_string(), fs::read(&path).unwrap())),
        }
    }
    found.sort();
    found
}

#[test]
fn a_killed_import_goes_on() {
    let whole = TempDir::new().unwrap();
    import(
        &files(),
        &whole.path().join("dataset"),
        &config(),
        &mut |_, _| {},
    )
    .unwrap();
    let strip = |folder: &Path| -> Vec<(String, Vec<u8>)> {
        let root = format!("{}/", folder.display());
        let files = contents(folder).into_iter();
        files
            .map(|(name, bytes)| (name.replace(&root, ""), bytes))
            .collect()
    };
    let expected = strip(whole.path());
    // The first subject has three sessions, the second two.
    for (after, other) in [(1, false), (3, false), (4, false), (5, false), (4, true)] {
        let out = TempDir::new().unwrap();
        let path = out.path().join("dataset");
        let killed = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed"])
            .env(KILLED[0], &path)
            .env(KILLED[1], after.to_string())
            .output()
            .unwrap();
        assert!(!killed.status.success());
        assert!(!path.exists());
        let partial = out.path().join(".dataset.partial");
        let read = || -> Vec<String> {
            let names = fs::read_dir(partial.join("work")).unwrap();
            let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let mut sessions: Vec<_> = names.filter(|name| name.ends_with(".json")).collect();
            sessions.retain(|name| name.contains("_session"));
            sessions.sort();
            sessions
        };
        assert_eq!(read().len(), after);
        // What the first process kept is not read again: damage to it would be seen in the result.
        let kept = partial.join("work/subj02_session01");
        let damaged = after == 4;
        if damaged {
            let bytes = fs::read(&kept).unwrap();
            fs::write(&kept, bytes.iter().rev().copied().collect::<Vec<_>>()).unwrap();
        }
        let mut config = config();
        if other {
            // Another configuration starts anew.
            config.name = Some("other".to_owned());
        }
        import(&files(), &path, &config, &mut |_, _| {}).unwrap();
        assert!(!partial.exists());
        let found = strip(out.path());
        let names = |files: &[(String, Vec<u8>)]| -> Vec<String> {
            files.iter().map(|(name, _)| name.clone()).collect()
        };
        assert_eq!(names(&found), names(&expected));
        let differing: Vec<String> = found
            .iter()
            .zip(&expected)
            .filter(|(found, expected)| found != expected)
            .map(|((name, _), _)| name.clone())
            .collect();
        match (other, damaged) {
            (true, _) => assert_eq!(differing, ["dataset/dataset.json"]),
            (false, true) => assert_eq!(differing, ["dataset/subjects/subj02/responses.npy"]),
            (false, false) => assert!(differing.is_empty(), "{after}: {differing:?}"),
        }
    }
}
