//! Permutation tests: how often scores as high arise when stimuli carry the labels of others.
//!
//! Two kinds, not to be confused. [`fixed_predictions`] keeps the decoder and its predictions and relabels the test
//! stimuli: it asks whether predictions say anything about the test labels. [`retrained_p_value`] takes scores of whole
//! pipelines trained and tested on labels moved by [`relabelling`]: it asks whether the method finds anything in such
//! data, choices of weights and parameters included. It costs a training run a permutation.
//!
//! Subjects share stimuli, so a relabelling is one of stimuli, the same for all subjects: were subjects relabelled one
//! by one, a label's peculiarities that all subjects meet would count as evidence several times.

use std::collections::{BTreeMap, BTreeSet};

use ndarray::ArrayView2;
use rayon::prelude::*;

use crate::metrics::{ByMetric, check};
use crate::relabelled_scores::{Labelled, Mean, Scored};
use crate::relabelling::{Blocks, Distinct};
use crate::{Answer, Result, Samples, Unavailable};

/// What may change places under the null hypothesis: the design of the experiment decides it, not the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// Any stimulus with any other. For separate images shown in random order over all runs.
    Stimuli,
    /// Whole groups with others of as many stimuli, the order within them kept. For groups whose stimuli depend on each
    /// other, such as frames of a clip. A group that is alone in its size stays where it is.
    Groups,
    /// All stimuli in their order along a circle, by a random number of places. For the seconds of films whose clips
    /// differ in length: every second keeps its neighbours, but where a clip or the circle ends. There are no more
    /// shifts than stimuli.
    Shift,
    /// Within each group, blocks with others of as many stimuli: stimuli shown one after the other that are labelled
    /// alike are a block. For designs with one label a stimulus, whose groups are runs that hold several.
    Blocks,
}

/// Fewest orders of groups from which a test by them can be sure of anything.
const FEWEST_ORDERS: f64 = 100.0;

impl Exchange {
    /// What may change places, for the groups of stimuli and their labels in the order they were shown: stimuli where
    /// each is its own group; blocks within groups where each has one label and groups hold several; else whole groups
    /// where they hold several stimuli, and all along a circle where too few groups are of the same size and each was
    /// shown in one piece.
    pub fn of(groups: &[usize], labels: &[Vec<u32>]) -> Self {
        let mut sizes: BTreeMap<usize, usize> = BTreeMap::new();
        for &group in groups {
            *sizes.entry(group).or_default() += 1;
        }
        if sizes.len() == groups.len() {
            return Self::Stimuli;
        }
        let mut labels_of: BTreeMap<usize, BTreeSet<&[u32]>> = BTreeMap::new();
        for (&group, labels) in groups.iter().zip(labels) {
            labels_of.entry(group).or_default().insert(labels);
        }
        let of_runs = !labels.is_empty()
            && labels.iter().all(|labels| labels.len() == 1)
            && (labels_of.iter()).all(|(group, labels)| labels.len() > 1 || sizes[group] == 1);
        if of_runs {
            return Self::Blocks;
        }
        let pieces = groups.chunk_by(|a, b| a == b).count();
        let whole = pieces == sizes.len();
        let mut of_size: BTreeMap<usize, usize> = BTreeMap::new();
        for size in sizes.into_values() {
            *of_size.entry(size).or_default() += 1;
        }
        let factors = of_size.into_values().flat_map(|groups| 2..=groups);
        let orders: f64 = factors.map(|factor| factor as f64).product();
        match whole && orders < FEWEST_ORDERS {
            true => Self::Shift,
            false => Self::Groups,
        }
    }

    /// Whether it asks in which order stimuli were shown.
    pub fn in_time(self) -> bool {
        matches!(self, Self::Shift | Self::Blocks)
    }
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
    pub observed: Option<f64>,
    /// It, held against its null distribution.
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

/// Blocks of a thread whose scores are in memory at once; so many that no thread waits long for the others.
const BLOCKS_A_THREAD: usize = 4;

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
    let labelled = Labelled::new(scores, samples.positives(targets)?, samples);
    let label_sets = samples.label_sets(&labelled.positives);
    let blocks = Blocks::new(&samples.pools(exchange), &label_sets, exchange);
    let distinct = blocks.distinct(&label_sets);
    let relabellings = Relabellings::of(&distinct, permutations);

