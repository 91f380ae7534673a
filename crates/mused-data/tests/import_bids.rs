//! Responses of a generated BIDS dataset against nilearn's designs and numpy's least squares
//! (`generate_bids.py`), and everything that can be wrong with one.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};

use mused_data::import::Check;
use mused_data::import::bids::{BidsConfig, Drift, Estimate, FilePatterns, Region, import};
use mused_data::{Dataset, Error, Subject};
use mused_formats::nifti::{NewNifti, Nifti, NiftiWriter, read_nifti};
use mused_formats::npy::Dtype;
use mused_formats::npz::NpzFile;
use ndarray::{Array2, Ix2};
use tempfile::TempDir;

fn files() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files/bids")
}

fn config(root: &Path) -> BidsConfig {
    BidsConfig {
        derivatives: Some(root.join("derivatives/prep")),
        exclude: vec!["rest".to_owned(), "button".to_owned()],
        estimate: Estimate::Window(Some([4.0, 8.0])),
        ..BidsConfig::default()
    }
}

fn open(root: &Path, config: &BidsConfig) -> Result<Dataset, Error> {
    let out = TempDir::new().unwrap();
    let path = out.path().join("dataset");
    match import(root, &path, config, &mut |_, _| {}) {
        Ok(_) => Dataset::open(&path),
        Err(error) => {
            assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
            Err(error)
        }
    }
}

fn message(root: &Path, config: &BidsConfig) -> String {
    open(root, config).unwrap_err().to_string()
}

fn responses(subject: &Subject) -> Array2<f64> {
    let mut row = vec![0.0; subject.voxels.len()];
    let mut all = Array2::zeros((subject.trials.len(), row.len()));
    for (trial, mut out) in all.rows_mut().into_iter().enumerate() {
        subject.read_response(trial, &mut row).unwrap();
        out.assign(&ndarray::ArrayView1::from(&row).mapv(f64::from));
    }
    all
}

/// Largest difference relative to the largest value.
fn difference(found: &Array2<f64>, expected: &Array2<f64>) -> f64 {
    assert_eq!(found.dim(), expected.dim());
    let size = expected
        .iter()
        .fold(0.0_f64, |most, value| most.max(value.abs()));
    let pairs = found.iter().zip(expected);
    pairs.fold(0.0_f64, |most, (a, b)| most.max((a - b).abs())) / size
}

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

/// A copy of the files that may be damaged.
fn copy() -> TempDir {
    fn copy_folder(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            let target = to.join(path.file_name().unwrap());
            if path.is_dir() {
                copy_folder(&path, &target);
            } else {
                fs::copy(&path, &target).unwrap();
            }
        }
    }
    let folder = TempDir::new().unwrap();
    copy_folder(&files(), folder.path());
    folder
}

const RUN: &str =
    "derivatives/prep/sub-01/func/sub-01_task-see_run-2_space-T1w_desc-preproc_bold.nii.gz";
const EVENTS: &str = "sub-01/func/sub-01_task-see_run-2_events.tsv";

/// Writes a run again with other values, repetition time or position.
fn rewrite(path: &Path, tr: f64, shift: f64, value: impl Fn(usize, usize, f32) -> f32) {
    let (header, _) = read_nifti(path).unwrap();
    let mut volumes = Vec::new();
    let mut file = Nifti::open(path).unwrap();
    for volume in 0..header.volumes() {
        let values = file.read_volume(volume).unwrap();
        let values = values.into_iter().enumerate();
        volumes.push(
            values
                .map(|(voxel, old)| value(volume, voxel, old))
                .collect::<Vec<_>>(),
        );
    }
    let mut affine = header.affine;
    affine[0][3] += shift;
    write(path, &header.shape, affine, tr, &volumes);
}

fn write(path: &Path, shape: &[usize], affine: [[f64; 4]; 4], tr: f64, volumes: &[Vec<f32>]) {
    let new = NewNifti {
        shape: shape.to_vec(),
        affine,
        tr: Some(tr),
        dtype: Dtype::F32,
    };
    let mut writer = NiftiWriter::create(path, &new).unwrap();
    for volume in volumes {
        writer.write_volume(volume).unwrap();
    }
    writer.finish().unwrap();
}

