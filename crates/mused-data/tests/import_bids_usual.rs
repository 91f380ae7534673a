//! Data as they usually are: names, masks, sidecars and tables of studies that other programs take without a word.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;

use mused_data::import::Check;
use mused_data::import::bids::{BidsConfig, Estimate, FilePatterns, Region, import};
use mused_data::{Dataset, Error};
use mused_formats::nifti::{Affine, NewNifti, NiftiWriter};
use mused_formats::npy::Dtype;
use tempfile::TempDir;

const SUBJECTS: [&str; 2] = ["01", "02"];
const GRID: [usize; 3] = [3, 2, 2];
const VOLUMES: usize = 20;
const AFFINE: Affine = [
    [2.0, 0.0, 0.0, -3.0],
    [0.0, 2.0, 0.0, 1.0],
    [0.0, 0.0, 2.0, 5.0],
    [0.0, 0.0, 0.0, 1.0],
];
const EVENTS: &str =
    "onset\tduration\ttrial_type\n0\t2\tface\n8\t2\thouse\n16\t2\tface\n24\t2\thouse\n";
const PREP: &str = "derivatives/prep";
const T1W: [&str; 2] = [
    "_run-1_space-T1w_desc-preproc",
    "_run-2_space-T1w_desc-preproc",
];

/// Values that differ between subjects, runs, volumes and voxels.
fn value(subject: &str, name: &str, place: usize) -> f32 {
    let run = if name.contains("run-1") || name.contains("run-01") {
        1
    } else {
        2
    };
    let seed = place * 7919 + run * 104_729 + usize::from(subject == "02") * 1_299_709;
    100.0 + (seed % 1009) as f32 / 10.0
}

fn image(path: &Path, shape: &[usize], volumes: &[Vec<f32>]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let new = NewNifti {
        shape: shape.to_vec(),
        affine: AFFINE,
        tr: (shape.len() > 3).then_some(2.0),
        dtype: Dtype::F32,
    };
    let mut writer = NiftiWriter::create(path, &new).unwrap();
    for volume in volumes {
        writer.write_volume(volume).unwrap();
    }
    writer.finish().unwrap();
}

/// `sub-01/func/sub-01_task-see{name}`.
fn stem(subject: &str, name: &str) -> String {
    format!("sub-{subject}/func/sub-{subject}_task-see{name}")
}

fn recording(root: &Path, subject: &str, name: &str) {
    let voxels: usize = GRID.iter().product();
    let volume = |v: usize| {
        (0..voxels)
            .map(|i| value(subject, name, v * voxels + i))
            .collect()
    };
    let volumes: Vec<Vec<f32>> = (0..VOLUMES).map(volume).collect();
    let path = root.join(stem(subject, name) + "_bold.nii");
    image(&path, &[GRID.as_slice(), &[VOLUMES]].concat(), &volumes);
}

