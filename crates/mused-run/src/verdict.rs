//! How one model stands to another, as numbers and in words. Every command and page says it with these words.

use serde::{Deserialize, Serialize};

use crate::in_words::p_in_words;
use crate::{IntervalResult, Pooling, Stated};

/// On which side of another model a model is, as far as the data tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// The 95 % interval of the difference lies above 0.
    Ahead,
    /// It holds 0, or there is none.
    NotDistinguishable,
    /// It lies below 0.
    Below,
}

/// A model against another on the same test samples, by macro average precision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Where the interval lies.
    pub standing: Standing,
    /// The model minus the other: mean over subjects and seeds, with its 95 % interval.
    pub difference: Stated<IntervalResult>,
    /// Two-sided p for other stimuli, with these subjects.
    pub p_over_stimuli: Stated<f64>,
    /// Subjects who have a difference.
    pub subjects: usize,
    /// Of them, those in whom the model scores higher.
    pub subjects_ahead: usize,
    /// Of them, those in whom it scores lower.
    pub subjects_below: usize,
    /// Runs of each model.
    pub seeds: usize,
}

/// Above this, a p says nothing.
const SURE: f64 = 0.05;

impl Verdict {
    /// The verdict on a difference, of which each subject has its own where it can be scored.
    pub fn of(
        difference: Stated<IntervalResult>,
        p_over_stimuli: Stated<f64>,
        per_subject: impl IntoIterator<Item = Option<f64>>,
        seeds: usize,
    ) -> Self {
        let scored: Vec<f64> = per_subject.into_iter().flatten().collect();
        let standing = match difference.value() {
            Some(interval) if interval.low > 0.0 => Standing::Ahead,
            Some(interval) if interval.high < 0.0 => Standing::Below,
            _ => Standing::NotDistinguishable,
        };
        Self {
            standing,
            difference,
            p_over_stimuli,
            subjects: scored.len(),
            subjects_ahead: scored.iter().filter(|own| **own > 0.0).count(),
            subjects_below: scored.iter().filter(|own| **own < 0.0).count(),
            seeds,
        }
    }

    /// The verdict as a sentence or two that begin with the name of the model.
    pub fn sentence(&self, model: &str, other: &str) -> String {
        let interval = match &self.difference {
            Stated::Value(interval) => interval,
            Stated::Unavailable { .. } if self.equal() => {
                return format!(
                    "{model} and {other} score the same in each of {} subjects: there is no difference to test.",
                    self.subjects
                );
            }
            Stated::Unavailable { unavailable } => {
                return format!("{model} could not be compared with {other}: {unavailable}.");
            }
        };
        let IntervalResult {
            estimate,
            low,
            high,
            ..
        } = *interval;
        let size = estimate.abs();
        let whom = self.whom(interval);
        match self.standing {
            Standing::Ahead => format!(
                "{model} is ahead of {other} by {size:.3} macro AP (95 % interval {low:.3} to {high:.3}, {whom})."
            ),
            Standing::Below => format!(
                "{model} is below {other} by {size:.3} macro AP (95 % interval {:.3} to {:.3}, {whom}).",
                -high, -low
            ),
            Standing::NotDistinguishable => format!(
                "{model} cannot be told apart from {other}: difference of macro AP {estimate:+.3} (95 % interval \
                 {low:+.3} to {high:+.3}, {whom}).{}",
                self.for_these_subjects(interval)
            ),
        }
    }

    /// Whether no subject scores higher or lower, and there are some.
    fn equal(&self) -> bool {
        self.subjects > 0 && self.subjects_ahead == 0 && self.subjects_below == 0
    }

