//! Arrays and tables from Python: every mistake named, every value kept.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;

use mused_data::import::Check;
use mused_data::import::npy::{NpyConfig, import};
use mused_data::{Dataset, Error};
use mused_formats::npy;
use ndarray::{Array2, array};
use tempfile::TempDir;

fn responses(seed: f64) -> Array2<f64> {
    Array2::from_shape_fn((4, 3), |(row, column)| {
        (seed + 1.7 * row as f64 * (column + 1) as f64).sin()
    })
}

/// Three stimuli, two labels, two subjects of four trials and three voxels.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("stimuli.tsv", "stimulus_id\tgroup\na\tx\nb\ty\nc\tz\n");
    write(
        "labels.tsv",
        "stimulus_id\tcat\tdog\nb\t0\t1\na\t1\t0\nc\t1\t1\n",
    );
    for (subject, seed) in [("anna", 0.5), ("ben", 2.5)] {
        write(
            &format!("{subject}_trials.tsv"),
            "stimulus_id\trun\na\t1\nb\t1\nc\t2\na\t2\n",
        );
        array_of(folder.path(), subject, &responses(seed));
    }
    write("anna_voxels.tsv", "roi\nV1\nV1\nV2\n");
    folder
}

fn array_of(folder: &Path, subject: &str, values: &Array2<f64>) {
    npy::write_npy_f64(folder.join(format!("{subject}.npy")), values.view()).unwrap();
}

fn try_import(folder: &Path, allow: &[Check]) -> Result<Dataset, Error> {
    let out = TempDir::new().unwrap();
    let root = out.path().join("dataset");
    let config = NpyConfig {
        allow: allow.to_vec(),
        ..NpyConfig::default()
    };
    let imported = import(folder, &root, &config, &mut |_, _| {});
    match imported {
        Ok(_) => Dataset::open(&root),
        Err(error) => {
            assert!(!root.exists(), "a failed import leaves nothing");
            Err(error)
        }
    }
}

fn message(folder: &Path) -> String {
    try_import(folder, &[]).unwrap_err().to_string()
}

#[test]
fn values_tables_and_labels_arrive() {
    let folder = folder();
    let dataset = try_import(folder.path(), &[]).unwrap();
    assert_eq!(dataset.labels.names, ["cat", "dog"]);
    assert_eq!(dataset.labels.matrix, array![[1, 0], [0, 1], [1, 1]]);
    let anna = &dataset.subjects[0];
    let repeats: Vec<u32> = anna.trials.iter().map(|trial| trial.repeat).collect();
    assert_eq!(repeats, [1, 1, 1, 2]);
    assert_eq!(dataset.roi_names(), ["V1", "V2", "brain"]);
    let mut row = [0.0; 3];
    anna.read_response(3, &mut row).unwrap();
    assert_eq!(
        row.to_vec(),
        responses(0.5).row(3).mapv(|value| value as f32).to_vec()
    );
}

#[test]
fn a_label_matrix_of_any_number_type_serves() {
    let folder = folder();
    fs::write(folder.path().join("labels.tsv"), "label\ncat\ndog\n").unwrap();
    let path = folder.path().join("labels.npy");
    npy::write_npy_f64(&path, array![[1., 0.], [0., 1.], [1., 1.]].view()).unwrap();
    let dataset = try_import(folder.path(), &[]).unwrap();
    assert_eq!(dataset.labels.matrix, array![[1, 0], [0, 1], [1, 1]]);
    npy::write_npy_f64(&path, array![[1., 0.], [0., 0.5], [1., 1.]].view()).unwrap();
    assert!(message(folder.path()).contains("expected 0 or 1, found 0.5 in row 1, column 1"));
    npy::write_npy_f64(&path, array![[1., 0.]].view()).unwrap();
    assert!(message(folder.path()).contains("expected 3 rows (stimuli.tsv) × 2 columns"));
}

