//! Numbers as files store them: every element type goes through f64, which holds all but the largest 64-bit integers
//! exactly.

use half::f16;

use crate::npy::{ByteOrder, Dtype};

/// Runs `$body` with `$read` bound to the function that makes an f64 of the `$size` bytes of an element.
macro_rules! with_reader {
    ($dtype:expr, $order:expr, |$read:ident, $size:ident| $body:expr) => {{
        macro_rules! element {
            ($type:ty) => {{
                const $size: usize = size_of::<$type>();
                match $order {
                    ByteOrder::Little => {
                        let $read = |bytes: [u8; $size]| <$type>::from_le_bytes(bytes).to_f64();
                        $body
                    }
                    ByteOrder::Big => {
                        let $read = |bytes: [u8; $size]| <$type>::from_be_bytes(bytes).to_f64();
                        $body
                    }
                }
            }};
        }
        match $dtype {
            Dtype::Bool | Dtype::U8 => element!(u8),
            Dtype::I8 => element!(i8),
            Dtype::I16 => element!(i16),
            Dtype::U16 => element!(u16),
            Dtype::I32 => element!(i32),
            Dtype::U32 => element!(u32),
            Dtype::I64 => element!(i64),
            Dtype::U64 => element!(u64),
            Dtype::F16 => element!(f16),
            Dtype::F32 => element!(f32),
            Dtype::F64 => element!(f64),
        }
    }};
}

/// Appends all whole elements of `data` to `out`.
pub(crate) fn extend<T>(
    out: &mut Vec<T>,
    data: &[u8],
    dtype: Dtype,
    order: ByteOrder,
    convert: impl Fn(f64) -> T,
) {
    with_reader!(dtype, order, |read, SIZE| {
        let (chunks, _) = data.as_chunks::<SIZE>();
        out.extend(chunks.iter().map(|&chunk| convert(read(chunk))));
    });
}

/// All whole elements of `data`.
pub(crate) fn decode<T>(
    data: &[u8],
    dtype: Dtype,
    order: ByteOrder,
    convert: impl Fn(f64) -> T,
) -> Vec<T> {
    let mut values = Vec::with_capacity(data.len() / dtype.size());
    extend(&mut values, data, dtype, order, convert);
    values
}

/// Puts element `at - first` of `data` into `out[slot]` for each (`at`, `slot`). Elements beyond the data and slots
/// beyond `out` are passed over.
pub(crate) fn gather(
    out: &mut [f32],
    picks: &[(usize, usize)],
    first: usize,
    data: &[u8],
    (dtype, order): (Dtype, ByteOrder),
    convert: impl Fn(f64) -> f32,
) {
    with_reader!(dtype, order, |read, SIZE| {
        let (chunks, _) = data.as_chunks::<SIZE>();
        for &(at, slot) in picks {
            let element = at.checked_sub(first).and_then(|index| chunks.get(index));
            if let (Some(&chunk), Some(value)) = (element, out.get_mut(slot)) {
                *value = convert(read(chunk));
            }
        }
    });
}

/// Appends a value as the file stores it, if the type can hold it: within its range, and whole for an integer type.
/// Infinities and NaN are values of the floating-point types alone.
pub(crate) fn encode(value: f64, dtype: Dtype, out: &mut Vec<u8>) -> bool {
    macro_rules! integer {
        ($type:ty) => {{
            let cast = value as $type;
            out.extend(cast.to_le_bytes());
            // The cast saturates; the largest of 64 bits, as f64, is one too large.
            cast as f64 == value && value < <$type>::MAX as f64 + 1.
        }};
    }
    macro_rules! float {
        ($cast:expr) => {{
            let cast = $cast;
            out.extend(cast.to_le_bytes());
            cast.is_finite() || !value.is_finite()
        }};
    }
    let before = out.len();
    let held = match dtype {
        Dtype::Bool | Dtype::U8 => integer!(u8),
        Dtype::I8 => integer!(i8),
        Dtype::I16 => integer!(i16),
        Dtype::U16 => integer!(u16),
        Dtype::I32 => integer!(i32),
        Dtype::U32 => integer!(u32),
        Dtype::I64 => integer!(i64),
        Dtype::U64 => integer!(u64),
        Dtype::F16 => float!(f16::from_f64(value)),
        Dtype::F32 => float!(value as f32),
        Dtype::F64 => float!(value),
    };
    if !held {
        out.truncate(before);
    }
    held
}

/// Number of bytes of an array, if every part of the product fits in memory.
pub(crate) fn byte_count(shape: &[usize], element: usize) -> Option<usize> {
    let most = shape
        .iter()
        .map(|&length| length.max(1))
        .try_fold(element.max(8), usize::checked_mul)?;
    isize::try_from(most).ok()?;
    Some(shape.iter().product::<usize>() * element)
}

/// `as f64` for the numbers of all element types, which have no trait in common.
trait ToF64 {
    fn to_f64(self) -> f64;
}

macro_rules! to_f64 {
    ($($type:ty)*) => {$(
        impl ToF64 for $type {
            #[inline]
            fn to_f64(self) -> f64 {
                self as f64
            }
        }
    )*};
}
to_f64!(u8 i8 u16 i16 u32 i32 u64 i64 f32 f64);

impl ToF64 for f16 {
    fn to_f64(self) -> f64 {
        f16::to_f64(self)
    }
}