/// One thing that is wrong.
type Damage<'a> = &'a dyn Fn(&Path);

#[test]
fn checks_fail_unless_allowed_and_are_kept() {
    let nan: Damage<'_> = &|root| {
        rewrite(&root.join(RUN), 2.0, 0.0, |volume, voxel, old| {
            if (volume, voxel) == (50, 3) {
                f32::NAN
            } else {
                old
            }
        });
    };
    let constant: Damage<'_> = &|root| {
        rewrite(&root.join(RUN), 2.0, 0.0, |_, voxel, old| {
            if voxel == 5 { 7.0 } else { old }
        });
    };
    let moved: Damage<'_> = &|root| rewrite(&root.join(RUN), 2.0, 3.0, |_, _, old| old);
    let slower: Damage<'_> = &|root| rewrite(&root.join(RUN), 2.5, 0.0, |_, _, old| old);
    let own_tr: Damage<'_> = &|root| {
        slower(root);
        let sidecar = "sub-01_task-see_run-2_bold.json";
        fs::write(
            root.join("sub-01/func").join(sidecar),
            r#"{"RepetitionTime": 2.5}"#,
        )
        .unwrap();
    };
    let late: Damage<'_> = &|root| {
        let mut text = fs::read_to_string(root.join(EVENTS)).unwrap();
        text += "300.0\t1.5\tface\tperson\tface0.png\n";
        fs::write(root.join(EVENTS), text).unwrap();
    };
    let relabelled: Damage<'_> = &|root| {
        let text = fs::read_to_string(root.join(EVENTS)).unwrap();
        let text = text.replace(
            "face\tperson;indoor\tface2.png",
            "house\tperson;indoor\tface2.png",
        );
        fs::write(root.join(EVENTS), text).unwrap();
    };
    let copied: Damage<'_> = &|root| {
        for run in ["1", "2"] {
            let name =
                |subject: &str| format!("sub-{subject}/func/sub-{subject}_task-see_run-{run}");
            let prep = root.join("derivatives/prep");
            let bold = "_space-T1w_desc-preproc_bold.nii.gz";
            fs::copy(prep.join(name("01") + bold), prep.join(name("02") + bold)).unwrap();
            fs::copy(
                root.join(name("01") + "_events.tsv"),
                root.join(name("02") + "_events.tsv"),
            )
            .unwrap();
        }
    };
    let cases: [(Check, Damage<'_>, &str, usize); 8] = [
        (
            Check::NanVoxels,
            nan,
            "found NaN or infinite ones in 1 (the first is column 3, roi brain at i 3, j 0, k 0)",
            23,
        ),
        (
            Check::ConstantVoxels,
            constant,
            "found constant ones in 1",
            23,
        ),
        (Check::Affine, moved, "found voxels up to 3.00 mm away", 24),
        (
            Check::TrHeader,
            slower,
            "expected the repetition time 2 s of",
            24,
        ),
        (Check::TrDiffers, own_tr, "found 2.5 s", 24),
        (
            Check::EventsOutside,
            late,
            "found an event at 300 s whose response is taken from 304 to 308 s",
            24,
        ),
        (
            Check::LabelConflict,
            relabelled,
            "expected the labels face of stimulus face2.png",
            24,
        ),
        (
            Check::IdenticalSubjects,
            copied,
            "found those of sub-02 equal to those of sub-01",
            24,
        ),
    ];
    for (check, damage, expected, voxels) in cases {
        let folder = copy();
        damage(folder.path());
        let mut config = config(folder.path());
        let found = message(folder.path(), &config);
        assert!(found.contains(expected), "{check}: {found}");
        assert!(
            found.ends_with(&format!("`--allow {check}` lets it pass")),
            "{found}"
        );
        config.allow = vec![check];
        let dataset = open(folder.path(), &config).unwrap();
        assert_eq!(dataset.subjects[0].voxels.len(), voxels, "{check}");
        assert_eq!(dataset.subjects[0].trials.len(), 12, "{check}");
        assert_eq!(dataset.description.warnings.len(), 1, "{check}");
        assert!(
            dataset.description.warnings[0].contains(expected),
            "{check}"
        );
    }
}

