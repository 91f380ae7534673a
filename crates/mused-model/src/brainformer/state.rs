//! Named tensors of a model, in the names and layouts of the published code.

use std::collections::BTreeMap;

use burn::module::Param;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

use crate::{Error, Result};

/// Values and shape of one tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct StateTensor {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its elements in row-major order.
    pub values: Vec<f32>,
}

/// Tensors by the names of the published code's state dict.
pub type NamedTensors = BTreeMap<String, StateTensor>;

/// How a tensor here and its published counterpart differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// They do not.
    AsIs,
    /// [in, out] here, [out, in] there.
    Transposed,
    /// [in, out] here, [out, in, 1] there.
    Pointwise,
    /// [depth, height, width, in, out] here, [out, in, depth, height, width] there.
    Convolution,
    /// [subjects, dim] here, [subjects, 1, dim] there.
    Token,
}

impl Layout {
    /// The published shape.
    fn published(self, ours: &[usize]) -> Vec<usize> {
        match (self, ours) {
            (Self::Transposed, [i, o]) => vec![*o, *i],
            (Self::Pointwise, [i, o]) => vec![*o, *i, 1],
            (Self::Convolution, [d, h, w, i, o]) => vec![*o, *i, *d, *h, *w],
            (Self::Token, [s, dim]) => vec![*s, 1, *dim],
            _ => ours.to_vec(),
        }
    }

    /// Rows and columns of the published matrix whose transpose is ours; `None` where the order is the same.
    fn matrix(self, ours: &[usize]) -> Option<[usize; 2]> {
        match (self, ours) {
            (Self::Transposed | Self::Pointwise, [i, o]) => Some([*o, *i]),
            (Self::Convolution, [d, h, w, i, o]) => Some([i * o, d * h * w]),
            _ => None,
        }
    }

    fn to_ours(self, shape: &[usize], values: Vec<f32>) -> Vec<f32> {
        let Some([rows, columns]) = self.matrix(shape) else {
            return values;
        };
        let turned = transposed(&values, rows, columns);
        match (self, shape) {
            // Each tap is now [out, in].
            (Self::Convolution, [.., i, o]) => each_transposed(&turned, *o, *i),
            _ => turned,
        }
    }

    fn to_published(self, shape: &[usize], values: Vec<f32>) -> Vec<f32> {
        let Some([rows, columns]) = self.matrix(shape) else {
            return values;
        };
        let values = match (self, shape) {
            (Self::Convolution, [.., i, o]) => each_transposed(&values, *i, *o),
            _ => values,
        };
        transposed(&values, columns, rows)
    }
}

fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(values.len());
    for column in 0..columns {
        out.extend((0..rows).map(|row| values[row * columns + column]));
    }
    out
}

/// Matrices one after another, each transposed.
fn each_transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let matrices = values.chunks_exact((rows * columns).max(1));
    matrices
        .flat_map(|matrix| transposed(matrix, rows, columns))
        .collect()
}

/// Sees every tensor of a model under its published name.
pub(crate) trait StateVisitor<B: Backend> {
    fn tensor<const D: usize>(
        &mut self,
        name: &str,
        layout: Layout,
        param: &mut Param<Tensor<B, D>>,
    );
}

/// Collects the tensors of a model.
#[derive(Default)]
pub(crate) struct Collect {
    pub(crate) tensors: NamedTensors,
    pub(crate) problems: Vec<String>,
}

impl<B: Backend> StateVisitor<B> for Collect {
    fn tensor<const D: usize>(
        &mut self,
        name: &str,
        layout: Layout,
        param: &mut Param<Tensor<B, D>>,
    ) {
        let shape = param.dims();
        match param.val().into_data().into_vec::<f32>() {
            Ok(values) => {
                let tensor = StateTensor {
                    shape: layout.published(&shape),
                    values: layout.to_published(&shape, values),
                };
                self.tensors.insert(name.to_owned(), tensor);
            }
            Err(error) => self.problems.push(format!(
                "{name}: the device gives no f32 values ({error:?})"
            )),
        }
    }
}

/// Compares names and shapes; changes nothing.
pub(crate) struct Check<'t> {
    pub(crate) tensors: &'t NamedTensors,
    pub(crate) problems: Vec<String>,
    seen: Vec<String>,
}

impl<'t> Check<'t> {
    pub(crate) fn new(tensors: &'t NamedTensors) -> Self {
        Self {
            tensors,
            problems: vec![],
            seen: vec![],
        }
    }

    /// One error that lists everything, surplus names included.
    pub(crate) fn finish(mut self) -> Result<()> {
        for name in self.tensors.keys() {
            // PyTorch counts batches; the momentum here never depends on the count.
            if !self.seen.contains(name) && !name.ends_with("num_batches_tracked") {
                self.problems
                    .push(format!("{name} is not part of this model"));
            }
        }
        if self.problems.is_empty() {
            Ok(())
        } else {
            Err(Error::State(self.problems.join("; ")))
        }
    }
}

impl<B: Backend> StateVisitor<B> for Check<'_> {
    fn tensor<const D: usize>(
        &mut self,
        name: &str,
        layout: Layout,
        param: &mut Param<Tensor<B, D>>,
    ) {
        self.seen.push(name.to_owned());
        let expected = layout.published(&param.dims());
        let Some(tensor) = self.tensors.get(name) else {
            self.problems.push(format!("{name} is missing"));
            return;
        };
        if tensor.shape != expected {
            let found = &tensor.shape;
            self.problems.push(format!(
                "{name}: expected shape {expected:?}, found {found:?}"
            ));
        } else if tensor.values.len() != expected.iter().product::<usize>() {
            let found = tensor.values.len();
            self.problems
                .push(format!("{name}: shape {expected:?} with {found} values"));
        }
    }
}

/// Replaces the tensors of a model by checked ones.
pub(crate) struct Load {
    pub(crate) tensors: NamedTensors,
}

impl<B: Backend> StateVisitor<B> for Load {
    fn tensor<const D: usize>(
        &mut self,
        name: &str,
        layout: Layout,
        param: &mut Param<Tensor<B, D>>,
    ) {
        let Some(tensor) = self.tensors.remove(name) else {
            return;
        };
        let shape = param.dims();
        let data = TensorData::new(layout.to_ours(&shape, tensor.values), shape);
        let (id, old, mapper) = param.clone().consume();
        let new = Tensor::<B, D>::from_data(data, &old.device());
        let new = new.set_require_grad(old.is_require_grad());
        *param = Param::from_mapped_value(id, new, mapper);
    }
}
