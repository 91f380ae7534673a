//! Convolution and batch normalisation on random shapes: the fast path (f32) and the plain bodies (the same functions on
//! f64 tensors) against loops in f64 that follow the definition, outputs and gradients.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use burn::tensor::{DType, Tensor};
use mused_kernels::{BatchNormTail, Cpu, Window, batch_norm, batch_norm_with, conv3d};
use proptest::prelude::*;
use support::{Train, assert_close, floats, random, tolerance, values};

fn narrow<const D: usize>(tensor: Tensor<Train, D>) -> Vec<f32> {
    floats(&tensor.cast(DType::F32))
}

/// Output, input gradient and weight gradient for `y · cotangent`, by the definition.
fn defined(
    x: &[f32],
    weight: &[f32],
    cotangent: &[f32],
    [batch, inputs, outputs]: [usize; 3],
    input: [usize; 3],
    kernel: [usize; 3],
    window: Window,
) -> [Vec<f64>; 3] {
    let output = window.output(input, kernel).unwrap();
    let mut y = vec![0.0; cotangent.len()];
    let mut x_gradient = vec![0.0; x.len()];
    let mut w_gradient = vec![0.0; weight.len()];
    let cells = |[d, h, w]: [usize; 3]| {
        (0..d).flat_map(move |z| (0..h).flat_map(move |y| (0..w).map(move |x| [z, y, x])))
    };
    let flat = |at: [usize; 3], grid: [usize; 3]| (at[0] * grid[1] + at[1]) * grid[2] + at[2];
    for volume in 0..batch {
        for to in cells(output) {
            for tap in cells(kernel) {
                let from: Option<Vec<usize>> = (0..3)
                    .map(|a| {
                        let at = to[a] * window.stride[a] + tap[a];
                        at.checked_sub(window.padding[a])
                            .filter(|at| *at < input[a])
                    })
                    .collect();
                let Some(from) = from else { continue };
                let from = flat([from[0], from[1], from[2]], input);
                let from = (volume * input.iter().product::<usize>() + from) * inputs;
                let to = flat(to, output) + volume * output.iter().product::<usize>();
                let tap = flat(tap, kernel) * inputs;
                for i in 0..inputs {
                    for o in 0..outputs {
                        let (x, w) = (
                            f64::from(x[from + i]),
                            f64::from(weight[(tap + i) * outputs + o]),
                        );
                        let g = f64::from(cotangent[to * outputs + o]);
                        y[to * outputs + o] += x * w;
                        x_gradient[from + i] += g * w;
                        w_gradient[(tap + i) * outputs + o] += g * x;
                    }
                }
            }
        }
    }
    [y, x_gradient, w_gradient]
}

fn check_convolution(
    channels: [usize; 3],
    input: [usize; 3],
    kernel: [usize; 3],
    window: Window,
    seed: u64,
    plain: bool,
) {
    let tolerances = [tolerance::FORWARD, tolerance::GRADIENT, tolerance::GRADIENT];
    check_convolution_to(tolerances, channels, input, kernel, window, seed, plain);
}

