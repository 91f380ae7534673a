use ndarray::{ArrayD, IxDyn, ShapeBuilder};

use super::element::{ByteOrder, Cursor, DataType, Element};
use super::selector::Step;
use crate::{Budget, Error, Result};

/// MATLAB's own limit is memory; real arrays have a handful.
const MAX_DIMENSIONS: usize = 32;
/// What a byte of text takes at most while it becomes UTF-16 and then a string.
const TEXT_BYTES: usize = 12;
const COMPLEX_FLAG: u32 = 0x0800;

/// Classes of arrays (table 1-3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Cell,
    Structure,
    Characters,
    Numeric,
    Other(&'static str),
}

impl Class {
    /// What a value is, as messages say it.
    pub(super) fn found(self, picked: bool, shape: &[usize]) -> String {
        let class = match self {
            Self::Cell => "a cell array",
            Self::Structure => "a structure array",
            Self::Characters => "a character array",
            Self::Numeric => "a numeric array",
            Self::Other(what) => what,
        };
        let element = if picked { "an element of " } else { "" };
        format!("{element}{class} of shape {shape:?}")
    }
}

/// An array whose contents are still bytes: a selector walks to its target without building what lies beside it, so
/// neither deep nesting nor counts that lie cost anything.
#[derive(Clone, Debug)]
pub(super) struct Matrix<'a> {
    /// The selector that leads here, for messages.
    place: String,
    class: Class,
    complex: bool,
    pub(super) shape: Vec<usize>,
    order: ByteOrder,
    /// For what is decoded.
    budget: Budget,
    /// Stands behind the name.
    cursor: Cursor<'a>,
    /// For a structure array, the element that an index has picked.
    picked: Option<usize>,
}

/// The name of a variable, from (the beginning of) the contents of its matrix.
pub(super) fn name_of(contents: &[u8], order: ByteOrder) -> Result<String> {
    let mut cursor = Cursor::new(contents, 0, order);
    let (class, _) = flags(&mut cursor, order)?;
    if class != OPAQUE {
        cursor.next()?.require("dimensions", DataType::I32)?;
    }
    let name = cursor.next()?.require("a variable name", DataType::I8)?;
    Ok(String::from_utf8_lossy(name).into_owned())
}

const OPAQUE: Class = Class::Other("an object");

fn flags(cursor: &mut Cursor<'_>, order: ByteOrder) -> Result<(Class, bool)> {
    let element = cursor.next()?;
    let &[a, b, c, d, ..] = element.require("array flags", DataType::U32)? else {
        let place = format!("byte {}", element.start);
        return Err(Error::malformed(
            place,
            "8 bytes of array flags",
            element.data.len().to_string(),
        ));
    };
    let word = order.u32([a, b, c, d]);
    let class = match word & 0xFF {
        1 => Class::Cell,
        2 => Class::Structure,
        3 | 17 => OPAQUE,
        4 => Class::Characters,
        5 => Class::Other("a sparse array"),
        6..=15 => Class::Numeric,
        16 => Class::Other("a function handle"),
        code => {
            let place = format!("byte {}", element.start);
            return Err(Error::malformed(
                place,
                "an array class",
                format!("code {code}"),
            ));
        }
    };
    Ok((class, word & COMPLEX_FLAG != 0))
}

impl<'a> Matrix<'a> {
    /// Parses what stands before an array's values.
    pub(super) fn parse(
        contents: &'a [u8],
        order: ByteOrder,
        budget: Budget,
        place: String,
    ) -> Result<Self> {
        let mut cursor = Cursor::new(contents, 0, order);
        let empty = Self {
            place,
            class: Class::Numeric,
            complex: false,
            shape: vec![0, 0],
            order,
            budget,
            cursor: cursor.clone(),
            picked: None,
        };
        // MATLAB writes an unset field or cell as a matrix of no bytes: [].
        if contents.is_empty() {
            return Ok(empty);
        }
        let (class, complex) = flags(&mut cursor, order)?;
        if let Class::Other(what) = class {
            return Err(Error::unsupported(empty.place, what));
        }
        let lengths = cursor.next()?.require("dimensions", DataType::I32)?;
        let (lengths, _) = lengths.as_chunks::<4>();
        let shape: Option<Vec<usize>> = lengths
            .iter()
            .map(|&length| usize::try_from(order.u32(length).cast_signed()).ok())
            .collect();
        let shape = shape
            .filter(|shape| (1..=MAX_DIMENSIONS).contains(&shape.len()) && volume(shape).is_some());
        let Some(shape) = shape else {
            let expected = format!("1 to {MAX_DIMENSIONS} lengths whose product fits in memory");
            return Err(Error::malformed(
                empty.place,
                expected,
                format!("{lengths:?}"),
            ));
        };
        cursor.next()?.require("an array name", DataType::I8)?;
        Ok(Self {
            class,
            complex,
            shape,
            cursor,
            ..empty
        })
    }

