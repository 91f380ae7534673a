//! What scores say, in sentences: the same in the terminal and on the page.

use mused_stats::summary::median;

use crate::{LabelResult, OverSubjects, Results, Stated};

/// Above this, a p says nothing.
const SURE: f64 = 0.05;
/// Labels that are named at either end.
const NAMED: usize = 3;

impl Results {
    /// What was decoded how well, which labels and from whom, and how a network stands to ridge regression: the last words
    /// on a run.
    pub fn in_words(&self) -> Vec<String> {
        let mut words = vec![self.in_a_sentence()];
        words.extend(self.of_labels_and_subjects());
        words.extend(self.ridge.as_ref().map(|ridge| match ridge {
            Stated::Value(ridge) => ridge.sentence(),
            Stated::Unavailable { unavailable } => {
                format!("No ridge regression to hold the network against: {unavailable}.")
            }
        }));
        words
    }

    /// How well stimuli were decoded, against what, and how sure that is: one sentence.
    pub fn in_a_sentence(&self) -> String {
        let (what, scores, interval, test, floor, floor_is) = match &self.accuracy {
            Some(found) => (
                format!("The right one of {} labels was named", self.labels.len()),
                &found.scores,
                &found.interval,
                &found.permutation,
                found.most_frequent,
                "naming the most frequent one always",
            ),
            None => (
                "Stimuli with a label were told from those without it".to_owned(),
                &self.macro_scores.roc_auc,
                &self.inference.roc_auc.interval,
                &self.inference.roc_auc.permutation,
                self.floors.roc_auc,
                "chance",
            ),
        };
        let Some(mean) = scores.mean else {
            return "No label could be scored: no test sample has one, or all do.".to_owned();
        };
        let share = |value: f64| match self.accuracy {
            Some(_) => format!("{:.0} %", 100.0 * value),
            None => format!("{value:.2}"),
        };
        let mut known = vec![format!("{floor_is}: {}", share(floor))];
        known.extend(interval.value().map(|interval| {
            format!(
                "95 % interval {} to {} for other {}",
                share(interval.low),
                share(interval.high),
                interval.generalises_to
            )
        }));
        known.extend(test.value().map(|test| format!("p {}", p_in_words(test.p))));
        let times = match self.accuracy {
            Some(_) => format!("in {} of the test samples", share(mean)),
            None => format!("with a macro ROC-AUC of {}", share(mean)),
        };
        let above = interval.value().is_none_or(|interval| interval.low > floor);
        let conclusion = match (above, test.value()) {
            (true, Some(test)) if test.p <= SURE => "better than chance".to_owned(),
            (true, Some(test)) if test.smallest_p > SURE => format!(
                "above chance by the interval; the design has so few ways to exchange labels that no p could be below {:.3}",
                test.smallest_p
            ),
            (true, None) if interval.value().is_some() => {
                "above chance by the interval; no exchange of labels could test it".to_owned()
            }
            _ => "that is not surely better than chance".to_owned(),
        };
        format!("{what} {times} ({}): {conclusion}.", known.join("; "))
    }

    /// Which labels were found, and from which subjects: sentences, as far as there are several.
    pub fn of_labels_and_subjects(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        let mut scored: Vec<(&LabelResult, f64)> = self
            .labels
            .iter()
            .filter_map(|label| Some((label, label.roc_auc?)))
            .collect();
        scored.sort_by(|a, b| b.1.total_cmp(&a.1));
        let tested = self
            .labels
            .iter()
            .filter_map(|label| label.roc_auc_test.value());
        let found: Vec<bool> = tested.map(|test| test.q < SURE).collect();
        let name = |(label, auc): &(&LabelResult, f64)| format!("{} ({auc:.2})", label.name);
        let names =
            |labels: &[(&LabelResult, f64)]| labels.iter().map(name).collect::<Vec<_>>().join(", ");
        if scored.len() > 2 * NAMED {
            let count = match found.is_empty() {
                true => String::new(),
                false => format!(
                    "{} of {} labels were found (false discovery rate 0.05). ",
                    found.iter().filter(|found| **found).count(),
                    self.labels.len()
                ),
            };
            sentences.push(format!(
                "{count}Best, by AUC: {}; weakest: {}.",
                names(&scored[..NAMED]),
                names(&scored[scored.len() - NAMED..])
            ));
        } else if !scored.is_empty() {
            sentences.push(format!("Labels, by AUC: {}.", names(&scored)));
        }
        sentences.extend(by_subject(&self.macro_scores.roc_auc));
        sentences
    }
}

fn by_subject(scores: &OverSubjects) -> Option<String> {
    let mut scored: Vec<(&String, f64)> = scores
        .per_subject
        .iter()
        .filter_map(|(id, score)| Some((id, (*score)?)))
        .collect();
    scored.sort_by(|a, b| b.1.total_cmp(&a.1));
    let ([best, ..], [.., last]) = (scored.as_slice(), scored.as_slice()) else {
        return None;
    };
    let middle = median(&scored.iter().map(|(_, score)| *score).collect::<Vec<_>>())?;
    (scored.len() > 1).then(|| {
        format!(
            "Subjects, by AUC: from {} ({:.2}) to {} ({:.2}), median {middle:.2}.",
            best.0, best.1, last.0, last.1
        )
    })
}

/// = or below, for a sentence.
pub(crate) fn p_in_words(p: f64) -> String {
    match p < 0.001 {
        true => "below 0.001".to_owned(),
        false => format!("= {p:.3}"),
    }
}