#[test]
fn mistakes_are_named() {
    let cases: [(&str, &str, &str); 6] = [
        (
            "ben_trials.tsv",
            "stimulus_id\na\nb\nd\na\n",
            "stimulus_id that stimuli.tsv lists",
        ),
        (
            "ben_trials.tsv",
            "stimulus_id\na\nb\n",
            "expected 2 rows (ben_trials.tsv), one a trial, found 4 × 3",
        ),
        (
            "anna_voxels.tsv",
            "roi\nV1\n",
            "× 1 columns (anna_voxels.tsv), found 4 × 3",
        ),
        (
            "labels.tsv",
            "stimulus_id\tcat\na\t1\nb\t2\nc\t0\n",
            "expected 0 or 1",
        ),
        (
            "labels.tsv",
            "stimulus_id\tcat\na\t1\nb\t1\n",
            "each of the 3 stimuli",
        ),
        (
            "carl_voxels.tsv",
            "roi\nV1\n",
            "one of the subjects that have a _trials.tsv (anna, ben)",
        ),
    ];
    for (file, text, expected) in cases {
        let folder = folder();
        fs::write(folder.path().join(file), text).unwrap();
        let found = message(folder.path());
        assert!(found.contains(expected), "{file}: {found}");
    }
}

#[test]
fn checks_fail_unless_allowed_and_are_kept() {
    let broken = |change: &dyn Fn(&mut Array2<f64>)| {
        let folder = folder();
        let mut values = responses(2.5);
        change(&mut values);
        array_of(folder.path(), "ben", &values);
        folder
    };
    let nan = broken(&|values| values[[2, 1]] = f64::NAN);
    let constant = broken(&|values| values.column_mut(0).fill(3.0));
    let copied = broken(&|values| values.assign(&responses(0.5)));
    for (folder, check, text, voxels) in [
        (
            &nan,
            Check::NanVoxels,
            "subject ben: expected finite values in all 3 voxels, found NaN or infinite ones in 1",
            2,
        ),
        (
            &constant,
            Check::ConstantVoxels,
            "found constant ones in 1 (the first is column 0",
            2,
        ),
        (
            &copied,
            Check::IdenticalSubjects,
            "found those of ben equal to those of anna",
            3,
        ),
    ] {
        let error = message(folder.path());
        assert!(error.contains(text), "{error}");
        assert!(error.contains(&format!("--allow {check}")), "{error}");
        let dataset = try_import(folder.path(), &[check]).unwrap();
        assert_eq!(dataset.subjects[1].voxels.len(), voxels);
        let warnings = &dataset.description.warnings;
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains(text));
    }
}

#[test]
fn what_single_precision_would_lose_is_refused() {
    let folder = folder();
    let moved = |level: f64| responses(2.5).mapv(|value| value + level);
    array_of(folder.path(), "ben", &moved(1e9));
    let found = message(folder.path());
    for words in [
        "ben.npy",
        "column 0 of mean 1000000000",
        "subtract each voxel's mean",
    ] {
        assert!(found.contains(words), "{words}: {found}");
    }
    array_of(
        folder.path(),
        "ben",
        &responses(2.5).mapv(|value| value * 1e-50),
    );
    assert!(message(folder.path()).contains("z-score"), "{found}");
    // At a level of 1000 the error is a ten-thousandth of the variation; a constant voxel has its own check.
    array_of(folder.path(), "ben", &moved(1e3));
    try_import(folder.path(), &[]).unwrap();
    let mut constant = responses(2.5);
    constant.column_mut(0).fill(0.1);
    constant[[1, 0]] = 0.1 + f64::EPSILON / 16.0;
    array_of(folder.path(), "ben", &constant);
    assert!(message(folder.path()).contains("found constant ones in 1"));
}

