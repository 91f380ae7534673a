use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path};

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use flate2::read::ZlibDecoder;
use ndarray::{ArrayD, IxDyn, ShapeBuilder};

use super::{DataArray, Gifti, Label, Transform};
use crate::npy::{ByteOrder, Dtype};
use crate::xml::Element;
use crate::{Error, Result, number, recognise};

const MAX_DIMENSIONS: usize = 6;
/// The most that deflate shrinks anything, rounded up.
const MAX_INFLATION: usize = 1040;
/// Writers pad or do not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Finds the bytes of an external file: its name, the first byte, how many.
type External<'e> = dyn Fn(&str, u64, usize) -> Result<Vec<u8>> + 'e;

impl Gifti {
    /// Reads a file. Arrays in external files are looked for in the same folder.
    ///
    /// # Errors
    /// An unreadable file, or external one; as [`Self::parse`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let folder = path.parent().unwrap_or(Path::new(""));
        let external = |name: &str, offset, count| {
            let name = Path::new(name);
            // No way out of the folder.
            if !name
                .components()
                .all(|part| matches!(part, Component::Normal(_)))
            {
                let found = name.display().to_string();
                let expected = "a name within the file's folder";
                return Err(Error::malformed(
                    "attribute ExternalFileName",
                    expected,
                    found,
                ));
            }
            let path = folder.join(name);
            part_of(&path, offset, count).map_err(|error| error.in_file(&path))
        };
        recognise::read(path)
            .and_then(|bytes| parse(&bytes, &external))
            .map_err(|error| error.in_file(path))
    }

    /// Parses the bytes of a whole file.
    ///
    /// # Errors
    /// XML that is not well-formed or has entities of its own; a missing attribute or one of no known value, named; values
    /// that are not as many as the dimensions say; damaged compression; an array in an external file.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        parse(bytes, &|name, _, _| {
            Err(Error::unsupported(
                "attribute ExternalFileName",
                format!("the file {name} beside bytes"),
            ))
        })
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
    let root = Element::parse(bytes, "GIFTI")?;
    let arrays = root
        .all("DataArray")
        .map(|array| data_array(array, external));
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

fn data_array(array: &Element, external: &External<'_>) -> Result<DataArray> {
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
    let decode = |data: Vec<u8>| match data.len() == bytes {
        true => Ok(number::decode(&data, dtype, order, |value| value)),
        false => {
            let expected = format!("{bytes} bytes, the values of shape {shape:?}");
            Err(array.malformed(expected, data.len().to_string()))
        }
    };
    // Old writers took names out of the C library's source.
    let values = match array.attribute("Encoding")? {
        "ASCII" | "GIFTI_ENCODING_ASCII" => ascii(array, dtype)?,
        "Base64Binary" | "GIFTI_ENCODING_B64BIN" => decode(base64_of(array)?)?,
        "GZipBase64Binary" | "GIFTI_ENCODING_B64GZ" => decode(inflated(array, bytes)?)?,
        "ExternalFileBinary" | "GIFTI_ENCODING_EXTBIN" => {
            let offset = match array.optional("ExternalFileOffset").map(str::trim) {
                None | Some("") => 0,
                Some(_) => array.number("ExternalFileOffset")?,
            };
            decode(external(
                array.attribute("ExternalFileName")?,
                offset,
                bytes,
            )?)?
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

fn inflated(array: &Element, bytes: usize) -> Result<Vec<u8>> {
    let packed = base64_of(array)?;
    if bytes / MAX_INFLATION > packed.len() {
        let expected = format!("{bytes} bytes of values");
        return Err(array.malformed(expected, format!("{} compressed ones", packed.len())));
    }
    let mut values = Vec::new();
    // One byte more shows a stream that is too long.
    let read = ZlibDecoder::new(packed.as_slice())
        .take(bytes as u64 + 1)
        .read_to_end(&mut values);
    match read {
        Ok(_) => Ok(values),
        Err(error) => Err(array.malformed("a zlib stream".to_owned(), error.to_string())),
    }
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
