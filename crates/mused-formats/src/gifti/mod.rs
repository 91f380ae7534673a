//! GIFTI surfaces and the quantities on them: all encodings, both byte orders and index orders; read and written.
//!
//! Format: GIFTI 1.0, <https://www.nitrc.org/projects/gifti>. Coordinate systems are read but not applied.

mod read;
mod write;

use ndarray::{ArrayD, ArrayView1};

use crate::npy::Dtype;
pub(crate) use read::labels;

/// Intent of vertex coordinates \[vertices, 3\].
pub const POINTSET: &str = "NIFTI_INTENT_POINTSET";
/// Intent of triangles as vertex indices \[triangles, 3\].
pub const TRIANGLE: &str = "NIFTI_INTENT_TRIANGLE";
/// Intent of a label key for each vertex.
pub const LABEL: &str = "NIFTI_INTENT_LABEL";
/// Intent of a measure of shape for each vertex.
pub const SHAPE: &str = "NIFTI_INTENT_SHAPE";
/// Intent of a point in time for each vertex.
pub const TIME_SERIES: &str = "NIFTI_INTENT_TIME_SERIES";
/// Intent of values without one.
pub const NONE: &str = "NIFTI_INTENT_NONE";

/// A file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gifti {
    /// Names and values, such as `AnatomicalStructurePrimary` and `CortexLeft`.
    pub metadata: Vec<(String, String)>,
    /// What the keys of arrays of intent [`LABEL`] mean.
    pub labels: Vec<Label>,
    /// In file order.
    pub arrays: Vec<DataArray>,
}

/// A region or class that a key stands for.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// The value in the arrays.
    pub key: i32,
    /// Its name.
    pub name: String,
    /// Red, green, blue and alpha from 0 to 1, where the file has them.
    pub rgba: Option<[f32; 4]>,
}

/// An array with what it means.
#[derive(Clone, Debug, PartialEq)]
pub struct DataArray {
    /// Such as [`POINTSET`].
    pub intent: String,
    /// Element type in the file.
    pub dtype: Dtype,
    /// Names and values.
    pub metadata: Vec<(String, String)>,
    /// Coordinate systems, for arrays of [`POINTSET`].
    pub transforms: Vec<Transform>,
    /// The values; f64 holds all element types but the largest 64-bit integers exactly.
    pub values: ArrayD<f64>,
}

/// From one coordinate system to another.
#[derive(Clone, Debug, PartialEq)]
pub struct Transform {
    /// Of the values, such as `NIFTI_XFORM_TALAIRACH`.
    pub from: String,
    /// Of the values multiplied by the matrix.
    pub to: String,
    /// Row by row.
    pub matrix: [[f64; 4]; 4],
}

impl Gifti {
    /// A file of one f32 value a vertex, for a .func.gii or .shape.gii. `structure` is `CortexLeft`, `CortexRight` or
    /// another name of GIFTI's list; `name` says what the values are.
    pub fn of_vertices(
        structure: &str,
        intent: &str,
        name: &str,
        values: ArrayView1<'_, f32>,
    ) -> Self {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Self {
            metadata: vec![pair("AnatomicalStructurePrimary", structure)],
            labels: Vec::new(),
            arrays: vec![DataArray {
                intent: intent.to_owned(),
                dtype: Dtype::F32,
                metadata: vec![pair("Name", name)],
                transforms: Vec::new(),
                values: values.mapv(f64::from).into_dyn(),
            }],
        }
    }

    /// The anatomical structure that the file or one of its arrays is said to be of, such as `CortexLeft`.
    pub fn structure(&self) -> Option<&str> {
        let arrays = self.arrays.iter().flat_map(|array| &array.metadata);
        let mut pairs = self.metadata.iter().chain(arrays);
        let found = pairs.find(|(name, _)| name == "AnatomicalStructurePrimary");
        found.map(|(_, value)| value.trim())
    }

    /// The arrays of an intent, in file order.
    pub fn with_intent<'g>(&'g self, intent: &'g str) -> impl Iterator<Item = &'g DataArray> {
        self.arrays
            .iter()
            .filter(move |array| array.intent == intent)
    }
}
