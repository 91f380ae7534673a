use mused_stats::moments::varies;
use mused_stats::pca::Pca;
use ndarray::Array2;
use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

use super::layout::{Slot, contiguous};
use super::{Average, Sample, SubjectInputs, ZScore};
use crate::{Dataset, Error, Result, Subject};

/// Sums that a product keeps apart, so that the compiler may add them at once.
const LANES: usize = 16;

/// A linear map of a subject's region into its slot, fitted on its training samples: principal components, or what regions
/// are aligned by ([`Alignment`](super::Alignment)).
///
/// All principal components of a region are divided by one number, the root mean square of their standard
/// deviations over training samples: regions and subjects come at one scale, and within a region the
/// first component still varies most.
#[derive(Clone, Debug, PartialEq)]
pub struct Projection {
    /// Name of the region.
    pub region: String,
    /// Subtracted from the (z-scored) values of the region's voxels, in the subject's order.
    pub mean: Vec<f32>,
    /// Loadings, components × voxels, row by row; none where the region never varies.
    pub weights: Vec<f32>,
}

impl Projection {
    /// Number of components.
    pub fn components(&self) -> usize {
        self.weights.len() / self.mean.len().max(1)
    }

    /// At most `most` components of every region of a subject over its samples `own`.
    pub(super) fn fit(
        dataset: &Dataset,
        subject: usize,
        z_score: Option<&ZScore>,
        own: &[Sample],
        most: usize,
    ) -> Result<Vec<Self>> {
        let Subject { id, .. } = &dataset.subjects[subject];
        if own.len() < 2 {
            return Err(Error::Request(format!(
                "subject {id}: principal components need 2 training samples or more, found {}",
                own.len()
            )));
        }
        let values = z_scored_rows(dataset, z_score, own)?;
        let fit = |(region, columns): &(&str, Vec<u32>)| {
            let value =
                |(row, column): (usize, usize)| f64::from(values[[row, columns[column] as usize]]);
            let mut rows = Array2::from_shape_fn((own.len(), columns.len()), value);
            for mut voxel in rows.columns_mut() {
                // What rounding left of a constant voxel would become a component where nothing else varies.
                if let Some((first, mean)) = voxel.first().copied().zip(voxel.mean())
                    && !varies(mean, voxel.std(1.0))
                {
                    voxel.fill(first);
                }
            }
            let pca = Pca::fit(rows.view(), most).map_err(|error| {
                Error::Request(format!("subject {id}, region {region}: {error}"))
            })?;
            let scale = pca.variances.mean().map_or(1.0, f64::sqrt).recip();
            Ok(Self {
                region: (*region).to_owned(),
                mean: pca.mean.iter().map(|mean| *mean as f32).collect(),
                weights: pca.components.iter().map(|x| (x * scale) as f32).collect(),
            })
        };
        regions_of(&dataset.subjects[subject])
            .par_iter()
            .map(fit)
            .collect()
    }
}

/// Responses to samples of one subject, z-scored where they are: samples × voxels.
pub(super) fn z_scored_rows(
    dataset: &Dataset,
    z_score: Option<&ZScore>,
    own: &[Sample],
) -> Result<Array2<f32>> {
    let voxels = |sample: &Sample| dataset.subjects[sample.subject].voxels.len();
    let width = own.first().map_or(0, voxels);
    let mut values = vec![0.0; own.len() * width];
    values
        .par_chunks_exact_mut(width.max(1))
        .zip(own)
        .try_for_each_init(Average::default, |average, (row, sample)| {
            let response = average.read(dataset, sample)?;
            row.copy_from_slice(z_scored(response, z_score, &mut Vec::new()));
            Ok::<_, Error>(())
        })?;
    // As many values as that by construction.
    Ok(Array2::from_shape_vec((own.len(), width), values).unwrap_or_default())
}

/// Names of a subject's regions, in the order of their first voxels, with their columns.
pub(super) fn regions_of(subject: &Subject) -> Vec<(&str, Vec<u32>)> {
    let mut regions: Vec<(&str, Vec<u32>)> = Vec::new();
    for (column, voxel) in (0_u32..).zip(subject.voxels.iter()) {
        match regions.iter_mut().find(|(name, _)| *name == voxel.roi) {
            Some((_, columns)) => columns.push(column),
            None => regions.push((&voxel.roi, vec![column])),
        }
    }
    regions
}