/// Two subjects with raw runs of these names, their events, and preprocessed runs.
fn study(raw: &[&str], prep: &[&str]) -> TempDir {
    let folder = TempDir::new().unwrap();
    let root = folder.path();
    for subject in SUBJECTS {
        for name in raw {
            recording(root, subject, name);
            fs::write(root.join(stem(subject, name) + "_events.tsv"), EVENTS).unwrap();
        }
        for name in prep {
            recording(&root.join(PREP), subject, name);
        }
    }
    fs::write(root.join("task-see_bold.json"), r#"{"RepetitionTime": 2}"#).unwrap();
    folder
}

fn raw() -> TempDir {
    study(&["_run-1", "_run-2"], &[])
}

fn config(root: &Path) -> BidsConfig {
    let prep = root.join(PREP);
    BidsConfig {
        derivatives: prep.exists().then_some(prep),
        ..BidsConfig::default()
    }
}

fn open(root: &Path, config: &BidsConfig) -> Result<Dataset, Error> {
    let out = TempDir::new().unwrap();
    let path = out.path().join("dataset");
    import(root, &path, config, &mut |_, _| {})?;
    Dataset::open(&path)
}

fn message(root: &Path, config: &BidsConfig) -> String {
    open(root, config).unwrap_err().to_string()
}

fn responses(dataset: &Dataset) -> Vec<Vec<f32>> {
    let rows = dataset.subjects.iter().flat_map(|subject| {
        (0..subject.trials.len()).map(|trial| {
            let mut row = vec![0.0; subject.voxels.len()];
            subject.read_response(trial, &mut row).unwrap();
            row
        })
    });
    rows.collect()
}

#[test]
fn a_run_has_one_number_however_it_is_written() {
    let expected = open(raw().path(), &BidsConfig::default()).unwrap();
    for (raw, prep) in [
        (["_run-01", "_run-02"], T1W),
        (
            ["_run-1", "_run-2"],
            ["_run-01_desc-preproc", "_run-002_desc-preproc"],
        ),
    ] {
        let folder = study(&raw, &prep);
        let dataset = open(folder.path(), &config(folder.path())).unwrap();
        assert_eq!(responses(&dataset), responses(&expected));
        assert_eq!(dataset.description.warnings, Vec::<String>::new());
    }
}

/// By BIDS, a file without `run` speaks of all runs of its folder.
#[test]
fn runs_may_have_their_events_in_one_file() {
    let expected = open(raw().path(), &BidsConfig::default()).unwrap();
    let folder = raw();
    for subject in SUBJECTS {
        let events = |run: &str| folder.path().join(stem(subject, run) + "_events.tsv");
        fs::rename(events("_run-1"), events("")).unwrap();
        fs::remove_file(events("_run-2")).unwrap();
    }
    let dataset = open(folder.path(), &BidsConfig::default()).unwrap();
    assert_eq!(responses(&dataset), responses(&expected));
    assert_eq!(dataset.description.warnings, Vec::<String>::new());
}

#[test]
fn recordings_of_one_run_are_told_apart_by_any_entity() {
    let both = |key: &str, values: [&str; 2]| -> Vec<String> {
        let names = values
            .iter()
            .flat_map(|value| ["1", "2"].map(|run| (run, *value)));
        names
            .map(|(run, value)| match (key, value) {
                (_, "none") => format!("_run-{run}_desc-preproc"),
                ("desc", _) => format!("_run-{run}_desc-{value}"),
                _ => format!("_run-{run}_{key}-{value}_desc-preproc"),
            })
            .collect()
    };
    for (key, values) in [
        ("res", ["1", "2"]),
        ("echo", ["1", "2"]),
        ("part", ["mag", "phase"]),
        ("dir", ["AP", "PA"]),
        ("acq", ["fast", "slow"]),
        ("space", ["T1w", "none"]),
        ("desc", ["denoised", "smoothed"]),
    ] {
        let names = both(key, values);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let folder = study(&["_run-1", "_run-2"], &names);
        let root = folder.path();
        let found = message(root, &config(root));
        let [first, second] = values;
        let expected = format!(
            "they differ in {key} ({first}, {second}); choose one, as with --entity {key}={first}"
        );
        assert!(found.ends_with(&expected), "{found}");
        for value in values {
            let chosen = BidsConfig {
                entities: vec![(key.to_owned(), value.to_owned())],
                ..config(root)
            };
            let dataset = open(root, &chosen).unwrap();
            let sources = &dataset.description.sources;
            let has = |path: &str| match value {
                "none" => !path.contains("space-"),
                _ => path.contains(&format!("{key}-{value}")),
            };
            let bold = sources
                .iter()
                .filter(|source| source.path.ends_with("_bold.nii"));
            assert!(
                bold.clone().all(|source| has(&source.path)),
                "{key} {value}"
            );
            assert_eq!(bold.count(), 4);
        }
        let chosen = BidsConfig {
            entities: vec![(key.to_owned(), "other".to_owned())],
            ..config(root)
        };
        let found = message(root, &chosen);
        let expected = format!("found as {key}: {first}, {second}");
        assert!(found.contains(&expected), "{found}");
    }
}

#[test]
fn what_other_programs_have_denoised_is_taken() {
    let folder = study(
        &["_run-1", "_run-2"],
        &["_run-1_desc-denoised", "_run-2_desc-denoised"],
    );
    let dataset = open(folder.path(), &config(folder.path())).unwrap();
    assert_eq!(dataset.subjects.len(), 2);
}

#[test]
fn a_subject_that_is_not_there_is_named_beside_those_that_are() {
    let folder = study(&["_run-1", "_run-2"], &T1W);
    let root = folder.path();
    let patterns = BidsConfig {
        derivatives: None,
        patterns: Some(FilePatterns {
            bold: "sub-{subject}/func/sub-{subject}_task-{task}_run-{run}_bold.nii".to_owned(),
            events: "sub-{subject}/func/sub-{subject}_task-{task}_run-{run}_events.tsv".to_owned(),
            confounds: None,
        }),
        ..BidsConfig::default()
    };
    for base in [config(root), patterns] {
        for asked in [vec!["99"], vec!["01", "99"]] {
            let asked = BidsConfig {
                subjects: asked.into_iter().map(str::to_owned).collect(),
                ..base.clone()
            };
            let found = message(root, &asked);
            let expected = "--subject 99: expected runs of it, found those of 01, 02";
            assert_eq!(found, expected);
        }
        let asked = BidsConfig {
            subjects: vec!["sub-02".to_owned()],
            ..base
        };
        assert_eq!(open(root, &asked).unwrap().subjects.len(), 1);
    }
}

#[test]
fn a_run_that_was_not_preprocessed_does_not_vanish() {
    let folder = study(&["_run-1", "_run-2"], &T1W);
    let root = folder.path();
    let mut config = config(root);
    let lost = stem("02", T1W[1]) + "_bold.nii";
    fs::remove_file(root.join(PREP).join(lost)).unwrap();
    let found = message(root, &config);
    assert!(
        found.contains("found none of sub-02 task-see run-2"),
        "{found}"
    );
    fs::remove_dir_all(root.join(PREP).join("sub-02")).unwrap();
    let found = message(root, &config);
    let expected = "found none of sub-02 task-see run-1, sub-02 task-see run-2";
    assert!(found.contains(expected), "{found}");
    config.allow = vec![Check::RunMissing];
    let dataset = open(root, &config).unwrap();
    assert_eq!(dataset.subjects.len(), 1);
    assert_eq!(dataset.description.warnings.len(), 1);
    config.allow.clear();
    config.subjects = vec!["01".to_owned()];
    assert_eq!(open(root, &config).unwrap().subjects.len(), 1);
    // Raw and preprocessed runs in one tree.
    let folder = raw();
    for name in T1W {
        recording(folder.path(), "01", name);
    }
    let found = message(folder.path(), &BidsConfig::default());
    assert!(found.contains(expected), "{found}");
    // What has no events was not meant to be decoded.
    let folder = study(&["_run-1", "_run-2"], &T1W);
    recording(folder.path(), "02", "_run-3");
    recording(folder.path(), "02", "_acq-rest_run-4");
    let config = self::config(folder.path());
    assert_eq!(open(folder.path(), &config).unwrap().subjects.len(), 2);
}

/// The value of a voxel, inside of a region or not.
type Mask<'m> = &'m dyn Fn(bool, usize) -> f32;

#[test]
fn a_mask_is_what_has_one_value() {
    let folder = raw();
    let root = folder.path();
    let voxels: usize = GRID.iter().product();
    let import = |value: Mask<'_>, atlas: bool| {
        let values = (0..voxels).map(|voxel| value([1, 4, 7].contains(&voxel), voxel));
        image(&root.join("V1.nii"), &GRID, &[values.collect()]);
        let path = "V1.nii".to_owned();
        let region = match atlas {
            true => Region::Atlas { path, names: None },
            false => Region::Mask {
                name: "V1".to_owned(),
                path,
            },
        };
        let config = BidsConfig {
            regions: vec![region],
            ..BidsConfig::default()
        };
        open(root, &config).map(|dataset| responses(&dataset))
    };
    let expected = import(&|inside, _| f32::from(u8::from(inside)), false).unwrap();
    let or = |inside, value, other| if inside { value } else { other };
    let masks: [Mask<'_>; 5] = [
        &|inside, _| or(inside, 255.0, 0.0),
        &|inside, _| or(inside, 1.0, f32::NAN),
        &|inside, _| or(inside, 1.0, 1e-16),
        &|inside, voxel| or(inside, 0.999_999_9, if voxel == 0 { -1.0 } else { -1e-16 }),
        &|inside, _| or(inside, 100.0, f32::NEG_INFINITY),
    ];
    for mask in masks {
        assert_eq!(import(mask, false).unwrap(), expected);
    }
    let atlas = import(&|inside, _| or(inside, 1.0, f32::NAN), true).unwrap();
    assert_eq!(atlas, expected);
    let wrong: [(Mask<'_>, &str); 4] = [
        (
            &|inside, voxel| or(inside, 1.0, if voxel == 0 { 2.0 } else { 0.0 }),
            "found 1 and 2",
        ),
        (&|inside, _| or(inside, 1.0, 0.5), "found 0.5 and 1"),
        (&|_, _| 0.0, "found none"),
        (&|_, _| f32::NAN, "found none"),
    ];
    for (mask, expected) in wrong {
        let found = import(mask, false).unwrap_err().to_string();
        assert!(found.contains(expected), "{found}");
    }
}

#[test]
fn sidecars_are_read_as_others_write_them() {
    let folder = raw();
    let root = folder.path();
    let expected = responses(&open(root, &BidsConfig::default()).unwrap());
    let sidecar = root.join("task-see_bold.json");
    for text in [
        b"\xef\xbb\xbf{\"RepetitionTime\": 2}".as_slice(),
        b"{\"EchoTime\": Infinity, \"a\": [NaN, -inf], \"RepetitionTime\": 2}",
        b"{\"InstitutionName\": \"K\xf6ln\", \"RepetitionTime\": 2}",
    ] {
        fs::write(&sidecar, text).unwrap();
        let dataset = open(root, &BidsConfig::default()).unwrap();
        assert_eq!(responses(&dataset), expected);
    }
    fs::write(&sidecar, "{\"RepetitionTime\": NaN}").unwrap();
    let found = message(root, &BidsConfig::default());
    assert!(
        found.contains("RepetitionTime: expected a number, found \"NaN\""),
        "{found}"
    );
    let corrected = |more: &str| {
        let fields = format!("{{\"RepetitionTime\": 2, \"SliceTimingCorrected\": true{more}}}");
        fs::write(&sidecar, fields).unwrap();
        open(root, &BidsConfig::default())
            .unwrap()
            .description
            .warnings
    };
    let [warning] = &corrected("")[..] else {
        panic!("expected one warning");
    };
    assert!(
        warning.contains("SliceTimingCorrected without StartTime, in 4 runs"),
        "{warning}"
    );
    assert!(corrected(", \"StartTime\": 1").is_empty());
}

#[test]
fn tables_of_confounds_count_where_they_are_asked_for() {
    let folder = study(&["_run-1", "_run-2"], &T1W);
    let root = folder.path();
    let row = |name: &str| {
        let rows: String = (0..VOLUMES).map(|v| format!("{}\n", (v * v) % 7)).collect();
        for (subject, run) in [("01", 1), ("01", 2), ("02", 1), ("02", 2)] {
            let path = stem(subject, &format!("_run-{run}_desc-{name}.tsv"));
            fs::write(root.join(PREP).join(path), format!("trans_x\n{rows}")).unwrap();
        }
    };
    row("confounds_timeseries");
    row("other_timeseries");
    let betas = BidsConfig {
        estimate: Estimate::Lss,
        confounds: vec!["trans_x".to_owned()],
        ..config(root)
    };
    open(root, &betas).unwrap();
    row("confounds_regressors");
    open(root, &config(root)).unwrap();
    let found = message(root, &betas);
    assert!(
        found.contains("expected one timeseries or regressors file"),
        "{found}"
    );
}

#[test]
fn an_affine_that_is_no_number_is_like_no_other() {
    let folder = raw();
    let root = folder.path();
    let voxels: usize = GRID.iter().product();
    image(&root.join("V1.nii"), &GRID, &[vec![1.0; voxels]]);
    let mut bytes = fs::read(root.join("V1.nii")).unwrap();
    // srow_x of NIfTI-1.
    bytes[280..284].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(root.join("V1.nii"), bytes).unwrap();
    let config = BidsConfig {
        regions: vec![Region::Mask {
            name: "V1".to_owned(),
            path: "V1.nii".to_owned(),
        }],
        ..BidsConfig::default()
    };
    let found = message(root, &config);
    assert!(
        found.contains("V1.nii: expected an affine of finite numbers"),
        "{found}"
    );
    assert!(found.ends_with("`--allow affine` lets it pass"), "{found}");
}

#[test]
fn an_event_that_is_written_twice_is_one() {
    let folder = raw();
    let root = folder.path();
    let events = root.join(stem("01", "_run-1_events.tsv"));
    for estimate in [Estimate::Window(None), Estimate::Lsa, Estimate::Lss] {
        let config = BidsConfig {
            estimate,
            ..BidsConfig::default()
        };
        fs::write(&events, EVENTS).unwrap();
        let expected = open(root, &config).unwrap();
        fs::write(&events, format!("{EVENTS}8\t2\thouse\n")).unwrap();
        let dataset = open(root, &config).unwrap();
        assert_eq!(responses(&dataset), responses(&expected));
        let [warning] = &dataset.description.warnings[..] else {
            panic!("expected one warning");
        };
        assert!(warning.ends_with("1, the first in line 6"), "{warning}");
    }
    // What another event shares its time with cannot have a beta of its own.
    fs::write(&events, format!("{EVENTS}8\t2\tbrick\n")).unwrap();
    let config = BidsConfig {
        estimate: Estimate::Lsa,
        ..BidsConfig::default()
    };
    let found = message(root, &config);
    assert!(
        found.contains("found several at 8 s of the same duration"),
        "{found}"
    );
}

#[test]
fn a_fifth_dimension_of_one_says_nothing() {
    let folder = raw();
    let root = folder.path();
    let expected = responses(&open(root, &BidsConfig::default()).unwrap());
    let path = root.join(stem("01", "_run-1_bold.nii"));
    let mut bytes = fs::read(&path).unwrap();
    // dim[0] and dim[5] of NIfTI-1.
    bytes[40] = 5;
    bytes[50] = 1;
    fs::write(&path, &bytes).unwrap();
    assert_eq!(
        responses(&open(root, &BidsConfig::default()).unwrap()),
        expected
    );
}

#[test]
fn a_file_that_is_something_else_is_called_by_its_name() {
    let files: [(&[u8], &str); 3] = [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n",
            "a Git LFS pointer",
        ),
        (b"/annex/objects/MD5E-s12--ab.tsv\n", "a git-annex pointer"),
        (b"<!DOCTYPE html>\n<html></html>\n", "a web page"),
    ];
    for (bytes, expected) in files {
        for name in ["_run-1_events.tsv", "_run-1_bold.nii"] {
            let folder = raw();
            fs::write(folder.path().join(stem("01", name)), bytes).unwrap();
            let found = message(folder.path(), &BidsConfig::default());
            assert!(found.contains(&format!("found {expected}")), "{found}");
        }
        let folder = raw();
        fs::write(folder.path().join("task-see_bold.json"), bytes).unwrap();
        let found = message(folder.path(), &BidsConfig::default());
        assert!(
            found.contains(&format!("expected JSON, found {expected}")),
            "{found}"
        );
    }
}

