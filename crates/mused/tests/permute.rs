//! The permutation test of a whole pipeline.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod program;

use std::fs;

use program::mused;
use serde_json::Value;
use tempfile::TempDir;

fn results(folder: &TempDir) -> Value {
    let text = fs::read(folder.path().join("run/results.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

#[test]
fn pipelines_are_retrained_on_labels_of_other_stimuli() {
    let folder = TempDir::new().unwrap();
    mused(
        &folder,
        "simulate --spaces common --subjects 3 --stimuli 120 --seed 1 data",
    )
    .success();
    mused(
        &folder,
        "train data --out run --folds 2 --model ridge-pooled",
    )
    .success();
    mused(&folder, "evaluate run").success();
    let untested = &results(&folder)["inference"]["roc_auc"]["retrained"];
    assert!(
        untested["unavailable"]
            .as_str()
            .unwrap()
            .contains("mused permute")
    );

    mused(&folder, "permute run --permutations 4").success();
    let scores = fs::read_to_string(folder.path().join("run/permutations/scores.tsv")).unwrap();
    let output = mused(&folder, "permute run --permutations 19").success();
    let printed = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    assert!(printed.contains("19 runs retrained"), "{printed}");
    let more = fs::read_to_string(folder.path().join("run/permutations/scores.tsv")).unwrap();
    assert!(more.starts_with(&scores));
    assert_eq!(more.lines().count(), 20);
    let different: std::collections::BTreeSet<&str> = more
        .lines()
        .filter_map(|row| row.split_once('\t'))
        .map(|(_, scores)| scores)
        .collect();
    assert_eq!(different.len(), 20, "{more}");

    let found = results(&folder);
    for metric in ["average_precision", "roc_auc"] {
        let test = &found["inference"][metric]["retrained"];
        // The simulation has something to find, and relabelled it has nothing.
        assert_eq!(test["p"], 0.05);
        assert_eq!(test["smallest_p"], 0.05);
    }
    let chance = found["inference"]["roc_auc"]["retrained"]["null_mean"]
        .as_f64()
        .unwrap();
    // Below .5: a label that is frequent in a test part is rare in the training part that goes with it.
    assert!((0.4..0.53).contains(&chance), "{chance}");
    fs::rename(folder.path().join("data"), folder.path().join("moved")).unwrap();
    let refused = mused(&folder, "permute run --permutations 20").code(1);
    let message = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    assert!(message.contains("--dataset"), "{message}");
    mused(&folder, "permute run --permutations 20 --dataset moved").success();
}
