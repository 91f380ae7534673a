//! Milliseconds, forward and backward, of each operation and of whole encoder steps: this crate against plain Burn.
//!
//! `cargo run --release -p mused-kernels --example bench -- [threads [stock-malloc]]`
#![allow(clippy::unwrap_used)]

use std::time::Instant;

use burn::backend::Autodiff;
use burn::tensor::activation;
use burn::tensor::{Distribution, Tensor};
use mused_kernels::{
    AdamStep, Cpu, adam_update, attention, dropout_add, gelu, keep_freed_memory, layer_norm, linear,
};

type Train = Autodiff<Cpu>;

fn random<const D: usize>(shape: [usize; D]) -> Tensor<Train, D> {
    Tensor::random(shape, Distribution::Normal(0.0, 0.05), &Default::default())
}

fn parameter<const D: usize>(shape: [usize; D]) -> Tensor<Train, D> {
    random(shape).require_grad()
}

/// Smallest and median milliseconds of a few runs: other work on the machine only ever adds.
fn time(name: &str, mut run: impl FnMut()) {
    run();
    let start = Instant::now();
    let mut times = vec![];
    while times.len() < 5 || (start.elapsed().as_secs_f64() < 1.0 && times.len() < 300) {
        let start = Instant::now();
        run();
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    println!(
        "{name:44} min {:9.3}  median {:9.3}",
        times[0],
        times[times.len() / 2]
    );
}

struct Layer {
    gamma: [Tensor<Train, 1>; 2],
    beta: [Tensor<Train, 1>; 2],
    qkv: (Tensor<Train, 2>, Tensor<Train, 1>),
    out: (Tensor<Train, 2>, Tensor<Train, 1>),
    up: (Tensor<Train, 2>, Tensor<Train, 1>),
    down: (Tensor<Train, 2>, Tensor<Train, 1>),
}

impl Layer {
    fn new(dim: usize) -> Self {
        let weights = |i, o| (parameter([i, o]), parameter([o]));
        Self {
            gamma: [0, 1].map(|_| parameter([dim])),
            beta: [0, 1].map(|_| parameter([dim])),
            qkv: weights(dim, 3 * dim),
            out: weights(dim, dim),
            up: weights(dim, 4 * dim),
            down: weights(4 * dim, dim),
        }
    }

    fn ours(&self, x: Tensor<Train, 2>, batch: usize, heads: usize) -> Tensor<Train, 2> {
        let [rows, dim] = x.dims();
        let apply = |x, (w, b): &(Tensor<Train, 2>, Tensor<Train, 1>)| {
            linear(x, w.clone(), Some(b.clone()))
        };
        let norm = |x, i: usize| layer_norm(x, self.gamma[i].clone(), self.beta[i].clone(), 1e-5);
        let qkv = apply(norm(x.clone(), 0), &self.qkv).reshape([batch, rows / batch, 3 * dim]);
        let a = attention(qkv, heads, None, None).reshape([rows, dim]);
        let x = dropout_add(apply(a, &self.out), x, 0.0, 0);
        let h = gelu(apply(norm(x.clone(), 1), &self.up));
        dropout_add(apply(h, &self.down), x, 0.0, 0)
    }

    fn plain(&self, x: Tensor<Train, 3>, heads: usize) -> Tensor<Train, 3> {
        let [batch, tokens, dim] = x.dims();
        let apply = |x: Tensor<Train, 3>, (w, b): &(Tensor<Train, 2>, Tensor<Train, 1>)| {
            x.matmul(w.clone().unsqueeze()) + b.clone().unsqueeze()
        };
        let norm = |x: Tensor<Train, 3>, i: usize| {
            let centred = x.clone() - x.mean_dim(2);
            let variance = (centred.clone() * centred.clone()).mean_dim(2);
            centred / (variance + 1e-5).sqrt() * self.gamma[i].clone().unsqueeze()
                + self.beta[i].clone().unsqueeze()
        };
        let qkv = apply(norm(x.clone(), 0), &self.qkv);
        let part = |i: usize| {
            qkv.clone()
                .narrow(2, i * dim, dim)
                .reshape([batch, tokens, heads, dim / heads])
                .swap_dims(1, 2)
        };
        let scores = part(0).matmul(part(1).transpose()) / ((dim / heads) as f64).sqrt();
        let a = activation::softmax(scores, 3)
            .matmul(part(2))
            .swap_dims(1, 2)
            .reshape([batch, tokens, dim]);
        let x = apply(a, &self.out) + x;
        let h = activation::gelu(apply(norm(x.clone(), 1), &self.up));
        apply(h, &self.down) + x
    }
}

fn encoder(batch: usize, tokens: usize, dim: usize, heads: usize, depth: usize) {
    let layers: Vec<Layer> = (0..depth).map(|_| Layer::new(dim)).collect();
    let x = random([batch * tokens, dim]);
    let label = format!("encoder b{batch} t{tokens} d{dim} depth{depth}");
    // State by hand: this is the optimiser's part of a step.
    type Mean<const D: usize> = (Tensor<Cpu, D>, Tensor<Cpu, D>);
    let mut flat: Vec<(Tensor<Cpu, 1>, Mean<1>)> = layers
        .iter()
        .flat_map(|l| [&l.qkv, &l.out, &l.up, &l.down])
        .map(|(w, _)| {
            let w = w.clone().inner().flatten::<1>(0, 1);
            let zero = w.zeros_like();
            ((w + 0.0), (zero.clone() + 0.0, zero + 0.0))
        })
        .collect();
    time(&format!("{label} ours, with Adam"), || {
        let mut y = x.clone();
        for layer in &layers {
            y = layer.ours(y, batch, heads);
        }
        let mut grads = y.powi_scalar(2).mean().backward();
        let weights = layers.iter().flat_map(|l| [&l.qkv, &l.out, &l.up, &l.down]);
        let mut next = vec![];
        for ((w, _), (p, (m, v))) in weights.zip(flat.drain(..)) {
            let grad = w.grad_remove(&mut grads).unwrap().flatten::<1>(0, 1);
            let (p, m, v) = adam_update(p, grad, m, v, &AdamStep::adamw(1e-4, 0.01, 1));
            next.push((p, (m, v)));
        }
        flat = next;
    });
    let x = x.reshape([batch, tokens, dim]);
    time(&format!("{label} plain, no optimiser"), || {
        let mut y = x.clone();
        for layer in &layers {
            y = layer.plain(y, heads);
        }
        std::hint::black_box(y.powi_scalar(2).mean().backward());
    });
}

fn operations(rows: usize, dim: usize, batch: usize, heads: usize) {
    let label = format!("[{rows}, {dim}]");
    let x = parameter([rows, dim]);
    let wide = parameter([rows, 4 * dim]);
    let (w, b) = (parameter([dim, 4 * dim]), parameter([4 * dim]));
    let (gamma, beta) = (parameter([dim]), parameter([dim]));
    let qkv = parameter([batch, rows / batch, 3 * dim]);
    let back = |y: Tensor<Train, 2>| {
        std::hint::black_box(y.backward());
    };
    time(&format!("{label} linear x4 ours"), || {
        back(linear(x.clone(), w.clone(), Some(b.clone())))
    });
    time(&format!("{label} linear x4 plain (rank 2)"), || {
        back(x.clone().matmul(w.clone()) + b.clone().unsqueeze())
    });
    time(&format!("{label} gelu x4 ours"), || {
        back(gelu(wide.clone()))
    });
    time(&format!("{label} gelu x4 plain"), || {
        back(activation::gelu(wide.clone()))
    });
    time(&format!("{label} layer_norm ours"), || {
        back(layer_norm(x.clone(), gamma.clone(), beta.clone(), 1e-5))
    });
    time(&format!("{label} layer_norm plain"), || {
        let centred = x.clone() - x.clone().mean_dim(1);
        let variance = (centred.clone() * centred.clone()).mean_dim(1);
        back(
            centred / (variance + 1e-5).sqrt() * gamma.clone().unsqueeze()
                + beta.clone().unsqueeze(),
        );
    });
    time(&format!("{label} attention ours"), || {
        std::hint::black_box(attention(qkv.clone(), heads, None, None).backward());
    });
    time(&format!("{label} attention plain"), || {
        let [batch, tokens, width] = qkv.dims();
        let dim = width / 3;
        let part = |i: usize| {
            qkv.clone()
                .narrow(2, i * dim, dim)
                .reshape([batch, tokens, heads, dim / heads])
                .swap_dims(1, 2)
        };
        let scores = part(0).matmul(part(1).transpose()) / ((dim / heads) as f64).sqrt();
        std::hint::black_box(
            activation::softmax(scores, 3)
                .matmul(part(2))
                .swap_dims(1, 2)
                .reshape([batch, tokens, dim])
                .backward(),
        );
    });
    time(&format!("{label} dropout_add ours"), || {
        back(dropout_add(x.clone(), x.clone(), 0.1, 7))
    });
}

fn main() {
    let threads = std::env::args()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .unwrap_or(1);
    let _kept = std::env::args().nth(2).is_none().then(keep_freed_memory);
    println!("threads {threads}");
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap();
    pool.install(|| {
        operations(64 * 20, 64, 64, 4);
        operations(64 * 34, 512, 64, 8);
        encoder(64, 20, 64, 4, 2);
        encoder(64, 20, 128, 4, 2);
        encoder(64, 34, 512, 8, 6);
    });
}
