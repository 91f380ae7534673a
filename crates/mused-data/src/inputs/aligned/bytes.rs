//! What fitting the maps takes of memory.

use std::collections::BTreeMap;

use super::own_scores::MOST_TOGETHER;
use super::{Alignment, PARTS, regions_of};
use crate::{Dataset, Sample};

/// What the process has beside: its code, its threads, tables of the dataset.
const PROCESS: f64 = 30e6;

/// About the bytes of a closed form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FitBytes {
    /// At any time.
    pub held: u64,
    /// And before anything is decomposed, and after.
    pub rows: u64,
    /// Or with each thread: so many parts are decomposed side by side.
    pub by_thread: u64,
}

impl FitBytes {
    /// With so many threads.
    pub fn with(self, threads: usize) -> u64 {
        let parts = threads.min(PARTS) as u64;
        let decomposed = self.by_thread.saturating_mul(parts);
        self.held.saturating_add(self.rows.max(decomposed))
    }

    /// And so much at any time.
    #[must_use]
    pub fn and(self, held: u64) -> Self {
        Self {
            held: self.held.saturating_add(held),
            ..self
        }
    }

    /// What is enough for either.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            held: self.held.max(other.held),
            rows: self.rows.max(other.rows),
            by_thread: self.by_thread.max(other.by_thread),
        }
    }

    /// Ridge regression whose penalty is chosen, of so many `samples` of `width` features that are read when they are needed.
    pub fn ridge(samples: usize, width: usize) -> Self {
        let [n, width] = [samples, width].map(|size| size as f64);
        let part = n / PARTS as f64;
        // What is decomposed, and which Gram matrix of all it is made of.
        let (smaller, gram) = match width > n - part {
            true => (n - part, n),
            false => (width, width),
        };
        // What the rows of every part say along eigenvectors.
        let held = gram.powi(2) + n * smaller;
        // A Gram matrix, its eigenvectors and two matrices that these take; rows of a part; and these with all penalties.
        let by_thread = 3.5 * smaller.powi(2) + 2.0 * part * smaller;
        Self {
            held: (8.0 * held) as u64,
            rows: (8.0 * n * (width - smaller)) as u64,
            by_thread: (8.0 * by_thread) as u64,
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
            let ridge = FitBytes::ridge(samples, at_once);
            let [n, voxels, v, targets, regions] =
                [samples, voxels, at_once, targets, regions.len()].map(|size| size as f64);
            // Responses; those of a region in double precision; weights and scores of all, read and to be read.
            let held =
                PROCESS + 4.0 * n * voxels + 8.0 * n * v + 16.0 * targets * (voxels + n * regions);
            ridge.and(held as u64)
        });
        each.fold(FitBytes::default(), FitBytes::max)
    }
}
