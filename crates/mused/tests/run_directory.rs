//! What every verb makes of run directories: of this version and the first, damaged, edited, and what is none at all.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod program;

use std::fs;
use std::path::Path;

use mused_formats::npy::{read_npy_f32, write_npy_f32};
use program::mused;
use serde_json::Value;
use tempfile::TempDir;

const SMALL: &str = "--folds 2 --set train.epochs=2 --set model.dim=16";

/// A folder with a dataset `data` and a run `run` of it.
fn trained(settings: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    mused(
        &folder,
        "simulate --spaces common --subjects 2 --stimuli 60 --seed 1 data",
    )
    .success();
    mused(&folder, &format!("train data --out run {SMALL} {settings}")).success();
    folder
}

fn refusal(folder: &TempDir, arguments: &str) -> String {
    let output = mused(folder, arguments).code(1).get_output().stderr.clone();
    String::from_utf8(output).unwrap()
}

fn json(folder: &TempDir, file: &str) -> Value {
    serde_json::from_slice(&fs::read(folder.path().join(file)).unwrap()).unwrap()
}

fn column(path: &Path, column: &str) -> Vec<f64> {
    let table = mused_formats::table::Table::read(path).unwrap();
    table.column(column).unwrap().parse().unwrap()
}

/// Verbs that take a run, where `RUN` stands for it.
const VERBS: [&str; 9] = [
    "evaluate RUN",
    "explain RUN",
    "audit RUN",
    "permute RUN --permutations 1",
    "predict RUN data --out p.npy",
    "report RUN",
    "compare RUN RUN",
    "config --run RUN",
    "train data --out RUN --resume",
];

#[test]
fn every_verb_says_the_same_of_what_is_no_run() {
    let folder = trained("");
    let refused = |run: &str, expected: &str| {
        for verb in VERBS {
            // What `audit` takes besides.
            if verb.starts_with("audit") && run == "data" {
                continue;
            }
            let message = refusal(&folder, &verb.replace("RUN", run));
            assert!(message.contains(expected), "{verb}: {message}");
        }
    };
    refused("data", "expected a run directory, found a dataset");
    fs::create_dir(folder.path().join("plain")).unwrap();
    refused(
        "plain",
        "plain: expected a run directory, found no run.json in it",
    );
    refused("nowhere", "nowhere: there is nothing at this path");
    let train = refusal(&folder, "train run --out b");
    assert!(train.contains("found a run directory"), "{train}");
    assert!(refusal(&folder, "audit nothing").contains("nothing"));

    let path = folder.path().join("run/run.json");
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    refused("run", "run.json: expected the description of a run");
    fs::write(&path, whole.replace("mused-run/2", "mused-run/3")).unwrap();
    refused("run", "made by a newer mused");
    fs::write(&path, "{\"schema\": \"somebody-else/1\"}").unwrap();
    refused("run", "not the run.json of a run of mused");
    fs::remove_file(&path).unwrap();
    refused(
        "run",
        "run: expected a run directory, found one without run.json",
    );
    // What a newer version adds is passed over.
    fs::write(&path, whole.replacen('{', "{ \"future\": [1, 2],", 1)).unwrap();
    mused(&folder, "evaluate run").success();
}

#[test]
fn a_run_of_the_first_version_opens() {
    let folder = trained("--set model.inputs=voxels");
    // As version 0.1.0 wrote it: no resolved facts, a hash of the whole folder, the flat configuration.
    let path = folder.path().join("run/run.json");
    let mut run: Value = json(&folder, "run/run.json");
    run["schema"] = "mused-run/1".into();
    for key in ["resolved", "config"] {
        run.as_object_mut().unwrap().remove(key);
    }
    let dataset = mused::Dataset::open(folder.path().join("data")).unwrap();
    let reference = run["dataset"].as_object_mut().unwrap();
    reference.remove("identity");
    reference.insert("sha256".to_owned(), dataset.folder_sha256().unwrap().into());
    fs::write(&path, run.to_string()).unwrap();
    fs::remove_file(folder.path().join("run/shown.tsv")).unwrap();
    let config = include_str!("../../mused-run/tests/config-0.1.0.toml");
    let config = config
        .replace("folds = 1", "folds = 2")
        .replace("validation_fraction = 0.1", "validation_fraction = 0.0")
        .replace("dim = 128", "dim = 16");
    // One key is missing, as in a file of a version between.
    let config = config.replace("patch_size = 8 # preset default\n", "");
    fs::write(folder.path().join("run/config.toml"), config).unwrap();
    for verb in VERBS {
        mused(&folder, &verb.replace("RUN", "run")).success();
    }
    fs::write(folder.path().join("data/more"), "a file").unwrap();
    let message = refusal(&folder, "explain run");
    assert!(message.contains("another dataset"), "{message}");
}