    /// For whom the interval holds, and in how many of those who were there.
    fn whom(&self, interval: &IntervalResult) -> String {
        let (word, count) = match self.standing {
            Standing::Below => ("below", self.subjects_below),
            _ => ("ahead", self.subjects_ahead),
        };
        let whom = match interval.generalises_to.as_str() {
            "stimuli" => "for other stimuli of this one subject, not for other subjects".to_owned(),
            "subjects" => format!(
                "for other subjects, with these stimuli alone; {word} in {count} of {} subjects",
                self.subjects
            ),
            _ => format!(
                "for other subjects and other stimuli; {word} in {count} of {} subjects",
                self.subjects
            ),
        };
        match self.seeds {
            0 | 1 => whom,
            seeds => format!("{whom}; means over {seeds} seeds"),
        }
    }

    /// Few subjects say little of others; of themselves they may say more.
    fn for_these_subjects(&self, interval: &IntervalResult) -> String {
        let sure = (self.p_over_stimuli.value()).filter(|p| **p <= SURE && self.subjects > 1);
        let side = match interval.estimate > 0.0 {
            true => "ahead",
            false => "below",
        };
        sure.map_or(String::new(), |p| {
            format!(
                " In these {} subjects alone it is {side} on other stimuli too (p {}).",
                self.subjects,
                p_in_words(*p)
            )
        })
    }
}

/// A network against the ridge regression beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgainstRidge {
    /// Whether each subject has a regression of its own.
    pub subjects: Pooling,
    /// Macro average precision of the regression, mean over subjects.
    pub average_precision: Option<f64>,
    /// Its macro area under the ROC curve.
    pub roc_auc: Option<f64>,
    /// The network against it.
    pub verdict: Verdict,
}

impl AgainstRidge {
    /// What the regression is.
    pub fn name(&self) -> &'static str {
        ridge_in_words(self.subjects)
    }

    /// The verdict in words, and what follows from it.
    pub fn sentence(&self) -> String {
        let verdict = self.verdict.sentence("The network", self.name());
        match self.verdict.standing {
            Standing::Below => format!(
                "{verdict} Use the regression: the folder ridge/ of the run is a run of it."
            ),
            _ => verdict,
        }
    }
}

