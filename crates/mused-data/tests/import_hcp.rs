//! Responses and labels of a generated tree of HCP movie runs against numpy's (`generate_hcp.py`), and
//! everything that can be wrong with one.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use mused_data::import::Check;
use mused_data::import::hcp::{HcpConfig, Scale, import};
use mused_data::{Dataset, Error, Kind, Part, Subject};
use mused_formats::nifti::{NewNifti, NiftiWriter, read_nifti};
use mused_formats::npy::Dtype;
use mused_formats::npz::NpzFile;
use ndarray::{Array2, ArrayD, s};
use tempfile::TempDir;

const SUBJECT: &str = "100610";
const RUN_1: &str = "100610/MNINonLinear/Results/tfMRI_MOVIE1_7T_AP";
const RUN_4: &str = "102311/MNINonLinear/Results/tfMRI_MOVIE4_7T_AP";
const VOLUMES: &str = "hp2000_clean";
const SERIES: &str = "Atlas_1.6mm_MSMAll_hp2000_clean";

fn files() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files/hcp")
}

fn config() -> HcpConfig {
    HcpConfig {
        variant: Some(VOLUMES.to_owned()),
        ..HcpConfig::default()
    }
}

/// Configuration of the CIFTI files, which one subject has.
fn cifti() -> HcpConfig {
    HcpConfig {
        subjects: vec![SUBJECT.to_owned()],
        variant: Some(SERIES.to_owned()),
        ..HcpConfig::default()
    }
}

/// A dataset whose files live as long as it does.
#[derive(Debug)]
struct Opened {
    dataset: Dataset,
    _out: TempDir,
}

impl Deref for Opened {
    type Target = Dataset;

    fn deref(&self) -> &Dataset {
        &self.dataset
    }
}

fn open(root: &Path, config: &HcpConfig) -> Result<Opened, Error> {
    let out = TempDir::new().unwrap();
    let path = out.path().join("dataset");
    match import(root, &path, config, &mut |_, _| {}) {
        Ok(_) => Ok(Opened {
            dataset: Dataset::open(&path)?,
            _out: out,
        }),
        Err(error) => {
            assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
            Err(error)
        }
    }
}

fn message(root: &Path, config: &HcpConfig) -> String {
    open(root, config).unwrap_err().to_string()
}

fn responses(subject: &Subject) -> Array2<f32> {
    let mut all = Array2::zeros((subject.trials.len(), subject.voxels.len()));
    for (trial, mut row) in all.rows_mut().into_iter().enumerate() {
        let row = row.as_slice_mut().unwrap();
        subject.read_response(trial, row).unwrap();
    }
    all
}

fn expected(name: &str) -> ArrayD<f32> {
    let file = NpzFile::read(files().join("expected.npz")).unwrap();
    file.array_f32(name).unwrap()
}

#[test]
fn responses_equal_numpys_in_every_bit() {
    let root = files();
    let dataset = open(&root, &config()).unwrap();
    assert_eq!(dataset.description.kind, Kind::Volume);
    assert_eq!(dataset.description.sources.len(), 9);
    for subject in &dataset.subjects {
        assert_eq!(subject.responses.dtype(), Dtype::F16);
        let expected = expected(&format!("{}_zscore", subject.id));
        assert_eq!(responses(subject).into_dyn(), expected);
    }
    let one = |scale| HcpConfig {
        subjects: vec![SUBJECT.to_owned()],
        scale,
        ..config()
    };
    let minmax = open(&root, &one(Scale::MinMax)).unwrap();
    assert_eq!(
        responses(&minmax.subjects[0]).into_dyn(),
        expected("minmax")
    );
    let raw = open(&root, &one(Scale::None)).unwrap();
    assert_eq!(raw.subjects[0].responses.dtype(), Dtype::F32);
    let raw = responses(&raw.subjects[0]);
    assert_eq!(raw.slice(s![..;9, ..]).into_dyn(), expected("raw"));
}

