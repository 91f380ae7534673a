//! The golden model, and how its values are read and compared.
#![allow(dead_code, unreachable_pub, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Tensor;
use mused_kernels::Cpu;
use safetensors::SafeTensors;

/// Largest accepted error of a state or embedding, relative to the largest magnitude of the tensor (at least 1).
pub const TOLERANCE: f32 = 1e-5;

/// A file of the golden model.
pub fn golden(name: &str) -> PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/clip_tiny");
    Path::new(folder).join(name)
}

pub struct Golden(Vec<u8>);

impl Golden {
    pub fn open() -> Self {
        Self(fs::read(golden("golden.safetensors")).unwrap())
    }

    fn file(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.0).unwrap()
    }

    pub fn shape(&self, name: &str) -> Vec<usize> {
        self.file().tensor(name).unwrap().shape().to_vec()
    }

    pub fn floats(&self, name: &str) -> Vec<f32> {
        let file = self.file();
        let words = file.tensor(name).unwrap().data().as_chunks::<4>().0;
        words.iter().map(|w| f32::from_le_bytes(*w)).collect()
    }

    /// `[rows, columns]` of integers.
    pub fn ids(&self, name: &str) -> Vec<Vec<u32>> {
        let file = self.file();
        let tensor = file.tensor(name).unwrap();
        let words = tensor.data().as_chunks::<8>().0.iter();
        let values: Vec<u32> = words.map(|w| i64::from_le_bytes(*w) as u32).collect();
        values
            .chunks(tensor.shape()[1])
            .map(<[u32]>::to_vec)
            .collect()
    }

    pub fn check<const D: usize>(&self, name: &str, found: Tensor<Cpu, D>) {
        assert_eq!(found.dims().to_vec(), self.shape(name), "{name}");
        let found = found.into_data().to_vec::<f32>().unwrap();
        close(&found, &self.floats(name), name);
    }
}

pub fn close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1.0_f32, |max, v| max.max(v.abs()));
    for (index, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!(
            (f - e).abs() <= TOLERANCE * largest,
            "{what}[{index}]: {f} instead of {e}"
        );
    }
}

/// The golden model in a directory of its own.
pub struct TinyClip(tempfile::TempDir);

impl TinyClip {
    pub fn copy() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "config.json",
            "model.safetensors",
            "vocab.json",
            "merges.txt",
        ] {
            fs::write(folder.path().join(name), fs::read(golden(name)).unwrap()).unwrap();
        }
        Self(folder)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}
