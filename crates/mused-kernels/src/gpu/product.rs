//! Products of matrices, by those of the engine's kernels that were fastest on an H100 (docs/performance.md).

use burn::tensor::{Shape, Tensor};
use burn_cubecl::kernel::matmul::init_matmul_output;
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{BoolElement, CubeBackend, CubeRuntime};
use cubecl::features::Tma;
use cubek::matmul::components::tile::TileMatmulKind;
use cubek::matmul::definition::{MatmulElems, MatmulGlobalElems};
use cubek::matmul::launch::{Strategy, launch_ref};
use cubek::matmul::routines::BlueprintStrategy::Inferred;
use cubek::matmul::routines::simple::SimpleArgs;
use cubek::std::InputBinding;

use crate::backend::{unwrap, wrap};

type Engine<R, BT> = CubeBackend<R, f32, i32, BT>;

/// Multiplications below which starting a kernel takes longer than the product, by any of them.
const SMALL: usize = 1 << 26;

/// Shared lengths from which the loads of a product are worth units of their own.
const LONG: usize = 256;

/// Bytes that a GPU's own copies of tiles begin at multiples of.
const ALIGNMENT: usize = 16;

/// `lhs · rhs` of the last two axes.
pub(super) fn product<R: CubeRuntime, BT: BoolElement, const D: usize>(
    lhs: Tensor<Engine<R, BT>, D>,
    rhs: Tensor<Engine<R, BT>, D>,
) -> Tensor<Engine<R, BT>, D> {
    let (left, right) = (unwrap(lhs.clone()), unwrap(rhs.clone()));
    let output = chosen(&left, &right).and_then(|strategy| launched(&strategy, &left, &right));
    output.map_or_else(|| lhs.matmul(rhs), wrap)
}

/// What is faster than the engine's own choice, where that was measured: large products on GPUs that copy tiles by
/// themselves (NVIDIA's from Hopper on).
fn chosen<R: CubeRuntime>(lhs: &CubeTensor<R>, rhs: &CubeTensor<R>) -> Option<Strategy> {
    let copies_tiles = lhs.client.properties().features.tma.contains(Tma::Base);
    let (left, right) = (lhs.meta.shape(), rhs.meta.shape());
    let multiplications = left
        .num_elements()
        .saturating_mul(right[right.num_dims() - 1]);
    let matrices = |shape: &Shape| shape[..shape.num_dims() - 2].to_vec();
    if !copies_tiles || matrices(left) != matrices(right) || multiplications < SMALL {
        return None;
    }
    let simple = |multi_rows| SimpleArgs {
        multi_rows,
        tile_matmul: TileMatmulKind::Mma,
    };
    Some(match left[left.num_dims() - 1] {
        _ if !(aligned(lhs) && aligned(rhs)) => Strategy::SimpleCyclicMma(Inferred(simple(true))),
        shared if shared < LONG => Strategy::SimpleTmaMma(Inferred(simple(false))),
        _ => Strategy::SpecializedTmaMma(Inferred(().into())),
    })
}

/// Whether each line of each matrix begins at a multiple of [`ALIGNMENT`], the matrices one after the other: a GPU's own copies
/// know one axis of matrices.
fn aligned<R: CubeRuntime>(x: &CubeTensor<R>) -> bool {
    let (shape, strides) = (x.meta.shape(), x.meta.strides());
    let (matrices, last) = strides.split_at(strides.len() - 2);
    let (line, within) = (last[0].max(last[1]), last[0].min(last[1]));
    let one_axis = (1..matrices.len())
        .all(|axis| shape[axis - 1] == 1 || strides[axis - 1] == strides[axis] * shape[axis]);
    let whole = |stride: &usize| (stride * size_of::<f32>()).is_multiple_of(ALIGNMENT);
    let start = x.handle.offset_start.unwrap_or(0) as usize;
    within == 1
        && one_axis
        && matrices.last().is_none_or(|&matrix| matrix >= line)
        && start.is_multiple_of(ALIGNMENT)
        && matrices.iter().chain([&line]).all(whole)
}

/// `None` where the engine says at once that the device cannot do it so.
fn launched<R: CubeRuntime>(
    strategy: &Strategy,
    lhs: &CubeTensor<R>,
    rhs: &CubeTensor<R>,
) -> Option<CubeTensor<R>> {
    let output = init_matmul_output(lhs, rhs, lhs.dtype);
    let [left, right, of] = [lhs, rhs, &output].map(|x| x.dtype.into());
    let mut numbers = MatmulElems::from_globals(&MatmulGlobalElems {
        lhs: left,
        rhs: right,
        out: of,
    });
    launch_ref(
        strategy,
        &output.client,
        InputBinding::new(lhs.clone().binding(), left),
        InputBinding::new(rhs.clone().binding(), right),
        output.clone().binding(),
        &mut numbers,
    )
    .ok()?;
    Some(output)
}