#[test]
fn a_misspelt_column_is_refused_and_another_is_kept_as_a_warning() {
    for (file, text, meant) in [
        (
            "stimuli.tsv",
            "stimulus_id\tGroup\na\tx\nb\tx\nc\tz\n",
            "group",
        ),
        (
            "ben_trials.tsv",
            "stimulus_id\truns\na\t1\nb\t1\nc\t2\na\t2\n",
            "run",
        ),
        ("anna_voxels.tsv", "roi\tI\nV1\t1\nV1\t2\nV2\t3\n", "i"),
        ("captions.tsv", "stimulus_id\tCaption\na\tx\n", "caption"),
    ] {
        let folder = folder();
        fs::write(folder.path().join(file), text).unwrap();
        let found = message(folder.path());
        let expected = format!("expected the column {meant:?}, found");
        assert!(found.contains(file) && found.contains(&expected), "{found}");
    }
    let folder = folder();
    let table = "stimulus_id\tduration\na\t1\nb\t1\nc\t2\na\t2\n";
    fs::write(folder.path().join("ben_trials.tsv"), table).unwrap();
    let dataset = try_import(folder.path(), &[]).unwrap();
    let expected = ["column \"duration\" of ben_trials.tsv is not read"];
    assert_eq!(dataset.description.warnings, expected);
}

#[test]
fn checks_have_names() {
    for check in Check::ALL {
        assert_eq!(check.name().parse::<Check>().unwrap(), check);
    }
    assert!(
        "nan"
            .parse::<Check>()
            .unwrap_err()
            .to_string()
            .contains("nan-voxels")
    );
}

#[test]
fn an_empty_or_missing_folder_says_what_to_write() {
    let folder = TempDir::new().unwrap();
    let missing = folder.path().join("nowhere");
    for (folder, found) in [
        (folder.path(), "found neither .npy nor .tsv"),
        (missing.as_path(), "found no such folder"),
    ] {
        let message = message(folder);
        assert!(message.contains("expected stimuli.tsv, labels.tsv, and <subject>.npy"));
        assert!(message.contains("np.save(\"anna.npy\""), "{message}");
        assert!(message.ends_with(found), "{message}");
    }
}

/// Folder that [`killed`] imports, and where to.
const KILLED: [&str; 2] = ["MUSED_TEST_KILLED_FOLDER", "MUSED_TEST_KILLED_OUT"];

/// Does nothing unless [`a_killed_import_goes_on`] starts it: then it ends before the second subject, without any
/// clean-up.
#[test]
fn killed() {
    let [Ok(folder), Ok(out)] = KILLED.map(std::env::var) else {
        return;
    };
    let config = NpyConfig::default();
    import(folder.as_ref(), out.as_ref(), &config, &mut |done, _| {
        if done == 1 {
            std::process::abort();
        }
    })
    .unwrap();
}

#[test]
fn a_killed_import_goes_on() {
    let folder = folder();
    let out = TempDir::new().unwrap();
    let [whole, path] = ["whole", "resumed"].map(|name| out.path().join(name));
    let config = NpyConfig::default();
    let expected = import(folder.path(), &whole, &config, &mut |_, _| {}).unwrap();
    let killed = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed"])
        .env(KILLED[0], folder.path())
        .env(KILLED[1], &path)
        .output()
        .unwrap();
    assert!(!killed.status.success());
    // What is complete is taken over as it is: a mark in it stays.
    let kept = out.path().join(".resumed.partial/subjects/anna/voxels.tsv");
    let marked = fs::read_to_string(&kept).unwrap() + "mark\tn/a\tn/a\tn/a\n";
    fs::write(&kept, &marked).unwrap();
    let imported = import(folder.path(), &path, &config, &mut |_, _| {}).unwrap();
    assert_eq!(imported, expected);
    let read = |folder: &Path, name: &str| fs::read(folder.join(name)).unwrap();
    assert_eq!(read(&path, "subjects/anna/voxels.tsv"), marked.as_bytes());
    for name in [
        "dataset.json",
        "stimuli.tsv",
        "labels.npy",
        "subjects/anna/responses.npy",
        "subjects/anna/trials.tsv",
        "subjects/ben/responses.npy",
        "subjects/ben/trials.tsv",
        "subjects/ben/voxels.tsv",
    ] {
        assert_eq!(read(&path, name), read(&whole, name), "{name}");
    }
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 2);
}

