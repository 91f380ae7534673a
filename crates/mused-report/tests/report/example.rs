//! A small run directory of fixed numbers, in the layout of `mused train` and `mused explain`.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use mused_data::Dataset;
use mused_formats::npy;
use mused_run::Resolved;
use ndarray::Array2;

pub(crate) const NAMES: [&str; 5] = ["person", "animal", "car", "sky", "food"];
const STIMULI: usize = 40;

pub(crate) struct Example {
    pub(crate) dataset: String,
    /// Where the dataset is.
    pub(crate) path: String,
    pub(crate) labels: Vec<String>,
    pub(crate) subjects: usize,
    pub(crate) complete: bool,
    pub(crate) explained: bool,
    /// Share of the probabilities that is not about the label.
    pub(crate) noise: f64,
    pub(crate) seed: usize,
    pub(crate) config: String,
    /// Stimuli of the dissimilarity matrices.
    pub(crate) rdm_stimuli: usize,
    /// Whether an eighth of the stimuli validates.
    pub(crate) validation: bool,
    /// As `run.json` has it; `None` of a run of version 0.1.0.
    pub(crate) resolved: Option<Resolved>,
}

impl Default for Example {
    fn default() -> Self {
        Self {
            dataset: "example".to_owned(),
            path: "/nowhere".to_owned(),
            labels: NAMES.map(str::to_owned).to_vec(),
            subjects: 3,
            complete: true,
            explained: true,
            noise: 0.6,
            seed: 0,
            config: "[model]\nfamily = \"transformer\"\nsubjects = \"tokens\"\n[train]\nseed = 0\n"
                .to_owned(),
            rdm_stimuli: 24,
            validation: false,
            resolved: None,
        }
    }
}

/// A number between 0 and 1 that depends on its arguments and looks drawn.
fn drawn(parts: [usize; 3]) -> f64 {
    let mixed = parts.iter().fold(7usize, |sum, part| {
        (sum * 7919 + part * 104_729 + 13) % 1_000_003
    });
    ((mixed * 48_271) % 65_521) as f64 / 65_521.0
}

impl Example {
    fn subject(&self, subject: usize) -> String {
        format!("sub-{:02}", subject + 1)
    }

    /// Of the dataset's folder, where there is one.
    fn sha256(&self) -> Option<String> {
        let dataset = Dataset::open(&self.path).ok()?;
        dataset.folder_sha256().unwrap()
    }

    pub(crate) fn write(&self, run: &Path) -> PathBuf {
        fs::create_dir_all(run).unwrap();
        let put = |name: &str, text: &str| fs::write(run.join(name), text).unwrap();
        put("config.toml", &self.config);
        put(
            "labels.tsv",
            &format!("label\n{}\n", self.labels.join("\n")),
        );
        let subjects: Vec<String> = (0..self.subjects).map(|s| self.subject(s)).collect();
        let finished = if self.complete {
            "2026-01-01T00:01:00Z"
        } else {
            ""
        };
        let mut description = serde_json::json!({
            "schema": "mused-run/1", "version": "0.1.0", "folds": 2, "subjects": subjects,
            "dataset": {"name": self.dataset, "path": self.path, "sha256": self.sha256(), "simulated": true},
            "models": [], "audit": {"findings": [], "skipped": []},
            "machine": {"os": "linux"}, "started": "2026-01-01T00:00:00Z", "finished": finished,
        });
        if let Some(resolved) = &self.resolved {
            description["resolved"] = serde_json::to_value(resolved).unwrap();
        }
        if !self.complete {
            description.as_object_mut().unwrap().remove("finished");
        }
        put("run.json", &description.to_string());
        let mut epochs = String::new();
        for fold in 0..2 {
            for epoch in 1..6 {
                let loss = 1.0 / (epoch + fold) as f64;
                writeln!(
                    epochs,
                    r#"{{"fold":{fold},"epoch":{epoch},"step":{epoch},"learning_rate":{loss},"train":{{"total":{loss},"classification":{loss},"orthogonality":null,"high":{loss},"low":null}},"validation":{{"average_precision":0.5,"roc_auc":0.6}},"time":1767225601.5}}"#
                )
                .unwrap();
            }
        }
        put("metrics.jsonl", &(epochs + "{\"fold\":0,\"epo"));
        let mut split = "fold\tpart\tstimulus_id\tgroup\n".to_owned();
        let mut trials = "fold\tsubject\tstimulus_id\n".to_owned();
        let (mut targets, mut probabilities) = (Vec::new(), Vec::new());
        for fold in 0..2 {
            for stimulus in 0..STIMULI {
                let part = match stimulus % 2 == fold {
                    true => "test",
                    false if self.validation && stimulus % 8 > 5 => "validation",
                    false => "train",
                };
                writeln!(
                    split,
                    "{fold}\t{part}\timage{0:04}\timage{0:04}",
                    stimulus + 1
                )
                .unwrap();
            }
            for (subject, name) in subjects.iter().enumerate() {
                for stimulus in (fold..STIMULI).step_by(2) {
                    writeln!(trials, "{fold}\t{name}\timage{:04}", stimulus + 1).unwrap();
                    for label in 0..self.labels.len() {
                        let there = drawn([stimulus, label, 99]) < 0.2 + 0.1 * label as f64;
                        let noise = drawn([stimulus * 31 + subject, label, self.seed]);
                        targets.push(u8::from(there));
                        let told = if there { 0.9 } else { 0.1 };
                        probabilities.push((self.noise * noise + (1.0 - self.noise) * told) as f32);
                    }
                }
            }
        }
        put("split.tsv", &split);
        if self.complete {
            put("trials.tsv", &trials);
            let shape = (STIMULI * self.subjects, self.labels.len());
            let array = Array2::from_shape_vec(shape, probabilities).unwrap();
            npy::write_npy_f32(run.join("predictions.npy"), array.view()).unwrap();
            let array = Array2::from_shape_vec(shape, targets).unwrap();
            npy::write_npy_u8(run.join("targets.npy"), array.view()).unwrap();
        }
        if self.explained && self.complete {
            self.explain(&run.join("explain"));
        }
        run.to_owned()
    }

