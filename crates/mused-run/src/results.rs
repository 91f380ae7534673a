//! `results.json`, schema `mused-results/5`.

use std::collections::BTreeMap;

use mused_data::audit::Report;
use mused_stats::Answer;
use mused_stats::interval::{Interval, Population};
use mused_stats::permutation::Tested;
use serde::{Deserialize, Serialize};

use crate::AgainstRidge;

/// The `schema` of a `results.json` that this version writes.
pub const RESULTS_SCHEMA: &str = "mused-results/5";

/// A number, or why there is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Stated<T> {
    /// The number.
    Value(T),
    /// There is none.
    Unavailable {
        /// Why.
        unavailable: String,
    },
}

impl<T> Stated<T> {
    /// The number, where there is one.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Unavailable { .. } => None,
        }
    }

    /// A number that may have a reason for not being there.
    pub fn of<U>(answer: Answer<U>, value: impl FnOnce(U) -> T) -> Self {
        match answer {
            Ok(answer) => Self::Value(value(answer)),
            Err(reason) => Self::because(&reason.to_string()),
        }
    }

    /// No number, for a reason.
    pub fn because(reason: &str) -> Self {
        Self::Unavailable {
            unavailable: reason.to_owned(),
        }
    }
}

/// A 95 % interval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IntervalResult {
    /// Mean over subjects.
    pub estimate: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Standard error of the estimate.
    pub standard_error: f64,
    /// What it generalises to: `subjects`, `stimuli` or `subjects and stimuli`.
    pub generalises_to: String,
}

impl From<Interval> for IntervalResult {
    fn from(interval: Interval) -> Self {
        let generalises_to = match interval.generalises_to {
            Population::Subjects => "subjects",
            Population::Stimuli => "stimuli",
            Population::Both => "subjects and stimuli",
        };
        Self {
            estimate: interval.estimate,
            low: interval.low,
            high: interval.high,
            standard_error: interval.standard_error,
            generalises_to: generalises_to.to_owned(),
        }
    }
}

/// A one-sided permutation test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestResult {
    /// Share of relabellings that score as high, the true one counted.
    pub p: f64,
    /// No p could be smaller.
    pub smallest_p: f64,
    /// Mean score over relabellings.
    pub null_mean: f64,
}

impl From<Tested> for TestResult {
    fn from(tested: Tested) -> Self {
        Self {
            p: tested.p,
            smallest_p: tested.smallest_p,
            null_mean: tested.null_mean,
        }
    }
}

/// A one-sided permutation test of one label among all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelTest {
    /// Of this label by itself.
    pub p: f64,
    /// The false discovery rate at which it is found among all labels (Benjamini & Hochberg 1995).
    pub q: f64,
}

/// Interval and test of one metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricInference {
    /// Of the mean over subjects.
    pub interval: Stated<IntervalResult>,
    /// Fixed predictions, relabelled stimuli.
    pub permutation: Stated<TestResult>,
    /// The whole pipeline retrained on relabelled stimuli.
    pub retrained: Stated<TestResult>,
}

/// Intervals and permutation tests of the macro scores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inference {
    /// What changed places under the null hypothesis: `groups` of stimuli, `blocks` of them within groups, `stimuli`, or
    /// all stimuli in their order by a `shift` along a circle.
    pub exchanged: String,
    /// Relabellings that were tried.
    pub permutations: usize,
    /// Base-2 logarithm of the number of relabellings there are.
    pub attainable_log2: f64,
    /// Seed of them.
    pub seed: u64,
    /// Macro average precision.
    pub average_precision: MetricInference,
    /// Macro area under the ROC curve.
    pub roc_auc: MetricInference,
}

/// Whether probabilities come true, all samples and labels together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Mean squared difference of probability and label.
    pub brier: f64,
    /// That of predicting each label's test prevalence.
    pub brier_floor: f64,
    /// Expected calibration error over ten bins of equal width.
    pub expected_calibration_error: Option<f64>,
    /// Bins that hold predictions: their number, mean probability, share of positives.
    pub curve: Vec<(usize, f64, f64)>,
}

/// What noise leaves to a perfect model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoiseCeiling {
    /// Of the decoder's scores: no formula gives it.
    pub scores: Stated<f64>,
    /// From repeats, by subject: the share of variance of a voxel's mean response that the stimuli explain (Allen et
    /// al. 2022), mean over voxels.
    pub responses: BTreeMap<String, Stated<f64>>,
    /// From other subjects: of the geometry of the responses to test stimuli (Nili et al. 2014).
    pub geometry: Stated<GeometryCeiling>,
}

/// Between which values the mean Spearman correlation of a perfect model with the subjects' RDMs lies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GeometryCeiling {
    /// A subject with the mean of the others.
    pub lower: f64,
    /// A subject with the mean of all.
    pub upper: f64,
    /// Test stimuli compared.
    pub stimuli: usize,
}

