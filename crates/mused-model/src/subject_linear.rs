use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};
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
        let [inputs, first, hidden, depth] =
            [self.inputs, self.first(), self.hidden, self.depth].map(|size| size as f64);
        3.0 * inputs + 2.0 * first + 4.0 * depth * hidden
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
        let mut x = self.layers(inputs, batch.subject_weights);
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

impl<B: KernelBackend> SubjectLinear<B> {
    /// Each row through the layer of its subject, the one with the largest weight: rows of one subject at a time.
    fn layers(&self, inputs: Tensor<B, 2>, weights: Tensor<B, 2>) -> Tensor<B, 2> {
        let device = inputs.device();
        let subjects = weights.argmax(1).flatten::<1>(0, 1).into_data();
        let subjects: Vec<usize> = subjects
            .iter::<i64>()
            .map(|subject| subject as usize)
            .collect();
        let mut order: Vec<usize> = (0..subjects.len()).collect();
        order.sort_by_key(|row| subjects[*row]);
        let mut back = vec![0_i64; order.len()];
        for (place, &row) in (0_i64..).zip(&order) {
            back[row] = place;
        }
        let indices = |rows: Vec<i64>| Tensor::<B, 1, Int>::from_data(rows.as_slice(), &device);
        let sorted = inputs.select(0, indices(order.iter().map(|row| *row as i64).collect()));
        let (mut parts, mut first) = (Vec::new(), 0);
        for (subject, layer) in self.own.iter().enumerate() {
            let count = subjects.iter().filter(|own| **own == subject).count();
            if count > 0 {
                parts.push(layer.forward(sorted.clone().narrow(0, first, count)));
                first += count;
            }
        }
        Tensor::cat(parts, 0).select(0, indices(back))
    }
}

fn dropped<B: KernelBackend>(x: Tensor<B, 2>, site: Option<Dropout>) -> Tensor<B, 2> {
    match site {
        Some(Dropout { rate, seed }) => dropout(x, rate, seed),
        None => x,
    }
}
