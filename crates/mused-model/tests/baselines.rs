//! Baselines and ablations are what their names say.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};
use mused_kernels::Cpu;
use mused_model::{
    Batch, Decoder, DecoderConfig, EncoderConfig, Identity, Levels, MlpConfig,
    RoiTransformerConfig, SubjectLinearConfig, TokenOutput, Tokenizer,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const WIDTH: usize = 6;

fn init(config: &DecoderConfig) -> Decoder<Cpu> {
    let rng = &mut ChaCha8Rng::seed_from_u64(2);
    config.init(rng, &Default::default()).unwrap()
}

fn transformer(identity: Identity, levels: Levels) -> Decoder<Cpu> {
    init(&DecoderConfig::Roi(RoiTransformerConfig {
        tokenizer: Tokenizer::Regions {
            lengths: vec![4, 2],
        },
        identity,
        levels,
        scores: false,
        own_share: 0.5,
        subjects: 2,
        labels: 3,
        input_dropout: 0.0,
        encoder: EncoderConfig {
            dim: 4,
            depth: 2,
            heads: 2,
            mlp_ratio: 2.0,
            dropout: 0.0,
            attention_dropout: 0.0,
        },
    }))
}

/// The same input twice, once of each subject.
fn batch() -> Batch<Cpu> {
    let row: [f32; WIDTH] = std::array::from_fn(|i| (i as f32 * 1.3).sin());
    let tensor = |values: Vec<f32>, columns: usize| {
        Tensor::from_data(TensorData::new(values, [2, columns]), &Default::default())
    };
    Batch {
        inputs: tensor([row, row].concat(), WIDTH),
        subject_weights: tensor(vec![1.0, 0.0, 0.0, 1.0], 2),
        mask: None,
    }
}

fn host<const D: usize>(tensor: Tensor<Cpu, D>) -> Vec<f32> {
    tensor.into_data().into_vec().unwrap()
}

#[test]
fn an_embedding_tells_subjects_apart() {
    let logits = host(
        transformer(Identity::Embedding, Levels::Both)
            .forward(batch())
            .logits,
    );
    assert_ne!(logits[..3], logits[3..]);
}

#[test]
fn a_network_without_subjects_does_not() {
    let mlp = init(&DecoderConfig::Mlp(MlpConfig {
        inputs: WIDTH,
        hidden: 5,
        labels: 3,
        input_dropout: 0.0,
        dropout: 0.0,
    }));
    let logits = host(mlp.forward(batch()).logits);
    assert_eq!(logits[..3], logits[3..]);
}

#[test]
fn a_level_alone_has_one_token_and_reads_it() {
    for (levels, high, low) in [
        (Levels::Both, true, true),
        (Levels::High, true, false),
        (Levels::Low, false, true),
    ] {
        let TokenOutput {
            logits,
            high_level,
            low_level,
        } = transformer(Identity::Tokens, levels).forward(batch());
        assert_eq!([high_level.is_some(), low_level.is_some()], [high, low]);
        let logits = host(logits);
        assert_ne!(logits[..3], logits[3..], "{levels:?}");
    }
}

#[derive(Default)]
struct Parameters(Vec<Vec<f64>>);

impl ModuleVisitor<Cpu> for Parameters {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<Cpu, D>>) {
        self.0
            .push(host(param.val()).into_iter().map(f64::from).collect());
    }
}

/// x W + b in double precision; W is [in, out].
fn linear(x: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
    let outputs = bias.len();
    let column = |out: usize| {
        let products = x.iter().enumerate();
        let products = products.map(|(input, x)| x * weight[input * outputs + out]);
        bias[out] + products.sum::<f64>()
    };
    (0..outputs).map(column).collect()
}

#[test]
fn the_mlp_is_linear_gelu_linear() {
    let mlp = init(&DecoderConfig::Mlp(MlpConfig {
        inputs: WIDTH,
        hidden: 5,
        labels: 3,
        input_dropout: 0.0,
        dropout: 0.0,
    }));
    let mut parameters = Parameters::default();
    mlp.visit(&mut parameters);
    let [w1, b1, w2, b2] = parameters.0.as_slice() else {
        panic!("four parameters")
    };
    let x: Vec<f64> = host(batch().inputs)[..WIDTH]
        .iter()
        .map(|x| f64::from(*x))
        .collect();
    // Abramowitz & Stegun 7.1.26, to 1.5e-7.
    let erf = |x: f64| {
        let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
        let series = [
            0.254_829_592,
            -0.284_496_736,
            1.421_413_741,
            -1.453_152_027,
            1.061_405_429,
        ];
        let sum = series.iter().rev().fold(0.0, |sum, c| (sum + c) * t);
        (1.0 - sum * (-x * x).exp()).copysign(x)
    };
    let gelu = |x: f64| 0.5 * x * (1.0 + erf(x / 2.0_f64.sqrt()));
    let hidden: Vec<f64> = linear(&x, w1, b1).into_iter().map(gelu).collect();
    let expected = linear(&hidden, w2, b2);
    let found = host(mlp.forward(batch()).logits);
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (f64::from(*found) - expected).abs() < 1e-6,
            "{found} for {expected}"
        );
    }
}

fn subject_linear(rank: usize) -> Decoder<Cpu> {
    init(&DecoderConfig::SubjectLinear(SubjectLinearConfig {
        inputs: WIDTH,
        subjects: 2,
        hidden: 5,
        rank,
        depth: 2,
        labels: 3,
        input_dropout: 0.0,
        dropout: 0.0,
    }))
}

/// Each row passes the layer of its own subject alone.
#[test]
fn a_linear_layer_of_each_subject() {
    for rank in [0, 2] {
        let model = subject_linear(rank);
        let logits = host(model.forward(batch()).logits);
        assert_ne!(logits[..3], logits[3..]);
        let mut exchanged = batch();
        exchanged.subject_weights = exchanged.subject_weights.flip([0]);
        let found = host(model.forward(exchanged).logits);
        assert_eq!([&found[3..], &found[..3]].concat(), logits);
    }
}
