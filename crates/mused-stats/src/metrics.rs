//! Metrics of multi-label decoding, as scikit-learn defines them.
//!
//! Scores are probabilities (or anything that orders samples) of shape \[samples, labels\], targets are 0 or 1 in the
//! same shape. All functions refuse shapes that differ, empty inputs, scores that are not finite and targets that are
//! neither 0 nor 1: a metric of such input would be a number that means nothing.

use ndarray::{ArrayView, ArrayView1, ArrayView2, Axis, Dimension, IntoDimension};

use crate::{Error, Result};

/// A label counts as predicted where its score is at least this. Scores of exactly 0.5 are positive: the published
/// code's Hamming loss (in `golden/metrics.safetensors`, which holds such scores) is met by >= and not by >.
pub const THRESHOLD: f64 = 0.5;

/// What a label that all samples have, or none, counts for in the macro means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Undefined {
    /// It is left out of the mean, and counted.
    #[default]
    Exclude,
    /// As scikit-learn: average precision 0 without a positive, 1 without a negative; ROC-AUC (NaN there) left out and counted.
    Sklearn,
    /// As the published code: average precision as scikit-learn, ROC-AUC 1. For comparison with its numbers only: it flatters.
    Reference,
}

/// One value for each of the two metrics that rank samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByMetric<T> {
    /// For average precision.
    pub average_precision: T,
    /// For the area under the ROC curve.
    pub roc_auc: T,
}

/// Scores of one label.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelScore {
    /// Number of samples that have the label.
    pub positives: usize,
    /// Fraction of samples that have the label.
    pub prevalence: f64,
    /// Average precision; where there is one class only, what [`Undefined`] says.
    pub average_precision: Option<f64>,
    /// Area under the ROC curve; where there is one class only, what [`Undefined`] says.
    pub roc_auc: Option<f64>,
}

/// What a decoder that knows nothing reaches on the same targets. Report it beside every score.
#[derive(Clone, Debug, PartialEq)]
pub struct Floors {
    /// Macro average precision of constant scores: the mean prevalence of the labels in the macro mean.
    pub chance_average_precision: Option<f64>,
    /// Expected macro average precision of a random ranking (see [`random_average_precision`]), over the same labels.
    pub random_average_precision: Option<f64>,
    /// Hamming loss of predicting no label at all.
    pub all_zero_hamming_loss: f64,
    /// ROC-AUC of constant scores, and the expectation for random ones: 0.5.
    pub roc_auc: f64,
}

/// Scores of all labels, their means, and the floors to hold them against.
#[derive(Clone, Debug, PartialEq)]
pub struct MultiLabelScores {
    /// Number of samples.
    pub samples: usize,
    /// One entry a label, in column order.
    pub labels: Vec<LabelScore>,
    /// Mean average precision over the labels that have one; `None` where none has.
    pub macro_average_precision: Option<f64>,
    /// Number of labels left out of [`Self::macro_average_precision`].
    pub excluded_average_precision: usize,
    /// Mean ROC-AUC over the labels that have one; `None` where none has.
    pub macro_roc_auc: Option<f64>,
    /// Number of labels left out of [`Self::macro_roc_auc`].
    pub excluded_roc_auc: usize,
    /// Average precision of all samples × labels ranked together; `None` where nothing is positive.
    pub micro_average_precision: Option<f64>,
    /// Fraction of samples × labels predicted wrongly at [`THRESHOLD`].
    pub hamming_loss: f64,
    /// Fraction of samples whose labels are all predicted rightly at [`THRESHOLD`].
    pub subset_accuracy: f64,
    /// What knowing nothing would give.
    pub floors: Floors,
}

