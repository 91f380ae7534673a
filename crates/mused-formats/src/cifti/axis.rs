use std::str::FromStr;

use crate::gifti::{Label, labels};
use crate::nifti::Affine;
use crate::xml::Element;
use crate::{Error, Result};

/// What the indices of a dimension of the matrix stand for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Axis {
    /// Vertices and voxels.
    BrainModels(BrainModels),
    /// Points in time, or of another unit.
    Series(Series),
    /// Maps with a name each.
    Scalars(Vec<Scalar>),
    /// Maps of label keys.
    Labels(Vec<LabelMap>),
    /// Something that is not taken apart: its name in the format, such as `CIFTI_INDEX_TYPE_PARCELS`.
    Other(String),
}

/// Equal steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Value of the first point, in `unit`.
    pub start: f64,
    /// Difference between two points, in `unit`: TR in seconds for fMRI.
    pub step: f64,
    /// `SECOND`, `HERTZ`, `METER` or `RADIAN`.
    pub unit: String,
    /// Number of points.
    pub length: usize,
}

/// A map.
#[derive(Clone, Debug, PartialEq)]
pub struct Scalar {
    /// Its name.
    pub name: String,
    /// Names and values.
    pub metadata: Vec<(String, String)>,
}

/// A map whose values are keys of labels.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelMap {
    /// Its name.
    pub name: String,
    /// What the keys mean.
    pub labels: Vec<Label>,
}

/// The structures of the brain whose vertices and voxels follow each other, without gaps.
#[derive(Clone, Debug, PartialEq)]
pub struct BrainModels {
    /// In the order of the indices.
    pub models: Vec<BrainModel>,
    /// The grid of all voxels, where there are any.
    pub volume: Option<Volume>,
}

/// A structure.
#[derive(Clone, Debug, PartialEq)]
pub struct BrainModel {
    /// Such as `CIFTI_STRUCTURE_CORTEX_LEFT`.
    pub structure: String,
    /// Index of its first vertex or voxel.
    pub start: usize,
    /// Where each of its indices lies.
    pub locations: Location,
}

/// Where the values of a structure lie.
#[derive(Clone, Debug, PartialEq)]
pub enum Location {
    /// On a surface.
    Surface {
        /// Vertices of the whole surface.
        vertices: usize,
        /// The vertex of each index, from 0.
        indices: Vec<usize>,
    },
    /// In the volume: voxel (i, j, k) of each index, from 0.
    Voxels(Vec<[usize; 3]>),
}

/// A grid of voxels.
#[derive(Clone, Debug, PartialEq)]
pub struct Volume {
    /// Numbers of voxels along i, j, k.
    pub shape: [usize; 3],
    /// From voxel indices to millimetres.
    pub affine: Affine,
}

impl Axis {
    /// Number of indices; `None` where that is not read.
    pub fn length(&self) -> Option<usize> {
        Some(match self {
            Self::BrainModels(brain) => brain.models.iter().map(BrainModel::length).sum(),
            Self::Series(series) => series.length,
            Self::Scalars(maps) => maps.len(),
            Self::Labels(maps) => maps.len(),
            Self::Other(_) => return None,
        })
    }

    pub(super) fn new(map: &Element) -> Result<Self> {
        Ok(match map.attribute("IndicesMapToDataType")? {
            "CIFTI_INDEX_TYPE_BRAIN_MODELS" => Self::BrainModels(brain_models(map)?),
            "CIFTI_INDEX_TYPE_SERIES" => Self::Series(series(map)?),
            "CIFTI_INDEX_TYPE_SCALARS" => {
                let scalar = |map: &Element| Scalar {
                    name: map.text_of("MapName").to_owned(),
                    metadata: map.metadata(),
                };
                Self::Scalars(map.all("NamedMap").map(scalar).collect())
            }
            "CIFTI_INDEX_TYPE_LABELS" => {
                let label_map = |map: &Element| {
                    Ok(LabelMap {
                        name: map.text_of("MapName").to_owned(),
                        labels: labels(map)?,
                    })
                };
                let maps = map.all("NamedMap").map(label_map);
                Self::Labels(maps.collect::<Result<_>>()?)
            }
            other => Self::Other(other.to_owned()),
        })
    }
}

impl BrainModel {
    /// Number of its vertices or voxels.
    pub fn length(&self) -> usize {
        match &self.locations {
            Location::Surface { indices, .. } => indices.len(),
            Location::Voxels(voxels) => voxels.len(),
        }
    }
}

