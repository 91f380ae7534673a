//! Every operation, forward and gradient, on random shapes: the fast path (f32), the plain bodies (the same functions on
//! f64 tensors, which have no fast path) and the definition (f64 loops, or Burn's own autodiff in f64) must agree.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use burn::tensor::activation;
use burn::tensor::{DType, Tensor};
use mused_kernels::{
    AdamStep, Cpu, Dropout, adam_update, attention, attention_readout, dropout, dropout_add,
    ema_update, gelu, layer_norm, linear, region_tokens, sums_of_squares,
};
use proptest::prelude::*;
use support::{Train, assert_close, floats, random, tolerance, values};

/// Runs the function on f32 and on f64 inputs and the definition on f64 inputs; compares outputs and gradients.
macro_rules! agree {
    ($what:expr, [$($input:ident : $rank:literal),+], $kernel:expr, $definition:expr) => {{
        $(let $input = $input.detach().require_grad();)+
        let wide = ($($input.clone().cast(DType::F64).detach().require_grad(),)+);
        let wide2 = ($($input.clone().cast(DType::F64).detach().require_grad(),)+);
        let fast = $kernel($($input.clone()),+);
        let plain = { let ($($input,)+) = wide.clone(); $kernel($($input),+) };
        let exact = { let ($($input,)+) = wide2.clone(); $definition($($input),+) };
        let expected: Vec<f64> = exact.to_data().to_vec().unwrap();
        assert_close(&floats(&fast), &expected, tolerance::FORWARD, $what);
        assert_close(&floats(&plain.clone().cast(DType::F32)), &expected, tolerance::FORWARD, $what);
        let weight = random::<Train, _>(exact.dims(), 99);
        let grads = (fast * weight.clone()).sum().backward();
        let plain_grads = (plain * weight.clone().cast(DType::F64)).sum().backward();
        let exact_grads = (exact * weight.cast(DType::F64)).sum().backward();
        let fast_all: Vec<Vec<f32>> = { vec![$(floats(&$input.grad(&grads).unwrap())),+] };
        let plain_all: Vec<Vec<f32>> = { let ($($input,)+) = wide;
            vec![$(floats(&$input.grad(&plain_grads).unwrap().cast(DType::F32))),+] };
        let exact_all: Vec<Vec<f64>> = { let ($($input,)+) = wide2;
            vec![$($input.grad(&exact_grads).unwrap().to_data().to_vec().unwrap()),+] };
        for (name, ((fast, plain), exact)) in [$(stringify!($input)),+].iter().zip(fast_all.iter().zip(&plain_all).zip(&exact_all)) {
            assert_close(fast, exact, tolerance::GRADIENT, &format!("{} d{name}", $what));
            assert_close(plain, exact, tolerance::GRADIENT, &format!("{} d{name} (plain)", $what));
        }
    }};
}

type T<const D: usize> = Tensor<Train, D>;