#[test]
fn mistakes_are_named() {
    let root = files();
    let base = config(&root);
    let cases: Vec<(BidsConfig, &str)> = vec![
        (
            BidsConfig {
                derivatives: None,
                ..base.clone()
            },
            "expected *_bold.nii.gz below sub-*, found none",
        ),
        (
            BidsConfig {
                space: Some("MNI".to_owned()),
                ..base.clone()
            },
            "--space MNI: expected a recording that has it, found as space: T1w",
        ),
        (
            BidsConfig {
                exclude: Vec::new(),
                label_columns: vec!["content".to_owned()],
                ..base.clone()
            },
            "expected a label in content, found none",
        ),
        (
            BidsConfig {
                label_columns: vec!["colour".to_owned()],
                ..base.clone()
            },
            "no column `colour`; there is: onset",
        ),
        (
            BidsConfig {
                exclude: vec!["rest".to_owned(), "buton".to_owned()],
                ..base.clone()
            },
            "--exclude buton: expected a value that some event has, found none; there is: button, face",
        ),
        (
            BidsConfig {
                estimate: Estimate::Lsa,
                nuisance: vec!["press".to_owned()],
                ..base.clone()
            },
            "--nuisance press: expected a value that some event has",
        ),
        (
            BidsConfig {
                estimate: Estimate::Window(Some([8.0, 4.0])),
                ..base.clone()
            },
            "found 8,4",
        ),
        (
            BidsConfig {
                estimate: Estimate::Window(Some([4.0, 4.5])),
                ..base.clone()
            },
            "expected a volume in the window",
        ),
        (
            BidsConfig {
                confounds: vec!["trans_x".to_owned()],
                ..base.clone()
            },
            "confounds and nuisance events are for models of betas",
        ),
        (
            BidsConfig {
                estimate: Estimate::Lsa,
                confounds: vec!["rot*".to_owned()],
                ..base.clone()
            },
            "expected columns like rot*, found none",
        ),
        (
            BidsConfig {
                estimate: Estimate::Lsa,
                drift: Drift::Cosine { high_pass: 1.0 },
                ..base.clone()
            },
            "found none for the event at 2.3 s",
        ),
        (
            BidsConfig {
                regions: vec![Region::Mask {
                    name: "V1".to_owned(),
                    path: "{roi}.nii".to_owned(),
                }],
                ..base.clone()
            },
            "{roi} is not known here",
        ),
        (
            BidsConfig {
                regions: vec![Region::Mask {
                    name: "V1".to_owned(),
                    path: "sub-{subject}/sub-{subject}_dseg.nii.gz".to_owned(),
                }],
                ..base.clone()
            },
            "regions of a value each are an atlas",
        ),
    ];
    for (config, expected) in cases {
        let found = message(&root, &config);
        assert!(found.contains(expected), "{found}");
    }
    let folder = copy();
    fs::remove_file(folder.path().join(EVENTS)).unwrap();
    let found = message(folder.path(), &config(folder.path()));
    assert!(
        found.contains("expected an events.tsv of this run"),
        "{found}"
    );
    let folder = copy();
    write(
        &folder.path().join(RUN),
        &[4, 3, 3, 2],
        [
            [1.0, 0.0, 0.0, 0.0],
            [0.0, 1.0, 0.0, 0.0],
            [0.0, 0.0, 1.0, 0.0],
            [0.0, 0.0, 0.0, 1.0],
        ],
        2.0,
        &[vec![1.0; 36], vec![2.0; 36]],
    );
    let found = message(folder.path(), &config(folder.path()));
    assert!(
        found.contains("expected the grid [4, 3, 2]") && found.contains("found [4, 3, 3]"),
        "{found}"
    );
}

/// Where the import of [`killed`] goes.
const KILLED: &str = "MUSED_TEST_KILLED_OUT";

/// Does nothing unless [`a_killed_import_goes_on`] starts it: then it ends in the second subject, without any clean-up.
#[test]
fn killed() {
    let Ok(out) = std::env::var(KILLED) else {
        return;
    };
    let root = files();
    import(&root, out.as_ref(), &config(&root), &mut |done, _| {
        if done == 3 {
            std::process::abort();
        }
    })
    .unwrap();
}

