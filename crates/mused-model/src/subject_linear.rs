use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use mused_kernels::{Dropout, KernelBackend, dropout, gelu};
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::encoder::{Affine, Noise, Norm};
use crate::{Batch, TokenOutput};

/// Everything that determines the shapes of a [`SubjectLinear`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubjectLinearConfig {
    /// Length of an input row.
    pub inputs: usize,
    /// Subjects, each with a linear layer of its own.
    pub subjects: usize,
    /// Width that all subjects share.
    pub hidden: usize,
    /// Values that a subject's layer makes of its inputs, from which one map for everybody makes the shared width; 0 = the
    /// shared width at once.
    pub rank: usize,
    /// Residual layers for everybody.
    pub depth: usize,
    /// Labels to decode.
    pub labels: usize,
    /// Dropout of single input values.
    pub input_dropout: f64,
    /// Dropout in the residual layers.
    pub dropout: f64,
}

/// A residual layer: x + dropout(GELU(Linear(norm(x)))).
#[derive(Module, Debug)]
struct Residual<B: Backend> {
    norm: Norm<B>,
    linear: Affine<B>,
}

/// The field's usual network for several subjects: a linear layer of each subject's own in front of one network for all
/// (Scotti et al. 2024, MindEye2, section 2.1).
#[derive(Module, Debug)]
pub struct SubjectLinear<B: Backend> {
    own: Vec<Affine<B>>,
    /// From the rank to the shared width.
    widening: Option<Affine<B>>,
    residuals: Vec<Residual<B>>,
    norm: Norm<B>,
    head: Affine<B>,
    input_dropout: f64,
    dropout: f64,
}

impl SubjectLinearConfig {
    /// Values of a subject's layer.
    fn first(&self) -> usize {
        if self.rank > 0 {
            self.rank
        } else {
            self.hidden
        }
    }

    /// Weights of the layers of subjects, as a float: sizes that no machine has are counted as well.
    pub(crate) fn weights(&self) -> f64 {
        self.subjects as f64 * self.inputs as f64 * self.first() as f64
    }

    /// Values that a training pass keeps for its backward pass, of one sample.
    pub(crate) fn activations(&self) -> f64 {
        let [inputs, subjects, first] =
            [self.inputs, self.subjects, self.first()].map(|x| x as f64);
        let residuals = 4.0 * self.depth as f64 * self.hidden as f64;
        2.0 * inputs + 2.0 * subjects * first + residuals
    }

    /// A model with freshly drawn weights.
    pub fn init<B: KernelBackend>(
        &self,
        rng: &mut impl Rng,
        device: &B::Device,
    ) -> SubjectLinear<B> {
        let (hidden, rank, first) = (self.hidden, self.rank, self.first());
        SubjectLinear {
            own: (0..self.subjects)
                .map(|_| Affine::init(self.inputs, first, rng, device))
                .collect(),
            widening: (rank > 0).then(|| Affine::init(rank, hidden, rng, device)),
            residuals: (0..self.depth)
                .map(|_| Residual {
                    norm: Norm::init(hidden, device),
                    linear: Affine::init(hidden, hidden, rng, device),
                })
                .collect(),
            norm: Norm::init(hidden, device),
            head: Affine::init(hidden, self.labels, rng, device),
            input_dropout: self.input_dropout,
            dropout: self.dropout,
        }
    }
}

impl<B: KernelBackend> SubjectLinear<B> {
    /// # Shapes
    /// See [`Batch`] and [`TokenOutput`].
    pub fn forward(&self, batch: Batch<B>, mut noise: Noise) -> TokenOutput<B> {
        let inputs = dropped(batch.inputs, noise.site(self.input_dropout));
        let [size, _] = inputs.dims();
        let [width, _] = self.widening.as_ref().unwrap_or(&self.head).weight.dims();
        let mut x = Tensor::zeros([size, width], &inputs.device());
        for (subject, layer) in self.own.iter().enumerate() {
            let weight = batch.subject_weights.clone().narrow(1, subject, 1);
            x = x + layer.forward(inputs.clone()) * weight;
        }
        if let Some(widening) = &self.widening {
            x = widening.forward(x);
        }
        for Residual { norm, linear } in &self.residuals {
            let made = gelu(linear.forward(norm.forward(x.clone())));
            x = x + dropped(made, noise.site(self.dropout));
        }
        TokenOutput {
            logits: self.head.forward(self.norm.forward(x)),
            high_level: None,
            low_level: None,
        }
    }
}

fn dropped<B: KernelBackend>(x: Tensor<B, 2>, site: Option<Dropout>) -> Tensor<B, 2> {
    match site {
        Some(Dropout { rate, seed }) => dropout(x, rate, seed),
        None => x,
    }
}
