//! Bicubic resizing with antialiasing in fixed point: the arithmetic of Pillow's resampling, value for value.
//!
//! Weights of each output position are computed in f64, normalised and rounded to 22 bits; rows are resampled first and
//! then columns, or the other way round where height shrinks by far more pixels, with 8-bit values between the two.

use super::RgbImage;

/// Bits of a weight behind the point: 32 less the 8 of a value and 2 for overshoot.
const BITS: u32 = 32 - 8 - 2;

/// Reach of the bicubic kernel.
const SUPPORT: f64 = 2.0;

/// The cubic convolution kernel with a = −0.5 (Keys 1981), its terms in the order that gives Pillow's rounding.
fn bicubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

/// Which inputs make an output, and how much of each.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

/// The taps of outputs `from .. from + count` when `input` positions become `output`.
fn taps(input: usize, output: usize, from: usize, count: usize) -> Vec<Taps> {
    let scale = input as f64 / output as f64;
    let stretch = scale.max(1.0);
    let support = SUPPORT * stretch;
    let tap = |position: usize| {
        let centre = (position as f64 + 0.5) * scale;
        // Truncation towards 0, as a C cast does.
        let first = ((centre - support + 0.5) as i64).max(0) as usize;
        let end = ((centre + support + 0.5) as i64).min(input as i64) as usize;
        let mut weights = Vec::with_capacity(end - first);
        let mut sum = 0.0;
        for x in 0..end - first {
            let weight = bicubic(((x + first) as f64 - centre + 0.5) * (1.0 / stretch));
            weights.push(weight);
            sum += weight;
        }
        let fixed = |weight: f64| {
            let weight = if sum == 0.0 { weight } else { weight / sum };
            let half = if weight < 0.0 { -0.5 } else { 0.5 };
            (half + weight * f64::from(1 << BITS)) as i32
        };
        Taps {
            first,
            weights: weights.into_iter().map(fixed).collect(),
        }
    };
    (from..from + count).map(tap).collect()
}

fn clipped(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}

/// Part of a resized image: columns and rows `left`, `top` … of the image scaled to `width` × `height`.
pub(super) struct Window {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) left: usize,
    pub(super) top: usize,
    pub(super) size: usize,
}

/// The window, `[size, size, 3]`; only what it shows is computed.
pub(super) fn resize(image: &RgbImage, window: &Window) -> Vec<u8> {
    let shrinks = |from: usize, to: usize| from as i64 - to as i64;
    let height = shrinks(image.height(), window.height);
    // Pillow's rule since version 13.
    if height <= 0 || height <= 2 * shrinks(image.width(), window.width) {
        return rows_first(image, window);
    }
    let turned = RgbImage {
        width: image.height(),
        height: image.width(),
        values: transposed(image.values(), image.width()),
    };
    let window = Window {
        width: window.height,
        height: window.width,
        left: window.top,
        top: window.left,
        size: window.size,
    };
    transposed(&rows_first(&turned, &window), window.size)
}

/// Rows of `width` pixels, as columns.
fn transposed(values: &[u8], width: usize) -> Vec<u8> {
    let pixels = values.as_chunks::<3>().0;
    let columns = (0..width).flat_map(|x| pixels.iter().skip(x).step_by(width));
    columns.copied().collect::<Vec<_>>().into_flattened()
}

fn rows_first(image: &RgbImage, window: &Window) -> Vec<u8> {
    let size = window.size;
    let rows = taps(image.height(), window.height, window.top, size);
    // Rows of the input that any row of the window needs.
    let first = rows.iter().map(|tap| tap.first).min().unwrap_or(0);
    let end = rows.iter().map(|tap| tap.first + tap.weights.len()).max();
    let end = end.unwrap_or(0);
    let source = |row: usize| &image.values()[row * image.width() * 3..][..image.width() * 3];
    let same_width = window.width == image.width();
    let columns = taps(image.width(), window.width, window.left, size);
    let mut narrow = vec![0; (end - first) * size * 3];
    for (row, out) in (first..end).zip(narrow.chunks_exact_mut(size * 3)) {
        if same_width {
            // Pillow leaves out a pass that changes nothing.
            out.copy_from_slice(&source(row)[window.left * 3..][..size * 3]);
        } else {
            horizontal(source(row), &columns, out);
        }
    }
    if window.height == image.height() {
        return narrow[(window.top - first) * size * 3..][..size * size * 3].to_vec();
    }
    let mut result = vec![0; size * size * 3];
    let mut sums = vec![0; size * 3];
    for (tap, out) in rows.iter().zip(result.chunks_exact_mut(size * 3)) {
        sums.fill(1 << (BITS - 1));
        let lines = narrow[(tap.first - first) * size * 3..].chunks_exact(size * 3);
        for (line, weight) in lines.zip(&tap.weights) {
            for (sum, value) in sums.iter_mut().zip(line) {
                *sum += i32::from(*value) * weight;
            }
        }
        for (out, sum) in out.iter_mut().zip(&sums) {
            *out = clipped(*sum);
        }
    }
    result
}

fn horizontal(source: &[u8], columns: &[Taps], out: &mut [u8]) {
    for (tap, out) in columns.iter().zip(out.as_chunks_mut::<3>().0) {
        let pixels = source[tap.first * 3..].as_chunks::<3>().0;
        let mut sums = [1 << (BITS - 1); 3];
        for (pixel, weight) in pixels.iter().zip(&tap.weights) {
            for (sum, value) in sums.iter_mut().zip(pixel) {
                *sum += i32::from(*value) * weight;
            }
        }
        *out = sums.map(clipped);
    }
}