fn defined_attention(qkv: T<3>, heads: usize, mask: Option<T<2>>, keep: Option<T<4>>) -> T<3> {
    let [batch, tokens, width] = qkv.dims();
    let (dim, head_dim) = (width / 3, width / 3 / heads);
    let part = |i: usize| {
        let x = qkv.clone().narrow(2, i * dim, dim);
        x.reshape([batch, tokens, heads, head_dim]).swap_dims(1, 2)
    };
    let mut scores = part(0).matmul(part(1).transpose()) / (head_dim as f64).sqrt();
    let mut any = scores.ones_like();
    if let Some(mask) = mask {
        let mask = mask.cast(DType::F64).reshape([batch, 1, 1, tokens]);
        scores = scores + (mask.clone() - 1.0) * 1e9;
        any = any * mask.max_dim(3);
    }
    let mut p = activation::softmax(scores, 3) * any;
    if let Some(keep) = keep {
        p = p * keep.cast(DType::F64);
    }
    p.matmul(part(2))
        .swap_dims(1, 2)
        .reshape([batch, tokens, dim])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn linear_agrees(rows in 1_usize..70, inner in 1_usize..90, columns in 1_usize..150, seed: u64) {
        let x = random::<Train, 2>([rows, inner], seed);
        let weight = random::<Train, 2>([inner, columns], seed ^ 1);
        let bias = random::<Train, 1>([columns], seed ^ 2);
        agree!("linear", [x: 2, weight: 2, bias: 1],
            |x: T<2>, w: T<2>, b: T<1>| linear(x, w, Some(b)),
            |x: T<2>, w: T<2>, b: T<1>| x.matmul(w) + b.unsqueeze());
        let x = random::<Train, 2>([rows, inner], seed);
        let weight = random::<Train, 2>([inner, columns], seed ^ 1);
        agree!("linear without bias", [x: 2, weight: 2],
            |x: T<2>, w: T<2>| linear(x, w, None), |x: T<2>, w: T<2>| x.matmul(w));
    }

    #[test]
    fn region_tokens_agree(
        batch in 1_usize..70, read in 1_usize..4, dim in 1_usize..70, lengths in prop::collection::vec(1_usize..200, 1..6),
        between in 0_usize..4, seed: u64,
    ) {
        // Regions have columns between them that are none of theirs.
        let starts = lengths.iter().scan(0, |end, length| {
            let start = *end;
            *end += length + between;
            Some(start)
        });
        let columns: Vec<_> = starts.zip(&lengths).map(|(start, length)| start..start + length).collect();
        let width = lengths.iter().sum::<usize>() + between * lengths.len();
        let inputs = random::<Train, 2>([batch, width], seed);
        let leading = random::<Train, 3>([batch, read, dim], seed ^ 1);
        let weight = random::<Train, 2>([lengths.iter().sum(), dim], seed ^ 2);
        let bias = random::<Train, 2>([lengths.len(), dim], seed ^ 3);
        agree!("region tokens", [leading: 3, weight: 2, bias: 2],
            |leading: T<3>, weight: T<2>, bias: T<2>| {
                let inputs = inputs.clone().cast(weight.dtype());
                region_tokens(leading, inputs, columns.clone(), weight, bias)
            },
            |leading: T<3>, weight: T<2>, bias: T<2>| {
                let (mut tokens, mut first) = (vec![leading], 0);
                for (region, own) in columns.iter().enumerate() {
                    let bias = bias.clone().narrow(0, region, 1);
                    let inputs = inputs.clone().cast(DType::F64).narrow(1, own.start, own.len());
                    let token = inputs.matmul(weight.clone().narrow(0, first, own.len())) + bias;
                    tokens.push(token.unsqueeze_dim(1));
                    first += own.len();
                }
                Tensor::cat(tokens, 1)
            });
    }

    #[test]
    fn gelu_agrees(len in 1_usize..300, seed: u64) {
        let x = random::<Train, 1>([len], seed) * 3.0;
        agree!("gelu", [x: 1], |x: T<1>| gelu(x),
            |x: T<1>| x.clone() * (((x / 2f64.sqrt()).erf() + 1.0) * 0.5));
    }

    #[test]
    fn layer_norm_agrees(rows in 1_usize..150, dim in 2_usize..80, seed: u64) {
        // Columns 6 apart: a row of nearly equal values has a gradient that no f32 arithmetic gets right.
        let apart = Tensor::<Train, 1>::from_floats(
            (0..dim).map(|i| if i % 2 == 0 { 3.0 } else { -3.0 }).collect::<Vec<f32>>().as_slice(),
            &Default::default(),
        );
        let x = random::<Train, 2>([rows, dim], seed) + 1.5 + apart.unsqueeze();
        let gamma = random::<Train, 1>([dim], seed ^ 1);
        let beta = random::<Train, 1>([dim], seed ^ 2);
        agree!("layer_norm", [x: 2, gamma: 1, beta: 1],
            |x: T<2>, g: T<1>, b: T<1>| layer_norm(x, g, b, 1e-3),
            |x: T<2>, g: T<1>, b: T<1>| {
                let centred = x.clone() - x.mean_dim(1);
                let variance = (centred.clone() * centred.clone()).mean_dim(1);
                centred / (variance + 1e-3).sqrt() * g.unsqueeze() + b.unsqueeze()
            });
    }

    #[test]
    fn attention_agrees(
        batch in 1_usize..4, tokens in 1_usize..40, heads in 1_usize..4, head_dim in 1_usize..40,
        masked: bool, rate in prop_oneof![Just(0.0), 0.05..0.7_f64], seed: u64,
    ) {
        let qkv = random::<Train, 3>([batch, tokens, 3 * heads * head_dim], seed);
        let mask = masked.then(|| random::<Train, 2>([batch, tokens], seed ^ 3).greater_elem(-1.0).float());
        // The first sequence of a masked batch has no key at all.
        let mask = mask.map(|mask| mask.slice_assign([0..1, 0..tokens], Tensor::zeros([1, tokens], &Default::default())));
        let drop = (rate > 0.0).then_some(Dropout { rate, seed });
        let ones = Tensor::<Train, 4>::ones([batch, heads, tokens, tokens], &Default::default());
        let keep = drop.map(|drop| dropout(ones, drop.rate, drop.seed));
        agree!("attention", [qkv: 3],
            |qkv: T<3>| attention(qkv.clone(), heads, mask.clone().map(|m| m.cast(qkv.dtype())), drop),
            |qkv: T<3>| defined_attention(qkv, heads, mask.clone(), keep.clone()));

        let (dim, read) = (heads * head_dim, 1 + (seed % 3) as usize % tokens);
        let x = random::<Train, 3>([batch, tokens, dim], seed ^ 4);
        let weight = random::<Train, 2>([dim, 3 * dim], seed ^ 5) / (dim as f64).sqrt();
        let weight = weight.detach().require_grad();
        let bias = random::<Train, 1>([3 * dim], seed ^ 6);
        agree!("attention readout", [x: 3, weight: 2, bias: 1],
            |x: T<3>, w: T<2>, b: T<1>| {
                let mask = mask.clone().map(|m| m.cast(x.dtype()));
                attention_readout(x, (w, b), read, heads, mask, drop)
            },
            |x: T<3>, w: T<2>, b: T<1>| {
                let qkv = x.matmul(w.unsqueeze()) + b.reshape([1, 1, 3 * dim]);
                defined_attention(qkv, heads, mask.clone(), keep.clone()).narrow(1, 0, read)
            });
    }

    #[test]
    fn dropout_agrees(rows in 1_usize..50, dim in 1_usize..70, rate in 0.0..0.95_f64, seed: u64) {
        let x = random::<Train, 2>([rows, dim], seed);
        let residual = random::<Train, 2>([rows, dim], seed ^ 1);
        let keep = dropout(x.ones_like(), rate, seed).cast(DType::F64);
        agree!("dropout", [x: 2], |x: T<2>| dropout(x, rate, seed), |x: T<2>| x * keep.clone());
        let x = random::<Train, 2>([rows, dim], seed);
        agree!("dropout_add", [x: 2, residual: 2],
            |x: T<2>, r: T<2>| dropout_add(x, r, rate, seed), |x: T<2>, r: T<2>| x * keep.clone() + r);
    }

    #[test]
    fn optimiser_agrees(len in 1_usize..100, step in 1_u64..50, decoupled: bool, seed: u64) {
        let numbers = AdamStep { weight_decay: 0.1, decoupled, gradient_scale: 0.7, ..AdamStep::adam(1e-2, step) };
        let input = |i: u64| random::<Cpu, 1>([len], seed ^ i);
        let square = input(3) * input(3);
        let (p, m, v) = adam_update(input(0), input(1), input(2), square.clone(), &numbers);
        let wide = |x: Tensor<Cpu, 1>| x.cast(DType::F64);
        let (pw, mw, vw) = adam_update(wide(input(0)), wide(input(1)), wide(input(2)), wide(square.clone()), &numbers);
        let (param, grad, mean, square) = (values(len, seed), values(len, seed ^ 1), values(len, seed ^ 2), floats(&square));
        let mut expected = [vec![], vec![], vec![]];
        for i in 0..len {
            let (mut x, mut g) = (f64::from(param[i]), f64::from(grad[i]) * 0.7);
            if decoupled { x -= 1e-2 * 0.1 * x } else { g += 0.1 * x }
            let m = 0.9 * f64::from(mean[i]) + 0.1 * g;
            let v = 0.999 * f64::from(square[i]) + 0.001 * g * g;
            let (m_hat, v_hat) = (m / (1.0 - 0.9_f64.powi(step as i32)), v / (1.0 - 0.999_f64.powi(step as i32)));
            for (list, value) in expected.iter_mut().zip([x - 1e-2 * m_hat / (v_hat.sqrt() + 1e-8), m, v]) {
                list.push(value);
            }
        }
        // A second mean near 0 makes a step of any size: its rounding is not the update's.
        for (i, actual) in [p, m, v].iter().enumerate() {
            assert_close(&floats(actual), &expected[i], 2e-5, "adam");
        }
        for (i, actual) in [pw, mw, vw].into_iter().enumerate() {
            assert_close(&floats(&actual.cast(DType::F32)), &expected[i], tolerance::OPTIMISER, "adam (plain)");
        }
        let ema = floats(&ema_update(input(0), input(1), 0.99));
        let expected: Vec<f64> = param.iter().zip(&grad).map(|(e, p)| 0.99 * f64::from(*e) + 0.01 * f64::from(*p)).collect();
        assert_close(&ema, &expected, tolerance::OPTIMISER, "ema");
        let norm: f64 = param.iter().map(|x| f64::from(*x).powi(2)).sum();
        prop_assert!((sums_of_squares([input(0)])[0] - norm).abs() <= 1e-12 * norm);
    }
}