/// Z-scored values, in `buffer` where there are any to compute.
fn z_scored<'v>(
    response: &'v [f32],
    z_score: Option<&ZScore>,
    buffer: &'v mut Vec<f32>,
) -> &'v [f32] {
    let Some(ZScore { mean, scale }) = z_score else {
        return response;
    };
    let fitted = mean.iter().zip(scale);
    let values = response.iter().zip(fitted);
    buffer.clear();
    buffer.extend(values.map(|(value, (mean, scale))| (value - mean) * scale));
    buffer
}

/// Slots as long as the most components that any subject has there.
pub(super) fn slots(wanted: &[Slot], subjects: &[SubjectInputs]) -> Result<Vec<Slot>> {
    let mut lengths = Vec::with_capacity(wanted.len());
    for Slot { name, .. } in wanted {
        let all = subjects.iter().filter_map(|s| s.projections.as_deref());
        let own = all.flatten().filter(|own| own.region == *name);
        match own.map(Projection::components).max() {
            Some(length) if length > 0 => lengths.push((name.clone(), length)),
            _ => {
                return Err(Error::Request(format!(
                    "region {name} never varies over any subject's training samples: it has no \
                     principal components"
                )));
            }
        }
    }
    Ok(contiguous(lengths.into_iter()))
}

/// A projection with where it reads and writes.
#[derive(Debug)]
struct Place {
    /// Among the subject's projections.
    projection: usize,
    /// Voxels of the region among the subject's.
    columns: Vec<u32>,
    /// First value in the input row.
    offset: usize,
}

/// How a subject's regions are projected into an input row.
#[derive(Debug)]
pub(super) struct Projector {
    places: Vec<Place>,
    /// Whether the subject has any component in each slot.
    pub(super) has_slot: Vec<bool>,
}

impl Projector {
    pub(super) fn new(
        slots: &[Slot],
        projections: &[Projection],
        subject: &Subject,
    ) -> Result<Self> {
        let mut has_slot = vec![false; slots.len()];
        let mut places = Vec::new();
        for (region, columns) in regions_of(subject) {
            let projection = projections.iter().position(|own| own.region == region);
            let slot = slots.iter().position(|slot| slot.name == region);
            let (Some(projection), Some(slot)) = (projection, slot) else {
                return Err(Error::Request(format!(
                    "subject {}: region {region:?} is not among those the model was trained with",
                    subject.id
                )));
            };
            let own = &projections[projection];
            if own.mean.len() != columns.len() {
                return Err(Error::Request(format!(
                    "subject {}: region {region}: expected the {} voxels that the model was fitted on, \
                     found {}",
                    subject.id,
                    own.mean.len(),
                    columns.len()
                )));
            }
            let components = own.components();
            if components > slots[slot].length {
                return Err(Error::Request(format!(
                    "subject {}: region {region}: expected at most {} values, found {components}",
                    subject.id, slots[slot].length
                )));
            }
            has_slot[slot] = components > 0;
            places.push(Place {
                projection,
                columns,
                offset: slots[slot].offset,
            });
        }
        Ok(Self { places, has_slot })
    }

    /// Writes the components of a response into an input row of zeros.
    pub(super) fn project(&self, inputs: &SubjectInputs, response: &[f32], row: &mut [f32]) {
        let mut buffer = Vec::new();
        let values = z_scored(response, inputs.z_score.as_ref(), &mut buffer);
        let projections = inputs.projections.as_deref().unwrap_or_default();
        let mut centred = Vec::new();
        for place in &self.places {
            let Projection { mean, weights, .. } = &projections[place.projection];
            let own = place.columns.iter().zip(mean);
            centred.clear();
            centred.extend(own.map(|(column, mean)| values[*column as usize] - mean));
            let components = weights.chunks_exact(centred.len());
            for (to, loadings) in row[place.offset..].iter_mut().zip(components) {
                *to = product(loadings, &centred);
            }
        }
    }
}

/// Σ a·b, in an order that is the same everywhere.
fn product(a: &[f32], b: &[f32]) -> f32 {
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0_f32; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}
