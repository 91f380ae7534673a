//! Which voxels of a subject are imported, and to which region each belongs.

use std::path::{Path, PathBuf};

use mused_formats::nifti::Nifti;

use super::runs::Run;
use super::{BidsConfig, Region};
use crate::grid::Grid;
use crate::import::atlas;
use crate::import::checks::Findings;
use crate::import::pattern::{self, Captured};
use crate::{Error, Result, Voxel};

/// Name of the region of all voxels.
const WHOLE: &str = "brain";

/// Voxels of a subject.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    /// Index in a volume, i fastest; a voxel of two regions occurs twice.
    pub(super) mask: Vec<usize>,
    pub(super) voxels: Vec<Voxel>,
    /// Files that decided it.
    pub(super) files: Vec<PathBuf>,
}

impl Chosen {
    fn push(&mut self, voxel: usize, grid: &Grid, roi: &str) {
        self.mask.push(voxel);
        self.voxels.push(Voxel {
            roi: roi.to_owned(),
            coordinate: Some(grid.coordinate(voxel)),
            reference: None,
        });
    }
}

pub(super) fn select(
    root: &Path,
    config: &BidsConfig,
    subject: &str,
    runs: &[Run],
    findings: &mut Findings,
) -> Result<Chosen> {
    let mut chosen = Chosen::default();
    let Some(run) = runs.first() else {
        return Ok(chosen);
    };
    let grid = &run.grid;
    if config.regions.is_empty() {
        for voxel in 0..grid.voxels() {
            chosen.push(voxel, grid, WHOLE);
        }
        return Ok(chosen);
    }
    let locate = |pattern: &str| locate(pattern, root, config, subject);
    for region in &config.regions {
        match region {
            Region::Mask { name, path } => {
                let path = locate(path)?;
                let values = read(&path, run, findings)?;
                for voxel in atlas::mask(&path, &values)? {
                    chosen.push(voxel, grid, name);
                }
                chosen.files.push(path);
            }
            Region::Atlas { path, names } => {
                let path = locate(path)?;
                let names = names.as_deref().map(locate).transpose()?;
                let values = read(&path, run, findings)?;
                let voxels = atlas::voxels(&path, &values, names.as_deref(), findings)?;
                for (voxel, roi) in voxels {
                    chosen.push(voxel, grid, &roi);
                }
                chosen.files.push(path);
                chosen.files.extend(names);
            }
        }
    }
    Ok(chosen)
}

fn locate(pattern: &str, root: &Path, config: &BidsConfig, subject: &str) -> Result<PathBuf> {
    let place = Captured {
        subject: Some(subject.to_owned()),
        ..Captured::default()
    };
    let filled = pattern::fill(pattern, &place)
        .map_err(|message| Error::Request(format!("region {pattern:?}: {message}")))?;
    let folders = config
        .derivatives
        .iter()
        .map(PathBuf::as_path)
        .chain([root]);
    let paths = folders.map(|folder| folder.join(&filled));
    // A link that leads nowhere is named when it is opened.
    let mut paths = paths.filter(|path| path.is_file() || path.is_symlink());
    paths.next().ok_or_else(|| {
        let message = format!("expected {filled} (a region of subject {subject}), found none");
        Error::invalid(root, message)
    })
}

/// The values of an image on the grid of a run.
fn read(path: &Path, run: &Run, findings: &mut Findings) -> Result<Vec<f32>> {
    let mut file = Nifti::open(path)?;
    let grid = Grid::of(file.header());
    run.grid.check(&run.bold, &grid, path, findings)?;
    if file.header().volumes() != 1 {
        let message = format!("expected one volume, found shape {:?}", file.header().shape);
        return Err(Error::invalid(path, message));
    }
    Ok(file.read_volume(0)?)
}
