//! Convolutions by fewer multiplications: F(2³, 3³) and F(2³, 4³) of Winograd, as in Lavin & Gray, "Fast algorithms for
//! convolutional neural networks" (CVPR 2016), along three axes.
//!
//! A tile of 2³ outputs of a kernel of 3³ comes from 4³ inputs by 64 products instead of 216: along each axis
//! `y = Aᵀ [(G g) ⊙ (Bᵀ d)]`, so that a convolution becomes 64 matrix products (tiles × in · in × out), one for each point
//! of the transform. The gradient of the weights is the same sum the other way round: `Gᵀ [Σ (A y') ⊙ (Bᵀ d)]` over all
//! tiles. A kernel of 7³ at stride 2 is one of 4³ at stride 1 over the eight phases of its input (`phases`): 125 times 8 products
//! instead of 343 for each of 8 outputs.
//!
//! Many tiles are transformed at once, a line of points at a time (`rows`): what is transformed stays in the caches, and the
//! weights of a point, which come from far away, serve all of these tiles. Where there are few tiles of many channels, all of them
//! are transformed first (`points`), and weights where they are used (`by_columns`, `by_rows`). An element's sum is formed in an
//! order that no number of threads changes.
//!
//! Largest error, of the largest value, against f64 (values uniform in −1 to 1; forward, input gradient, weight gradient): six
//! shapes of 3³ with 32 to 128 channels 6.0e-7, 5.3e-7, 8.4e-7; 192 to 512 channels 7.6e-7, 7.6e-7, 5.7e-7;
//! five of 7³ by phases 2.2e-6, 2.5e-6, 3.4e-6. The direct form of the last two kinds has 4.4e-7, 4.0e-7, 6.9e-7.

mod by_columns;
mod by_rows;
mod convolution;
mod phases;
mod points;
mod rows;
mod transform;
mod weight_gradient;
mod weights;

use pulp::Simd;

use super::cpu::Sizes;
use super::gather::panel_width;
use crate::matmul::widest;
use rows::{Side, Tiles};
use transform::{OUTPUTS, OfFour, OfThree};
use weights::Weights;

/// Channels are a multiple of this: whole vectors on every processor. So many values are a cache line.
const VECTOR: usize = 16;
/// Fewest and most channels of a position.
const FEWEST: usize = 32;
const MOST: usize = 512;
/// Most weights of a point whose sums over tiles stay near the second-level cache.
const MOST_SUMS: usize = 1 << 14;
/// Fewest tiles: 512 channels make up for the transform of their weights with some 50.
const FEWEST_TILES: usize = 48;

/// From so many weights of a point on, and up to so many tiles, weights are transformed where they are used.
const MANY_WEIGHTS: usize = 1 << 16;
const FEW_TILES: usize = 256;

/// A convolution that is made in this way.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    sizes: Sizes,
    inputs: Side,
    outputs: Side,
    /// Taps of an axis.
    taps: usize,
    /// Positions of zeros before each axis of the inputs.
    padding: [usize; 3],
}

/// How a convolution is made in this way, where it takes less time.
pub(super) fn plan(sizes: &Sizes) -> Option<Plan> {
    let (phases, taps) = match (sizes.window.stride, sizes.kernel) {
        ([1, 1, 1], [3, 3, 3]) => (1, 3),
        ([2, 2, 2], _) if phases::fit(sizes) => (2, 4),
        _ => return None,
    };
    let plan = Plan {
        sizes: *sizes,
        inputs: Side {
            grid: sizes.input,
            channels: sizes.inputs,
            phases,
        },
        outputs: Side {
            grid: sizes.output,
            channels: sizes.outputs,
            phases: 1,
        },
        taps,
        padding: sizes.window.padding.map(|n| n.div_ceil(phases)),
    };
    let fits = |side: &Side| {
        let tiles = Tiles::of(sizes.batch, *side);
        let whole = tiles.count() * (OUTPUTS * side.phases).pow(3);
        side.channels.is_multiple_of(VECTOR)
            && side.channels >= FEWEST
            && side.values() <= MOST
            && tiles.count() >= FEWEST_TILES
            // Tiles that reach far past the edges would be as many products again.
            && whole <= 2 * sizes.batch * side.grid.iter().product::<usize>()
    };
    let serves = plan.padding.iter().all(|&n| n < taps)
        && panel_width().is_multiple_of(VECTOR)
        && [plan.inputs, plan.outputs].iter().all(fits);
    serves.then_some(plan)
}

impl Plan {
    /// `[batch · positions, out]`.
    pub(super) fn forward(&self, x: &[f32], weight: &[f32]) -> Vec<f32> {
        let weight = phases::split(&self.sizes, weight);
        let weights = Weights {
            data: &weight,
            rows: self.inputs.values(),
            columns: self.outputs.values(),
            turned: false,
        };
        self.convolution([self.inputs, self.outputs], self.padding, x, weights)
    }

    /// `[batch · input positions, in]`: a convolution of the gradient, from outputs to inputs.
    pub(super) fn input_gradient(&self, gradient: &[f32], weight: &[f32]) -> Vec<f32> {
        let weight = phases::split(&self.sizes, weight);
        let weights = Weights {
            data: &weight,
            rows: self.outputs.values(),
            columns: self.inputs.values(),
            turned: true,
        };
        let padding = self.padding.map(|n| self.taps - 1 - n);
        self.convolution([self.outputs, self.inputs], padding, gradient, weights)
    }

