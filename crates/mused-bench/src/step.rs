use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Distribution, Tensor};
use mused_kernels::{AdamStep, Bf16, TrainBackend, adam_update};
use mused_model::losses::rdm;
use mused_model::{
    Batch, BrainFormerConfig, DecoderConfig, Depth, EncoderConfig, Identity, Levels, LossConfig,
    Orthogonality, RoiTransformerConfig, RsaForm, Targets, Tokenizer,
};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::seconds;

const SUBJECTS: usize = 9;
const LABELS: usize = 53;

type Moments<B> = BTreeMap<usize, [Tensor<<B as AutodiffBackend>::InnerBackend, 1>; 2]>;

/// Adam with both moments by the order of the parameters.
struct Adam<'g, B: TrainBackend> {
    gradients: &'g mut B::Gradients,
    moments: &'g mut Moments<B>,
    index: usize,
    step: u64,
}

impl<B: TrainBackend> ModuleMapper<B> for Adam<'_, B> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let index = self.index;
        self.index += 1;
        let (id, tensor, mapper) = param.consume();
        let Some(gradient) = tensor.grad_remove(self.gradients) else {
            return Param::from_mapped_value(id, tensor, mapper);
        };
        let shape = tensor.dims();
        let count: usize = shape.iter().product();
        let zeros = || Tensor::zeros([count], &tensor.device());
        let moments = self.moments.remove(&index);
        let [mean, square] = moments.unwrap_or_else(|| [zeros(), zeros()]);
        let (value, mean, square) = adam_update(
            tensor.inner().reshape([count]),
            gradient.reshape([count]),
            mean,
            square,
            &AdamStep::adam(1e-3, self.step),
        );
        self.moments.insert(index, [mean, square]);
        let value = Tensor::from_inner(value.reshape(shape)).require_grad();
        Param::from_mapped_value(id, value, mapper)
    }
}

/// The ROI Transformer of the published size.
pub(crate) fn roi<B: TrainBackend>(
    batch: usize,
    runs: usize,
    products: Option<Bf16>,
) -> anyhow::Result<Value> {
    let lengths = vec![256; 32];
    let width = lengths.iter().sum();
    let config = DecoderConfig::Roi(RoiTransformerConfig {
        tokenizer: Tokenizer::Regions { lengths },
        identity: Identity::Tokens,
        levels: Levels::Both,
        scores: false,
        own_share: 0.5,
        subjects: SUBJECTS,
        labels: LABELS,
        input_dropout: 0.0,
        encoder: EncoderConfig {
            dim: 512,
            depth: 6,
            heads: 8,
            mlp_ratio: 4.0,
            dropout: 0.1,
            attention_dropout: 0.1,
        },
    });
    steps::<B>(&config, width, batch, runs, products)
}

/// BrainFormer-18 on the published grid.
pub(crate) fn volume<B: TrainBackend>(batch: usize, runs: usize) -> anyhow::Result<Value> {
    let config = BrainFormerConfig::published(Depth::Eighteen, SUBJECTS, LABELS);
    let width = config.grid.iter().product();
    let config = DecoderConfig::BrainFormer(config);
    steps::<B>(&config, width, batch, runs, None)
}

/// Whole steps: forward, losses with guidance, backward, Adam; inputs are on the device.
fn steps<B: TrainBackend>(
    config: &DecoderConfig,
    width: usize,
    batch: usize,
    runs: usize,
    products: Option<Bf16>,
) -> anyhow::Result<Value> {
    let device = Default::default();
    let model = config.init::<B>(&mut ChaCha8Rng::seed_from_u64(0), &device)?;
    let subjects = Tensor::<B, 2>::eye(SUBJECTS, &device);
    let subject_weights = subjects
        .repeat_dim(0, batch.div_ceil(SUBJECTS))
        .narrow(0, 0, batch);
    let inputs = Batch {
        inputs: Tensor::random([batch, width], Distribution::Default, &device),
        subject_weights,
        mask: None,
    };
    let mut model = Some(model);
    let mut moments = Moments::<B>::new();
    let mut losses = Vec::new();
    let (median, all) = seconds::<B>(runs, || {
        let Some(mut network) = model.take() else {
            anyhow::bail!("no network");
        };
        let number = losses.len() as u64 + 1;
        let mut pass = || {
            let output = network.forward_train(inputs.clone(), number);
            let loss = loss(output, batch, &device);
            (loss.clone(), loss.backward())
        };
        let (loss, mut gradients) = match products {
            Some(bf16) => bf16.products(pass),
            None => pass(),
        };
        losses.push(loss.into_data().iter::<f32>().next().unwrap_or(f32::NAN));
        model = Some(network.map(&mut Adam::<B> {
            gradients: &mut gradients,
            moments: &mut moments,
            index: 0,
            step: number,
        }));
        Ok(())
    })?;
    Ok(json!({ "median": median, "seconds": all, "losses": losses }))
}

fn loss<B: TrainBackend>(
    output: mused_model::TokenOutput<B>,
    batch: usize,
    device: &B::Device,
) -> Tensor<B, 1> {
    let config = LossConfig {
        high: 1e-3,
        low: 1e-1,
        orthogonality: 1e-3,
        orthogonality_form: Orthogonality::F,
        rsa_form: RsaForm::SquaredError,
    };
    let feature = |value: f32| Tensor::<B, 2>::ones([batch, 16], device) * value;
    let targets = Targets {
        labels: Tensor::zeros([batch, LABELS], device),
        high_rdm: Some(rdm(feature(1.0))),
        low_rdm: Some(rdm(feature(2.0))),
        different: Tensor::<B, 2>::ones([batch, batch], device).greater_elem(0.0),
    };
    config.terms(output, targets).total
}
