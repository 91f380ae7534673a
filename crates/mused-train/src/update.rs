use burn::module::AutodiffModule;
use burn::tensor::{ElementConversion, Tensor};
use mused_kernels::TrainBackend;
use mused_model::{Decoder, LossTerms, TokenOutput};
use ndarray::{Array2, Axis, Slice};

use crate::batches::SampleSet;
use crate::fold::Guides;
use crate::optimizer::{Gradients, add_gradients};
use crate::{Config, EpochLosses};

/// One batch of training samples with its inputs.
pub(crate) struct Chosen<'a, 'd> {
    pub(crate) set: &'a SampleSet<'d>,
    pub(crate) samples: &'a [usize],
    /// samples × input width
    pub(crate) inputs: &'a Array2<f32>,
    /// Seed of the step's dropout masks.
    pub(crate) seed: u64,
}

impl Chosen<'_, '_> {
    /// Parts of at most `size` samples; 0 = one part. Each has dropout masks of its own.
    fn parts(&self, size: usize) -> Vec<Self> {
        let size = if size == 0 { self.samples.len() } else { size };
        let parts = self.samples.chunks(size.max(1)).zip(0_u64..);
        parts
            .map(|(samples, part)| Self {
                samples,
                seed: self.seed.wrapping_add(part << 32),
                ..*self
            })
            .collect()
    }
}

/// Losses of a batch and the gradients of their sum.
///
/// A batch in several parts passes the network twice. The first pass, without gradients, gives
/// the tokens of the whole batch, hence the gradient of its losses with respect to them: guidance
/// compares all samples of a batch with one another, so parts cannot be treated alone. The second
/// carries that gradient into the network a part at a time (the gradient cache of Gao et al.,
/// RepL4NLP 2021). The sum is that of the whole batch, but for batch normalisation, whose
/// statistics are of the part.
pub(crate) fn losses_and_gradients<B: TrainBackend>(
    model: &mut Decoder<B>,
    chosen: &Chosen<'_, '_>,
    guides: &Guides,
    config: &Config,
    device: &B::Device,
) -> (EpochLosses, Gradients<B::InnerBackend>) {
    let (high, low) = (guides.high.as_ref(), guides.low.as_ref());
    let targets = chosen.set.targets::<B>(chosen.samples, high, low, device);
    let parts = chosen.parts(config.train.micro_batch);
    let mut gradients = Gradients::new();
    if let [whole] = parts.as_slice() {
        let output = forward(model, whole, 0, device);
        let terms = config.loss.terms(output, targets);
        let losses = read(&terms);
        add_gradients(&mut gradients, model, terms.total.backward());
        return (losses, gradients);
    }

    let mut offset = 0;
    let mut tokens = Vec::with_capacity(parts.len());
    for part in &parts {
        // Its running statistics are those of the second pass.
        let mut model = model.valid();
        tokens.push(forward(&mut model, part, offset, device));
        offset += part.samples.len();
    }
    let leaf = |field: fn(&TokenOutput<B::InnerBackend>) -> &Tensor<B::InnerBackend, 2>| {
        let parts = tokens.iter().map(|output| field(output).clone());
        Tensor::<B, 2>::from_inner(Tensor::cat(parts.collect(), 0)).require_grad()
    };
    let output = TokenOutput {
        logits: leaf(|output| &output.logits),
        high_level: leaf(|output| &output.high_level),
        low_level: leaf(|output| &output.low_level),
    };
    let terms = config.loss.terms(output.clone(), targets);
    let losses = read(&terms);
    let of_tokens = terms.total.backward();
    let seeds =
        [output.logits, output.high_level, output.low_level].map(|leaf| leaf.grad(&of_tokens));

    offset = 0;
    for part in &parts {
        let count = part.samples.len();
        let output = forward(model, part, offset, device);
        let outputs = [output.logits, output.high_level, output.low_level];
        let products = outputs
            .into_iter()
            .zip(&seeds)
            .filter_map(|(output, seed)| {
                // A token no loss speaks of has no gradient.
                let seed = seed.clone()?.narrow(0, offset, count);
                Some((output * Tensor::from_inner(seed)).sum())
            });
        if let Some(product) = products.reduce(|sum, product| sum + product) {
            add_gradients(&mut gradients, model, product.backward());
        }
        offset += count;
    }
    (losses, gradients)
}

/// A training pass of a part whose inputs begin at row `offset`.
fn forward<B: mused_kernels::KernelBackend>(
    model: &mut Decoder<B>,
    part: &Chosen<'_, '_>,
    offset: usize,
    device: &B::Device,
) -> TokenOutput<B> {
    let rows = Slice::from(offset..offset + part.samples.len());
    let inputs = part.inputs.slice_axis(Axis(0), rows);
    let batch = part.set.batch(part.samples, inputs, device);
    model.forward_train(batch, part.seed)
}

fn read<B: TrainBackend>(terms: &LossTerms<B>) -> EpochLosses {
    let read = |term: &Tensor<B, 1>| f64::from(term.clone().into_scalar().elem::<f32>());
    EpochLosses {
        total: read(&terms.total),
        classification: read(&terms.classification),
        orthogonality: terms.orthogonality.as_ref().map(read),
        high: terms.high.as_ref().map(read),
        low: terms.low.as_ref().map(read),
    }
}
