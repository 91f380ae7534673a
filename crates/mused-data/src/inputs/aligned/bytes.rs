//! What fitting the maps takes of memory.

use std::collections::BTreeMap;

use super::own_scores::MOST_TOGETHER;
use super::{Alignment, PARTS, regions_of};
use crate::{Dataset, Sample};

/// What the process has beside: its code, its threads, tables of the dataset.
const PROCESS: f64 = 30e6;

/// About the bytes that it takes to fit the maps of one subject, the largest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FitBytes {
    /// At any time.
    pub held: u64,
    /// And with each thread: so many parts are decomposed side by side.
    pub by_thread: u64,
}

impl FitBytes {
    /// With so many threads.
    pub fn with(self, threads: usize) -> u64 {
        let parts = threads.min(PARTS) as u64;
        self.held
            .saturating_add(self.by_thread.saturating_mul(parts))
    }

    /// What is enough for either.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            held: self.held.max(other.held),
            by_thread: self.by_thread.max(other.by_thread),
        }
    }
}

impl Alignment<'_> {
    /// About the memory that [`Self::fit`] takes, beside the inputs it returns.
    pub fn bytes(&self, dataset: &Dataset, training: &[Sample]) -> FitBytes {
        let mut own: BTreeMap<usize, usize> = BTreeMap::new();
        for sample in training {
            *own.entry(sample.subject).or_default() += 1;
        }
        let most = own.values().copied().max().unwrap_or(0);
        let components = usize::from(self.consensus) + usize::from(self.guidance.is_some());
        let likenesses = usize::from(self.stimuli) * most;
        let targets = components * self.components + likenesses + dataset.labels.names.len();
        let each = own.into_iter().map(|(subject, samples)| {
            let regions = regions_of(&dataset.subjects[subject]);
            let voxels: usize = regions.iter().map(|(_, columns)| columns.len()).sum();
            let largest = regions.iter().map(|(_, columns)| columns.len()).max();
            // All regions together are tried where that does not take long.
            let together = regions.len() > 1 && samples.min(voxels) <= MOST_TOGETHER;
            let at_once = if together {
                voxels
            } else {
                largest.unwrap_or(0)
            };
            let [n, voxels, v, targets, regions] =
                [samples, voxels, at_once, targets, regions.len()].map(|size| size as f64);
            let smaller = n.min(v);
            // Responses; those of a region in double precision, and its decomposition; weights and scores of all, read
            // and to be read; what each part says under each penalty.
            let held = PROCESS
                + 4.0 * n * voxels
                + 16.0 * n * v
                + 16.0 * targets * (voxels + n * regions)
                + 8.0 * 17.0 * n * targets;
            // Rows of the other parts, centred, as columns and times the vectors; the Gram matrix and its vectors.
            let by_thread =
                8.0 * (4.0 * n * v * (1.0 - 1.0 / PARTS as f64) + 4.0 * smaller * smaller);
            FitBytes {
                held: held as u64,
                by_thread: by_thread as u64,
            }
        });
        each.fold(FitBytes::default(), FitBytes::max)
    }
}
