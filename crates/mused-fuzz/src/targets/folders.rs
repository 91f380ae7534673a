//! Folders of files. The first byte of an input says which file it stands in the place of; the others are good.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mused_clip::{ClipConfig, Preprocess, Tokenizer};
use mused_data::{Dataset, FeatureSet, Guidance, Labels, Level, Stimulus, Voxel};
use mused_report::{NoImages, Report, Request, RunFiles};
use mused_results::{evaluate, scores_by_subject};
use mused_run::{Config, Layers, Run, RunRecord, Task};
use mused_stats::metrics::Undefined;
use ndarray::{Array2, arr2};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A good folder, of which one file at a time is replaced.
struct Folder {
    place: TempDir,
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl Folder {
    #[allow(clippy::expect_used)] // A test tool without a place for its files has nothing to do.
    fn of(files: Vec<(impl AsRef<Path>, Vec<u8>)>) -> Self {
        let place = TempDir::new().expect("a folder for temporary files");
        let files = files.into_iter().map(|(name, content)| {
            let path = place.path().join(name);
            let folder = path.parent().unwrap_or(place.path());
            fs::create_dir_all(folder).expect("a folder");
            fs::write(&path, &content).expect("a file");
            (path, content)
        });
        let files = files.collect();
        Self { place, files }
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        let files = (0_u8..).zip(&self.files);
        let seed =
            |(number, (_, content)): (u8, &(PathBuf, Vec<u8>))| [&[number], &content[..]].concat();
        files.map(seed).collect()
    }

    /// Reads the folder with an input in it.
    #[allow(clippy::expect_used)]
    fn with(&self, input: &[u8], read: impl FnOnce(&Path) -> bool) -> bool {
        let Some((number, content)) = input.split_first() else {
            return false;
        };
        let replaced = &self.files[usize::from(*number) % self.files.len()];
        fs::write(&replaced.0, content).expect("a file");
        let written = |(path, _): &&(PathBuf, _)| path.ends_with("results.json");
        // Also where reading panics.
        let _mended = Mended {
            files: self
                .files
                .iter()
                .filter(written)
                .chain([replaced])
                .collect(),
        };
        read(self.place.path())
    }
}

/// Makes the files good again that an input, or its reading, has written.
struct Mended<'f> {
    files: Vec<&'f (PathBuf, Vec<u8>)>,
}

impl Drop for Mended<'_> {
    fn drop(&mut self) {
        for (path, good) in &self.files {
            // A file that cannot be written is noticed at the next input.
            let _ = fs::write(path, good);
        }
    }
}

thread_local! {
    static VOCABULARY: Folder = Folder::of(vocabulary_files());
    static TOKENIZER: Tokenizer = VOCABULARY.with(|folder| good_tokenizer(folder.place.path()));
    static RUN: Folder = Folder::of(run_files());
    static SCORED: Folder = Folder::of(scored_files());
    static DATASET: Folder = Folder::of(dataset_files());
}

#[allow(clippy::expect_used)]
fn good_tokenizer(folder: &Path) -> Tokenizer {
    Tokenizer::open(folder, 77).expect("a good vocabulary")
}

pub(super) fn with_tokenizer(read: impl FnOnce(&Tokenizer)) {
    TOKENIZER.with(read);
}

/// A vocabulary of bytes and a few merges, in the form of `tokenizer.json`.
fn vocabulary_files() -> Vec<(&'static str, Vec<u8>)> {
    let mut next = 256;
    let characters = (0..256_u32).map(|byte| {
        let printable = matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
        let code = if printable { byte } else { next };
        next += u32::from(!printable);
        char::from_u32(code).unwrap_or('?').to_string()
    });
    let characters: Vec<String> = characters.collect();
    let ends = characters
        .iter()
        .map(|character| format!("{character}</w>"));
    let merged = ["at", "cat</w>", "ph", "<|startoftext|>", "<|endoftext|>"].map(str::to_owned);
    let tokens = characters.iter().cloned().chain(ends).chain(merged);
    let numbers: serde_json::Map<String, Value> = tokens
        .zip(0..)
        .map(|(token, number)| (token, json!(number)))
        .collect();
    let merges = json!([["p", "h"], ["a", "t"], "c at</w>"]);
    let merges = match numbers.contains_key("at</w>") {
        true => merges,
        false => json!([["p", "h"], ["a", "t"]]),
    };
    let tokenizer = json!({"model": {"vocab": numbers, "merges": merges}});
    let config = json!({
        "projection_dim": 512,
        "vision_config": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "image_size": 224,
            "patch_size": 32, "intermediate_size": 3072},
        "text_config": {"hidden_size": 512, "num_hidden_layers": 12, "num_attention_heads": 8,
            "max_position_embeddings": 77, "vocab_size": 49408, "intermediate_size": 2048},
    });
    let preprocess = json!({"crop_size": {"height": 224, "width": 224}, "do_center_crop": true, "do_normalize": true,
        "do_resize": true, "image_mean": [0.48, 0.45, 0.40], "image_std": [0.26, 0.26, 0.27], "resample": 3,
        "size": {"shortest_edge": 224}});
    vec![
        ("tokenizer.json", tokenizer.to_string().into_bytes()),
        ("config.json", config.to_string().into_bytes()),
        (
            "preprocessor_config.json",
            preprocess.to_string().into_bytes(),
        ),
    ]
}

