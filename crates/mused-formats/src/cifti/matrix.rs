use std::io::{Cursor, Read, Seek};
use std::path::{Path, PathBuf};

use ndarray::Array2;

use super::Axis;
use crate::byte_source::ByteSource;
use crate::nifti::{Header, Nifti};
use crate::xml::Element;
use crate::{Error, Result, number};

/// Code of the header extension that holds the XML.
pub(super) const EXTENSION_CODE: i32 = 32;
/// A row is held in memory. The longest are those of connectivity matrices, 91,282.
const MAX_COLUMNS: usize = 1 << 22;
/// NIfTI's dimensions before those of the matrix.
const LEADING: [usize; 4] = [1; 4];

/// An open file. Its values stay there until they are asked for.
#[derive(Debug)]
pub struct Cifti {
    path: Option<PathBuf>,
    header: Header,
    source: ByteSource,
    metadata: Vec<(String, String)>,
    axes: [Axis; 2],
    rows: usize,
    columns: usize,
}

impl Cifti {
    /// Opens a file, plain or compressed by gzip.
    ///
    /// # Errors
    /// As [`Nifti::open`]; a file that is not CIFTI-2; XML that is broken, or whose lengths are not the matrix's.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = Nifti::open(path).and_then(Self::from_nifti);
        let file = file.map_err(|error| error.in_file(path))?;
        Ok(Self {
            path: Some(path.to_owned()),
            ..file
        })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn new(input: impl Read + Seek + Send + 'static) -> Result<Self> {
        Self::from_nifti(Nifti::new(input)?)
    }

