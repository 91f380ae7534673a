use std::path::{Path, PathBuf};

use mused_formats::torch_pickle::{self, ElementType, StateDict};

use super::Kind;
use crate::{Error, Result};

/// A `torch.save`d state dict.
pub(super) struct TorchFile {
    path: PathBuf,
    tensors: StateDict,
}

impl TorchFile {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let tensors = torch_pickle::open(path)?;
        Ok(Self {
            path: path.to_owned(),
            tensors,
        })
    }

    pub(super) fn shapes(&self) -> Vec<(String, Vec<usize>)> {
        let tensors = self.tensors.tensors();
        tensors
            .map(|(name, tensor)| (name.to_owned(), tensor.shape().to_vec()))
            .collect()
    }

    pub(super) fn read(&self, name: &str) -> Result<Vec<f32>> {
        let tensor = self.tensors.tensor(name)?;
        let kind = match tensor.element_type() {
            ElementType::F16 => Kind::F16,
            ElementType::Bf16 => Kind::Bf16,
            ElementType::F32 => Kind::F32,
            ElementType::F64 => Kind::F64,
            other => {
                let what = format!("tensor `{name}` of type {other:?}");
                return Err(Error::unsupported(&self.path, what));
            }
        };
        Ok(kind.decode(&self.tensors.read(name)?))
    }
}
