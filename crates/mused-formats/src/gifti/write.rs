use std::io::Write;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use quick_xml::escape::escape;

use super::read::DTYPES;
use super::{DataArray, Gifti};
use crate::{Error, Result, number, replace_file};

impl Gifti {
    /// Writes a file, its arrays as GZipBase64Binary. It appears whole or not at all.
    ///
    /// # Errors
    /// A file that cannot be created; bool or float16; a value that its dtype cannot hold; a full disk.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let text = self.to_xml().map_err(|error| error.in_file(path))?;
        replace_file(path, text.as_bytes())
    }

    fn to_xml(&self) -> Result<String> {
        let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let count = self.arrays.len();
        xml += &format!("<GIFTI Version=\"1.0\" NumberOfDataArrays=\"{count}\">\n");
        metadata(&mut xml, &self.metadata);
        xml += "<LabelTable>\n";
        for label in &self.labels {
            let [red, green, blue, alpha] = label.rgba.unwrap_or([0., 0., 0., 1.]);
            let colour =
                format!("Red=\"{red}\" Green=\"{green}\" Blue=\"{blue}\" Alpha=\"{alpha}\"");
            let (key, name) = (label.key, escape(&label.name));
            xml += &format!("<Label Key=\"{key}\" {colour}>{name}</Label>\n");
        }
        xml += "</LabelTable>\n";
        for array in &self.arrays {
            data_array(&mut xml, array)?;
        }
        xml += "</GIFTI>\n";
        Ok(xml)
    }
}

fn metadata(xml: &mut String, pairs: &[(String, String)]) {
    *xml += "<MetaData>\n";
    for (name, value) in pairs {
        let (name, value) = (escape(name), escape(value));
        *xml += &format!("<MD><Name>{name}</Name><Value>{value}</Value></MD>\n");
    }
    *xml += "</MetaData>\n";
}

fn data_array(xml: &mut String, array: &DataArray) -> Result<()> {
    let dtype = DTYPES.iter().find(|(dtype, _)| *dtype == array.dtype);
    let Some((dtype, name)) = dtype else {
        let expected = "an integer type, float32 or float64";
        return Err(Error::mismatch("dtype", expected, array.dtype.to_string()));
    };
    let mut bytes = Vec::with_capacity(array.values.len() * dtype.size());
    // Last index fastest, whatever order the array has in memory.
    for &value in &array.values {
        if !number::encode(value, *dtype, &mut bytes) {
            let expected = format!("values that {dtype} can hold");
            return Err(Error::mismatch("value", expected, value.to_string()));
        }
    }
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&bytes)?;
    let data = STANDARD.encode(encoder.finish()?);
    let intent = escape(&array.intent);
    *xml += &format!("<DataArray Intent=\"{intent}\" DataType=\"{name}\"");
    *xml += " ArrayIndexingOrder=\"RowMajorOrder\" Encoding=\"GZipBase64Binary\"";
    *xml += " Endian=\"LittleEndian\" ExternalFileName=\"\" ExternalFileOffset=\"\"";
    *xml += &format!(" Dimensionality=\"{}\"", array.values.ndim());
    for (axis, length) in array.values.shape().iter().enumerate() {
        *xml += &format!(" Dim{axis}=\"{length}\"");
    }
    *xml += ">\n";
    metadata(xml, &array.metadata);
    for transform in &array.transforms {
        let (from, to) = (escape(&transform.from), escape(&transform.to));
        *xml += "<CoordinateSystemTransformMatrix>";
        *xml += &format!("<DataSpace>{from}</DataSpace><TransformedSpace>{to}</TransformedSpace>");
        // A line for each row, which nibabel relies on.
        *xml += "<MatrixData>\n";
        for [a, b, c, d] in transform.matrix {
            *xml += &format!("{a} {b} {c} {d}\n");
        }
        *xml += "</MatrixData></CoordinateSystemTransformMatrix>\n";
    }
    *xml += &format!("<Data>{data}</Data>\n</DataArray>\n");
    Ok(())
}