#[test]
fn names_that_tables_take_for_missing_ones_are_refused() {
    for name in ["n/a", "", " "] {
        let folder = folder();
        let table = format!("stimulus_id\tcat\t{name}\nb\t0\t1\na\t1\t0\nc\t1\t1\n");
        fs::write(folder.path().join("labels.tsv"), table).unwrap();
        let found = message(folder.path());
        let expected = format!("expected a name of a label, found {name:?} as number 2");
        assert!(
            found.contains("labels.tsv: header row") && found.contains(&expected),
            "{found}"
        );
    }
}

#[test]
fn a_mask_may_be_compressed_or_not() {
    let folder = folder();
    let mask = folder.path().join("anna_mask.nii");
    let new = mused_formats::nifti::NewNifti {
        shape: vec![3, 1, 1],
        affine: std::array::from_fn(|i| std::array::from_fn(|j| f64::from(u8::from(i == j)))),
        tr: None,
        dtype: mused_formats::npy::Dtype::U8,
    };
    let mut writer = mused_formats::nifti::NiftiWriter::create(mask, &new).unwrap();
    writer.write_volume(&[1.0; 3]).unwrap();
    writer.finish().unwrap();
    let table = "roi\ti\tj\tk\nV1\t0\t0\t0\nV1\t1\t0\t0\nV2\t2\t0\t0\n";
    fs::write(folder.path().join("anna_voxels.tsv"), table).unwrap();
    let out = TempDir::new().unwrap();
    let path = out.path().join("dataset");
    import(folder.path(), &path, &NpyConfig::default(), &mut |_, _| {}).unwrap();
    assert!(path.join("subjects/anna/mask.nii.gz").is_file());
}

#[test]
fn a_table_in_another_format_or_under_another_name_is_not_passed_over() {
    for (name, meant) in [
        ("ben_voxels.csv", "expected ben_voxels.tsv"),
        ("captions.xlsx", "expected captions.tsv"),
        ("carl_trials.csv", "expected carl_trials.tsv"),
        ("ben_voxel.tsv", "expected ben_voxels.tsv"),
        ("label.npy", "expected labels.npy"),
        ("carl_voxels.tsv", "expected a file of one of the subjects"),
        ("carl_mask.nii", "expected a file of one of the subjects"),
    ] {
        let folder = folder();
        fs::write(folder.path().join(name), "roi\nV1\nV1\nV1\n").unwrap();
        let found = message(folder.path());
        assert!(found.contains(name) && found.contains(meant), "{found}");
    }
}

#[test]
fn what_belongs_to_nothing_is_kept_as_a_warning() {
    let folder = folder();
    array_of(folder.path(), "carl", &responses(1.0));
    for name in ["participants.tsv", "stimuli.csv", "notes.txt", "make.py"] {
        fs::write(folder.path().join(name), "x\n").unwrap();
    }
    let dataset = try_import(folder.path(), &[]).unwrap();
    let expected = [
        "carl.npy is not read: it has no carl_trials.tsv beside it",
        "participants.tsv is not read",
    ];
    assert_eq!(dataset.description.warnings, expected);
    assert_eq!(dataset.subjects.len(), 2);
    let sources = dataset.description.sources;
    assert!(sources.iter().all(|source| source.path != "carl.npy"));
}

