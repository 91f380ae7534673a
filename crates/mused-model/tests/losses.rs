//! Losses against the published PyTorch code (`golden/losses.safetensors`).
#![allow(clippy::unwrap_used, clippy::expect_used)]

use burn::backend::Autodiff;
use burn::tensor::{Tensor, TensorData};
use mused_kernels::Cpu;
use mused_model::losses::{orthogonality, rdm, rsa};
use mused_model::{LossConfig, Orthogonality, RsaForm, Targets, TokenOutput};
use safetensors::SafeTensors;

type B = Autodiff<Cpu>;

/// Relative to the largest value of the tensor.
const TOLERANCE: f32 = 1e-5;

fn values(file: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    let bytes = file.tensor(name).unwrap().data();
    bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|word| f32::from_le_bytes(*word))
        .collect()
}

fn matrix(file: &SafeTensors<'_>, name: &str) -> Tensor<B, 2> {
    let shape: Vec<usize> = file.tensor(name).unwrap().shape().to_vec();
    Tensor::from_data(
        TensorData::new(values(file, name), shape),
        &Default::default(),
    )
}

fn close<const D: usize>(found: Tensor<impl burn::tensor::backend::Backend, D>, expected: &[f32]) {
    let found = found.into_data().into_vec::<f32>().unwrap();
    assert_eq!(found.len(), expected.len());
    let largest = expected
        .iter()
        .fold(f32::MIN_POSITIVE, |max, value| max.max(value.abs()));
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() <= TOLERANCE * largest,
            "{found} against {expected}"
        );
    }
}

#[test]
fn published_losses_and_gradients() {
    let file = SafeTensors::deserialize(include_bytes!("golden/losses.safetensors")).unwrap();
    let high = matrix(&file, "hlv_token").require_grad();
    let low = matrix(&file, "llv_token").require_grad();
    let logits = matrix(&file, "logits").require_grad();
    let high_rdm = rdm(matrix(&file, "hlv_feature"));
    let low_rdm = rdm(matrix(&file, "llv_feature"));
    close(rdm(high.clone()), &values(&file, "rdm_hlv_token"));
    close(high_rdm.clone(), &values(&file, "rdm_hlv_feature"));
    let forms = [
        (Orthogonality::F, "orth_f"),
        (Orthogonality::L1, "orth_l1"),
        (Orthogonality::L2, "orth_l2"),
    ];
    for (form, name) in forms {
        close(
            orthogonality(high.clone(), low.clone(), form),
            &values(&file, name),
        );
    }
    let size = high.dims()[0];
    let different = Tensor::<B, 2>::ones([size, size], &Default::default()).greater_elem(0.0);
    for (tokens, target, name) in [(&high, &high_rdm, "rsa_hlv"), (&low, &low_rdm, "rsa_llv")] {
        let loss = rsa(
            rdm(tokens.clone()),
            target.clone(),
            &different,
            RsaForm::SquaredError,
        );
        close(loss, &values(&file, name));
    }
    let config = LossConfig {
        high: 1e-3,
        low: 1e-1,
        orthogonality: 1e-3,
        orthogonality_form: Orthogonality::F,
        rsa_form: RsaForm::SquaredError,
    };
    let terms = config.terms(
        TokenOutput {
            logits: logits.clone(),
            high_level: Some(high.clone()),
            low_level: Some(low.clone()),
        },
        Targets {
            labels: matrix(&file, "labels"),
            high_rdm: Some(high_rdm),
            low_rdm: Some(low_rdm),
            different,
        },
    );
    close(terms.classification.clone(), &values(&file, "clf"));
    close(terms.total.clone(), &values(&file, "total"));
    let gradients = terms.total.backward();
    close(
        high.grad(&gradients).unwrap(),
        &values(&file, "grad_hlv_token"),
    );
    close(
        low.grad(&gradients).unwrap(),
        &values(&file, "grad_llv_token"),
    );
    close(
        logits.grad(&gradients).unwrap(),
        &values(&file, "grad_logits"),
    );
}

#[test]
fn a_token_of_zeros_has_a_finite_gradient() {
    let tokens = Tensor::<B, 2>::zeros([3, 4], &Default::default()).require_grad();
    let gradients = rdm(tokens.clone()).powi_scalar(2).sum().backward();
    let gradient = tokens
        .grad(&gradients)
        .unwrap()
        .into_data()
        .into_vec::<f32>()
        .unwrap();
    assert!(
        gradient.iter().all(|value| value.is_finite()),
        "{gradient:?}"
    );
}

#[test]
fn centred_form_ignores_offset_and_equal_stimuli() {
    let device = Default::default();
    let target = Tensor::<B, 2>::from_data(
        [
            [0.0, 0.0, 0.3, 0.9],
            [0.0, 0.0, 0.3, 0.9],
            [0.3, 0.3, 0.0, 0.5],
            [0.9, 0.9, 0.5, 0.0],
        ],
        &device,
    );
    let ids = [0, 0, 1, 2];
    let different: Vec<bool> = ids
        .iter()
        .flat_map(|a| ids.iter().map(move |b| a != b))
        .collect();
    let different = Tensor::from_data(TensorData::new(different, [4, 4]), &device);
    // Whatever stands between samples of one stimulus does not count.
    let shifted = (target.clone() + 0.7).slice_fill([0..1, 1..2], 55.0);
    let loss = rsa(shifted, target.clone(), &different, RsaForm::Centred).into_scalar();
    assert!(loss.abs() < 1e-6, "{loss}");
    // Against a constant: the variance of .3 .3 .9 .9 .5 (each twice), which is .0736.
    let constant = target.zeros_like();
    let loss = rsa(constant, target, &different, RsaForm::Centred).into_scalar();
    assert!((loss - 0.0736).abs() < 1e-6, "{loss}");
}

#[test]
fn cosine_orthogonality_is_bounded() {
    let device = Default::default();
    let high = Tensor::<B, 2>::from_data([[3.0, 4.0], [100.0, 0.0]], &device);
    let low = Tensor::<B, 2>::from_data([[4.0, 3.0], [0.0, 9.0]], &device);
    // Squared cosines of the four pairs: .96², .8², .8² and 0.
    let loss = orthogonality(high, low, Orthogonality::Cosine).into_scalar();
    assert!((loss - 0.5504).abs() < 1e-6, "{loss}");
}
