//! A checkpoint of the published code decodes here what it decodes there, and comes out as it went in.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../mused-model/tests/golden/mod.rs"]
mod golden;
#[path = "../../mused-formats/tests/support/shared.rs"]
mod shared;

use std::fs;
use std::path::{Path, PathBuf};

use golden::{floats, narrow_weights};
use mused_data::{
    Dataset, DatasetWriter, Description, Kind, Labels, Part, Response, Stimulus, Trial, Voxel,
};
use mused_formats::npy::{self, Dtype};
use mused_kernels::{Cpu, CpuTraining};
use mused_model::StateTensor;
use mused_run::{Layers, Run};
use mused_train::{PublishedRequest, export_published, import_published};
use ndarray::Array2;
use safetensors::tensor::TensorView;
use safetensors::{Dtype as Float, SafeTensors, serialize_to_file};
use shared::shared;
use tempfile::TempDir;

const GRID: [usize; 3] = [32, 24, 32];
const SUBJECTS: [&str; 3] = ["a", "b", "c"];

struct Golden {
    folder: TempDir,
    checkpoint: PathBuf,
    dataset: Dataset,
    /// Rows in the order of the dataset's test samples: subject by subject.
    logits: Vec<Vec<f32>>,
}

/// The narrow model on weights that are computed.
fn golden() -> Golden {
    let file = SafeTensors::deserialize(golden::NARROW).unwrap();
    let golden = Golden::of(&file, &golden::volumes(6 * GRID.iter().product::<usize>()));
    write(&golden.checkpoint, narrow_weights());
    golden
}

fn write(path: &Path, tensors: impl IntoIterator<Item = (String, StateTensor)>) {
    let bytes = |values: Vec<f32>| values.into_iter().flat_map(f32::to_le_bytes).collect();
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .into_iter()
        .map(|(name, tensor)| (name, tensor.shape, bytes(tensor.values)))
        .collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Float::F32, shape.clone(), bytes);
        (name, view.unwrap())
    });
    serialize_to_file(views, None, path).unwrap();
}

impl Golden {
    /// The batch of a run as a dataset: six volumes, shown to three subjects.
    fn of(file: &SafeTensors<'_>, volumes: &[f32]) -> Self {
        let subjects = golden::subjects(file);
        let (logits, labels) = (floats(file, "eval.logits"), floats(file, "labels"));
        let folder = TempDir::new().unwrap();
        let stimulus = |index: usize| Stimulus {
            part: Some(Part::Test),
            ..Stimulus::new(format!("second-{index}"))
        };
        // One more, to have something to train on.
        let mut stimuli: Vec<Stimulus> = (0..6).map(stimulus).collect();
        stimuli.push(Stimulus::new("trained"));
        let labels = Labels {
            names: (0..6).map(|label| format!("label {label}")).collect(),
            matrix: Array2::from_shape_fn((7, 6), |(row, column)| {
                labels.get(row * 6 + column).map_or(1, |label| *label as u8)
            }),
        };
        let [d0, d1, d2] = GRID;
        let voxel = |index: usize| Voxel {
            roi: "brain".to_owned(),
            coordinate: Some([index / (d1 * d2), index / d2 % d1, index % d2].map(|n| n as i32)),
            reference: None,
        };
        let voxels: Vec<Voxel> = (0..d0 * d1 * d2).map(voxel).collect();
        let path = folder.path().join("data");
        let description = Description::new("golden", Kind::Volume, Response::Voxels);
        let mut writer = DatasetWriter::create(&path, description, stimuli, &labels).unwrap();
        let mut rows = Vec::new();
        for (subject, id) in SUBJECTS.iter().enumerate() {
            let own: Vec<usize> = (0..6).filter(|&row| subjects[row] == subject).collect();
            let trial = |stimulus: usize| Trial {
                stimulus,
                session: 1,
                run: 1,
                onset: None,
                repeat: 1,
            };
            let shown: Vec<usize> = own.iter().copied().chain([6]).collect();
            let trials: Vec<Trial> = shown.iter().map(|&stimulus| trial(stimulus)).collect();
            let mut out = writer.subject(id, &trials, &voxels, Dtype::F32).unwrap();
            for &row in &shown {
                // The seventh is any: nothing is learned from it.
                let volume = row % 6 * voxels.len();
                let volume = &volumes[volume..volume + voxels.len()];
                out.write_response(volume).unwrap();
            }
            out.finish().unwrap();
            rows.extend(own.iter().map(|row| logits[row * 6..row * 6 + 6].to_vec()));
        }
        writer.finish().unwrap();
        let dataset = Dataset::open(&path).unwrap();
        Self {
            checkpoint: folder.path().join("published.safetensors"),
            folder,
            dataset,
            logits: rows,
        }
    }

