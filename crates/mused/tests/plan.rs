//! Runs that are planned, made by several processes and gathered: each once, and the same bits as of one process.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod program;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use program::mused;
use tempfile::TempDir;

const BENCHMARK: &str = "benchmark data --folds 2 --seeds 0,1 --models mlp-shared,ridge-pooled,prevalence --set \
                         train.epochs=3 --set model.dim=8 --threads 1";

fn simulated() -> TempDir {
    let folder = TempDir::new().unwrap();
    mused(
        &folder,
        "simulate --spaces common --subjects 2 --stimuli 40 --seed 1 data",
    )
    .success();
    folder
}

fn said(folder: &TempDir, command: &str, code: i32) -> String {
    let assert = mused(folder, command).code(code);
    let output = assert.get_output();
    let text = [output.stdout.clone(), output.stderr.clone()].concat();
    String::from_utf8(text).unwrap()
}

/// Files below a folder but those that tell when and where something was made.
fn results(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let names = [
        "predictions.npy",
        "model.safetensors",
        "inputs.safetensors",
        "results.json",
        "benchmark.tsv",
        "differences.tsv",
        "curve.json",
        "scores.tsv",
    ];
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if names.iter().any(|name| path.ends_with(name)) {
                let content = fs::read(&path).unwrap();
                found.insert(path.strip_prefix(folder).unwrap().to_owned(), content);
            }
        }
    }
    found
}

fn same(folder: &TempDir, a: &str, b: &str) {
    let of = |name: &str| results(&folder.path().join(name));
    let (found, expected) = (of(b), of(a));
    assert!(!expected.is_empty());
    let names = found.keys();
    assert!(names.clone().eq(expected.keys()), "{names:?}");
    for (name, content) in found {
        // A command in it names the run.
        let content = match String::from_utf8(content) {
            Ok(text) => text
                .replace(&format!("{b}/"), &format!("{a}/"))
                .into_bytes(),
            Err(binary) => binary.into_bytes(),
        };
        assert!(expected[&name] == content, "{} differs", name.display());
    }
}

