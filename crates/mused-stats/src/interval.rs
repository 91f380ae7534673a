//! Confidence intervals over subjects and stimuli, crossed: every subject may see every stimulus.
//!
//! A mean score over subjects varies because other subjects would differ and because other stimuli would. Resampling
//! either alone leaves half of that out; resampling both at once (the pigeonhole bootstrap of Owen 2007) counts the
//! noise of single samples up to three times. So the jackknife over stimuli, a whole group at a time, gives the variance
//! of each subject's score and the covariance between subjects, and the model of Obuchowski & Rockette (1995) for
//! readers × cases puts the parts together: variance of the mean = MS/S + max(0, Cov), with S subjects, MS the variance
//! of their scores and Cov the mean covariance between two subjects. Degrees of freedom are Satterthwaite's,
//! V² / ((MS/S)²/(S - 1) + Cov²/(G - 1)) with G groups, which adds the groups' part to Hillis (2007). The interval is
//! estimate ± t · √V.
//!
//! With bootstrap variances in place of the jackknife's, fewer simulated intervals of average precision held the truth
//! (93 to 95 % against 94 to 96 %): resamples repeat and lose positives.
//!
//! An interval covers the score expected of a test set of this size: the average precision of few samples is higher than
//! that of many.

use ndarray::{ArrayView2, s};
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
/// `scores` and `targets` are \[rows, labels\]. Stimuli are left out a group at a time; nothing is random.
///
/// # Errors
/// Shapes that differ or are empty, scores that are not finite, targets that are neither 0 nor 1 or that differ between
/// subjects.
pub fn score_interval(
    scores: ArrayView2<f64>,
    targets: ArrayView2<u8>,
    samples: &Samples,
) -> Result<ByMetric<Answer<Interval>>> {
    let jackknifed = leave_out(scores, targets, samples)?;
    let interval = |metric: usize| {
        let mut interval = crossed(&jackknifed.by_subject(metric), samples.groups())?;
        (interval.low, interval.high) = (interval.low.max(0.0), interval.high.min(1.0));
        Ok(interval)
    };
    Ok(ByMetric {
        average_precision: interval(0),
        roc_auc: interval(1),
    })
}

/// The intervals of [`score_interval`], a label at a time.
///
/// # Errors
/// As [`score_interval`].
pub fn label_intervals(
    scores: ArrayView2<f64>,
    targets: ArrayView2<u8>,
    samples: &Samples,
) -> Result<ByMetric<Vec<Answer<Interval>>>> {
    check(&scores, &targets)?;
    let (mut average_precision, mut roc_auc) = (Vec::new(), Vec::new());
    for label in 0..scores.ncols() {
        let column = s![.., label..label + 1];
        let found = score_interval(scores.slice(column), targets.slice(column), samples)?;
        average_precision.push(found.average_precision);
        roc_auc.push(found.roc_auc);
    }
    Ok(ByMetric {
        average_precision,
        roc_auc,
    })
}

/// The 95 % interval of the mean of one number a subject, for other subjects (Student's t).
///
/// # Errors
/// Fewer than two subjects; numbers that are all equal.
pub fn over_subjects(values: &[f64]) -> Answer<Interval> {
    if values.len() < 2 {
        return Err(Unavailable::OneSubject);
    }
    let values = Values {
        observed: values.iter().copied().map(Some).collect(),
        without: Vec::new(),
    };
    crossed(&values, 0)
}

/// Scores of each subject, by metric (average precision, ROC-AUC).
pub(crate) type Scores = Vec<[Option<f64>; 2]>;

/// Scores of each subject: with all stimuli, and without each group of them.
pub(crate) struct Jackknifed {
    observed: Scores,
    without: Vec<Scores>,
}

/// One number a subject: with all stimuli, and without each group of them.
pub(crate) struct Values {
    pub(crate) observed: Vec<Option<f64>>,
    pub(crate) without: Vec<Vec<Option<f64>>>,
}

impl Jackknifed {
    /// Mean scores over models of the same samples; `None` where one of them has none.
    pub(crate) fn mean(models: &[Self]) -> Self {
        let mean = |scores: &dyn Fn(&Self) -> &Scores| -> Scores {
            let subjects = models.first().map_or(0, |model| scores(model).len());
            let of = |subject: usize, metric: usize| -> Option<f64> {
                let values = models.iter().map(|model| scores(model)[subject][metric]);
                summary::mean(&values.collect::<Option<Vec<_>>>()?)
            };
            (0..subjects)
                .map(|subject| [of(subject, 0), of(subject, 1)])
                .collect()
        };
        let groups = models.first().map_or(0, |model| model.without.len());
        Self {
            observed: mean(&|model| &model.observed),
            without: (0..groups)
                .map(|group| mean(&|model| &model.without[group]))
                .collect(),
        }
    }

