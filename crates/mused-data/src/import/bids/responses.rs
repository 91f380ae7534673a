//! One run's responses, from a single pass over its volumes.

use mused_formats::nifti::{Header, Nifti};
use mused_formats::npy::Dtype;
use mused_formats::table::Table;
use mused_stats::moments::Moments;
use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, Axis, s};

use super::events::RunEvents;
use super::runs::Run;
use super::{BidsConfig, Estimate, design, intervals};
use crate::import::checks::{MOST_LOST, VoxelFlaws};
use crate::{Error, Result};

/// Volumes that are weighed together, for speed.
const BLOCK: usize = 32;

/// Responses, trials × voxels of `mask`. Voxels that are not finite or never vary are noted.
pub(super) fn read(
    run: &Run,
    events: &RunEvents,
    mask: &[usize],
    config: &BidsConfig,
    flaws: &mut VoxelFlaws,
) -> Result<Array2<f64>> {
    let weights = weights(run, events, config)?;
    let voxels = mask.len();
    let mut responses = Array2::zeros((weights.nrows(), voxels));
    let mut block = Array2::zeros((BLOCK, voxels));
    let mut file = Nifti::open(&run.bold)?;
    let rounded = rounds(file.header());
    let mut statistics = Statistics::new(voxels, config.zscore || rounded);
    let last = run.timing.volumes - 1;
    file.for_each_volume(mask, |volume, values| -> Result<()> {
        let within = volume % BLOCK;
        for (slot, value) in block.row_mut(within).iter_mut().zip(values) {
            *slot = f64::from(*value);
        }
        statistics.add(values);
        if within + 1 == BLOCK || volume == last {
            let filled = block.slice(s![..=within, ..]);
            let part = weights.slice(s![.., volume - within..=volume]);
            general_mat_mul(1.0, &part, &filled, 1.0, &mut responses);
        }
        Ok(())
    })?;
    for (voxel, (nan, constant)) in flaws.nan.iter_mut().zip(&mut flaws.constant).enumerate() {
        let finite = statistics.finite[voxel];
        *nan |= !finite;
        *constant |= finite && statistics.constant[voxel];
    }
    if rounded {
        statistics.refuse_rounded(run)?;
    }
    if let Some(moments) = statistics.moments.filter(|_| config.zscore) {
        let mass = weights.sum_axis(Axis(1));
        // Of the population, as scipy's zscore.
        let variances = moments.population_variances();
        let moments = moments.means().iter().zip(variances);
        for (mut column, (mean, variance)) in responses.columns_mut().into_iter().zip(moments) {
            let sd = variance.sqrt();
            for (value, mass) in column.iter_mut().zip(&mass) {
                // A weighted sum of (x - mean) / sd.
                *value = if sd > 0.0 {
                    (*value - mass * mean) / sd
                } else {
                    0.0
                };
            }
        }
    }
    Ok(responses)
}

fn weights(run: &Run, events: &RunEvents, config: &BidsConfig) -> Result<Array2<f64>> {
    let trials = intervals(&events.trials);
    let estimate = config.estimate;
    if let Estimate::Window(window) = estimate {
        return Ok(design::window_weights(&trials, window, run.timing));
    }
    let mut nuisance = confounds(run, &config.confounds)?;
    for group in events.nuisance.values() {
        nuisance.push(design::regressor(group, run.timing));
    }
    design::beta_weights(&trials, &nuisance, estimate, config.drift, run.timing).map_err(|trial| {
        let own = trials.get(trial);
        let onset = own.map_or(f64::NAN, |trial| trial.onset);
        if trials.iter().filter(|other| Some(*other) == own).count() > 1 {
            let message = format!(
                "expected events of a model of betas at times of their own, found several at {onset} s of the same \
                 duration: what was shown once with several labels is one row, its labels separated by `;`"
            );
            return Error::invalid(&run.events, message);
        }
        Error::invalid(
            &run.events,
            format!(
                "expected a response that the model can tell from drift, confounds and other trials, \
                 found none for the event at {onset} s ({} trials, {} confounds, {} volumes): take \
                 fewer confounds, or lss in place of lsa",
                trials.len(),
                nuisance.len(),
                run.timing.volumes
            ),
        )
    })
}