/// What a ridge regression is, in words.
pub(crate) fn ridge_in_words(subjects: Pooling) -> &'static str {
    match subjects {
        Pooling::Separate => "ridge regression for each subject",
        Pooling::Shared => "one ridge regression for all subjects",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(ends: [f64; 3], whom: &str, p: f64, subjects: &[f64], seeds: usize) -> Verdict {
        let [low, estimate, high] = ends;
        let interval = IntervalResult {
            estimate,
            low,
            high,
            standard_error: (high - low) / 4.0,
            generalises_to: whom.to_owned(),
        };
        let subjects = subjects.iter().copied().map(Some);
        let unscored = [None];
        Verdict::of(
            Stated::Value(interval),
            Stated::Value(p),
            subjects.chain(unscored),
            seeds,
        )
    }

    const BOTH: &str = "subjects and stimuli";

    #[test]
    fn every_verdict_has_its_words() {
        let ahead = verdict([0.041, 0.076, 0.112], BOTH, 1e-4, &[0.05, 0.1, 0.078], 1);
        let apart = verdict([-0.0204, 0.004, 0.028], BOTH, 0.5, &[0.02, -0.012], 1);
        let below = verdict([-0.15, -0.105, -0.06], BOTH, 1e-4, &[-0.2, -0.1, 0.01], 3);
        let few = verdict([-0.06, -0.05, 0.01], BOTH, 0.0123, &[-0.04, -0.06], 1);
        let certain = verdict([-0.01, 0.05, 0.06], BOTH, 1e-4, &[0.04, 0.06], 1);
        let one = verdict([0.01, 0.05, 0.09], "stimuli", 1e-4, &[0.05], 1);
        let one_unsure = verdict([-0.01, 0.05, 0.09], "stimuli", 1e-4, &[0.05], 1);
        let film = verdict([-0.2, -0.1, -0.05], "subjects", 0.5, &[-0.1, -0.1], 1);
        let none = Verdict::of(
            Stated::because("the scores do not vary"),
            Stated::because("no test"),
            [],
            1,
        );
        let standings = [&ahead, &apart, &below, &few, &one, &film, &none].map(|v| v.standing);
        use Standing::{Ahead, Below, NotDistinguishable as Apart};
        assert_eq!(standings, [Ahead, Apart, Below, Apart, Ahead, Below, Apart]);
        let words = [
            &ahead,
            &apart,
            &below,
            &few,
            &certain,
            &one,
            &one_unsure,
            &film,
            &none,
        ];
        let words = words.map(|verdict| verdict.sentence("A", "B"));
        assert_eq!(
            words,
            [
                "A is ahead of B by 0.076 macro AP (95 % interval 0.041 to 0.112, for other subjects and other stimuli; \
                 ahead in 3 of 3 subjects).",
                "A cannot be told apart from B: difference of macro AP +0.004 (95 % interval -0.020 to +0.028, for other \
                 subjects and other stimuli; ahead in 1 of 2 subjects).",
                "A is below B by 0.105 macro AP (95 % interval 0.060 to 0.150, for other subjects and other stimuli; \
                 below in 2 of 3 subjects; means over 3 seeds).",
                "A cannot be told apart from B: difference of macro AP -0.050 (95 % interval -0.060 to +0.010, for other \
                 subjects and other stimuli; ahead in 0 of 2 subjects). In these 2 subjects alone it is below on other \
                 stimuli too (p = 0.012).",
                "A cannot be told apart from B: difference of macro AP +0.050 (95 % interval -0.010 to +0.060, for other \
                 subjects and other stimuli; ahead in 2 of 2 subjects). In these 2 subjects alone it is ahead on other \
                 stimuli too (p below 0.001).",
                "A is ahead of B by 0.050 macro AP (95 % interval 0.010 to 0.090, for other stimuli of this one subject, \
                 not for other subjects).",
                "A cannot be told apart from B: difference of macro AP +0.050 (95 % interval -0.010 to +0.090, for other \
                 stimuli of this one subject, not for other subjects).",
                "A is below B by 0.100 macro AP (95 % interval 0.050 to 0.200, for other subjects, with these stimuli \
                 alone; below in 2 of 2 subjects).",
                "A could not be compared with B: the scores do not vary.",
            ]
        );
        let perfect = Verdict::of(
            Stated::because("the scores do not vary"),
            Stated::because("no test"),
            [Some(0.0), Some(0.0)],
            1,
        );
        assert_eq!(
            perfect.sentence("A", "B"),
            "A and B score the same in each of 2 subjects: there is no difference to test."
        );
    }

    #[test]
    fn who_is_below_ridge_is_told_what_to_use() {
        let mut against = AgainstRidge {
            subjects: Pooling::Separate,
            average_precision: Some(0.664),
            roc_auc: Some(0.9),
            verdict: verdict([-0.15, -0.105, -0.06], BOTH, 1e-4, &[-0.2, -0.1], 1),
        };
        assert_eq!(
            against.sentence(),
            "The network is below ridge regression for each subject by 0.105 macro AP (95 % interval 0.060 to 0.150, for \
             other subjects and other stimuli; below in 2 of 2 subjects). Use the regression: the folder ridge/ of the run \
             is a run of it."
        );
        against.subjects = Pooling::Shared;
        against.verdict = verdict([0.041, 0.076, 0.112], BOTH, 1e-4, &[0.1], 1);
        assert_eq!(
            against.sentence(),
            "The network is ahead of one ridge regression for all subjects by 0.076 macro AP (95 % interval 0.041 to \
             0.112, for other subjects and other stimuli; ahead in 1 of 1 subjects)."
        );
    }

    #[test]
    fn it_is_stored_as_data() {
        let verdict = verdict([-0.02, 0.004, 0.028], BOTH, 0.5, &[0.02, -0.012], 1);
        let text = serde_json::to_string(&verdict).unwrap();
        assert!(
            text.contains(r#""standing":"not-distinguishable""#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Verdict>(&text).unwrap(), verdict);
    }
}
