//! What a process leaves that was killed, asked to stop, or whose data or listeners went: the same command goes on, and
//! nothing that was made is lost.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod program;

use std::fs;
use std::path::{Path, PathBuf};

use mused::data::Dataset;
use mused::formats::npy::{read_npy_f32, write_npy_f32};
use ndarray::Axis;
use program::mused;
use tempfile::TempDir;

const SMALL: &str = "--folds 2 --set train.epochs=2 --set model.dim=16";

fn simulated() -> TempDir {
    let folder = TempDir::new().unwrap();
    mused(
        &folder,
        "simulate --spaces common --subjects 2 --stimuli 60 --seed 1 data",
    )
    .success();
    folder
}

fn trained(out: &str) -> TempDir {
    let folder = simulated();
    mused(&folder, &format!("train data --out {out} {SMALL}")).success();
    folder
}

fn said(assert: &assert_cmd::assert::Assert) -> String {
    String::from_utf8(assert.get_output().stderr.clone()).unwrap()
}

fn refusal(folder: &TempDir, arguments: &str) -> String {
    said(&mused(folder, arguments).code(1))
}

/// Hidden and half-written files below a folder.
fn litter(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with('.') || name.ends_with(".partial") {
            found.push(path);
        } else if path.is_dir() {
            found.extend(litter(&path));
        }
    }
    found
}

#[test]
fn a_plan_left_by_a_killed_process_is_not_taken_for_this_one() {
    let folder = trained("whole");
    let run = folder.path().join("run");
    fs::create_dir(&run).unwrap();
    // Of another division, with half of the next file.
    let other = "fold\tpart\tstimulus_id\tgroup\n0\ttest\tnobody\tnobody\n";
    fs::write(run.join("split.tsv"), other).unwrap();
    fs::write(run.join("labels.tsv"), "label\nother\n").unwrap();
    fs::write(run.join("run.json.partial"), "{").unwrap();
    let message = refusal(&folder, "train data --out run --resume");
    assert!(message.contains("without --resume"), "{message}");
    mused(&folder, &format!("train data --out run {SMALL}")).success();
    for name in ["split.tsv", "labels.tsv", "shown.tsv", "predictions.npy"] {
        let read = |run: &str| fs::read(folder.path().join(run).join(name)).unwrap();
        assert!(read("run") == read("whole"), "{name}");
    }
    assert_eq!(litter(&run), Vec::<PathBuf>::new());
}

/// A lock's file is open when its first name is removed: NFS and FUSE keep it under another until it is closed.
#[test]
fn a_removed_file_that_a_server_keeps_does_not_occupy_a_folder() {
    let folder = simulated();
    for name in [
        ".nfs00000000000a1b2c00000001",
        ".fuse_hidden000000a600000066",
    ] {
        let run = folder.path().join(&name[1..4]);
        fs::create_dir(&run).unwrap();
        fs::write(run.join(name), "").unwrap();
        mused(
            &folder,
            &format!("train data --out {} --model prevalence", &name[1..4]),
        )
        .success();
    }
}

#[test]
fn what_killed_writers_left_in_a_run_goes_when_it_is_resumed() {
    let folder = trained("run");
    let task = folder.path().join("run/checkpoints/fold-0");
    for name in ["state.safetensors.partial", ".tmpAbC123"] {
        fs::write(task.join(name), "half").unwrap();
    }
    fs::remove_file(folder.path().join("run/predictions.npy")).unwrap();
    mused(&folder, "train data --out run --resume").success();
    assert_eq!(litter(&folder.path().join("run")), Vec::<PathBuf>::new());
}

/// Who works in a folder is told to the second, and its lock ends with it.
#[test]
fn there_is_one_writer_at_a_time() {
    let folder = trained("run");
    let hold = |path: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "process 4711 on node7 (since 2026-01-01T00:00:00Z)").unwrap();
        let held = fs::File::options().write(true).open(&path).unwrap();
        held.lock().unwrap();
        held
    };
    let cases = [
        ("run/.lock", "train data --out run --resume".to_owned()),
        ("new/.lock", format!("train data --out new {SMALL}")),
        (
            "bench/.lock",
            "benchmark data --out bench --models prevalence --seeds 0".to_owned(),
        ),
        (
            "run/permutations/.lock",
            "permute run --permutations 1".to_owned(),
        ),
        (
            ".data2.lock",
            "simulate --subjects 2 --stimuli 60 data2".to_owned(),
        ),
    ];
    for (lock, command) in cases {
        let held = hold(lock);
        let message = refusal(&folder, &command);
        for words in ["process 4711 on node7", "since 2026", "wait"] {
            assert!(message.contains(words), "{command}: {message}");
        }
        drop(held);
        mused(&folder, &command).success();
        assert!(!folder.path().join(lock).exists(), "{lock} is left");
    }
}

