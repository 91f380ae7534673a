use std::path::Path;

use mused_formats::table::Table;
use mused_stats::calibration::{Bins, brier, expected_calibration_error, reliability};
use mused_stats::interval::{Interval, Population, label_intervals, score_interval};
use mused_stats::metrics::ByMetric;
use mused_stats::multiple::benjamini_hochberg;
use mused_stats::permutation::{Exchange, ScoreTest, Tested, fixed_predictions, retrained_p_value};
use mused_stats::{Answer, summary};
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::predictions::Predictions;

/// Relabellings of a permutation test.
pub(crate) const PERMUTATIONS: usize = 10_000;
/// Of them.
pub(crate) const SEED: u64 = 0;
/// Bins of the reliability curve, of equal width.
const BINS: usize = 10;

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

    pub(crate) fn of<U>(answer: Answer<U>, value: impl FnOnce(U) -> T) -> Self {
        match answer {
            Ok(answer) => Self::Value(value(answer)),
            Err(reason) => Self::because(&reason.to_string()),
        }
    }

    pub(crate) fn because(reason: &str) -> Self {
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
    /// What changed places under the null hypothesis: `groups` of stimuli, `stimuli`, or all stimuli in their order by a
    /// `shift` along a circle.
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

/// Interval and test of each label.
pub(crate) type LabelInference = ByMetric<Vec<(Stated<IntervalResult>, Stated<LabelTest>)>>;

pub(crate) fn infer(
    predictions: &Predictions,
    retrained: &Retrained,
) -> Result<(Inference, LabelInference)> {
    let samples = predictions.samples()?;
    let exchange = samples.exchange();
    let (scores, targets) = (predictions.probabilities.view(), predictions.targets.view());
    let intervals = score_interval(scores, targets, &samples)?;
    let tests = fixed_predictions(scores, targets, &samples, exchange, PERMUTATIONS, SEED)?;
    let metric = |interval: Answer<Interval>, test: &ScoreTest, null: &[f64]| MetricInference {
        interval: Stated::of(interval, IntervalResult::from),
        permutation: Stated::of(test.overall, TestResult::from),
        retrained: retrained_test(test.overall.ok().map(|test| test.observed), null),
    };
    let by_metric = &tests.scores;
    let inference = Inference {
        exchanged: match exchange {
            Exchange::Groups => "groups",
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

/// Macro scores of runs retrained on relabelled stimuli.
pub(crate) type Retrained = ByMetric<Vec<f64>>;

/// Where `mused permute` writes them below a run.
pub(crate) const RETRAINED: &str = "permutations/scores.tsv";

pub(crate) fn read_retrained(run: &Path) -> Result<Retrained> {
    let path = run.join(RETRAINED);
    if !path.is_file() {
        return Ok(ByMetric::default());
    }
    let table = Table::read(path)?;
    Ok(ByMetric {
        average_precision: table.column("macro_ap")?.parse()?,
        roc_auc: table.column("macro_auc")?.parse()?,
    })
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
