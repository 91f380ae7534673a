//! Where a subject's voxels live, kept beside its responses: `mask.nii.gz`, or `grayordinates.dscalar.nii`
//! where they came from CIFTI.

use std::path::{Path, PathBuf};

use mused_formats::cifti::{Axis, BrainModels, Cifti, write_scalars};
use mused_formats::nifti::{NewNifti, Nifti, NiftiWriter};
use mused_formats::npy::Dtype;

use crate::{Error, Grid, Result, Subject, Voxel};

/// Values 1 where a voxel of the subject is, 0 elsewhere.
const MASK: &str = "mask.nii.gz";
/// One map: the number, from 1, of the response column of each vertex and voxel; 0 = none.
const GRAYORDINATES: &str = "grayordinates.dscalar.nii";

pub(crate) fn write_mask(folder: &Path, grid: &Grid, voxels: &[&Voxel]) -> Result<()> {
    let path = folder.join(MASK);
    let mut values = vec![0.0; grid.voxels()];
    for (column, voxel) in voxels.iter().enumerate() {
        let index = voxel.coordinate.and_then(|at| grid.index(at));
        let slot = index.and_then(|index| values.get_mut(index));
        let Some(slot) = slot else {
            let found = match voxel.coordinate {
                Some(at) => format!("{at:?}"),
                None => "no place (i, j, k)".to_owned(),
            };
            return Err(Error::Request(format!(
                "subject {}: expected voxels within the grid {:?} of the mask, found {found} for column {column}, roi {}: \
                 name the columns i, j and k of each in its table of voxels, or leave the mask out",
                folder.file_name().unwrap_or_default().display(),
                grid.shape,
                voxel.roi
            )));
        };
        *slot = 1.0;
    }
    let new = NewNifti {
        dtype: Dtype::U8,
        shape: grid.shape.to_vec(),
        affine: grid.affine,
        tr: None,
    };
    let mut writer = NiftiWriter::create(&path, &new)?;
    writer.write_volume(&values)?;
    Ok(writer.finish()?)
}

/// `columns` has the place in `brain` of each response column.
pub(crate) fn write_grayordinates(
    folder: &Path,
    brain: &BrainModels,
    columns: &[usize],
) -> Result<()> {
    let length = brain.models.iter().map(|model| model.length()).sum();
    let mut numbers = vec![0.0; length];
    for (column, place) in columns.iter().enumerate() {
        numbers[*place] = (column + 1) as f32;
    }
    let maps = [("column of responses, from 1", numbers.as_slice())];
    Ok(write_scalars(folder.join(GRAYORDINATES), brain, &maps)?)
}

/// Vertices and voxels of a CIFTI file, with the response column of each.
#[derive(Clone, Debug)]
pub struct Grayordinates {
    /// Structures with their vertices and voxels.
    pub brain: BrainModels,
    /// The response column of each vertex and voxel, in the order of `brain`.
    pub columns: Vec<Option<usize>>,
}

impl Subject {
    /// The path of a file of its folder, where there is one.
    pub(crate) fn file(&self, name: &str) -> Option<PathBuf> {
        let path = self.folder.as_ref()?.join(name);
        path.exists().then_some(path)
    }

    /// The grid that voxels' coordinates count in, from `mask.nii.gz`; `None` where there is no such file.
    ///
    /// # Errors
    /// When it cannot be read, or a voxel has no coordinate or lies where the mask is 0.
    pub fn grid(&self) -> Result<Option<Grid>> {
        let Some(path) = self.file(MASK) else {
            return Ok(None);
        };
        let mut file = Nifti::open(&path)?;
        let grid = Grid::of(file.header());
        let values = file.read_volume(0)?;
        for (column, voxel) in self.voxels.iter().enumerate() {
            let index = voxel.coordinate.and_then(|at| grid.index(at));
            let value = index.and_then(|index| values.get(index));
            if value.is_none_or(|value| *value == 0.0) {
                let at = voxel.coordinate;
                return Err(Error::invalid(
                    &path,
                    format!(
                        "expected a mask of 1 at every voxel of voxels.tsv, found none at {at:?}, \
                         row {column}"
                    ),
                ));
            }
        }
        Ok(Some(grid))
    }

    /// Where the columns lie on surfaces and in structures; `None` where they did not come from CIFTI.
    ///
    /// # Errors
    /// When the file cannot be read, or names columns that the responses do not have.
    pub fn grayordinates(&self) -> Result<Option<Grayordinates>> {
        let Some(path) = self.file(GRAYORDINATES) else {
            return Ok(None);
        };
        let mut file = Cifti::open(&path)?;
        let Axis::BrainModels(brain) = file.rows().clone() else {
            return Err(Error::invalid(&path, "expected brain models, found none"));
        };
        let numbers = file.read_all()?;
        let mut columns = Vec::with_capacity(numbers.nrows());
        for number in numbers.column(0) {
            let known = (0.0..=self.voxels.len() as f32).contains(number) && number.fract() == 0.0;
            if !known {
                let message = format!(
                    "expected numbers of columns from 0 to {}, found {number}",
                    self.voxels.len()
                );
                return Err(Error::invalid(&path, message));
            }
            columns.push((*number as usize).checked_sub(1));
        }
        Ok(Some(Grayordinates { brain, columns }))
    }
}
