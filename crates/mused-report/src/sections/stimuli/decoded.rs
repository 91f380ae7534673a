use std::collections::BTreeMap;

use mused_run::Predictions;

use crate::input::Scores;

/// Stimuli of each kind.
const SHOWN: usize = 3;

/// A test stimulus and how its mean over subjects was decoded.
pub(super) struct Decoded<'a> {
    pub(super) stimulus: &'a str,
    pub(super) truth: Vec<bool>,
    /// Mean over subjects, then each subject.
    pub(super) probabilities: Vec<Option<Vec<f64>>>,
    /// Label-ranking average precision; `None` without labels.
    pub(super) ranking: Option<f64>,
    /// Mean cross-entropy a label, in bits.
    pub(super) surprise: f64,
}

/// Stimuli that are shown, none of them twice.
pub(super) struct Choice<'a> {
    /// The best first.
    pub(super) best: Vec<Decoded<'a>>,
    /// The worst first.
    pub(super) worst: Vec<Decoded<'a>>,
    pub(super) surprising: Vec<Decoded<'a>>,
}

impl<'a> Choice<'a> {
    pub(super) fn of(mut decoded: Vec<Decoded<'a>>) -> Self {
        // Those without labels come last.
        let ranking = |decoded: &Decoded<'_>| decoded.ranking.unwrap_or(2.0);
        decoded.sort_by(|a, b| {
            let by_ranking = ranking(a).total_cmp(&ranking(b));
            by_ranking.then(b.surprise.total_cmp(&a.surprise))
        });
        let ranked = decoded.iter().filter(|decoded| decoded.ranking.is_some());
        let ranked = ranked.count();
        let count = SHOWN.min(ranked / 2).max(usize::from(ranked > 0));
        let worst = decoded.drain(..count).collect();
        let ranked = ranked - count;
        let best = decoded.drain(ranked.saturating_sub(count)..ranked);
        let best = best.rev().collect();
        decoded.sort_by(|a, b| b.surprise.total_cmp(&a.surprise));
        decoded.truncate(SHOWN);
        Self {
            best,
            worst,
            surprising: decoded,
        }
    }
}

/// Every test stimulus.
pub(super) fn decode<'p>(predictions: &'p Predictions, scores: &Scores) -> Vec<Decoded<'p>> {
    let mut rows: BTreeMap<&str, Vec<(usize, usize)>> = BTreeMap::new();
    for (subject, own) in scores.rows.iter().enumerate() {
        for &row in own {
            let place = rows.entry(&predictions.keys[row].1).or_default();
            place.push((subject, row));
        }
    }
    let decoded = rows.into_iter().map(|(stimulus, rows)| {
        let (mean, subjects) = probabilities(predictions, &rows, scores.subjects.len());
        let first = rows.first().map(|(_, row)| predictions.targets.row(*row));
        let truth = first.into_iter().flatten();
        let truth: Vec<bool> = truth.map(|value| *value == 1).collect();
        Decoded {
            stimulus,
            ranking: ranking(&mean, &truth),
            surprise: surprise(&mean, &truth),
            truth,
            probabilities: std::iter::once(Some(mean)).chain(subjects).collect(),
        }
    });
    decoded.collect()
}

/// Mean over rows, each of a subject, and over each subject's own, who may have seen a stimulus in several trials.
fn probabilities(
    predictions: &Predictions,
    rows: &[(usize, usize)],
    subjects: usize,
) -> (Vec<f64>, Vec<Option<Vec<f64>>>) {
    let labels = predictions.labels.len();
    let mut mean = vec![0.0; labels];
    let mut single: Vec<Option<(Vec<f64>, f64)>> = vec![None; subjects];
    for &(subject, row) in rows {
        let values = predictions.probabilities.row(row);
        let (sum, seen) = single[subject].get_or_insert_with(|| (vec![0.0; labels], 0.0));
        *seen += 1.0;
        for ((sum, mean), value) in sum.iter_mut().zip(&mut mean).zip(values) {
            *sum += value;
            *mean += value / rows.len() as f64;
        }
    }
    let own = |(sum, seen): (Vec<f64>, f64)| sum.into_iter().map(|value| value / seen).collect();
    let single = single.into_iter().map(|subject| subject.map(own));
    (mean, single.collect())
}

/// Mean over true labels of the share of true labels among those ranked as high
/// (`sklearn.metrics.label_ranking_average_precision_score`).
fn ranking(probabilities: &[f64], truth: &[bool]) -> Option<f64> {
    let there: Vec<f64> = truth
        .iter()
        .zip(probabilities)
        .filter(|(there, _)| **there)
        .map(|(_, p)| *p)
        .collect();
    let share = |p: &f64| {
        let true_above = there.iter().filter(|other| *other >= p).count();
        let above = probabilities.iter().filter(|other| *other >= p).count();
        true_above as f64 / above as f64
    };
    mused_stats::summary::mean(&there.iter().map(share).collect::<Vec<f64>>())
}

/// Mean cross-entropy in bits; probabilities of exactly 0 and 1 count as a millionth from them.
fn surprise(probabilities: &[f64], truth: &[bool]) -> f64 {
    let bits = |(p, there): (&f64, &bool)| {
        let p = p.clamp(1e-6, 1.0 - 1e-6);
        -(if *there { p } else { 1.0 - p }).log2()
    };
    let sum: f64 = probabilities.iter().zip(truth).map(bits).sum();
    sum / probabilities.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rankings_are_those_of_scikit_learn() {
        // label_ranking_average_precision_score([[1, 0, 0, 1]], [[0.75, 0.5, 1, 0.5]])
        let found = ranking(&[0.75, 0.5, 1.0, 0.5], &[true, false, false, true]);
        assert_eq!(found, Some(0.5));
        assert_eq!(ranking(&[0.1, 0.2], &[false, false]), None);
        assert_eq!(surprise(&[0.5, 0.25], &[true, true]), 1.5);
    }
}