#[test]
fn grayordinates_equal_numpys_in_every_bit() {
    let root = files();
    let dataset = open(&root, &cifti()).unwrap();
    assert_eq!(dataset.description.kind, Kind::Roi);
    let structures = ["CORTEX_LEFT", "CORTEX_RIGHT", "THALAMUS_LEFT"];
    assert_eq!(dataset.roi_names(), structures);
    let subject = &dataset.subjects[0];
    assert_eq!(responses(subject).into_dyn(), expected("cifti_zscore"));
    assert_eq!(subject.voxels[3].coordinate, None);
    assert_eq!(subject.voxels[7].coordinate, Some([2, 1, 2]));
    assert!(subject.grid().unwrap().is_none());

    let config = HcpConfig {
        atlas: Some("atlas.dlabel.nii".to_owned()),
        ..cifti()
    };
    let dataset = open(&root, &config).unwrap();
    let subject = &dataset.subjects[0];
    let regions: Vec<&str> = subject.voxels.iter().map(|v| v.roi.as_str()).collect();
    let [v1, mt] = ["R_V1_ROI", "L_MT_ROI"];
    assert_eq!(regions, [v1, v1, mt, mt]);
    assert_eq!(responses(subject).into_dyn(), expected("dlabel_zscore"));
    let places = subject.grayordinates().unwrap().unwrap();
    let none = None;
    let columns = [Some(0), none, none, Some(2), Some(3), Some(1), none, none];
    assert_eq!(places.columns, columns);
}

#[test]
fn regions_come_from_masks_and_atlases() {
    let root = files();
    let atlas = HcpConfig {
        subjects: vec![SUBJECT.to_owned()],
        atlas: Some("atlas.nii.gz".to_owned()),
        atlas_names: Some("atlas.tsv".to_owned()),
        ..config()
    };
    let dataset = open(&root, &atlas).unwrap();
    assert_eq!(dataset.description.kind, Kind::Roi);
    assert_eq!(dataset.roi_names(), ["right", "left"]);
    let found = responses(&dataset.subjects[0]);
    assert_eq!(found.into_dyn(), expected("atlas_zscore"));
    let mask = HcpConfig {
        mask: atlas.atlas.clone(),
        atlas: None,
        atlas_names: None,
        ..atlas
    };
    let dataset = open(&root, &mask).unwrap();
    assert_eq!(dataset.description.kind, Kind::Volume);
    assert_eq!(dataset.roi_names(), ["brain"]);
    assert_eq!(
        responses(&dataset.subjects[0]).into_dyn(),
        expected("100610_zscore")
    );
}

#[test]
fn stimuli_are_seconds_in_clips_and_the_fourth_run_is_the_test() {
    let root = files();
    let movies = TempDir::new().unwrap();
    for name in ["1_CC1_v2", "2_HO1_v2", "3_CC2", "4_HO2_v2"] {
        fs::write(movies.path().join(format!("7T_MOVIE{name}.mp4")), "").unwrap();
    }
    let config = HcpConfig {
        movies: Some(movies.path().to_owned()),
        ..config()
    };
    let dataset = open(&root, &config).unwrap();
    assert_eq!(dataset.stimuli.len(), 652 + 716 + 669 + 699);
    let first = &dataset.stimuli[0];
    assert_eq!((first.id.as_str(), first.frame), ("movie1_0026", Some(26)));
    assert_eq!(first.group, "movie1_clip1");
    let film = first.file.as_deref().unwrap();
    assert!(film.ends_with("7T_MOVIE1_CC1_v2.mp4"), "{film}");
    let test = dataset
        .stimuli
        .iter()
        .filter(|s| s.part == Some(Part::Test));
    assert_eq!(test.clone().count(), 699);
    assert!(test.clone().all(|s| s.group.starts_with("movie4_clip")));
    let trial = &dataset.subjects[0].trials[2735];
    assert_eq!((trial.session, trial.run, trial.onset), (4, 4, Some(776.0)));
    assert_eq!(dataset.stimuli[trial.stimulus].id, "movie4_0776");

    let names = ["man.n.01", "talk.v.02", "tenth.n.01"];
    assert_eq!(dataset.labels.names, names);
    let matrix = dataset.labels.matrix.mapv(f32::from);
    assert_eq!(matrix.into_dyn(), expected("labels"));
    let all = HcpConfig {
        label_frequency: 0.0,
        ..config
    };
    let names = ["rare.n.01", "man.n.01", "talk.v.02", "tenth.n.01"];
    assert_eq!(open(&root, &all).unwrap().labels.names, names);
}

