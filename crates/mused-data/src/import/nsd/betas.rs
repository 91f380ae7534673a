//! Betas of a session, kept as the whole numbers they are stored as: exact sums make exact means.

use std::cell::RefCell;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use mused_formats::WholeFile;
use mused_formats::hdf5;
use mused_formats::nifti::Nifti;
use mused_formats::npy::Dtype;
use ndarray::Array2;

use super::regions::Regions;
use crate::Grid;
use crate::import::checks::{Findings, VoxelFlaws};
use crate::{Error, Result};

/// Stored betas are percent signal change times this (NSD data manual, for HDF5 and NIfTI alike).
const SCALE: f64 = 300.0;
/// Name of the dataset in an HDF5 file.
const DATASET: &str = "betas";
const VALUE_BYTES: usize = size_of::<i16>();

fn is_hdf5(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "hdf5")
}

/// Number of trials in a file, whose type and grid are checked.
pub(super) fn trials(path: &Path, regions: &Regions, findings: &mut Findings) -> Result<usize> {
    let wrong = |field: &str, expected: &str, found: String| {
        let message = format!("{field}: expected {expected}, found {found}");
        Err(Error::invalid(path, message))
    };
    if is_hdf5(path) {
        let betas = hdf5::File::open(path)?.dataset(DATASET)?;
        if *betas.dtype() != hdf5::DataType::Number(Dtype::I16) {
            return wrong(DATASET, "int16", betas.dtype().to_string());
        }
        let [x, y, z] = regions.grid.shape;
        return match betas.shape() {
            &[trials, depth, height, width] if [width, height, depth] == [x, y, z] => Ok(trials),
            found => {
                let expected = format!(
                    "trials × {z} × {y} × {x}, the grid of {} reversed",
                    regions.origin.display()
                );
                wrong(DATASET, &expected, format!("{found:?}"))
            }
        };
    }
    let file = Nifti::open(path)?;
    let header = file.header();
    if header.dtype != Dtype::I16 || header.scaling.is_some_and(|scaling| scaling != (1.0, 0.0)) {
        let found = format!("{}, scaling {:?}", header.dtype, header.scaling);
        return wrong("header", "int16 without scaling", found);
    }
    let Some(trials) = header.series() else {
        let found = format!("shape {:?}", header.shape);
        return wrong("header", "x × y × z × trials", found);
    };
    let grid = Grid::of(header);
    regions.grid.check(&regions.origin, &grid, path, findings)?;
    Ok(trials)
}

/// Stored values of the regions' voxels: trials × voxels.
pub(super) fn read(path: &Path, regions: &Regions, trials: usize) -> Result<Array2<i16>> {
    if is_hdf5(path) {
        let betas = hdf5::File::open(path)?.dataset(DATASET)?;
        return Ok(betas.read_columns_i16(&regions.indices)?);
    }
    let mut values = Array2::zeros((trials, regions.indices.len()));
    Nifti::open(path)?.for_each_volume(&regions.indices, |trial, volume| {
        let row = values.row_mut(trial).into_iter();
        // The header says int16 without scaling: every value is one.
        row.zip(volume)
            .for_each(|(value, read)| *value = *read as i16);
        Ok::<_, Error>(())
    })?;
    Ok(values)
}

/// Keeps the values of a session in a file.
pub(super) fn spill(values: &Array2<i16>, path: &Path) -> Result<()> {
    let mut out = WholeFile::create(path)?;
    for value in values {
        out.write_all(&value.to_le_bytes())
            .map_err(Error::io("cannot write", path))?;
    }
    Ok(out.finish()?)
}

/// Values of a session that were kept in a file.
pub(super) fn spilled(path: &Path, trials: usize, voxels: usize) -> Result<Array2<i16>> {
    let failed = || Error::io("cannot read", path);
    let mut file = File::open(path).map_err(failed())?;
    let mut values = Array2::zeros((trials, voxels));
    let mut bytes = vec![0; voxels * VALUE_BYTES];
    for row in values.rows_mut() {
        file.read_exact(&mut bytes).map_err(failed())?;
        let stored = bytes.as_chunks::<VALUE_BYTES>().0;
        for (value, stored) in row.into_iter().zip(stored) {
            *value = i16::from_le_bytes(*stored);
        }
    }
    Ok(values)
}

