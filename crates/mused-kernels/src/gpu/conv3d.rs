//! Convolution as a product with the patches of a volume, some volumes at a time.

use burn::tensor::{Tensor, TensorMetadata as _};
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{BoolElement, CubeBackend, CubeRuntime};
use cubecl::prelude::*;

use super::launch::{elementwise, empty, rows};
use super::product::product;
use crate::backend::{unwrap, wrap};
use crate::conv3d::Window;

type Engine<R, BT> = CubeBackend<R, f32, i32, BT>;

/// Elements of the patches that are in memory at a time: 1 GiB.
const PATCH_ELEMENTS: usize = 1 << 28;

/// Rows of weights whose gradients keep a GPU busy, and places that a product of gradients sums over at least.
const WEIGHTS: usize = 1 << 14;
const PLACES: usize = 1 << 10;

/// What a convolution's kernels know when they are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Geometry {
    input: [usize; 3],
    output: [usize; 3],
    kernel: [usize; 3],
    window: [usize; 6],
    channels: usize,
}

impl Geometry {
    fn new(input: [usize; 3], kernel: [usize; 3], window: Window, channels: usize) -> Self {
        let output = window.output(input, kernel).unwrap_or_default();
        let ([a, b, c], [d, e, f]) = (window.stride, window.padding);
        let window = [a, b, c, d, e, f];
        Self {
            input,
            output,
            kernel,
            window,
            channels,
        }
    }

    /// Rows of patches a volume has.
    fn places(&self) -> usize {
        self.output.iter().product()
    }

    /// Elements of a patch.
    fn patch(&self) -> usize {
        self.kernel.iter().product::<usize>() * self.channels
    }

    /// Equal pieces of a volume's places, each long enough for a product of its own: more, the smaller a patch is.
    fn pieces(&self) -> usize {
        let wanted = (WEIGHTS / self.patch().max(1)).max(1);
        let fits = |pieces: &usize| {
            let places = self.places();
            places.is_multiple_of(*pieces) && places / pieces >= PLACES
        };
        (1..=wanted).rev().find(fits).unwrap_or(1)
    }

    fn volume(&self) -> usize {
        self.input.iter().product::<usize>() * self.channels
    }

    /// Parts of a batch whose patches fit: the first volume of each, and how many it has.
    fn parts(&self, batch: usize) -> impl Iterator<Item = (usize, usize)> {
        let most = (PATCH_ELEMENTS / (self.places() * self.patch()).max(1)).max(1);
        let firsts = (0..batch).step_by(most);
        firsts.map(move |first| (first, most.min(batch - first)))
    }
}

/// `[volumes · places, taps · channels]` of volumes from `first` on.
#[cube(launch)]
fn patches_kernel(
    x: &Array<f32>,
    patches: &mut Array<f32>,
    first: usize,
    #[comptime] of: Geometry,
) {
    let index = ABSOLUTE_POS;
    if index < patches.len() {
        let channel = index % of.channels;
        let tap = index / of.channels;
        let tx = tap % of.kernel[2];
        let tap = tap / of.kernel[2];
        let ty = tap % of.kernel[1];
        let tap = tap / of.kernel[1];
        let tz = tap % of.kernel[0];
        let place = tap / of.kernel[0];
        let px = place % of.output[2];
        let place = place / of.output[2];
        let py = place % of.output[1];
        let place = place / of.output[1];
        let pz = place % of.output[0];
        let volume = place / of.output[0] + first;
        // Below 0 wraps around, and is outside as well.
        let z = pz * of.window[0] + tz - of.window[3];
        let y = py * of.window[1] + ty - of.window[4];
        let x_ = px * of.window[2] + tx - of.window[5];
        let mut value = 0.0f32;
        if z < of.input[0] && y < of.input[1] && x_ < of.input[2] {
            let at = ((volume * of.input[0] + z) * of.input[1] + y) * of.input[2] + x_;
            value = x[at * of.channels + channel];
        }
        patches[index] = value;
    }
}

/// Every element of a volume gathers its gradients from the patches it is in.
#[cube(launch)]
fn gather_kernel(
    patches: &Array<f32>,
    x: &mut Array<f32>,
    first: usize,
    volumes: usize,
    #[comptime] of: Geometry,
) {
    let index = ABSOLUTE_POS;
    let volume_length = of.input[0] * of.input[1] * of.input[2] * of.channels;
    if index < volumes * volume_length {
        let channel = index % of.channels;
        let at = index / of.channels;
        let x_ = at % of.input[2];
        let at = at / of.input[2];
        let y = at % of.input[1];
        let at = at / of.input[1];
        let z = at % of.input[0];
        let volume = at / of.input[0];
        let mut sum = 0.0f32;
        let mut tz = 0usize;
        while tz < of.kernel[0] {
            // Below 0 wraps around, and is outside as well.
            let fz = z + of.window[3] - tz;
            if fz % of.window[0] == 0 && fz / of.window[0] < of.output[0] {
                let mut ty = 0usize;
                while ty < of.kernel[1] {
                    let fy = y + of.window[4] - ty;
                    if fy % of.window[1] == 0 && fy / of.window[1] < of.output[1] {
                        let mut tx = 0usize;
                        while tx < of.kernel[2] {
                            let fx = x_ + of.window[5] - tx;
                            if fx % of.window[2] == 0 && fx / of.window[2] < of.output[2] {
                                let place = ((volume * of.output[0] + fz / of.window[0])
                                    * of.output[1]
                                    + fy / of.window[1])
                                    * of.output[2]
                                    + fx / of.window[2];
                                let tap = (tz * of.kernel[1] + ty) * of.kernel[2] + tx;
                                let taps = of.kernel[0] * of.kernel[1] * of.kernel[2];
                                sum += patches[(place * taps + tap) * of.channels + channel];
                            }
                            tx += 1;
                        }
                    }
                    ty += 1;
                }
            }
            tz += 1;
        }
        x[first * volume_length + index] = sum;
    }
}