#[test]
fn only_what_a_run_read_makes_its_dataset_another_one() {
    let folder = trained("");
    let data = folder.path().join("data");
    fs::write(data.join(".DS_Store"), "Finder").unwrap();
    let features = data.join("features/unrelated");
    fs::create_dir(&features).unwrap();
    let zeros = ndarray::Array2::<f32>::zeros((60, 2));
    write_npy_f32(features.join("features.npy"), zeros.view()).unwrap();
    // Of a level that has one already: the run knows which it was guided by.
    fs::write(
        features.join("feature.json"),
        r#"{"level": "high", "description": "new"}"#,
    )
    .unwrap();
    for verb in [
        "explain run",
        "audit run",
        "permute run --permutations 1",
        "evaluate run",
    ] {
        mused(&folder, verb).success();
    }
    let ceiling = &json(&folder, "run/results.json")["noise_ceiling"];
    assert!(ceiling["responses"]["sub-01"].is_number(), "{ceiling}");

    let responses = data.join("subjects/sub-02/responses.npy");
    let mut bytes = fs::read(&responses).unwrap();
    let last = bytes.len() - 3;
    bytes[last] ^= 1;
    fs::write(&responses, bytes).unwrap();
    let message = refusal(&folder, "explain run");
    assert!(message.contains("voxels of subject sub-02"), "{message}");
    assert!(message.contains("--dataset"), "{message}");
}

