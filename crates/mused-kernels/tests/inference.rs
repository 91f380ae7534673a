//! What only inference runs: no graph, no stored probabilities. Against definitions in f64.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{DType, Tensor};
use mused_kernels::{
    Activation, Cpu, attention, causal_attention, gelu, linear, linear_activated, quick_gelu,
};
use support::{assert_close, floats, random, tolerance};

type T<const D: usize> = Tensor<Cpu, D>;

/// `allowed` is added to the scores: `[batch or 1, queries or 1, keys]`, 0 or −1e9.
fn defined(qkv: &T<3>, heads: usize, allowed: T<3>) -> Vec<f64> {
    let [batch, tokens, width] = qkv.dims();
    let dim = width / 3;
    let part = |i: usize| {
        let x = qkv.clone().cast(DType::F64).narrow(2, i * dim, dim);
        x.reshape([batch, tokens, heads, dim / heads])
            .swap_dims(1, 2)
    };
    let scores = part(0).matmul(part(1).transpose()) / ((dim / heads) as f64).sqrt();
    let p = softmax(scores + allowed.cast(DType::F64).unsqueeze_dim(1), 3);
    let out = p.matmul(part(2)).swap_dims(1, 2);
    out.reshape([batch, tokens, dim])
        .to_data()
        .to_vec()
        .unwrap()
}

/// Batches smaller and larger than the number of threads, tokens past a block of queries.
const SHAPES: [(usize, usize, usize, usize); 6] = [
    (1, 1, 1, 3),
    (3, 17, 2, 8),
    (1, 300, 4, 32),
    (2, 197, 3, 64),
    (5, 77, 2, 20),
    (1, 97, 1, 5),
];

#[test]
fn attention_without_gradient() {
    for (batch, tokens, heads, head_dim) in SHAPES {
        let qkv = random::<Cpu, 3>([batch, tokens, 3 * heads * head_dim], 1);
        let all = Tensor::zeros([1, 1, tokens], &Default::default());
        let expected = defined(&qkv, heads, all);
        let what = format!("{tokens} tokens");
        let found = floats(&attention(qkv.clone(), heads, None, None));
        assert_close(&found, &expected, tolerance::FORWARD, &what);
        let mask = random::<Cpu, 2>([batch, tokens], 2)
            .greater_elem(-1.0)
            .float();
        let mask = mask.slice_assign([0..batch, 0..1], Tensor::ones([batch, 1], &qkv.device()));
        let allowed = (mask.clone() - 1.0) * 1e9;
        let expected = defined(&qkv, heads, allowed.reshape([batch, 1, tokens]));
        let found = floats(&attention(qkv, heads, Some(mask), None));
        assert_close(&found, &expected, tolerance::FORWARD, &what);
    }
}

#[test]
fn causal_attention_sees_no_later_token() {
    for (batch, tokens, heads, head_dim) in SHAPES {
        let qkv = random::<Cpu, 3>([batch, tokens, 3 * heads * head_dim], 3);
        let later = Tensor::<Cpu, 2>::ones([tokens, tokens], &qkv.device()).triu(1) * -1e9;
        let expected = defined(&qkv, heads, later.unsqueeze());
        let what = format!("{tokens} tokens");
        let fast = floats(&causal_attention(qkv.clone(), heads));
        assert_close(&fast, &expected, tolerance::FORWARD, &what);
        let plain = causal_attention(qkv.cast(DType::F64), heads).cast(DType::F32);
        assert_close(&floats(&plain), &expected, tolerance::FORWARD, &what);
    }
}

#[test]
fn attention_gives_the_same_bits_for_any_number_of_threads() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap().install(|| {
            let qkv = random::<Cpu, 3>([2, 197, 3 * 128], 4);
            floats(&causal_attention(qkv, 2))
        })
    };
    let one = run(1);
    for threads in [2, 3, 5] {
        assert!(run(threads) == one, "{threads} threads");
    }
}

#[test]
fn an_activated_linear_is_the_activation_of_a_linear() {
    for (rows, inputs, outputs) in [(1, 3, 5), (7, 40, 33), (300, 70, 90)] {
        let x = random::<Cpu, 2>([rows, inputs], 1);
        let weight = random::<Cpu, 2>([inputs, outputs], 2);
        let bias = random::<Cpu, 1>([outputs], 3);
        let hidden = linear(x.clone(), weight.clone(), Some(bias.clone()));
        let expected = [gelu(hidden.clone()), quick_gelu(hidden)];
        let kinds = [Activation::Gelu, Activation::QuickGelu];
        for (kind, expected) in kinds.into_iter().zip(expected) {
            let found = linear_activated(x.clone(), weight.clone(), bias.clone(), kind);
            assert_eq!(floats(&found), floats(&expected), "{kind:?}");
        }
    }
}

#[test]
fn quick_gelu_is_its_definition() {
    let x = random::<Cpu, 1>([70_001], 5) * 8.0;
    let wide = x.clone().cast(DType::F64);
    let expected: Vec<f64> = (wide.clone() * sigmoid(wide.clone() * 1.702))
        .to_data()
        .to_vec()
        .unwrap();
    let found = floats(&quick_gelu(x));
    assert_close(&found, &expected, 1e-7, "fast");
    let plain = floats(&quick_gelu(wide).cast(DType::F32));
    assert_close(&plain, &expected, 1e-7, "plain");
    let edges = T::<1>::from_floats(
        [0.0, 1e30, -1e30, f32::NAN, f32::INFINITY],
        &Default::default(),
    );
    let found = floats(&quick_gelu(edges));
    assert_eq!(found[..2], [0.0, 1e30]);
    assert!(found[2].abs() < 1e-6 && found[3].is_nan() && found[4] == f32::INFINITY);
}
