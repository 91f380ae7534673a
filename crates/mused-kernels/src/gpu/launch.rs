//! Where the results of a kernel go and how many units run it.

use burn::tensor::{DType, Shape};
use burn_cubecl::CubeRuntime;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

/// Units of a cube that share nothing.
const UNITS: u32 = 256;

/// A tensor whose elements lie one after another.
pub(super) fn rows<R: CubeRuntime>(x: CubeTensor<R>) -> CubeTensor<R> {
    assert_eq!(x.dtype, DType::F32, "kernels of GPUs read f32 values");
    into_contiguous(x)
}

/// A tensor that a kernel may write over: itself where nobody else holds it, else a copy.
pub(super) fn owned<R: CubeRuntime>(x: CubeTensor<R>) -> CubeTensor<R> {
    let x = rows(x);
    if x.can_mut() { x } else { x.copy() }
}

/// A tensor of this shape on the device of `like`; what it holds is anything.
pub(super) fn empty<R: CubeRuntime>(
    like: &CubeTensor<R>,
    shape: impl Into<Shape>,
) -> CubeTensor<R> {
    let (client, device) = (like.client.clone(), like.device.clone());
    empty_device_contiguous_dtype(client, device, shape.into(), DType::F32)
}

/// A unit for every element.
pub(super) fn elementwise<R: CubeRuntime>(
    client: &ComputeClient<R>,
    elements: usize,
) -> (CubeCount, CubeDim) {
    let units = CubeDim::new_1d(UNITS);
    (
        calculate_cube_count_elemwise(client, elements, units),
        units,
    )
}

/// A cube for every row, its units one for an element of the row as far as they go.
pub(super) fn rowwise<R: CubeRuntime>(
    client: &ComputeClient<R>,
    rows: usize,
    length: usize,
) -> (CubeCount, CubeDim) {
    let one = CubeDim::new_1d(1);
    (
        calculate_cube_count_elemwise(client, rows, one),
        CubeDim::new_1d(units(length)),
    )
}

/// Units that share a row of this length: a power of two.
pub(super) fn units(length: usize) -> u32 {
    (length.next_power_of_two() as u32).clamp(32, UNITS)
}

/// The sum of a value over the units of a cube, the same for all of them.
#[cube]
pub(super) fn cube_sum(value: f32, #[comptime] units: u32) -> f32 {
    over_cube(value, units, false)
}

/// The largest of a value over the units of a cube, the same for all of them.
#[cube]
pub(super) fn cube_max(value: f32, #[comptime] units: u32) -> f32 {
    over_cube(value, units, true)
}

#[cube]
fn over_cube(value: f32, #[comptime] units: u32, #[comptime] largest: bool) -> f32 {
    let mut shared = SharedMemory::<f32>::new(units as usize);
    let unit = UNIT_POS as usize;
    shared[unit] = value;
    sync_cube();
    let mut half = CUBE_DIM / 2;
    while half > 0 {
        if UNIT_POS < half {
            let other = shared[unit + half as usize];
            if largest {
                shared[unit] = max(shared[unit], other);
            } else {
                shared[unit] += other;
            }
        }
        sync_cube();
        half /= 2;
    }
    let result = shared[0];
    // The memory may be another's from here on, once all have read it.
    sync_cube();
    result
}