/// Past every block: the inner axis, the rows and the columns of a product, the queries of attention.
#[test]
fn sizes_past_one_block_agree() {
    let x = random::<Train, 2>([431, 517], 1);
    let weight = random::<Train, 2>([517, 139], 2);
    let bias = random::<Train, 1>([139], 3);
    agree!("large linear", [x: 2, weight: 2, bias: 1],
        |x: T<2>, w: T<2>, b: T<1>| linear(x, w, Some(b)),
        |x: T<2>, w: T<2>, b: T<1>| x.matmul(w) + b.unsqueeze());
    // Too much to be packed at once, forwards and backwards.
    let (columns, dim) = (vec![0..300, 300..302, 310..609], 910);
    let inputs = random::<Train, 2>([290, 609], 5);
    let leading = random::<Train, 3>([290, 1, dim], 6);
    let weight = random::<Train, 2>([601, dim], 7);
    let bias = random::<Train, 2>([3, dim], 8);
    agree!("many region tokens", [leading: 3, weight: 2, bias: 2],
    |leading: T<3>, weight: T<2>, bias: T<2>| {
        let inputs = inputs.clone().cast(weight.dtype());
        region_tokens(leading, inputs, columns.clone(), weight, bias)
    },
    |leading: T<3>, weight: T<2>, bias: T<2>| {
        let inputs = inputs.clone().cast(DType::F64);
        let rows = [0..300, 300..302, 302..601];
        let tokens = columns.iter().zip(rows).enumerate().map(|(region, (own, rows))| {
            let inputs = inputs.clone().narrow(1, own.start, own.len());
            let token = inputs.matmul(weight.clone().narrow(0, rows.start, rows.len()));
            (token + bias.clone().narrow(0, region, 1)).unsqueeze_dim(1)
        });
        Tensor::cat(std::iter::once(leading).chain(tokens).collect(), 1)
    });
    let drop = Dropout { rate: 0.2, seed: 9 };
    let qkv = random::<Train, 3>([2, 205, 3 * 2 * 19], 4);
    let keep = dropout(
        Tensor::<Train, 4>::ones([2, 2, 205, 205], &Default::default()),
        0.2,
        9,
    );
    agree!("long attention", [qkv: 3],
        |qkv: T<3>| attention(qkv, 2, None, Some(drop)),
        |qkv: T<3>| defined_attention(qkv, 2, None, Some(keep.clone())));
}

