use std::collections::{BTreeMap, BTreeSet, HashMap};

use mused_run::{IntervalResult, Predictions, Run, Stated, Verdict};
use mused_stats::metrics::ByMetric;
use mused_stats::multiple::benjamini_hochberg;
use mused_stats::paired::{self, Difference, LabelDifference, PairedTest};
use mused_stats::{Answer, Samples};
use ndarray::{Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use crate::inference::{PERMUTATIONS, SEED};
use crate::{Error, Result};

/// How one run's scores differ from another's in a metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricDifference {
    /// Mean difference over subjects with its 95 % interval.
    pub interval: Stated<IntervalResult>,
    /// Two-sided p for other subjects, with these stimuli: flipped signs.
    pub p_over_subjects: Stated<f64>,
    /// Two-sided p for other stimuli, with these subjects: exchanged predictions.
    pub p_over_stimuli: Stated<f64>,
    /// Two-sided p for other subjects and stimuli: crossed t test.
    pub p_over_both: Stated<f64>,
    /// Difference of each subject; `None` where one of the scores is undefined.
    pub per_subject: BTreeMap<String, Option<f64>>,
}

/// How one run's scores of a label differ from another's in a metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelMetricDifference {
    /// Mean difference over subjects with its 95 % interval.
    pub interval: IntervalResult,
    /// Two-sided p for other subjects and stimuli: crossed t test.
    pub p_over_both: Stated<f64>,
    /// The false discovery rate at which it is found among all labels (Benjamini & Hochberg 1995).
    pub q: Option<f64>,
}

/// How one run's scores of a label differ from another's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelComparison {
    /// Name of the label.
    pub name: String,
    /// Average precision.
    pub average_precision: Stated<LabelMetricDifference>,
    /// Area under the ROC curve.
    pub roc_auc: Stated<LabelMetricDifference>,
}

/// Model B against model A: B - A, means over seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Runs of each model.
    pub seeds: usize,
    /// On which side of A it is.
    pub verdict: Verdict,
    /// Macro average precision.
    pub average_precision: MetricDifference,
    /// Macro area under the ROC curve.
    pub roc_auc: MetricDifference,
    /// In the order of `labels.tsv`.
    pub labels: Vec<LabelComparison>,
}

/// Compares the test predictions of two models on the same samples and labels, each with a run a seed.
///
/// # Errors
/// No run or other numbers of runs; runs that are not complete, or whose subjects, stimuli, labels or targets differ.
pub fn compare(a: &[Run], b: &[Run]) -> Result<Comparison> {
    let sides = Sides::read(a, b)?;
    let ByMetric {
        average_precision,
        roc_auc,
    } = sides.differences()?;
    let labels = sides.label_differences()?;
    let names = sides.reference.labels.iter();
    let label = |((name, average_precision), roc_auc): ((&String, _), _)| LabelComparison {
        name: name.clone(),
        average_precision,
        roc_auc,
    };
    Ok(Comparison {
        seeds: a.len(),
        verdict: verdict_on(&average_precision, a.len()),
        labels: (names.zip(labels.average_precision).zip(labels.roc_auc))
            .map(label)
            .collect(),
        average_precision,
        roc_auc,
    })
}

/// On which side of model A model B is: the verdict of [`compare`], without its labels.
///
/// # Errors
/// As there.
pub fn verdict(a: &[Run], b: &[Run]) -> Result<Verdict> {
    let differences = Sides::read(a, b)?.differences()?;
    Ok(verdict_on(&differences.average_precision, a.len()))
}

fn verdict_on(average_precision: &MetricDifference, seeds: usize) -> Verdict {
    Verdict::of(
        average_precision.interval.clone(),
        average_precision.p_over_stimuli.clone(),
        average_precision.per_subject.values().copied(),
        seeds,
    )
}

/// Scores of two models, a matrix a seed, in the order of the reference's rows.
struct Sides {
    reference: Predictions,
    samples: Samples,
    of_a: Vec<Array2<f64>>,
    of_b: Vec<Array2<f64>>,
}