    pub(super) fn step(self, step: &Step) -> Result<Self> {
        match (step, self.class) {
            (Step::Index(indices), Class::Structure) if self.picked.is_none() => {
                let (picked, place) = self.locate(indices)?;
                Ok(Self {
                    picked: Some(picked),
                    place,
                    ..self
                })
            }
            (Step::Index(indices), Class::Cell) => {
                let (index, place) = self.locate(indices)?;
                self.child(self.cursor.clone(), index, place)
            }
            (Step::Field(name), Class::Structure) => self.field(name),
            (Step::Index(_), _) => Err(self.wrong("a structure or cell array to index")),
            (Step::Field(name), _) => Err(self.wrong(&format!("a structure with a field {name}"))),
        }
    }

    fn locate(&self, indices: &[usize]) -> Result<(usize, String)> {
        locate(&self.place, &self.shape, indices)
    }

    fn field(self, name: &str) -> Result<Self> {
        let element = match (self.picked, volume(&self.shape)) {
            (Some(element), _) => element,
            (None, Some(1)) => 0,
            (None, _) => return Err(self.wrong(&format!("indices before the field {name}"))),
        };
        let mut cursor = self.cursor.clone();
        let length = cursor.next()?;
        let name_bytes = match length.require("the length of field names", DataType::I32)? {
            &[a, b, c, d] => usize::try_from(self.order.u32([a, b, c, d])).unwrap_or(0),
            _ => 0,
        };
        if name_bytes == 0 {
            let found = format!("{:?}", length.data);
            return Err(Error::malformed(
                self.place,
                "a length of field names",
                found,
            ));
        }
        let names = cursor.next()?.require("field names", DataType::I8)?;
        // Each name ends at its first zero byte.
        let names = names
            .chunks_exact(name_bytes)
            .map(|name| name.split(|&byte| byte == 0).next());
        let names: Vec<String> = names
            .map(|name| String::from_utf8_lossy(name.unwrap_or_default()).into_owned())
            .collect();
        let index = names.iter().position(|field| field == name);
        let Some(index) = index else {
            let what = "field";
            return Err(Error::missing(
                what,
                &format!("{}.{name}", self.place),
                names.iter().map(String::as_str),
            ));
        };
        let before = element
            .checked_mul(names.len())
            .and_then(|before| before.checked_add(index));
        self.child(
            cursor,
            before.unwrap_or(usize::MAX),
            format!("{}.{name}", self.place),
        )
    }

    /// The array that stands `before` others behind the cursor. Each takes 8 bytes at least: the end stops a false count.
    fn child(&self, mut cursor: Cursor<'a>, before: usize, place: String) -> Result<Self> {
        for _ in 0..before {
            cursor.next()?.require("an array", DataType::Matrix)?;
        }
        let contents = cursor.next()?.require("an array", DataType::Matrix)?;
        Self::parse(contents, self.order, self.budget, place)
    }

    /// The values of a numeric array, in standard layout.
    pub(super) fn numbers(mut self) -> Result<ArrayD<f64>> {
        if self.class != Class::Numeric {
            return Err(self.wrong("a numeric array"));
        }
        if self.complex {
            return Err(Error::unsupported(self.place, "a complex array"));
        }
        let values = match self.cursor.at_end() {
            true => Vec::new(),
            false => {
                let element = self.cursor.next()?;
                decode(element, self.order, &self.place, &mut self.budget)?
            }
        };
        if volume(&self.shape) != Some(values.len()) {
            return Err(self.wrong_count(values.len()));
        }
        let array = ArrayD::from_shape_vec(IxDyn(&self.shape).f(), values);
        let array = array.map_err(|error| {
            Error::malformed(
                self.place.as_str(),
                "a shape that fits the values",
                error.to_string(),
            )
        })?;
        match array.is_standard_layout() {
            true => Ok(array),
            false => Ok(array.as_standard_layout().into_owned()),
        }
    }

    pub(super) fn strings(mut self) -> Result<Vec<String>> {
        match self.class {
            Class::Characters => self.rows(),
            Class::Cell => {
                // A cell of 8 bytes at least becomes a string; text is decoded in two steps.
                self.budget
                    .take_elements(&self.place, self.cursor.left(), TEXT_BYTES)?;
                let mut strings = Vec::new();
                for index in 0..volume(&self.shape).unwrap_or(0) {
                    let cell = self.child(
                        self.cursor.clone(),
                        0,
                        format!("{}, cell {index}", self.place),
                    )?;
                    self.cursor.next()?;
                    strings.push(cell.string()?);
                }
                Ok(strings)
            }
            _ => Err(self.wrong("a character array or a cell array of them")),
        }
    }

    fn string(mut self) -> Result<String> {
        let is_empty = self.shape.contains(&0);
        match (self.class, is_empty) {
            (Class::Characters | Class::Numeric, true) => Ok(String::new()),
            (Class::Characters, false) => match <[String; 1]>::try_from(self.rows()?) {
                Ok([row]) => Ok(row),
                Err(_) => Err(self.wrong("one row of characters")),
            },
            _ => Err(self.wrong("one row of characters")),
        }
    }

