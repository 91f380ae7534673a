//! The ROI Transformer against the same network in plain PyTorch
//! (`fixtures/make_roi_transformer.py`): outputs, loss terms and every parameter's gradient.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use burn::backend::Autodiff;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Tensor, TensorData};
use mused_kernels::Cpu;
use mused_model::losses::rdm;
use mused_model::{
    Batch, EncoderConfig, Identity, Levels, LossConfig, Noise, Orthogonality, RoiTransformer,
    RoiTransformerConfig, RsaForm, Targets, Tokenizer,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use safetensors::SafeTensors;

type B = Autodiff<Cpu>;

/// Absolute, on values and gradients of the order of 1.
const TOLERANCE: f32 = 2e-5;

const FIXTURE: &[u8] = include_bytes!("fixtures/roi_transformer.safetensors");
const BATCH: usize = 6;

fn config(lengths: &[usize], subjects: usize, labels: usize, dim: usize) -> RoiTransformerConfig {
    RoiTransformerConfig {
        tokenizer: Tokenizer::Regions {
            lengths: lengths.to_vec(),
        },
        identity: Identity::Tokens,
        levels: Levels::Both,
        scores: false,
        own_share: 0.5,
        subjects,
        labels,
        input_dropout: 0.0,
        encoder: EncoderConfig {
            dim,
            depth: 2,
            heads: 2,
            mlp_ratio: 2.0,
            dropout: 0.0,
            attention_dropout: 0.0,
        },
    }
}

/// sin of the index plus a phase that depends on the name, as in the generator.
fn wave(name: &str, count: usize, scale: f64) -> Vec<f32> {
    let phase: usize = name
        .bytes()
        .enumerate()
        .map(|(i, c)| (i + 1) * usize::from(c))
        .sum();
    let phase = (phase % 1000) as f64;
    (0..count)
        .map(|i| (scale * (i as f64 * 1.7 + phase).sin()) as f32)
        .collect()
}

#[derive(Default)]
struct Path(Vec<String>);

impl Path {
    fn name(&self) -> String {
        self.0.join(".")
    }
}

struct Waves(Path);

impl ModuleMapper<B> for Waves {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.0.0.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.0.0.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let name = self.0.name();
        let norm_weight = name.ends_with("norm.weight");
        let (scale, offset) = if norm_weight { (0.2, 1.0) } else { (0.4, 0.0) };
        let dims = param.dims();
        let mut values = wave(&name, dims.iter().product(), scale);
        values.iter_mut().for_each(|value| *value += offset);
        let data = TensorData::new(values, dims);
        param.map(|_| Tensor::from_data(data, &Default::default()).require_grad())
    }
}

struct Gradients<'g> {
    path: Path,
    gradients: &'g <B as AutodiffBackend>::Gradients,
    file: &'g SafeTensors<'g>,
    compared: usize,
}

impl ModuleVisitor<B> for Gradients<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.0.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.0.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let name = format!("grad.{}", self.path.name());
        let found = param.val().grad(self.gradients).unwrap();
        close(&name, found.into_data(), &values(self.file, &name));
        self.compared += 1;
    }
}

fn values(file: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    let bytes = file.tensor(name).unwrap().data();
    bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|word| f32::from_le_bytes(*word))
        .collect()
}

fn close(name: &str, found: TensorData, expected: &[f32]) {
    let found = found.into_vec::<f32>().unwrap();
    assert_eq!(found.len(), expected.len(), "{name}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() <= TOLERANCE,
            "{name}: {found} against {expected}"
        );
    }
}

fn tensor(values: Vec<f32>, columns: usize) -> Tensor<B, 2> {
    let rows = values.len() / columns;
    Tensor::from_data(
        TensorData::new(values, [rows, columns]),
        &Default::default(),
    )
}

#[test]
fn outputs_and_gradients_equal_pytorch() {
    let file = SafeTensors::deserialize(FIXTURE).unwrap();
    let device = Default::default();
    let model = config(&[5, 3, 7], 3, 4, 8)
        .init::<B>(&mut ChaCha8Rng::seed_from_u64(0), &device)
        .map(&mut Waves(Path::default()));
    let mut mask = vec![1.0; BATCH * 3];
    mask[3 + 2] = 0.0;
    mask[4 * 3] = 0.0;
    let subject_weights = (0..BATCH).flat_map(|row| (0..3).map(move |s| f32::from(s == row % 3)));
    let batch = Batch {
        inputs: tensor(wave("inputs", BATCH * 15, 1.0), 15),
        subject_weights: tensor(subject_weights.collect(), 3),
        mask: Some(tensor(mask, 3)),
    };
    let output = model.forward(batch, Noise::none());
    close("logits", output.logits.to_data(), &values(&file, "logits"));
    close(
        "high",
        output.high_level.clone().unwrap().to_data(),
        &values(&file, "high"),
    );
    close(
        "low",
        output.low_level.clone().unwrap().to_data(),
        &values(&file, "low"),
    );
    let labels = wave("labels", BATCH * 4, 1.0);
    let labels = labels
        .into_iter()
        .map(|value| f32::from(value > 0.3))
        .collect();
    let loss = LossConfig {
        high: 0.2,
        low: 0.3,
        orthogonality: 0.01,
        orthogonality_form: Orthogonality::F,
        rsa_form: RsaForm::SquaredError,
    };
    let terms = loss.terms(
        output,
        Targets {
            labels: tensor(labels, 4),
            high_rdm: Some(rdm(tensor(wave("high", BATCH * 5, 1.0), 5))),
            low_rdm: Some(rdm(tensor(wave("low", BATCH * 9, 1.0), 9))),
            different: Tensor::<B, 2>::ones([BATCH, BATCH], &device).greater_elem(0.0),
        },
    );
    let found = Tensor::cat(
        vec![
            terms.classification,
            terms.orthogonality.unwrap(),
            terms.high.unwrap(),
            terms.low.unwrap(),
            terms.total.clone(),
        ],
        0,
    );
    close("terms", found.into_data(), &values(&file, "terms"));
    let gradients = terms.total.backward();
    let mut comparison = Gradients {
        path: Path::default(),
        gradients: &gradients,
        file: &file,
        compared: 0,
    };
    model.visit(&mut comparison);
    let stored = file
        .names()
        .iter()
        .filter(|name| name.starts_with("grad."))
        .count();
    assert_eq!(comparison.compared, stored);
}

