//! What scores say, in sentences: the same in the terminal and on the page.

use mused_stats::summary::median;

use crate::{IntervalResult, LabelResult, OverSubjects, Results, Stated, TestResult};

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
        let Some(told) = self.told() else {
            return NOTHING.to_owned();
        };
        let mut known = vec![format!("{}: {}", told.floor_is, told.share(told.floor))];
        known.extend(told.interval.map(|interval| {
            format!(
                "95 % interval {} to {} for other {}",
                told.share(interval.low),
                told.share(interval.high),
                interval.generalises_to
            )
        }));
        known.extend(told.test.map(|test| format!("p {}", p_in_words(test.p))));
        let conclusion = told.conclusion();
        format!("{} ({}): {conclusion}.", told.beginning(), known.join("; "))
    }

    /// The same as a title: how well, and whether that is better than chance.
    pub fn in_a_title(&self) -> String {
        let Some(told) = self.told() else {
            return NOTHING.to_owned();
        };
        let sure = match told.conclusion().as_str() {
            BETTER => BETTER,
            conclusion if conclusion.starts_with(ABOVE) => ABOVE,
            _ => "not surely better than chance",
        };
        format!("{}: {sure} ({})", told.beginning(), told.share(told.floor))
    }

    /// Accuracy of designs with one label a stimulus, AUC of others. `None` where nothing could be scored.
    fn told(&self) -> Option<Told<'_>> {
        // A label that every sample has is not among those one of which is named.
        let labels = self
            .labels
            .iter()
            .filter(|label| label.prevalence < 1.0)
            .count();
        Some(match &self.accuracy {
            Some(found) => Told {
                labels: Some(labels),
                mean: found.scores.mean?,
                interval: found.interval.value(),
                test: found.permutation.value(),
                floor: found.most_frequent,
                floor_is: "naming the most frequent one always",
            },
            None => Told {
                labels: None,
                mean: self.macro_scores.roc_auc.mean?,
                interval: self.inference.roc_auc.interval.value(),
                test: self.inference.roc_auc.permutation.value(),
                floor: self.floors.roc_auc,
                floor_is: "chance",
            },
        })
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

const NOTHING: &str = "No label could be scored: no test sample has one, or all do.";
const BETTER: &str = "better than chance";
const ABOVE: &str = "above chance by the interval";

/// The score that says most, with what is known of it.
struct Told<'r> {
    /// How many there are, where one of them is named.
    labels: Option<usize>,
    mean: f64,
    interval: Option<&'r IntervalResult>,
    test: Option<&'r TestResult>,
    floor: f64,
    floor_is: &'static str,
}