#[test]
fn a_killed_import_goes_on() {
    let root = files();
    let config = config(&root);
    let out = TempDir::new().unwrap();
    let [whole, path] = ["whole", "resumed"].map(|name| out.path().join(name));
    let expected = import(&root, &whole, &config, &mut |_, _| {}).unwrap();
    let killed = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed"])
        .env(KILLED, &path)
        .output()
        .unwrap();
    assert!(!killed.status.success());
    let partial = out.path().join(".resumed.partial");
    // What is complete is taken over as it is: a mark in it stays.
    let kept = partial.join("subjects/sub-01/voxels.tsv");
    let mut marked = fs::read_to_string(&kept).unwrap();
    marked.push_str("mark\tn/a\tn/a\tn/a\n");
    fs::write(&kept, &marked).unwrap();
    let imported = import(&root, &path, &config, &mut |_, _| {}).unwrap();
    assert_eq!(imported, expected);
    assert!(!partial.exists());
    let read = |folder: &Path, name: &str| fs::read(folder.join(name)).unwrap();
    assert_eq!(read(&path, "subjects/sub-01/voxels.tsv"), marked.as_bytes());
    for name in [
        "dataset.json",
        "stimuli.tsv",
        "labels.npy",
        "subjects/sub-01/responses.npy",
        "subjects/sub-01/trials.tsv",
        "subjects/sub-02/responses.npy",
        "subjects/sub-02/trials.tsv",
        "subjects/sub-02/voxels.tsv",
    ] {
        assert_eq!(read(&path, name), read(&whole, name), "{name}");
    }
    let count = |folder: &Path| fs::read_dir(folder).unwrap().count();
    assert_eq!(count(&path), count(&whole));
}

#[test]
fn events_close_together_become_blocks() {
    let folder = copy();
    let events = "onset\tduration\ttrial_type\n10\t2\tface\n13\t2\tface\n16\t2\tface\n\
                  19\t2\thouse\n40\t2\thouse\n43.5\t2\thouse\n60\t1\trest\n70\t1\tbutton\n";
    for subject in ["01", "02"] {
        for run in ["1", "2"] {
            let name = format!("sub-{subject}/func/sub-{subject}_task-see_run-{run}_events.tsv");
            fs::write(folder.path().join(name), events).unwrap();
        }
    }
    let config = BidsConfig {
        merge_gap: Some(1.0),
        ..config(folder.path())
    };
    let dataset = open(folder.path(), &config).unwrap();
    let onsets = |run: u32| -> Vec<Option<f64>> {
        let trials = dataset.subjects[0].trials.iter();
        trials.filter(|t| t.run == run).map(|t| t.onset).collect()
    };
    // Gaps of 1 s join, of 1.5 s do not; another kind begins another block.
    assert_eq!(onsets(1), [10.0, 19.0, 40.0, 43.5].map(Some));
    assert_eq!(onsets(1), onsets(2));
}

/// Run 2 of subject 01 becomes run 1 of a second session.
#[test]
fn sessions_keep_runs_of_one_number_apart() {
    let folder = copy();
    let root = folder.path();
    let moves = |file: &str, base: &Path| {
        for (session, run) in [("01", "1"), ("02", "2")] {
            let from = base.join(format!("sub-01/func/sub-01_task-see_run-{run}_{file}"));
            let to = base.join(format!("sub-01/ses-{session}/func"));
            fs::create_dir_all(&to).unwrap();
            let to = to.join(format!("sub-01_ses-{session}_task-see_run-1_{file}"));
            fs::rename(from, to).unwrap();
        }
    };
    moves("events.tsv", root);
    let prep = root.join("derivatives/prep");
    moves("space-T1w_desc-preproc_bold.nii.gz", &prep);
    moves("desc-confounds_timeseries.tsv", &prep);
    let before = open(&files(), &config(&files())).unwrap();
    let after = open(root, &config(root)).unwrap();
    let place = |dataset: &Dataset| -> Vec<(u32, u32)> {
        let trials = dataset.subjects[0].trials.iter();
        trials.map(|trial| (trial.session, trial.run)).collect()
    };
    assert_eq!(place(&after)[..6], [(1, 1); 6]);
    assert_eq!(place(&after)[6..], [(2, 1); 6]);
    assert_eq!(
        responses(&after.subjects[0]),
        responses(&before.subjects[0])
    );
}

