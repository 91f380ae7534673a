use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use mused_stats::paired::{self, Difference, PairedTest};
use ndarray::Axis;
use serde::{Deserialize, Serialize};

use crate::inference::{PERMUTATIONS, SEED};
use crate::predictions::Predictions;
use crate::{Error, IntervalResult, Result, Stated};

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

/// Run B against run A: B - A.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Macro average precision.
    pub average_precision: MetricDifference,
    /// Macro area under the ROC curve.
    pub roc_auc: MetricDifference,
}

/// Compares the test predictions of two runs of the same samples and labels.
///
/// # Errors
/// Runs that are not complete, or whose subjects, stimuli, labels or targets differ.
pub fn compare(a: &Path, b: &Path) -> Result<Comparison> {
    let (of_a, of_b) = (Predictions::read(a)?, Predictions::read(b)?);
    let refused = |message: &str| Error::Invalid {
        path: b.to_owned(),
        message: format!("expected the {message} of {}, found others", a.display()),
    };
    if of_a.labels != of_b.labels {
        return Err(refused("labels"));
    }
    let places: HashMap<&(String, String), usize> = of_b.keys.iter().zip(0..).collect();
    let order: Option<Vec<usize>> = of_a
        .keys
        .iter()
        .map(|key| places.get(key).copied())
        .collect();
    let order = order.filter(|order| order.len() == of_b.keys.len());
    let order = order.ok_or_else(|| refused("test subjects and stimuli"))?;
    let scores = of_b.probabilities.select(Axis(0), &order);
    if of_b.targets.select(Axis(0), &order) != of_a.targets {
        return Err(refused("targets"));
    }
    let samples = of_a.samples()?;
    let differences = paired::compare(
        scores.view(),
        of_a.probabilities.view(),
        of_a.targets.view(),
        &samples,
        PERMUTATIONS,
        SEED,
    )?;
    let subjects: BTreeSet<&String> = of_a.keys.iter().map(|(subject, _)| subject).collect();
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
    Ok(Comparison {
        average_precision: stated(differences.average_precision),
        roc_auc: stated(differences.roc_auc),
    })
}
