//! Seconds of a whole training step of BrainFormer-18 on the published grid: forward, losses, backward, Adam.
//!
//! `cargo run --release -p mused-model --example volume_bench -- [threads [steps [batch [layers]]]]`
//!
//! With `layers`, seconds of each convolution by direction as well. Compare with `bench/brainformer_pytorch.py`.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Instant;

use burn::backend::Autodiff;
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Distribution, Tensor};
use mused_kernels::{AdamStep, Cpu, KernelBackend, Window, adam_update, keep_freed_memory};
use mused_model::{
    BrainFormer, BrainFormerConfig, Depth, LossConfig, Orthogonality, RsaForm, Targets,
    VolumeBatch, losses::rdm,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

type B = Autodiff<Cpu>;

/// Adam with both moments by the order of the parameters.
struct Adam<'g> {
    gradients: &'g mut <B as AutodiffBackend>::Gradients,
    moments: &'g mut BTreeMap<usize, [Tensor<Cpu, 1>; 2]>,
    index: usize,
    step: u64,
}

impl ModuleMapper<B> for Adam<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let index = self.index;
        self.index += 1;
        let (id, tensor, mapper) = param.consume();
        let Some(gradient) = tensor.grad_remove(self.gradients) else {
            return Param::from_mapped_value(id, tensor, mapper);
        };
        let shape = tensor.dims();
        let count: usize = shape.iter().product();
        let zeros = || Tensor::<Cpu, 1>::zeros([count], &Default::default());
        let [mean, square] = self
            .moments
            .remove(&index)
            .unwrap_or_else(|| [zeros(), zeros()]);
        let (value, mean, square) = adam_update(
            tensor.inner().reshape([count]),
            gradient.reshape([count]),
            mean,
            square,
            &AdamStep::adam(1e-3, self.step),
        );
        self.moments.insert(index, [mean, square]);
        let value = Tensor::from_inner(value.reshape(shape)).require_grad();
        Param::from_mapped_value(id, value, mapper)
    }
}

fn step(
    mut model: BrainFormer<B>,
    moments: &mut BTreeMap<usize, [Tensor<Cpu, 1>; 2]>,
    batch: &VolumeBatch<B>,
    number: u64,
) -> (BrainFormer<B>, [f64; 4]) {
    let device = Default::default();
    let size = batch.volumes.dims()[0];
    let start = Instant::now();
    let output = model.forward_train(batch.clone());
    let loss = LossConfig {
        high: 1e-3,
        low: 1e-1,
        orthogonality: 1e-3,
        orthogonality_form: Orthogonality::F,
        rsa_form: RsaForm::SquaredError,
    };
    let feature = |seed: f32| Tensor::<B, 2>::ones([size, 16], &device) * seed;
    let terms = loss.terms(
        output,
        Targets {
            labels: Tensor::zeros([size, 53], &device),
            high_rdm: Some(rdm(feature(1.0))),
            low_rdm: Some(rdm(feature(2.0))),
            different: Tensor::<B, 2>::ones([size, size], &device).greater_elem(0.0),
        },
    );
    let value = f64::from(terms.total.clone().into_scalar());
    let forward = start.elapsed().as_secs_f64();
    let mut gradients = terms.total.backward();
    let backward = start.elapsed().as_secs_f64();
    let model = model.map(&mut Adam {
        gradients: &mut gradients,
        moments,
        index: 0,
        step: number,
    });
    let all = start.elapsed().as_secs_f64();
    (model, [forward, backward - forward, all - backward, value])
}