    pub(crate) fn by_subject(&self, metric: usize) -> Values {
        let of = |scores: &Scores| scores.iter().map(|score| score[metric]).collect();
        Values {
            observed: of(&self.observed),
            without: self.without.iter().map(of).collect(),
        }
    }

    /// Differences from `other`, which has the same samples.
    pub(crate) fn minus(&self, other: &Self, metric: usize) -> Values {
        let of = |(a, b): (&Scores, &Scores)| -> Vec<Option<f64>> {
            let pairs = a.iter().zip(b);
            pairs.map(|(a, b)| Some(a[metric]? - b[metric]?)).collect()
        };
        Values {
            observed: of((&self.observed, &other.observed)),
            without: self.without.iter().zip(&other.without).map(of).collect(),
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

/// The macro scores of each subject with all stimuli, and without each group.
pub(crate) fn leave_out(
    scores: ArrayView2<f64>,
    targets: ArrayView2<u8>,
    samples: &Samples,
) -> Result<Jackknifed> {
    check(&scores, &targets)?;
    let weighable = Weighable::new(scores, &samples.positives(targets)?, samples);
    let groups = samples.groups();
    let blocks: Vec<Vec<Scores>> = (0..groups.div_ceil(LANES))
        .into_par_iter()
        .map(|block| {
            let stays =
                |group: usize| std::array::from_fn(|lane| u32::from(group != block * LANES + lane));
            let weights: Vec<Lanes> = samples.groups.iter().map(|&group| stays(group)).collect();
            weighable.scores(&weights)
        })
        .collect();
    let mut observed = weighable.scores(&vec![[1; LANES]; samples.stimuli()]);
    let mut without: Vec<Scores> = blocks.into_iter().flatten().collect();
    without.truncate(groups);
    Ok(Jackknifed {
        observed: observed.swap_remove(0),
        without,
    })
}

/// Average precision and ROC-AUC with each stimulus counted as often as its weight: those of [`crate::metrics`] where
/// its sample stands that many times in the data, none where one class is left.
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
            (pairs > 0.0).then(|| precisions[lane] / count),
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
        _ => Some(Covariances::new(&scored, &values.without)?),
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
        (None, None) => return Err(Unavailable::OneSubjectAndGroup),
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

/// What other stimuli would do to the scores.
struct Covariances {
    /// Variance of the mean over subjects.
    of_mean: f64,
    /// Mean covariance between two subjects.
    between: f64,
}

impl Covariances {
    fn new(scored: &[usize], without: &[Vec<Option<f64>>]) -> Answer<Self> {
        let complete: Option<Vec<Vec<f64>>> = without
            .iter()
            .map(|scores| scored.iter().map(|&subject| scores[subject]).collect())
            .collect();
        let complete = complete.ok_or(Unavailable::FewPositives)?;
        let groups = complete.len() as f64;
        // (G - 1)/G times the sum of squares (Efron & Stein 1981).
        let variance = |values: &[f64]| {
            summary::sample_sd(values).map_or(0.0, |sd| (sd * (groups - 1.0)).powi(2) / groups)
        };
        let sums: Vec<f64> = complete.iter().map(|scores| scores.iter().sum()).collect();
        let alone: f64 = (0..scored.len())
            .map(|subject| {
                variance(
                    &complete
                        .iter()
                        .map(|scores| scores[subject])
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

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array2};
    use proptest::prelude::*;

    use super::*;
    use crate::metrics::{average_precision, roc_auc};

    proptest! {
        /// A weight is a number of copies.
        #[test]
        fn weighted_scores_are_those_of_copies(
            samples in prop::collection::vec((0_u8..9, prop::bool::ANY, prop::array::uniform8(0_u32..4)), 1..30),
        ) {
            let scores = Array2::from_shape_fn((samples.len(), 1), |(row, _)| f64::from(samples[row].0));
            let stimuli: Vec<usize> = (0..samples.len()).collect();
            let design = Samples::new(&vec![0; samples.len()], &stimuli, &stimuli).unwrap();
            let has: Vec<bool> = samples.iter().map(|sample| sample.1).collect();
            let weights: Vec<Lanes> = samples.iter().map(|sample| sample.2).collect();
            let found = weighted_scores(&rank(scores.view(), &design)[0][0], &has, &weights);
            for (lane, found) in found.into_iter().enumerate() {
                let copies = || samples.iter().flat_map(|sample| std::iter::repeat_n(sample, sample.2[lane] as usize));
                let scores: Array1<f64> = copies().map(|sample| f64::from(sample.0)).collect();
                let targets: Array1<u8> = copies().map(|sample| u8::from(sample.1)).collect();
                let auc = roc_auc(scores.view(), targets.view()).ok().flatten();
                let expected = match scores.is_empty() {
                    true => [None, None],
                    false => [
                        average_precision(scores.view(), targets.view()).unwrap().filter(|_| auc.is_some()),
                        auc,
                    ],
                };
                prop_assert_eq!(found, expected);
            }
        }
    }
}
