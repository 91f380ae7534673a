//! Tokens of regions: one product for all where they have one length, as aligned inputs have.

use burn::tensor::Tensor;
use burn::tensor::ops::FloatTensor;
use burn_cubecl::{BoolElement, CubeBackend, CubeRuntime};

use super::product::product;
use crate::backend::{unwrap, wrap};
use crate::region_tokens::{self, Regions};

type Engine<R, BT> = CubeBackend<R, f32, i32, BT>;

pub(super) fn forward<R: CubeRuntime, BT: BoolElement>(
    leading: FloatTensor<Engine<R, BT>>,
    regions: Regions<Engine<R, BT>>,
) -> FloatTensor<Engine<R, BT>> {
    let Some(inputs) = by_region(&regions) else {
        return region_tokens::plain(leading, regions);
    };
    let [count, _, length] = inputs.dims();
    let weight = wrap::<Engine<R, BT>, 2>(regions.weight);
    let [_, dim] = weight.dims();
    let tokens = product::<R, BT, 3>(inputs, weight.reshape([count, length, dim]));
    region_tokens::joined(leading, tokens.swap_dims(0, 1), regions.bias)
}

pub(super) fn gradient<R: CubeRuntime, BT: BoolElement>(
    regions: Regions<Engine<R, BT>>,
    gradient: FloatTensor<Engine<R, BT>>,
) -> [FloatTensor<Engine<R, BT>>; 2] {
    let Some(inputs) = by_region(&regions) else {
        return region_tokens::plain_gradient(regions, gradient);
    };
    let [count, _, length] = inputs.dims();
    let own = region_tokens::of_regions(&wrap(gradient), &regions);
    let [_, _, dim] = own.dims();
    let tokens = own.clone().swap_dims(0, 1);
    let weight = product::<R, BT, 3>(inputs.transpose(), tokens);
    let weight = weight.reshape([count * length, dim]);
    [unwrap(weight), region_tokens::bias_gradient(own)]
}

/// Inputs of regions of one length that lie at equal distances, `[regions, batch, length]`.
fn by_region<R: CubeRuntime, BT: BoolElement>(
    regions: &Regions<Engine<R, BT>>,
) -> Option<Tensor<Engine<R, BT>, 3>> {
    let columns = &regions.columns;
    let (first, last) = (columns.first()?, columns.last()?);
    let distance = match columns.get(1) {
        Some(second) => second.start.checked_sub(first.start)?,
        None => first.len(),
    };
    let inputs = wrap::<Engine<R, BT>, 2>(regions.inputs.clone());
    let [batch, width] = inputs.dims();
    let even = |(region, own): (usize, &std::ops::Range<usize>)| {
        own.len() == first.len() && own.start == first.start + region * distance
    };
    // The last one's distance to the next may go beyond the inputs.
    let whole = columns.len() * distance;
    let fits = first.start + whole <= width && last.end <= first.start + whole;
    if !fits || !columns.iter().enumerate().all(even) {
        return None;
    }
    let inputs = inputs.narrow(1, first.start, whole);
    let inputs = inputs.reshape([batch, columns.len(), distance]);
    Some(inputs.narrow(2, 0, first.len()).swap_dims(0, 1))
}