#[test]
fn labels_without_names_are_numbered_or_named_by_a_list() {
    let root = files();
    let config = HcpConfig {
        wordnet: Some(root.join("plain.hdf5")),
        ..config()
    };
    let dataset = open(&root, &config).unwrap();
    assert_eq!(dataset.labels.names, ["wordnet_0001", "wordnet_0002"]);
    let folder = TempDir::new().unwrap();
    let list = folder.path().join("names.txt");
    fs::write(&list, "face\nhand\n").unwrap();
    let config = HcpConfig {
        label_names: Some(list),
        ..config
    };
    let dataset = open(&root, &config).unwrap();
    assert_eq!(dataset.labels.names, ["face", "hand"]);
    let sources = &dataset.description.sources;
    assert!(sources.iter().any(|source| source.path == "plain.hdf5"));
}

#[test]
fn voxels_of_a_mask_that_never_vary_are_left_out_when_allowed() {
    let folder = copy();
    let new = NewNifti {
        dtype: Dtype::U8,
        shape: vec![3, 4, 3],
        affine: read_nifti(files().join("atlas.nii.gz")).unwrap().0.affine,
        tr: None,
    };
    let path = folder.path().join("everything.nii.gz");
    let mut writer = NiftiWriter::create(path, &new).unwrap();
    writer.write_volume(&[1.0; 36]).unwrap();
    writer.finish().unwrap();
    let mut config = HcpConfig {
        mask: Some("everything.nii.gz".to_owned()),
        ..config()
    };
    let found = message(folder.path(), &config);
    let expected = "expected values that vary in all 36 voxels, found constant ones in 27";
    assert!(found.contains(expected), "{found}");
    config.allow.push(Check::ConstantVoxels);
    let dataset = open(folder.path(), &config).unwrap();
    let found = responses(&dataset.subjects[0]).into_dyn();
    assert_eq!(found, self::expected("100610_zscore"));
    assert!(dataset.subjects[0].grid().unwrap().is_some());
}

