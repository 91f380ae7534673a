use std::fmt;

use crate::{Error, Result, recognise};

const MAGIC: &[u8] = b"\x93NUMPY";
/// Real headers take some hundred bytes; a longer one is refused before it is looked at.
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// numpy's own limit (`NPY_MAXDIMS` since 2.0).
const MAX_DIMENSIONS: usize = 64;
/// numpy pads headers so that the values start on a multiple of this.
const ALIGNMENT: usize = 64;

/// Element type of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names say all there is
pub enum Dtype {
    Bool,
    U8,
    I8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    F16,
    F32,
    F64,
}

/// Order of the bytes within an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ByteOrder {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

impl Dtype {
    /// numpy's type string without the byte order, the size in bytes, and numpy's name.
    const fn description(self) -> (&'static str, usize, &'static str) {
        match self {
            Self::Bool => ("b1", 1, "bool"),
            Self::U8 => ("u1", 1, "uint8"),
            Self::I8 => ("i1", 1, "int8"),
            Self::I16 => ("i2", 2, "int16"),
            Self::U16 => ("u2", 2, "uint16"),
            Self::I32 => ("i4", 4, "int32"),
            Self::U32 => ("u4", 4, "uint32"),
            Self::I64 => ("i8", 8, "int64"),
            Self::U64 => ("u8", 8, "uint64"),
            Self::F16 => ("f2", 2, "float16"),
            Self::F32 => ("f4", 4, "float32"),
            Self::F64 => ("f8", 8, "float64"),
        }
    }

    const ALL: [Self; 12] = [
        Self::Bool,
        Self::U8,
        Self::I8,
        Self::I16,
        Self::U16,
        Self::I32,
        Self::U32,
        Self::I64,
        Self::U64,
        Self::F16,
        Self::F32,
        Self::F64,
    ];

    /// Bytes an element takes.
    pub const fn size(self) -> usize {
        self.description().1
    }

    fn parse(descr: &str) -> Result<(Self, ByteOrder)> {
        let unsupported = || Error::unsupported("header field descr", format!("dtype {descr:?}"));
        let mut characters = descr.chars();
        let order = match characters.next() {
            Some('<' | '|') => ByteOrder::Little,
            Some('>') => ByteOrder::Big,
            _ => return Err(unsupported()),
        };
        let name = characters.as_str();
        let dtype = Self::ALL
            .into_iter()
            .find(|dtype| dtype.description().0 == name);
        Ok((dtype.ok_or_else(unsupported)?, order))
    }
}

/// numpy's name, such as `float32`.
impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.description().2)
    }
}

/// Bytes of a file in which its header ends.
pub(super) const START: usize = MAX_HEADER_BYTES + 12;

/// What stands before the values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Element type.
    pub dtype: Dtype,
    /// Byte order of the elements.
    pub byte_order: ByteOrder,
    /// Whether the first index varies fastest.
    pub fortran_order: bool,
    /// Lengths of the dimensions; empty for a scalar.
    pub shape: Vec<usize>,
    /// Byte at which the values start.
    pub data_offset: usize,
}

impl Header {
    /// Parses the header at the start of a whole file.
    ///
    /// # Errors
    /// Not a .npy file, an element type other than [`Dtype`]'s, or fewer bytes than the shape needs. Bytes after the
    /// values are allowed, as numpy does.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        Self::of_start(bytes, bytes.len() as u64)
    }

    /// [`Self::parse`] of the start of a file, at least [`START`] bytes of it, and the length of the whole.
    pub(super) fn of_start(bytes: &[u8], file_bytes: u64) -> Result<Self> {
        if !bytes.starts_with(MAGIC)
            && let Some(other) = recognise::instead_of("a NumPy array (.npy)", bytes)
        {
            return Err(other);
        }
        let Some((preamble, rest)) = bytes.split_at_checked(MAGIC.len() + 2) else {
            return Err(too_short("magic and version", MAGIC.len() + 2, bytes.len()));
        };
        if !preamble.starts_with(MAGIC) {
            let found = preamble.escape_ascii().to_string();
            return Err(Error::malformed("byte 0", "the magic \\x93NUMPY", found));
        }
        let version = preamble[MAGIC.len()];
        let (length, rest) = match (version, rest) {
            (1, [a, b, rest @ ..]) => (usize::from(u16::from_le_bytes([*a, *b])), rest),
            (2 | 3, [a, b, c, d, rest @ ..]) => {
                let length = u32::from_le_bytes([*a, *b, *c, *d]);
                (usize::try_from(length).unwrap_or(usize::MAX), rest)
            }
            (1..=3, _) => return Err(too_short("header length", 12, bytes.len())),
            _ => {
                let found = version.to_string();
                return Err(Error::malformed("format version", "1, 2 or 3", found));
            }
        };
        if length > MAX_HEADER_BYTES {
            let expected = format!("at most {MAX_HEADER_BYTES} bytes");
            return Err(Error::malformed(
                "header length",
                expected,
                length.to_string(),
            ));
        }
        let data_offset = bytes.len() - rest.len() + length;
        let Some(text) = rest.get(..length) else {
            return Err(too_short("header", data_offset, bytes.len()));
        };
        let text = std::str::from_utf8(text).map_err(|error| {
            Error::malformed(
                "header",
                "UTF-8 text",
                format!("an error at its byte {}", error.valid_up_to()),
            )
        })?;
        let header = Dictionary { rest: text }.header(data_offset)?;
        let needed = header.data_bytes()?;
        let found = file_bytes.saturating_sub(data_offset as u64);
        if found < needed as u64 {
            let expected = format!(
                "{needed} bytes for shape {:?} of {}",
                header.shape, header.dtype
            );
            return Err(Error::malformed(
                "values",
                expected,
                format!("{found} bytes"),
            ));
        }
        Ok(header)
    }

    /// Bytes the values take.
    pub(super) fn data_bytes(&self) -> Result<usize> {
        // A length of 0 must not hide an overflow among the others: ndarray refuses such shapes too.
        let lengths = self.shape.iter().map(|&length| length.max(1));
        lengths
            .chain([self.dtype.size()])
            .try_fold(1_usize, usize::checked_mul)
            .filter(|&bytes| isize::try_from(bytes).is_ok())
            .map(|bytes| if self.shape.contains(&0) { 0 } else { bytes })
            .ok_or_else(|| {
                let found = format!("{:?}", self.shape);
                Error::malformed("header field shape", "a size that fits in memory", found)
            })
    }

    /// The header numpy would write: version 1, padded so that the values are aligned.
    pub(super) fn encode(dtype: Dtype, shape: &[usize]) -> Vec<u8> {
        let lengths: Vec<String> = shape.iter().map(usize::to_string).collect();
        let comma = if shape.len() == 1 { "," } else { "" };
        let order = if dtype.size() == 1 { '|' } else { '<' };
        let mut text = format!(
            "{{'descr': '{order}{}', 'fortran_order': False, 'shape': ({}{comma}), }}",
            dtype.description().0,
            lengths.join(", "),
        );
        let start = MAGIC.len() + 4;
        let end = (start + text.len() + 1).next_multiple_of(ALIGNMENT);
        text.extend(std::iter::repeat_n(' ', end - start - text.len() - 1));
        text.push('\n');
        // 64 dimensions of 20 digits stay far below the 65,535 bytes of version 1.
        let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
        [MAGIC, &[1, 0], &length.to_le_bytes(), text.as_bytes()].concat()
    }
}

