//! An import that was killed.

use std::fs;
use std::path::Path;

use mused_data::import::nsd::import;
use tempfile::TempDir;

use crate::tree::{config, files};

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
            .args(["--exact", "resume::killed"])
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
        if after == 1 {
            // As a power cut leaves it that comes when the work is being removed.
            fs::remove_file(partial.join("work/subj01_session01")).unwrap();
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
