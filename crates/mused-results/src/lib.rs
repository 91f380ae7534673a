//! Scores of a run directory's predictions: `results.json` (schema `mused-results/3`), and differences between runs.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod ceiling;
mod compare;
mod inference;
mod predictions;
mod run;
pub mod seeds;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mused_stats::metrics::{LabelScore, MultiLabelScores, Undefined, score};
use mused_stats::summary::{mean, sample_sd};
use ndarray::Axis;
use serde::{Deserialize, Serialize};

pub use ceiling::{GeometryCeiling, NoiseCeiling};
pub use compare::{Comparison, LabelComparison, LabelMetricDifference, MetricDifference, compare};
pub use inference::{
    Calibration, Inference, IntervalResult, LabelTest, MetricInference, Stated, TestResult,
};
pub use predictions::Predictions;
pub use run::{Audit, Finding};

/// Why a run could not be scored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read as what it should be.
    #[error(transparent)]
    Format(#[from] mused_formats::Error),
    /// The dataset of a run could not be read.
    #[error(transparent)]
    Data(#[from] mused_data::Error),
    /// The predictions cannot be scored.
    #[error(transparent)]
    Stats(#[from] mused_stats::Error),
    /// The files of the run contradict each other or are missing.
    #[error("{}: {message}", path.display())]
    Invalid {
        /// The file at fault.
        path: PathBuf,
        /// Expected against found.
        message: String,
    },
}

/// A `Result` with this crate's [`enum@Error`].
pub type Result<T> = std::result::Result<T, Error>;

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
    /// `mused-results/3`.
    pub schema: String,
    /// `exclude`, `sklearn` or `reference`: what undefined scores count as.
    pub undefined: String,
    /// Folds whose test predictions are pooled a subject.
    pub folds: usize,
    /// Every metric over subjects.
    #[serde(rename = "macro")]
    pub macro_scores: Macro,
    /// Intervals and permutation tests of the macro scores, undefined labels left out.
    pub inference: Inference,
    /// Whether probabilities come true, all samples and labels together.
    pub calibration: Calibration,
    /// In the order of `labels.tsv`.
    pub labels: Vec<LabelResult>,
    /// What knowing nothing scores.
    pub floors: FloorScores,
    /// What noise leaves to a perfect model.
    pub noise_ceiling: NoiseCeiling,
    /// The search for leaks before training.
    pub audit: Stated<Audit>,
    /// By name.
    pub subjects: BTreeMap<String, SubjectResult>,
}

/// The `schema` of a `results.json` that this version writes.
pub const SCHEMA: &str = "mused-results/3";

/// Scores the test predictions of a run, a subject at a time, all folds pooled. The same bits every time.
///
/// # Errors
/// When the run is not complete or its files contradict each other.
pub fn evaluate(run: &Path, undefined: Undefined) -> Result<Results> {
    let predictions = Predictions::read(run)?;
    let mut scores = BTreeMap::new();
    for (subject, rows) in predictions.rows_by_subject() {
        let probabilities = predictions.probabilities.select(Axis(0), &rows);
        let targets = predictions.targets.select(Axis(0), &rows);
        scores.insert(
            subject,
            score(probabilities.view(), targets.view(), undefined)?,
        );
    }
    let over = |value: &dyn Fn(&MultiLabelScores) -> Option<f64>| over_subjects(&scores, value);
    let name = match undefined {
        Undefined::Exclude => "exclude",
        Undefined::Sklearn => "sklearn",
        Undefined::Reference => "reference",
    };
    let (inference, tests) = inference::infer(&predictions, &inference::read_retrained(run)?)?;
    let description = run::RunFile::read(run)?;
    let noise_ceiling = match run::dataset(description.as_ref()) {
        Ok(dataset) => NoiseCeiling::of(&dataset, &predictions)?,
        Err(reason) => NoiseCeiling::unknown(&reason),
    };
    Ok(Results {
        schema: SCHEMA.to_owned(),
        undefined: name.to_owned(),
        folds: predictions.folds,
        macro_scores: Macro {
            average_precision: over(&|s| s.macro_average_precision),
            roc_auc: over(&|s| s.macro_roc_auc),
            hamming_loss: over(&|s| Some(s.hamming_loss)),
            subset_accuracy: over(&|s| Some(s.subset_accuracy)),
            micro_average_precision: over(&|s| s.micro_average_precision),
        },
        inference,
        calibration: inference::calibration(&predictions)?,
        labels: label_results(&predictions, &scores, tests),
        floors: FloorScores {
            average_precision: over(&|s| s.floors.chance_average_precision).mean,
            random_average_precision: over(&|s| s.floors.random_average_precision).mean,
            roc_auc: 0.5,
            hamming_loss: over(&|s| Some(s.floors.all_zero_hamming_loss)).mean,
        },
        noise_ceiling,
        audit: run::audit(description),
        subjects: scores
            .iter()
            .map(|(id, scores)| (id.clone(), subject_result(scores)))
            .collect(),
    })
}

fn over_subjects(
    scores: &BTreeMap<String, MultiLabelScores>,
    value: &dyn Fn(&MultiLabelScores) -> Option<f64>,
) -> OverSubjects {
    let per_subject: BTreeMap<String, Option<f64>> = scores
        .iter()
        .map(|(id, scores)| (id.clone(), value(scores)))
        .collect();
    let values: Vec<f64> = per_subject.values().flatten().copied().collect();
    OverSubjects {
        mean: mean(&values),
        sd: sample_sd(&values),
        per_subject,
    }
}

fn label_results(
    predictions: &Predictions,
    scores: &BTreeMap<String, MultiLabelScores>,
    tests: inference::LabelInference,
) -> Vec<LabelResult> {
    let average = |label: usize, value: &dyn Fn(&LabelScore) -> Option<f64>| {
        let values: Vec<f64> = scores
            .values()
            .filter_map(|scores| value(&scores.labels[label]))
            .collect();
        mean(&values)
    };
    let columns = predictions.labels.iter().zip(predictions.targets.columns());
    let tests = tests.average_precision.into_iter().zip(tests.roc_auc);
    columns
        .zip(tests)
        .enumerate()
        .map(
            |(label, ((name, column), (average_precision_inference, roc_auc_inference)))| {
                let (average_precision_interval, average_precision_test) =
                    average_precision_inference;
                let (roc_auc_interval, roc_auc_test) = roc_auc_inference;
                let positives = column.iter().filter(|value| **value == 1).count();
                LabelResult {
                    name: name.clone(),
                    prevalence: positives as f64 / column.len().max(1) as f64,
                    positives,
                    average_precision: average(label, &|score| score.average_precision),
                    roc_auc: average(label, &|score| score.roc_auc),
                    average_precision_interval,
                    roc_auc_interval,
                    average_precision_test,
                    roc_auc_test,
                }
            },
        )
        .collect()
}

fn subject_result(scores: &MultiLabelScores) -> SubjectResult {
    SubjectResult {
        samples: scores.samples,
        unscorable_average_precision: scores.excluded_average_precision,
        unscorable_roc_auc: scores.excluded_roc_auc,
        average_precision: scores.macro_average_precision,
        roc_auc: scores.macro_roc_auc,
        hamming_loss: scores.hamming_loss,
        subset_accuracy: scores.subset_accuracy,
    }
}
