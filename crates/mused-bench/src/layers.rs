use burn::tensor::{Distribution, Tensor};
use mused_kernels::{KernelBackend, Window};
use serde_json::{Value, json};

use crate::seconds;

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

/// Seconds and GFLOP/s of every convolution: forward, input gradient, weight gradient.
pub(crate) fn all<B: KernelBackend>(
    batch: usize,
    runs: usize,
    print: impl Fn(Value),
) -> anyhow::Result<()> {
    for (name, [d, h, w], [inputs, outputs], size, stride, times) in LAYERS {
        let device = Default::default();
        let window = Window::cubic(stride, size / 2);
        let random = |shape| {
            Tensor::<B, 5>::random(shape, Distribution::Default, &device)
                .into_primitive()
                .tensor()
        };
        let Some([od, oh, ow]) = window.output([d, h, w], [size; 3]) else {
            anyhow::bail!("a grid too small for the window");
        };
        let x = random([batch, d, h, w, inputs]);
        let weight = random([size, size, size, inputs, outputs]);
        let gradient = random([batch, od, oh, ow, outputs]);
        let directions: [(&str, &dyn Fn()); 3] = [
            ("forward", &|| {
                B::kernel_conv3d(x.clone(), weight.clone(), window);
            }),
            ("input gradient", &|| {
                let (gradient, weight) = (gradient.clone(), weight.clone());
                B::kernel_conv3d_input_gradient(gradient, weight, [d, h, w], window);
            }),
            ("weight gradient", &|| {
                let (x, gradient) = (x.clone(), gradient.clone());
                B::kernel_conv3d_weight_gradient(x, gradient, [size; 3], window);
            }),
        ];
        let flop = 2 * batch * od * oh * ow * inputs * outputs * size.pow(3);
        for (direction, run) in directions {
            let (median, _) = seconds::<B>(runs, || {
                run();
                Ok(())
            })?;
            print(json!({
                "layer": name, "times": times, "direction": direction, "median": median,
                "gflop_per_second": flop as f64 / 1e9 / median,
            }));
        }
    }
    Ok(())
}
