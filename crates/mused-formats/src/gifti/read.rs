use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use flate2::read::ZlibDecoder;
use ndarray::{ArrayD, IxDyn, ShapeBuilder};

use super::{DataArray, Gifti, Label, Transform};
use crate::npy::{ByteOrder, Dtype};
use crate::xml::Element;
use crate::{Budget, Error, Result, number, recognise};

const MAX_DIMENSIONS: usize = 6;
/// Writers pad or do not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Finds bytes of a file: its name, the first byte, how many.
type Part<'e> = dyn Fn(&str, u64, usize) -> Result<Vec<u8>> + 'e;

/// Files that hold arrays, by name.
struct External<'e> {
    /// Bytes of one.
    length: &'e dyn Fn(&str) -> Result<u64>,
    /// So many bytes from an offset.
    part: &'e Part<'e>,
}

impl Gifti {
    /// Reads a file. Arrays in external files are looked for in the same folder.
    ///
    /// # Errors
    /// An unreadable file, or external one; as [`Self::parse`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let folder = path.parent().unwrap_or(Path::new(""));
        let external = External {
            length: &|name| Ok(std::fs::metadata(beside(folder, name)?)?.len()),
            part: &|name, offset, count| {
                let path = beside(folder, name)?;
                part_of(&path, offset, count).map_err(|error| error.in_file(&path))
            },
        };
        recognise::read(path)
            .and_then(|bytes| parse(&bytes, &external))
            .map_err(|error| error.in_file(path))
    }

    /// Parses the bytes of a whole file.
    ///
    /// # Errors
    /// XML that is not well-formed or has entities of its own; a missing attribute or one of no known value, named; values
    /// that are not as many as the dimensions say; damaged compression; an array in an external file; arrays that take more
    /// memory than the [`Budget`] of such a file.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let refused = |name: &str| {
            let what = format!("the file {name} beside bytes");
            Error::unsupported("attribute ExternalFileName", what)
        };
        let external = External {
            length: &|name| Err(refused(name)),
            part: &|name, _, _| Err(refused(name)),
        };
        parse(bytes, &external)
    }
}

/// The path of an external file; there is no way out of the folder.
fn beside(folder: &Path, name: &str) -> Result<PathBuf> {
    let inside = |part| matches!(part, Component::Normal(_));
    match Path::new(name).components().all(inside) {
        true => Ok(folder.join(name)),
        false => {
            let expected = "a name within the file's folder";
            Err(Error::malformed(
                "attribute ExternalFileName",
                expected,
                name,
            ))
        }
    }
}

fn part_of(path: &Path, offset: u64, count: usize) -> Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    if offset
        .checked_add(count as u64)
        .is_none_or(|end| end > length)
    {
        let expected = format!("{count} bytes from byte {offset}");
        return Err(Error::malformed(
            "external values",
            expected,
            format!("a file of {length}"),
        ));
    }
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = vec![0; count];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn parse(bytes: &[u8], external: &External<'_>) -> Result<Gifti> {
    let mut budget = Budget::of(bytes.len() as u64);
    let root = Element::parse(bytes, "GIFTI", &mut budget)?;
    let names = root.all("DataArray");
    let names: BTreeSet<&str> = names
        .filter_map(|array| array.optional("ExternalFileName"))
        .filter(|name| !name.is_empty())
        .collect();
    for name in names {
        // Once each: to name a file often makes it no larger. One that is not there is missed where it is read.
        budget.add_file((external.length)(name).unwrap_or(0));
    }
    let arrays = root
        .all("DataArray")
        .map(|array| data_array(array, external, &mut budget));
    Ok(Gifti {
        metadata: root.metadata(),
        labels: labels(&root)?,
        arrays: arrays.collect::<Result<_>>()?,
    })
}

/// The entries of a `LabelTable`, of this format and of CIFTI-2.
pub(crate) fn labels(parent: &Element) -> Result<Vec<Label>> {
    let table = parent.first("LabelTable").into_iter();
    table
        .flat_map(|table| table.all("Label"))
        .map(|label| {
            // GIFTI says Key, Caret wrote Index.
            let key = if label.optional("Key").is_some() {
                "Key"
            } else {
                "Index"
            };
            let rgba = match label.optional("Red") {
                Some(_) => Some([
                    label.number("Red")?,
                    label.number("Green")?,
                    label.number("Blue")?,
                    label
                        .optional("Alpha")
                        .map_or(Ok(1.), |_| label.number("Alpha"))?,
                ]),
                None => None,
            };
            Ok(Label {
                key: label.number(key)?,
                name: label.text.trim().to_owned(),
                rgba,
            })
        })
        .collect()
}

