//! Time series, read twice: once for what they are scaled by, once for the responses.

use mused_formats::cifti::Cifti;
use mused_formats::nifti::Nifti;
use ndarray::Array2;

use super::Scale;
use super::recordings::{Recording, Space};
use crate::import_checks::VoxelFlaws;
use crate::{Error, Result};

/// What a value is made of: (x - centre) / spread.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scaling {
    centre: f64,
    spread: f64,
}

impl Scaling {
    fn apply(self, value: f32) -> f32 {
        ((f64::from(value) - self.centre) / self.spread) as f32
    }
}

/// What all values of a run at one place have in common, in one pass.
#[derive(Clone, Copy, Debug)]
struct Moments {
    mean: f64,
    squares: f64,
    least: f32,
    most: f32,
    finite: bool,
}

impl Moments {
    const NONE: Self = Self {
        mean: 0.0,
        squares: 0.0,
        least: f32::INFINITY,
        most: f32::NEG_INFINITY,
        finite: true,
    };

    /// Takes the `count`th value in (Welford's update).
    fn add(&mut self, value: f32, count: f64) {
        self.finite &= value.is_finite();
        self.least = self.least.min(value);
        self.most = self.most.max(value);
        let value = f64::from(value);
        let before = value - self.mean;
        self.mean += before / count;
        self.squares += before * (value - self.mean);
    }

    fn varies(&self) -> bool {
        self.least < self.most
    }

    fn scaling(&self, scale: Scale, count: usize) -> Scaling {
        let (centre, spread) = match scale {
            // Of the population, as scipy's zscore.
            Scale::Zscore => (self.mean, (self.squares / count as f64).sqrt()),
            Scale::MinMax => {
                let least = f64::from(self.least);
                (least, f64::from(self.most) - least)
            }
            Scale::None => (0.0, 1.0),
        };
        Scaling { centre, spread }
    }
}

/// Reads a whole run: scalings by place of the file. Places that are not finite or do not vary are
/// noted in `flaws`.
pub(super) fn scalings(
    run: &Recording,
    scale: Scale,
    flaws: &mut VoxelFlaws,
) -> Result<Vec<Scaling>> {
    let places = run.space.places();
    let mut moments = vec![Moments::NONE; places];
    match run.space {
        Space::Volume(_) => {
            let every: Vec<usize> = (0..places).collect();
            Nifti::open(&run.path)?.for_each_volume(&every, |volume, values| {
                let count = (volume + 1) as f64;
                for (moments, value) in moments.iter_mut().zip(values) {
                    moments.add(*value, count);
                }
                Ok::<_, Error>(())
            })?;
        }
        Space::Grayordinates(_) => {
            Cifti::open(&run.path)?.for_each_row(|place, values| {
                for (volume, value) in values.iter().enumerate() {
                    moments[place].add(*value, (volume + 1) as f64);
                }
                Ok::<_, Error>(())
            })?;
        }
    }
    for (place, moments) in moments.iter().enumerate() {
        flaws.nan[place] |= !moments.finite;
        flaws.constant[place] |= moments.finite && !moments.varies();
    }
    let scalings = moments.iter();
    Ok(scalings
        .map(|moments| moments.scaling(scale, run.volumes))
        .collect())
}

/// Hands the scaled values at `places` of each of `volumes` (sorted) to `each`.
///
/// Of a volume series one volume is held, of grayordinates all that is asked for (volumes × places).
pub(super) fn for_each_response(
    run: &Recording,
    places: &[usize],
    scalings: &[Scaling],
    volumes: &[usize],
    mut each: impl FnMut(&[f32]) -> Result<()>,
) -> Result<()> {
    match run.space {
        Space::Volume(_) => {
            let scalings: Vec<Scaling> = places.iter().map(|place| scalings[*place]).collect();
            let mut row = vec![0.0; places.len()];
            Nifti::open(&run.path)?.for_each_volume(places, |volume, values| {
                if volumes.binary_search(&volume).is_err() {
                    return Ok(());
                }
                for ((slot, value), scaling) in row.iter_mut().zip(values).zip(&scalings) {
                    *slot = scaling.apply(*value);
                }
                each(&row)
            })
        }
        Space::Grayordinates(_) => {
            let mut file = Cifti::open(&run.path)?;
            let mut series = vec![0.0; run.volumes];
            let mut rows = Array2::zeros((volumes.len(), places.len()));
            for (place, mut column) in places.iter().zip(rows.columns_mut()) {
                file.read_row(*place, &mut series)?;
                for (slot, volume) in column.iter_mut().zip(volumes) {
                    *slot = scalings[*place].apply(series[*volume]);
                }
            }
            let mut rows = rows.rows().into_iter();
            rows.try_for_each(|row| each(row.as_slice().unwrap_or_default()))
        }
    }
}
