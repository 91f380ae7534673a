//! The curves whose areas ROC-AUC and average precision are, as scikit-learn draws them.

use ndarray::ArrayView1;

use crate::Result;
use crate::metrics::{Ranking, check};

/// ROC curve of one label: (false positive rate, true positive rate) from (0, 0) to (1, 1), a point for each distinct
/// score from the highest down (`sklearn.metrics.roc_curve(drop_intermediate=False)`). `None` where there is only one
/// class.
///
/// # Errors
/// As [`crate::metrics::score`].
pub fn roc_curve(
    scores: ArrayView1<f64>,
    targets: ArrayView1<u8>,
) -> Result<Option<Vec<(f64, f64)>>> {
    check(&scores, &targets)?;
    let ranking = Ranking::new(&scores, &targets);
    if ranking.positives == 0 || ranking.negatives == 0 {
        return Ok(None);
    }
    let (positives, negatives) = (ranking.positives as f64, ranking.negatives as f64);
    let start = std::iter::once((0.0, 0.0));
    let points = ranking
        .cumulative()
        .map(|(seen, found)| ((seen - found) as f64 / negatives, found as f64 / positives));
    Ok(Some(start.chain(points).collect()))
}

/// Precision-recall curve of one label: (recall, precision) from (0, 1), a point for each distinct score from the
/// highest down (`sklearn.metrics.precision_recall_curve`, in the other direction). `None` where there is no positive.
///
/// # Errors
/// As [`crate::metrics::score`].
pub fn precision_recall_curve(
    scores: ArrayView1<f64>,
    targets: ArrayView1<u8>,
) -> Result<Option<Vec<(f64, f64)>>> {
    check(&scores, &targets)?;
    let ranking = Ranking::new(&scores, &targets);
    if ranking.positives == 0 {
        return Ok(None);
    }
    let positives = ranking.positives as f64;
    let start = std::iter::once((0.0, 1.0));
    let points = ranking
        .cumulative()
        .map(|(seen, found)| (found as f64 / positives, found as f64 / seen as f64));
    Ok(Some(start.chain(points).collect()))
}

/// Height of a ROC curve at a false positive rate, linear between its points; the highest point of an upright piece.
pub fn true_positive_rate(curve: &[(f64, f64)], at: f64) -> f64 {
    let after = curve.partition_point(|(rate, _)| *rate <= at);
    match (curve[..after].last(), curve.get(after)) {
        (Some(&(x0, y0)), Some(&(x1, y1))) => y0 + (y1 - y0) * (at - x0) / (x1 - x0),
        (Some(&(_, y)), None) | (None, Some(&(_, y))) => y,
        (None, None) => 0.0,
    }
}

/// Height of a precision-recall curve at a recall, as average precision counts it: the precision at which that recall
/// is first reached.
pub fn precision_at(curve: &[(f64, f64)], recall: f64) -> f64 {
    let reached = curve.partition_point(|(found, _)| *found < recall);
    curve
        .get(reached)
        .or(curve.last())
        .map_or(0.0, |(_, precision)| *precision)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::metrics::{average_precision, roc_auc};

    #[test]
    fn curves_are_those_of_scikit_learn() {
        // sklearn 1.9 on these scores, ties and all (tests/fixtures/make_curves.py).
        let scores = array![0.9, 0.8, 0.8, 0.6, 0.5, 0.5, 0.3, 0.1];
        let targets = array![1, 0, 1, 1, 0, 1, 0, 0];
        let roc = roc_curve(scores.view(), targets.view()).unwrap().unwrap();
        let expected = [
            (0.0, 0.0),
            (0.0, 0.25),
            (0.25, 0.5),
            (0.25, 0.75),
            (0.5, 1.0),
            (0.75, 1.0),
            (1.0, 1.0),
        ];
        assert_eq!(roc, expected);
        let pr = precision_recall_curve(scores.view(), targets.view()).unwrap();
        let expected = [
            (0.0, 1.0),
            (0.25, 1.0),
            (0.5, 0.6666666666666666),
            (0.75, 0.75),
            (1.0, 0.6666666666666666),
            (1.0, 0.5714285714285714),
            (1.0, 0.5),
        ];
        assert_eq!(pr.unwrap(), expected);
    }

    #[test]
    fn areas_under_the_curves_are_the_scores() {
        let scores = array![0.2, 0.9, 0.4, 0.4, 0.7, 0.1, 0.65];
        let targets = array![0, 1, 0, 1, 0, 0, 1];
        let roc = roc_curve(scores.view(), targets.view()).unwrap().unwrap();
        let pr = precision_recall_curve(scores.view(), targets.view())
            .unwrap()
            .unwrap();
        let steps = 60_000;
        let middles = || (0..steps).map(|step| (f64::from(step) + 0.5) / f64::from(steps));
        let mean = |sum: f64| sum / f64::from(steps);
        let area = mean(middles().map(|at| true_positive_rate(&roc, at)).sum());
        let auc = roc_auc(scores.view(), targets.view()).unwrap().unwrap();
        assert!((area - auc).abs() < 1e-6, "{area} {auc}");
        let area = mean(middles().map(|at| precision_at(&pr, at)).sum());
        let ap = average_precision(scores.view(), targets.view()).unwrap();
        assert!((area - ap.unwrap()).abs() < 1e-6, "{area}");
    }

    #[test]
    fn one_class_has_no_roc_curve() {
        let (scores, none) = (array![0.1, 0.2], array![0, 0]);
        assert_eq!(roc_curve(scores.view(), none.view()).unwrap(), None);
        assert_eq!(
            precision_recall_curve(scores.view(), none.view()).unwrap(),
            None
        );
    }
}
