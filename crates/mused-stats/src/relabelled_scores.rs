//! Scores of fixed predictions under many relabellings of the stimuli.

use ndarray::ArrayView2;

use crate::Samples;
use crate::ranking::{Column, rank};

/// The samples of one subject ranked by one label's scores, looked up by stimulus.
struct Positions {
    /// Position of each stimulus from the highest score; [`ABSENT`] where the subject did not see it.
    of_stimulus: Vec<u32>,
    ties: Vec<(u32, u32)>,
    tied: bool,
}

const ABSENT: u32 = u32::MAX;

/// Ranked samples and the stimuli that have each label.
pub(crate) struct Labelled {
    /// By label, then subject.
    columns: Vec<Vec<Positions>>,
    pub(crate) positives: Vec<Vec<u32>>,
}

/// Scores under some relabellings, by metric (average precision, ROC-AUC).
pub(crate) struct Scored {
    /// One entry a relabelling.
    pub(crate) overall: [Vec<Option<f64>>; 2],
    /// By label; one entry a relabelling.
    pub(crate) labels: [Vec<Vec<Option<f64>>>; 2],
}

/// A mean that is being taken.
#[derive(Clone, Copy, Default)]
pub(crate) struct Mean {
    sum: f64,
    count: usize,
}

impl Mean {
    pub(crate) fn add(&mut self, value: Option<f64>) {
        if let Some(value) = value {
            self.sum += value;
            self.count += 1;
        }
    }

    pub(crate) fn get(self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

impl Labelled {
    /// `scores` \[rows, labels\] that were checked; the stimuli that have each label.
    pub(crate) fn new(
        scores: ArrayView2<f64>,
        positives: Vec<Vec<u32>>,
        samples: &Samples,
    ) -> Self {
        let positions = |columns: Vec<Column>| {
            let columns = columns.into_iter();
            columns
                .map(|column| Positions::new(column, samples))
                .collect()
        };
        Self {
            columns: rank(scores, samples).into_iter().map(positions).collect(),
            positives,
        }
    }

    /// Scores where the labels of stimulus t have moved to stimulus `moved[relabelling][t]`.
    pub(crate) fn score(&self, moved: &[Vec<u32>]) -> Scored {
        let subjects = self.columns.first().map_or(0, Vec::len);
        let mut over_labels = vec![[Mean::default(); 2]; moved.len() * subjects];
        let mut labels = [Vec::new(), Vec::new()];
        let mut marks = Vec::new();
        for (columns, positives) in self.columns.iter().zip(&self.positives) {
            let mut over_subjects = vec![[Mean::default(); 2]; moved.len()];
            for (subject, column) in columns.iter().enumerate() {
                marks.resize(column.ties.len().div_ceil(64), 0);
                for (relabelling, moved) in moved.iter().enumerate() {
                    let scores = column.score(positives, moved, &mut marks);
                    for metric in 0..2 {
                        over_subjects[relabelling][metric].add(scores[metric]);
                        over_labels[relabelling * subjects + subject][metric].add(scores[metric]);
                    }
                }
            }
            for metric in 0..2 {
                labels[metric].push(
                    over_subjects
                        .iter()
                        .map(|mean| mean[metric].get())
                        .collect(),
                );
            }
        }
        let overall = |metric: usize| {
            let of_relabelling = |subjects: &[[Mean; 2]]| {
                let mut mean = Mean::default();
                subjects
                    .iter()
                    .for_each(|subject| mean.add(subject[metric].get()));
                mean.get()
            };
            over_labels
                .chunks(subjects.max(1))
                .map(of_relabelling)
                .collect()
        };
        Scored {
            overall: [overall(0), overall(1)],
            labels,
        }
    }
}

impl Positions {
    fn new(column: Column, samples: &Samples) -> Self {
        let mut of_stimulus = vec![ABSENT; samples.stimuli()];
        for (position, &stimulus) in column.stimuli.iter().enumerate() {
            of_stimulus[stimulus as usize] = position as u32;
        }
        Self {
            of_stimulus,
            tied: column.ties.iter().any(|(start, end)| end - start > 1),
            ties: column.ties,
        }
    }

    /// Average precision and ROC-AUC where `positives` have moved as `moved` says. `marks` is one bit a sample, all
    /// clear before and after.
    ///
    /// Ranks are fixed: the positives' positions are marked, and read back in order. Every sum and quotient is the one
    /// [`crate::metrics`] forms, so the results are equal to the last bit.
    fn score(&self, positives: &[u32], moved: &[u32], marks: &mut [u64]) -> [Option<f64>; 2] {
        let samples = self.ties.len();
        // Twice the mean position of each positive's tie.
        let (mut count, mut positions) = (0, 0_u64);
        for &stimulus in positives {
            let position = self.of_stimulus[moved[stimulus as usize] as usize];
            if position != ABSENT {
                let (start, end) = self.ties[position as usize];
                positions += u64::from(start + end);
                marks[position as usize / 64] |= 1 << (position % 64);
                count += 1;
            }
        }
        if count == 0 {
            return [None, None];
        }
        let sum = match self.tied {
            true => self.precisions_of_ties(marks),
            false => precisions(marks),
        };
        // Pairs of a positive and a negative that are ordered rightly, in halves; the square takes pairs of positives off.
        let half_pairs = (2 * samples * count) as u64 - positions - (count * count) as u64;
        let pairs = count as f64 * (samples - count) as f64;
        let defined = |score: f64| (pairs > 0.0).then_some(score);
        [
            defined(sum / count as f64),
            defined(half_pairs as f64 / (2.0 * pairs)),
        ]
    }

    /// Sum of the precisions at each marked position, ties entering together. Clears the marks.
    fn precisions_of_ties(&self, marks: &mut [u64]) -> f64 {
        let (mut sum, mut found, mut in_tie, mut tie_end) = (0.0, 0_u32, 0_u32, 1_u32);
        for (word, marks) in marks.iter_mut().enumerate() {
            let mut left = std::mem::take(marks);
            while left != 0 {
                let (_, end) = self.ties[word * 64 + left.trailing_zeros() as usize];
                if end != tie_end {
                    sum += f64::from(in_tie) * (f64::from(found) / f64::from(tie_end));
                    (in_tie, tie_end) = (0, end);
                }
                found += 1;
                in_tie += 1;
                left &= left - 1;
            }
        }
        sum + f64::from(in_tie) * (f64::from(found) / f64::from(tie_end))
    }
}

/// [`Positions::precisions_of_ties`] where no scores are equal.
fn precisions(marks: &mut [u64]) -> f64 {
    let (mut sum, mut found) = (0.0, 0_u32);
    for (word, marks) in marks.iter_mut().enumerate() {
        let mut left = std::mem::take(marks);
        while left != 0 {
            found += 1;
            let seen = word as u32 * 64 + left.trailing_zeros() + 1;
            sum += f64::from(found) / f64::from(seen);
            left &= left - 1;
        }
    }
    sum
}