    fn explain(&self, folder: &Path) {
        fs::create_dir_all(folder.join("rdms")).unwrap();
        let put = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
        let parts = ["V1", "FFA"];
        let about = serde_json::json!({"schema": "mused-explain/1", "fold": 0, "levels": ["high"], "parts": parts,
            "part_kind": "region", "stimuli": 6, "notes": ["The low-level token is not guided."]});
        put("explain.json", &about.to_string());
        let subjects: Vec<String> = (0..self.subjects).map(|s| self.subject(s)).collect();
        let mut tokens = "fold\tsubject\tstimulus_id\n".to_owned();
        let mut attention = "subject\tlevel\tpart\tweight\tsd\n".to_owned();
        let mut occlusion =
            "part\tsubject\taverage_precision\troc_auc\tap_low\tap_high\tauc_low\tauc_high\n"
                .to_owned();
        for (index, subject) in subjects.iter().enumerate() {
            for stimulus in 0..6 {
                writeln!(tokens, "0\t{subject}\timage{:04}", stimulus + 1).unwrap();
            }
            for (place, part) in parts.iter().enumerate() {
                let weight = 0.3 + 0.1 * place as f64 + 0.02 * index as f64;
                writeln!(attention, "{subject}\thigh\t{part}\t{weight}\t0.05").unwrap();
                writeln!(occlusion, "{part}\t{subject}\t{weight}\t{weight}\t\t\t\t").unwrap();
            }
        }
        for part in parts {
            writeln!(occlusion, "{part}\t\t0.02\t0.01\t-0.01\t0.05\t0.005\t0.015").unwrap();
        }
        put("tokens.tsv", &tokens);
        put("attention.tsv", &attention);
        put("occlusion.tsv", &occlusion);
        let mut labels = "label\tpart\troc_auc\tauc_low\tauc_high\n".to_owned();
        for (index, label) in self.labels.iter().enumerate() {
            writeln!(labels, "{label}\tV1\t0.0{index}\t-0.01\t0.09").unwrap();
            writeln!(labels, "{label}\tFFA\t-0.01\t-0.02\t0.01").unwrap();
        }
        put("occlusion_labels.tsv", &labels);
        let array = Array2::from_shape_fn((6 * self.subjects, 4), |(row, column)| {
            drawn([row, column, 5]) as f32
        });
        npy::write_npy_f32(folder.join("tokens_high.npy"), array.view()).unwrap();
        let stimuli = (0..self.rdm_stimuli).map(|n| {
            format!(
                "image{:04}\t{}\n",
                n + 1,
                self.labels[n % self.labels.len()]
            )
        });
        put(
            "rdm_stimuli.tsv",
            &format!("stimulus_id\tlabel\n{}", stimuli.collect::<String>()),
        );
        let mut rdms =
            "file\tkind\tlevel\tsubject\tpart\tguidance_high\tguidance_low\tceiling_lower\tceiling_upper\n".to_owned();
        for (seed, row) in [
            "guidance-high\tguidance\thigh\t\t\t1\t\t\t",
            "token-high\ttoken\thigh\t\t\t0.5\t\t0.6\t0.7",
            "token-high-1\ttoken\thigh\tsub-01\t\t0.4\t\t\t",
            "region-v1\tregion\t\t\tV1\t0.1\t\t0.2\t0.3",
        ]
        .into_iter()
        .enumerate()
        {
            writeln!(rdms, "{row}").unwrap();
            let name = row.split('\t').next().unwrap();
            let value = |(i, j): (usize, usize)| match i == j {
                true => 0.0,
                false => drawn([i.min(j), i.max(j), seed]) as f32,
            };
            let matrix = Array2::from_shape_fn([self.rdm_stimuli; 2], value);
            npy::write_npy_f32(folder.join(format!("rdms/{name}.npy")), matrix.view()).unwrap();
        }
        put("rdms.tsv", &rdms);
    }
}