    /// The rows of a 2-D character array, which is stored first index fastest.
    fn rows(&mut self) -> Result<Vec<String>> {
        let &[rows, columns] = self.shape.as_slice() else {
            return Err(self.wrong("a character array of two dimensions"));
        };
        if rows == 0 || columns == 0 {
            return Ok(Vec::new());
        }
        let element = self.cursor.next()?;
        let rows_bytes = rows.min(element.data.len()) * 2 * size_of::<String>();
        self.budget.take(&self.place, Some(rows_bytes as u64))?;
        self.budget
            .take_elements(&self.place, element.data.len(), TEXT_BYTES)?;
        let units = utf16_units(element, self.order).ok_or_else(|| {
            Error::malformed(
                self.place.as_str(),
                "text",
                format!("{:?}", element.data_type),
            )
        })?;
        if units.len() != rows * columns {
            return Err(self.wrong_count(units.len()));
        }
        Ok(character_rows(&units, rows))
    }

    fn wrong(&self, expected: &str) -> Error {
        let found = self.class.found(self.picked.is_some(), &self.shape);
        Error::malformed(self.place.as_str(), expected, found)
    }

    fn wrong_count(&self, found: usize) -> Error {
        let expected = format!("the values of shape {:?}", self.shape);
        Error::malformed(self.place.as_str(), expected, format!("{found} values"))
    }
}

/// Linear index, first dimension fastest, and the place it leads to.
pub(super) fn locate(place: &str, shape: &[usize], indices: &[usize]) -> Result<(usize, String)> {
    let mut pairs = indices.iter().zip(shape);
    if indices.len() != shape.len() || !pairs.all(|(index, length)| index < length) {
        let expected = format!("one index a dimension, within {shape:?}");
        return Err(Error::malformed(place, expected, format!("{indices:?}")));
    }
    let pairs = indices.iter().zip(shape).rev();
    // Below the product of the shape, which does not overflow.
    let linear = pairs.fold(0, |linear, (index, length)| linear * length + index);
    let indices: Vec<String> = indices.iter().map(usize::to_string).collect();
    Ok((linear, format!("{place}[{}]", indices.join(","))))
}

/// The rows of a character array of UTF-16 units, first index fastest; padding to one length removed.
pub(super) fn character_rows(units: &[u16], rows: usize) -> Vec<String> {
    let row = |row: usize| {
        let units: Vec<u16> = units.iter().skip(row).step_by(rows).copied().collect();
        let text = String::from_utf16_lossy(&units);
        match rows {
            1 => text,
            _ => text.trim_end_matches(' ').to_owned(),
        }
    };
    (0..rows).map(row).collect()
}

/// Number of values of a shape, if every part of the product fits in memory.
pub(super) fn volume(shape: &[usize]) -> Option<usize> {
    let without_zeros = shape
        .iter()
        .map(|&length| length.max(1))
        .try_fold(8, usize::checked_mul)?;
    isize::try_from(without_zeros).ok()?;
    Some(shape.iter().product())
}

/// The stored type may be narrower than the array's class: MATLAB writes whole numbers in few bytes.
fn decode(
    element: Element<'_>,
    order: ByteOrder,
    place: &str,
    budget: &mut Budget,
) -> Result<Vec<f64>> {
    macro_rules! values {
        ($type:ty) => {{
            let (chunks, _) = element.data.as_chunks::<{ size_of::<$type>() }>();
            // Decoded, and put in standard layout.
            budget.take_elements(place, chunks.len(), 2 * size_of::<f64>())?;
            let read = match order {
                ByteOrder::Little => <$type>::from_le_bytes,
                ByteOrder::Big => <$type>::from_be_bytes,
            };
            Ok(chunks.iter().map(|&chunk| read(chunk) as f64).collect())
        }};
    }
    match element.data_type {
        DataType::I8 => values!(i8),
        DataType::U8 => values!(u8),
        DataType::I16 => values!(i16),
        DataType::U16 => values!(u16),
        DataType::I32 => values!(i32),
        DataType::U32 => values!(u32),
        DataType::I64 => values!(i64),
        DataType::U64 => values!(u64),
        DataType::F32 => values!(f32),
        DataType::F64 => values!(f64),
        other => {
            let place = format!("byte {}", element.start);
            Err(Error::malformed(place, "numbers", format!("{other:?}")))
        }
    }
}

/// Text as the UTF-16 units that MATLAB counts characters in; `None` for what is not text.
fn utf16_units(element: Element<'_>, order: ByteOrder) -> Option<Vec<u16>> {
    let data = element.data;
    let units = |text: String| text.encode_utf16().collect();
    match element.data_type {
        DataType::I8 | DataType::U8 => Some(data.iter().copied().map(u16::from).collect()),
        DataType::U16 | DataType::Utf16 => Some(
            data.as_chunks::<2>()
                .0
                .iter()
                .map(|&unit| order.u16(unit))
                .collect(),
        ),
        DataType::Utf8 => String::from_utf8(data.to_vec()).ok().map(units),
        DataType::Utf32 => {
            let characters = data.as_chunks::<4>().0.iter();
            let text: Option<String> = characters
                .map(|&character| char::from_u32(order.u32(character)))
                .collect();
            text.map(units)
        }
        _ => None,
    }
}
