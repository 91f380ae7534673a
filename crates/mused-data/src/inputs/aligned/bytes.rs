//! What ridge regressions, and with them fitting the maps, take of memory.

use std::collections::BTreeMap;

use mused_stats::ridge::{SAID_AT_ONCE, relative_penalties};

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
    /// Beside it while sums over all rows are made, which is while no part is decomposed.
    pub sums: u64,
    /// Beside it on each thread while parts are decomposed side by side.
    pub by_thread: u64,
}

impl FitBytes {
    /// With so many threads.
    pub fn with(self, threads: usize) -> u64 {
        let parts = threads.min(PARTS) as u64;
        let decomposed = self.by_thread.saturating_mul(parts);
        self.held.saturating_add(self.sums.max(decomposed))
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
            sums: self.sums.max(other.sums),
            by_thread: self.by_thread.max(other.by_thread),
        }
    }

    /// Of [`mused_stats::ridge::cross_fit_of`]: ridge regression whose penalty is chosen, of so many `samples` of `width` features,
    /// which are read when they are needed, onto so many `targets`.
    pub fn ridge(samples: usize, width: usize, targets: usize) -> Self {
        let [n, width, targets] = [samples, width, targets].map(|size| size as f64);
        let part = n / PARTS as f64;
        // What is decomposed, and which Gram matrix of all it is made of.
        let (smaller, gram) = match width > n - part {
            true => (n - part, n),
            false => (width, width),
        };
        // What the rows of every part say along eigenvectors, and what targets are along these; targets, less their mean too.
        let said = n * smaller + PARTS as f64 * smaller * targets;
        let held = gram.powi(2) + said + 3.0 * n * targets;
        // What the rows of a part say under several penalties.
        let most = targets * relative_penalties().len() as f64;
        let columns = (SAID_AT_ONCE as f64 / part).clamp(targets, most);
        let errors = (smaller + part) * columns + 3.0 * part * targets;
        Self {
            held: (8.0 * held) as u64,
            sums: (8.0 * n * (width - smaller)) as u64,
            by_thread: decomposed(smaller, part).max((8.0 * errors) as u64),
        }
    }

    /// Of [`mused_stats::banded::weights`], of so many groups of features that are in memory.
    pub fn banded(samples: usize, groups: usize) -> Self {
        let n = samples as f64;
        let part = n / PARTS as f64;
        Self {
            // A kernel a group, their sum, that of the others, and what is tried.
            held: (8.0 * (groups + 3) as f64 * n.powi(2)) as u64,
            sums: 0,
            by_thread: decomposed(n - part, part),
        }
    }
}

/// Bytes of a Gram matrix of this size, its eigenvectors and two matrices that these take, and of the rows of a part.
fn decomposed(size: f64, part: f64) -> u64 {
    (8.0 * (3.5 * size.powi(2) + part * size)) as u64
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
            let ridge = FitBytes::ridge(samples, at_once, targets);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_made_while_nothing_is_decomposed() {
        let bytes = FitBytes {
            held: 1,
            sums: 10,
            by_thread: 3,
        };
        let with = [1, 3, 4, 100].map(|threads| bytes.with(threads));
        // A part a thread at most.
        assert_eq!(with, [11, 11, 13, 19]);
        assert_eq!(bytes.and(5).with(4), 18);
    }
}