impl Sides {
    fn read(a: &[Run], b: &[Run]) -> Result<Self> {
        let (Some((first, others)), Some(any_b)) = (a.split_first(), b.first()) else {
            let message = "expected a run on either side of the comparison, found none";
            return Err(mused_run::Error::Request(message.to_owned()).into());
        };
        if a.len() != b.len() {
            let folder = any_b.path().parent().unwrap_or(any_b.path());
            let message = format!("expected {} seeds, found {}", a.len(), b.len());
            return Err(mused_run::Error::invalid(folder, message).into());
        }
        let reference = first.predictions()?;
        let aligned = |runs: &[Run]| -> Result<Vec<Array2<f64>>> {
            let scores = runs
                .iter()
                .map(|run| aligned_scores(run, &reference, first));
            scores.collect()
        };
        let (mut of_a, of_b) = (vec![reference.probabilities.clone()], aligned(b)?);
        of_a.extend(aligned(others)?);
        Ok(Self {
            samples: reference.samples()?,
            reference,
            of_a,
            of_b,
        })
    }

    fn views(&self) -> [Vec<ArrayView2<'_, f64>>; 2] {
        [&self.of_a, &self.of_b].map(|scores| scores.iter().map(|scores| scores.view()).collect())
    }

    /// B minus A.
    fn differences(&self) -> Result<ByMetric<MetricDifference>> {
        let [of_a, of_b] = self.views();
        let targets = self.reference.targets.view();
        let found = paired::compare(&of_b, &of_a, targets, &self.samples, PERMUTATIONS, SEED)?;
        let keys = self.reference.keys.iter();
        let subjects: BTreeSet<&String> = keys.map(|(subject, _)| subject).collect();
        let stated = |difference: Difference| {
            let p = |test: PairedTest| test.p;
            let subjects = subjects.iter().map(|subject| (*subject).clone());
            MetricDifference {
                interval: Stated::of(difference.interval, IntervalResult::from),
                p_over_subjects: Stated::of(difference.over_subjects, p),
                p_over_stimuli: Stated::of(difference.over_stimuli, p),
                p_over_both: Stated::of(difference.p_over_both, |p| p),
                per_subject: subjects.zip(difference.per_subject).collect(),
            }
        };
        Ok(ByMetric {
            average_precision: stated(found.average_precision),
            roc_auc: stated(found.roc_auc),
        })
    }

    /// B minus A, a label at a time.
    fn label_differences(&self) -> Result<ByMetric<Vec<Stated<LabelMetricDifference>>>> {
        let [of_a, of_b] = self.views();
        let targets = self.reference.targets.view();
        let found = paired::compare_labels(&of_b, &of_a, targets, &self.samples)?;
        Ok(ByMetric {
            average_precision: label_differences(found.average_precision)?,
            roc_auc: label_differences(found.roc_auc)?,
        })
    }
}

/// The scores of a run in the order of the reference's rows.
fn aligned_scores(run: &Run, reference: &Predictions, first: &Run) -> Result<Array2<f64>> {
    let found = run.predictions()?;
    let refused = |what: &str| {
        let reference = first.path().display();
        let message = format!("expected the {what} of {reference}, found others");
        Error::from(mused_run::Error::invalid(run.path(), message))
    };
    if found.labels != reference.labels {
        return Err(refused("labels"));
    }
    let places: HashMap<&(String, String), usize> = found.keys.iter().zip(0..).collect();
    let order: Option<Vec<usize>> = reference
        .keys
        .iter()
        .map(|key| places.get(key).copied())
        .collect();
    let order = order.filter(|order| order.len() == found.keys.len());
    let order = order.ok_or_else(|| refused("test subjects and stimuli"))?;
    if found.targets.select(Axis(0), &order) != reference.targets {
        return Err(refused("targets"));
    }
    Ok(found.probabilities.select(Axis(0), &order))
}

fn label_differences(
    differences: Vec<Answer<LabelDifference>>,
) -> Result<Vec<Stated<LabelMetricDifference>>> {
    let p = |difference: &Answer<LabelDifference>| difference.ok()?.p_over_both.ok();
    let q = benjamini_hochberg(&differences.iter().map(p).collect::<Vec<_>>())?;
    let stated = |(difference, q): (Answer<LabelDifference>, Option<f64>)| {
        Stated::of(difference, |difference| LabelMetricDifference {
            interval: difference.interval.into(),
            p_over_both: Stated::of(difference.p_over_both, |p| p),
            q,
        })
    };
    Ok(differences.into_iter().zip(q).map(stated).collect())
}