#[test]
fn a_configuration_edited_meanwhile_is_not_resumed() {
    let folder = trained("");
    let path = folder.path().join("run/config.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::remove_file(folder.path().join("run/predictions.npy")).unwrap();
    fs::write(&path, text.replace("epochs = 2", "epochs = 3")).unwrap();
    let message = refusal(&folder, "train data --out run --resume");
    assert!(message.contains("train.epochs: 2, now 3"), "{message}");
    // Comments are nobody's loss.
    fs::write(&path, text.replace("# --set", "# by hand")).unwrap();
    // What trained is tested: no later version may go on from there. Earlier ones kept no record of their files.
    fs::remove_file(folder.path().join("run/sha256.tsv")).unwrap();
    let split = folder.path().join("run/split.tsv");
    let divided = fs::read_to_string(&split).unwrap();
    let exchanged = divided
        .replace("\ttrain\t", "\tt\t")
        .replace("\ttest\t", "\ttrain\t");
    fs::write(&split, exchanged.replace("\tt\t", "\ttest\t")).unwrap();
    let message = refusal(&folder, "train data --out run --resume");
    assert!(message.contains("the folds of split.tsv"), "{message}");
    fs::write(&split, divided).unwrap();
    mused(&folder, "train data --out run --resume").success();
}

#[test]
fn a_run_in_bf16_is_kept_but_not_gone_on_with_where_there_are_no_instructions_for_it() {
    let folder = trained("");
    let at = |file: &str| folder.path().join(file);
    // As a machine with the instructions would have left it.
    for file in ["run/config.toml", "run/run.json"] {
        let text = fs::read_to_string(at(file)).unwrap();
        let bf16 = text
            .replace("precision = \"single\"", "precision = \"bf16\"")
            .replace("\"precision\": \"single\"", "\"precision\": \"bf16\"");
        assert_ne!(text, bf16, "{file}");
        fs::write(at(file), bf16).unwrap();
    }
    let resume = || {
        assert_cmd::Command::new(env!("CARGO_BIN_EXE_mused"))
            .current_dir(folder.path())
            .env("MUSED_PLAIN", "1")
            .args("train data --out run --resume".split_whitespace())
            .assert()
    };
    resume().success();
    fs::remove_file(at("run/checkpoints/fold-1/model.safetensors")).unwrap();
    let output = resume().code(1).get_output().stderr.clone();
    let message = String::from_utf8(output).unwrap();
    assert!(
        message.contains("no bf16 instructions (avx512_bf16)"),
        "{message}"
    );
}

/// Parts that others have made are not gathered into a run that cannot be finished here.
#[test]
fn a_part_in_bf16_that_is_missing_is_said_before_a_run_is_made() {
    let folder = trained("");
    fs::create_dir_all(folder.path().join("new/parts/1")).unwrap();
    let train = "train data --out new --folds 2 --set train.precision=bf16";
    let refused = assert_cmd::Command::new(env!("CARGO_BIN_EXE_mused"))
        .current_dir(folder.path())
        .env("MUSED_PLAIN", "1")
        .args(train.split_whitespace())
        .assert()
        .code(1);
    let message = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    assert!(message.contains("no bf16 instructions"), "{message}");
    assert!(!folder.path().join("new/run.json").exists());
}

/// Each verb would tell of another run than the one that was trained.
#[test]
fn an_edited_configuration_is_no_verbs() {
    let folder = trained("");
    let path = folder.path().join("run/config.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(folder.path().join("words.txt"), "car\nsky\n").unwrap();
    let further = [
        "retrieve RUN",
        "words RUN --words words.txt --vectors v.npy",
        "adapt RUN data --subject sub-01 --out a",
        "benchmark data --out b --models default",
    ];
    fs::create_dir_all(folder.path().join("b/default")).unwrap();
    std::os::unix::fs::symlink("../../run", folder.path().join("b/default/seed-0")).unwrap();
    fs::write(&path, text.replace("dim = 16", "dim = 24")).unwrap();
    for verb in VERBS.iter().chain(&further) {
        let message = refusal(&folder, &verb.replace("RUN", "run"));
        assert!(
            message.contains("run/config.toml") || message.contains("seed-0/config.toml"),
            "{verb}: {message}"
        );
        assert!(
            message.contains("model.dim: 16, now 24") && message.contains("remove the file"),
            "{verb}: {message}"
        );
    }
    // Not even where run.json was: it is the two that differ.
    fs::write(&path, &text).unwrap();
    let record = folder.path().join("run/run.json");
    let whole = fs::read_to_string(&record).unwrap();
    fs::write(&record, whole.replacen("\"dim\": 16", "\"dim\": 24", 1)).unwrap();
    let message = refusal(&folder, "explain run");
    assert!(message.contains("model.dim: 24, now 16"), "{message}");
    // The advice is right.
    fs::write(&record, whole).unwrap();
    fs::write(&path, text.replace("dim = 16", "dim = 24")).unwrap();
    fs::remove_file(&path).unwrap();
    mused(&folder, "explain run").success();
}

#[test]
fn scores_that_were_edited_are_made_again() {
    let folder = trained("");
    mused(&folder, "evaluate run").success();
    let path = folder.path().join("run/results.json");
    let whole = fs::read_to_string(&path).unwrap();
    let found = json(&folder, "run/results.json")["macro"]["roc_auc"]["mean"].to_string();
    fs::write(&path, whole.replace(&found, "0.9876")).unwrap();
    mused(&folder, "report run").success();
    let page = fs::read_to_string(folder.path().join("run/report.html")).unwrap();
    let note = "results.json was not the file that was written";
    assert!(page.contains(note) && !page.contains("0.988"));
    assert!(fs::read_to_string(&path).unwrap() == whole);
    // Damage to what scores are made of is found as before, and mended without losing what is known of the scores.
    fs::remove_file(folder.path().join("run/predictions.npy")).unwrap();
    mused(&folder, "train data --out run --resume").success();
    fs::write(&path, whole.replace(&found, "0.9876")).unwrap();
    mused(&folder, "report run").success();
    assert!(fs::read_to_string(&path).unwrap() == whole);
}

#[test]
fn what_a_run_came_to_is_on_record() {
    let folder = trained("--set guidance.low=none --set model.zscore=false");
    let resolved = &json(&folder, "run/run.json")["resolved"];
    assert_eq!(
        resolved["guidance_low"]["unused"],
        "the configuration says none"
    );
    assert!(
        resolved["guidance_high"]["features"].is_string(),
        "{resolved}"
    );
    assert_eq!(resolved["inputs"]["zscored"], false);
    assert_eq!(resolved["inputs"]["arrangement"], "aligned");
    assert_eq!(resolved["inputs"]["aligned"]["onto"], "guidance+labels");
    assert_eq!(resolved["weights_chosen_by_validation"], false);
    fs::remove_dir_all(folder.path().join("data/features")).unwrap();
    mused(
        &folder,
        &format!(
            "train data --out auto {SMALL} --set model.inputs=voxels --holdout-subject sub-01"
        ),
    )
    .success();
    let resolved = &json(&folder, "auto/run.json")["resolved"];
    let unused = "no feature set of the dataset names this level";
    assert_eq!(resolved["guidance_high"]["unused"], unused);
    assert_eq!(resolved["held_out"]["subjects"][0], "sub-01");
}

/// A control is made anew from the data whenever its run is read.
#[test]
fn shuffled_brains_are_relabelled_and_searched_as_they_were_read() {
    let folder = trained("--model shuffled-brain");
    let audited = mused(&folder, "audit run").success();
    let audited = String::from_utf8(audited.get_output().stdout.clone()).unwrap();
    assert!(audited.contains("no leak found"), "{audited}");
    mused(&folder, "permute run --permutations 3").success();
    let scores = column(
        &folder.path().join("run/permutations/scores.tsv"),
        "macro_auc",
    );
    assert_eq!(scores.len(), 3);
    assert!(
        scores[0] != scores[1] && scores[1] != scores[2],
        "{scores:?}"
    );
}

#[test]
fn a_benchmark_knows_its_runs_by_what_they_are_made_of() {
    let folder = TempDir::new().unwrap();
    mused(
        &folder,
        "simulate --spaces common --subjects 2 --stimuli 60 --seed 1 data",
    )
    .success();
    let models = "--models ridge-separate,prevalence --seeds 0";
    mused(
        &folder,
        &format!("benchmark data --out b {models} --folds 2"),
    )
    .success();
    // The same, said in another way.
    mused(
        &folder,
        &format!("benchmark data --out b {models} --set split.folds=2"),
    )
    .success();
    let message = refusal(
        &folder,
        &format!("benchmark data --out b {models} --folds 3"),
    );
    assert!(message.contains("other settings"), "{message}");
}

#[test]
fn predictions_do_not_overwrite_their_own_table() {
    let folder = trained("");
    let message = refusal(&folder, "predict run data --out p.tsv");
    assert!(message.contains("ends in .npy"), "{message}");
    assert!(!folder.path().join("p.tsv").exists());
    mused(&folder, "predict run data --out p.npy").success();
    assert_eq!(
        read_npy_f32(folder.path().join("p.npy")).unwrap().shape()[0],
        120
    );
}

/// The p of a shift along a circle must not depend on names (two films of the same seconds, named apart).
#[test]
fn a_shift_follows_time_and_not_the_alphabet() {
    let p = |name: &dyn Fn(usize, usize) -> String| {
        let folder = TempDir::new().unwrap();
        let run = folder.path().join("run");
        fs::create_dir(&run).unwrap();
        let clips = [12, 13, 15].into_iter().enumerate();
        let seconds: Vec<(usize, usize)> = clips
            .flat_map(|(clip, length)| (0..length).map(move |at| (clip, at)))
            .collect();
        let wave = |at: usize| (at as f64 * 0.35).sin();
        let truth: Vec<u8> = (0..40).map(|at| u8::from(wave(at) > 0.2)).collect();
        let score = |row: usize| (0.5 + 0.3 * wave(row % 40 + 3) + 0.002 * (row % 7) as f64) as f32;
        let (mut split, mut trials) = (
            "fold\tpart\tstimulus_id\tgroup\n".to_owned(),
            "fold\tsubject\tstimulus_id\n".to_owned(),
        );
        for &(clip, second) in &seconds {
            split.push_str(&format!("0\ttest\t{}\tclip{clip}\n", name(clip, second)));
        }
        for subject in ["s", "t"] {
            for &(clip, second) in &seconds {
                trials.push_str(&format!("0\t{subject}\t{}\n", name(clip, second)));
            }
        }
        fs::write(run.join("split.tsv"), split).unwrap();
        fs::write(run.join("trials.tsv"), trials).unwrap();
        fs::write(run.join("labels.tsv"), "label\ncut\n").unwrap();
        let scores = ndarray::Array2::from_shape_fn((80, 1), |(row, _)| score(row));
        let targets = ndarray::Array2::from_shape_fn((80, 1), |(row, _)| truth[row % 40]);
        write_npy_f32(run.join("predictions.npy"), scores.view()).unwrap();
        mused_formats::npy::write_npy_u8(run.join("targets.npy"), targets.view()).unwrap();
        mused(&folder, "evaluate run").success();
        let inference = json(&folder, "run/results.json")["inference"].clone();
        assert_eq!(inference["exchanged"], "shift");
        inference["roc_auc"]["permutation"].clone()
    };
    let padded = p(&|clip, second| format!("clip{clip}_{second:03}"));
    let plain = p(&|clip, second| format!("clip{clip}_{second}"));
    let backwards = p(&|clip, second| format!("z{:02}_{:02}", 9 - clip, 90 - second));
    assert_eq!(plain, padded);
    assert_eq!(backwards, padded);
}

#[test]
fn what_is_lost_of_a_run_is_made_again_by_resuming() {
    let folder = trained("");
    let file = |name: &str| fs::read(folder.path().join("run").join(name)).unwrap();
    let names = [
        "labels.tsv",
        "shown.tsv",
        "split.tsv",
        "predictions.npy",
        "checkpoints/fold-0/model.safetensors",
        "checkpoints/fold-1/inputs.safetensors",
    ];
    let whole = names.map(file);
    for (name, whole) in names.into_iter().zip(&whole) {
        fs::remove_file(folder.path().join("run").join(name)).unwrap();
        mused(&folder, "train data --out run --resume").success();
        assert!(file(name) == *whole, "{name}");
    }
    // What is damaged says so, and the advice is right.
    for name in [
        "split.tsv",
        "labels.tsv",
        "trials.tsv",
        "targets.npy",
        "predictions.npy",
    ] {
        let path = folder.path().join("run").join(name);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..3]).unwrap();
        for verb in ["evaluate run", "compare run run"] {
            let message = refusal(&folder, verb);
            assert!(
                message.contains("--resume` makes it again"),
                "{name}: {message}"
            );
        }
        fs::remove_file(&path).unwrap();
        mused(&folder, "train data --out run --resume").success();
        assert!(fs::read(&path).unwrap() == whole, "{name}");
    }
    let path = folder.path().join("run/config.toml");
    fs::write(&path, "[train]\nepochs = \"many\"\n").unwrap();
    assert!(refusal(&folder, "explain run").contains("run.json has the same values"));
    fs::remove_file(&path).unwrap();
    mused(&folder, "explain run").success();

    let path = folder.path().join("run/split.tsv");
    let split = fs::read_to_string(&path).unwrap();
    fs::write(&path, split.replacen("\ttrain\t", "\ttest\t", 1)).unwrap();
    let message = refusal(&folder, "train data --out run --resume");
    assert!(message.contains("split.tsv"), "{message}");
}