/// Views that are not contiguous: transposed, narrowed, flipped.
#[test]
fn views_agree() {
    let matrix = random::<Cpu, 2>([40, 60], 1);
    let weight = random::<Cpu, 2>([60, 30], 2);
    for (x, weight) in [
        (
            matrix.clone().transpose(),
            random::<Cpu, 2>([30, 40], 3).transpose(),
        ),
        (
            matrix.clone().narrow(1, 7, 33),
            weight.clone().narrow(0, 5, 33),
        ),
        (matrix.clone().flip([0, 1]), weight.clone().flip([1])),
        (matrix.clone().narrow(0, 3, 9), weight.clone()),
    ] {
        let wide = |x: &Tensor<Cpu, 2>| x.clone().cast(DType::F64);
        let expected: Vec<f64> = wide(&x).matmul(wide(&weight)).to_data().to_vec().unwrap();
        assert_close(
            &floats(&linear(x.clone(), weight, None)),
            &expected,
            tolerance::FORWARD,
            "view",
        );
        let expected: Vec<f64> = gelu(wide(&x)).to_data().to_vec().unwrap();
        assert_close(&floats(&gelu(x)), &expected, tolerance::FORWARD, "view");
    }
}

/// Tensors somebody else still holds are not written into.
#[test]
fn shared_tensors_stay_as_they_are() {
    let x = random::<Cpu, 1>([33], 1);
    let before = floats(&x);
    let _ = dropout(x.clone(), 0.5, 1);
    let _ = dropout_add(x.clone(), x.clone(), 0.5, 1);
    let _ = adam_update(
        x.clone(),
        x.clone(),
        x.clone(),
        x.clone(),
        &AdamStep::adam(0.1, 1),
    );
    let _ = ema_update(x.clone(), x.clone() * 2.0, 0.5);
    assert_eq!(floats(&x), before);
}

