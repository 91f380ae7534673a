use mused_run::{
    AccuracyResult, Calibration, Inference, IntervalResult, LabelTest, MetricInference,
    OverSubjects, Predictions, Retrained, Stated, TestResult,
};
use mused_stats::calibration::{Bins, brier, expected_calibration_error, reliability};
use mused_stats::interval::{Interval, label_intervals, score_interval};
use mused_stats::metrics::ByMetric;
use mused_stats::multiple::benjamini_hochberg;
use mused_stats::permutation::{Exchange, ScoreTest, fixed_predictions, retrained_p_value};
use mused_stats::{Answer, accuracy, summary};

use crate::Result;

/// Relabellings of a permutation test.
pub(crate) const PERMUTATIONS: usize = 10_000;
/// Of them.
pub(crate) const SEED: u64 = 0;
/// Bins of the reliability curve, of equal width.
const BINS: usize = 10;

/// Interval and test of each label.
pub(crate) type LabelInference = ByMetric<Vec<(Stated<IntervalResult>, Stated<LabelTest>)>>;

pub(crate) fn infer(
    predictions: &Predictions,
    retrained: &Retrained,
) -> Result<(Inference, LabelInference)> {
    let samples = predictions.samples()?;
    let (scores, targets) = (predictions.probabilities.view(), predictions.targets.view());
    let exchange = samples.exchange(targets)?;
    let intervals = score_interval(scores, targets, &samples)?;
    let tests = fixed_predictions(scores, targets, &samples, exchange, PERMUTATIONS, SEED)?;
    let metric = |interval: Answer<Interval>, test: &ScoreTest, null: &[f64]| MetricInference {
        interval: Stated::of(interval, IntervalResult::from),
        permutation: Stated::of(test.overall, TestResult::from),
        retrained: retrained_test(test.observed, null),
    };
    let by_metric = &tests.scores;
    let inference = Inference {
        exchanged: match exchange {
            Exchange::Groups => "groups",
            Exchange::Blocks => "blocks",
            Exchange::Shift => "shift",
            Exchange::Stimuli => "stimuli",
        }
        .to_owned(),
        permutations: tests.relabellings.tried,
        attainable_log2: tests.relabellings.attainable_log2,
        seed: SEED,
        average_precision: metric(
            intervals.average_precision,
            &by_metric.average_precision,
            &retrained.average_precision,
        ),
        roc_auc: metric(intervals.roc_auc, &by_metric.roc_auc, &retrained.roc_auc),
    };
    let intervals = label_intervals(scores, targets, &samples)?;
    let stated = |intervals: Vec<Answer<Interval>>, test: &ScoreTest| -> Result<_> {
        let stated = |interval| Stated::of(interval, IntervalResult::from);
        let intervals = intervals.into_iter().map(stated);
        Ok(intervals.zip(label_tests(test)?).collect())
    };
    let labels = ByMetric {
        average_precision: stated(intervals.average_precision, &by_metric.average_precision)?,
        roc_auc: stated(intervals.roc_auc, &by_metric.roc_auc)?,
    };
    Ok((inference, labels))
}

/// Of a design with one label a stimulus.
pub(crate) fn accuracy(predictions: &Predictions) -> Result<Option<AccuracyResult>> {
    let samples = predictions.samples()?;
    let (scores, targets) = (predictions.probabilities.view(), predictions.targets.view());
    let exchange = samples.exchange(targets)?;
    let found = accuracy::accuracy(scores, targets, &samples, exchange, PERMUTATIONS, SEED)?;
    Ok(found.map(|found| {
        let subjects = predictions.rows_by_subject().into_keys();
        AccuracyResult {
            scores: OverSubjects {
                mean: summary::mean(&found.per_subject),
                sd: summary::sample_sd(&found.per_subject),
                per_subject: subjects
                    .zip(found.per_subject.into_iter().map(Some))
                    .collect(),
            },
            interval: Stated::of(found.interval, IntervalResult::from),
            permutation: Stated::of(found.permutation, TestResult::from),
            most_frequent: found.most_frequent,
            confusion: (found.confusion.rows().into_iter())
                .map(|row| row.to_vec())
                .collect(),
        }
    }))
}

fn retrained_test(observed: Option<f64>, null: &[f64]) -> Stated<TestResult> {
    let p = observed.and_then(|observed| retrained_p_value(observed, null));
    match p.zip(summary::mean(null)) {
        Some((p, null_mean)) => Stated::Value(TestResult {
            p,
            smallest_p: 1.0 / (1 + null.len()) as f64,
            null_mean,
        }),
        None => Stated::because(
            "nothing was retrained on relabelled stimuli; `mused permute RUN` does that",
        ),
    }
}

fn label_tests(test: &ScoreTest) -> Result<Vec<Stated<LabelTest>>> {
    let p: Vec<Option<f64>> = test.labels.iter().map(|t| t.ok().map(|t| t.p)).collect();
    let q = benjamini_hochberg(&p)?;
    let tests = test.labels.iter().zip(q);
    Ok(tests
        .map(|(tested, q)| {
            Stated::of(*tested, |tested| LabelTest {
                p: tested.p,
                // Every p has its q.
                q: q.unwrap_or(1.0),
            })
        })
        .collect())
}

pub(crate) fn calibration(predictions: &Predictions) -> Result<Calibration> {
    let (probabilities, targets) = (predictions.probabilities.view(), predictions.targets.view());
    let curve = reliability(probabilities, targets, Bins::EqualWidth(BINS))?;
    let columns = targets.columns().into_iter();
    let floors: Vec<f64> = columns
        .map(|column| {
            let positives = column.iter().filter(|value| **value == 1).count();
            let prevalence = positives as f64 / column.len().max(1) as f64;
            prevalence * (1.0 - prevalence)
        })
        .collect();
    Ok(Calibration {
        brier: brier(probabilities, targets)?,
        brier_floor: floors.iter().sum::<f64>() / floors.len().max(1) as f64,
        expected_calibration_error: expected_calibration_error(&curve),
        curve: curve
            .iter()
            .map(|bin| (bin.count, bin.predicted, bin.observed))
            .collect(),
    })
}
