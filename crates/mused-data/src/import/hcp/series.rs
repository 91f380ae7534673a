//! Time series, read twice: once for what they are scaled by, once for the responses.

use mused_formats::cifti::Cifti;
use mused_formats::nifti::Nifti;
use mused_stats::moments::Moments;
use ndarray::Array2;

use super::Scale;
use super::recordings::{Recording, Space};
use crate::import::checks::VoxelFlaws;
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

/// Least and largest value of a run at one place.
#[derive(Clone, Copy, Debug)]
struct Extent {
    least: f32,
    most: f32,
    finite: bool,
}

impl Extent {
    const NONE: Self = Self {
        least: f32::INFINITY,
        most: f32::NEG_INFINITY,
        finite: true,
    };

    fn add(&mut self, value: f32) {
        self.finite &= value.is_finite();
        self.least = self.least.min(value);
        self.most = self.most.max(value);
    }

    fn varies(&self) -> bool {
        self.least < self.most
    }

    fn scaling(&self, scale: Scale, mean: f64, variance: f64) -> Scaling {
        let (centre, spread) = match scale {
            Scale::Zscore => (mean, variance.sqrt()),
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
    let mut extents = vec![Extent::NONE; places];
    let mut scalings = Vec::with_capacity(places);
    // Variances are of the population, as scipy's zscore.
    match run.space {
        Space::Volume(_) => {
            let every: Vec<usize> = (0..places).collect();
            let mut moments = Moments::new(places);
            Nifti::open(&run.path)?.for_each_volume(&every, |_, values| {
                let own = extents.iter_mut().zip(values);
                own.for_each(|(extent, value)| extent.add(*value));
                moments.add(values);
                Ok::<_, Error>(())
            })?;
            let moments = moments.means().iter().zip(moments.population_variances());
            let own = extents.iter().zip(moments);
            scalings.extend(own.map(|(own, (mean, variance))| own.scaling(scale, *mean, variance)));
        }
        Space::Grayordinates(_) => {
            Cifti::open(&run.path)?.for_each_row(|place, values| {
                let mut moments = Moments::new(1);
                for value in values {
                    extents[place].add(*value);
                    moments.add(&[*value]);
                }
                let moments = moments.means().iter().zip(moments.population_variances());
                scalings.extend(
                    moments.map(|(m, variance)| extents[place].scaling(scale, *m, variance)),
                );
                Ok::<_, Error>(())
            })?;
        }
    }
    for (place, extent) in extents.iter().enumerate() {
        flaws.nan[place] |= !extent.finite;
        flaws.constant[place] |= extent.finite && !extent.varies();
    }
    Ok(scalings)
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