/// Both tails by value, where an error relative to the largest would hide everything.
#[test]
fn gelu_is_accurate_in_its_tails() {
    let x: Vec<f32> = (-1300..=1300).map(|i| i as f32 / 100.0).collect();
    let y = floats(&gelu(Tensor::<Cpu, 1>::from_floats(
        x.as_slice(),
        &Default::default(),
    )));
    for (x, y) in x.iter().zip(y) {
        let wide = f64::from(*x);
        let expected = wide * half_erfc(-wide / std::f64::consts::SQRT_2);
        // Below 1e-36 the result is subnormal soon.
        let allowed = tolerance::GELU_RELATIVE * expected.abs() + 1e-36;
        assert!(
            (f64::from(y) - expected).abs() <= allowed,
            "gelu({x}) = {y}, not {expected}"
        );
    }
}

/// `erfc(z) / 2` to 1e-13: the series near 0, the continued fraction beyond (Abramowitz & Stegun 7.1.6, 7.1.14).
fn half_erfc(z: f64) -> f64 {
    if z < 0.0 {
        return 1.0 - half_erfc(-z);
    }
    let density = (-z * z).exp() / std::f64::consts::PI.sqrt();
    if z < 2.5 {
        let (mut term, mut sum, mut n) = (z, z, 0.0);
        while term > 1e-18 * sum {
            n += 1.0;
            term *= 2.0 * z * z / (2.0 * n + 1.0);
            sum += term;
        }
        return 0.5 - density * sum;
    }
    let fraction = (1..200)
        .rev()
        .fold(z, |rest, k| z + f64::from(k) / 2.0 / rest);
    0.5 * density / fraction
}

#[test]
fn nan_is_not_hidden() {
    let device = Default::default();
    let x = Tensor::<Cpu, 1>::from_floats([f32::NAN, 1.0], &device);
    assert!(floats(&gelu(x.clone()))[0].is_nan());
    let qkv = x.clone().repeat_dim(0, 6).reshape([1, 2, 6]);
    assert!(
        floats(&attention(qkv, 1, None, None))
            .iter()
            .any(|v| v.is_nan())
    );
    let one = Tensor::<Cpu, 1>::ones([2], &device);
    assert!(floats(&layer_norm(x.unsqueeze(), one.clone(), one, 1e-5))[0].is_nan());
}

#[test]
fn dropout_keeps_its_share_and_its_seeds_apart() {
    let device = Default::default();
    let ones = Tensor::<Cpu, 1>::ones([200_000], &device);
    let a = floats(&dropout(ones.clone(), 0.3, 1));
    let b = floats(&dropout(ones, 0.3, 2));
    let kept = |x: &[f32]| x.iter().filter(|v| **v != 0.0).count() as f64 / x.len() as f64;
    assert!((kept(&a) - 0.7).abs() < 0.005 && (kept(&b) - 0.7).abs() < 0.005);
    let both: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a * b).collect();
    assert!((kept(&both) - 0.49).abs() < 0.005);
    let shifted: Vec<f32> = a.iter().zip(&a[1..]).map(|(a, b)| a * b).collect();
    assert!((kept(&shifted) - 0.49).abs() < 0.005);
}