fn patches<R: CubeRuntime>(
    x: &CubeTensor<R>,
    (first, volumes): (usize, usize),
    of: Geometry,
) -> CubeTensor<R> {
    let patches = empty(x, [volumes, of.places(), of.patch()]);
    let (cubes, units) = elementwise(&x.client, volumes * of.places() * of.patch());
    let (from, to) = (x.clone().into_array_arg(), patches.clone().into_array_arg());
    patches_kernel::launch::<R>(&x.client, cubes, units, from, to, first, of);
    patches
}

fn grid<R: CubeRuntime>(x: &CubeTensor<R>) -> [usize; 3] {
    let shape = x.shape();
    [shape[1], shape[2], shape[3]]
}

pub(super) fn forward<R: CubeRuntime, BT: BoolElement>(
    x: CubeTensor<R>,
    weight: CubeTensor<R>,
    window: Window,
) -> CubeTensor<R> {
    let (x, weight) = (rows(x), wrap::<Engine<R, BT>, 5>(weight));
    let [kd, kh, kw, channels, outputs] = weight.dims();
    let of = Geometry::new(grid(&x), [kd, kh, kw], window, channels);
    let weight = weight.reshape([of.patch(), outputs]);
    let batch = x.shape()[0];
    let parts = of.parts(batch).map(|part| {
        let patches: Tensor<Engine<R, BT>, 3> = wrap(patches(&x, part, of));
        let patches = patches.reshape([part.1 * of.places(), of.patch()]);
        product(patches, weight.clone())
    });
    let [od, oh, ow] = of.output;
    unwrap(joined(parts.collect()).reshape([batch, od, oh, ow, outputs]))
}

fn joined<B: burn::tensor::backend::Backend>(mut parts: Vec<Tensor<B, 2>>) -> Tensor<B, 2> {
    match parts.len() {
        1 => parts.remove(0),
        _ => Tensor::cat(parts, 0),
    }
}

pub(super) fn input_gradient<R: CubeRuntime, BT: BoolElement>(
    gradient: CubeTensor<R>,
    weight: CubeTensor<R>,
    input: [usize; 3],
    window: Window,
) -> CubeTensor<R> {
    let weight = wrap::<Engine<R, BT>, 5>(weight);
    let [kd, kh, kw, channels, outputs] = weight.dims();
    let of = Geometry::new(input, [kd, kh, kw], window, channels);
    let weight = weight.reshape([of.patch(), outputs]).transpose();
    let gradient = wrap::<Engine<R, BT>, 5>(gradient);
    let batch = gradient.dims()[0];
    let gradient = gradient.reshape([batch, of.places(), outputs]);
    let [d, h, w] = input;
    let x = empty(&unwrap(weight.clone()), [batch, d, h, w, channels]);
    for (first, volumes) in of.parts(batch) {
        let gradient = gradient.clone().narrow(0, first, volumes);
        let gradient = gradient.reshape([volumes * of.places(), outputs]);
        let patches = rows(unwrap(product(gradient, weight.clone())));
        let (cubes, units) = elementwise(&x.client, volumes * of.volume());
        let (from, to) = (patches.into_array_arg(), x.clone().into_array_arg());
        gather_kernel::launch::<R>(&x.client, cubes, units, from, to, first, volumes, of);
    }
    x
}

pub(super) fn weight_gradient<R: CubeRuntime, BT: BoolElement>(
    x: CubeTensor<R>,
    gradient: CubeTensor<R>,
    kernel: [usize; 3],
    window: Window,
) -> CubeTensor<R> {
    let x = rows(x);
    let (batch, channels) = (x.shape()[0], x.shape()[4]);
    let of = Geometry::new(grid(&x), kernel, window, channels);
    let gradient = wrap::<Engine<R, BT>, 5>(gradient);
    let outputs = gradient.dims()[4];
    let gradient = gradient.reshape([batch, of.places(), outputs]);
    // Products of pieces of a volume, then their sum: one product over all rows would leave most of a GPU idle.
    let parts = of.parts(batch).map(|part| {
        let (pieces, rows) = (part.1 * of.pieces(), of.places() / of.pieces());
        let gradient = gradient.clone().narrow(0, part.0, part.1);
        let gradient = gradient.reshape([pieces, rows, outputs]);
        let patches: Tensor<Engine<R, BT>, 3> = wrap(patches(&x, part, of));
        let patches = patches.reshape([pieces, rows, of.patch()]);
        product(patches.transpose(), gradient).sum_dim(0)
    });
    let sum = parts.reduce(|sum, part| sum + part);
    let [d, h, w] = kernel;
    let sum = sum.unwrap_or_else(|| Tensor::zeros([1, of.patch(), outputs], &x.device));
    unwrap(sum.reshape([d, h, w, channels, outputs]))
}