#[test]
fn the_mask_keeps_the_grid() {
    let root = files();
    let dataset = open(&root, &config()).unwrap();
    let run = root
        .join(RUN_1)
        .join("tfMRI_MOVIE1_7T_AP_hp2000_clean.nii.gz");
    let (header, _) = read_nifti(run).unwrap();
    let grid = dataset.subjects[0].grid().unwrap().unwrap();
    assert_eq!((grid.shape, grid.affine), ([3, 4, 3], header.affine));
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

/// Writes run 4 of the second subject again.
fn rewrite(root: &Path, shape: [usize; 4], shift: f64, tr: f64, value: impl Fn(usize) -> f32) {
    let path = root
        .join(RUN_4)
        .join("tfMRI_MOVIE4_7T_AP_hp2000_clean.nii.gz");
    let (mut header, _) = read_nifti(&path).unwrap();
    header.affine[0][3] += shift;
    let new = NewNifti {
        dtype: Dtype::F32,
        shape: shape.to_vec(),
        affine: header.affine,
        tr: Some(tr),
    };
    let mut writer = NiftiWriter::create(&path, &new).unwrap();
    let voxels: usize = shape[..3].iter().product();
    for volume in 0..shape[3] {
        let values = (0..voxels).map(|voxel| value(volume) + voxel as f32);
        writer.write_volume(&values.collect::<Vec<_>>()).unwrap();
    }
    writer.finish().unwrap();
}

/// A configuration that does not fit.
type Change<'a> = &'a dyn Fn(&mut HcpConfig);

/// One thing that is wrong.
type Damage<'a> = &'a dyn Fn(&Path);

#[test]
fn checks_fail_unless_allowed_and_are_kept() {
    let wave = |volume: usize| (volume % 7) as f32;
    let slow: Damage<'_> = &|root| rewrite(root, [3, 4, 3, 901], 0.0, 0.72, wave);
    let short: Damage<'_> = &|root| rewrite(root, [3, 4, 3, 790], 0.0, 1.0, wave);
    let moved: Damage<'_> = &|root| rewrite(root, [3, 4, 3, 901], 3.0, 1.0, wave);
    let cut: Damage<'_> = &|root| rewrite(root, [3, 4, 3, 700], 0.0, 1.0, wave);
    let missing: Damage<'_> = &|root| fs::remove_dir_all(root.join(RUN_4)).unwrap();
    let copied: Damage<'_> = &|root| {
        for (movie, way) in [(1, "AP"), (2, "PA"), (3, "PA"), (4, "AP")] {
            let run = format!("tfMRI_MOVIE{movie}_7T_{way}");
            let path = |subject: &str| {
                let folder = root.join(subject).join("MNINonLinear/Results").join(&run);
                folder.join(format!("{run}_hp2000_clean.nii.gz"))
            };
            fs::copy(path("100610"), path("102311")).unwrap();
        }
    };
    let cases: [(Damage<'_>, &[Check], &str); 6] = [
        (
            slow,
            &[Check::TrHeader],
            "expected the repetition time 1 s, found 0.72",
        ),
        (
            short,
            &[Check::RunLength],
            "expected 901 volumes, found 790",
        ),
        (moved, &[Check::Affine], "found voxels up to 3.00 mm away"),
        (
            cut,
            &[Check::RunLength, Check::EventsOutside, Check::TestSeconds],
            "expected 699 test seconds (run 4), found 618",
        ),
        (
            missing,
            &[Check::RunMissing, Check::TestSeconds],
            "subject 102311: expected the run tfMRI_MOVIE4_7T_AP",
        ),
        (
            copied,
            &[Check::IdenticalSubjects],
            "found those of 102311 equal to those of 100610",
        ),
    ];
    for (damage, checks, text) in cases {
        let folder = copy();
        damage(folder.path());
        let mut config = config();
        for check in checks {
            let found = message(folder.path(), &config);
            assert!(found.contains(&format!("`--allow {check}`")), "{found}");
            config.allow.push(*check);
        }
        let dataset = open(folder.path(), &config).unwrap();
        let warnings = dataset.description.warnings.join("\n");
        assert!(warnings.contains(text), "{warnings}");
    }
}

#[test]
fn what_cannot_be_imported_says_why() {
    let root = files();
    let with = |change: Change<'_>| {
        let mut config = config();
        change(&mut config);
        message(&root, &config)
    };
    let several = with(&|config| config.variant = None);
    assert!(
        several.contains("\"hp2000_clean.nii.gz\"")
            && several.contains("choose one with --variant"),
        "{several}"
    );
    let text = |text: &str| Some(text.to_owned());
    let cases: [(Change<'_>, &str); 8] = [
        (
            &|c| c.variant = text("1.6mm"),
            "expected the variant \"1.6mm\"",
        ),
        (
            &|c| c.delay = 125,
            "expected a volume 125 s after every second",
        ),
        (
            &|c| c.label_frequency = 1.5,
            "expected a label frequency from 0 to 1",
        ),
        (&|c| c.label_frequency = 0.99, "choose a lower frequency"),
        (
            &|c| c.subjects = vec!["1".to_owned()],
            "--subjects 1: expected movie runs of it, found those of 100610, 102311",
        ),
        (
            &|c| c.mask = text("mask_{subject}.nii"),
            "expected mask_100610.nii",
        ),
        (
            &|c| c.movies = Some(files()),
            "expected 7T_MOVIE1_CC1_v2.mp4",
        ),
        (&|c| c.wordnet = Some(files().join("a")), "give --wordnet"),
    ];
    for (change, expected) in cases {
        let found = with(change);
        assert!(found.contains(expected), "{found}");
    }
    let mask = HcpConfig {
        mask: text("atlas.nii.gz"),
        ..cifti()
    };
    assert!(message(&root, &mask).contains("a mask chooses voxels of a volume"));
    let names = HcpConfig {
        label_names: Some(root.join("atlas.tsv")),
        ..config()
    };
    assert!(message(&root, &names).contains("a name for each of the 6 labels, found 3"));
    let empty = TempDir::new().unwrap();
    assert!(
        message(empty.path(), &config()).contains("and the three other movie runs, found none")
    );
}

#[test]
fn the_only_time_series_needs_no_variant() {
    let folder = copy();
    let name = |what: &str| format!("tfMRI_MOVIE4_7T_AP_{what}");
    let run = folder.path().join(RUN_4);
    let image = files().join("atlas.nii.gz");
    fs::copy(image, run.join(name("SBRef.nii.gz"))).unwrap();
    let scalars = files().join("mean.dscalar.nii");
    fs::copy(scalars, run.join(name("Atlas_mean.dscalar.nii"))).unwrap();
    let config = HcpConfig {
        subjects: vec!["102311".to_owned()],
        ..HcpConfig::default()
    };
    let dataset = open(folder.path(), &config).unwrap();
    let found = responses(&dataset.subjects[0]).into_dyn();
    assert_eq!(found, expected("102311_zscore"));
}

#[test]
fn damaged_files_are_named() {
    let wave = |volume: usize| (volume % 7) as f32;
    let folder = copy();
    rewrite(folder.path(), [3, 4, 2, 901], 0.0, 1.0, wave);
    let found = message(folder.path(), &config());
    assert!(found.contains("expected the grid [3, 4, 3]") && found.contains("found [3, 4, 2]"));

    let folder = copy();
    let path = folder
        .path()
        .join(RUN_4)
        .join("tfMRI_MOVIE4_7T_AP_hp2000_clean.nii.gz");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let found = message(folder.path(), &config());
    assert!(
        found.contains("tfMRI_MOVIE4_7T_AP_hp2000_clean.nii.gz")
            && found.contains("undamaged gzip"),
        "{found}"
    );

    // The labels of a movie that is 20 s shorter than its clips.
    let folder = copy();
    let path = folder.path().join("WordNetFeatures.hdf5");
    fs::copy(files().join("short.hdf5"), &path).unwrap();
    let found = message(folder.path(), &config());
    assert!(
        found.contains("MOVIE4_HO2: expected a row for each of the 901 seconds")
            && found.contains("found 770 rows"),
        "{found}"
    );
}

/// Where the import of [`killed`] goes.
const KILLED: &str = "MUSED_TEST_KILLED_OUT";

/// Does nothing unless [`a_killed_import_goes_on`] starts it: then it ends between the passes over the second subject's runs,
/// without any clean-up.
#[test]
fn killed() {
    let Ok(out) = std::env::var(KILLED) else {
        return;
    };
    import(&files(), out.as_ref(), &config(), &mut |done, _| {
        if done == 13 {
            std::process::abort();
        }
    })
    .unwrap();
}

#[test]
fn a_killed_import_goes_on() {
    let out = TempDir::new().unwrap();
    let [whole, path] = ["whole", "resumed"].map(|name| out.path().join(name));
    let expected = import(&files(), &whole, &config(), &mut |_, _| {}).unwrap();
    let killed = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed"])
        .env(KILLED, &path)
        .output()
        .unwrap();
    assert!(!killed.status.success());
    // What is complete is taken over as it is: a mark in it stays.
    let partial = out.path().join(".resumed.partial");
    let kept = partial.join("subjects/100610/voxels.tsv");
    let marked = fs::read_to_string(&kept).unwrap() + "mark\tn/a\tn/a\tn/a\n";
    fs::write(&kept, &marked).unwrap();
    let imported = import(&files(), &path, &config(), &mut |_, _| {}).unwrap();
    assert_eq!(imported, expected);
    let read = |folder: &Path, name: &str| fs::read(folder.join(name)).unwrap();
    assert_eq!(read(&path, "subjects/100610/voxels.tsv"), marked.as_bytes());
    for name in [
        "dataset.json",
        "stimuli.tsv",
        "labels.npy",
        "subjects/100610/responses.npy",
        "subjects/100610/trials.tsv",
        "subjects/102311/responses.npy",
        "subjects/102311/trials.tsv",
        "subjects/102311/voxels.tsv",
        "subjects/102311/mask.nii.gz",
    ] {
        assert_eq!(read(&path, name), read(&whole, name), "{name}");
    }
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 2);
}

