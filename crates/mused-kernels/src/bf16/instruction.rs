//! The one instruction that products in bf16 are made of, VDPBF16PS: by its definition, and as the processor has it.

use super::product::Block;

/// Sums at once.
pub(super) const LANES: usize = 16;

/// Two neighbours along the inner axis in bf16, the first one in the low half.
pub(super) type Pair = u32;

/// A way to compute the instruction.
pub(super) trait Instruction: Copy + Send + Sync {
    /// Sixteen sums.
    type Sums: Copy;

    fn zeros(self) -> Self::Sums;

    /// Each sum plus the inner product of `left` with one pair of `right`.
    fn add_products(self, sums: Self::Sums, left: Pair, right: &[Pair; LANES]) -> Self::Sums;

    fn values(self, sums: Self::Sums) -> [f32; LANES];

    /// Runs the block in a function that is compiled for the instruction.
    fn run(self, block: Block<'_>);
}

/// Intel's manual, volume 2, VDPBF16PS: the second product of a pair is added first, each addition rounds once to the
/// nearest, and what is subnormal is zero. (A product of two bf16 is exact in `f32` unless it leaves the range of it.)
#[derive(Clone, Copy, Debug)]
pub(super) struct Definition;

impl Instruction for Definition {
    type Sums = [f32; LANES];

    fn zeros(self) -> Self::Sums {
        [0.0; LANES]
    }

    #[inline(always)]
    fn add_products(self, mut sums: Self::Sums, left: Pair, right: &[Pair; LANES]) -> Self::Sums {
        let normal = |value: f32| if value.is_subnormal() { 0.0 } else { value };
        let first = |pair: Pair| normal(f32::from_bits(pair << 16));
        let second = |pair: Pair| normal(f32::from_bits(pair & 0xffff_0000));
        for (sum, right) in sums.iter_mut().zip(right) {
            let half = normal(normal(*sum) + second(left) * second(*right));
            *sum = normal(half + first(left) * first(*right));
        }
        sums
    }

    fn values(self, sums: Self::Sums) -> [f32; LANES] {
        sums
    }

    fn run(self, block: Block<'_>) {
        block.run(self);
    }
}

/// The instruction of the processor. Neither `pulp` nor the standard library has a safe form of it: its operands are of a
/// type that nothing converts to, and the function around it may run only where the processor has it.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
pub(super) mod avx512 {
    use std::arch::x86_64::{
        __m512, __m512bh, __m512i, _mm512_dpbf16_ps, _mm512_set1_epi32, _mm512_setzero_ps,
    };
    use std::mem::transmute;

    use super::{Instruction, LANES, Pair};
    use crate::bf16::product::Block;

    /// There is one only where the processor has the instruction.
    #[derive(Clone, Copy, Debug)]
    pub(in crate::bf16) struct Avx512(());

    impl Avx512 {
        pub(in crate::bf16) fn detect() -> Option<Self> {
            let here = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512bf16");
            here.then_some(Self(()))
        }
    }

    // SAFETY of all below: an `Avx512` was detected, and arrays and vectors of one size hold any bits.
    impl Instruction for Avx512 {
        type Sums = __m512;

        #[inline(always)]
        fn zeros(self) -> __m512 {
            unsafe { _mm512_setzero_ps() }
        }

        #[inline(always)]
        fn add_products(self, sums: __m512, left: Pair, right: &[Pair; LANES]) -> __m512 {
            unsafe {
                let left = _mm512_set1_epi32(left.cast_signed());
                let left = transmute::<__m512i, __m512bh>(left);
                let right = transmute::<[Pair; LANES], __m512bh>(*right);
                _mm512_dpbf16_ps(sums, left, right)
            }
        }

        #[inline(always)]
        fn values(self, sums: __m512) -> [f32; LANES] {
            unsafe { transmute::<__m512, [f32; LANES]>(sums) }
        }

        fn run(self, block: Block<'_>) {
            unsafe { compiled(self, block) }
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn compiled(own: Avx512, block: Block<'_>) {
        block.run(own);
    }
}