fn series(map: &Element) -> Result<Series> {
    let exponent: i32 = map.number("SeriesExponent")?;
    let value = |name: &str| Ok::<_, Error>(scaled(map.number(name)?, exponent));
    Ok(Series {
        start: value("SeriesStart")?,
        step: value("SeriesStep")?,
        unit: map.attribute("SeriesUnit")?.to_owned(),
        length: map.number("NumberOfSeriesPoints")?,
    })
}

/// Divides where that is what the decimal number means: 720 · 10^-3 is 0.72, to the last bit.
fn scaled(value: f64, exponent: i32) -> f64 {
    match exponent {
        0.. => value * 10_f64.powi(exponent),
        _ => value / 10_f64.powi(exponent.saturating_neg()),
    }
}

fn brain_models(map: &Element) -> Result<BrainModels> {
    let volume = map.first("Volume").map(volume).transpose()?;
    let mut models = Vec::new();
    let mut next = 0;
    for element in map.all("BrainModel") {
        let model = brain_model(element, volume.as_ref())?;
        let count: usize = element.number("IndexCount")?;
        if (model.start, model.length()) != (next, count) {
            let expected = format!("IndexOffset {next} and IndexCount {}", model.length());
            let found = format!("{} and {count}", model.start);
            return Err(element.malformed(expected, found));
        }
        next += count;
        models.push(model);
    }
    Ok(BrainModels { models, volume })
}

fn brain_model(element: &Element, volume: Option<&Volume>) -> Result<BrainModel> {
    let locations = match element.attribute("ModelType")? {
        "CIFTI_MODEL_TYPE_SURFACE" => {
            let vertices = element.number("SurfaceNumberOfVertices")?;
            let indices = numbers_of(element, "VertexIndices")?;
            if let Some(outside) = indices.iter().find(|&&index| index >= vertices) {
                let expected = format!("vertices below {vertices}");
                return Err(element.malformed(expected, outside.to_string()));
            }
            Location::Surface { vertices, indices }
        }
        "CIFTI_MODEL_TYPE_VOXELS" => {
            let numbers = numbers_of(element, "VoxelIndicesIJK")?;
            let (voxels, rest) = numbers.as_chunks::<3>();
            let shape = volume.map_or([0; 3], |volume| volume.shape);
            let inside = |voxel: &[usize; 3]| voxel.iter().zip(shape).all(|(index, n)| *index < n);
            if !rest.is_empty() || !voxels.iter().all(inside) {
                let expected = format!("triples of indices within the volume {shape:?}");
                return Err(element.malformed(expected, "others"));
            }
            Location::Voxels(voxels.to_vec())
        }
        other => {
            let what = format!("the ModelType {other}");
            return Err(Error::unsupported(element.place(), what));
        }
    };
    Ok(BrainModel {
        structure: element.attribute("BrainStructure")?.to_owned(),
        start: element.number("IndexOffset")?,
        locations,
    })
}

fn volume(element: &Element) -> Result<Volume> {
    let text = element.attribute("VolumeDimensions")?;
    let numbers: Option<Vec<usize>> = text
        .split(',')
        .map(|number| usize::from_str(number.trim()).ok())
        .collect();
    let shape = numbers.and_then(|numbers| <[usize; 3]>::try_from(numbers).ok());
    let shape = shape
        .ok_or_else(|| element.malformed("three numbers as VolumeDimensions".to_owned(), text))?;
    let transformation = "TransformationMatrixVoxelIndicesIJKtoXYZ";
    let matrix = element
        .first(transformation)
        .ok_or_else(|| element.malformed(format!("the element {transformation}"), "none"))?;
    let numbers = matrix.numbers::<f64>()?;
    let (rows, rest) = numbers.as_chunks::<4>();
    let affine = Affine::try_from(rows).ok().filter(|_| rest.is_empty());
    let mut affine = affine
        .ok_or_else(|| matrix.malformed("16 numbers".to_owned(), numbers.len().to_string()))?;
    // The numbers are in metres times this power of ten; millimetres are asked for.
    let exponent: i32 = matrix.number("MeterExponent")?;
    for value in affine.iter_mut().take(3).flatten() {
        *value = scaled(*value, exponent.saturating_add(3));
    }
    Ok(Volume { shape, affine })
}

fn numbers_of(element: &Element, name: &str) -> Result<Vec<usize>> {
    match element.first(name) {
        Some(child) => child.numbers(),
        None => Err(element.malformed(format!("the element {name}"), "none")),
    }
}
