use std::time::Instant;
use burn::tensor::{Distribution, Tensor};
use mused_kernels::*;
fn time(name: &str, fl: f64, mut run: impl FnMut()) {
    run();
    let mut best = f64::MAX;
    let s = Instant::now();
    while s.elapsed().as_secs_f64() < 0.4 { let t = Instant::now(); run(); best = best.min(t.elapsed().as_secs_f64()); }
    println!("{name:40} {:8.3} ms {:7.1} GF/s", best * 1e3, fl / best / 1e9);
}
fn main() {
    let threads: usize = std::env::args().nth(1).unwrap().parse().unwrap();
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
    let d = Default::default();
    for (m, k, n) in [(1280usize, 64usize, 192usize), (1280, 64, 256), (1280, 256, 64), (2176, 512, 512), (2176, 512, 2048), (2176, 2048, 512)] {
        let r = |a, b| Tensor::<Cpu, 2>::random([a, b], Distribution::Default, &d);
        let (x, w, g) = (r(m, k), r(k, n), r(m, n));
        let fl = 2.0 * (m * k * n) as f64;
        println!("{m} {k} {n}");
        time(" x w   ours", fl, || { std::hint::black_box(Cpu::kernel_linear(p(&x), p(&w), None)); });
        time(" x w   burn", fl, || { std::hint::black_box(x.clone().matmul(w.clone())); });
        time(" g wT  ours", fl, || { std::hint::black_box(Cpu::kernel_linear_input_gradient(p(&g), p(&w))); });
        time(" g wT  burn", fl, || { std::hint::black_box(g.clone().matmul(w.clone().transpose())); });
        time(" xT g  ours", fl, || { std::hint::black_box(Cpu::kernel_linear_weight_gradient(p(&x), p(&g))); });
        time(" xT g  burn", fl, || { std::hint::black_box(x.clone().transpose().matmul(g.clone())); });
    }
    for (b, t, dd, h) in [(64, 20, 64, 4), (64, 34, 512, 8)] {
        let q = Tensor::<Cpu, 3>::random([b, t, 3 * dd], Distribution::Default, &d);
        let g = Tensor::<Cpu, 3>::random([b, t, dd], Distribution::Default, &d).into_primitive().tensor();
        let q = q.into_primitive().tensor();
        let (_, pr) = Cpu::kernel_attention_forward(q.clone(), h, None, None);
        let fl = 4.0 * (b * t * t * dd) as f64;
        time("attention forward", fl, || { std::hint::black_box(Cpu::kernel_attention_forward(q.clone(), h, None, None)); });
        time("attention gradient", 2.0 * fl, || { std::hint::black_box(Cpu::kernel_attention_gradient(q.clone(), pr.clone(), g.clone(), h, None)); });
    }
    });
}
fn p(x: &Tensor<Cpu, 2>) -> burn::tensor::ops::FloatTensor<Cpu> { x.clone().into_primitive().tensor() }
