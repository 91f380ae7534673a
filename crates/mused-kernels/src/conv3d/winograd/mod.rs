//! Convolutions by fewer multiplications: F(2³, 3³) and F(2³, 4³) of Winograd, as in Lavin & Gray, "Fast algorithms for
//! convolutional neural networks" (CVPR 2016), along three axes.
//!
//! A tile of 2³ outputs of a kernel of 3³ comes from 4³ inputs by 64 products instead of 216: along each axis
//! `y = Aᵀ [(G g) ⊙ (Bᵀ d)]`, so that a convolution becomes 64 matrix products (tiles × in · in × out), one for each point
//! of the transform. The gradient of the weights is the same sum the other way round: `Gᵀ [Σ (A y') ⊙ (Bᵀ d)]` over all
//! tiles. A kernel of 7³ at stride 2 is one of 4³ at stride 1 over the phases of its input (`phases`): 125 products instead of
//! 343 times 8 outputs, a part of them with zeros.
//!
//! Tiles are transformed a line of points at a time, for as many of them as stay near the second-level cache (`rows`): the
//! weights of a point then serve all of these, where they come from a far cache. An element's sum is formed in an order that
//! no number of threads changes.
//!
//! Largest error, of the largest value, against f64 (values even in −1 to 1; forward, input gradient, weight gradient): six
//! shapes of 3³ with 32 to 128 channels 6.0e-7, 5.3e-7, 8.4e-7; 256 and 512 channels 7.0e-7, 7.6e-7 and (direct) 6.9e-7;
//! four of 7³ by phases 2.2e-6, 2.5e-6, 3.4e-6. The direct form of the last two kinds has 4.4e-7, 4.0e-7, 6.9e-7.

mod convolution;
mod phases;
mod rows;
mod transform;
mod weight_gradient;
mod weights;

use super::cpu::Sizes;
use super::gather::{lanes, panel_width};
use rows::{Side, Tiles};
use transform::{OfFour, OfThree};

/// Channels come in whole vectors, whatever their length here. So many values are a cache line.
const VECTOR: usize = 16;
/// Fewest channels, and most that were measured. A first form took longer on an Intel Xeon, whose vectors are wide, for 128
/// channels; this one was not measured there.
const FEWEST: usize = 32;
const MOST: usize = 512;
const MOST_OF_WIDE_VECTORS: usize = 64;
/// Most weights of a point whose sums over tiles stay near the second-level cache.
const MOST_SUMS: usize = 1 << 14;
/// Fewest tiles: so often is a transformed weight used. (512 channels make up for its transform with some 50.)
const FEWEST_TILES: usize = 48;

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
    let phases = sizes.window.stride[0];
    let padding = sizes.window.padding;
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
        taps: if phases == 1 { 3 } else { 4 },
        padding: padding.map(|n| n.div_ceil(phases.max(1))),
    };
    let wide = lanes() >= VECTOR;
    let most = if wide { MOST_OF_WIDE_VECTORS } else { MOST };
    let fits =
        |channels: usize| (FEWEST..=most).contains(&channels) && channels.is_multiple_of(VECTOR);
    let serves = sizes.window.stride == [phases; 3]
        && match phases {
            1 => sizes.kernel == [3; 3] && padding.iter().all(|&n| n < 3),
            // Not measured where vectors are wide.
            2 => !wide && phases::fit(sizes) && 8 * sizes.inputs <= MOST,
            _ => false,
        }
        && fits(sizes.inputs)
        && fits(sizes.outputs)
        && panel_width().is_multiple_of(VECTOR)
        && {
            let tiles = Tiles::of(sizes.batch, plan.outputs);
            // Tiles that reach far past the edges would be as many products again.
            tiles.count() >= FEWEST_TILES && tiles.count() * 8 <= 2 * sizes.positions()
        };
    serves.then_some(plan)
}

impl Plan {
    /// `[batch · positions, out]`.
    pub(super) fn forward(&self, x: &[f32], weight: &[f32]) -> Vec<f32> {
        let weight = phases::split(&self.sizes, weight);
        self.convolution([self.inputs, self.outputs], self.padding, x, &weight)
    }

    /// `[batch · input positions, in]`: a convolution of the gradient, from outputs to inputs.
    pub(super) fn input_gradient(&self, gradient: &[f32], weight: &[f32]) -> Vec<f32> {
        let weight = phases::split(&self.sizes, weight);
        let weight = weights::backward(&weight, self.inputs.values(), self.outputs.values());
        let padding = self.padding.map(|n| self.taps - 1 - n);
        self.convolution([self.outputs, self.inputs], padding, gradient, &weight)
    }

    fn convolution(
        &self,
        [from, to]: [Side; 2],
        padding: [usize; 3],
        x: &[f32],
        weight: &[f32],
    ) -> Vec<f32> {
        let batch = self.sizes.batch;
        match self.taps {
            3 => convolution::convolution::<OfThree, 4, 3>(batch, [from, to], padding, x, weight),
            _ => convolution::convolution::<OfFour, 5, 4>(batch, [from, to], padding, x, weight),
        }
    }

    /// Whether its weight gradient takes less time in this way, too.
    pub(super) fn serves_weights(&self) -> bool {
        self.inputs.values() * self.outputs.values() <= MOST_SUMS
    }

    /// `[taps · in, out]`.
    pub(super) fn weight_gradient(&self, x: &[f32], gradient: &[f32]) -> Vec<f32> {
        let sums = match self.taps {
            3 => weight_gradient::sums::<OfThree, 4, 3>(self, x, gradient),
            _ => weight_gradient::sums::<OfFour, 5, 4>(self, x, gradient),
        };
        phases::join(&self.sizes, sums)
    }
}

/// First column and width of the panels of so many columns.
fn panels(columns: usize) -> impl Iterator<Item = (usize, usize)> {
    let width = panel_width();
    let firsts = (0..columns).step_by(width);
    firsts.map(move |first| (first, width.min(columns - first)))
}