fn data_array(array: &Element, external: &External<'_>, budget: &mut Budget) -> Result<DataArray> {
    let dtype = dtype(array)?;
    let shape = shape(array)?;
    let bytes = number::byte_count(&shape, dtype.size()).ok_or_else(|| {
        let expected = "dimensions whose product fits in memory".to_owned();
        array.malformed(expected, format!("{shape:?}"))
    })?;
    let order = match array.optional("Endian") {
        Some("BigEndian" | "GIFTI_ENDIAN_BIG") => ByteOrder::Big,
        Some("LittleEndian" | "GIFTI_ENDIAN_LITTLE") | None => ByteOrder::Little,
        Some(other) => {
            let expected = "BigEndian or LittleEndian as Endian".to_owned();
            return Err(array.malformed(expected, other));
        }
    };
    let decode = |data: Vec<u8>, budget: &mut Budget| {
        if data.len() != bytes {
            let expected = format!("{bytes} bytes, the values of shape {shape:?}");
            return Err(array.malformed(expected, data.len().to_string()));
        }
        // Decoded, and put in the order of rows.
        let count = bytes / dtype.size();
        budget.take_elements(&array.place(), count, 2 * size_of::<f64>())?;
        Ok(number::decode(&data, dtype, order, |value| value))
    };
    // Old writers took names out of the C library's source.
    let values = match array.attribute("Encoding")? {
        "ASCII" | "GIFTI_ENCODING_ASCII" => ascii(array, dtype)?,
        "Base64Binary" | "GIFTI_ENCODING_B64BIN" => decode(base64_of(array)?, budget)?,
        "GZipBase64Binary" | "GIFTI_ENCODING_B64GZ" => {
            decode(inflated(array, bytes, budget)?, budget)?
        }
        "ExternalFileBinary" | "GIFTI_ENCODING_EXTBIN" => {
            let offset = match array.optional("ExternalFileOffset").map(str::trim) {
                None | Some("") => 0,
                Some(_) => array.number("ExternalFileOffset")?,
            };
            let name = array.attribute("ExternalFileName")?;
            decode((external.part)(name, offset, bytes)?, budget)?
        }
        other => {
            return Err(Error::unsupported(
                array.place(),
                format!("the encoding {other}"),
            ));
        }
    };
    let column_major = match array.optional("ArrayIndexingOrder") {
        Some("ColumnMajorOrder") => true,
        Some("RowMajorOrder") | None => false,
        Some(other) => {
            let expected = "RowMajorOrder or ColumnMajorOrder as ArrayIndexingOrder".to_owned();
            return Err(array.malformed(expected, other));
        }
    };
    let count = values.len();
    let values = ArrayD::from_shape_vec(IxDyn(&shape).set_f(column_major), values);
    let values = values.map_err(|_| {
        array.malformed(
            format!("the values of shape {shape:?}"),
            format!("{count} values"),
        )
    })?;
    Ok(DataArray {
        intent: array.attribute("Intent")?.to_owned(),
        dtype,
        metadata: array.metadata(),
        transforms: array
            .all("CoordinateSystemTransformMatrix")
            .map(transform)
            .collect::<Result<_>>()?,
        values: values.as_standard_layout().into_owned(),
    })
}

pub(super) const DTYPES: [(Dtype, &str); 10] = [
    (Dtype::U8, "NIFTI_TYPE_UINT8"),
    (Dtype::I32, "NIFTI_TYPE_INT32"),
    (Dtype::F32, "NIFTI_TYPE_FLOAT32"),
    (Dtype::I8, "NIFTI_TYPE_INT8"),
    (Dtype::I16, "NIFTI_TYPE_INT16"),
    (Dtype::U16, "NIFTI_TYPE_UINT16"),
    (Dtype::U32, "NIFTI_TYPE_UINT32"),
    (Dtype::I64, "NIFTI_TYPE_INT64"),
    (Dtype::U64, "NIFTI_TYPE_UINT64"),
    (Dtype::F64, "NIFTI_TYPE_FLOAT64"),
];

fn dtype(array: &Element) -> Result<Dtype> {
    let name = array.attribute("DataType")?;
    let known = DTYPES.iter().find(|(_, known)| *known == name);
    let unsupported = || Error::unsupported(array.place(), format!("the DataType {name}"));
    known.map(|(dtype, _)| *dtype).ok_or_else(unsupported)
}

fn shape(array: &Element) -> Result<Vec<usize>> {
    let dimensions: usize = array.number("Dimensionality")?;
    if !(1..=MAX_DIMENSIONS).contains(&dimensions) {
        let expected = format!("1 to {MAX_DIMENSIONS} as Dimensionality");
        return Err(array.malformed(expected, dimensions.to_string()));
    }
    (0..dimensions)
        .map(|axis| array.number(&format!("Dim{axis}")))
        .collect()
}

fn ascii(array: &Element, dtype: Dtype) -> Result<Vec<f64>> {
    let Some(data) = array.first("Data") else {
        return Ok(Vec::new());
    };
    match dtype {
        // Rounded as the type would be, not to f64.
        Dtype::F32 => Ok(data.numbers::<f32>()?.into_iter().map(f64::from).collect()),
        _ => data.numbers(),
    }
}

fn base64_of(array: &Element) -> Result<Vec<u8>> {
    let mut text = array.first("Data").map_or("", |data| &data.text).to_owned();
    text.retain(|character| !character.is_ascii_whitespace());
    BASE64
        .decode(text)
        .map_err(|error| array.malformed("base64".to_owned(), error.to_string()))
}

fn inflated(array: &Element, bytes: usize, budget: &mut Budget) -> Result<Vec<u8>> {
    let packed = base64_of(array)?;
    let damaged = |found| array.malformed("a zlib stream".to_owned(), found);
    // One byte more shows a stream that is too long.
    let most = bytes as u64 + 1;
    budget.unpack(
        &array.place(),
        ZlibDecoder::new(packed.as_slice()),
        most,
        damaged,
    )
}

fn transform(element: &Element) -> Result<Transform> {
    let values = match element.first("MatrixData") {
        Some(matrix) => matrix.numbers::<f64>()?,
        None => Vec::new(),
    };
    let (rows, rest) = values.as_chunks::<4>();
    let matrix = <[[f64; 4]; 4]>::try_from(rows)
        .ok()
        .filter(|_| rest.is_empty());
    let matrix = matrix.ok_or_else(|| {
        element.malformed(
            "16 numbers as MatrixData".to_owned(),
            values.len().to_string(),
        )
    })?;
    Ok(Transform {
        from: element.text_of("DataSpace").to_owned(),
        to: element.text_of("TransformedSpace").to_owned(),
        matrix,
    })
}