    fn predicted(&self, run: &Path) {
        let found = npy::read_npy_f32(run.join("predictions.npy")).unwrap();
        assert_eq!(found.shape(), [6, 6]);
        let expected = self.logits.iter().flatten();
        for (found, logit) in found.iter().zip(expected) {
            let expected = 1.0 / (1.0 + (-logit).exp());
            assert!((found - expected).abs() < 1e-5, "{found} for {expected}");
        }
    }
}

fn layers() -> Layers {
    let mut layers = Layers::preset("clip-mused-hcp").unwrap();
    layers
        .set("model.grid=[[0, 32], [0, 24], [0, 32]]")
        .unwrap();
    layers.set("model.heads=4").unwrap();
    layers
}

fn import(golden: &Golden, checkpoint: &Path, subjects: &[String]) -> mused_train::Result<PathBuf> {
    let run = golden.folder.path().join("run");
    import_published::<CpuTraining>(&PublishedRequest {
        checkpoint,
        dataset: &golden.dataset,
        layers: &layers(),
        subjects,
        run: &run,
    })?;
    Ok(run)
}

#[test]
fn predictions_are_those_of_the_published_code() {
    let golden = golden();
    let run = import(&golden, &golden.checkpoint, &[]).unwrap();
    golden.predicted(&run);
}

#[test]
#[ignore = "reads ../shared/golden: run with --ignored where that folder is"]
fn a_checkpoint_that_pytorch_saved_predicts_the_same() {
    let bytes = fs::read(shared("golden/brainformer_narrow_run.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let golden = Golden::of(&file, &floats(&file, "volume"));
    let checkpoint = shared("golden/brainformer_narrow.pth");
    golden.predicted(&import(&golden, &checkpoint, &[]).unwrap());
}

#[test]
fn what_comes_out_is_what_went_in() {
    let golden = golden();
    let run = import(&golden, &golden.checkpoint, &[]).unwrap();
    let out = golden.folder.path().join("out.safetensors");
    export_published::<Cpu>(&Run::open(&run).unwrap(), 0, &out).unwrap();
    let bytes = fs::read(&out).unwrap();
    let exported = SafeTensors::deserialize(&bytes).unwrap();
    let rows = golden::NARROW_PARAMETERS.lines().skip(1);
    let mut names: Vec<&str> = rows.map(|row| row.split_once('\t').unwrap().0).collect();
    let mut found: Vec<&str> = exported.names().into_iter().collect();
    names.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, names);
    for (name, tensor) in narrow_weights() {
        assert_eq!(
            exported.tensor(&name).unwrap().shape(),
            tensor.shape,
            "{name}"
        );
        assert_eq!(floats(&exported, &name), tensor.values, "{name}");
    }
    // And in again, from safetensors.
    let first = golden.folder.path().join("first");
    fs::rename(&run, &first).unwrap();
    let again = import(&golden, &out, &[]).unwrap();
    let predictions = |run: &Path| fs::read(run.join("predictions.npy")).unwrap();
    assert_eq!(predictions(&again), predictions(&first));
}

#[test]
fn what_does_not_fit_is_listed_and_nothing_is_created() {
    let golden = golden();
    let refused = |checkpoint: &Path, subjects: &[&str], expected: &[&str]| {
        let subjects: Vec<String> = subjects.iter().map(|id| (*id).to_owned()).collect();
        let error = import(&golden, checkpoint, &subjects).unwrap_err();
        assert!(!golden.folder.path().join("run").exists());
        let message = error.to_string();
        for part in expected {
            assert!(message.contains(part), "{message}");
        }
    };
    let lacking = "has no subjects z, y; it has a, b, c";
    refused(&golden.checkpoint, &["a", "z", "y"], &[lacking]);
    refused(&golden.checkpoint, &["a", "b"], &["found those of 3"]);

    // A name changed, a shape turned.
    let path = golden.folder.path().join("broken.safetensors");
    let mut changed = narrow_weights();
    let renamed = changed.remove("bn1.weight").unwrap();
    changed.insert("bn1.gamma".to_owned(), renamed);
    let turned = changed.get_mut("attention2.mlp2.0.weight").unwrap();
    turned.shape.reverse();
    write(&path, changed);
    let expected = [
        "bn1.weight is missing",
        "bn1.gamma is not part of this model",
        "attention2.mlp2.0.weight: expected shape [24, 48], found [48, 24]",
    ];
    refused(&path, &[], &expected);

    let path = golden.folder.path().join("no.pth");
    fs::write(&path, b"no pickle").unwrap();
    refused(&path, &[], &["no.pth"]);
    let path = golden.folder.path().join("other.safetensors");
    serialize_to_file(Vec::<(&str, TensorView<'_>)>::new(), None, &path).unwrap();
    refused(&path, &[], &["blocks a stage, found [0, 0, 0, 0]"]);
}