#[test]
fn the_nearest_sidecar_states_the_repetition_time() {
    let folder = copy();
    let root = folder.path();
    let tr = |config: &BidsConfig| open(root, config).unwrap().description.tr;
    let config = BidsConfig {
        allow: vec![Check::TrHeader, Check::TrDiffers],
        ..config(root)
    };
    let write = |name: &str, tr: &str| {
        fs::write(root.join(name), format!("{{\"RepetitionTime\": {tr}}}")).unwrap();
    };
    fs::remove_file(root.join("task-see_bold.json")).unwrap();
    assert_eq!(tr(&config), Some(2.0), "of the header");
    write("bold.json", "1.9");
    assert_eq!(tr(&config), Some(1.9), "of the whole dataset");
    write("task-see_bold.json", "2.1");
    assert_eq!(tr(&config), Some(2.1), "of the task");
    write("task-other_bold.json", "1.5");
    assert_eq!(tr(&config), Some(2.1), "not of another task");
    for run in ["1", "2"] {
        write(
            &format!("sub-01/func/sub-01_task-see_run-{run}_bold.json"),
            "2.2",
        );
    }
    assert_eq!(tr(&config), None, "subjects differ");
}

/// The runs of [`copy`], found by patterns.
fn by_pattern(root: &Path) -> BidsConfig {
    let name = "sub-{subject}/func/sub-{subject}_task-{task}_run-{run}";
    BidsConfig {
        derivatives: None,
        patterns: Some(FilePatterns {
            bold: format!("derivatives/prep/{name}_space-T1w_desc-preproc_bold.nii.gz"),
            events: format!("{name}_events.tsv"),
            confounds: None,
        }),
        ..config(root)
    }
}