/// The confound columns that are asked for.
fn confounds(run: &Run, names: &[String]) -> Result<Vec<Array1<f64>>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let Some(path) = &run.confounds else {
        let message = format!(
            "expected a table of confounds (desc-confounds_timeseries.tsv) beside it for {}, found none",
            names.join(", ")
        );
        return Err(Error::invalid(&run.bold, message));
    };
    let table = Table::read(path)?;
    if table.rows() != run.timing.volumes {
        let message = format!(
            "expected a row for each of the {} volumes of {}, found {}",
            run.timing.volumes,
            run.bold.display(),
            table.rows()
        );
        return Err(Error::invalid(path, message));
    }
    let mut columns = Vec::new();
    for name in names {
        let matching: Vec<&String> = match name.strip_suffix('*') {
            None => vec![name],
            Some(start) => table
                .columns()
                .iter()
                .filter(|c| c.starts_with(start))
                .collect(),
        };
        if matching.is_empty() {
            let message = format!("expected columns like {name}, found none");
            return Err(Error::invalid(path, message));
        }
        for name in matching {
            let column = table.column(name)?;
            let values: Vec<Option<f64>> = column.parse_optional()?;
            let known: Vec<f64> = values.iter().copied().flatten().collect();
            let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
            let mut filled = Array1::zeros(values.len());
            for (row, (slot, value)) in filled.iter_mut().zip(&values).enumerate() {
                *slot = match value {
                    Some(value) if value.is_finite() => *value,
                    // Differences have no first value; the mean says nothing there.
                    None if row == 0 && !known.is_empty() => mean,
                    _ => return Err(column.invalid(row, "a finite value").into()),
                };
            }
            columns.push(design::standardised(filled.view()));
        }
    }
    Ok(columns)
}

/// Whether values of such a file can be finer than single precision, in which they are read.
fn rounds(header: &Header) -> bool {
    let exact = matches!(
        header.dtype,
        Dtype::Bool | Dtype::U8 | Dtype::I8 | Dtype::U16 | Dtype::I16 | Dtype::F16 | Dtype::F32
    );
    !exact
        || header
            .scaling
            .is_some_and(|(_, intercept)| intercept != 0.0)
}

/// What a run's volumes say of each voxel.
struct Statistics {
    first: Vec<f32>,
    constant: Vec<bool>,
    finite: Vec<bool>,
    /// Where they are asked for: they take most of the time.
    moments: Option<Moments>,
}

impl Statistics {
    fn new(voxels: usize, moments: bool) -> Self {
        Self {
            first: Vec::new(),
            constant: vec![true; voxels],
            finite: vec![true; voxels],
            moments: moments.then(|| Moments::new(voxels)),
        }
    }

    fn add(&mut self, values: &[f32]) {
        if self.first.is_empty() {
            self.first = values.to_vec();
        }
        let flags = self.constant.iter_mut().zip(&self.first);
        for ((constant, first), value) in flags.zip(values) {
            *constant &= value == first;
        }
        for (finite, value) in self.finite.iter_mut().zip(values) {
            *finite &= value.is_finite();
        }
        if let Some(moments) = &mut self.moments {
            moments.add(values);
        }
    }

    /// Refuses voxels whose differences are lost in their level.
    fn refuse_rounded(&self, run: &Run) -> Result<()> {
        let Some(moments) = &self.moments else {
            return Ok(());
        };
        let levels = moments.means().iter();
        let variances = moments.population_variances();
        for (voxel, (level, variance)) in levels.zip(variances).enumerate() {
            // Errors of rounding are spread evenly over the distance of neighbouring numbers.
            let distance = level.abs() * f64::from(f32::EPSILON);
            if distance * distance / 12.0 > MOST_LOST * variance && !self.constant[voxel] {
                let message = format!(
                    "expected values that single precision can hold, found a voxel of mean {level} and standard \
                     deviation {}, which it rounds by up to {distance}: subtract each voxel's mean from its values \
                     before the import",
                    variance.sqrt()
                );
                return Err(Error::invalid(&run.bold, message));
            }
        }
        Ok(())
    }
}
