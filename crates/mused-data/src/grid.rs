use std::path::Path;

use mused_formats::nifti::{Affine, Header};

use crate::import::{Check, Findings};
use crate::{Error, Result};

/// Distance in mm up to which two grids are one.
const SAME_PLACE: f64 = 0.01;

/// Where the voxels of a volume lie.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// Numbers of voxels along i, j, k.
    pub shape: [usize; 3],
    /// From voxel indices to millimetres.
    pub affine: Affine,
}

impl Grid {
    /// The grid of an image; a dimension it lacks has length 1.
    pub fn of(header: &Header) -> Self {
        let length = |axis: usize| header.shape.get(axis).copied().unwrap_or(1);
        Self {
            shape: [length(0), length(1), length(2)],
            affine: header.affine,
        }
    }

    /// Number of voxels.
    pub fn voxels(&self) -> usize {
        self.shape.iter().product()
    }

    /// Position i, j, k of the voxel at an index, i fastest.
    pub fn coordinate(&self, voxel: usize) -> [i32; 3] {
        let [width, height, _] = self.shape;
        let position = [
            voxel % width,
            voxel / width % height,
            voxel / width / height,
        ];
        position.map(|index| index as i32)
    }

    /// Index of the voxel at a position, i fastest; `None` outside the grid.
    pub fn index(&self, coordinate: [i32; 3]) -> Option<usize> {
        let mut index = 0;
        for (position, length) in coordinate.into_iter().zip(self.shape).rev() {
            let position = usize::try_from(position).ok().filter(|p| *p < length)?;
            index = index * length + position;
        }
        Some(index)
    }

    /// Compares the grid of a mask or run at `path` with this one, of the file at `own`.
    pub(crate) fn check(
        &self,
        own: &Path,
        other: &Self,
        path: &Path,
        findings: &mut Findings,
    ) -> Result<()> {
        if self.shape != other.shape {
            let message = format!(
                "expected the grid {:?} of {}, found {:?}",
                self.shape,
                own.display(),
                other.shape
            );
            return Err(Error::invalid(path, message));
        }
        let distance = self.distance(other);
        if distance <= SAME_PLACE {
            return Ok(());
        }
        if !distance.is_finite() {
            let nowhere = [(own, self), (path, other)];
            let is_nowhere = |grid: &Self| !grid.affine.iter().flatten().all(|v| v.is_finite());
            let mut nowhere = nowhere.into_iter().filter(|(_, grid)| is_nowhere(grid));
            let at = nowhere.next().map_or(path, |(path, _)| path);
            let message = format!(
                "{}: expected an affine of finite numbers (sform or qform), found others: where its voxels lie is not known",
                at.display()
            );
            return findings.report(Check::Affine, message);
        }
        let message = format!(
            "{}: expected the position of {}, found voxels up to {distance:.2} mm away from theirs",
            path.display(),
            own.display()
        );
        findings.report(Check::Affine, message)
    }

    /// Largest distance in mm between corresponding corners.
    fn distance(&self, other: &Self) -> f64 {
        let corner = |bits: usize| {
            let end = |axis: usize| (self.shape[axis] - 1) as f64 * ((bits >> axis) & 1) as f64;
            let index = [end(0), end(1), end(2), 1.0];
            let difference = |row: usize| -> f64 {
                let terms = self.affine[row].iter().zip(&other.affine[row]).zip(index);
                terms.map(|((a, b), at)| (a - b) * at).sum()
            };
            (0..3)
                .map(|row| difference(row).powi(2))
                .sum::<f64>()
                .sqrt()
        };
        // NaN, which `f64::max` passes over, is no distance at all.
        let corners = (0..8).map(corner);
        corners.fold(0.0, |most, d| if d <= most { most } else { d })
    }
}
