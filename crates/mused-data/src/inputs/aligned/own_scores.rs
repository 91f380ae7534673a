//! A subject's own scores of the labels, from its regions and all of them together.

use std::collections::BTreeSet;

use mused_stats::{ridge, stacking};
use ndarray::{Array1, Array2, ArrayView2, Axis, s};

/// Standard deviation, over training samples, of the mean over regions of the scores of a label that are read.
const READ_SD: f64 = 0.5;

/// Most samples, or voxels where they are fewer, of which all regions together are tried: time grows with the third power.
pub(super) const MOST_TOGETHER: usize = 3000;

/// The map of a subject's region.
pub(super) struct RegionMap {
    pub(super) region: String,
    /// Its voxels among the subject's.
    pub(super) columns: Vec<u32>,
    /// Of its voxels.
    pub(super) mean: Array1<f64>,
    /// Voxels × targets.
    pub(super) weights: Array2<f64>,
    /// Samples × targets.
    pub(super) held_out: Array2<f64>,
}

/// The subject's own scores of the labels.
pub(super) struct Own {
    /// What each region adds.
    pub(super) regions: Vec<Share>,
    /// What the scores of regions that are read are multiplied by: one a label.
    pub(super) read_scale: Array1<f64>,
}

/// What a region adds to the subject's own scores.
pub(super) struct Share {
    /// Voxels × labels.
    pub(super) weights: Array2<f64>,
    /// Samples × labels.
    pub(super) held_out: Array2<f64>,
}

impl Own {
    /// The stacked regression of every region and of all of them together, as what each region adds to it.
    pub(super) fn stacked(
        fitted: &[RegionMap],
        values: &Array2<f32>,
        truth: ArrayView2<'_, f64>,
        parts: &[usize],
    ) -> mused_stats::Result<Self> {
        let labels = truth.ncols();
        let scores = |of: &Array2<f64>| of.slice(s![.., of.ncols() - labels..]).to_owned();
        let of_region = |map: &RegionMap| Share {
            weights: scores(&map.weights),
            held_out: scores(&map.held_out),
        };
        let mut regions: Vec<Share> = fitted.iter().map(of_region).collect();
        let together =
            match regions.len() > 1 && values.nrows().min(values.ncols()) <= MOST_TOGETHER {
                true => together(fitted, values, truth, parts)?,
                false => Vec::new(),
            };
        let sum = |of: &[Share]| {
            let held_out = of.iter().map(|share| share.held_out.clone());
            held_out.reduce(|sum, own| sum + own).unwrap_or_default()
        };
        let read = sum(&regions) / regions.len().max(1) as f64;
        let mut predictions: Vec<Array2<f64>> =
            regions.iter().map(|share| share.held_out.clone()).collect();
        if !together.is_empty() {
            predictions.push(sum(&together));
        }
        let views: Vec<ArrayView2<'_, f64>> = predictions.iter().map(|own| own.view()).collect();
        let mean = truth.mean_axis(Axis(0)).unwrap_or_default();
        let shares = stacking::weights(&views, (&truth - &mean).view())?;
        for (share, own) in shares.iter().zip(&mut regions) {
            own.weights *= *share;
            own.held_out *= *share;
        }
        let share = shares.last().copied().unwrap_or(0.0);
        for (own, all) in regions.iter_mut().zip(&together) {
            own.weights.scaled_add(share, &all.weights);
            own.held_out.scaled_add(share, &all.held_out);
        }
        let unit = inverse_sd(&sum(&regions)) * regions.len() as f64;
        for own in &mut regions {
            own.weights *= &unit;
            own.held_out *= &unit;
        }
        Ok(Self {
            regions,
            read_scale: inverse_sd(&read) * READ_SD,
        })
    }
}

/// One regression of all regions, as what each of them adds.
fn together(
    fitted: &[RegionMap],
    values: &Array2<f32>,
    truth: ArrayView2<'_, f64>,
    parts: &[usize],
) -> mused_stats::Result<Vec<Share>> {
    let x = values.mapv(f64::from);
    let labels = truth.ncols();
    let all = ridge::cross_fit(x.view(), truth, &[labels], parts)?;
    let columns = |map: &RegionMap| -> Vec<usize> {
        map.columns.iter().map(|&column| column as usize).collect()
    };
    let mut shares: Vec<Share> = (fitted.iter())
        .map(|map| Share {
            weights: all.model.weights.select(Axis(0), &columns(map)),
            held_out: Array2::zeros((x.nrows(), labels)),
        })
        .collect();
    let penalty = all.penalties.first().copied().unwrap_or(1.0);
    let sum = x.sum_axis(Axis(0));
    for part in parts.iter().copied().collect::<BTreeSet<usize>>() {
        let (rows, others): (Vec<usize>, Vec<usize>) =
            (0..parts.len()).partition(|&row| parts[row] == part);
        let y = truth.select(Axis(0), &others);
        let model = ridge::fit(|| Ok(x.select(Axis(0), &others)), y.view(), penalty)?;
        let own = x.select(Axis(0), &rows);
        let mean = (&sum - &own.sum_axis(Axis(0))) / others.len() as f64;
        let own = own - &mean;
        for (share, map) in shares.iter_mut().zip(fitted) {
            let columns = columns(map);
            let added = own
                .select(Axis(1), &columns)
                .dot(&model.weights.select(Axis(0), &columns));
            for (&row, added) in rows.iter().zip(added.rows()) {
                share.held_out.row_mut(row).assign(&added);
            }
        }
    }
    Ok(shares)
}

/// One over the standard deviation of each column, 0 where there is none.
fn inverse_sd(values: &Array2<f64>) -> Array1<f64> {
    let inverse = |sd: f64| if sd > 1e-9 { sd.recip() } else { 0.0 };
    values.std_axis(Axis(0), 0.0).mapv(inverse)
}