#[test]
fn sessions_and_runs_may_have_names() {
    let places = |text: &str| {
        let folder = folder();
        fs::write(folder.path().join("ben_trials.tsv"), text).unwrap();
        let dataset = try_import(folder.path(), &[]).map_err(|error| error.to_string())?;
        let trials = dataset.subjects[1].trials.iter();
        Ok::<_, String>(
            trials
                .map(|trial| (trial.session, trial.run))
                .collect::<Vec<_>>(),
        )
    };
    let table = |cells: [&str; 4]| {
        let [a, b, c, d] = cells;
        places(&format!(
            "stimulus_id\tsession\trun\na\t{a}\nb\t{b}\nc\t{c}\na\t{d}\n"
        ))
    };
    let numbered = Ok(vec![(1, 2), (1, 3), (2, 2), (2, 10)]);
    assert_eq!(table(["1\t2", "1\t3", "2\t2", "2\t10"]), numbered);
    assert_eq!(table(["1.0\t2", "1.0\t3", "2.0\t2", "2.0\t10"]), numbered);
    assert_eq!(
        table([
            "ses-01\trun2",
            "ses-01\trun3",
            "ses-02\trun2",
            "ses-02\trun10"
        ]),
        numbered
    );
    let ordered = Ok(vec![(1, 1), (1, 2), (2, 1), (2, 3)]);
    assert_eq!(
        table(["pre\tb1", "pre\ta1", "post\tb1", "post\t7"]),
        ordered
    );
    let wrong = table(["1\trun1", "1\trun2", "1\t", "1\trun3"]).unwrap_err();
    assert!(
        wrong.contains("line 4, column run: expected a whole number from 0 in all rows"),
        "{wrong}"
    );
    // A trial of no run would be one of the first.
    let wrong = table(["1\t1", "1\t2", "1\t", "1\t4"]).unwrap_err();
    assert!(
        wrong
            .contains("line 4, column run: expected a whole number from 0 in all rows, or in none"),
        "{wrong}"
    );
    let wrong = table(["1\t1", "1\t2.5", "1\t3", "1\t4"]).unwrap_err();
    assert!(
        wrong.contains("line 3, column run: expected a whole number"),
        "{wrong}"
    );
}

/// The halves of such a clip would lie on both sides of a split.
#[test]
fn groups_that_are_taken_for_one_another_are_refused() {
    let folder = folder();
    let path = folder.path().join("stimuli.tsv");
    fs::write(&path, "stimulus_id\tgroup\na\tclip1\nb\tClip1\nc\tclip2\n").unwrap();
    let message = try_import(folder.path(), &[]).unwrap_err().to_string();
    assert!(
        message.contains(r#"found "clip1" and "Clip1": write them in one way"#),
        "{message}"
    );
    try_import(folder.path(), &[Check::NamesAlike]).unwrap();
}

#[test]
fn a_label_is_true_or_false_however_it_is_spelt() {
    let expected = try_import(folder().path(), &[])
        .unwrap()
        .labels
        .matrix
        .clone();
    for (no, yes) in [
        ("FALSE", "TRUE"),
        ("false", "True"),
        (" 0", "1 "),
        ("0.00", "1.0"),
        ("0", "1e0"),
    ] {
        let folder = folder();
        let table =
            format!("stimulus_id\tcat\tdog\nb\t{no}\t{yes}\na\t{yes}\t{no}\nc\t{yes}\t{yes}\n");
        fs::write(folder.path().join("labels.tsv"), table).unwrap();
        let dataset = try_import(folder.path(), &[]).unwrap();
        assert_eq!(dataset.labels.matrix, expected, "{no} {yes}");
    }
}

#[test]
fn an_array_that_is_something_else_is_called_by_its_name() {
    for (bytes, expected) in [
        (
            b"version https://git-lfs.github.com/spec/v1\n".as_slice(),
            "a Git LFS pointer",
        ),
        (b"PK\x03\x04abcdefgh", "a zip file"),
        (b"", "an empty file"),
    ] {
        let folder = folder();
        fs::write(folder.path().join("ben.npy"), bytes).unwrap();
        let found = message(folder.path());
        let expected = format!("expected a NumPy array (.npy), found {expected}");
        assert!(
            found.contains("ben.npy") && found.contains(&expected),
            "{found}"
        );
    }
}

/// git-annex leaves links that lead nowhere.
#[cfg(unix)]
#[test]
fn a_link_that_leads_nowhere_is_named() {
    for name in ["ben.npy", "ben_trials.tsv"] {
        let folder = folder();
        let path = folder.path().join(name);
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("../.git/annex/objects/ab", &path).unwrap();
        let found = message(folder.path());
        assert!(found.contains("`git annex get` fetches it"), "{found}");
    }
}