    let straight: Vec<u32> = (0..samples.stimuli() as u32).collect();
    let observed = labelled.score(&[straight]);
    let block = |block: &usize| {
        let numbers = block * BLOCK..((block + 1) * BLOCK).min(relabellings.tried);
        let moved = numbers.map(|number| relabellings.number(&distinct, seed, number));
        labelled.score(&moved.collect::<Vec<_>>())
    };
    let mut overall = [Vec::new(), Vec::new()];
    let of_labels = |metric: usize| -> Vec<Null> {
        let observed = observed.labels[metric].iter();
        observed.map(|observed| Null::of(observed[0])).collect()
    };
    let mut of_labels = [of_labels(0), of_labels(1)];
    let all: Vec<usize> = (0..relabellings.tried.div_ceil(BLOCK)).collect();
    // A score a label and relabelling would be gigabytes where labels are many: they are counted in order, and let go.
    for some in all.chunks(BLOCKS_A_THREAD * rayon::current_num_threads()) {
        let found: Vec<Scored> = some.par_iter().map(block).collect();
        for block in found {
            for (metric, scores) in block.overall.into_iter().enumerate() {
                overall[metric].extend(scores);
            }
            for (nulls, labels) in of_labels.iter_mut().zip(&block.labels) {
                for (null, scores) in nulls.iter_mut().zip(labels) {
                    scores.iter().for_each(|score| null.add(*score));
                }
            }
        }
    }

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
        let observed = observed.overall[metric][0];
        let smallest = relabellings.smallest_p(distinct.probability());
        let labels = of_labels[metric].iter().zip(&smallest_of_label);
        ScoreTest {
            observed,
            overall: relabellings.test(&Null::over(observed, &overall[metric]), smallest),
            null: overall[metric].iter().flatten().copied().collect(),
            labels: labels
                .map(|(null, smallest)| relabellings.test(null, *smallest))
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
/// `groups` and `labels` have one entry a stimulus, of training and test parts together; for [`Exchange::Blocks`] a group
/// is of stimuli that the same subjects saw. The same for the same `seed` and `index`.
pub fn relabelling(
    groups: &[usize],
    labels: &[Vec<u32>],
    exchange: Exchange,
    seed: u64,
    index: u64,
) -> Vec<usize> {
    let moved = Blocks::new(groups, labels, exchange).draw(seed, index);
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
    /// All that differ, or so many of them.
    pub(crate) fn of(distinct: &Distinct<'_>, permutations: usize) -> Self {
        let all = distinct.count();
        let all = all.filter(|&count| count <= permutations as u128);
        Self {
            attainable_log2: distinct.log2(),
            tried: all.map_or(permutations, |count| count as usize),
            exhaustive: all.is_some(),
        }
    }

    /// The relabelling of a number below those tried, in the form of [`Blocks::draw`].
    pub(crate) fn number(&self, distinct: &Distinct<'_>, seed: u64, number: usize) -> Vec<u32> {
        match self.exhaustive {
            true => distinct.nth(number as u128),
            false => distinct.draw(seed, number as u64),
        }
    }

    pub(crate) fn smallest_p(&self, probability: f64) -> f64 {
        match self.exhaustive {
            true => probability,
            false => probability.max(1.0 / (1 + self.tried) as f64),
        }
    }

    pub(crate) fn test(&self, null: &Null, smallest_p: f64) -> Answer<Tested> {
        let observed = null.observed.ok_or(Unavailable::NotScorable)?;
        if smallest_p >= 1.0 {
            return Err(Unavailable::NothingToExchange);
        }
        Ok(Tested {
            observed,
            p: match self.exhaustive {
                true => null.as_high as f64 / null.tried as f64,
                false => (1 + null.as_high) as f64 / (1 + null.tried) as f64,
            },
            smallest_p,
            null_mean: null.mean.get().unwrap_or(observed),
        })
    }
}

/// What relabellings make of a score, counted one after another.
pub(crate) struct Null {
    /// Under the true labels.
    observed: Option<f64>,
    tried: usize,
    /// Those that score at least as high, or not at all.
    as_high: usize,
    mean: Mean,
}

impl Null {
    fn of(observed: Option<f64>) -> Self {
        Self {
            observed,
            tried: 0,
            as_high: 0,
            mean: Mean::default(),
        }
    }

    /// All scores of a null distribution.
    pub(crate) fn over(observed: Option<f64>, scores: &[Option<f64>]) -> Self {
        let mut null = Self::of(observed);
        scores.iter().for_each(|score| null.add(*score));
        null
    }

    fn add(&mut self, score: Option<f64>) {
        let as_high = |observed| score.is_none_or(|score| reaches(score, observed));
        self.tried += 1;
        self.as_high += usize::from(self.observed.is_some_and(as_high));
        self.mean.add(score);
    }
}
