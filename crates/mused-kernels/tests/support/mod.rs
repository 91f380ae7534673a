//! What the test files share: the backends, random values, comparison, and every tolerance.
#![allow(dead_code, unreachable_pub, missing_docs)]

use burn::backend::Autodiff;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use mused_kernels::Cpu;

/// The fast paths, differentiated.
pub type Train = Autodiff<Cpu>;

/// Largest accepted error, relative to the largest expected magnitude of the tensor (at least 1).
pub mod tolerance {
    /// Outputs.
    pub const FORWARD: f64 = 2e-6;
    /// Gradients: sums of more terms.
    pub const GRADIENT: f64 = 5e-6;
    /// Convolutions at stride 2 by phases, whose transform has larger constants than that of 3³.
    pub const PHASES: f64 = 8e-6;
    /// Parameters and state after a few optimiser steps.
    pub const OPTIMISER: f64 = 1e-6;
    /// Each GELU value by itself, relative to its own size.
    pub const GELU_RELATIVE: f64 = 1e-6;
}

/// Values in −2 … 2 from a counter: the same on every machine.
pub fn values(len: usize, seed: u64) -> Vec<f32> {
    (0..len as u64)
        .map(|i| {
            let mut z = (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
                ^ seed.wrapping_mul(0xd134_2543_de82_ef95);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z >> 40) as f32 / (1 << 22) as f32) - 2.0
        })
        .collect()
}

pub fn tensor<B: Backend, const D: usize>(values: &[f32], shape: [usize; D]) -> Tensor<B, D> {
    Tensor::<B, 1>::from_floats(values, &Default::default()).reshape(shape)
}

pub fn random<B: Backend, const D: usize>(shape: [usize; D], seed: u64) -> Tensor<B, D> {
    tensor(&values(shape.iter().product(), seed), shape)
}

pub fn floats<B: Backend, const D: usize>(tensor: &Tensor<B, D>) -> Vec<f32> {
    tensor.to_data().to_vec().unwrap()
}

/// Fails when an element is off by more than `tolerance` times the largest expected magnitude.
pub fn assert_close(
    actual: &[f32],
    expected: &[impl Copy + Into<f64>],
    tolerance: f64,
    what: &str,
) {
    assert_eq!(actual.len(), expected.len(), "{what}: length");
    let largest = expected.iter().map(|&e| e.into().abs()).fold(1.0, f64::max);
    for (i, (a, e)) in actual.iter().zip(expected).enumerate() {
        let (a, e) = (f64::from(*a), (*e).into());
        assert!(
            (a - e).abs() <= tolerance * largest,
            "{what}[{i}]: {a} instead of {e} (scale {largest})"
        );
    }
}
