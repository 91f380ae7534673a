//! Confidence intervals over subjects and stimuli, crossed: every subject may see every stimulus.
//!
//! A mean score over subjects varies because other subjects would differ and because other stimuli would. Resampling
//! either alone leaves half of that out; resampling both at once (the pigeonhole bootstrap of Owen 2007) counts the
//! noise of single samples up to three times. So the bootstrap over stimuli, whole groups at a time, gives the variance
//! of each subject's score and the covariance between subjects, and the model of Obuchowski & Rockette (1995) for
//! readers × cases puts the parts together: variance of the mean = MS/S + max(0, Cov), with S subjects, MS the variance
//! of their scores and Cov the mean covariance between two subjects. Degrees of freedom are Satterthwaite's,
//! V² / ((MS/S)²/(S - 1) + Cov²/(G - 1)) with G groups, which adds the groups' part to Hillis (2007). The interval is
//! estimate ± t · √V.
//!
//! It covers the score expected of a test set of this size: the average precision of few samples is higher than that of
//! many.

use ndarray::ArrayView2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::metrics::{ByMetric, check};
use crate::ranking::{Column, rank};
use crate::student::{quantile, upper_tail};
use crate::{Answer, Result, Samples, Unavailable, summary};

/// What an interval or a test speaks of beyond the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Population {
    /// Other subjects, with these stimuli.
    Subjects,
    /// Other stimuli, for these subjects.
    Stimuli,
    /// Other subjects and other stimuli.
    Both,
}

/// An estimate with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Mean over subjects.
    pub estimate: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Standard error of the estimate.
    pub standard_error: f64,
    /// Degrees of freedom of the t distribution.
    pub degrees_of_freedom: f64,
    /// What it generalises to: both where there are two subjects and two groups of stimuli.
    pub generalises_to: Population,
}

impl Interval {
    /// Two-sided p of a true value of 0.
    pub(crate) fn p_of_zero(&self) -> f64 {
        (2.0 * upper_tail(
            self.estimate.abs() / self.standard_error,
            self.degrees_of_freedom,
        ))
        .min(1.0)
    }
}

/// 95 % intervals of the mean over subjects of macro AP and ROC-AUC, as [`crate::metrics`] has them a subject.
///
/// `scores` and `targets` are \[rows, labels\]. Stimuli are resampled `draws` times (1,000 are plenty), by group. The
/// same bits for the same `seed`.
///
/// # Errors
/// Shapes that differ or are empty, scores that are not finite, targets that are neither 0 nor 1 or that differ between
/// subjects.
pub fn score_interval(
    scores: ArrayView2<f64>,
    targets: ArrayView2<u8>,
    samples: &Samples,
    draws: usize,
    seed: u64,
) -> Result<ByMetric<Answer<Interval>>> {
    let resampled = resample(scores, targets, samples, draws, seed)?;
    let interval = |metric: usize| {
        let mut interval = crossed(&resampled.by_subject(metric), samples.groups())?;
        (interval.low, interval.high) = (interval.low.max(0.0), interval.high.min(1.0));
        Ok(interval)
    };
    Ok(ByMetric {
        average_precision: interval(0),
        roc_auc: interval(1),
    })
}

/// Scores of each subject, by metric (average precision, ROC-AUC).
pub(crate) type Scores = Vec<[Option<f64>; 2]>;

/// Scores of each subject: of the data, and of every resample.
pub(crate) struct Resampled {
    observed: Scores,
    draws: Vec<Scores>,
}

/// One number a subject: of the data, and of every resample.
pub(crate) struct Values {
    pub(crate) observed: Vec<Option<f64>>,
    draws: Vec<Vec<Option<f64>>>,
}

impl Resampled {
    pub(crate) fn by_subject(&self, metric: usize) -> Values {
        let of = |scores: &Scores| scores.iter().map(|score| score[metric]).collect();
        Values {
            observed: of(&self.observed),
            draws: self.draws.iter().map(of).collect(),
        }
    }

    /// Differences from `other`, which was resampled alike.
    pub(crate) fn minus(&self, other: &Self, metric: usize) -> Values {
        let of = |(a, b): (&Scores, &Scores)| -> Vec<Option<f64>> {
            let pairs = a.iter().zip(b);
            pairs.map(|(a, b)| Some(a[metric]? - b[metric]?)).collect()
        };
        Values {
            observed: of((&self.observed, &other.observed)),
            draws: self.draws.iter().zip(&other.draws).map(of).collect(),
        }
    }
}