#[test]
fn permute_tidies_up_after_itself() {
    let folder = simulated();
    mused(
        &folder,
        "train data --out run --folds 2 --model ridge-pooled",
    )
    .success();
    mused(&folder, "permute run --permutations 1").success();
    // Killed between the score and the end of its run.
    let left = folder.path().join("run/permutations/1");
    fs::create_dir(&left).unwrap();
    fs::write(left.join("predictions.npy"), "left").unwrap();
    mused(&folder, "permute run --permutations 1").success();
    assert!(!left.exists());
}

/// Stimuli that are nearly the same are on one side of the run's division, and on both of a relabelled one.
#[test]
fn permute_is_not_stopped_by_what_chance_divides() {
    let folder = simulated();
    let path = folder.path().join("data/features/high/features.npy");
    let mut features = read_npy_f32(&path).unwrap();
    let first = features.index_axis(Axis(0), 0).to_owned();
    features.index_axis_mut(Axis(0), 59).assign(&first);
    write_npy_f32(&path, features.view()).unwrap();
    let passes = (0..20).any(|seed| {
        let command = "train data --out run --folds 2 --model ridge-pooled --set split.seed";
        let run = mused(&folder, &format!("{command}={seed}"));
        run.get_output().status.success()
    });
    assert!(passes);
    mused(&folder, "permute run --permutations 6").success();
}

#[test]
fn one_of_two_files_is_in_nobodys_way() {
    let folder = trained("run");
    let path = |name: &str| folder.path().join(name);
    let pairs = [
        ("predict run data --out p.npy", "p.npy", "p.tsv"),
        (
            "rdm data --features high --permutations 9 --out r.npy",
            "r.npy",
            "r.svg",
        ),
    ];
    for (command, last, first) in pairs {
        mused(&folder, command).success();
        let whole = fs::read(path(last)).unwrap();
        assert!(refusal(&folder, command).contains("already exists"));
        fs::remove_file(path(last)).unwrap();
        mused(&folder, command).success();
        assert!(fs::read(path(last)).unwrap() == whole);
        // What is of somebody else stays.
        fs::remove_file(path(last)).unwrap();
        fs::write(path(first), "mine").unwrap();
        assert!(refusal(&folder, command).contains("already exists"));
        assert_eq!(fs::read(path(first)).unwrap(), b"mine");
        assert!(!path(last).exists());
    }
}

#[test]
fn names_are_shown_and_not_obeyed_and_commands_are_quoted() {
    let folder = simulated();
    let json = folder.path().join("data/dataset.json");
    let text = fs::read_to_string(&json).unwrap();
    let description = serde_json::from_str::<serde_json::Value>(&text).unwrap();
    let mut description = description.as_object().unwrap().clone();
    description.insert("name".into(), "a\u{1b}[2Jb\u{202e}c".into());
    fs::write(&json, serde_json::to_vec(&description).unwrap()).unwrap();
    let info = mused(&folder, "info data").success();
    let printed = String::from_utf8(info.get_output().stdout.clone()).unwrap();
    assert!(!printed.contains(['\u{1b}', '\u{202e}']), "{printed:?}");
    assert!(printed.starts_with("a\\u001b[2Jb\\u202ec"), "{printed:?}");
    let info = mused(&folder, "info data --json").success();
    let printed: serde_json::Value = serde_json::from_slice(&info.get_output().stdout).unwrap();
    assert_eq!(printed["name"], "a\u{1b}[2Jb\u{202e}c");

    fs::rename(folder.path().join("data"), folder.path().join("my data")).unwrap();
    let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_mused"));
    let command = command.current_dir(folder.path());
    let trained = command
        .args(["train", "my data", "--out", "it's", "--model", "prevalence"])
        .assert()
        .success();
    let printed = String::from_utf8(trained.get_output().stdout.clone()).unwrap();
    assert!(printed.contains(r"`mused evaluate 'it'\''s'`"), "{printed}");
}

#[cfg(unix)]
mod listeners_and_signals {
    use std::os::unix::fs::symlink;
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// A command whose standard output is full and whose standard error nobody reads.
    fn unheard(folder: &TempDir, arguments: &str) -> std::process::ExitStatus {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        Command::new(env!("CARGO_BIN_EXE_mused"))
            .current_dir(folder.path())
            .args(arguments.split_whitespace())
            .stdout(full)
            .stderr(writer)
            .status()
            .unwrap()
    }

