use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Shape, Tensor, TensorData, TensorMetadata};

use pulp::Simd;

use crate::backend::{KernelBackend, unwrap, wrap};
use crate::simd::{self, Lanes};

/// Which elements are dropped: a pure function of the seed and the element's position, so that the backward pass makes
/// the mask again instead of keeping it, and every backend and thread count drops the same elements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// Probability of an element to become 0, in `[0, 1)`.
    pub rate: f64,
    /// Take another one for every layer and step.
    pub seed: u64,
}

impl Dropout {
    fn checked(rate: f64, seed: u64) -> Self {
        assert!(
            (0.0..1.0).contains(&rate),
            "dropout: rate {rate} outside [0, 1)"
        );
        Self { rate, seed }
    }

    /// An element stays when its 32 random bits are at least this.
    pub(crate) fn threshold(self) -> u32 {
        (self.rate * 4_294_967_296.0) as u32
    }

    /// What a staying element is multiplied by.
    pub(crate) fn scale(self) -> f32 {
        (1.0 / (1.0 - self.rate)) as f32
    }

    /// The two keys of the elements whose index has these upper 32 bits.
    pub(crate) fn keys(self, upper: u32) -> [u32; 2] {
        // splitmix64's finaliser (Steele, Lea & Flood 2014).
        let mut z = self.seed ^ (u64::from(upper) << 17).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        [z as u32, (z >> 32) as u32]
    }

    /// 0 or [`Self::scale`] for each element of a tensor of `len` elements.
    pub(crate) fn mask(self, len: usize) -> Vec<f32> {
        let (threshold, scale) = (self.threshold(), self.scale());
        let mut mask = Vec::with_capacity(len);
        for upper in 0..=(len.saturating_sub(1) as u64 >> 32) as u32 {
            let keys = self.keys(upper);
            let block = (len as u64 - (u64::from(upper) << 32)).min(1 << 32);
            mask.extend((0..block).map(|index| {
                if random_bits(index as u32, keys) >= threshold {
                    scale
                } else {
                    0.0
                }
            }));
        }
        mask
    }
}

/// 32 random bits for an index: two keyed rounds of a 32-bit mixer (the constants of C. Wellons' `lowbias32`).
/// With one round alone, the masks of two seeds would be permutations of each other.
pub(crate) fn random_bits(index: u32, keys: [u32; 2]) -> u32 {
    keys.iter().fold(index, |state, key| {
        let mut x = state ^ key;
        x ^= x >> 16;
        x = x.wrapping_mul(0x7feb_352d);
        x ^= x >> 15;
        x = x.wrapping_mul(0x846c_a68b);
        x ^ (x >> 16)
    })
}

/// Sets elements to 0 with probability `rate` and multiplies the others by `1 / (1 − rate)`
/// (Srivastava et al. 2014, with the scale at training time).
///
/// # Shapes
/// Any; the output has the shape of `x`.
///
/// # Panics
/// When `rate` is outside `[0, 1)`.
pub fn dropout<B: KernelBackend, const D: usize>(
    x: Tensor<B, D>,
    rate: f64,
    seed: u64,
) -> Tensor<B, D> {
    let dropout = Dropout::checked(rate, seed);
    if rate == 0.0 {
        return x;
    }
    wrap(B::kernel_dropout(unwrap(x), dropout))
}

/// [`dropout`] of `x`, plus `residual`, in one pass.
///
/// # Shapes
/// `x`, `residual` and the output have the same shape.
///
/// # Panics
/// When `rate` is outside `[0, 1)`, or the shapes differ.
pub fn dropout_add<B: KernelBackend, const D: usize>(
    x: Tensor<B, D>,
    residual: Tensor<B, D>,
    rate: f64,
    seed: u64,
) -> Tensor<B, D> {
    let dropout = Dropout::checked(rate, seed);
    assert_eq!(x.dims(), residual.dims(), "dropout_add: x against residual");
    wrap(B::kernel_dropout_add(unwrap(x), unwrap(residual), dropout))
}

/// The mask as a tensor, made on the host.
pub(crate) fn mask_tensor<B: Backend>(
    dropout: Dropout,
    shape: Shape,
    device: &B::Device,
) -> FloatTensor<B> {
    let data = TensorData::new(dropout.mask(shape.num_elements()), shape);
    B::float_from_data(data, device)
}

pub(crate) fn plain<B: Backend>(x: FloatTensor<B>, dropout: Dropout) -> FloatTensor<B> {
    if dropout.rate == 0.0 {
        return x;
    }
    let mask = mask_tensor::<B>(dropout, x.shape(), &B::float_device(&x));
    let mask = B::float_cast(mask, x.dtype().into());
    B::float_mul(x, mask)
}

pub(crate) fn plain_add<B: Backend>(
    x: FloatTensor<B>,
    residual: FloatTensor<B>,
    dropout: Dropout,
) -> FloatTensor<B> {
    B::float_add(plain::<B>(x, dropout), residual)
}

