//! Samples of one subject ranked once by their scores for one label.

use ndarray::ArrayView2;
use rayon::prelude::*;

use crate::Samples;

/// Samples from the highest score to the lowest.
pub(crate) struct Column {
    /// Stimulus at each position.
    pub(crate) stimuli: Vec<u32>,
    /// First position of the tie that each position belongs to, and one past its last.
    pub(crate) ties: Vec<(u32, u32)>,
}

impl Column {
    fn new(mut samples: Vec<(f64, u32)>) -> Self {
        samples.sort_unstable_by(|(a, _), (b, _)| b.total_cmp(a));
        let mut ties = Vec::with_capacity(samples.len());
        for tied in samples.chunk_by(|(a, _), (b, _)| a == b) {
            let start = ties.len();
            let tie = (start as u32, (start + tied.len()) as u32);
            ties.extend(std::iter::repeat_n(tie, tied.len()));
        }
        let stimuli = samples.into_iter().map(|(_, stimulus)| stimulus).collect();
        Self { stimuli, ties }
    }
}

/// A column for each label and subject, of `scores` \[rows, labels\] that were checked.
pub(crate) fn rank(scores: ArrayView2<f64>, samples: &Samples) -> Vec<Vec<Column>> {
    (0..scores.ncols())
        .into_par_iter()
        .map(|label| {
            let column = |rows: &Vec<(usize, usize)>| {
                let samples = rows.iter();
                Column::new(
                    samples
                        .map(|&(row, stimulus)| (scores[[row, label]], stimulus as u32))
                        .collect(),
                )
            };
            samples.subjects.iter().map(column).collect()
        })
        .collect()
}
