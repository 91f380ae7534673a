use mused_run::{Inference, Results};

use crate::number::count;

/// How scores, intervals and p values came about.
pub(super) fn words(results: &Results, version: &str) -> Vec<String> {
    let mut sentences = vec![scores(results)];
    if results.accuracy.is_some() {
        let accuracy = "Accuracy is the share of test samples whose likeliest label is the right one, mean over subjects.";
        sentences.push(accuracy.to_owned());
    }
    sentences.extend(intervals(&results.inference));
    sentences.extend(relabelled(&results.inference));
    sentences.extend(retrained(&results.inference));
    sentences.extend(against_ridge(results));
    let tested = |label: &mused_run::LabelResult| label.roc_auc_test.value().is_some();
    if results.labels.iter().any(tested) {
        sentences.push(
            "Over labels the false discovery rate is controlled (Benjamini and Hochberg, 1995)."
                .to_owned(),
        );
    }
    if !version.is_empty() {
        sentences.push(format!("The run was made with mused {version}."));
    }
    sentences
}

fn against_ridge(results: &Results) -> Option<String> {
    let ridge = results.ridge.as_ref()?.value()?;
    Some(format!(
        "The network was held against {}, trained on the same training stimuli, by the 95 % interval of the difference of \
         their macro average precision.",
        ridge.name()
    ))
}

fn scores(results: &Results) -> String {
    let undefined = match results.undefined.as_str() {
        "exclude" => "labels that cannot be scored in a subject are left out of its mean",
        "sklearn" => "a label without positives counts as AP 0",
        _ => "undefined scores count as in the published code, which flatters",
    };
    let samples = match results.folds {
        0 | 1 => "the test samples",
        _ => "the pooled test samples of all folds",
    };
    format!(
        "Scores are average precision and area under the ROC curve, a label and subject over {samples}, then means over \
         labels and over subjects ({undefined}); definitions are those of scikit-learn."
    )
}

fn intervals(inference: &Inference) -> Option<String> {
    let interval = inference.roc_auc.interval.value()?;
    let model = match interval.generalises_to.as_str() {
        "subjects and stimuli" => " (model of Obuchowski and Rockette, 1995)",
        _ => "",
    };
    Some(format!(
        "Intervals (95 %) are of the mean over subjects and for other {}{model}.",
        interval.generalises_to
    ))
}

fn relabelled(inference: &Inference) -> Option<String> {
    inference.roc_auc.permutation.value()?;
    let exchanged = match inference.exchanged.as_str() {
        "groups" => "whole groups of test stimuli exchanged their labels",
        "stimuli" => "test stimuli exchanged their labels",
        "blocks" => {
            "blocks of test stimuli labelled alike exchanged their labels within their group"
        }
        "shift" => {
            "the labels of all test stimuli, in the order shown, were shifted along a circle"
        }
        _ => "the labels of test stimuli changed places",
    };
    Some(format!(
        "P values compare with {} relabellings, in which {exchanged} while predictions were held fixed (seed {}).",
        count(inference.permutations),
        inference.seed,
    ))
}

fn retrained(inference: &Inference) -> Option<String> {
    let test = inference.roc_auc.retrained.value()?;
    let pipelines = ((1.0 / test.smallest_p).round() as usize).saturating_sub(1);
    Some(format!(
        "Further p values compare with {} whole pipelines retrained on relabelled stimuli.",
        count(pipelines)
    ))
}