/// Writes `atlas.dlabel.nii` again, with float keys, one slice a map, and labels that `relabel` has changed.
fn write_keys(root: &Path, maps: &[[f32; 7]], relabel: impl Fn(&str) -> String) {
    let bytes = fs::read(files().join("atlas.dlabel.nii")).unwrap();
    let (header, rest) = bytes.split_at(552);
    let xml = String::from_utf8(rest[..1520 - 552].to_vec()).unwrap();
    let xml = relabel(xml.trim_end_matches('\0'));
    let (start, end) = (
        xml.find("<NamedMap>").unwrap(),
        xml.find("</MatrixIndicesMap>").unwrap(),
    );
    let map = xml[start..end].repeat(maps.len());
    let mut xml = [&xml[..start], &map, &xml[end..]].concat().into_bytes();
    xml.resize((xml.len() + 8).next_multiple_of(16) - 8, 0);
    let mut out = header.to_vec();
    out[12..14].copy_from_slice(&16_i16.to_le_bytes());
    out[56..64].copy_from_slice(&(maps.len() as i64).to_le_bytes());
    out[168..176].copy_from_slice(&(552 + xml.len() as i64).to_le_bytes());
    out[544..548].copy_from_slice(&(8 + xml.len() as i32).to_le_bytes());
    out.extend(xml);
    for row in 0..7 {
        for map in maps {
            out.extend(map[row].to_le_bytes());
        }
    }
    fs::write(root.join("atlas.dlabel.nii"), out).unwrap();
}