pub(super) fn vocabulary_seeds() -> Vec<Vec<u8>> {
    VOCABULARY.with(Folder::seeds)
}

pub(super) fn vocabulary(input: &[u8]) -> bool {
    VOCABULARY.with(|folder| {
        folder.with(input, |path| {
            let tokenizer = Tokenizer::open(path, 77);
            let words = tokenizer.map(|tokenizer| tokenizer.encode("a photo of a cat"));
            let config = ClipConfig::open(path.join("config.json"));
            let preprocess = Preprocess::open(path, 224);
            words.is_ok() && config.is_ok() && preprocess.is_ok()
        })
    })
}

/// An array of .npy.
fn npy(descr: &str, shape: [usize; 2], data: &[u8]) -> Vec<u8> {
    let [rows, columns] = shape;
    let header =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    let header = format!("{header:<117}\n");
    let length = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\0", &length[..], header.as_bytes(), data].concat()
}

fn floats(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// A complete run of two folds, subjects and labels, without digests: those would stop all damage.
fn run_files() -> Vec<(&'static str, Vec<u8>)> {
    let task = |index| Task {
        index,
        fold: index,
        subject: None,
        holdout: None,
    };
    let config = Config::default().folds(2);
    let written = Layers::of(&config).map(|layers| layers.annotated());
    let record = RunRecord {
        schema: RunRecord::SCHEMA.to_owned(),
        folds: 2,
        subjects: vec!["1".to_owned(), "2".to_owned()],
        tasks: vec![task(0), task(1)],
        config: Some(config),
        finished: Some("2026-01-01T00:00:00Z".to_owned()),
        ..RunRecord::default()
    };
    let mut split = "fold\tpart\tstimulus_id\tgroup\n".to_owned();
    for fold in 0..2 {
        for stimulus in 0..4 {
            let part = if stimulus % 2 == fold {
                "test"
            } else {
                "train"
            };
            split += &format!("{fold}\t{part}\ts{stimulus}\tg{stimulus}\n");
        }
    }
    let mut trials = "fold\tsubject\tstimulus_id\n".to_owned();
    for row in 0..8 {
        trials += &format!("{}\t{}\ts{}\n", row % 2, 1 + row / 4, row % 4);
    }
    let probabilities: Vec<f32> = (0..16).map(|value| value as f32 / 16.0).collect();
    // Of four stimuli, which both subjects saw.
    let targets = [1_u8, 0, 0, 1, 1, 1, 0, 0].repeat(2);
    let epoch = json!({"fold": 0, "epoch": 1, "step": 3, "learning_rate": 0.1,
        "train": {"total": 0.5, "classification": 0.4, "orthogonality": null, "high": 0.1, "low": null},
        "validation": {"average_precision": 0.5, "roc_auc": 0.6}, "seconds": 0.1});
    vec![
        ("run.json", serde_json::to_vec(&record).unwrap_or_default()),
        ("config.toml", written.unwrap_or_default().into_bytes()),
        ("split.tsv", split.into_bytes()),
        ("trials.tsv", trials.into_bytes()),
        ("labels.tsv", b"label\nface\nhouse\n".to_vec()),
        ("shown.tsv", b"stimulus_id\ns0\ns1\ns2\ns3\n".to_vec()),
        (
            "predictions.npy",
            npy("<f4", [8, 2], &floats(&probabilities)),
        ),
        ("targets.npy", npy("|u1", [8, 2], &targets)),
        ("metrics.jsonl", format!("{epoch}\n").into_bytes()),
        (
            "results.json",
            br#"{"schema": "mused-results/4", "folds": 2}"#.to_vec(),
        ),
        (
            "permutations/scores.tsv",
            b"index\tmacro_ap\tmacro_auc\n1\t0.5\t0.5\n".to_vec(),
        ),
    ]
}

pub(super) fn run_seeds() -> Vec<Vec<u8>> {
    RUN.with(Folder::seeds)
}

pub(super) fn run(input: &[u8]) -> bool {
    RUN.with(|folder| {
        folder.with(input, |path| {
            let Ok(run) = Run::open(path) else {
                return false;
            };
            drop(run.config().map(|config| config.check()));
            drop(run.resolved_config());
            drop(run.settled());
            drop(run.division());
            drop(run.epochs());
            drop(run.results());
            drop(run.retrained());
            drop(run.dataset(None));
            let predictions = run.predictions();
            let scores = predictions.map(|rows| scores_by_subject(&rows, Undefined::Exclude));
            scores.is_ok_and(|scores| scores.is_ok())
        })
    })
}

/// The same with its scores.
#[allow(clippy::expect_used)]
fn scored_files() -> Vec<(&'static str, Vec<u8>)> {
    let mut files = run_files();
    let folder = Folder::of(files.clone());
    let run = Run::open(folder.place.path()).expect("a run");
    let results = evaluate(&run, Undefined::Exclude).expect("scores");
    for (name, content) in &mut files {
        if *name == "results.json" {
            *content = serde_json::to_vec(&results).expect("scores as JSON");
        }
    }
    files
}

pub(super) fn report_seeds() -> Vec<Vec<u8>> {
    SCORED.with(Folder::seeds)
}

pub(super) fn report(input: &[u8]) -> bool {
    SCORED.with(|folder| {
        folder.with(input, |path| {
            let Ok(run) = RunFiles::read(path) else {
                return false;
            };
            let report = Report::new(Request {
                run: &run,
                others: &[],
                images: &mut NoImages,
                quality: None,
                surfaces: &[],
                tsne: false,
                command: "mused report run",
                out: &path.join("report.html"),
            });
            report.is_ok_and(|report| !report.html().is_empty())
        })
    })
}

/// Two subjects of two regions who saw three stimuli, as this program writes them.
#[allow(clippy::expect_used)]
fn dataset_files() -> Vec<(PathBuf, Vec<u8>)> {
    let write = |folder: &Path| {
        let stimuli = ["face-1", "face-2", "house-1"].map(Stimulus::new).to_vec();
        let labels = Labels {
            names: vec!["person".to_owned(), "house".to_owned()],
            matrix: arr2(&[[1, 0], [1, 0], [0, 1]]),
        };
        let mut builder = Dataset::builder("faces", stimuli, labels);
        for subject in ["01", "02"] {
            let trials = builder.trials(["face-1", "house-1", "face-2", "face-1"])?;
            let responses =
                Array2::from_shape_fn((4, 3), |(trial, voxel)| (trial * 2 + voxel) as f32);
            let voxels = Voxel::in_regions(["V1", "V1", "FFA"]);
            builder.subject(subject, trials, voxels, responses)?;
        }
        let clip = FeatureSet::new("clip", Level::High);
        builder.features(clip, arr2(&[[0.9, 0.1], [0.8, 0.2], [0.1, 0.7]]))?;
        builder.build()?.write(folder)
    };
    let folder = TempDir::new().expect("a folder for temporary files");
    let dataset = folder.path().join("dataset");
    write(&dataset).expect("a dataset");
    files_in(&dataset).expect("its files")
}

/// All files of a folder and the folders in it, by their paths within it, sorted.
fn files_in(root: &Path) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let (mut folders, mut files) = (vec![root.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let within = path.strip_prefix(root).unwrap_or(&path).to_owned();
                files.push((within, fs::read(path)?));
            }
        }
    }
    files.sort();
    Ok(files)
}

pub(super) fn dataset_seeds() -> Vec<Vec<u8>> {
    DATASET.with(Folder::seeds)
}

pub(super) fn dataset(input: &[u8]) -> bool {
    DATASET.with(|folder| {
        folder.with(input, |path| {
            let Ok(dataset) = Dataset::open(path) else {
                return false;
            };
            dataset.problems();
            drop(dataset.check_arrays());
            drop(dataset.identity(&["clip"]));
            drop(Guidance::load(&dataset, Level::High, "auto"));
            for subject in &dataset.subjects {
                drop(subject.grid());
            }
            true
        })
    })
}
