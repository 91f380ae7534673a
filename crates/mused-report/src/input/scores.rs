use mused_run::Predictions;
use mused_stats::curves::{precision_at, precision_recall_curve, roc_curve, true_positive_rate};
use mused_stats::metrics::{Undefined, random_average_precision, score};
use mused_stats::summary;
use ndarray::{Array2, Axis};
use rayon::prelude::*;

use crate::{Error, Result};

/// Points of a drawn curve.
const POINTS: usize = 64;

/// A curve of a label at [`POINTS`] even places, and its area.
#[derive(Clone, Debug, Default)]
pub(crate) struct Curve {
    pub(crate) points: Vec<(f64, f64)>,
    pub(crate) area: f64,
}

/// Curves of a label: the mean over subjects, and each subject's.
#[derive(Clone, Debug, Default)]
pub(crate) struct LabelCurves {
    pub(crate) mean: Option<Curve>,
    /// `None` where the subject cannot be scored on the label.
    pub(crate) subjects: Vec<Option<Curve>>,
}

impl LabelCurves {
    /// The mean over labels, of all subjects and of each.
    pub(crate) fn mean_of(labels: &[Self]) -> Self {
        let means: Vec<Option<Curve>> = labels.iter().map(|label| label.mean.clone()).collect();
        let subjects = labels.iter().map(|label| label.subjects.len()).max();
        let of = |subject: usize| {
            let own = labels
                .iter()
                .map(|label| label.subjects.get(subject).cloned().flatten());
            mean(&own.collect::<Vec<_>>())
        };
        Self {
            mean: mean(&means),
            subjects: (0..subjects.unwrap_or(0)).map(of).collect(),
        }
    }
}

/// What results.json does not hold: scores of every label and subject, and their curves.
#[derive(Debug)]
pub(crate) struct Scores {
    /// In alphabetical order, as in results.json.
    pub(crate) subjects: Vec<String>,
    /// Rows of each subject.
    pub(crate) rows: Vec<Vec<usize>>,
    /// Of each label the AP that a random ranking of a subject's samples is expected to reach, mean over subjects.
    pub(crate) random_average_precision: Vec<Option<f64>>,
    /// labels × subjects; NaN where undefined.
    pub(crate) average_precision: Array2<f64>,
    /// labels × subjects; NaN where undefined.
    pub(crate) roc_auc: Array2<f64>,
    pub(crate) roc: Vec<LabelCurves>,
    pub(crate) precision_recall: Vec<LabelCurves>,
}

impl Scores {
    pub(crate) fn new(predictions: &Predictions) -> Result<Self> {
        let (subjects, rows): (Vec<String>, Vec<Vec<usize>>) =
            predictions.rows_by_subject().into_iter().unzip();
        let failed = |error: mused_stats::Error| Error::from(mused_results::Error::from(error));
        let each: Vec<Vec<Scored>> = rows
            .par_iter()
            .map(|rows| scored(predictions, rows))
            .collect::<std::result::Result<_, _>>()
            .map_err(failed)?;
        let labels = predictions.labels.len();
        let mut average_precision = Array2::from_elem((labels, subjects.len()), f64::NAN);
        let mut roc_auc = average_precision.clone();
        let mut roc = vec![LabelCurves::default(); labels];
        let mut precision_recall = roc.clone();
        for (subject, scored) in each.into_iter().enumerate() {
            for (label, scored) in scored.into_iter().enumerate() {
                let place = [label, subject];
                average_precision[place] = scored.average_precision.unwrap_or(f64::NAN);
                roc_auc[place] = scored.roc_auc.unwrap_or(f64::NAN);
                roc[label].subjects.push(scored.roc);
                precision_recall[label]
                    .subjects
                    .push(scored.precision_recall);
            }
        }
        for curves in roc.iter_mut().chain(&mut precision_recall) {
            curves.mean = mean(&curves.subjects);
        }
        let random = (0..labels).map(|label| {
            let of = |rows: &Vec<usize>| {
                let there = |row: &&usize| predictions.targets[[**row, label]] == 1;
                random_average_precision(rows.iter().filter(there).count(), rows.len())
            };
            summary::mean(&rows.iter().filter_map(of).collect::<Vec<f64>>())
        });
        Ok(Self {
            random_average_precision: random.collect(),
            subjects,
            rows,
            average_precision,
            roc_auc,
            roc,
            precision_recall,
        })
    }
}

/// A label of a subject.
struct Scored {
    average_precision: Option<f64>,
    roc_auc: Option<f64>,
    roc: Option<Curve>,
    precision_recall: Option<Curve>,
}

/// Every label of a subject, whose rows these are.
fn scored(predictions: &Predictions, rows: &[usize]) -> mused_stats::Result<Vec<Scored>> {
    let scores = predictions.probabilities.select(Axis(0), rows);
    let targets = predictions.targets.select(Axis(0), rows);
    let labels = score(scores.view(), targets.view(), Undefined::Exclude)?.labels;
    let columns = scores.columns().into_iter().zip(targets.columns());
    let each = labels
        .iter()
        .zip(columns)
        .map(|(label, (scores, targets))| {
            let (roc, precision) = (
                roc_curve(scores, targets)?,
                precision_recall_curve(scores, targets)?,
            );
            Ok(Scored {
                average_precision: label.average_precision,
                roc_auc: label.roc_auc,
                roc: drawn(roc, label.roc_auc, true_positive_rate),
                precision_recall: drawn(precision, label.average_precision, precision_at),
            })
        });
    each.collect()
}

fn drawn(
    curve: Option<Vec<(f64, f64)>>,
    area: Option<f64>,
    height: fn(&[(f64, f64)], f64) -> f64,
) -> Option<Curve> {
    let curve = curve?;
    let at = |point: usize| point as f64 / (POINTS - 1) as f64;
    let points = (0..POINTS).map(|point| (at(point), height(&curve, at(point))));
    Some(Curve {
        points: points.collect(),
        area: area?,
    })
}

/// Mean height at every place: its area is the mean of the areas.
fn mean(curves: &[Option<Curve>]) -> Option<Curve> {
    let defined: Vec<&Curve> = curves.iter().flatten().collect();
    let first = defined.first()?;
    let count = defined.len() as f64;
    let height = |point: usize| {
        defined
            .iter()
            .map(|curve| curve.points[point].1)
            .sum::<f64>()
            / count
    };
    let points = first.points.iter().enumerate();
    Some(Curve {
        points: points.map(|(point, (x, _))| (*x, height(point))).collect(),
        area: defined.iter().map(|curve| curve.area).sum::<f64>() / count,
    })
}