#[test]
fn keys_of_an_atlas_are_whole_numbers_and_what_is_left_out_is_named() {
    let folder = copy();
    let root = folder.path();
    let config = HcpConfig {
        atlas: Some("atlas.dlabel.nii".to_owned()),
        ..cifti()
    };
    let keys = [4.0, 2.0, 2.0, 2.0, 0.0, 0.0, 4.0];
    let expected = expected("dlabel_zscore");
    let same = |text: &str| text.to_owned();
    let read = || {
        let dataset = open(root, &config).unwrap();
        assert_eq!(responses(&dataset.subjects[0]).into_dyn(), expected);
        dataset.description.warnings.clone()
    };
    write_keys(root, &[keys.map(|key| key - 0.0005)], same);
    assert!(read().is_empty());
    for wrong in [1.98, 2.002, 1.5, f32::NAN, f32::INFINITY, 3e7] {
        let mut keys = keys;
        keys[1] = wrong;
        write_keys(root, &[keys], same);
        let found = message(root, &config);
        let expected = format!("expected whole numbers as keys of labels, found {wrong}");
        assert!(found.contains(&expected), "{found}");
    }
    write_keys(root, &[keys, [2.0; 7]], same);
    let found = read();
    assert!(found[0].ends_with("the first map (parcels) is the atlas; left out: parcels"));
    let mut nameless = keys;
    nameless[5] = 5.0;
    write_keys(root, &[nameless], same);
    let found = read();
    assert!(
        found[0].ends_with("left out are values without a name: 5 (1 voxels)"),
        "{found:?}"
    );
    write_keys(root, &[keys], |xml| xml.replace(">R_V1_ROI<", ">  <"));
    let found = message(root, &config);
    assert!(
        found.contains("expected a name of a region, found"),
        "{found}"
    );
}

#[test]
fn volumes_that_are_regions_have_one_volume_and_whole_numbers() {
    let folder = copy();
    let (header, values) = read_nifti(files().join("atlas.nii.gz")).unwrap();
    let write = |name: &str, dtype, volumes: usize, change: &dyn Fn(f32) -> f32| {
        let new = NewNifti {
            dtype,
            shape: [&header.shape[..], &[volumes][..usize::from(volumes > 1)]].concat(),
            affine: header.affine,
            tr: None,
        };
        let values: Vec<f32> = values.t().iter().map(|value| change(*value)).collect();
        let mut writer = NiftiWriter::create(folder.path().join(name), &new).unwrap();
        for _ in 0..volumes {
            writer.write_volume(&values).unwrap();
        }
        writer.finish().unwrap();
    };
    let atlas = HcpConfig {
        subjects: vec![SUBJECT.to_owned()],
        atlas: Some("a.nii.gz".to_owned()),
        atlas_names: Some("atlas.tsv".to_owned()),
        ..config()
    };
    let mask = HcpConfig {
        mask: Some("a.nii.gz".to_owned()),
        atlas: None,
        atlas_names: None,
        ..atlas.clone()
    };
    write("a.nii.gz", Dtype::U8, 2, &|value| value);
    for config in [&atlas, &mask] {
        let found = message(folder.path(), config);
        assert!(
            found.contains("expected one volume, found shape [3, 4, 3, 2]"),
            "{found}"
        );
    }
    write("a.nii.gz", Dtype::F32, 1, &|value| value + 0.0004);
    let dataset = open(folder.path(), &atlas).unwrap();
    assert_eq!(
        responses(&dataset.subjects[0]).into_dyn(),
        expected("atlas_zscore")
    );
    write("a.nii.gz", Dtype::F32, 1, &|value| value * 0.98);
    let found = message(folder.path(), &atlas);
    assert!(
        found.contains("expected an atlas of whole numbers from 0"),
        "{found}"
    );
}

#[test]
fn a_subject_that_is_not_there_is_named_beside_those_that_are() {
    let config = HcpConfig {
        subjects: vec![SUBJECT.to_owned(), "999".to_owned()],
        ..config()
    };
    let found = message(&files(), &config);
    let expected = "--subjects 999: expected movie runs of it, found those of ";
    assert!(
        found.contains(expected) && found.contains(SUBJECT),
        "{found}"
    );
}
