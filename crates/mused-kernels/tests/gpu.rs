//! Every operation, forward and gradient, on the GPUs that are here against the plain definitions in f64 on the processor.
#![cfg(any(feature = "gpu", feature = "cuda"))]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use burn::backend::Autodiff;
use burn::tensor::{DType, Float, Tensor};
use mused_kernels::{
    AdamStep, BatchNormTail, Cpu, Device, Dropout, KernelBackend, Window, adam_update, attention,
    attention_readout, batch_norm, batch_norm_with, causal_attention, conv3d, dropout, dropout_add,
    ema_update, gelu, gpus, layer_norm, linear, quick_gelu, region_tokens, sums_of_squares,
};
use support::{assert_close, floats, random};

/// Largest accepted error, relative to the largest expected magnitude of the tensor (at least 1): a GPU adds in another
/// order, and its exponentials are its own. NVIDIA's multiply in TF32, with 10 bits of mantissa, where that is faster: a
/// readout of attention, four products in a row, was off by 4.3e-3.
fn tolerance<G: KernelBackend>() -> f64 {
    match G::device_name(&Default::default()).as_deref() {
        Some("cuda") => 6e-3,
        _ => 2e-5,
    }
}

/// Output and gradients of an expression on engine `$engine`, where inputs have type `$type`.
macro_rules! run {
    ($engine:ty, $type:expr, [$($input:ident : $shape:expr),+], $kernel:expr) => {{
        let mut seed = 0;
        $(
            seed += 1;
            let $input = random::<Autodiff<$engine>, _>($shape, seed).cast($type).detach().require_grad();
        )+
        let output = { $(let $input = $input.clone();)+ $kernel };
        let weight = random::<Autodiff<$engine>, _>(output.dims(), 99).cast($type);
        let gradients = (output.clone() * weight).sum().backward();
        let mut values = vec![("output", output.to_data().iter::<f64>().collect::<Vec<_>>())];
        $(
            let gradient = $input.grad(&gradients).unwrap();
            values.push((stringify!($input), gradient.to_data().iter::<f64>().collect()));
        )+
        values
    }};
}

macro_rules! agree {
    ($engine:ty, $what:expr, $inputs:tt, $kernel:expr) => {{
        let expected = run!(Cpu, DType::F64, $inputs, $kernel);
        let found = run!($engine, DType::F32, $inputs, $kernel);
        for ((name, expected), (_, found)) in expected.iter().zip(&found) {
            let found: Vec<f32> = found.iter().map(|&value| value as f32).collect();
            assert_close(
                &found,
                expected,
                tolerance::<$engine>(),
                &format!("{}: {name}", $what),
            );
        }
    }};
}

fn all<G: KernelBackend>() {
    // Plain functions of the engine: macros name it by type.
    elementwise::<G>();
    products::<G>();
    volumes::<G>();
    optimiser::<G>();
}

fn elementwise<G: KernelBackend>() {
    agree!(G, "gelu", [x: [7, 33]], gelu(x));
    agree!(G, "quick gelu", [x: [300]], quick_gelu(x));
    agree!(G, "dropout", [x: [65, 77]], dropout(x, 0.3, 5));
    agree!(G, "dropout + residual", [x: [3, 5, 7], y: [3, 5, 7]], dropout_add(x, y, 0.5, 1 << 40));
    for (rows, dim) in [(1, 3), (70, 64), (5, 1000)] {
        agree!(G, "layer norm", [x: [rows, dim], gamma: [dim], beta: [dim]],
            layer_norm(x, gamma, beta, 1e-5));
    }
}

