//! The binary on volumes: convolutions and patches, the same bits on any number of threads, a checkpoint out and in.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use mused::formats::npy;
use tempfile::TempDir;

const NARROW: &str = r#"
[model]
tokenizer = "convolutions"
[brainformer]
depth = "10"
stem = [4, 4]
stages = [4, 4, 8, 8]
heads = 2
head_dim = 4
mlp = [8, 8]
[train]
epochs = 2
batch_size = 16
micro_batch = 6
"#;

/// A folder with a simulated volume dataset, `data`, and the configuration `narrow.toml`.
struct Bench(TempDir);

impl Bench {
    fn new() -> Self {
        let bench = Self(TempDir::new().unwrap());
        fs::write(bench.0.path().join("narrow.toml"), NARROW).unwrap();
        let simulate =
            "simulate --spaces common --kind volume --subjects 2 --stimuli 30 --seed 1 data";
        bench.mused(simulate).success();
        bench
    }

    fn mused(&self, arguments: &str) -> Assert {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mused"));
        command.current_dir(self.0.path());
        command.args(arguments.split_whitespace()).assert()
    }

    fn bytes(&self, file: &str) -> Vec<u8> {
        fs::read(self.0.path().join(file)).unwrap()
    }

    fn refused(&self, arguments: &str, words: &[&str]) {
        let output = self.mused(arguments).code(1).get_output().stderr.clone();
        let message = String::from_utf8(output).unwrap();
        for word in words {
            assert!(message.contains(word), "{word:?} is not in: {message}");
        }
    }
}

#[test]
fn convolutions_give_the_same_bits_on_any_number_of_threads() {
    let bench = Bench::new();
    for threads in [1, 2, 3] {
        let run = format!("train data --out run{threads} --config narrow.toml --threads {threads}");
        bench.mused(&run).success();
        let predictions = bench.bytes(&format!("run{threads}/predictions.npy"));
        assert_eq!(predictions, bench.bytes("run1/predictions.npy"));
    }
    bench.mused("evaluate run1").success();
}

#[test]
fn a_checkpoint_out_and_in_predicts_the_same() {
    let bench = Bench::new();
    bench
        .mused("train data --out run --config narrow.toml --set split.validation_fraction=0")
        .success();
    bench
        .mused("export-checkpoint run weights.safetensors")
        .success();
    // The configuration of the run, but for what the checkpoint tells; average weights are kept.
    let import = "import-checkpoint weights.safetensors again --dataset data \
                  --set model.grid=[] --set model.zscore=true --set brainformer.heads=2";
    bench.mused(import).success();
    let again = bench.bytes("again/predictions.npy");
    assert_eq!(again, bench.bytes("run/predictions.npy"));
    bench.mused("evaluate again").success();
    bench.mused("predict again data --out all.npy").success();
    let all = npy::read_npy_f32(bench.0.path().join("all.npy")).unwrap();
    assert_eq!(all.shape(), [60, 80]);

    bench.refused(import, &["again already exists"]);
    bench.refused(
        "export-checkpoint run weights.safetensors",
        &["weights.safetensors", "exists"],
    );
    bench.refused("export-checkpoint run other --fold 1", &["has no fold 1"]);
    bench.refused(
        "import-checkpoint weights.safetensors x --dataset data --subjects sub-01,sub-09",
        &["has no subjects sub-09"],
    );
    bench
        .mused("simulate --spaces common --subjects 3 --stimuli 30 more")
        .success();
    bench.refused(
        "import-checkpoint weights.safetensors x --dataset more --set brainformer.heads=2",
        &["expected the tokens of 3 subjects", "found those of 2"],
    );
}

#[test]
fn patches_are_the_default_for_volumes() {
    let bench = Bench::new();
    let small = "--set train.epochs=1 --set model.dim=16 --set model.patch_size=6";
    bench
        .mused(&format!("train data --out patches {small}"))
        .success();
    let config = String::from_utf8(bench.bytes("patches/config.toml")).unwrap();
    assert!(config.contains("tokenizer = \"auto\""), "{config}");
    bench.mused("evaluate patches").success();
    bench.refused(
        "export-checkpoint patches weights.safetensors",
        &["only the volume model", "brainformer"],
    );
}

#[test]
fn grids_that_cannot_be_are_refused_before_anything_is_created() {
    let bench = Bench::new();
    let train = |settings: &str| format!("train data --out run --config narrow.toml {settings}");
    let small = train("--set model.grid=[[0,4],[0,4],[0,4]]");
    bench.refused(&small, &["[4, 4, 4] is too small"]);
    let outside = train("--set model.tokenizer=patches --set model.grid=[[90,99],[0,9],[0,9]]");
    bench.refused(&outside, &["no voxel of any subject"]);
    let turned = train("--set model.grid=[[9,0],[0,9],[0,9]]");
    bench.refused(&turned, &["from below to"]);
    let flat = train("--set model.grid=[[0,9]]");
    bench.refused(&flat, &["model.grid must be empty or three pairs"]);
    let huge = train("--set model.grid=[[0,4000],[0,4000],[0,4000]]");
    bench.refused(&huge, &["at most 134217728 voxels", "model.grid"]);
    assert!(!bench.0.path().join("run").exists());
}
