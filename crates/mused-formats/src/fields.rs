//! Fields of binary headers, at fixed places or one after the other.

use crate::npy::ByteOrder;
use crate::{Error, Result};

/// The bytes of a header, with a place to read from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a> {
    bytes: &'a [u8],
    order: ByteOrder,
    at: usize,
    /// Byte of the file at which `bytes` starts, for messages.
    start: u64,
}

macro_rules! numbers {
    ($($type:ident)*) => {$(
        pub(crate) fn $type(&mut self) -> Result<$type> {
            let bytes = self.array()?;
            Ok(match self.order {
                ByteOrder::Little => $type::from_le_bytes(bytes),
                ByteOrder::Big => $type::from_be_bytes(bytes),
            })
        }
    )*};
}

impl<'a> Fields<'a> {
    pub(crate) fn new(bytes: &'a [u8], order: ByteOrder, start: u64) -> Self {
        Self {
            bytes,
            order,
            at: 0,
            start,
        }
    }

    /// The same bytes, to be read from `at`.
    pub(crate) fn at(self, at: usize) -> Self {
        Self { at, ..self }
    }

    /// Byte of the header that is read next.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// The file's byte that is read next, as messages name it.
    pub(crate) fn place(&self) -> String {
        format!("byte {}", self.start.saturating_add(self.at as u64))
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let rest = self.rest();
        let Some(taken) = rest.get(..count) else {
            let found = format!("the end after {}", rest.len());
            return Err(Error::malformed(
                self.place(),
                format!("{count} bytes"),
                found,
            ));
        };
        self.at += count;
        Ok(taken)
    }

    fn array<const SIZE: usize>(&mut self) -> Result<[u8; SIZE]> {
        let mut array = [0; SIZE];
        array.copy_from_slice(self.take(SIZE)?);
        Ok(array)
    }

    numbers!(u8 i16 u16 i32 u32 i64 u64 f32 f64);

    /// An unsigned number of 1 to 8 bytes, as HDF5 sizes them.
    pub(crate) fn unsigned(&mut self, size: usize) -> Result<u64> {
        let bytes = self.take(size.min(8))?;
        let fold = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Ok(match self.order {
            ByteOrder::Little => bytes.iter().rev().fold(0, fold),
            ByteOrder::Big => bytes.iter().fold(0, fold),
        })
    }
}

/// Bytes up to the first zero, as text.
pub(crate) fn text(bytes: &[u8]) -> String {
    let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}