fn products<G: KernelBackend>() {
    for (rows, inputs, outputs) in [(1, 1, 1), (17, 40, 9), (200, 130, 70)] {
        agree!(G, "linear", [x: [rows, inputs], weight: [inputs, outputs], bias: [outputs]],
            linear(x, weight, Some(bias)));
    }
    // Of one length at equal distances, and not.
    for columns in [
        vec![0..30, 33..63, 66..96],
        vec![5..6, 6..47, 50..100],
        vec![0..8],
    ] {
        let (inputs, all) = (
            random::<G, 2>([9, 100], 4),
            columns.iter().map(|own| own.len()).sum(),
        );
        agree!(G, format!("region tokens {columns:?}"),
        [leading: [9, 2, 21], weight: [all, 21], bias: [columns.len(), 21]], {
            let inputs = Tensor::<_, 2, Float>::from_data(inputs.to_data(), &weight.device());
            region_tokens(leading, inputs.cast(weight.dtype()), columns.clone(), weight, bias)
        });
    }
    for (batch, tokens, heads, width) in [(2, 1, 1, 4), (3, 19, 4, 8), (2, 130, 2, 16)] {
        let qkv = [batch, tokens, 3 * heads * width];
        agree!(G, "attention", [x: qkv], attention(x, heads, None, None));
        let dropout = Some(Dropout { rate: 0.2, seed: 3 });
        agree!(G, "attention with dropout", [x: qkv], attention(x, heads, None, dropout));
        let dim = heads * width;
        agree!(G, "attention readout", [x: [batch, tokens, dim], weight: [dim, 3 * dim], bias: [3 * dim]],
            attention_readout(x, (weight, bias), 1, heads, None, dropout));
        // The last row attends to nothing.
        agree!(G, "attention with a mask", [x: qkv], {
            let mask: Vec<f32> = (0..batch * tokens)
                .map(|i| f32::from(u8::from(i % 3 != 1 && i / tokens + 1 < batch)))
                .collect();
            let mask = Tensor::<_, 1>::from_floats(mask.as_slice(), &x.device());
            let mask = mask.reshape([batch, tokens]).cast(x.dtype());
            attention(x, heads, Some(mask), dropout)
        });
        let x = random::<G, 3>(qkv, 1);
        let exact = random::<Cpu, 3>(qkv, 1).cast(DType::F64);
        let expected: Vec<f64> = causal_attention(exact, heads).to_data().to_vec().unwrap();
        assert_close(
            &floats(&causal_attention(x, heads)),
            &expected,
            tolerance::<G>(),
            "causal attention",
        );
    }
}

/// Large enough for every way a product is made where GPUs copy tiles by themselves; too large for one in software.
#[cfg(feature = "cuda")]
fn large_products<G: KernelBackend>() {
    // Lines that begin at multiples of 16 bytes, and anywhere.
    for (rows, inputs, outputs) in [(512, 300, 512), (515, 301, 510), (2000, 128, 300)] {
        agree!(G, "large linear", [x: [rows, inputs], weight: [inputs, outputs]],
            linear(x, weight, None));
    }
    // With one head, the axis of heads has a stride that the axis of samples does not go on from.
    for heads in [1, 4] {
        agree!(G, format!("large attention, {heads} heads"), [x: [20, 260, 3 * 64]],
            attention(x, heads, None, None));
    }
}

fn volumes<G: KernelBackend>() {
    let cases = [
        ([5, 6, 4], [3, 3, 3], Window::cubic(1, 1)),
        ([9, 8, 7], [7, 7, 7], Window::cubic(2, 3)),
        ([4, 5, 6], [1, 1, 1], Window::cubic(2, 0)),
        (
            [4, 3, 5],
            [3, 1, 2],
            Window {
                stride: [1, 2, 1],
                padding: [0, 0, 1],
            },
        ),
    ];
    for ([d, h, w], [kd, kh, kw], window) in cases {
        for (batch, inputs, outputs) in [(1, 1, 2), (3, 4, 5)] {
            agree!(G, format!("conv3d {window:?}"),
                [x: [batch, d, h, w, inputs], weight: [kd, kh, kw, inputs, outputs]],
                conv3d(x, weight, window));
        }
    }
    // Large enough for gradients of weights in pieces.
    for (inputs, outputs) in [(1, 4), (32, 48)] {
        agree!(G, "large conv3d", [x: [2, 12, 16, 16, inputs], weight: [3, 3, 3, inputs, outputs]],
            conv3d(x, weight, Window::cubic(1, 1)));
    }
    // Few enough values for none to lie at the corner of the ReLU.
    for (rows, channels) in [(2, 3), (3000, 9)] {
        for relu in [false, true] {
            agree!(G, "batch norm", [x: [rows, channels], gamma: [channels], beta: [channels]],
                batch_norm(x, gamma, beta, BatchNormTail { residual: None, relu }, 1e-5).rows);
            agree!(G, "batch norm + residual",
                [x: [rows, channels], gamma: [channels], beta: [channels], y: [rows, channels]],
                batch_norm(x, gamma, beta, BatchNormTail { residual: Some(y), relu }, 1e-5).rows);
        }
        let statistics =
            |rows: [usize; 2]| random::<G, 2>(rows, 1).mul_scalar(0.01).add_scalar(50.0);
        let x = statistics([rows, channels]);
        let host: Vec<f64> = x.to_data().iter::<f64>().collect();
        let normed = batch_norm(
            x,
            Tensor::ones([channels], &Default::default()),
            Tensor::zeros([channels], &Default::default()),
            BatchNormTail::none(),
            1e-5,
        );
        for (c, variance) in floats(&normed.variance).iter().enumerate() {
            let column: Vec<f64> = host.iter().skip(c).step_by(channels).copied().collect();
            let mean = column.iter().sum::<f64>() / rows as f64;
            let expected = column.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / rows as f64;
            assert!(
                (f64::from(*variance) - expected).abs() <= 1e-4 * expected,
                "far from 0: {variance}, {expected}"
            );
        }
    }
    let vector = |seed| random::<G, 1>([5], seed);
    let exact = |seed| random::<Cpu, 1>([5], seed);
    let tail = BatchNormTail::relu();
    let found = batch_norm_with(
        random::<G, 2>([9, 5], 1),
        [vector(2), vector(3)],
        [vector(4), vector(5).abs()],
        tail,
        1e-5,
    );
    let expected = batch_norm_with(
        random::<Cpu, 2>([9, 5], 1),
        [exact(2), exact(3)],
        [exact(4), exact(5).abs()],
        BatchNormTail::relu(),
        1e-5,
    );
    assert_close(
        &floats(&found),
        &floats(&expected),
        tolerance::<G>(),
        "batch norm with given statistics",
    );
}