/// Weightings handled side by side.
pub(crate) const LANES: usize = 8;

/// Weights of one stimulus.
pub(crate) type Lanes = [u32; LANES];

/// Ranked samples and whether each stimulus has each label.
pub(crate) struct Weighable {
    /// By label: the stimuli that have it, and a column a subject.
    labels: Vec<(Vec<bool>, Vec<Column>)>,
    subjects: usize,
}

impl Weighable {
    /// `scores` \[rows, labels\] that were checked; the stimuli that have each label.
    pub(crate) fn new(scores: ArrayView2<f64>, positives: &[Vec<u32>], samples: &Samples) -> Self {
        let labels = positives.iter().zip(rank(scores, samples));
        let labels = labels.map(|(positives, columns)| {
            let mut has = vec![false; samples.stimuli()];
            positives
                .iter()
                .for_each(|&stimulus| has[stimulus as usize] = true);
            (has, columns)
        });
        Self {
            labels: labels.collect(),
            subjects: samples.subjects(),
        }
    }

    /// Macro scores of each subject, for each lane of the weights of the stimuli.
    pub(crate) fn scores(&self, weights: &[Lanes]) -> Vec<Scores> {
        let mut sums = vec![[[(0.0, 0_u32); 2]; LANES]; self.subjects];
        for (has, columns) in &self.labels {
            for (sums, column) in sums.iter_mut().zip(columns) {
                for (sums, scores) in sums.iter_mut().zip(weighted_scores(column, has, weights)) {
                    for (sum, score) in sums.iter_mut().zip(scores) {
                        sum.0 += score.unwrap_or(0.0);
                        sum.1 += u32::from(score.is_some());
                    }
                }
            }
        }
        let mean = |(sum, count): (f64, u32)| (count > 0).then(|| sum / f64::from(count));
        (0..LANES)
            .map(|lane| sums.iter().map(|lanes| lanes[lane].map(mean)).collect())
            .collect()
    }
}

pub(crate) fn resample(
    scores: ArrayView2<f64>,
    targets: ArrayView2<u8>,
    samples: &Samples,
    draws: usize,
    seed: u64,
) -> Result<Resampled> {
    check(&scores, &targets)?;
    let weighable = Weighable::new(scores, &samples.positives(targets)?, samples);
    let groups = samples.groups();
    let blocks: Vec<Vec<Scores>> = (0..draws.div_ceil(LANES))
        .into_par_iter()
        .map(|block| {
            let mut of_group = vec![[0; LANES]; groups];
            for lane in 0..LANES {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                rng.set_stream((block * LANES + lane) as u64);
                for _ in 0..groups {
                    of_group[rng.random_range(0..groups)][lane] += 1;
                }
            }
            let weights: Vec<Lanes> = samples
                .groups
                .iter()
                .map(|&group| of_group[group])
                .collect();
            weighable.scores(&weights)
        })
        .collect();
    let mut observed = weighable.scores(&vec![[1; LANES]; samples.stimuli()]);
    let mut resampled: Vec<Scores> = blocks.into_iter().flatten().collect();
    resampled.truncate(draws);
    Ok(Resampled {
        observed: observed.swap_remove(0),
        draws: resampled,
    })
}