fn check_convolution_to(
    tolerances: [f64; 3],
    channels: [usize; 3],
    input: [usize; 3],
    kernel: [usize; 3],
    window: Window,
    seed: u64,
    plain: bool,
) {
    let [batch, inputs, outputs] = channels;
    let Some(output) = window.output(input, kernel) else {
        return;
    };
    let x = random::<Train, 5>([batch, input[0], input[1], input[2], inputs], seed).require_grad();
    let weight = random::<Train, 5>([kernel[0], kernel[1], kernel[2], inputs, outputs], seed ^ 1)
        .require_grad();
    let shape = [batch, output[0], output[1], output[2], outputs];
    let cotangent = random::<Train, 5>(shape, seed ^ 2);
    let expected = defined(
        &floats(&x),
        &floats(&weight),
        &floats(&cotangent),
        channels,
        input,
        kernel,
        window,
    );
    let what = format!("{channels:?} {input:?} {kernel:?} {window:?}");
    let run = |x: Tensor<Train, 5>,
               weight: Tensor<Train, 5>,
               cotangent: Tensor<Train, 5>,
               which: &str| {
        let y = conv3d(x.clone(), weight.clone(), window);
        assert_eq!(y.dims(), shape);
        let grads = (y.clone() * cotangent).sum().backward();
        let found = [
            narrow(y),
            narrow(Tensor::from_inner(x.grad(&grads).unwrap())),
            narrow(Tensor::from_inner(weight.grad(&grads).unwrap())),
        ];
        for (part, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_close(
                found,
                expected,
                tolerances[part],
                &format!("{which} {part} {what}"),
            );
        }
    };
    run(x.clone(), weight.clone(), cotangent.clone(), "fast");
    if plain {
        let wide = |t: Tensor<Train, 5>| t.cast(DType::F64).detach().require_grad();
        run(wide(x), wide(weight), cotangent.cast(DType::F64), "plain");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn convolutions_agree(
        batch in 1_usize..3, inputs in 1_usize..20, outputs in 1_usize..20,
        input in prop::array::uniform3(1_usize..10), size in prop_oneof![Just(1_usize), Just(3), Just(7)],
        stride in 1_usize..3, padding in 0_usize..4, seed: u64,
    ) {
        check_convolution([batch, inputs, outputs], input, [size; 3], Window::cubic(stride, padding), seed, true);
    }


    /// Axes that differ, strides beyond the kernel, padding beyond it: no plain body, Burn's own refuses some.
    #[test]
    fn uneven_convolutions_agree(
        batch in 1_usize..4, inputs in 1_usize..9, outputs in 1_usize..90,
        input in prop::array::uniform3(1_usize..9), kernel in prop::array::uniform3(1_usize..5),
        stride in prop::array::uniform3(1_usize..5), padding in prop::array::uniform3(0_usize..6), seed: u64,
    ) {
        check_convolution([batch, inputs, outputs], input, kernel, Window { stride, padding }, seed, false);
    }

    #[test]
    fn batch_norm_agrees(
        rows in 2_usize..400, channels in 1_usize..90, with_residual: bool, relu: bool, seed: u64,
    ) {
        check_batch_norm(rows, channels, with_residual, relu, seed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(1), ..ProptestConfig::default() })]

    /// Whole vectors of channels, kernels of 3³ at stride 1: by fewer multiplications.
    #[test]
    fn tiled_convolutions_agree(
        batch in 1_usize..3, inputs in prop_oneof![Just(32_usize), Just(48), Just(64), Just(80)],
        outputs in prop_oneof![Just(32_usize), Just(48), Just(64), Just(112)],
        depth in 2_usize..6, plane in prop::array::uniform2(10_usize..16),
        padding in prop::array::uniform3(0_usize..3), seed: u64,
    ) {
        let (input, window) = ([depth, plane[0], plane[1]], Window { stride: [1; 3], padding });
        check_convolution([batch, inputs, outputs], input, [3; 3], window, seed, false);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(1), ..ProptestConfig::default() })]

    /// Whole vectors of channels, kernels of 7 at stride 2 and what fits as well: by phases and fewer multiplications.
    #[test]
    fn convolutions_by_phases_agree(
        inputs in prop_oneof![Just(32_usize), Just(48)], outputs in prop_oneof![Just(32_usize), Just(48)],
        depth in 9_usize..13, plane in prop::array::uniform2(17_usize..22),
        axes in prop::array::uniform3(prop::sample::select(vec![(6_usize, 1_usize), (6, 5), (7, 0), (7, 2), (7, 3), (7, 6), (8, 2), (8, 6)])),
        seed: u64,
    ) {
        let (kernel, padding) = (axes.map(|(taps, _)| taps), axes.map(|(_, padding)| padding));
        let (input, window) = ([depth, plane[0], plane[1]], Window { stride: [2; 3], padding });
        check_convolution_to([tolerance::PHASES; 3], [2, inputs, outputs], input, kernel, window, seed, false);
    }
}

