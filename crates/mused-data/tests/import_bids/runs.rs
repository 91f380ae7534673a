//! Runs: how they are told apart and found, their sidecars, and the events of their tables.

use std::fs;
use std::path::Path;

use mused_data::Dataset;
use mused_data::import::Check;
use mused_data::import::bids::{BidsConfig, Estimate, FilePatterns};
use mused_formats::nifti::read_nifti;

use crate::tree::*;

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
        "", " ", ";", " ; ", "\u{a0}", "n/a", "N/A", "NA", "nan", "NaN", "<NA>", "#N/A", "NaT",
        "None", "null", "NA;house",
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
fn times_that_are_none_are_named_by_their_column() {
    for (times, expected) in [
        (
            "inf\t1.5",
            "column onset: expected a finite number, found \"inf\"",
        ),
        (
            "10\t-1",
            "column duration: expected 0 to a million seconds, found \"-1\"",
        ),
    ] {
        let folder = copy();
        append(folder.path(), &format!("{times}\tface\tperson\tface0.png"));
        let found = message(folder.path(), &config(folder.path()));
        assert!(found.contains(expected), "{found}");
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