fn too_short(place: &str, expected: usize, found: usize) -> Error {
    Error::malformed(
        place,
        format!("{expected} bytes"),
        format!("the file's end at byte {found}"),
    )
}

/// Reads the Python literal that a header is: a dictionary of a string, a boolean and a tuple of whole numbers.
struct Dictionary<'a> {
    rest: &'a str,
}

impl<'a> Dictionary<'a> {
    fn header(mut self, data_offset: usize) -> Result<Header> {
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        self.require('{')?;
        while !self.accept('}') {
            let key = self.string()?;
            self.require(':')?;
            let repeated = match key {
                "descr" => descr.replace(self.string()?).is_some(),
                "fortran_order" => fortran_order.replace(self.boolean()?).is_some(),
                "shape" => shape.replace(self.tuple()?).is_some(),
                _ => return Err(self.malformed("descr, fortran_order or shape as a key", key)),
            };
            if repeated {
                return Err(self.malformed("each key once", key));
            }
            if !self.accept(',') {
                self.require('}')?;
                break;
            }
        }
        if !self.rest.trim().is_empty() {
            return Err(self.malformed("nothing after the dictionary", self.rest.trim()));
        }
        let absent = |key| Error::malformed("header", format!("a field {key}"), "none");
        let (dtype, byte_order) = Dtype::parse(descr.ok_or_else(|| absent("descr"))?)?;
        Ok(Header {
            dtype,
            byte_order,
            fortran_order: fortran_order.ok_or_else(|| absent("fortran_order"))?,
            shape: shape.ok_or_else(|| absent("shape"))?,
            data_offset,
        })
    }

    fn accept(&mut self, character: char) -> bool {
        self.rest = self.rest.trim_start();
        let after = self.rest.strip_prefix(character);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn require(&mut self, character: char) -> Result<()> {
        match self.accept(character) {
            true => Ok(()),
            false => Err(self.malformed(format!("`{character}`"), self.rest)),
        }
    }

    fn string(&mut self) -> Result<&'a str> {
        let quote = if self.accept('"') { '"' } else { '\'' };
        if quote == '\'' {
            // A structured dtype is a list where a plain one is a string.
            if self.accept('[') {
                return Err(Error::unsupported(
                    "header field descr",
                    "a structured dtype",
                ));
            }
            self.require(quote)?;
        }
        let (text, rest) = self
            .rest
            .split_once(quote)
            .ok_or_else(|| self.malformed("a closing quote", self.rest))?;
        self.rest = rest;
        Ok(text)
    }

    fn boolean(&mut self) -> Result<bool> {
        self.rest = self.rest.trim_start();
        for (word, value) in [("True", true), ("False", false)] {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest;
                return Ok(value);
            }
        }
        Err(self.malformed("True or False", self.rest))
    }

    fn tuple(&mut self) -> Result<Vec<usize>> {
        let mut lengths = Vec::new();
        self.require('(')?;
        while !self.accept(')') {
            let digits = self.rest.trim_start_matches(|c: char| c.is_ascii_digit());
            let (number, rest) = self.rest.split_at(self.rest.len() - digits.len());
            let length = number
                .parse()
                .map_err(|_| self.malformed("a length", self.rest))?;
            if lengths.len() == MAX_DIMENSIONS {
                return Err(self.malformed(format!("at most {MAX_DIMENSIONS} dimensions"), "more"));
            }
            lengths.push(length);
            // Python 2 wrote long integers as `3L`.
            self.rest = rest.strip_prefix('L').unwrap_or(rest);
            if !self.accept(',') {
                self.require(')')?;
                break;
            }
        }
        Ok(lengths)
    }

    fn malformed(&self, expected: impl Into<String>, found: &str) -> Error {
        let found: String = found.chars().take(40).collect();
        Error::malformed("header", expected, format!("{found:?}"))
    }
}