/// All metrics of `scores` \[samples, labels\] against `targets` \[samples, labels\].
///
/// # Errors
/// Shapes that differ or are empty, a score that is not finite, a target that is neither 0 nor 1.
pub fn score(
    scores: ArrayView2<f64>,
    targets: ArrayView2<u8>,
    undefined: Undefined,
) -> Result<MultiLabelScores> {
    check(&scores, &targets)?;
    let samples = scores.nrows();
    let (no_precision, no_auc) = match undefined {
        Undefined::Exclude => (None, None),
        Undefined::Sklearn => (Some(0.0), None),
        Undefined::Reference => (Some(0.0), Some(1.0)),
    };
    // Where everything is positive every ranking is perfect: 1 says nothing of the scores.
    let exclude = undefined == Undefined::Exclude;
    let columns = scores.axis_iter(Axis(1)).zip(targets.axis_iter(Axis(1)));
    let labels: Vec<LabelScore> = columns
        .map(|(scores, targets)| {
            let ranking = Ranking::new(&scores, &targets);
            LabelScore {
                positives: ranking.positives,
                prevalence: ranking.positives as f64 / samples as f64,
                average_precision: ranking
                    .average_precision()
                    .filter(|_| !exclude || ranking.negatives > 0)
                    .or(no_precision),
                roc_auc: ranking.roc_auc().or(no_auc),
            }
        })
        .collect();

    let (macro_average_precision, excluded_average_precision) =
        mean_of_defined(&labels, |l| l.average_precision);
    let (macro_roc_auc, excluded_roc_auc) = mean_of_defined(&labels, |l| l.roc_auc);
    let in_macro_precision = |l: &LabelScore| l.average_precision.is_some();
    let (chance, _) = mean_of_defined(&labels, |l| in_macro_precision(l).then_some(l.prevalence));
    let (random, _) = mean_of_defined(&labels, |l| {
        in_macro_precision(l).then(|| random_average_precision(l.positives, samples).unwrap_or(0.0))
    });
    let (all_positives, _) = mean_of_defined(&labels, |l| Some(l.prevalence));
    Ok(MultiLabelScores {
        samples,
        macro_average_precision,
        excluded_average_precision,
        macro_roc_auc,
        excluded_roc_auc,
        micro_average_precision: Ranking::new(&scores, &targets).average_precision(),
        hamming_loss: wrong_fraction(&scores, &targets),
        subset_accuracy: right_rows(&scores, &targets),
        floors: Floors {
            chance_average_precision: chance,
            random_average_precision: random,
            all_zero_hamming_loss: all_positives.unwrap_or(0.0),
            roc_auc: 0.5,
        },
        labels,
    })
}

/// Average precision of one label, Σ (R_k - R_{k-1}) P_k over the distinct scores from the highest down
/// (`sklearn.metrics.average_precision_score`); tied samples enter together. `None` where there is no positive.
///
/// # Errors
/// As [`score`].
pub fn average_precision(scores: ArrayView1<f64>, targets: ArrayView1<u8>) -> Result<Option<f64>> {
    check(&scores, &targets)?;
    Ok(Ranking::new(&scores, &targets).average_precision())
}

/// Area under the ROC curve of one label (`sklearn.metrics.roc_auc_score`): the probability that a positive scores
/// above a negative, a tie counting one half. `None` where there is only one class.
///
/// # Errors
/// As [`score`].
pub fn roc_auc(scores: ArrayView1<f64>, targets: ArrayView1<u8>) -> Result<Option<f64>> {
    check(&scores, &targets)?;
    Ok(Ranking::new(&scores, &targets).roc_auc())
}

/// Average precision of all samples × labels ranked together (`average_precision_score(average="micro")`). `None` where
/// nothing is positive.
///
/// # Errors
/// As [`score`].
pub fn micro_average_precision(
    scores: ArrayView2<f64>,
    targets: ArrayView2<u8>,
) -> Result<Option<f64>> {
    check(&scores, &targets)?;
    Ok(Ranking::new(&scores, &targets).average_precision())
}

/// Fraction of samples × labels predicted wrongly at [`THRESHOLD`] (`sklearn.metrics.hamming_loss`).
///
/// # Errors
/// As [`score`].
pub fn hamming_loss(scores: ArrayView2<f64>, targets: ArrayView2<u8>) -> Result<f64> {
    check(&scores, &targets)?;
    Ok(wrong_fraction(&scores, &targets))
}

/// Fraction of samples whose labels are all predicted rightly at [`THRESHOLD`] (`sklearn.metrics.accuracy_score`).
///
/// # Errors
/// As [`score`].
pub fn subset_accuracy(scores: ArrayView2<f64>, targets: ArrayView2<u8>) -> Result<f64> {
    check(&scores, &targets)?;
    Ok(right_rows(&scores, &targets))
}

/// Expected average precision of a random ranking without ties: (H_n + (r - 1)(n - H_n) / (n - 1)) / n for r positives
/// among n samples, H_n the n-th harmonic number. `None` where r is 0 or more than n.
///
/// Prevalence is only the limit of large n: for 2 positives among 18 samples this is .242, more than twice .111.
/// (Rank k holds a positive with probability r/n, and then 1 + (k - 1)(r - 1)/(n - 1) of the first k are expected to be
/// positive; the mean of their quotient by k over positives gives the formula.)
pub fn random_average_precision(positives: usize, samples: usize) -> Option<f64> {
    if positives == 0 || positives > samples {
        return None;
    }
    let (r, n) = (positives as f64, samples as f64);
    // Smallest terms first, for accuracy.
    let harmonic: f64 = (1..=samples).rev().map(|k| 1.0 / k as f64).sum();
    let others = if samples == 1 {
        0.0
    } else {
        (r - 1.0) * (n - harmonic) / (n - 1.0)
    };
    Some((harmonic + others) / n)
}