#[test]
fn a_run_killed_before_it_began_stands_in_nobodys_way() {
    let folder = trained("");
    for name in [
        "run.json",
        "predictions.npy",
        "trials.tsv",
        "targets.npy",
        "metrics.jsonl",
    ] {
        fs::remove_file(folder.path().join("run").join(name)).unwrap();
    }
    for name in ["checkpoints", "tensorboard", "ridge"] {
        fs::remove_dir_all(folder.path().join("run").join(name)).unwrap();
    }
    mused(&folder, &format!("train data --out run {SMALL}")).success();
    // What may be somebody's work does.
    fs::remove_file(folder.path().join("run/run.json")).unwrap();
    let message = refusal(&folder, &format!("train data --out run {SMALL}"));
    assert!(message.contains("already exists"), "{message}");
}

/// Weight decay fell on embeddings in version 0.1.0: such a run would go on as another.
#[test]
fn a_run_of_another_recipe_is_not_gone_on_with() {
    let folder = trained("--model transformer-embedding");
    let path = folder.path().join("run/run.json");
    let mut run = json(&folder, "run/run.json");
    run["schema"] = "mused-run/1".into();
    run.as_object_mut().unwrap().remove("resolved");
    fs::write(&path, run.to_string()).unwrap();
    for verb in [
        "train data --out run --resume",
        "permute run --permutations 1",
    ] {
        let message = refusal(&folder, verb);
        assert!(message.contains("weight decay"), "{message}");
    }
    mused(&folder, "evaluate run").success();
}

