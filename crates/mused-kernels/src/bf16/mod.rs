//! Linear layers whose products take their factors in bf16 and sum in `f32`.

mod instruction;
mod product;

use std::cell::Cell;

use crate::matmul::{self, View};
use instruction::Definition;
#[cfg(target_arch = "x86_64")]
use instruction::avx512::Avx512;

thread_local! {
    static PRODUCTS: Cell<Option<Bf16>> = const { Cell::new(None) };
}

/// Products of matrices in bf16: their values are rounded to the nearest one of 8 significant bits, products are summed in
/// `f32`, and the result is `f32`.
#[derive(Clone, Copy, Debug)]
pub struct Bf16(Way);

#[derive(Clone, Copy, Debug)]
enum Way {
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    /// Factors are rounded, and multiplied in `f32`.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
    Single,
    Definition,
}

impl Bf16 {
    /// On processors that have instructions for it (`avx512_bf16`); `None` on others, or where the variable `MUSED_PLAIN`
    /// forbids vector instructions. An Intel core makes half as many products a second by them as in `f32` (a Xeon of family 6,
    /// model 207: one in .77 ns for two in .19 ns each): there rounded factors are multiplied in `f32`.
    pub fn detect() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if !crate::simd::plain() {
            return Avx512::detect().map(|own| match of_intel() {
                true => Self(Way::Single),
                false => Self(Way::Avx512(own)),
            });
        }
        None
    }

    /// By the definition of that instruction, on any processor and slowly: for tests.
    pub fn by_definition() -> Self {
        Self(Way::Definition)
    }

    /// Runs something whose [`linear`](crate::linear) layers on [`Cpu`](crate::Cpu), and their gradients, have such products.
    ///
    /// As PyTorch's autocast: weights, what passes between layers, and gradients stay `f32`. So does all other work:
    /// convolutions, attention, normalisation, Burn's own products. It holds for the calling thread, which is the one that
    /// Burn runs a backward pass on; what the pool gives this thread to do while it waits is inside too.
    pub fn products<T>(self, run: impl FnOnce() -> T) -> T {
        /// What held before, also after a panic.
        struct Before(Option<Bf16>);
        impl Drop for Before {
            fn drop(&mut self) {
                PRODUCTS.set(self.0);
            }
        }
        let _before = Before(PRODUCTS.replace(Some(self)));
        run()
    }

    /// What products of linear layers are computed by on this thread now; `None` in `f32`.
    pub(crate) fn in_force() -> Option<Self> {
        PRODUCTS.get()
    }

    /// As [`matmul::product`].
    pub(crate) fn product(
        self,
        left: View<'_>,
        right: View<'_>,
        bias: Option<&[f32]>,
        sizes: [usize; 3],
    ) -> Vec<f32> {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Way::Avx512(own) => product::product(own, left, right, bias, sizes),
            Way::Single => matmul::product_of_rounded(left, right, bias, sizes),
            Way::Definition => product::product(Definition, left, right, bias, sizes),
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn of_intel() -> bool {
    // Safe from Rust 1.94 on; every processor of this kind has it.
    #[allow(unsafe_code, unused_unsafe)]
    let name = unsafe { std::arch::x86_64::__cpuid(0) };
    [name.ebx, name.edx, name.ecx]
        .map(u32::to_le_bytes)
        .as_flattened()
        == b"GenuineIntel"
}

/// The nearest bf16, of two as near the even one, as the upper half of an `f32`. What is no number stays none.
#[inline(always)]
pub(crate) fn rounded(value: f32) -> u32 {
    let bits = value.to_bits();
    let near = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    let quiet = (bits >> 16) | 0x40;
    if value.is_nan() { quiet } else { near }
}

/// Values rounded where they are.
#[inline(always)]
pub(crate) fn round_all(values: &mut [f32]) {
    for value in values {
        *value = f32::from_bits(rounded(*value) << 16);
    }
}