#[test]
fn runs_found_by_patterns_have_their_sidecars() {
    let folder = copy();
    let root = folder.path();
    let by_pattern = by_pattern(root);
    fs::remove_file(root.join("task-see_bold.json")).unwrap();
    let write = |name: String, fields: &str| fs::write(root.join(name), fields).unwrap();
    let beside = |fields: &str| {
        for (subject, run) in [("01", "1"), ("01", "2"), ("02", "1"), ("02", "2")] {
            let name = format!("sub-{subject}/func/sub-{subject}_task-see_run-{run}");
            let end = "space-T1w_desc-preproc_bold.json";
            write(format!("derivatives/prep/{name}_{end}"), fields);
        }
    };
    let refused = "expected the repetition time 2.5 s of";
    for place in ["", "derivatives/", "derivatives/prep/"] {
        let name = format!("{place}task-see_bold.json");
        write(name.clone(), r#"{"RepetitionTime": 2.5}"#);
        let found = message(root, &by_pattern);
        assert!(found.contains(refused) && found.contains(&name), "{found}");
        fs::remove_file(root.join(name)).unwrap();
    }
    beside(r#"{"RepetitionTime": 2.5}"#);
    let found = message(root, &by_pattern);
    assert!(found.contains(refused), "{found}");
    beside(r#"{"RepetitionTime": 2.0, "StartTime": 1.0}"#);
    let own = open(root, &by_pattern).unwrap();
    let named = open(root, &config(root)).unwrap();
    assert_eq!(responses(&own.subjects[0]), responses(&named.subjects[0]));
    beside(r#"{"RepetitionTime": 2.0, "StartTime": 0.0}"#);
    let other = open(root, &config(root)).unwrap();
    assert_ne!(responses(&own.subjects[0]), responses(&other.subjects[0]));
    // A name of the user's own has a sidecar beside it all the same.
    for (subject, run) in [("01", "1"), ("01", "2"), ("02", "1"), ("02", "2")] {
        let old = format!(
            "derivatives/prep/sub-{subject}/func/sub-{subject}_task-see_run-{run}_space-T1w_desc-preproc_bold.nii.gz"
        );
        let new = format!("{subject}-scan.{run}");
        fs::rename(root.join(old), root.join(format!("{new}.nii.gz"))).unwrap();
        write(
            format!("{new}.json"),
            r#"{"RepetitionTime": 2, "StartTime": 1}"#,
        );
    }
    let mut patterns = by_pattern.patterns.clone().unwrap();
    patterns.bold = "{subject}-scan.{run}.nii.gz".to_owned();
    patterns.events = "sub-{subject}/func/sub-{subject}_task-see_run-{run}_events.tsv".to_owned();
    let own_names = BidsConfig {
        patterns: Some(patterns),
        ..by_pattern
    };
    let renamed = open(root, &own_names).unwrap();
    assert_eq!(responses(&renamed.subjects[0]), responses(&own.subjects[0]));
}

/// Gives a run a header that nobody has filled: 1 of no unit between volumes, as nibabel writes it.
fn without_unit(path: &Path) {
    rewrite(path, 1.0, 0.0, |_, _, old| old);
    let (header, values) = read_nifti(path).unwrap();
    let plain = path.with_extension("");
    let volumes = values.axis_iter(ndarray::Axis(3));
    let volumes: Vec<Vec<f32>> = volumes.map(|v| v.t().iter().copied().collect()).collect();
    write(&plain, &header.shape, header.affine, 1.0, &volumes);
    fs::remove_file(path).unwrap();
    let mut bytes = fs::read(&plain).unwrap();
    bytes[123] = 0;
    fs::write(&plain, bytes).unwrap();
}

#[test]
fn a_repetition_time_of_no_unit_is_asked_for() {
    let folder = copy();
    let root = folder.path();
    fs::remove_file(root.join("task-see_bold.json")).unwrap();
    for (subject, run) in [("01", "1"), ("01", "2"), ("02", "1"), ("02", "2")] {
        without_unit(&root.join(format!(
            "derivatives/prep/sub-{subject}/func/sub-{subject}_task-see_run-{run}_space-T1w_desc-preproc_bold.nii.gz"
        )));
    }
    let found = message(root, &config(root));
    assert!(found.contains("found 1 of no unit: give --tr"), "{found}");
    let told = BidsConfig {
        tr: Some(2.0),
        ..config(root)
    };
    let told = open(root, &told).unwrap();
    assert_eq!(told.description.tr, Some(2.0));
    let whole = open(&files(), &config(&files())).unwrap();
    assert_eq!(responses(&told.subjects[0]), responses(&whole.subjects[0]));
    // A sidecar is still compared with it.
    fs::write(root.join("bold.json"), r#"{"RepetitionTime": 2}"#).unwrap();
    let found = message(root, &config(root));
    assert!(
        found.ends_with("`--allow tr-header` lets it pass"),
        "{found}"
    );
}

/// Appends a line to the events of a run.
fn append(root: &Path, line: &str) {
    let text = fs::read_to_string(root.join(EVENTS)).unwrap();
    fs::write(root.join(EVENTS), text + line + "\n").unwrap();
}

#[test]
fn an_event_long_before_or_after_a_run_is_no_part_of_its_model() {
    for estimate in [Estimate::Lsa, Estimate::Lss] {
        let folder = copy();
        let mut config = BidsConfig {
            estimate,
            nuisance: vec!["button".to_owned()],
            exclude: vec!["rest".to_owned()],
            ..config(folder.path())
        };
        let expected = open(folder.path(), &config).unwrap();
        for line in [
            "-500\t4\tface\tperson\tface0.png",
            "-24.1\t4\tface\tperson\tface0.png",
            "-100\t1\tbutton\tn/a\tn/a",
            "9000\t4\tface\tperson\tface0.png",
        ] {
            let folder = copy();
            append(folder.path(), line);
            config.derivatives = Some(folder.path().join("derivatives/prep"));
            config.allow.clear();
            let found = message(folder.path(), &config);
            assert!(
                found.ends_with("`--allow events-outside` lets it pass"),
                "{line}: {found}"
            );
            config.allow = vec![Check::EventsOutside];
            let dataset = open(folder.path(), &config).unwrap();
            let (found, expected) = (&dataset.subjects[0], &expected.subjects[0]);
            assert_eq!(responses(found), responses(expected), "{line}");
        }
        // Of what came shortly before the undershoot, or more, is in the run.
        let folder = copy();
        append(folder.path(), "-20\t4\tface\tperson\tface0.png");
        config.derivatives = Some(folder.path().join("derivatives/prep"));
        config.allow.clear();
        assert!(message(folder.path(), &config).contains("found an event at -20 s"));
        config.allow = vec![Check::EventsOutside];
        assert_eq!(
            open(folder.path(), &config).unwrap().subjects[0]
                .trials
                .len(),
            13
        );
        let folder = copy();
        append(folder.path(), "-6\t4\tface\tperson\tface0.png");
        config.derivatives = Some(folder.path().join("derivatives/prep"));
        config.allow.clear();
        assert_eq!(
            open(folder.path(), &config).unwrap().subjects[0]
                .trials
                .len(),
            13
        );
    }
}

#[test]
fn cells_that_say_nothing_are_missing() {
    let lines = fs::read_to_string(files().join(EVENTS)).unwrap();
    let place = lines.find("face\tperson").unwrap();
    for cell in [
        "", " ", ";", " ; ", "\u{a0}", "n/a", "N/A", "NA", "nan", "NaN", "NA;house",
    ] {
        let folder = copy();
        let text = [&lines[..place], cell, &lines[place + 4..]].concat();
        fs::write(folder.path().join(EVENTS), text).unwrap();
        let mut config = config(folder.path());
        let found = message(folder.path(), &config);
        let expected = "expected a label in trial_type, found none: --exclude n/a leaves it out";
        assert!(found.contains(expected), "{cell:?}: {found}");
        config.exclude.push("n/a".to_owned());
        let dataset = open(folder.path(), &config);
        if !cell.contains("house") {
            let dataset = dataset.unwrap();
            assert_eq!(dataset.labels.names, ["face", "house"], "{cell:?}");
            assert_eq!(dataset.subjects[0].trials.len(), 11, "{cell:?}");
        }
    }
}

#[test]
fn an_event_without_an_onset_can_be_left_out() {
    let whole = open(&files(), &config(&files())).unwrap();
    for onset in ["n/a", "", "NA", "nan"] {
        let folder = copy();
        append(
            folder.path(),
            &format!("{onset}\t1.5\tface\tperson\tface0.png"),
        );
        append(folder.path(), &format!("{onset}\t1.5\trest\tn/a\tn/a"));
        let mut config = config(folder.path());
        let found = message(folder.path(), &config);
        assert!(
            found.contains("expected an onset of the event face, found none"),
            "{found}"
        );
        config.allow.push("onset-missing".parse().unwrap());
        let dataset = open(folder.path(), &config).unwrap();
        assert_eq!(
            responses(&dataset.subjects[0]),
            responses(&whole.subjects[0])
        );
        assert_eq!(
            dataset.description.warnings.len(),
            1,
            "an excluded one needs none"
        );
    }
}

#[test]
fn blanks_around_a_number_do_not_count() {
    let folder = copy();
    let path = folder.path().join(EVENTS);
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<String> = text
        .lines()
        .map(|line| format!(" {}", line.replacen('\t', " \t ", 1)))
        .collect();
    let text = lines
        .join("\n")
        .replacen(" onset \t duration", "onset\tduration", 1);
    fs::write(&path, text).unwrap();
    let dataset = open(folder.path(), &config(folder.path())).unwrap();
    let whole = open(&files(), &config(&files())).unwrap();
    assert_eq!(
        responses(&dataset.subjects[0]),
        responses(&whole.subjects[0])
    );
}

#[test]
fn a_subject_that_is_not_there_is_named() {
    let config = BidsConfig {
        subjects: vec!["01".to_owned(), "99".to_owned()],
        ..config(&files())
    };
    let found = message(&files(), &config);
    let expected = "--subject 99: expected runs of it, found those of 01, 02";
    assert!(found.contains(expected), "{found}");
}
