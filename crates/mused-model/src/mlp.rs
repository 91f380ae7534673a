use burn::module::Module;
use burn::tensor::backend::Backend;
use mused_kernels::{Dropout, KernelBackend, dropout, gelu};
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::encoder::{Affine, Noise};
use crate::{Batch, TokenOutput};

/// Everything that determines the shapes of an [`Mlp`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MlpConfig {
    /// Length of an input row.
    pub inputs: usize,
    /// Width of the hidden layer.
    pub hidden: usize,
    /// Labels to decode.
    pub labels: usize,
    /// Dropout of single input values.
    pub input_dropout: f64,
    /// Dropout of the hidden layer.
    pub dropout: f64,
}

/// The baseline with one hidden layer: Linear, GELU, Linear. It knows no subjects.
#[derive(Module, Debug)]
pub struct Mlp<B: Backend> {
    hidden: Affine<B>,
    head: Affine<B>,
    input_dropout: f64,
    dropout: f64,
}

impl MlpConfig {
    /// A model with freshly drawn weights.
    pub fn init<B: KernelBackend>(&self, rng: &mut impl Rng, device: &B::Device) -> Mlp<B> {
        Mlp {
            hidden: Affine::init(self.inputs, self.hidden, rng, device),
            head: Affine::init(self.hidden, self.labels, rng, device),
            input_dropout: self.input_dropout,
            dropout: self.dropout,
        }
    }
}

impl<B: KernelBackend> Mlp<B> {
    /// # Shapes
    /// See [`Batch`] and [`TokenOutput`].
    pub fn forward(&self, batch: Batch<B>, mut noise: Noise) -> TokenOutput<B> {
        let inputs = match noise.site(self.input_dropout) {
            Some(Dropout { rate, seed }) => dropout(batch.inputs, rate, seed),
            None => batch.inputs,
        };
        let hidden = gelu(self.hidden.forward(inputs));
        let hidden = match noise.site(self.dropout) {
            Some(Dropout { rate, seed }) => dropout(hidden, rate, seed),
            None => hidden,
        };
        TokenOutput {
            logits: self.head.forward(hidden),
            high_level: None,
            low_level: None,
        }
    }
}
