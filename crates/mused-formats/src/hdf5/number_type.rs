use hdf5_reader::{Datatype, H5Type};

use crate::npy::{ByteOrder, Dtype};
use crate::number;

/// Element type and byte order of numbers and of HDF5's booleans, which are an enumeration.
pub(super) fn number_type(datatype: &Datatype) -> Option<(Dtype, ByteOrder)> {
    let order = |order: &hdf5_reader::ByteOrder| match order {
        hdf5_reader::ByteOrder::LittleEndian => ByteOrder::Little,
        hdf5_reader::ByteOrder::BigEndian => ByteOrder::Big,
    };
    let (dtype, byte_order) = match datatype {
        Datatype::FixedPoint {
            size,
            signed,
            byte_order,
        } => match (size, signed) {
            (1, true) => (Dtype::I8, byte_order),
            (1, false) => (Dtype::U8, byte_order),
            (2, true) => (Dtype::I16, byte_order),
            (2, false) => (Dtype::U16, byte_order),
            (4, true) => (Dtype::I32, byte_order),
            (4, false) => (Dtype::U32, byte_order),
            (8, true) => (Dtype::I64, byte_order),
            (8, false) => (Dtype::U64, byte_order),
            _ => return None,
        },
        Datatype::FloatingPoint { size, byte_order } => match size {
            2 => (Dtype::F16, byte_order),
            4 => (Dtype::F32, byte_order),
            8 => (Dtype::F64, byte_order),
            _ => return None,
        },
        Datatype::Enum { base, members } => {
            let (dtype, order) = number_type(base)?;
            let is_bool = members.len() == 2
                && dtype.size() == 1
                && ["FALSE", "TRUE"]
                    .iter()
                    .all(|name| members.iter().any(|member| member.name == *name));
            return Some((if is_bool { Dtype::Bool } else { dtype }, order));
        }
        _ => return None,
    };
    Some((dtype, order(byte_order)))
}

/// A value of any number type, as f64.
#[derive(Clone, Copy)]
pub(super) struct AsF64(pub(super) f64);

/// A value of any number type, rounded to the nearest f32.
#[derive(Clone, Copy)]
pub(super) struct AsF32(pub(super) f32);

/// A value of bool or of an enumeration of bytes, as a byte.
#[derive(Clone, Copy)]
pub(super) struct AsU8(pub(super) u8);

macro_rules! read_as {
    ($name:ident, |$value:ident| $convert:expr) => {
        impl H5Type for $name {
            fn hdf5_type() -> Datatype {
                f64::hdf5_type()
            }

            fn from_bytes(bytes: &[u8], datatype: &Datatype) -> hdf5_reader::error::Result<Self> {
                let decoded = Self::decode_vec(bytes, datatype, 1).transpose()?;
                let value = decoded.and_then(|values| values.first().copied());
                value.ok_or_else(|| hdf5_reader::error::Error::TypeMismatch {
                    expected: "a number".to_owned(),
                    actual: format!("{datatype:?}"),
                })
            }

            fn element_size(datatype: &Datatype) -> usize {
                number_type(datatype).map_or(1, |(dtype, _)| dtype.size())
            }

            fn decode_vec(
                raw: &[u8],
                datatype: &Datatype,
                count: usize,
            ) -> Option<hdf5_reader::error::Result<Vec<Self>>> {
                let (dtype, order) = number_type(datatype)?;
                let raw = raw.get(..count.checked_mul(dtype.size())?)?;
                Some(Ok(number::decode(raw, dtype, order, |$value| {
                    Self($convert)
                })))
            }
        }
    };
}
read_as!(AsF64, |value| value);
read_as!(AsF32, |value| value as f32);
read_as!(AsU8, |value| value as u8);