    fn convolution(
        &self,
        sides: [Side; 2],
        padding: [usize; 3],
        x: &[f32],
        weights: Weights<'_>,
    ) -> Vec<f32> {
        let batch = self.sizes.batch;
        match (self.taps, self.by_columns(sides[1])) {
            (3, true) => {
                by_columns::convolution::<OfThree, 4, 3>(batch, sides, padding, x, weights)
            }
            (3, _) => convolution::convolution::<OfThree, 4, 3>(batch, sides, padding, x, weights),
            (_, true) => by_columns::convolution::<OfFour, 5, 4>(batch, sides, padding, x, weights),
            _ => convolution::convolution::<OfFour, 5, 4>(batch, sides, padding, x, weights),
        }
    }

    /// Whether its weight gradient takes less time in this way, too.
    pub(super) fn serves_weights(&self) -> bool {
        self.inputs.values() * self.outputs.values() <= MOST_SUMS || self.weights_by_rows()
    }

    /// Whether all tiles are transformed at once, and the weights where they are used.
    fn by_columns(&self, to: Side) -> bool {
        self.inputs.values() * self.outputs.values() >= MANY_WEIGHTS
            && Tiles::of(self.sizes.batch, to).count() <= FEW_TILES
    }

    fn weights_by_rows(&self) -> bool {
        let whole = |side: Side| side.values().is_multiple_of(by_rows::ROWS);
        self.by_columns(self.outputs) && whole(self.inputs) && whole(self.outputs)
    }

    /// `[taps · in, out]`.
    pub(super) fn weight_gradient(&self, x: &[f32], gradient: &[f32]) -> Vec<f32> {
        let sums = match (self.taps, self.weights_by_rows()) {
            (3, true) => by_rows::sums::<OfThree, 4, 3>(self, x, gradient),
            (3, _) => weight_gradient::sums::<OfThree, 4, 3>(self, x, gradient),
            (_, true) => by_rows::sums::<OfFour, 5, 4>(self, x, gradient),
            _ => weight_gradient::sums::<OfFour, 5, 4>(self, x, gradient),
        };
        phases::join(&self.sizes, sums)
    }
}

/// First column and width of the panels of so many columns.
fn panels<S: Simd>(columns: usize) -> impl Iterator<Item = (usize, usize)> {
    let firsts = (0..columns).step_by(widest::<S>());
    firsts.map(move |first| panel_of::<S>(first, columns))
}

/// First column and width of the panel of a column.
fn panel_of<S: Simd>(column: usize, columns: usize) -> (usize, usize) {
    let first = column - column % widest::<S>();
    (first, widest::<S>().min(columns - first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Window;

    fn sizes(
        batch: usize,
        input: [usize; 3],
        channels: [usize; 2],
        taps: usize,
        window: Window,
    ) -> Sizes {
        let kernel = [taps; 3];
        Sizes {
            batch,
            input,
            inputs: channels[0],
            kernel,
            output: window.output(input, kernel).unwrap(),
            outputs: channels[1],
            window,
        }
    }

    #[test]
    fn layers_of_the_published_network_are_served() {
        let of = |input, channels, taps, stride| {
            let window = Window::cubic(stride, taps / 2);
            plan(&sizes(2, input, channels, taps, window))
        };
        assert!(of([28, 32, 28], [64, 64], 3, 1).is_some_and(|plan| plan.serves_weights()));
        for (input, channels, taps, stride, weights) in [
            ([56, 64, 56], [32, 64], 7, 2, true),
            ([14, 16, 14], [128, 128], 3, 1, true),
            ([7, 8, 7], [512, 512], 3, 1, true),
            ([14, 16, 14], [512, 512], 3, 1, false),
        ] {
            let plan = of(input, channels, taps, stride);
            assert!(
                plan.is_some_and(|plan| plan.serves_weights() == weights),
                "{channels:?}"
            );
        }
        assert!(of([112, 128, 112], [1, 32], 7, 2).is_none());
    }

    /// Those that tests/volumes.rs compares with the definition.
    #[test]
    fn few_tiles_of_many_channels_are_made_by_columns_and_rows() {
        let same = Window::cubic(1, 1);
        for (batch, channels, input, taps, window, by_rows) in [
            (1, [256, 256], [7, 8, 7], 3, same, true),
            (2, [352, 192], [5, 6, 5], 3, same, false),
            (2, [192, 368], [5, 6, 5], 3, same, false),
            (2, [64, 128], [9, 11, 9], 7, Window::cubic(2, 3), true),
        ] {
            let plan = plan(&sizes(batch, input, channels, taps, window)).unwrap();
            assert!(plan.by_columns(plan.inputs) && plan.by_columns(plan.outputs));
            assert_eq!(plan.weights_by_rows(), by_rows, "{channels:?}");
        }
    }

    #[test]
    fn what_has_no_inputs_or_is_all_padding_is_not() {
        let window = |padding| Window {
            stride: [1; 3],
            padding,
        };
        let empty = sizes(2, [0, 20, 20], [32; 2], 3, window([2, 1, 1]));
        assert!(plan(&empty).is_none());
        let window = |padding| Window {
            stride: [2; 3],
            padding,
        };
        let padded = sizes(2, [6, 32, 32], [32; 2], 7, window([7, 3, 3]));
        assert!(plan(&padded).is_none());
        let flat = sizes(2, [1, 60, 60], [32; 2], 7, window([6, 3, 3]));
        assert!(plan(&flat).is_none());
    }
}
