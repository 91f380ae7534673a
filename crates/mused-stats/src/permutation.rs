//! Permutation tests: how often scores as high arise when stimuli carry the labels of others.
//!
//! Two kinds, not to be confused. [`fixed_predictions`] keeps the decoder and its predictions and relabels the test
//! stimuli: it asks whether predictions say anything about the test labels. [`retrained_p_value`] takes scores of whole
//! pipelines trained and tested on labels moved by [`relabelling`]: it asks whether the method finds anything in such
//! data, choices of weights and parameters included. It costs a training run a permutation.
//!
//! Subjects share stimuli, so a relabelling is one of stimuli, the same for all subjects: were subjects relabelled one
//! by one, a label's peculiarities that all subjects meet would count as evidence several times.

use ndarray::ArrayView2;
use rayon::prelude::*;

use crate::metrics::{ByMetric, check};
use crate::ranking::{Column, rank};
use crate::relabelling::Blocks;
use crate::{Answer, Result, Samples, Unavailable, summary};

/// What may change places under the null hypothesis: the design of the experiment decides it, not the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// Any stimulus with any other. For separate images shown in random order over all runs.
    Stimuli,
    /// Stimuli of the same group only. For separate images whose groups (runs, sessions) differ in labels or signal:
    /// what distinguishes groups then is no evidence. Not for seconds of a film, which resemble their neighbours.
    StimuliWithinGroups,
    /// Whole groups with others of as many stimuli, the order within them kept. For groups whose stimuli depend on each
    /// other, such as frames of a clip. A group that is alone in its size stays where it is.
    Groups,
}

/// How many relabellings there were and could be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Relabellings {
    /// Base-2 logarithm of the number of different relabellings, the true one among them.
    pub attainable_log2: f64,
    /// How many were tried.
    pub tried: usize,
    /// Whether every different one was tried (the true one is among them) or they were drawn at random.
    pub exhaustive: bool,
}

/// A score held against its null distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tested {
    /// The score itself.
    pub observed: f64,
    /// One-sided: the share of relabellings that score at least as high, the true one counted (Phipson & Smyth 2010,
    /// eq. 2). A relabelling under which the score is undefined counts as one that does.
    pub p: f64,
    /// No p can be smaller with these labels and this many relabellings.
    pub smallest_p: f64,
    /// Mean score over the relabellings: what chance gives.
    pub null_mean: f64,
}

/// One metric.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreTest {
    /// The mean over subjects of the macro mean over labels.
    pub overall: Answer<Tested>,
    /// The overall score under each relabelling, without those that leave it undefined.
    pub null: Vec<f64>,
    /// A label's mean over subjects who can be scored on it; one entry a label. Correct for their number with
    /// [`crate::multiple::benjamini_hochberg`].
    pub labels: Vec<Answer<Tested>>,
}

/// Both metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct PermutationTest {
    /// How many relabellings there were and could be.
    pub relabellings: Relabellings,
    /// What they say of each metric.
    pub scores: ByMetric<ScoreTest>,
}

/// Relabellings handled together by one thread; their order in memory follows it, results do not depend on it.
const BLOCK: usize = 64;

/// Tests the scores of fixed predictions `scores` \[rows, labels\] against `targets` \[rows, labels\].
///
/// Scores are those of [`crate::metrics`] a subject, labels that cannot be scored left out: mean over labels, then over
/// subjects. Where no more than `permutations` different relabellings exist, each is tried once and p is exact;
/// otherwise that many are drawn, each from `seed` and its number alone.
///
/// # Errors
/// Shapes that differ or are empty, scores that are not finite, targets that are neither 0 nor 1 or that differ between
/// subjects.
pub fn fixed_predictions(
    scores: ArrayView2<f64>,
    targets: ArrayView2<u8>,
    samples: &Samples,
    exchange: Exchange,
    permutations: usize,
    seed: u64,
) -> Result<PermutationTest> {
    check(&scores, &targets)?;
    let positives = samples.positives(targets)?;
    let ranked = rank(scores, samples);
    let columns: Vec<Vec<Positions>> = ranked
        .iter()
        .map(|subjects| {
            subjects
                .iter()
                .map(|c| Positions::new(c, samples))
                .collect()
        })
        .collect();
    let labelled = Labelled { columns, positives };

    let blocks = Blocks::new(&samples.groups, exchange);
    let mut label_sets: Vec<Vec<u32>> = vec![Vec::new(); samples.stimuli()];
    for (label, stimuli) in labelled.positives.iter().enumerate() {
        for &stimulus in stimuli {
            label_sets[stimulus as usize].push(label as u32);
        }
    }
    let distinct = blocks.distinct(&label_sets);
    let all = distinct
        .count()
        .filter(|&count| count <= permutations as u128);
    let relabellings = Relabellings {
        attainable_log2: distinct.log2(),
        tried: all.map_or(permutations, |count| count as usize),
        exhaustive: all.is_some(),
    };

    let straight: Vec<u32> = (0..samples.stimuli() as u32).collect();
    let observed = labelled.score(&[straight]);
    let found: Vec<Scored> = (0..relabellings.tried.div_ceil(BLOCK))
        .into_par_iter()
        .map(|block| {
            let numbers = block * BLOCK..((block + 1) * BLOCK).min(relabellings.tried);
            let moved: Vec<Vec<u32>> = numbers
                .map(|number| match relabellings.exhaustive {
                    true => distinct.nth(number as u128),
                    false => blocks.draw(seed, number as u64),
                })
                .collect();
            labelled.score(&moved)
        })
        .collect();

    let smallest_of_label: Vec<f64> = labelled
        .positives
        .iter()
        .map(|stimuli| {
            let mut has = vec![false; samples.stimuli()];
            stimuli
                .iter()
                .for_each(|&stimulus| has[stimulus as usize] = true);
            relabellings.smallest_p(blocks.distinct(&has).probability())
        })
        .collect();
    let test = |metric: usize| {
        let null_of = |of: &dyn Fn(&Scored) -> &[Option<f64>]| -> Vec<Option<f64>> {
            found
                .iter()
                .flat_map(|block| of(block).iter().copied())
                .collect()
        };
        let null = null_of(&|block| &block.overall[metric]);
        let smallest = relabellings.smallest_p(distinct.probability());
        ScoreTest {
            overall: relabellings.test(observed.overall[metric][0], &null, smallest),
            null: null.into_iter().flatten().collect(),
            labels: (0..scores.ncols())
                .map(|label| {
                    let null = null_of(&|block| &block.labels[metric][label]);
                    let observed = observed.labels[metric][label][0];
                    relabellings.test(observed, &null, smallest_of_label[label])
                })
                .collect(),
        }
    };
    Ok(PermutationTest {
        relabellings,
        scores: ByMetric {
            average_precision: test(0),
            roc_auc: test(1),
        },
    })
}

