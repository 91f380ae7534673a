//! The same bits for any number of threads, inside and outside a pool.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use burn::tensor::Tensor;
use mused_kernels::{
    AdamStep, BatchNormTail, Cpu, Dropout, Window, adam_update, attention, attention_readout,
    batch_norm, conv3d, dropout_add, gelu, layer_norm, linear, region_tokens, sums_of_squares,
};
use support::{Train, floats, random};

/// One Transformer block forward and backward, large enough for every operation to share its work.
fn step() -> Vec<Vec<u32>> {
    let (batch, tokens, dim, heads) = (16, 21, 136, 4);
    let rows = batch * tokens;
    let weight = |i, o, seed| {
        (random::<Train, 2>([i, o], seed) * 0.1)
            .detach()
            .require_grad()
    };
    let vector = |n, seed| random::<Train, 1>([n], seed).require_grad();
    let (qkv, up, down) = (
        weight(dim, 3 * dim, 1),
        weight(dim, 4 * dim, 2),
        weight(4 * dim, dim, 3),
    );
    let (bias, gamma, beta) = (vector(4 * dim, 4), vector(dim, 5), vector(dim, 6));
    let x = random::<Train, 2>([rows, dim], 7).require_grad();
    let mask = random::<Train, 2>([batch, tokens], 8)
        .greater_elem(-1.5)
        .float();
    let h = layer_norm(x.clone(), gamma.clone(), beta.clone(), 1e-5);
    let h = linear(h, qkv.clone(), None).reshape([batch, tokens, 3 * dim]);
    let h = attention(h, heads, Some(mask), Some(Dropout { rate: 0.1, seed: 5 }));
    let h = gelu(linear(
        h.reshape([rows, dim]),
        up.clone(),
        Some(bias.clone()),
    ));
    let y = dropout_add(linear(h, down.clone(), None), x.clone(), 0.1, 3);
    let grads = (y.clone() * y.clone()).mean().backward();
    let gradient = qkv.grad(&grads).unwrap();
    let zero = gradient.zeros_like();
    let norm = sums_of_squares([gradient.clone()])[0];
    let (param, _, _) = adam_update(
        qkv.clone().inner(),
        gradient,
        zero.clone(),
        zero,
        &AdamStep::adamw(1e-3, 0.01, 1),
    );
    let mut all = vec![floats(&y), floats(&param), vec![norm as f32]];
    for matrix in [&x, &qkv, &up, &down] {
        all.push(floats(&matrix.grad(&grads).unwrap()));
    }
    for vector in [&bias, &gamma, &beta] {
        all.push(floats(&vector.grad(&grads).unwrap()));
    }
    all.into_iter()
        .map(|v| v.into_iter().map(f32::to_bits).collect())
        .collect()
}

/// A residual block of volumes, forward and backward.
fn volume_step() -> Vec<Vec<u32>> {
    let x = random::<Train, 5>([2, 19, 18, 20, 5], 1).require_grad();
    let stem = (random::<Train, 5>([7, 7, 7, 5, 40], 2) * 0.02).require_grad();
    let first = (random::<Train, 5>([3, 3, 3, 40, 80], 3) * 0.02).require_grad();
    let short = (random::<Train, 5>([1, 1, 1, 40, 80], 4) * 0.1).require_grad();
    let stem = stem.detach().require_grad();
    let (first, short) = (first.detach().require_grad(), short.detach().require_grad());
    let gamma = random::<Train, 1>([80], 5).require_grad();
    let beta = random::<Train, 1>([80], 6).require_grad();
    let h = conv3d(x.clone(), stem.clone(), Window::cubic(1, 3));
    let y = conv3d(h.clone(), first.clone(), Window::cubic(2, 1));
    let residual = conv3d(h, short.clone(), Window::cubic(2, 0));
    let rows = y.dims()[..4].iter().product::<usize>();
    let tail = BatchNormTail {
        residual: Some(residual.reshape([rows, 80])),
        relu: true,
    };
    let y = batch_norm(
        y.reshape([rows, 80]),
        gamma.clone(),
        beta.clone(),
        tail,
        1e-5,
    );
    let grads = (y.rows.clone() * y.rows.clone()).mean().backward();
    let mut all = vec![floats(&y.rows), floats(&y.mean), floats(&y.variance)];
    for volume in [&x, &stem, &first, &short] {
        all.push(floats(&volume.grad(&grads).unwrap()));
    }
    for vector in [&gamma, &beta] {
        all.push(floats(&vector.grad(&grads).unwrap()));
    }
    all.into_iter()
        .map(|v| v.into_iter().map(f32::to_bits).collect())
        .collect()
}