/// One metric over subjects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OverSubjects {
    /// Mean over subjects with a score.
    pub mean: Option<f64>,
    /// Sample standard deviation over subjects; `None` with fewer than two.
    pub sd: Option<f64>,
    /// Score of each subject; `None` where it is undefined.
    pub per_subject: BTreeMap<String, Option<f64>>,
}

/// Every metric over subjects; AP and AUC are macro means over scorable labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Macro {
    /// Average precision (scikit-learn's definition).
    pub average_precision: OverSubjects,
    /// Area under the ROC curve.
    pub roc_auc: OverSubjects,
    /// Share of wrong label decisions at probability 0.5.
    pub hamming_loss: OverSubjects,
    /// Share of samples with every label right.
    pub subset_accuracy: OverSubjects,
    /// Average precision over all label decisions together.
    pub micro_average_precision: OverSubjects,
}

/// One label over subjects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelResult {
    /// Name of the label.
    pub name: String,
    /// Share of samples with the label.
    pub prevalence: f64,
    /// Samples with the label, over subjects.
    pub positives: usize,
    /// Mean over subjects who can be scored on it.
    pub average_precision: Option<f64>,
    /// Mean over subjects who can be scored on it.
    pub roc_auc: Option<f64>,
    /// 95 % interval of the average precision.
    pub average_precision_interval: Stated<IntervalResult>,
    /// 95 % interval of the area under the ROC curve.
    pub roc_auc_interval: Stated<IntervalResult>,
    /// Permutation test of the average precision.
    pub average_precision_test: Stated<LabelTest>,
    /// Permutation test of the area under the ROC curve.
    pub roc_auc_test: Stated<LabelTest>,
}

/// Of a design with one label a stimulus: how often the likeliest label is the right one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccuracyResult {
    /// Share of right ones over subjects.
    pub scores: OverSubjects,
    /// Of the mean over subjects.
    pub interval: Stated<IntervalResult>,
    /// Fixed predictions, relabelled stimuli.
    pub permutation: Stated<TestResult>,
    /// What naming the most frequent label always would reach, mean over subjects.
    pub most_frequent: f64,
    /// Samples of all subjects by label, in the order of `labels.tsv`, and within by the label named instead.
    pub confusion: Vec<Vec<usize>>,
}

/// What knowing nothing scores, means over subjects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FloorScores {
    /// Mean prevalence of the scored labels: AP of a random ranking of many samples.
    pub average_precision: Option<f64>,
    /// Exact expectation of AP for a random ranking of this many samples.
    pub random_average_precision: Option<f64>,
    /// 0.5.
    pub roc_auc: f64,
    /// Hamming loss of predicting no label at all.
    pub hamming_loss: Option<f64>,
}

/// One subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubjectResult {
    /// Test samples.
    pub samples: usize,
    /// Labels without an AP (no positive sample), left out of the mean.
    pub unscorable_average_precision: usize,
    /// Labels without an AUC (one class only), left out of the mean.
    pub unscorable_roc_auc: usize,
    /// Macro average precision.
    pub average_precision: Option<f64>,
    /// Macro area under the ROC curve.
    pub roc_auc: Option<f64>,
    /// Hamming loss at 0.5.
    pub hamming_loss: f64,
    /// Subset accuracy at 0.5.
    pub subset_accuracy: f64,
}

/// The content of `results.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// `mused-results/5`.
    pub schema: String,
    /// `exclude`, `sklearn` or `reference`: what undefined scores count as.
    pub undefined: String,
    /// Folds whose test predictions are pooled a subject.
    pub folds: usize,
    /// Every metric over subjects.
    #[serde(rename = "macro")]
    pub macro_scores: Macro,
    /// `None` where a test stimulus has no label or several, and of schemas 3 and 4.
    #[serde(default)]
    pub accuracy: Option<AccuracyResult>,
    /// Intervals and permutation tests of the macro scores, undefined labels left out.
    pub inference: Inference,
    /// Whether probabilities come true, all samples and labels together.
    pub calibration: Calibration,
    /// How a network stands to the ridge regression beside it; `None` of what is no network, and of schema 3.
    #[serde(default)]
    pub ridge: Option<Stated<AgainstRidge>>,
    /// In the order of `labels.tsv`.
    pub labels: Vec<LabelResult>,
    /// What knowing nothing scores.
    pub floors: FloorScores,
    /// What noise leaves to a perfect model.
    pub noise_ceiling: NoiseCeiling,
    /// The search for leaks before training.
    pub audit: Stated<Report>,
    /// By name.
    pub subjects: BTreeMap<String, SubjectResult>,
}
