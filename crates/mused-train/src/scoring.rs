use mused_run::ValidationScores;
use mused_stats::metrics::{Undefined, score};
use mused_stats::summary::mean;
use ndarray::{Array2, Axis};

use crate::Result;
use crate::sample_set::SampleSet;

/// Mean over subjects of the scores of a validation part; none where it is empty or no label can be scored.
pub(crate) fn validation_scores(
    set: &SampleSet<'_>,
    probabilities: &Array2<f32>,
) -> Result<Option<ValidationScores>> {
    let mut subjects: Vec<usize> = set.samples.iter().map(|sample| sample.subject).collect();
    subjects.dedup();
    let (mut average_precisions, mut aucs) = (Vec::new(), Vec::new());
    for subject in subjects {
        let rows: Vec<usize> = (0..set.len())
            .filter(|&row| set.samples[row].subject == subject)
            .collect();
        let scores = probabilities.select(Axis(0), &rows).mapv(f64::from);
        let targets = set.target_rows(&rows);
        let scores = score(scores.view(), targets.view(), Undefined::Exclude)?;
        average_precisions.extend(scores.macro_average_precision);
        aucs.extend(scores.macro_roc_auc);
    }
    let means = mean(&average_precisions).zip(mean(&aucs));
    Ok(means.map(|(average_precision, roc_auc)| ValidationScores {
        average_precision,
        roc_auc,
    }))
}