fn worker(folder: &TempDir) -> Child {
    Command::new(env!("CARGO_BIN_EXE_mused"))
        .current_dir(folder.path())
        .args(["work", "plan", "--threads", "1"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Whether a process has a task.
fn is_at_work(folder: &TempDir, child: &Child) -> bool {
    let Ok(entries) = fs::read_dir(folder.path().join("plan/at-work")) else {
        return false;
    };
    let own = format!("process {} ", child.id());
    let mut claims = entries
        .flatten()
        .map(|entry| fs::read_to_string(entry.path()));
    claims.any(|claim| claim.is_ok_and(|claim| claim.starts_with(&own)))
}

#[test]
fn three_processes_of_which_some_are_killed_make_every_task_once() {
    let folder = simulated();
    mused(&folder, &format!("{BENCHMARK} --out one")).success();
    mused(&folder, &format!("{BENCHMARK} --out many --plan plan")).success();
    let jobs = fs::read_to_string(folder.path().join("plan/jobs.tsv")).unwrap();
    assert_eq!(jobs.lines().count(), 7, "{jobs}");
    let mut workers: Vec<Child> = (0..3).map(|_| worker(&folder)).collect();
    let mut ended = Vec::new();
    for _ in 0..3 {
        let mut victim = workers.remove(0);
        while !is_at_work(&folder, &victim) && victim.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        victim.kill().unwrap();
        ended.push(victim.wait_with_output().unwrap());
        workers.push(worker(&folder));
    }
    ended.extend(
        workers
            .into_iter()
            .map(|worker| worker.wait_with_output().unwrap()),
    );
    // What the last one to be killed left.
    ended.push(worker(&folder).wait_with_output().unwrap());
    let said: Vec<String> = (ended.iter())
        .map(|output| String::from_utf8_lossy(&output.stderr).into_owned())
        .collect();
    let said = said.join("\n");
    for task in 1..=6 {
        let times = said
            .lines()
            .filter(|line| *line == format!("task {task} is done"))
            .count();
        // A process may be killed between the end of the run and its word for it.
        assert!(times <= 1, "task {task} was done {times} times\n{said}");
    }
    let status = self::said(&folder, "status plan", 0);
    assert!(
        status.starts_with("6 tasks: 6 done, 0 running, 0 failed, 0 waiting"),
        "{status}"
    );
    let gathered = self::said(&folder, &format!("{BENCHMARK} --out many"), 0);
    assert!(!gathered.contains("steps in"), "{gathered}");
    same(&folder, "one", "many");
    let claims = fs::read_dir(folder.path().join("plan/at-work")).unwrap();
    let names = claims.map(|claim| claim.unwrap().file_name());
    let of_a_task = |name: &OsString| name.to_string_lossy().parse::<usize>().is_ok();
    let left: Vec<OsString> = names.filter(of_a_task).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Nobody makes a run again that is complete, and so nobody took its lock.
#[test]
fn the_lock_of_who_was_killed_when_a_run_was_complete_goes() {
    let folder = simulated();
    let planned = "benchmark data --folds 2 --seeds 0 --models prevalence --out runs --plan plan";
    mused(&folder, planned).success();
    mused(&folder, "work plan").success();
    let locks = [
        folder.path().join("runs/prevalence/seed-0/.lock"),
        folder.path().join("plan/at-work/1"),
    ];
    for lock in &locks {
        fs::write(lock, "process 1").unwrap();
    }
    mused(&folder, "work plan").success();
    let left: Vec<_> = locks.iter().filter(|lock| lock.exists()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn curves_and_permutations_are_gathered_too() {
    let folder = simulated();
    let curve =
        "curve data --folds 2 --trials 5,all --draws 1 --set train.epochs=1 --set model.dim=8";
    mused(&folder, &format!("{curve} --out one")).success();
    mused(&folder, &format!("{curve} --out many --plan plan")).success();
    mused(&folder, "work plan").success();
    mused(&folder, &format!("{curve} --out many")).success();
    same(&folder, "one", "many");

    let train = "train data --folds 2 --model ridge-pooled --out";
    let permute = |run: &str| format!("permute {run} --permutations 3");
    for run in ["alone", "shared"] {
        mused(&folder, &format!("{train} {run}")).success();
    }
    mused(&folder, &permute("alone")).success();
    mused(&folder, &format!("{} --plan plan2", permute("shared"))).success();
    mused(&folder, "work plan2 --task 3").success();
    mused(&folder, "work plan2").success();
    mused(&folder, &permute("shared")).success();
    same(&folder, "alone", "shared");
    // What was gathered and removed is done, and is not made again.
    let status = said(&folder, "status plan2", 0);
    assert!(status.starts_with("3 tasks: 3 done"), "{status}");
    let worked = said(&folder, "work plan2 --task 2", 0);
    assert!(worked.contains("was done before"), "{worked}");
    assert!(!folder.path().join("shared/permutations/2").exists());
}

#[test]
fn the_models_of_one_run_are_tasks_too() {
    let folder = simulated();
    for (settings, models) in [
        ("--folds 3", 3),
        (
            "--folds 2 --holdout-subject each --set split.calibration=10",
            4,
        ),
    ] {
        let train = format!(
            "train data {settings} --set train.epochs=3 --set model.dim=8 --threads 1 --out"
        );
        mused(&folder, &format!("{train} one")).success();
        mused(&folder, "evaluate one").success();
        let planned = said(&folder, &format!("{train} many --plan plan"), 0);
        let expected = format!("{models} runs in {models} tasks");
        assert!(planned.starts_with(&expected), "{planned}");
        let mut victim = worker(&folder);
        while !is_at_work(&folder, &victim) && victim.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        victim.kill().unwrap();
        victim.wait().unwrap();
        // The last model is made by who gathers.
        for task in 1..models {
            mused(&folder, &format!("work plan --task {task}")).success();
        }
        let status = said(&folder, "status plan", 0);
        let expected = format!(
            "{models} tasks: {} done, 0 running, 0 failed, 1",
            models - 1
        );
        assert!(status.starts_with(&expected), "{status}");

        let part = folder.path().join("many/parts/1");
        let held = mused::Run::claim(&part).unwrap();
        let refused = said(&folder, &format!("{train} many"), 1);
        for words in ["many/parts/1", "is writing here", "process"] {
            assert!(refused.contains(words), "{words}: {refused}");
        }
        assert!(!mused::Run::exists(&folder.path().join("many")));
        drop(held);
        let other = train.replace("train.epochs=3", "train.epochs=4");
        let refused = said(&folder, &format!("{other} many"), 1);
        assert!(refused.contains("other settings"), "{refused}");
        let refused = said(&folder, "evaluate many", 1);
        assert!(refused.contains("the same `mused train`"), "{refused}");

        mused(&folder, &format!("{train} many")).success();
        mused(&folder, "evaluate many").success();
        same(&folder, "one", "many");
        assert!(!folder.path().join("many/parts").exists());
        let epochs = |run: &str| {
            let text = fs::read_to_string(folder.path().join(run).join("metrics.jsonl")).unwrap();
            text.lines().count()
        };
        assert_eq!(epochs("many"), epochs("one"));
        let status = said(&folder, "status plan", 0);
        let expected = format!("{models} tasks: {models} done");
        assert!(status.starts_with(&expected), "{status}");
        let worked = said(&folder, "work plan --task 1", 0);
        assert!(worked.contains("was done before"), "{worked}");
        let again = said(&folder, &format!("{train} many --plan plan"), 1);
        assert!(again.contains("already exists"), "{again}");
        for name in ["one", "many"] {
            fs::remove_dir_all(folder.path().join(name)).unwrap();
        }
    }
}

/// The script with a `scontrol` that writes down what it is asked for.
#[cfg(unix)]
#[test]
fn a_job_that_was_cancelled_is_not_queued_again() {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt as _;

    let folder = simulated();
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let scontrol = bin.join("scontrol");
    fs::write(&scontrol, "#!/bin/sh\necho \"$@\" >> asked\n").unwrap();
    fs::set_permissions(&scontrol, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let settings = "--folds 2 --seeds 0 --models mlp-shared --set train.ridge=false --set train.epochs=100000 --set model.dim=16";
    mused(
        &folder,
        &format!("benchmark data --out b {settings} --plan plan"),
    )
    .success();
    let script = folder.path().join("plan/submit.sbatch");
    let job = || {
        let mut shell = Command::new("sh");
        shell.arg(&script).current_dir(folder.path());
        shell.env("PATH", &path).env("SLURM_CPUS_PER_TASK", "1");
        shell
            .env("SLURM_ARRAY_TASK_ID", "1")
            .env("SLURM_ARRAY_JOB_ID", "7");
        shell.stdout(Stdio::null()).stderr(Stdio::null());
        shell.process_group(0).spawn().unwrap()
    };
    let asked = || fs::read_to_string(folder.path().join("asked")).unwrap_or_default();

    // As scancel does: to the script, and to all that it has started.
    let mut cancelled = job();
    let metrics = folder.path().join("b/mlp-shared/seed-0/metrics.jsonl");
    while fs::metadata(&metrics).map_or(0, |about| about.len()) == 0 {
        assert!(cancelled.try_wait().unwrap().is_none());
        std::thread::yield_now();
    }
    let group = format!("-{}", cancelled.id());
    let kill = Command::new("kill").args(["-TERM", "--", &group]).status();
    assert!(kill.unwrap().success());
    assert_eq!(cancelled.wait().unwrap().code(), Some(130));
    assert_eq!(asked(), "");
    assert!(
        metrics.with_file_name("checkpoints").is_dir(),
        "nothing was saved"
    );

    let text = fs::read_to_string(&script).unwrap();
    let limit = text.split("--time-limit ").nth(1).unwrap();
    let limit = limit.split_whitespace().next().unwrap();
    fs::write(&script, text.replace(limit, "0s")).unwrap();
    assert_eq!(job().wait().unwrap().code(), Some(130));
    assert_eq!(asked(), "requeue 7_1\n");
}

#[test]
fn short_runs_are_put_together_once_one_of_them_is_there() {
    let folder = simulated();
    let plan = "benchmark data --folds 2 --seeds 0,1,2,3 --models prevalence --out b --plan plan";
    let planned = said(&folder, plan, 0);
    assert!(planned.starts_with("4 runs in 4 tasks"), "{planned}");
    mused(&folder, "work plan --task 2").success();
    let planned = said(
        &folder,
        &format!("{plan} --task-time 3s --partition long --account lab --time 2h --cpus 3"),
        0,
    );
    assert!(planned.starts_with("4 runs in 2 tasks"), "{planned}");
    let script = fs::read_to_string(folder.path().join("plan/submit.sbatch")).unwrap();
    for line in [
        "#SBATCH --array=1-2",
        "#SBATCH --cpus-per-task=3",
        "#SBATCH --time=120",
        "#SBATCH --partition=long",
        "#SBATCH --account=lab",
    ] {
        assert!(script.lines().any(|of| of == line), "{line}: {script}");
    }
    assert!(script.contains("\n#SBATCH --mem="), "{script}");
    assert!(script.contains("--time-limit 6600s"), "{script}");
    // One job of an array has the array's own number: to name it would queue all of them again.
    let requeued = "scontrol requeue \"${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID\"";
    assert!(script.contains(requeued), "{script}");
    mused(&folder, "work plan").success();
    assert!(said(&folder, "status plan", 0).starts_with("2 tasks: 2 done"));
}

#[test]
fn failures_are_told_and_made_again() {
    let folder = simulated();
    let models = "--models mlp-shared,prevalence --set train.ridge=false --set train.epochs=4 --set train.learning_rate=1e36";
    mused(
        &folder,
        &format!("benchmark data --out b --folds 2 --seeds 0 {models} --plan plan"),
    )
    .success();
    let worked = said(&folder, "work plan", 1);
    assert!(worked.contains("2 tasks: 1 failed, 0 are left"), "{worked}");
    let status = said(&folder, "status plan", 1);
    for words in [
        "2 tasks: 1 done, 0 running, 1 failed, 0 waiting",
        "failed 1: ",
        "try a lower train.learning_rate",
        "sbatch --array=1 ",
    ] {
        assert!(status.contains(words), "{words}: {status}");
    }
    // All that are left are not those that failed, unless they are asked for.
    assert!(!said(&folder, "work plan", 1).contains("try a lower"));
    assert!(said(&folder, "work plan --failed", 1).contains("try a lower"));
}

#[test]
fn what_cannot_be_worked_on_says_why() {
    let folder = simulated();
    let refused = |command: &str, words: &[&str]| {
        let message = said(&folder, command, 1);
        for words in words {
            assert!(message.contains(words), "{command}: {words}: {message}");
        }
        assert_eq!(message.matches("mused: ").count(), 1, "{message}");
    };
    refused(
        "work nowhere --task 1",
        &["expected a plan, found none", "--plan"],
    );
    let plan = "benchmark data --out b --folds 2 --seeds 0 --models prevalence --config c.toml --plan plan";
    fs::write(folder.path().join("c.toml"), "[split]\nseed = 3\n").unwrap();
    let planned = said(&folder, plan, 0);
    assert!(planned.contains("sbatch"), "{planned}");
    for task in ["0", "2"] {
        refused(
            &format!("work plan --task {task}"),
            &["expected 1 to 1", "jobs.tsv"],
        );
    }

    // Among somebody's data nothing is written, and nothing goes.
    fs::create_dir(folder.path().join("data/failed")).unwrap();
    let among = plan.replace("--plan plan", "--plan data");
    refused(&among, &["data: expected a folder for a plan", "found"]);
    assert!(!folder.path().join("data/jobs.tsv").exists());
    assert!(folder.path().join("data/failed").is_dir());
    fs::remove_dir(folder.path().join("data/failed")).unwrap();

    let at_work = folder.path().join("plan/at-work");
    fs::create_dir(&at_work).unwrap();
    let claim = "process 7 on far (since 2026-01-01T00:00:00Z)\nkernel other\nat work        60000 ms,  250 of 1000 done\n";
    fs::write(at_work.join("1"), claim).unwrap();
    refused(plan, &["task 1 is at work", "process 7 on far"]);
    let status = said(&folder, "status plan", 0);
    for words in ["1 running", "process 7 on far", "at work 1m, 25 %, ETA 3m"] {
        assert!(status.contains(words), "{words}: {status}");
    }
    fs::remove_file(at_work.join("1")).unwrap();

    fs::write(folder.path().join("c.toml"), "[split]\nseed = 4\n").unwrap();
    refused("work plan --task 1", &["the configuration changed since"]);
    fs::write(folder.path().join("c.toml"), "[split]\nseed = 3\n").unwrap();

    let path = folder.path().join("plan/plan.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace(env!("CARGO_PKG_VERSION"), "0.0.9")).unwrap();
    refused("work plan --task 1", &["found one of 0.0.9", "plan again"]);
    fs::write(&path, &text[..text.len() / 2]).unwrap();
    refused("status plan", &["expected a plan, found", "plan again"]);
    fs::write(&path, &text).unwrap();

    let labels = folder.path().join("data/subjects/sub-01/responses.npy");
    let mut content = fs::read(&labels).unwrap();
    let last = content.len() - 1;
    content[last] ^= 0x40;
    fs::write(&labels, &content).unwrap();
    refused(
        "work plan --task 1",
        &["data changed since the plan", "sub-01"],
    );
}

#[test]
fn what_runs_out_of_time_is_saved_and_goes_on_to_the_same_bits() {
    let folder = simulated();
    let settings = "--folds 2 --set train.epochs=3 --set model.dim=8";
    mused(&folder, &format!("train data --out whole {settings}")).success();
    let stopped = said(
        &folder,
        &format!("train data --out run {settings} --time-limit 0s"),
        130,
    );
    assert!(stopped.contains("the time is over"), "{stopped}");
    assert!(stopped.contains("--resume"), "{stopped}");
    mused(&folder, "train data --out run --resume").success();
    let read = |run: &str| fs::read(folder.path().join(run).join("predictions.npy")).unwrap();
    assert!(read("run") == read("whole"));
}