/// Samples from the highest score to the lowest, with tied ones together.
pub(crate) struct Ranking {
    /// For each distinct score from the highest: how many samples have it, and how many of them are positive.
    ties: Vec<(usize, usize)>,
    pub(crate) positives: usize,
    pub(crate) negatives: usize,
}

impl Ranking {
    /// Down to each distinct score: samples seen, and positives among them.
    pub(crate) fn cumulative(&self) -> impl Iterator<Item = (usize, usize)> {
        self.ties.iter().scan((0, 0), |(seen, found), tied| {
            *seen += tied.0;
            *found += tied.1;
            Some((*seen, *found))
        })
    }

    pub(crate) fn new<D: Dimension>(
        scores: &ArrayView<f64, D>,
        targets: &ArrayView<u8, D>,
    ) -> Self {
        let mut samples: Vec<(f64, u8)> = scores
            .iter()
            .copied()
            .zip(targets.iter().copied())
            .collect();
        samples.sort_unstable_by(|(a, _), (b, _)| b.total_cmp(a));
        let positives_among =
            |samples: &[(f64, u8)]| samples.iter().filter(|(_, target)| *target == 1).count();
        // Equality by ==, so that -0.0 and 0.0, which total_cmp keeps side by side, are a tie.
        let ties = samples
            .chunk_by(|(a, _), (b, _)| a == b)
            .map(|tied| (tied.len(), positives_among(tied)))
            .collect();
        let positives = positives_among(&samples);
        Self {
            ties,
            positives,
            negatives: samples.len() - positives,
        }
    }

    fn average_precision(&self) -> Option<f64> {
        let (mut found, mut seen, mut sum) = (0, 0, 0.0);
        for &(samples, positives) in &self.ties {
            found += positives;
            seen += samples;
            sum += positives as f64 * (found as f64 / seen as f64);
        }
        (self.positives > 0).then(|| sum / self.positives as f64)
    }

    fn roc_auc(&self) -> Option<f64> {
        // Pairs of a positive and a negative that are ordered rightly, in halves so that ties stay whole numbers.
        let (mut found, mut half_pairs) = (0, 0);
        for &(samples, positives) in &self.ties {
            half_pairs += (samples - positives) * (2 * found + positives);
            found += positives;
        }
        let pairs = self.positives as f64 * self.negatives as f64;
        (pairs > 0.0).then(|| half_pairs as f64 / (2.0 * pairs))
    }
}

/// Mean over the labels that have a value, and the number of those that have none.
fn mean_of_defined(
    labels: &[LabelScore],
    value: impl Fn(&LabelScore) -> Option<f64>,
) -> (Option<f64>, usize) {
    let defined: Vec<f64> = labels.iter().filter_map(value).collect();
    (crate::summary::mean(&defined), labels.len() - defined.len())
}

fn is_wrong(score: f64, target: u8) -> bool {
    (score >= THRESHOLD) != (target == 1)
}

fn wrong_fraction(scores: &ArrayView2<f64>, targets: &ArrayView2<u8>) -> f64 {
    let wrong = scores
        .iter()
        .zip(targets)
        .filter(|&(&score, &target)| is_wrong(score, target))
        .count();
    wrong as f64 / scores.len() as f64
}

fn right_rows(scores: &ArrayView2<f64>, targets: &ArrayView2<u8>) -> f64 {
    let rows = scores.axis_iter(Axis(0)).zip(targets.axis_iter(Axis(0)));
    let right =
        rows.filter(|(scores, targets)| !scores.iter().zip(targets).any(|(&s, &t)| is_wrong(s, t)));
    right.count() as f64 / scores.nrows() as f64
}

pub(crate) fn check<D: Dimension>(
    scores: &ArrayView<f64, D>,
    targets: &ArrayView<u8, D>,
) -> Result<()> {
    if scores.shape() != targets.shape() {
        let (expected, found) = (scores.shape().to_vec(), targets.shape().to_vec());
        return Err(Error::Shape {
            what: "targets",
            expected,
            found,
        });
    }
    if scores.is_empty() {
        return Err(Error::Empty {
            what: "scores",
            found: scores.shape().to_vec(),
        });
    }
    let index = |index: D::Pattern| index.into_dimension().slice().to_vec();
    if let Some((at, found)) = scores.indexed_iter().find(|(_, score)| !score.is_finite()) {
        return Err(Error::NotFinite {
            what: "scores",
            index: index(at),
            found: *found,
        });
    }
    match targets.indexed_iter().find(|(_, target)| **target > 1) {
        Some((at, found)) => Err(Error::NotBinary {
            index: index(at),
            found: *found,
        }),
        None => Ok(()),
    }
}
