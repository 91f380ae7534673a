#![allow(clippy::unwrap_used)]
use burn::tensor::{Distribution, Tensor};
use mused_kernels::{Cpu, KernelBackend, Window, keep_freed_memory};
use std::time::Instant;
fn main() {
    keep_freed_memory();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(2)
        .build()
        .unwrap();
    pool.install(|| {
        for (name, [d, h, w], [i, o], times) in [("layer1", [28, 32, 28], [64, 64], 4), ("layer2", [14, 16, 14], [128, 128], 3), ("layer3", [7, 8, 7], [512, 512], 7)] {
            for (direct, stride) in [("tiled", true), ("direct", false)] {
                // The direct form: one channel more, which is no whole vector.
                let extra = usize::from(!stride);
                let random = |shape: [usize; 5]| Tensor::<Cpu, 5>::random(shape, Distribution::Default, &Default::default()).into_primitive().tensor();
                let window = Window::cubic(1, 1);
                let (x, weight, g) = (random([2, d, h, w, i]), random([3, 3, 3, i, o + extra]), random([2, d, h, w, o + extra]));
                let runs: [(&str, &dyn Fn()); 3] = [("forward", &|| { Cpu::kernel_conv3d(x.clone(), weight.clone(), window); }),
                    ("input", &|| { Cpu::kernel_conv3d_input_gradient(g.clone(), weight.clone(), [d, h, w], window); }),
                    ("weight", &|| { Cpu::kernel_conv3d_weight_gradient(x.clone(), g.clone(), [3; 3], window); })];
                for (what, run) in runs {
                    let mut all = vec![];
                    for _ in 0..9 { let s = Instant::now(); run(); all.push(s.elapsed().as_secs_f64() * 1e3); }
                    all.sort_by(f64::total_cmp);
                    println!("{name} x{times} {what:8} {direct:7} min {:7.1} median {:7.1} ms  {:5.0} GF/s at the minimum", all[0], all[4], 2.0 * 2.0 * (d * h * w * i * o * 27) as f64 / 1e6 / all[0]);
                }
            }
        }
    });
}