#[test]
fn a_new_subject_reads_the_mean_token() {
    let device = Default::default();
    let model = config(&[4, 4], 2, 3, 8).init::<Cpu>(&mut ChaCha8Rng::seed_from_u64(1), &device);
    let forward = |weights: [f32; 2]| {
        let batch = Batch {
            inputs: Tensor::from_data([[0.5; 8]], &device),
            subject_weights: Tensor::from_data([weights], &device),
            mask: None,
        };
        model
            .forward(batch, Noise::none())
            .logits
            .into_data()
            .into_vec::<f32>()
            .unwrap()
    };
    let (first, second, mean) = (
        forward([1.0, 0.0]),
        forward([0.0, 1.0]),
        forward([0.5, 0.5]),
    );
    assert_ne!(first, second);
    assert!(
        mean.iter()
            .zip(&first)
            .all(|(mean, first)| mean.is_finite() && mean != first)
    );
}

/// Two regions of two components and three scores of the subject's own, or of five values.
fn with_scores(scores: bool) -> RoiTransformer<Cpu> {
    with_share(scores, 0.5)
}

fn with_share(scores: bool, own_share: f64) -> RoiTransformer<Cpu> {
    let config = RoiTransformerConfig {
        scores,
        own_share,
        ..config(&[5, 5], 2, 3, 8)
    };
    config.init(&mut ChaCha8Rng::seed_from_u64(1), &Default::default())
}

/// The second subject lacks the second region.
fn of_two_subjects(inputs: [[f32; 10]; 2]) -> Batch<Cpu> {
    let device = Default::default();
    Batch {
        inputs: Tensor::from_data(inputs, &device),
        subject_weights: Tensor::from_data([[1.0, 0.0], [0.0, 1.0]], &device),
        mask: Some(Tensor::from_data([[1.0, 1.0], [1.0, 0.0]], &device)),
    }
}

const ROWS: [[f32; 10]; 2] = [
    [0.3, -0.2, 1.0, -2.0, 0.5, 0.7, 0.1, 3.0, 0.0, -0.5],
    [-0.4, 0.6, 0.25, 0.5, -1.0, 0.0, 0.0, 9.0, 9.0, 9.0],
];

/// Mean scores over the regions that a subject has.
const OWN: [f32; 6] = [2.0, -1.0, 0.0, 0.25, 0.5, -1.0];

fn logits(output: mused_model::TokenOutput<Cpu>) -> Vec<f32> {
    output.logits.into_data().into_vec().unwrap()
}

fn forward(model: &RoiTransformer<Cpu>, rows: [[f32; 10]; 2]) -> Vec<f32> {
    logits(model.forward(of_two_subjects(rows), Noise::none()))
}

#[test]
fn the_subjects_own_scores_have_their_share_in_what_is_decoded_and_none_in_training() {
    for (prior, share) in [([0.0; 3], 0.5), ([-1.0, 0.5, 2.0], 0.7)] {
        let mut model = with_share(true, share);
        let before = forward(&model, ROWS);
        model.set_prior(Tensor::from_floats(prior, &Default::default()));
        let trained = forward(&model, ROWS);
        assert_eq!(trained, before);
        let decoded = logits(model.decode(of_two_subjects(ROWS)));
        for (place, decoded) in decoded.iter().enumerate() {
            let own = OWN[place] + prior[place % 3];
            let expected = (1.0 - share as f32) * trained[place] + share as f32 * own;
            assert!((decoded - expected).abs() < 1e-6, "{decoded} {expected}");
        }
    }
    let mut model = with_scores(false);
    model.set_prior(Tensor::from_floats([1.0; 3], &Default::default()));
    let decoded = logits(model.decode(of_two_subjects(ROWS)));
    assert_eq!(decoded, forward(&model, ROWS));
}

#[test]
fn no_token_reads_the_subjects_own_scores() {
    let mut others = ROWS;
    for row in &mut others {
        for first in [2, 7] {
            row[first..first + 3].fill(5.0);
        }
    }
    let (beside, read) = (with_scores(true), with_scores(false));
    assert_eq!(forward(&beside, ROWS), forward(&beside, others));
    assert_ne!(forward(&read, ROWS), forward(&read, others));
    let [before, after] = [ROWS, others].map(|rows| logits(beside.decode(of_two_subjects(rows))));
    assert_ne!(before, after);
}

#[test]
fn scores_have_a_prior_and_no_weights() {
    let dim = 8;
    // Of two regions, three values each; a prior a label.
    let expected = with_scores(false).num_params() - 2 * 3 * dim + 3;
    assert_eq!(with_scores(true).num_params(), expected);
}
