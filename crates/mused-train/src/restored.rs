use std::path::Path;

use burn::tensor::Tensor;
use mused_kernels::KernelBackend;
use mused_model::Decoder;
use ndarray::{Array2, Array3, ArrayView2};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::batches::SampleSet;
use crate::fold::probabilities;
use crate::linear::LinearModel;
use crate::model_file::{Architecture, MODEL, ModelDescription};
use crate::parameters::{restore, to_host};
use crate::{Error, Result, checkpoint};

/// A trained model, read from its file.
pub(crate) enum Restored<B: KernelBackend> {
    /// With the device it is on.
    Network(Box<Decoder<B>>, B::Device),
    Linear(LinearModel),
}

/// What a model makes of some samples.
pub(crate) struct Outputs {
    /// samples × labels
    pub(crate) probabilities: Array2<f32>,
    /// The subject tokens that the network has, the high-level one first: its name, and samples × dim.
    pub(crate) tokens: Vec<(&'static str, Array2<f32>)>,
}

impl<B: KernelBackend> Restored<B> {
    /// The model in the folder of a task.
    pub(crate) fn read(folder: &Path) -> Result<(ModelDescription, Self)> {
        let (description, weights) = checkpoint::read::<ModelDescription>(&folder.join(MODEL))?;
        let model = match &description.model {
            Architecture::Linear(linear) => Self::Linear(LinearModel::restore(linear, weights)?),
            Architecture::Network(network) => {
                let device = B::Device::default();
                // The drawn weights are all replaced.
                let drawn = network.init::<B>(&mut ChaCha8Rng::seed_from_u64(0), &device)?;
                Self::Network(Box::new(restore(drawn, weights)?), device)
            }
        };
        Ok((description, model))
    }

    /// Probabilities of all samples of a set: samples × labels.
    pub(crate) fn predict(&self, set: &SampleSet<'_>) -> Result<Array2<f32>> {
        match self {
            Self::Network(model, device) => probabilities(model, set, device),
            Self::Linear(linear) => linear.predict(set),
        }
    }

    /// Outputs for the samples `chosen` of a set, whose inputs are given.
    pub(crate) fn outputs(
        &self,
        set: &SampleSet<'_>,
        chosen: &[usize],
        inputs: ArrayView2<'_, f32>,
    ) -> Result<Outputs> {
        let (model, device) = match self {
            Self::Network(model, device) => (model, device),
            Self::Linear(linear) => {
                return Ok(Outputs {
                    probabilities: linear.predict_inputs(set, chosen, inputs)?,
                    tokens: Vec::new(),
                });
            }
        };
        let output = model.forward(set.batch::<B>(chosen, inputs, device));
        let mut tokens = Vec::new();
        for (level, token) in [("high", output.high_level), ("low", output.low_level)] {
            if let Some(token) = token {
                tokens.push((level, matrix(token)?));
            }
        }
        let mut probabilities = matrix(output.logits)?;
        probabilities.mapv_inplace(|logit| 1.0 / (1.0 + (-logit).exp()));
        Ok(Outputs {
            probabilities,
            tokens,
        })
    }

    /// Attention of the subject tokens to the slots of the input row, see [`Decoder::attention`]: samples × tokens ×
    /// slots.
    pub(crate) fn attention(
        &self,
        set: &SampleSet<'_>,
        chosen: &[usize],
        inputs: ArrayView2<'_, f32>,
    ) -> Result<Option<Array3<f32>>> {
        let Self::Network(model, device) = self else {
            return Ok(None);
        };
        let Some(found) = model.attention(set.batch::<B>(chosen, inputs, device)) else {
            return Ok(None);
        };
        let [samples, tokens, slots] = found.dims();
        let values = Array3::from_shape_vec((samples, tokens, slots), to_host(found)?);
        values.map(Some).map_err(unexpected)
    }
}

fn matrix<B: KernelBackend>(tensor: Tensor<B, 2>) -> Result<Array2<f32>> {
    let [rows, columns] = tensor.dims();
    Array2::from_shape_vec((rows, columns), to_host(tensor)?).map_err(unexpected)
}

fn unexpected(error: ndarray::ShapeError) -> Error {
    Error::Request(format!("model output of unexpected shape: {error}"))
}