/// Name, grid, channels, kernel, stride, count.
type Layer = (&'static str, [usize; 3], [usize; 2], usize, usize, usize);

/// Grid, channels, kernel, stride of each kind of convolution, and how many the model has.
const LAYERS: [Layer; 9] = [
    ("conv1", [112, 128, 112], [1, 32], 7, 2, 1),
    ("conv2", [56, 64, 56], [32, 64], 7, 2, 1),
    ("layer1", [28, 32, 28], [64, 64], 3, 1, 4),
    ("layer2 first", [28, 32, 28], [64, 128], 3, 2, 1),
    ("layer2", [14, 16, 14], [128, 128], 3, 1, 3),
    ("layer2 1³", [28, 32, 28], [64, 128], 1, 2, 1),
    ("layer3 first", [14, 16, 14], [128, 512], 3, 2, 1),
    ("layer3 1³", [14, 16, 14], [128, 512], 1, 2, 1),
    ("layer3, 4", [7, 8, 7], [512, 512], 3, 1, 7),
];

fn layers(batch: usize) -> Result<(), Box<dyn Error>> {
    println!("| convolution | times | GFLOP | forward s | input gradient s | weight gradient s |");
    println!("|---|---|---|---|---|---|");
    for (name, [d, h, w], [inputs, outputs], size, stride, times) in LAYERS {
        let device = Default::default();
        let window = Window::cubic(stride, size / 2);
        let random = |shape| {
            Tensor::<Cpu, 5>::random(shape, Distribution::Default, &device)
                .into_primitive()
                .tensor()
        };
        let output = window
            .output([d, h, w], [size; 3])
            .ok_or("a grid too small for the window")?;
        let x = random([batch, d, h, w, inputs]);
        let weight = random([size, size, size, inputs, outputs]);
        let gradient = random([batch, output[0], output[1], output[2], outputs]);
        let median = |run: &dyn Fn()| {
            let mut seconds: Vec<f64> = (0..4)
                .map(|_| {
                    let start = Instant::now();
                    run();
                    start.elapsed().as_secs_f64()
                })
                .collect();
            seconds.sort_by(f64::total_cmp);
            seconds[1]
        };
        let forward = median(&|| {
            Cpu::kernel_conv3d(x.clone(), weight.clone(), window);
        });
        let inner = median(&|| {
            Cpu::kernel_conv3d_input_gradient(gradient.clone(), weight.clone(), [d, h, w], window);
        });
        let outer = median(&|| {
            Cpu::kernel_conv3d_weight_gradient(x.clone(), gradient.clone(), [size; 3], window);
        });
        let flop = 2 * batch * output.iter().product::<usize>() * inputs * outputs * size.pow(3);
        let flop = flop as f64 / 1e9;
        println!(
            "| {name} | {times} | {flop:.1} | {forward:.3} ({:.0}/s) | {inner:.3} ({:.0}/s) | {outer:.3} ({:.0}/s) |",
            flop / forward,
            flop / inner,
            flop / outer
        );
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    keep_freed_memory();
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: usize| match arguments.next() {
        None => Ok(default),
        Some(text) => text.parse(),
    };
    let (threads, steps, batch) = (number(2)?, number(4)?, number(2)?);
    let by_layer = arguments.next().is_some();
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()?;
    if by_layer {
        return layers(batch);
    }
    let device = Default::default();
    let mut model = BrainFormerConfig::published(Depth::Eighteen, 9, 53)
        .init::<B>(&mut ChaCha8Rng::seed_from_u64(0), &device)?;
    let input = VolumeBatch {
        volumes: Tensor::random([batch, 112, 128, 112], Distribution::Default, &device),
        subject_weights: Tensor::<B, 2>::eye(9, &device).narrow(0, 0, batch),
    };
    let mut moments = BTreeMap::new();
    let mut seconds = vec![];
    for number in 0..=steps {
        let (next, [forward, backward, adam, loss]) =
            step(model, &mut moments, &input, number as u64 + 1);
        model = next;
        println!(
            "step {number}: forward {forward:.3} s, backward {backward:.3} s, Adam {adam:.3} s, loss {loss:.5}"
        );
        if number > 0 {
            seconds.push(forward + backward + adam);
        }
    }
    seconds.sort_by(f64::total_cmp);
    println!(
        "median {:.3} s a step, {threads} threads",
        seconds[seconds.len() / 2]
    );
    Ok(())
}
