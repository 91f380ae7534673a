//! CIFTI-2: values of surface vertices and voxels together, as dense series, scalars and labels; read row by
//! row, dense scalars written.
//!
//! Format: "CIFTI-2", <https://www.nitrc.org/projects/cifti>: a NIfTI-2 file whose matrix is dimensions 5 and 6, with XML
//! in a header extension of code 32. A **row** is what lies together in the file: dimension 5, which the map for matrix
//! dimension 0 describes. In a .dtseries.nii a row is the time course of one vertex or voxel, in a .dscalar.nii its value
//! in every map. Not read: matrices of three dimensions; parcels are named but not taken apart.

mod axis;
mod matrix;
mod write;

pub use axis::{Axis, BrainModel, BrainModels, LabelMap, Location, Scalar, Series, Volume};
pub use matrix::Cifti;
pub use write::write_scalars;