fn optimiser<G: KernelBackend>() {
    for step in [
        AdamStep::adam(1e-2, 1),
        AdamStep {
            gradient_scale: 0.3,
            ..AdamStep::adamw(1e-2, 0.1, 9)
        },
        AdamStep {
            weight_decay: 0.1,
            ..AdamStep::adam(1e-2, 2)
        },
    ] {
        let input = |seed| random::<G, 1>([1000], seed);
        let exact = |seed| random::<Cpu, 1>([1000], seed);
        let (kept, held) = (input(1), input(1));
        let (a, b, c) = adam_update(kept, input(2), input(3), input(4).abs(), &step);
        let (x, y, z) = adam_update(exact(1), exact(2), exact(3), exact(4).abs(), &step);
        for (found, expected) in [(a, x), (b, y), (c, z)] {
            assert_close(
                &floats(&found),
                &floats(&expected),
                tolerance::<G>(),
                "adam",
            );
        }
        // What somebody else holds stays as it was.
        let other = held.clone();
        let _ = adam_update(held, input(2), input(3), input(4).abs(), &step);
        assert_eq!(floats(&other), floats(&input(1)));
        let found = ema_update(input(1), input(2), 0.99);
        assert_close(
            &floats(&found),
            &floats(&ema_update(exact(1), exact(2), 0.99)),
            tolerance::<G>(),
            "ema",
        );
    }
    let lengths = [1, 500, 70_000];
    let found = sums_of_squares(lengths.map(|n| random::<G, 1>([n], 1)));
    let expected = sums_of_squares(lengths.map(|n| random::<Cpu, 1>([n], 1)));
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() <= 1e-6 * expected,
            "{found} instead of {expected}"
        );
    }
    assert!(sums_of_squares([random::<G, 1>([9], 1).mul_scalar(f32::NAN)])[0].is_nan());
}

/// Bytes on the device after many steps are those after few, and no number is lost on the way.
fn memory_does_not_grow<G: KernelBackend>(in_use: impl Fn() -> u64) {
    let step = |number: u64| {
        let x = random::<Autodiff<G>, 2>([40, 30], number);
        let weight = random::<Autodiff<G>, 2>([30, 20], number + 1).require_grad();
        let gradients = gelu(linear(x, weight.clone(), None)).sum().backward();
        let gradient = weight.grad(&gradients).unwrap();
        let (mean, square) = (gradient.zeros_like(), gradient.zeros_like());
        let (weight, ..) = adam_update(
            weight.inner(),
            gradient,
            mean,
            square,
            &AdamStep::adam(1e-3, 1),
        );
        assert!(sums_of_squares([weight])[0].is_finite());
    };
    (0..30).for_each(step);
    let few = in_use();
    (0..200).for_each(step);
    assert!(
        in_use() <= few + (1 << 20),
        "{few} bytes after 30 steps, {} after 230",
        in_use()
    );
}

fn bytes<R: cubecl::Runtime>() -> u64 {
    let client = R::client(&Default::default());
    client.memory_usage().map_or(0, |usage| usage.bytes_in_use)
}

#[test]
fn as_on_the_processor_in_f64() {
    let mut tried = Vec::new();
    for found in gpus() {
        if tried.contains(&found.device) {
            continue;
        }
        eprintln!("on {found}");
        tried.push(found.device);
        match found.device {
            Device::Cpu => {}
            #[cfg(feature = "gpu")]
            Device::Gpu => {
                all::<mused_kernels::Wgpu>();
                memory_does_not_grow::<mused_kernels::Wgpu>(bytes::<cubecl::wgpu::WgpuRuntime>);
            }
            #[cfg(feature = "cuda")]
            Device::Cuda => {
                all::<mused_kernels::Cuda>();
                large_products::<mused_kernels::Cuda>();
                memory_does_not_grow::<mused_kernels::Cuda>(bytes::<cubecl::cuda::CudaRuntime>);
            }
        }
    }
    if tried.is_empty() {
        eprintln!("skipped: no GPU here, nor a driver that acts as one");
    }
}
