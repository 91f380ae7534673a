//! What is refused unless it is allowed, and what never passes.

use std::fs;
use std::path::Path;

use mused_data::import::Check;
use mused_data::import::bids::{BidsConfig, Drift, Estimate, Region};
use mused_formats::nifti::{Nifti, read_nifti};

use crate::tree::*;

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
    let twice: Damage<'_> = &|root| {
        for name in [RUN, EVENTS] {
            fs::copy(root.join(name.replace("run-2", "run-1")), root.join(name)).unwrap();
        }
    };
    let cases: [(Check, Damage<'_>, &str, usize); 9] = [
        (
            Check::IdenticalRuns,
            twice,
            "found those of run 2 of session 1 equal to those of run 1 of session 1 in all",
            24,
        ),
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

/// Without its column an event would last no time, or a picture that is shown twice be two.
#[test]
fn misspelt_columns_of_events_are_refused() {
    for (column, misspelt) in [
        ("duration", "durations"),
        ("duration", "Duration"),
        ("stim_file", "stimfile"),
        ("stim_file", "Stim_Files"),
    ] {
        let folder = copy();
        let path = folder.path().join(EVENTS);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replacen(column, misspelt, 1)).unwrap();
        let found = message(folder.path(), &config(folder.path()));
        let expected = format!("expected the column {column:?}, found {misspelt:?}: rename it");
        assert!(found.contains(&expected), "{found}");
        assert!(found.contains("run-2_events.tsv"), "{found}");
    }
    // What only looks a little like it is a column of its own, and so is one that is asked for.
    let folder = copy();
    let path = folder.path().join(EVENTS);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("stim_file", "stim_time", 1)).unwrap();
    open(folder.path(), &config(folder.path())).unwrap();
    fs::write(&path, text.replacen("stim_file", "stimfile", 1)).unwrap();
    let other = EVENTS.replace("run-2", "run-1");
    for (name, subject) in [
        (EVENTS, "01"),
        (&other, "01"),
        (EVENTS, "02"),
        (&other, "02"),
    ] {
        let path = folder
            .path()
            .join(name.replace("sub-01", &format!("sub-{subject}")));
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replacen("stim_file", "stimfile", 1)).unwrap();
    }
    let mut named = config(folder.path());
    named.stimulus_column = Some("stimfile".to_owned());
    open(folder.path(), &named).unwrap();
}

/// Offsets that only double precision can hold: what is left of the signal would be the rounding.
#[test]
fn what_single_precision_would_lose_of_a_recording_is_refused() {
    for (intercept, lost) in [(1e5_f32, false), (1e9, true)] {
        let folder = copy();
        let path = folder.path().join(RUN);
        let (header, _) = read_nifti(&path).unwrap();
        let unpacked = folder.path().join("unpacked.nii");
        let mut file = Nifti::open(&path).unwrap();
        let volumes: Vec<Vec<f32>> = (0..header.volumes())
            .map(|volume| file.read_volume(volume).unwrap())
            .collect();
        write(&unpacked, &header.shape, header.affine, 2.0, &volumes);
        let mut bytes = fs::read(&unpacked).unwrap();
        // scl_slope and scl_inter of NIfTI-1.
        bytes[112..116].copy_from_slice(&1_f32.to_le_bytes());
        bytes[116..120].copy_from_slice(&intercept.to_le_bytes());
        fs::remove_file(&path).unwrap();
        fs::write(path.with_extension(""), bytes).unwrap();
        fs::remove_file(unpacked).unwrap();
        match open(folder.path(), &config(folder.path())) {
            Ok(_) => assert!(!lost),
            Err(error) => {
                let found = error.to_string();
                assert!(lost && found.contains("single precision"), "{found}");
                assert!(
                    found.contains("run-2") && found.contains("subtract"),
                    "{found}"
                );
            }
        }
    }
}