    /// [`Self::new`] from the bytes of a whole file.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn parse(bytes: Vec<u8>) -> Result<Self> {
        Self::new(Cursor::new(bytes))
    }

    fn from_nifti(nifti: Nifti) -> Result<Self> {
        let (header, extensions, source) = nifti.into_parts();
        let extension = extensions
            .iter()
            .find(|extension| extension.code == EXTENSION_CODE)
            .ok_or_else(|| {
                Error::malformed("header", "an extension of code 32 with CIFTI's XML", "none")
            })?;
        let columns_rows = header.shape.strip_prefix(LEADING.as_slice());
        let Some(&[columns, rows]) = columns_rows else {
            let expected = "four dimensions of 1, then two";
            let found = format!("{:?}", header.shape);
            return Err(Error::malformed("header field dim", expected, found));
        };
        if columns > MAX_COLUMNS {
            let expected = format!("at most {MAX_COLUMNS} columns");
            return Err(Error::malformed(
                "header field dim[5]",
                expected,
                columns.to_string(),
            ));
        }
        let end = extension.data.iter().rposition(|&byte| byte != 0);
        let xml = extension.data.get(..end.map_or(0, |end| end + 1));
        let mut budget = source.budget();
        let root = Element::parse(xml.unwrap_or_default(), "CIFTI", &mut budget)?;
        let version = root.attribute("Version")?;
        if !matches!(version, "2" | "2.0") {
            let what = format!("CIFTI version {version}");
            return Err(Error::unsupported(root.place(), what));
        }
        let matrix = root
            .first("Matrix")
            .ok_or_else(|| root.malformed("the element Matrix".to_owned(), "none"))?;
        Ok(Self {
            path: None,
            metadata: matrix.metadata(),
            axes: [axis(matrix, 0, columns)?, axis(matrix, 1, rows)?],
            header,
            source,
            rows,
            columns,
        })
    }

    /// Number of rows and of columns. nibabel has the columns first.
    pub fn shape(&self) -> [usize; 2] {
        [self.rows, self.columns]
    }

    /// What the columns, the values of a row, stand for: points in time of a dense series, maps of dense scalars.
    pub fn columns(&self) -> &Axis {
        &self.axes[0]
    }

    /// What the rows stand for: vertices and voxels of the dense formats.
    pub fn rows(&self) -> &Axis {
        &self.axes[1]
    }

    /// Names and values of the whole matrix.
    pub fn metadata(&self) -> &[(String, String)] {
        &self.metadata
    }

    /// The NIfTI-2 header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Reads a row into `out` \[columns\], each value rounded to the nearest f32. With the last one a compressed file is
    /// compared with its checksum.
    ///
    /// # Errors
    /// A row that does not exist; an `out` of another length than the columns; a file cut short.
    pub fn read_row(&mut self, row: usize, out: &mut [f32]) -> Result<()> {
        let read = self.row(row, out);
        self.located(read)
    }

    fn row(&mut self, row: usize, out: &mut [f32]) -> Result<()> {
        if row >= self.rows {
            let expected = format!("one of {} rows", self.rows);
            return Err(Error::mismatch("row", expected, row.to_string()));
        }
        if out.len() != self.columns {
            let (expected, found) = (self.columns.to_string(), out.len().to_string());
            return Err(Error::mismatch("length of the output", expected, found));
        }
        let Header {
            dtype, byte_order, ..
        } = self.header;
        let mut bytes = vec![0; self.columns * dtype.size()];
        // Within the bytes of the matrix, which do not overflow.
        let start = self.header.data_offset + (bytes.len() * row) as u64;
        self.source.seek(start)?;
        self.source.read_exact(&mut bytes)?;
        if row + 1 == self.rows {
            self.source.finish()?;
        }
        let (slope, inter) = self.header.scaling.unwrap_or((1., 0.));
        let scaled = self.header.scaling.is_some();
        let values = number::decode(&bytes, dtype, byte_order, |value| match scaled {
            true => (value * slope + inter) as f32,
            false => value as f32,
        });
        out.copy_from_slice(&values);
        Ok(())
    }

    /// Hands every row to `each`, with its number, from the first to the last.
    ///
    /// # Errors
    /// What `each` returns; a file cut short.
    pub fn for_each_row<E: From<Error>>(
        &mut self,
        mut each: impl FnMut(usize, &[f32]) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let mut values = vec![0.; self.columns];
        for row in 0..self.rows {
            self.read_row(row, &mut values)?;
            each(row, &values)?;
        }
        Ok(())
    }

    /// Reads all values \[rows, columns\].
    ///
    /// # Errors
    /// A file cut short.
    pub fn read_all(&mut self) -> Result<Array2<f32>> {
        let mut budget = self.source.budget();
        let count = self.rows * self.columns;
        let room = budget.take_elements("header field dim", count, size_of::<f32>());
        self.located(room)?;
        let mut values = Vec::with_capacity(count);
        self.for_each_row(|_, row| {
            values.extend_from_slice(row);
            Ok::<_, Error>(())
        })?;
        let array = Array2::from_shape_vec((self.rows, self.columns), values);
        array.map_err(|error| {
            let expected = "as many values as the shape has";
            Error::malformed("values", expected, error.to_string())
        })
    }

    fn located<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| match &self.path {
            Some(path) => error.in_file(path),
            None => error,
        })
    }
}

/// The axis that describes a dimension of the matrix, of that many indices.
fn axis(matrix: &Element, dimension: usize, length: usize) -> Result<Axis> {
    let number = dimension.to_string();
    let map = matrix.all("MatrixIndicesMap").find(|map| {
        let dimensions = map.optional("AppliesToMatrixDimension").unwrap_or_default();
        dimensions.split(',').any(|one| one.trim() == number)
    });
    let map = map.ok_or_else(|| {
        let expected = format!("a MatrixIndicesMap for dimension {dimension}");
        matrix.malformed(expected, "none")
    })?;
    let axis = Axis::new(map)?;
    match axis.length() {
        Some(found) if found != length => {
            let expected = format!("{length} indices, as the header has");
            Err(map.malformed(expected, found.to_string()))
        }
        _ => Ok(axis),
    }
}
