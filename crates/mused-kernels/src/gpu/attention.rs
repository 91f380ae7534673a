//! Attention: the products are the engine's, softmax, mask and dropout one pass over each row of scores.

use burn::tensor::{Tensor, TensorMetadata as _};
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{BoolElement, CubeBackend, CubeRuntime};
use cubecl::prelude::*;

use super::elementwise::{dropout as dropped, kept};
use super::launch::{cube_max, cube_sum, elementwise, empty, rows, rowwise, units};
use super::product::product;
use crate::backend::{unwrap, wrap};
use crate::dropout::Dropout;

type Engine<R, BT> = CubeBackend<R, f32, i32, BT>;

/// `[batch, tokens, 3, heads, width]` → three of `[batch, heads, tokens, width]`.
#[cube(launch)]
fn split_kernel(
    qkv: &Array<f32>,
    q: &mut Array<f32>,
    k: &mut Array<f32>,
    v: &mut Array<f32>,
    tokens: usize,
    heads: usize,
    width: usize,
) {
    let index = ABSOLUTE_POS;
    if index < q.len() {
        let from = packed(index, tokens, heads, width);
        let part = heads * width;
        q[index] = qkv[from];
        k[index] = qkv[from + part];
        v[index] = qkv[from + 2 * part];
    }
}

/// The reverse of [`split_kernel`].
#[cube(launch)]
fn pack_kernel(
    q: &Array<f32>,
    k: &Array<f32>,
    v: &Array<f32>,
    qkv: &mut Array<f32>,
    tokens: usize,
    heads: usize,
    width: usize,
) {
    let index = ABSOLUTE_POS;
    if index < q.len() {
        let to = packed(index, tokens, heads, width);
        let part = heads * width;
        qkv[to] = q[index];
        qkv[to + part] = k[index];
        qkv[to + 2 * part] = v[index];
    }
}

/// Where the query of a position in `[batch, heads, tokens, width]` lies in `[batch, tokens, 3, heads, width]`.
#[cube]
fn packed(index: usize, tokens: usize, heads: usize, width: usize) -> usize {
    let channel = index % width;
    let token = (index / width) % tokens;
    let head = (index / (width * tokens)) % heads;
    let batch = index / (width * tokens * heads);
    ((batch * tokens + token) * 3 * heads + head) * width + channel
}

/// Probabilities of a row of scores; dropped ones beside them where there is dropout.
#[cube(launch)]
fn softmax_kernel(
    scores: &Array<f32>,
    mask: &Array<f32>,
    probabilities: &mut Array<f32>,
    dropped: &mut Array<f32>,
    tokens: usize,
    heads: usize,
    scale: f32,
    first: u32,
    second: u32,
    threshold: u32,
    keep: f32,
    #[comptime] masked: bool,
    #[comptime] causal: bool,
    #[comptime] drop: bool,
    #[comptime] units: u32,
) {
    let row = CUBE_POS;
    let start = row * tokens;
    if start < scores.len() {
        let keys = (row / (heads * tokens)) * tokens;
        let query = row % tokens;
        let mut largest = f32::new(-1e30);
        let mut i = UNIT_POS as usize;
        while i < tokens {
            if attends(mask, keys, query, i, masked, causal) {
                largest = max(largest, scores[start + i] * scale);
            }
            i += units as usize;
        }
        let largest = cube_max(largest, units);
        let mut sum = 0.0f32;
        let mut i = UNIT_POS as usize;
        while i < tokens {
            if attends(mask, keys, query, i, masked, causal) {
                sum += (scores[start + i] * scale - largest).exp();
            }
            i += units as usize;
        }
        // At least 1 wherever a key is attended to, since the largest score has weight e⁰.
        let sum = max(cube_sum(sum, units), 1e-30f32);
        let mut i = UNIT_POS as usize;
        while i < tokens {
            let mut probability = 0.0f32;
            if attends(mask, keys, query, i, masked, causal) {
                probability = (scores[start + i] * scale - largest).exp() / sum;
            }
            probabilities[start + i] = probability;
            if drop {
                dropped[start + i] = probability * kept(start + i, first, second, threshold, keep);
            }
            i += units as usize;
        }
    }
}

#[cube]
fn attends(
    mask: &Array<f32>,
    keys: usize,
    query: usize,
    key: usize,
    #[comptime] masked: bool,
    #[comptime] causal: bool,
) -> bool {
    let mut attends = true;
    if masked {
        attends = mask[keys + key] != 0.0f32;
    }
    if causal {
        attends = key <= query;
    }
    attends
}

/// The gradient of a row of scores, of that of its dropped probabilities.
#[cube(launch)]
fn softmax_gradient_kernel(
    gradient: &Array<f32>,
    probabilities: &Array<f32>,
    scores: &mut Array<f32>,
    tokens: usize,
    scale: f32,
    first: u32,
    second: u32,
    threshold: u32,
    keep: f32,
    #[comptime] drop: bool,
    #[comptime] units: u32,
) {
    let start = CUBE_POS * tokens;
    if start < scores.len() {
        let mut along = 0.0f32;
        let mut i = UNIT_POS as usize;
        while i < tokens {
            let mut slope = gradient[start + i];
            if drop {
                slope *= kept(start + i, first, second, threshold, keep);
            }
            along += slope * probabilities[start + i];
            i += units as usize;
        }
        let along = cube_sum(along, units);
        let mut i = UNIT_POS as usize;
        while i < tokens {
            let mut slope = gradient[start + i];
            if drop {
                slope *= kept(start + i, first, second, threshold, keep);
            }
            scores[start + i] = (slope - along) * probabilities[start + i] * scale;
            i += units as usize;
        }
    }
}