/// Shapes that fill panels, blocks and tasks: many channels, several panels, split positions.
#[test]
fn large_convolutions_agree() {
    let same = Window::cubic(1, 1);
    check_convolution([2, 96, 160], [5, 4, 3], [3; 3], same, 1, false);
    check_convolution([2, 48, 64], [3, 11, 13], [3; 3], same, 6, false);
    check_convolution([2, 512, 32], [3, 7, 9], [3; 3], same, 7, false);
    check_convolution([2, 32, 512], [3, 7, 9], [3; 3], same, 8, false);
    // Padding as wide as the kernel.
    let window = Window {
        stride: [2; 3],
        padding: [7, 3, 3],
    };
    check_convolution([1, 32, 32], [6, 20, 20], [7; 3], window, 9, false);
    check_convolution(
        [1, 300, 70],
        [3, 3, 3],
        [3; 3],
        Window::cubic(2, 1),
        2,
        false,
    );
    check_convolution(
        [2, 1, 8],
        [30, 29, 31],
        [7; 3],
        Window::cubic(2, 3),
        3,
        false,
    );
    check_convolution(
        [1, 33, 64],
        [9, 9, 9],
        [7; 3],
        Window::cubic(2, 3),
        4,
        false,
    );
    check_convolution([1, 2, 3], [24, 21, 20], [3; 3], same, 5, false);
}

/// Few tiles of many channels: weights are transformed where they are used (`winograd::tests` holds that these shapes are).
#[test]
fn convolutions_of_many_channels_agree() {
    let (same, strided) = (Window::cubic(1, 1), Window::cubic(2, 3));
    let uneven = Window {
        stride: [1; 3],
        padding: [2, 0, 1],
    };
    let exact = [tolerance::FORWARD, tolerance::GRADIENT, tolerance::GRADIENT];
    let by_phases = [tolerance::PHASES; 3];
    for (seed, (channels, input, taps, window, tolerances)) in (1..).zip([
        ([2, 256, 256], [5, 7, 5], 3, uneven, exact),
        ([1, 256, 256], [7, 8, 7], 3, same, exact),
        // Tasks of other sizes: the last of the input gradient, and of the forward pass.
        ([2, 352, 192], [5, 6, 5], 3, same, exact),
        ([2, 192, 368], [5, 6, 5], 3, same, exact),
        ([2, 64, 128], [9, 11, 9], 7, strided, by_phases),
    ]) {
        // What is left in buffers must not be seen.
        let [batch, inputs, outputs] = channels;
        let not_a_number = |shape| Tensor::<Train, 5>::full(shape, f32::NAN, &Default::default());
        let x = not_a_number([batch, input[0], input[1], input[2], inputs]).require_grad();
        let weight = not_a_number([taps, taps, taps, inputs, outputs]).require_grad();
        conv3d(x, weight, window).sum().backward();
        check_convolution_to(tolerances, channels, input, [taps; 3], window, seed, false);
    }
}

#[test]
fn a_kernel_that_does_not_fit_has_no_output() {
    assert_eq!(
        Window::cubic(2, 3).output([8, 8, 8], [7; 3]),
        Some([4, 4, 4])
    );
    assert_eq!(Window::cubic(1, 0).output([8, 2, 8], [3; 3]), None);
    assert_eq!(Window::cubic(0, 0).output([8, 8, 8], [3; 3]), None);
}

