//! Every operation against PyTorch: `make_fixtures.py` beside this file wrote the fixture.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use burn::tensor::{Tensor, TensorData};
use mused_kernels::{AdamStep, Cpu, adam_update, attention, gelu, layer_norm, linear};
use safetensors::SafeTensors;
use support::{Train, assert_close, tolerance};

struct Fixture {
    tensors: SafeTensors<'static>,
}

impl Fixture {
    fn open() -> Self {
        let bytes = include_bytes!("fixtures/pytorch.safetensors");
        let tensors = SafeTensors::deserialize(bytes).unwrap();
        Self { tensors }
    }

    fn data(&self, name: &str) -> TensorData {
        let view = self.tensors.tensor(name).unwrap();
        let (values, _) = view.data().as_chunks::<4>();
        let values: Vec<f32> = values.iter().map(|b| f32::from_le_bytes(*b)).collect();
        TensorData::new(values, view.shape().to_vec())
    }

    fn values(&self, name: &str) -> Vec<f32> {
        self.data(name).to_vec().unwrap()
    }

    fn input<const D: usize>(&self, name: &str) -> Tensor<Train, D> {
        Tensor::from_data(self.data(name), &Default::default()).require_grad()
    }

    /// Compares the output, runs backward with the fixture's output gradient, and returns the gradients.
    fn backward<const D: usize>(
        &self,
        prefix: &str,
        output: &Tensor<Train, D>,
    ) -> <Train as burn::tensor::backend::AutodiffBackend>::Gradients {
        let expected = self.values(&format!("{prefix}.output"));
        let actual: Vec<f32> = output.to_data().to_vec().unwrap();
        assert_close(
            &actual,
            &expected,
            tolerance::FORWARD,
            &format!("{prefix}.output"),
        );
        let weight = Tensor::<Train, D>::from_data(
            self.data(&format!("{prefix}.output.grad")),
            &Default::default(),
        );
        (output.clone() * weight).sum().backward()
    }

    fn check_gradient<const D: usize>(
        &self,
        name: &str,
        tensor: &Tensor<Train, D>,
        grads: &<Train as burn::tensor::backend::AutodiffBackend>::Gradients,
    ) {
        let actual: Vec<f32> = tensor.grad(grads).unwrap().to_data().to_vec().unwrap();
        let expected = self.values(&format!("{name}.grad"));
        assert_close(&actual, &expected, tolerance::GRADIENT, name);
    }
}

#[test]
fn gelu_is_pytorchs() {
    let fixture = Fixture::open();
    let x = fixture.input::<1>("gelu.x");
    let grads = fixture.backward("gelu", &gelu(x.clone()));
    fixture.check_gradient("gelu.x", &x, &grads);
}

#[test]
fn layer_norm_is_pytorchs() {
    let fixture = Fixture::open();
    let x = fixture.input::<2>("layer_norm.x");
    let gamma = fixture.input::<1>("layer_norm.gamma");
    let beta = fixture.input::<1>("layer_norm.beta");
    let y = layer_norm(x.clone(), gamma.clone(), beta.clone(), 1e-5);
    let grads = fixture.backward("layer_norm", &y);
    fixture.check_gradient("layer_norm.x", &x, &grads);
    fixture.check_gradient("layer_norm.gamma", &gamma, &grads);
    fixture.check_gradient("layer_norm.beta", &beta, &grads);
}

#[test]
fn linear_is_pytorchs() {
    let fixture = Fixture::open();
    let x = fixture.input::<2>("linear.x");
    let weight = fixture.input::<2>("linear.weight");
    let bias = fixture.input::<1>("linear.bias");
    let y = linear(x.clone(), weight.clone(), Some(bias.clone()));
    let grads = fixture.backward("linear", &y);
    fixture.check_gradient("linear.x", &x, &grads);
    fixture.check_gradient("linear.weight", &weight, &grads);
    fixture.check_gradient("linear.bias", &bias, &grads);
}

#[test]
fn attention_is_pytorchs() {
    let fixture = Fixture::open();
    let qkv = fixture.input::<3>("attention.qkv");
    let mask = Tensor::from_data(fixture.data("attention.mask"), &Default::default());
    let grads = fixture.backward("attention", &attention(qkv.clone(), 4, Some(mask), None));
    fixture.check_gradient("attention.qkv", &qkv, &grads);
}

#[test]
fn five_adam_steps_are_pytorchs() {
    let fixture = Fixture::open();
    for (name, decoupled) in [("adam", false), ("adamw", true)] {
        let load = |part: &str| -> Vec<f32> { fixture.values(&format!("{name}.{part}")) };
        let tensor = |values: &[f32]| Tensor::<Cpu, 1>::from_floats(values, &Default::default());
        let mut param = tensor(&load("start"));
        let (mut mean, mut square) = (param.zeros_like(), param.zeros_like());
        let (gradients, after) = (load("gradients"), load("after"));
        let len = param.dims()[0];
        let steps = gradients.chunks(len).zip(after.chunks(len));
        for (step, (gradient, expected)) in (1..).zip(steps) {
            let numbers = AdamStep {
                weight_decay: 0.1,
                decoupled,
                ..AdamStep::adam(1e-2, step)
            };
            (param, mean, square) = adam_update(param, tensor(gradient), mean, square, &numbers);
            let actual: Vec<f32> = param.to_data().to_vec().unwrap();
            assert_close(
                &actual,
                expected,
                tolerance::OPTIMISER,
                &format!("{name} {step}"),
            );
        }
        for (tensor, part) in [(mean, "exp_avg"), (square, "exp_avg_sq")] {
            let actual: Vec<f32> = tensor.to_data().to_vec().unwrap();
            assert_close(&actual, &load(part), tolerance::OPTIMISER, part);
        }
    }
}
