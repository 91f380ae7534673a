//! What can be wrong: one message that names it.

use std::fs;
use std::path::{Path, PathBuf};

use mused_data::import::Check;
use mused_data::import::nsd::{NsdConfig, Repeats};
use mused_formats::nifti::{NewNifti, NiftiWriter, read_nifti};
use mused_formats::npy::Dtype;

use crate::tree::{
    ANNOTATIONS, BETAS, EXPERIMENT, ROIS, SHAPE, assert_responses, config, copy, expected, files,
    message, open, try_import,
};

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
    let cases: [(Damage, &[&str]); 19] = [
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
                let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n";
                fs::write(path, pointer).unwrap();
            },
            &["instances_train2017.json", "found a Git LFS pointer"],
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