    #[test]
    fn nobody_needs_to_listen() {
        let folder = trained("whole");
        let train = format!("train data --out run {SMALL}");
        assert_eq!(unheard(&folder, &train).code(), Some(0));
        let read = |run: &str| fs::read(folder.path().join(run).join("predictions.npy")).unwrap();
        assert!(read("run") == read("whole"));
        // What is to be read and cannot be says so by its code.
        assert_eq!(unheard(&folder, "info data").code(), Some(1));
        assert!(!folder.path().join("run/results.json").exists());
        unheard(&folder, "evaluate run");
        assert!(folder.path().join("run/results.json").exists());
    }

    /// A training that is at work when this returns.
    fn at_work(folder: &TempDir, more: &str, ignored: Option<i32>) -> Child {
        let settings = "--folds 2 --set train.epochs=100000 --set model.dim=16";
        let mut command = Command::new(env!("CARGO_BIN_EXE_mused"));
        command
            .current_dir(folder.path())
            .args(format!("train data --out run {settings} {more}").split_whitespace())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if ignored.is_some() {
            // `nohup` does no more than that.
            let nohup = "trap '' HUP; exec \"$0\" \"$@\"";
            let mut shell = Command::new("sh");
            shell.current_dir(folder.path()).args(["-c", nohup]);
            shell.arg(command.get_program()).args(command.get_args());
            shell.stdout(Stdio::null()).stderr(Stdio::null());
            command = shell;
        }
        let child = command.spawn().unwrap();
        let metrics = folder.path().join("run/metrics.jsonl");
        while fs::metadata(&metrics).map_or(0, |about| about.len()) == 0 {
            std::thread::yield_now();
        }
        child
    }