/// Average precision and ROC-AUC with each stimulus counted as often as its weight: those of [`crate::metrics`] where
/// its sample stands that many times in the data.
fn weighted_scores(column: &Column, has: &[bool], weights: &[Lanes]) -> [[Option<f64>; 2]; LANES] {
    let (mut seen, mut found): (Lanes, Lanes) = ([0; LANES], [0; LANES]);
    let (mut precisions, mut positions) = ([0.0; LANES], [0.0; LANES]);
    let mut position = 0;
    while position < column.stimuli.len() {
        let end = column.ties[position].1 as usize;
        let before = seen;
        let (mut in_tie, mut any): (Lanes, bool) = ([0; LANES], false);
        for &stimulus in &column.stimuli[position..end] {
            let weight = &weights[stimulus as usize];
            for lane in 0..LANES {
                seen[lane] += weight[lane];
            }
            if has[stimulus as usize] {
                any = true;
                for lane in 0..LANES {
                    in_tie[lane] += weight[lane];
                }
            }
        }
        if any {
            for lane in 0..LANES {
                found[lane] += in_tie[lane];
                let positives = f64::from(in_tie[lane]);
                precisions[lane] +=
                    positives * (f64::from(found[lane]) / f64::from(seen[lane].max(1)));
                positions[lane] += positives * (f64::from(before[lane]) + f64::from(seen[lane]));
            }
        }
        position = end;
    }
    std::array::from_fn(|lane| {
        let (all, count) = (f64::from(seen[lane]), f64::from(found[lane]));
        let pairs = count * (all - count);
        let half_pairs = 2.0 * all * count - positions[lane] - count * count;
        [
            (count > 0.0).then(|| precisions[lane] / count),
            (pairs > 0.0).then(|| half_pairs / (2.0 * pairs)),
        ]
    })
}

/// The interval of the mean over the subjects that have a value.
pub(crate) fn crossed(values: &Values, groups: usize) -> Answer<Interval> {
    let scored: Vec<usize> = (0..values.observed.len())
        .filter(|&subject| values.observed[subject].is_some())
        .collect();
    let observed: Vec<f64> = values.observed.iter().flatten().copied().collect();
    let estimate = summary::mean(&observed).ok_or(Unavailable::NotScorable)?;
    let subjects = observed.len() as f64;
    let over_subjects = summary::sample_sd(&observed).map(|sd| sd * sd / subjects);
    let over_stimuli = match groups {
        0 | 1 => None,
        _ => Some(Covariances::new(&scored, &values.draws, groups)?),
    };
    let (variance, degrees_of_freedom, generalises_to) = match (over_subjects, over_stimuli) {
        (Some(subject), Some(Covariances { between, .. })) => {
            let (shared, variance) = (between.max(0.0), subject + between.max(0.0));
            let parts =
                subject * subject / (subjects - 1.0) + shared * shared / (groups as f64 - 1.0);
            (variance, variance * variance / parts, Population::Both)
        }
        (Some(subject), None) => (subject, subjects - 1.0, Population::Subjects),
        (None, Some(Covariances { of_mean, .. })) => {
            (of_mean, groups as f64 - 1.0, Population::Stimuli)
        }
        (None, None) => return Err(Unavailable::NothingToResample),
    };
    // Rounding leaves something of the variance of equal numbers.
    if variance.sqrt() <= 1e-12 {
        return Err(Unavailable::NoVariation);
    }
    let standard_error = variance.sqrt();
    let half = quantile(0.025, degrees_of_freedom) * standard_error;
    Ok(Interval {
        estimate,
        low: estimate - half,
        high: estimate + half,
        standard_error,
        degrees_of_freedom,
        generalises_to,
    })
}

/// What resampling stimuli does to the scores.
struct Covariances {
    /// Variance of the mean over subjects.
    of_mean: f64,
    /// Mean covariance between two subjects.
    between: f64,
}

impl Covariances {
    fn new(scored: &[usize], draws: &[Vec<Option<f64>>], groups: usize) -> Answer<Self> {
        let complete: Vec<Vec<f64>> = draws
            .iter()
            .filter_map(|draw| scored.iter().map(|&subject| draw[subject]).collect())
            .collect();
        if complete.len() < 2 || complete.len() * 20 < draws.len() * 19 {
            return Err(Unavailable::FewPositives);
        }
        // G groups drawn from G vary as much as (G - 1)/G of what groups of the population do.
        let unbiased = groups as f64 / (groups as f64 - 1.0);
        let variance =
            |values: &[f64]| summary::sample_sd(values).map_or(0.0, |sd| sd * sd * unbiased);
        let sums: Vec<f64> = complete.iter().map(|draw| draw.iter().sum()).collect();
        let alone: f64 = (0..scored.len())
            .map(|subject| {
                variance(
                    &complete
                        .iter()
                        .map(|draw| draw[subject])
                        .collect::<Vec<_>>(),
                )
            })
            .sum();
        let (all, subjects) = (variance(&sums), scored.len() as f64);
        Ok(Self {
            of_mean: all / (subjects * subjects),
            between: (all - alone) / (subjects * (subjects - 1.0)).max(1.0),
        })
    }
}