#[test]
fn sizes_that_no_machine_has_are_refused() {
    let folder = TempDir::new().unwrap();
    mused(
        &folder,
        "simulate --spaces common --subjects 2 --stimuli 30 --seed 1 data",
    )
    .success();
    for setting in [
        "model.depth=16777216",
        "train.batch_size=16777216",
        "model.mlp_ratio=1e18",
        "model.mlp_ratio=1e300",
    ] {
        let message = refusal(&folder, &format!("train data --out a --set {setting}"));
        assert!(message.contains("GB"), "{setting}: {message}");
    }
    for setting in [
        "model.components=9223372036854775807",
        "model.patch_size=16777216",
        "train.micro_batch=16777217",
        "model.dim=0",
    ] {
        let message = refusal(&folder, &format!("train data --out a --set {setting}"));
        let key = setting.split('=').next().unwrap();
        assert!(
            message.contains(key) && message.contains("from "),
            "{message}"
        );
    }
    let everywhere = "[-2147483648,2147483647]";
    let grid = format!("model.grid=[{everywhere},{everywhere},{everywhere}]");
    for layout in ["model.tokenizer=patches", "model.family=brainformer"] {
        let command = format!("train data --out a --set {layout} --set {grid}");
        let message = refusal(&folder, &command);
        assert!(message.contains("voxels"), "{message}");
    }
    let message = refusal(&folder, "benchmark data --out b --seeds 0,0");
    assert!(message.contains("twice"), "{message}");
}