/// Convolutions by fewer multiplications: tiles that reach past the edges.
fn tiled_step(
    [inputs, between, outputs]: [usize; 3],
    grid: [usize; 3],
    stride: usize,
) -> Vec<Vec<u32>> {
    let (input, taps) = (grid.map(|n| stride * n), 4 * stride - 1);
    let x = random::<Train, 5>([2, input[0], input[1], input[2], inputs], 1).require_grad();
    let first = (random::<Train, 5>([taps, taps, taps, inputs, between], 2) * 0.02).detach();
    let second = (random::<Train, 5>([3, 3, 3, between, outputs], 3) * 0.02).detach();
    let (first, second) = (first.require_grad(), second.require_grad());
    let h = conv3d(x.clone(), first.clone(), Window::cubic(stride, taps / 2));
    let y = conv3d(h, second.clone(), Window::cubic(1, 1));
    let grads = (y.clone() * y.clone()).mean().backward();
    let mut all = vec![floats(&y)];
    for volume in [&x, &first, &second] {
        all.push(floats(&volume.grad(&grads).unwrap()));
    }
    all.into_iter()
        .map(|v| v.into_iter().map(f32::to_bits).collect())
        .collect()
}

#[test]
fn volumes_give_the_same_bits_for_any_number_of_threads() {
    let grid = [6, 13, 15];
    let steps: [&(dyn Fn() -> Vec<Vec<u32>> + Sync); 5] = [
        &volume_step,
        &|| tiled_step([80, 112, 128], grid, 1),
        &|| tiled_step([48, 64, 32], grid, 1),
        &|| tiled_step([32, 64, 48], grid, 2),
        // Few tiles of many channels.
        &|| tiled_step([32, 256, 320], [5, 6, 5], 1),
    ];
    for step in steps {
        let expected = in_pool(1, step);
        for threads in [2, 3, 5, 11] {
            assert!(in_pool(threads, step) == expected, "{threads} threads");
        }
    }
}

/// The last block's attention, large enough to be shared by sequences and by rows.
fn readout_step() -> Vec<Vec<u32>> {
    let (batch, tokens, dim) = (32, 40, 96);
    let x = random::<Train, 3>([batch, tokens, dim], 1).require_grad();
    let weight = random::<Train, 2>([dim, 3 * dim], 2).require_grad();
    let bias = random::<Train, 1>([3 * dim], 3).require_grad();
    let dropout = Some(Dropout { rate: 0.1, seed: 6 });
    let to_qkv = (weight.clone(), bias.clone());
    let y = attention_readout(x.clone(), to_qkv, 6, 3, None, dropout);
    let grads = y.clone().powi_scalar(2).mean().backward();
    let all = [
        floats(&y),
        floats(&x.grad(&grads).unwrap()),
        floats(&weight.grad(&grads).unwrap()),
        floats(&bias.grad(&grads).unwrap()),
    ];
    all.into_iter()
        .map(|v| v.into_iter().map(f32::to_bits).collect())
        .collect()
}

/// Regions of several lengths, one longer than a task.
fn region_step() -> Vec<Vec<u32>> {
    let (batch, dim) = (61, 72);
    let leading = random::<Train, 3>([batch, 2, dim], 1).require_grad();
    let inputs = random::<Train, 2>([batch, 600], 2);
    let columns = vec![0..150, 150..155, 160..560];
    let weight = random::<Train, 2>([555, dim], 3).require_grad();
    let bias = random::<Train, 2>([3, dim], 4).require_grad();
    let y = region_tokens(
        leading.clone(),
        inputs,
        columns,
        weight.clone(),
        bias.clone(),
    );
    let grads = y.clone().powi_scalar(2).mean().backward();
    let all = [
        floats(&y),
        floats(&leading.grad(&grads).unwrap()),
        floats(&weight.grad(&grads).unwrap()),
        floats(&bias.grad(&grads).unwrap()),
    ];
    all.into_iter()
        .map(|v| v.into_iter().map(f32::to_bits).collect())
        .collect()
}

#[test]
fn readouts_and_regions_give_the_same_bits_for_any_number_of_threads() {
    for step in [readout_step, region_step] {
        let expected = in_pool(1, step);
        for threads in [2, 3, 5, 11] {
            assert!(in_pool(threads, step) == expected, "{threads} threads");
        }
    }
}

fn in_pool<T: Send>(threads: usize, run: impl FnOnce() -> T + Send) -> T {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap();
    pool.install(run)
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let expected = in_pool(1, step);
    for threads in [1, 2, 3, 4] {
        assert!(in_pool(threads, step) == expected, "{threads} threads");
    }
    assert!(step() == expected, "the global pool");
}

/// Not ours, but every matrix product outside this crate relies on it.
#[test]
fn burns_matmul_gives_the_same_bits_too() {
    for (m, k, n) in [
        (300, 200, 170),
        (1280, 64, 192),
        (65, 2176, 256),
        (2176, 512, 130),
    ] {
        let run = || {
            let product = random::<Cpu, 2>([m, k], 1).matmul(random::<Cpu, 2>([k, n], 2));
            let transposed: Tensor<Cpu, 2> = random::<Cpu, 2>([k, m], 1)
                .transpose()
                .matmul(random::<Cpu, 2>([n, k], 2).transpose());
            [floats(&product), floats(&transposed)]
                .map(|v| v.into_iter().map(f32::to_bits).collect::<Vec<_>>())
        };
        let expected = in_pool(1, run);
        for threads in [2, 3, 4] {
            assert!(
                in_pool(threads, run) == expected,
                "[{m}, {k}] · [{k}, {n}], {threads} threads"
            );
        }
    }
}