fn check_batch_norm(rows: usize, channels: usize, with_residual: bool, relu: bool, seed: u64) {
    const EPSILON: f64 = 1e-5;
    // Rows 6 apart: a channel of nearly equal values has a gradient that no f32 arithmetic gets right. And a mean far
    // from 0, where one-pass sums of squares lose everything.
    let mut x = values(rows * channels, seed);
    for (row, x) in x.chunks_mut(channels).enumerate() {
        x.iter_mut()
            .for_each(|x| *x += if row % 2 == 0 { 103.0 } else { 97.0 });
    }
    let x = support::tensor::<Train, 2>(&x, [rows, channels]).require_grad();
    let gamma = random::<Train, 1>([channels], seed ^ 1).require_grad();
    let beta = random::<Train, 1>([channels], seed ^ 2).require_grad();
    let residual = random::<Train, 2>([rows, channels], seed ^ 3).require_grad();
    let cotangent = random::<Train, 2>([rows, channels], seed ^ 4);
    let [xs, rs, cs] = [&x, &residual, &cotangent].map(floats);
    let [gs, bs] = [&gamma, &beta].map(floats);
    let count = rows as f64;
    let mut y = vec![0.0; rows * channels];
    let (mut dx, mut dr) = (y.clone(), y.clone());
    let (mut dg, mut db) = (vec![0.0; channels], vec![0.0; channels]);
    let (mut means, mut variances) = (dg.clone(), dg.clone());
    for c in 0..channels {
        let at = |r: usize| r * channels + c;
        let mean = (0..rows).map(|r| f64::from(xs[at(r)])).sum::<f64>() / count;
        let variance = (0..rows)
            .map(|r| (f64::from(xs[at(r)]) - mean).powi(2))
            .sum::<f64>()
            / count;
        let scale = 1.0 / (variance + EPSILON).sqrt();
        let z = |r: usize| (f64::from(xs[at(r)]) - mean) * scale;
        (means[c], variances[c]) = (mean, variance);
        for r in 0..rows {
            let residual = if with_residual {
                f64::from(rs[at(r)])
            } else {
                0.0
            };
            let value = z(r) * f64::from(gs[c]) + f64::from(bs[c]) + residual;
            y[at(r)] = if relu { value.max(0.0) } else { value };
            let g = if relu && value <= 0.0 {
                0.0
            } else {
                f64::from(cs[at(r)])
            };
            dr[at(r)] = g;
            dg[c] += g * z(r);
            db[c] += g;
        }
        for r in 0..rows {
            dx[at(r)] =
                f64::from(gs[c]) * scale * (dr[at(r)] - db[c] / count - z(r) * dg[c] / count);
        }
    }
    let run = |x: Tensor<Train, 2>,
               gamma: Tensor<Train, 1>,
               beta: Tensor<Train, 1>,
               residual: Tensor<Train, 2>,
               cotangent: Tensor<Train, 2>,
               which: &str,
               looser: f64| {
        let tail = BatchNormTail {
            residual: with_residual.then(|| residual.clone()),
            relu,
        };
        let output = batch_norm(
            x.clone(),
            gamma.clone(),
            beta.clone(),
            tail.clone(),
            EPSILON,
        );
        let what = |part: &str| {
            format!("{which} {part} [{rows}, {channels}] residual {with_residual} relu {relu}")
        };
        let close = |found: Vec<f32>, expected: &[f64], tolerance: f64, part: &str| {
            assert_close(&found, expected, looser * tolerance, &what(part));
        };
        close(narrow(output.rows.clone()), &y, tolerance::FORWARD, "y");
        close(
            narrow(output.mean.clone()),
            &means,
            tolerance::FORWARD,
            "mean",
        );
        close(
            narrow(output.variance.clone()),
            &variances,
            tolerance::FORWARD,
            "variance",
        );
        let given = batch_norm_with(
            x.clone(),
            [gamma.clone(), beta.clone()],
            [output.mean, output.variance],
            tail,
            EPSILON,
        );
        // The shift cancels a mean of 100.
        close(
            narrow(given),
            &y,
            50.0 * tolerance::FORWARD,
            "with given statistics",
        );
        let grads = (output.rows * cotangent).sum().backward();
        let matrix = |t: &Tensor<Train, 2>| narrow(Tensor::from_inner(t.grad(&grads).unwrap()));
        let vector = |t: &Tensor<Train, 1>| narrow(Tensor::from_inner(t.grad(&grads).unwrap()));
        close(matrix(&x), &dx, tolerance::GRADIENT, "dx");
        close(vector(&gamma), &dg, tolerance::GRADIENT, "dgamma");
        close(vector(&beta), &db, tolerance::GRADIENT, "dbeta");
        if with_residual {
            close(matrix(&residual), &dr, tolerance::GRADIENT, "dresidual");
        }
    };
    // f32 inputs near 100 are exact; their centred values are not known better than 1e-5.
    run(
        x.clone(),
        gamma.clone(),
        beta.clone(),
        residual.clone(),
        cotangent.clone(),
        "fast",
        5.0,
    );
    let wide = |t: Tensor<Train, 2>| t.cast(DType::F64).detach().require_grad();
    let wide1 = |t: Tensor<Train, 1>| t.cast(DType::F64).detach().require_grad();
    run(
        wide(x),
        wide1(gamma),
        wide1(beta),
        wide(residual),
        cotangent.cast(DType::F64),
        "plain",
        1.0,
    );
}

#[test]
fn batch_norm_without_autodiff_and_of_many_rows() {
    check_batch_norm(70_000, 3, true, true, 1);
    let x = random::<Cpu, 2>([5, 3], 1);
    let ones = Tensor::<Cpu, 1>::ones([3], &Default::default());
    let y = batch_norm(
        x,
        ones.clone(),
        ones.zeros_like(),
        BatchNormTail::none(),
        1e-5,
    )
    .rows;
    assert!(y.mean_dim(0).abs().max().into_scalar() < 1e-6);
}