/// A relabelling for a full-pipeline permutation: entry s is the stimulus whose labels stimulus s takes.
///
/// `groups` has one entry a stimulus, of training and test parts together. The same for the same `seed` and `index`.
pub fn relabelling(groups: &[usize], exchange: Exchange, seed: u64, index: u64) -> Vec<usize> {
    let moved = Blocks::new(groups, exchange).draw(seed, index);
    let mut source = vec![0; groups.len()];
    for (from, to) in moved.into_iter().enumerate() {
        source[to as usize] = from;
    }
    source
}

/// One-sided p of a score against scores of pipelines retrained on relabelled data: (1 + those at least as high) /
/// (1 + all) (Phipson & Smyth 2010, eq. 2). `None` where nothing was retrained or a score is not finite.
///
/// The smallest p attainable is 1 / (1 + `null.len()`).
pub fn retrained_p_value(observed: f64, null: &[f64]) -> Option<f64> {
    let finite = observed.is_finite() && null.iter().all(|score| score.is_finite());
    (finite && !null.is_empty()).then(|| {
        let as_high = null
            .iter()
            .filter(|score| reaches(**score, observed))
            .count();
        (1 + as_high) as f64 / (1 + null.len()) as f64
    })
}

/// Rounding must not part relabellings that change nothing from the true one.
pub(crate) fn reaches(score: f64, observed: f64) -> bool {
    score >= observed - 1e-12
}

impl Relabellings {
    fn smallest_p(&self, probability: f64) -> f64 {
        match self.exhaustive {
            true => probability,
            false => probability.max(1.0 / (1 + self.tried) as f64),
        }
    }

    fn test(&self, observed: Option<f64>, null: &[Option<f64>], smallest_p: f64) -> Answer<Tested> {
        let observed = observed.ok_or(Unavailable::NotScorable)?;
        if smallest_p >= 1.0 {
            return Err(Unavailable::NothingToExchange);
        }
        let as_high = |score: &&Option<f64>| score.is_none_or(|score| reaches(score, observed));
        let count = null.iter().filter(as_high).count();
        let defined: Vec<f64> = null.iter().flatten().copied().collect();
        Ok(Tested {
            observed,
            p: match self.exhaustive {
                true => count as f64 / null.len() as f64,
                false => (1 + count) as f64 / (1 + null.len()) as f64,
            },
            smallest_p,
            null_mean: summary::mean(&defined).unwrap_or(observed),
        })
    }
}

/// The samples of one subject ranked by one label's scores, looked up by stimulus.
struct Positions {
    /// Position of each stimulus from the highest score; [`ABSENT`] where the subject did not see it.
    of_stimulus: Vec<u32>,
    ties: Vec<(u32, u32)>,
    tied: bool,
}

const ABSENT: u32 = u32::MAX;

/// Ranked samples and the stimuli that have each label.
struct Labelled {
    /// By label, then subject.
    columns: Vec<Vec<Positions>>,
    positives: Vec<Vec<u32>>,
}

/// Scores under some relabellings, by metric (average precision, ROC-AUC).
struct Scored {
    /// One entry a relabelling.
    overall: [Vec<Option<f64>>; 2],
    /// By label; one entry a relabelling.
    labels: [Vec<Vec<Option<f64>>>; 2],
}

/// A mean that is being taken.
#[derive(Clone, Copy, Default)]
struct Mean {
    sum: f64,
    count: usize,
}

impl Mean {
    fn add(&mut self, value: Option<f64>) {
        if let Some(value) = value {
            self.sum += value;
            self.count += 1;
        }
    }

    fn get(self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

impl Labelled {
    fn score(&self, moved: &[Vec<u32>]) -> Scored {
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
    fn new(column: &Column, samples: &Samples) -> Self {
        let mut of_stimulus = vec![ABSENT; samples.stimuli()];
        for (position, &stimulus) in column.stimuli.iter().enumerate() {
            of_stimulus[stimulus as usize] = position as u32;
        }
        Self {
            of_stimulus,
            ties: column.ties.clone(),
            tied: column.ties.iter().any(|(start, end)| end - start > 1),
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
        let auc = (pairs > 0.0).then(|| half_pairs as f64 / (2.0 * pairs));
        [Some(sum / count as f64), auc]
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