impl Told<'_> {
    fn share(&self, value: f64) -> String {
        match self.labels {
            Some(_) => format!("{:.0} %", 100.0 * value),
            None => format!("{value:.2}"),
        }
    }

    fn beginning(&self) -> String {
        let mean = self.share(self.mean);
        match self.labels {
            Some(labels) => {
                format!("The right one of {labels} labels was named in {mean} of the test samples")
            }
            None => format!(
                "Stimuli with a label were told from those without it with a macro ROC-AUC of {mean}"
            ),
        }
    }

    fn conclusion(&self) -> String {
        let above = self
            .interval
            .is_none_or(|interval| interval.low > self.floor);
        match (above, self.test) {
            (true, Some(test)) if test.p <= SURE => BETTER.to_owned(),
            (true, Some(test)) if test.smallest_p > SURE => format!(
                "{ABOVE}; the design has so few ways to exchange labels that no p could be below {:.3}",
                test.smallest_p
            ),
            (true, None) if self.interval.is_some() => {
                format!("{ABOVE}; no exchange of labels could test it")
            }
            _ => "that is not surely better than chance".to_owned(),
        }
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn none() -> Value {
        json!({"unavailable": "no reason"})
    }

    /// Results of subjects and labels by their AUC, with the interval of the mean and a p with its smallest.
    fn results(
        subjects: &[(&str, f64)],
        labels: &[(&str, f64)],
        ends: [f64; 2],
        p: Option<[f64; 2]>,
    ) -> Results {
        let per_subject: Value = subjects
            .iter()
            .map(|(id, auc)| ((*id).to_owned(), json!(auc)))
            .collect();
        let scores =
            |mean: Option<f64>| json!({"mean": mean, "sd": null, "per_subject": per_subject});
        let mean = subjects.iter().map(|(_, auc)| auc).sum::<f64>() / subjects.len().max(1) as f64;
        let known = (!subjects.is_empty()).then_some(mean);
        let interval = json!({"estimate": mean, "low": ends[0], "high": ends[1], "standard_error": 0.1,
            "generalises_to": "subjects and stimuli"});
        let test = p.map_or_else(
            none,
            |[p, smallest]| json!({"p": p, "smallest_p": smallest, "null_mean": 0.5}),
        );
        let metric = json!({"interval": interval, "permutation": test, "retrained": none()});
        let label = |(name, auc): &(&str, f64)| {
            json!({"name": name, "prevalence": 0.2, "positives": 4, "average_precision": 0.5, "roc_auc": auc,
                "average_precision_interval": none(), "roc_auc_interval": none(), "average_precision_test": none(),
                "roc_auc_test": {"p": 0.01, "q": if *auc > 0.6 { 0.02 } else { 0.3 }}})
        };
        let found = json!({
            "schema": crate::RESULTS_SCHEMA, "undefined": "exclude", "folds": 5,
            "macro": {"average_precision": scores(known), "roc_auc": scores(known), "hamming_loss": scores(known),
                "subset_accuracy": scores(known), "micro_average_precision": scores(known)},
            "inference": {"exchanged": "groups", "permutations": 10000, "attainable_log2": 90.0, "seed": 0,
                "average_precision": metric, "roc_auc": metric},
            "calibration": {"brier": 0.1, "brier_floor": 0.2, "expected_calibration_error": null, "curve": []},
            "labels": labels.iter().map(label).collect::<Vec<_>>(),
            "floors": {"average_precision": 0.2, "random_average_precision": 0.25, "roc_auc": 0.5, "hamming_loss": 0.2},
            "noise_ceiling": {"scores": none(), "responses": {}, "geometry": none()},
            "audit": none(), "subjects": {}
        });
        serde_json::from_value(found).unwrap()
    }

    const TWO: [(&str, f64); 2] = [("anna", 0.9), ("ben", 0.7)];
    const FEW: [(&str, f64); 2] = [("face", 0.9), ("tool", 0.55)];

    #[test]
    fn scores_have_their_words() {
        let words = |ends, p| results(&TWO, &FEW, ends, p).in_words();
        let begins = "Stimuli with a label were told from those without it with a macro ROC-AUC of 0.80 (chance: 0.50; 95 % \
                      interval";
        let of_both = "for other subjects and stimuli";
        assert_eq!(
            words([0.71, 0.89], Some([1e-4, 1e-4])),
            [
                format!("{begins} 0.71 to 0.89 {of_both}; p below 0.001): better than chance."),
                "Labels, by AUC: face (0.90), tool (0.55).".to_owned(),
                "Subjects, by AUC: from anna (0.90) to ben (0.70), median 0.80.".to_owned(),
            ]
        );
        let sentence = |ends, p| words(ends, p).swap_remove(0);
        assert_eq!(
            sentence([0.45, 0.99], Some([0.03, 1e-4])),
            format!(
                "{begins} 0.45 to 0.99 {of_both}; p = 0.030): that is not surely better than chance."
            )
        );
        assert_eq!(
            sentence([0.71, 0.89], Some([0.2, 1e-4])),
            format!(
                "{begins} 0.71 to 0.89 {of_both}; p = 0.200): that is not surely better than chance."
            )
        );
        assert_eq!(
            sentence([0.71, 0.89], Some([0.125, 0.125])),
            format!(
                "{begins} 0.71 to 0.89 {of_both}; p = 0.125): above chance by the interval; the design has so few ways to \
                 exchange labels that no p could be below 0.125."
            )
        );
        assert_eq!(
            sentence([0.71, 0.89], None),
            format!(
                "{begins} 0.71 to 0.89 {of_both}): above chance by the interval; no exchange of labels could test it."
            )
        );
        let nothing = results(&[], &[], [0.0, 1.0], None);
        assert_eq!(
            nothing.in_words(),
            ["No label could be scored: no test sample has one, or all do."]
        );
    }

    #[test]
    fn many_labels_are_counted_and_one_subject_is_no_range() {
        let names = ["a", "b", "c", "d", "e", "f", "g"];
        let labels: Vec<(&str, f64)> = names
            .into_iter()
            .zip([0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.5])
            .collect();
        let found = results(&TWO[..1], &labels, [0.7, 0.9], Some([1e-4, 1e-4]));
        assert_eq!(
            found.of_labels_and_subjects(),
            [
                "6 of 7 labels were found (false discovery rate 0.05). Best, by AUC: a (0.90), b (0.85), c (0.80); weakest: \
                 e (0.70), f (0.65), g (0.50)."
            ]
        );
    }

    #[test]
    fn one_label_a_stimulus_is_told_by_accuracy() {
        let mut found = results(&TWO, &FEW, [0.71, 0.89], None);
        let accuracy = json!({
            "scores": {"mean": 0.625, "sd": null, "per_subject": {"anna": 0.7, "ben": 0.55}},
            "interval": {"estimate": 0.625, "low": 0.503, "high": 0.747, "standard_error": 0.05, "generalises_to": "stimuli"},
            "permutation": {"p": 0.004, "smallest_p": 1e-4, "null_mean": 0.5},
            "most_frequent": 0.5, "confusion": [[1, 0], [0, 1]]
        });
        found.accuracy = serde_json::from_value(accuracy).unwrap();
        assert_eq!(
            found.in_a_sentence(),
            "The right one of 2 labels was named in 62 % of the test samples (naming the most frequent one always: 50 %; 95 % \
             interval 50 % to 75 % for other stimuli; p = 0.004): better than chance."
        );
    }
}