/// The numbers of a dropout as a kernel takes them; any where there is none.
fn numbers(dropout: Option<Dropout>) -> ([u32; 3], f32) {
    match dropout {
        Some(dropout) => {
            let [first, second] = dropout.keys(0);
            ([first, second, dropout.threshold()], dropout.scale())
        }
        None => ([0; 3], 1.0),
    }
}

/// q, k and v, each `[batch, heads, tokens, width]`.
fn split<R: CubeRuntime>(qkv: CubeTensor<R>, heads: usize) -> [CubeTensor<R>; 3] {
    let qkv = rows(qkv);
    let shape = qkv.shape();
    let (batch, tokens, width) = (shape[0], shape[1], shape[2] / 3 / heads);
    let part = || empty(&qkv, [batch, heads, tokens, width]);
    let [q, k, v] = [part(), part(), part()];
    let client = qkv.client.clone();
    let (cubes, units) = elementwise(&client, batch * heads * tokens * width);
    split_kernel::launch::<R>(
        &client,
        cubes,
        units,
        qkv.into_array_arg(),
        q.clone().into_array_arg(),
        k.clone().into_array_arg(),
        v.clone().into_array_arg(),
        tokens,
        heads,
        width,
    );
    [q, k, v]
}

/// The output `[batch, tokens, dim]` and the probabilities before dropout `[batch, heads, tokens, tokens]`.
pub(super) fn forward<R: CubeRuntime, BT: BoolElement>(
    qkv: CubeTensor<R>,
    heads: usize,
    key_mask: Option<CubeTensor<R>>,
    dropout: Option<Dropout>,
    causal: bool,
) -> (CubeTensor<R>, CubeTensor<R>) {
    let [q, k, v] = split(qkv, heads);
    let (batch, tokens, width) = (q.shape()[0], q.shape()[2], q.shape()[3]);
    let tensor = |x: CubeTensor<R>| -> Tensor<Engine<R, BT>, 4> { wrap(x) };
    let scores = rows(unwrap(product(tensor(q), tensor(k).transpose())));
    let probabilities = empty(&scores, scores.shape());
    let kept = match dropout {
        Some(_) => empty(&scores, scores.shape()),
        None => probabilities.clone(),
    };
    let masked = key_mask.is_some();
    let mask = key_mask.map_or_else(|| scores.clone(), rows);
    let ([first, second, threshold], keep) = numbers(dropout);
    let client = scores.client.clone();
    let (cubes, cube) = rowwise(&client, batch * heads * tokens, tokens);
    softmax_kernel::launch::<R>(
        &client,
        cubes,
        cube,
        scores.into_array_arg(),
        mask.into_array_arg(),
        probabilities.clone().into_array_arg(),
        kept.clone().into_array_arg(),
        tokens,
        heads,
        1.0 / (width as f32).sqrt(),
        first,
        second,
        threshold,
        keep,
        masked,
        causal,
        dropout.is_some(),
        units(tokens),
    );
    let output = product(tensor(kept), tensor(v)).swap_dims(1, 2);
    let output = output.reshape([batch, tokens, heads * width]);
    (unwrap(output), probabilities)
}

/// The gradient for q, k and v.
pub(super) fn gradient<R: CubeRuntime, BT: BoolElement>(
    qkv: CubeTensor<R>,
    probabilities: CubeTensor<R>,
    gradient: CubeTensor<R>,
    heads: usize,
    dropout: Option<Dropout>,
) -> CubeTensor<R> {
    let shape = qkv.shape();
    let [q, k, v] = split(qkv, heads);
    let (batch, tokens, width) = (q.shape()[0], q.shape()[2], q.shape()[3]);
    let tensor = |x: CubeTensor<R>| -> Tensor<Engine<R, BT>, 4> { wrap(x) };
    let gradient = wrap::<Engine<R, BT>, 3>(gradient);
    let gradient = gradient
        .reshape([batch, tokens, heads, width])
        .swap_dims(1, 2);
    let kept = match dropout {
        Some(dropout) => dropped(probabilities.clone(), None, dropout),
        None => probabilities.clone(),
    };
    let v_gradient = product(tensor(kept).transpose(), gradient.clone());
    let p_gradient = rows(unwrap(product(gradient, tensor(v).transpose())));
    let scores = empty(&p_gradient, p_gradient.shape());
    let ([first, second, threshold], keep) = numbers(dropout);
    let client = scores.client.clone();
    let (cubes, cube) = rowwise(&client, batch * heads * tokens, tokens);
    softmax_gradient_kernel::launch::<R>(
        &client,
        cubes,
        cube,
        p_gradient.into_array_arg(),
        rows(probabilities).into_array_arg(),
        scores.clone().into_array_arg(),
        tokens,
        1.0 / (width as f32).sqrt(),
        first,
        second,
        threshold,
        keep,
        dropout.is_some(),
        units(tokens),
    );
    let q_gradient = rows(unwrap(product(tensor(scores.clone()), tensor(k))));
    let k_gradient = rows(unwrap(product(tensor(scores).transpose(), tensor(q))));
    let v_gradient = rows(unwrap(v_gradient));
    let qkv = empty(&q_gradient, shape);
    let (cubes, units) = elementwise(&client, batch * heads * tokens * width);
    pack_kernel::launch::<R>(
        &client,
        cubes,
        units,
        q_gradient.into_array_arg(),
        k_gradient.into_array_arg(),
        v_gradient.into_array_arg(),
        qkv.clone().into_array_arg(),
        tokens,
        heads,
        width,
    );
    qkv
}
