//! A checkpoint of the published code decodes here what it decodes there, and comes out as it went in.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};

use mused_data::{
    Dataset, DatasetWriter, Description, Kind, Labels, Part, Response, Stimulus, Trial, Voxel,
};
use mused_formats::npy::{self, Dtype};
use mused_formats::torch_pickle;
use mused_kernels::{Cpu, CpuTraining};
use mused_run::{Layers, Run};
use mused_train::{PublishedRequest, export_published, import_published};
use ndarray::Array2;
use safetensors::tensor::TensorView;
use safetensors::{SafeTensors, serialize_to_file};
use tempfile::TempDir;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/golden");
const GRID: [usize; 3] = [32, 24, 32];
const SUBJECTS: [&str; 3] = ["a", "b", "c"];

struct Golden {
    folder: TempDir,
    dataset: Dataset,
    /// Rows in the order of the dataset's test samples: subject by subject.
    logits: Vec<Vec<f32>>,
}

fn checkpoint() -> PathBuf {
    Path::new(GOLDEN).join("brainformer_narrow.pth")
}

/// The batch of the published run as a dataset: six volumes, shown to three subjects.
fn golden() -> Option<Golden> {
    let path = Path::new(GOLDEN).join("brainformer_narrow_run.safetensors");
    let Ok(bytes) = fs::read(&path) else {
        eprintln!("skipped: {} is absent", path.display());
        return None;
    };
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let floats = |name: &str| -> Vec<f32> {
        let data = file.tensor(name).unwrap().data();
        let words = data.as_chunks::<4>().0.iter();
        words.map(|word| f32::from_le_bytes(*word)).collect()
    };
    let subjects = file.tensor("subject").unwrap();
    let subjects = subjects.data().as_chunks::<8>().0.iter();
    let subjects: Vec<usize> = subjects
        .map(|word| i64::from_le_bytes(*word) as usize)
        .collect();
    let (volumes, logits, labels) = (floats("volume"), floats("eval.logits"), floats("labels"));

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
    Some(Golden {
        folder,
        dataset,
        logits: rows,
    })
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
    let Some(golden) = golden() else { return };
    let run = import(&golden, &checkpoint(), &[]).unwrap();
    let found = npy::read_npy_f32(run.join("predictions.npy")).unwrap();
    assert_eq!(found.shape(), [6, 6]);
    let expected = golden.logits.iter().flatten();
    for (found, logit) in found.iter().zip(expected) {
        let expected = 1.0 / (1.0 + (-logit).exp());
        assert!((found - expected).abs() < 1e-5, "{found} for {expected}");
    }
}

#[test]
fn what_comes_out_is_what_went_in() {
    let Some(golden) = golden() else { return };
    let run = import(&golden, &checkpoint(), &[]).unwrap();
    let out = golden.folder.path().join("out.safetensors");
    export_published::<Cpu>(&Run::open(&run).unwrap(), 0, &out).unwrap();
    let bytes = fs::read(&out).unwrap();
    let exported = SafeTensors::deserialize(&bytes).unwrap();
    let published = torch_pickle::open(checkpoint()).unwrap();
    let mut names: Vec<&str> = published.tensors().map(|(name, _)| name).collect();
    let mut found: Vec<&str> = exported.names().into_iter().collect();
    names.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, names);
    for (name, entry) in published.tensors() {
        let tensor = exported.tensor(name).unwrap();
        assert_eq!(tensor.shape(), entry.shape(), "{name}");
        if !name.ends_with("num_batches_tracked") {
            assert_eq!(tensor.data(), published.read(name).unwrap(), "{name}");
        }
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
    let Some(golden) = golden() else { return };
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
    refused(&checkpoint(), &["a", "z", "y"], &[lacking]);
    refused(&checkpoint(), &["a", "b"], &["found those of 3"]);

    // A name changed, a shape turned.
    let path = golden.folder.path().join("broken.safetensors");
    let published = torch_pickle::open(checkpoint()).unwrap();
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for (name, entry) in published.tensors() {
        if name.ends_with("num_batches_tracked") {
            continue;
        }
        let mut shape = entry.shape().to_vec();
        let mut named = name.to_owned();
        match name {
            "bn1.weight" => named = "bn1.gamma".to_owned(),
            "attention2.mlp2.0.weight" => shape.reverse(),
            _ => {}
        }
        tensors.push((named, shape, published.read(name).unwrap()));
    }
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes);
        (name, view.unwrap())
    });
    serialize_to_file(views, None, &path).unwrap();
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
