//! Scores of a run directory's predictions: `results.json` (schema `mused-results/5`), and differences between runs.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod ceiling;
mod compare;
mod inference;
mod ridge;
pub mod seeds;

use std::collections::BTreeMap;

use mused_run::{
    FloorScores, LabelResult, Macro, OverSubjects, Predictions, RESULTS_SCHEMA, Results, Run,
    Stated, SubjectResult,
};
use mused_stats::metrics::{LabelScore, MultiLabelScores, Undefined, score};
use mused_stats::summary::{mean, sample_sd};
use ndarray::Axis;

pub use compare::{
    Comparison, LabelComparison, LabelMetricDifference, MetricDifference, compare, verdict,
};

/// Why a run could not be scored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The run directory is at fault.
    #[error(transparent)]
    Run(#[from] mused_run::Error),
    /// The dataset of a run could not be read.
    #[error(transparent)]
    Data(#[from] mused_data::Error),
    /// The predictions cannot be scored.
    #[error(transparent)]
    Stats(#[from] mused_stats::Error),
}

/// A `Result` with this crate's [`enum@Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Scores the test predictions of a run, a subject at a time, all folds pooled. The same bits every time.
///
/// # Errors
/// When the run is not complete or its files contradict each other.
pub fn evaluate(run: &Run, undefined: Undefined) -> Result<Results> {
    let mut predictions = run.predictions()?;
    let dataset = run.dataset(None).map_err(|error| error.to_string());
    if let Ok(dataset) = &dataset {
        predictions.order_by(dataset);
    }
    let predictions = &predictions;
    let scores = scores_by_subject(predictions, undefined)?;
    let over = |value: &dyn Fn(&MultiLabelScores) -> Option<f64>| over_subjects(&scores, value);
    let name = match undefined {
        Undefined::Exclude => "exclude",
        Undefined::Sklearn => "sklearn",
        Undefined::Reference => "reference",
    };
    let (inference, tests) = inference::infer(predictions, &run.retrained()?)?;
    let noise_ceiling = match &dataset {
        Ok(dataset) => ceiling::noise_ceiling(dataset, predictions)?,
        Err(reason) => ceiling::unknown(reason),
    };
    let audit = match &run.record().audit {
        Some(audit) => Stated::Value(audit.clone()),
        None => Stated::because(
            "the run was made without a search for leaks; `mused audit RUN` makes one",
        ),
    };
    Ok(Results {
        schema: RESULTS_SCHEMA.to_owned(),
        undefined: name.to_owned(),
        folds: predictions.folds,
        macro_scores: Macro {
            average_precision: over(&|s| s.macro_average_precision),
            roc_auc: over(&|s| s.macro_roc_auc),
            hamming_loss: over(&|s| Some(s.hamming_loss)),
            subset_accuracy: over(&|s| Some(s.subset_accuracy)),
            micro_average_precision: over(&|s| s.micro_average_precision),
        },
        accuracy: inference::accuracy(predictions)?,
        inference,
        calibration: inference::calibration(predictions)?,
        ridge: ridge::against_ridge(run, undefined),
        labels: label_results(predictions, &scores, tests),
        floors: FloorScores {
            average_precision: over(&|s| s.floors.chance_average_precision).mean,
            random_average_precision: over(&|s| s.floors.random_average_precision).mean,
            roc_auc: 0.5,
            hamming_loss: over(&|s| Some(s.floors.all_zero_hamming_loss)).mean,
        },
        noise_ceiling,
        audit,
        subjects: scores
            .iter()
            .map(|(id, scores)| (id.clone(), subject_result(scores)))
            .collect(),
    })
}

/// Scores of each subject's predictions, all folds pooled.
///
/// # Errors
/// Predictions that cannot be scored.
pub fn scores_by_subject(
    predictions: &Predictions,
    undefined: Undefined,
) -> Result<BTreeMap<String, MultiLabelScores>> {
    let mut scores = BTreeMap::new();
    for (subject, rows) in predictions.rows_by_subject() {
        let probabilities = predictions.probabilities.select(Axis(0), &rows);
        let targets = predictions.targets.select(Axis(0), &rows);
        scores.insert(
            subject,
            score(probabilities.view(), targets.view(), undefined)?,
        );
    }
    Ok(scores)
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
            |(label, ((name, column), (average_precision_tests, roc_auc_tests)))| {
                let (average_precision_interval, average_precision_test) = average_precision_tests;
                let (roc_auc_interval, roc_auc_test) = roc_auc_tests;
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
