//! Surfaces of the cortex as meshes, from GIFTI or FreeSurfer.

use std::path::Path;

use ndarray::{Array2, Ix2};

use crate::gifti::{Gifti, POINTSET, TRIANGLE};
use crate::{Error, Result, freesurfer, recognise};

/// A mesh.
#[derive(Clone, Debug, PartialEq)]
pub struct Surface {
    /// Coordinates in mm \[vertices, 3\].
    pub vertices: Array2<f32>,
    /// Indices of vertices, from 0 \[triangles, 3\].
    pub triangles: Array2<u32>,
    /// What it is of, such as `CortexLeft`, where a GIFTI file says so; else empty.
    pub structure: String,
}

impl Surface {
    /// Reads a `.surf.gii`, or a surface of FreeSurfer (`lh.white`, `lh.inflated`, …); the first bytes say which it is.
    ///
    /// # Errors
    /// An unreadable file; one of neither kind; no vertices or triangles, or a triangle of vertices that do not exist.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let start = recognise::read(path)?;
        if start.first() == Some(&0xFF) {
            return freesurfer::parse_surface(&start).map_err(|error| error.in_file(path));
        }
        let gifti = Gifti::read(path)?;
        Self::of_gifti(&gifti).map_err(|error| error.in_file(path))
    }

    fn of_gifti(gifti: &Gifti) -> Result<Self> {
        let threes = |intent: &'static str| {
            let array = gifti.with_intent(intent).next();
            let array =
                array.and_then(|array| array.values.view().into_dimensionality::<Ix2>().ok());
            array.filter(|array| array.ncols() == 3).ok_or_else(|| {
                let expected = format!("an array {intent} of threes, as a .surf.gii has");
                Error::malformed("arrays", expected, "none")
            })
        };
        let (vertices, triangles) = (threes(POINTSET)?, threes(TRIANGLE)?);
        let known = |index: &f64| (0.0..vertices.nrows() as f64).contains(index);
        if let Some(outside) = triangles.iter().find(|index| !known(index)) {
            let expected = format!("triangles of {} vertices, counted from 0", vertices.nrows());
            return Err(Error::malformed(TRIANGLE, expected, outside.to_string()));
        }
        Ok(Self {
            vertices: vertices.mapv(|value| value as f32),
            triangles: triangles.mapv(|index| index as u32),
            structure: gifti.structure().unwrap_or_default().to_owned(),
        })
    }
}