/// How a voxel's stored values become responses: (factor × value − offset) / divisor.
#[derive(Clone, Debug)]
struct Scaling {
    factor: f64,
    offset: Vec<f64>,
    divisor: Vec<f64>,
}

/// The chosen voxels of one session, on disk.
#[derive(Debug)]
pub(super) struct Session {
    path: PathBuf,
    file: RefCell<File>,
    scaling: Scaling,
}

impl Session {
    /// The session whose `values` are in the file `path`; notes voxels without variation.
    ///
    /// With `training`, which says of each trial whether it may be trained on, a voxel's values get mean 0 and variance
    /// 1 over those trials; without, they become percent signal change.
    pub(super) fn open(
        path: PathBuf,
        values: &Array2<i16>,
        training: Option<&[bool]>,
        flaws: &mut VoxelFlaws,
    ) -> Result<Self> {
        let file = File::open(&path).map_err(Error::io("cannot read", &path))?;
        let all = vec![true; values.nrows()];
        let moments = Moments::of(values, training.unwrap_or(&all));
        for (voxel, constant) in flaws.constant.iter_mut().enumerate() {
            *constant |= moments.spread(voxel) == 0;
        }
        Ok(Self {
            path,
            file: RefCell::new(file),
            scaling: match training {
                Some(_) => moments.zscore(),
                None => Scaling {
                    factor: 1.0,
                    offset: vec![0.0; values.ncols()],
                    divisor: vec![SCALE; values.ncols()],
                },
            },
        })
    }

    /// Adds the response of a trial to `sum`.
    fn add(&self, trial: usize, sum: &mut [f64], bytes: &mut [u8]) -> Result<()> {
        let mut file = self.file.borrow_mut();
        let start = trial as u64 * bytes.len() as u64;
        file.seek(SeekFrom::Start(start))
            .and_then(|_| file.read_exact(bytes))
            .map_err(Error::io("cannot read", &self.path))?;
        let Scaling {
            factor,
            offset,
            divisor,
        } = &self.scaling;
        let stored = bytes.as_chunks::<VALUE_BYTES>().0.iter();
        let scaling = offset.iter().zip(divisor);
        for ((sum, stored), (offset, divisor)) in sum.iter_mut().zip(stored).zip(scaling) {
            *sum += (factor * f64::from(i16::from_le_bytes(*stored)) - offset) / divisor;
        }
        Ok(())
    }
}

/// Sums over trials, a voxel; whole, therefore exact.
struct Moments {
    count: i64,
    sums: Vec<i64>,
    squares: Vec<i64>,
}

impl Moments {
    fn of(values: &Array2<i16>, chosen: &[bool]) -> Self {
        let mut moments = Self {
            count: 0,
            sums: vec![0; values.ncols()],
            squares: vec![0; values.ncols()],
        };
        for (row, _) in values
            .rows()
            .into_iter()
            .zip(chosen)
            .filter(|(_, chosen)| **chosen)
        {
            moments.count += 1;
            let sums = moments.sums.iter_mut().zip(&mut moments.squares);
            for (value, (sum, square)) in row.iter().zip(sums) {
                let value = i64::from(*value);
                *sum += value;
                *square += value * value;
            }
        }
        moments
    }

    /// The variance times the square of the count.
    fn spread(&self, voxel: usize) -> i64 {
        self.count * self.squares[voxel] - self.sums[voxel] * self.sums[voxel]
    }

    /// (x − mean) / sd with the count multiplied into both; sd divides by the count, as numpy's does.
    fn zscore(&self) -> Scaling {
        let voxels = 0..self.sums.len();
        Scaling {
            factor: self.count as f64,
            offset: self.sums.iter().map(|sum| *sum as f64).collect(),
            divisor: voxels
                .map(|voxel| (self.spread(voxel) as f64).sqrt())
                .collect(),
        }
    }
}

/// The mean response to some showings, each a session and a trial within it.
pub(super) fn mean(sessions: &[Session], showings: &[[usize; 2]], out: &mut [f32]) -> Result<()> {
    let mut sum = vec![0.0; out.len()];
    let mut bytes = vec![0; out.len() * VALUE_BYTES];
    for &[session, trial] in showings {
        sessions[session].add(trial, &mut sum, &mut bytes)?;
    }
    for (value, sum) in out.iter_mut().zip(sum) {
        *value = (sum / showings.len() as f64) as f32;
    }
    Ok(())
}