/// git-annex leaves links that lead nowhere.
#[cfg(unix)]
#[test]
fn a_link_that_leads_nowhere_is_named() {
    for name in ["_run-1_events.tsv", "_run-1_bold.nii", "_run-1_bold.json"] {
        let folder = raw();
        let path = folder.path().join(stem("01", name));
        let _ = fs::remove_file(&path);
        std::os::unix::fs::symlink("../.git/annex/objects/ab", &path).unwrap();
        let found = message(folder.path(), &BidsConfig::default());
        assert!(
            found.contains("`git annex get` fetches it"),
            "{name}: {found}"
        );
    }
}

#[test]
fn sessions_may_have_names() {
    let folder = TempDir::new().unwrap();
    let root = folder.path();
    for subject in SUBJECTS {
        for session in ["post", "pre"] {
            let name = format!("_run-1_{session}");
            recording(root, subject, &name);
            fs::write(root.join(stem(subject, &name) + "_events.tsv"), EVENTS).unwrap();
        }
    }
    fs::write(root.join("sub-01_bold.json"), "{}").unwrap();
    let pattern = "sub-{subject}/func/sub-{subject}_task-{task}_run-{run}_{session}";
    let config = BidsConfig {
        patterns: Some(FilePatterns {
            bold: format!("{pattern}_bold.nii"),
            events: format!("{pattern}_events.tsv"),
            confounds: None,
        }),
        // Both are the same run here.
        allow: vec![Check::IdenticalRuns],
        ..BidsConfig::default()
    };
    let dataset = open(root, &config).unwrap();
    let sessions: Vec<u32> = dataset.subjects[0]
        .trials
        .iter()
        .map(|t| t.session)
        .collect();
    assert_eq!(sessions, [1, 1, 1, 1, 2, 2, 2, 2]);
}

#[test]
fn events_outside_a_run_are_counted_in_one_message() {
    let folder = raw();
    let root = folder.path();
    let late = "400\t2\tface\n500\t2\tface\n600\t2\thouse\n";
    let events = root.join(stem("01", "_run-1_events.tsv"));
    fs::write(events, format!("{EVENTS}{late}")).unwrap();
    let mut config = BidsConfig::default();
    let found = message(root, &config);
    let expected = "found an event at 400 s whose response is taken from 404 to 408 s, and 2 more";
    assert!(found.contains(expected), "{found}");
    config.allow = vec![Check::EventsOutside];
    let dataset = open(root, &config).unwrap();
    assert_eq!(dataset.description.warnings.len(), 1);
    assert_eq!(dataset.subjects[0].trials.len(), 8);
}

/// A study whose recordings lie among its derivatives alone.
#[test]
fn where_preprocessed_runs_lie_is_said() {
    let folder = study(&[], &T1W);
    let found = message(folder.path(), &BidsConfig::default());
    assert!(found.contains("--derivatives"), "{found}");
    assert!(found.contains("derivatives/prep"), "{found}");
}