    fn signal(child: &Child, name: &str) {
        let pid = child.id().to_string();
        assert!(
            Command::new("kill")
                .args([name, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    #[test]
    fn the_end_of_a_session_or_job_is_saved_from() {
        for name in ["-TERM", "-HUP", "-INT", "-USR1"] {
            let folder = simulated();
            let mut child = at_work(&folder, "", None);
            signal(&child, name);
            assert_eq!(child.wait().unwrap().code(), Some(130), "{name}");
            let state = folder
                .path()
                .join("run/checkpoints/fold-0/state.safetensors");
            assert!(state.is_file(), "{name} saved nothing");
            assert_eq!(litter(&folder.path().join("run")), Vec::<PathBuf>::new());
        }
    }

    #[test]
    fn what_nohup_ignores_stays_ignored() {
        let folder = simulated();
        let mut child = at_work(&folder, "", Some(1));
        signal(&child, "-HUP");
        let epochs = || fs::read_to_string(folder.path().join("run/metrics.jsonl")).unwrap();
        let before = epochs().len();
        while epochs().len() < before + 1000 {
            assert!(child.try_wait().unwrap().is_none(), "it ended");
        }
        signal(&child, "-TERM");
        assert_eq!(child.wait().unwrap().code(), Some(130));
    }

    #[test]
    fn a_file_outside_of_the_dataset_is_not_shown() {
        let folder = trained("run");
        let data = folder.path().join("data");
        let secret = folder.path().join("private");
        fs::create_dir(&secret).unwrap();
        let picture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/stimulus_0.png");
        fs::copy(&picture, secret.join("a.png")).unwrap();
        fs::create_dir(data.join("images")).unwrap();
        symlink(secret.join("a.png"), data.join("images/link.png")).unwrap();
        let table = fs::read_to_string(data.join("stimuli.tsv")).unwrap();
        let page = folder.path().join("run/report.html");
        mused(&folder, "evaluate run").success();
        for file in ["../private/a.png", "images/link.png"] {
            let mut rows = table.lines();
            let columns: Vec<&str> = rows.next().unwrap().split('\t').collect();
            let place = columns.iter().position(|column| *column == "file").unwrap();
            let mut changed = columns.join("\t") + "\n";
            for row in rows {
                let mut cells: Vec<&str> = row.split('\t').collect();
                cells[place] = file;
                changed += &(cells.join("\t") + "\n");
            }
            fs::write(data.join("stimuli.tsv"), changed).unwrap();
            mused(&folder, "report run").success();
            let shown = fs::read_to_string(&page).unwrap();
            assert!(!shown.contains("data:image/jpeg"), "{file} is shown");
            assert!(shown.contains("--allow"), "{file}: not said");
            mused(&folder, "report run --allow private").success();
            let shown = fs::read_to_string(&page).unwrap();
            assert!(shown.contains("data:image/jpeg"), "{file} is not shown");
        }
    }
}

mod changed_meanwhile {
    use std::collections::BTreeMap;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use mused::{Layers, Progress, Training};

    use super::*;

    /// Does something to the data after so many steps.
    struct After<F> {
        steps: usize,
        done: AtomicUsize,
        act: F,
    }

    impl<F: Fn() + Sync> Progress for After<F> {
        fn step(&self, _model: &str, _losses: &mused::run::EpochLosses) {
            if self.done.fetch_add(1, Ordering::Relaxed) + 1 == self.steps {
                (self.act)();
            }
        }
    }

    fn layers() -> Layers {
        let mut layers = Layers::preset("default").unwrap();
        for setting in ["split.folds=2", "train.epochs=4", "model.dim=16"] {
            layers.set(setting).unwrap();
        }
        layers
    }

    fn train(folder: &TempDir, run: &str, act: impl Fn() + Sync) -> Result<(), String> {
        train_until(3, folder, run, act)
    }

    fn train_until(
        steps: usize,
        folder: &TempDir,
        run: &str,
        act: impl Fn() + Sync,
    ) -> Result<(), String> {
        let dataset = Dataset::open(folder.path().join("data")).unwrap();
        let progress = After {
            steps,
            done: AtomicUsize::new(0),
            act,
        };
        let training = Training::new(&dataset)
            .layers(&layers())
            .progress(&progress)
            .threads(1);
        let trained = training.train(folder.path().join(run));
        trained.map(drop).map_err(|error| error.to_string())
    }

    #[test]
    fn it_is_noticed_and_nothing_of_it_is_kept() {
        let folder = simulated();
        train(&folder, "whole", || {}).unwrap();
        let responses = folder.path().join("data/subjects/sub-01/responses.npy");
        let old = fs::read(&responses).unwrap();
        let predictions = |run: &str| fs::read(folder.path().join(run).join("predictions.npy"));

        // Shortened under the process, as a copy that begins anew does.
        let message = train(&folder, "short", || {
            let file = fs::File::options().write(true).open(&responses).unwrap();
            file.set_len(200).unwrap();
        })
        .unwrap_err();
        assert!(message.contains("responses.npy"), "{message}");
        assert!(message.contains("shortened"), "{message}");

        // Written over, in place.
        let mut other = old.clone();
        let last = other.len() - 1;
        other[last] ^= 0x40;
        fs::write(&responses, &old).unwrap();
        let message = train(&folder, "changed", || {
            fs::write(&responses, &other).unwrap()
        });
        let message = message.unwrap_err();
        assert!(message.contains("changed while"), "{message}");
        assert!(message.contains("subject sub-01"), "{message}");

        // With the old data back, both go on to the same bits.
        fs::write(&responses, &old).unwrap();
        for run in ["short", "changed"] {
            mused(&folder, &format!("train data --out {run} --resume")).success();
            assert!(
                predictions(run).unwrap() == predictions("whole").unwrap(),
                "{run}"
            );
        }

        // Another file under the same name changes nothing: the open one is the run's.
        train(&folder, "replaced", || {
            fs::remove_file(&responses).unwrap();
            fs::write(&responses, &other).unwrap();
        })
        .unwrap();
        assert!(predictions("replaced").unwrap() == predictions("whole").unwrap());
    }

    fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => found.extend(files(&path)),
                false => _ = found.insert(path.clone(), fs::read(&path).unwrap()),
            }
        }
        found
    }

    /// As after a machine was suspended for minutes: whatever step it wakes up in, nothing is written any more.
    #[test]
    fn a_run_that_another_machine_took_over_is_left_to_it() {
        let folder = simulated();
        let other = "process 7 on far (since 2026-01-01T00:00:00Z)\nkernel other\nat work            1 ms,    0 of 1000 done\n";
        // The last step of the first fold is the fourth.
        for steps in [1, 4, 5, 8] {
            let run = format!("run-{steps}");
            let (path, left) = (folder.path().join(&run), Mutex::default());
            let message = train_until(steps, &folder, &run, || {
                fs::remove_file(path.join(".lock")).unwrap();
                fs::write(path.join(".lock"), other).unwrap();
                *left.lock().unwrap() = files(&path);
            });
            let message = message.unwrap_err();
            assert!(
                message.contains("another process took the run over"),
                "{message}"
            );
            let (found, left) = (files(&path), left.into_inner().unwrap());
            assert!(found.keys().eq(left.keys()), "{steps}: {:?}", found.keys());
            for (path, content) in left {
                assert!(
                    found[&path] == content,
                    "{steps}: {} changed",
                    path.display()
                );
            }
        }
    }
}
