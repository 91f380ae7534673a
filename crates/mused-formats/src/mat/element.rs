use crate::{Error, Result};

/// Code of [`DataType::Matrix`] in a file.
pub(super) const MATRIX: u32 = 14;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    pub(super) fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }

    pub(super) fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }
}

/// What the bytes of an element are (table 1-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DataType {
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    F32,
    F64,
    I64,
    U64,
    Matrix,
    Compressed,
    Utf8,
    Utf16,
    Utf32,
}

impl DataType {
    fn new(code: u32) -> Option<Self> {
        Some(match code {
            1 => Self::I8,
            2 => Self::U8,
            3 => Self::I16,
            4 => Self::U16,
            5 => Self::I32,
            6 => Self::U32,
            7 => Self::F32,
            9 => Self::F64,
            12 => Self::I64,
            13 => Self::U64,
            MATRIX => Self::Matrix,
            15 => Self::Compressed,
            16 => Self::Utf8,
            17 => Self::Utf16,
            18 => Self::Utf32,
            _ => return None,
        })
    }
}

/// A tagged run of bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'a> {
    pub(super) data_type: DataType,
    pub(super) data: &'a [u8],
    /// Byte of the buffer at which `data` starts.
    pub(super) start: usize,
}

impl<'a> Element<'a> {
    pub(super) fn require(self, what: &str, data_type: DataType) -> Result<&'a [u8]> {
        match self.data_type == data_type {
            true => Ok(self.data),
            false => Err(self.malformed(format!("{what} as {data_type:?}"))),
        }
    }

    fn malformed(&self, expected: String) -> Error {
        let found = format!("{:?} of {} bytes", self.data_type, self.data.len());
        Error::malformed(format!("byte {}", self.start), expected, found)
    }
}

/// Walks the elements of a buffer.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    order: ByteOrder,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize, order: ByteOrder) -> Self {
        Self { bytes, at, order }
    }

    /// Bytes behind it.
    pub(super) fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    pub(super) fn at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    pub(super) fn next(&mut self) -> Result<Element<'a>> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some((&[a, b, c, d, e, f, g, h], _)) = rest.split_first_chunk::<8>() else {
            return Err(self.too_short("an 8-byte tag", self.at));
        };
        let first = self.order.u32([a, b, c, d]);
        // Up to 4 bytes are packed into the tag, their count into the upper half of the type (page 1-12).
        let (code, size, start) = match first >> 16 {
            0 => (first, self.order.u32([e, f, g, h]), self.at + 8),
            size => (first & 0xFFFF, size, self.at + 4),
        };
        let packed = start == self.at + 4;
        let data_type = DataType::new(code).ok_or_else(|| {
            Error::malformed(
                format!("byte {}", self.at),
                "a data type",
                format!("code {code}"),
            )
        })?;
        if packed && size > 4 {
            let found = format!("{size}");
            return Err(Error::malformed(
                format!("byte {}", self.at),
                "at most 4 packed bytes",
                found,
            ));
        }
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let end = start
            .checked_add(size)
            .filter(|&end| end <= self.bytes.len());
        let Some(data) = end.and_then(|end| self.bytes.get(start..end)) else {
            return Err(self.too_short(&format!("{size} bytes of {data_type:?}"), start));
        };
        self.at = match (packed, data_type) {
            (true, _) => self.at + 8,
            // The only type that is not padded to 8 bytes.
            (false, DataType::Compressed) => start + size,
            // Offsets from the buffer's start stay aligned: it starts at a tag, or at the 128-byte header.
            (false, _) => start + size.next_multiple_of(8),
        };
        Ok(Element {
            data_type,
            data,
            start,
        })
    }

    fn too_short(&self, expected: &str, at: usize) -> Error {
        let found = format!("the end at byte {}", self.bytes.len());
        Error::malformed(format!("byte {at}"), expected, found)
    }
}