#[derive(Debug)]
struct DropoutNode;

impl<B: KernelBackend> Backward<B, 1> for DropoutNode {
    type State = Dropout;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = grads.consume::<B>(&ops.node);
        let [node] = ops.parents;
        if let Some(node) = node {
            grads.register::<B>(node.id, B::kernel_dropout(gradient, ops.state));
        }
    }
}

#[derive(Debug)]
struct DropoutAddNode;

impl<B: KernelBackend> Backward<B, 2> for DropoutAddNode {
    type State = Dropout;

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = grads.consume::<B>(&ops.node);
        let [x_node, residual_node] = ops.parents;
        if let Some(node) = residual_node {
            grads.register::<B>(node.id, gradient.clone());
        }
        if let Some(node) = x_node {
            grads.register::<B>(node.id, B::kernel_dropout(gradient, ops.state));
        }
    }
}

pub(crate) fn tracked<B: KernelBackend, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<B, C>>,
    dropout: Dropout,
) -> FloatTensor<Autodiff<B, C>> {
    let y = B::kernel_dropout(x.primitive, dropout);
    match DropoutNode
        .prepare::<C>([x.node])
        .compute_bound()
        .stateful()
    {
        OpsKind::Tracked(prep) => prep.finish(dropout, y),
        OpsKind::UnTracked(prep) => prep.finish(y),
    }
}

pub(crate) fn tracked_add<B: KernelBackend, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<B, C>>,
    residual: FloatTensor<Autodiff<B, C>>,
    dropout: Dropout,
) -> FloatTensor<Autodiff<B, C>> {
    let y = B::kernel_dropout_add(x.primitive, residual.primitive, dropout);
    match DropoutAddNode
        .prepare::<C>([x.node, residual.node])
        .compute_bound()
        .stateful()
    {
        OpsKind::Tracked(prep) => prep.finish(dropout, y),
        OpsKind::UnTracked(prep) => prep.finish(y),
    }
}

/// The factors of the elements from `index` on: 0 or the scale, one a lane.
///
/// A vector must not straddle a multiple of 2³²; callers' vectors start at multiples of the lane count, or their
/// tensors are smaller than that.
#[inline(always)]
pub(crate) fn factors<S: Simd>(simd: S, dropout: Dropout, index: usize) -> S::f32s {
    let keys = dropout.keys((index as u64 >> 32) as u32);
    let mut x = simd.add_u32s(simd::lane_numbers(simd), simd.splat_u32s(index as u32));
    for key in keys {
        x = simd.xor_u32s(x, simd.splat_u32s(key));
        x = simd.xor_u32s(x, simd.wrapping_dyn_shr_u32s(x, simd.splat_u32s(16)));
        x = simd.mul_u32s(x, simd.splat_u32s(0x7feb_352d));
        x = simd.xor_u32s(x, simd.wrapping_dyn_shr_u32s(x, simd.splat_u32s(15)));
        x = simd.mul_u32s(x, simd.splat_u32s(0x846c_a68b));
        x = simd.xor_u32s(x, simd.wrapping_dyn_shr_u32s(x, simd.splat_u32s(16)));
    }
    let stays = simd.greater_than_or_equal_u32s(x, simd.splat_u32s(dropout.threshold()));
    simd.select_f32s(
        stays,
        simd.splat_f32s(dropout.scale()),
        simd.splat_f32s(0.0),
    )
}

struct Multiply(Dropout);

impl Lanes<0, 1> for Multiply {
    #[inline(always)]
    fn lanes<S: Simd>(
        &self,
        simd: S,
        index: usize,
        _: [S::f32s; 0],
        [x]: [S::f32s; 1],
    ) -> [S::f32s; 1] {
        [simd.mul_f32s(x, factors(simd, self.0, index))]
    }
}

struct MultiplyAdd(Dropout);

impl Lanes<1, 1> for MultiplyAdd {
    #[inline(always)]
    fn lanes<S: Simd>(
        &self,
        simd: S,
        index: usize,
        [residual]: [S::f32s; 1],
        [x]: [S::f32s; 1],
    ) -> [S::f32s; 1] {
        if self.0.rate == 0.0 {
            return [simd.add_f32s(x, residual)];
        }
        // Not fused: the plain body rounds the product too, and the two agree to the bit.
        let kept = simd.mul_f32s(x, factors(simd, self.0, index));
        [simd.add_f32s(kept, residual)]
    }
}

/// Multiplies by the mask in place.
pub(crate) fn fast(dropout: Dropout, x: &mut [f32]) {
    simd::for_each(&Multiply(dropout), [], [x]);
}

/// Multiplies by the mask and adds the residual, in place.
pub(crate) fn fast_add(dropout: Dropout, residual: &[f32], x: &mut [f32]) {
    simd::for_each(&MultiplyAdd(dropout), [residual], [x]);
}
