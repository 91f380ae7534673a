//! What a curve says, in words.

use std::collections::BTreeSet;

use mused_run::Standing;
use mused_stats::power_law::{Doubling, NoLaw, doubling};

use super::{Curves, Estimate, Mean, Over, Size};

impl Curves {
    /// Everything a curve says: [`Self::findings`], then [`Self::protocol`].
    pub fn sentences(&self) -> Vec<String> {
        [self.findings(), self.protocol()].concat()
    }

    /// From how many on the model is ahead of ridge regression, what more bring, and what twice as many would be expected to
    /// bring.
    pub fn findings(&self) -> Vec<String> {
        let means: Vec<Mean> = (self.means().into_iter())
            .filter(|mean| mean.model == self.model)
            .collect();
        let mut sentences: Vec<String> = (self.skipped.iter())
            .map(|&size| {
                let (words, there) = (self.over.words(size), self.there);
                match (self.over, self.new_subjects) {
                    (Over::Trials, _) => format!(
                        "{words} are left out: some subject has {there} in training (`all` is what there is)."
                    ),
                    (Over::Subjects, false) => format!(
                        "{words} are left out: there are {there} (`all` is what there is)."
                    ),
                    (Over::Subjects, true) => format!(
                        "{words} are left out: there are {there} beside the new one (`all` is what there is)."
                    ),
                }
            })
            .collect();
        sentences.push(self.against_ridge(&means));
        if self.over == Over::Subjects {
            sentences.extend(self.steps(&means));
        }
        sentences.push(self.twice_as_many(&means));
        sentences
    }

    /// How the scores came about, and what they leave open.
    pub fn protocol(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        if self.over == Over::Subjects {
            sentences.extend([self.teams(), self.ridge_beside()]);
        } else if !self.new_subjects && self.validation > 0.0 {
            sentences.push(format!(
                "The trials counted are not all: validation parts of the training side choose the weights \
                 (split.validation_fraction = {}).",
                self.validation
            ));
        }
        let unvaried = match self.over {
            Over::Trials => {
                " How many people a network is trained on was not varied (--subjects does)."
            }
            Over::Subjects => "",
        };
        sentences.push(format!(
            "Intervals are over subjects, with these stimuli, each number of {} by itself.{unvaried}",
            self.over.unit()
        ));
        sentences
    }

    fn teams(&self) -> String {
        let how = match (self.new_subjects, self.mapped) {
            (false, _) => "itself among them, on stimuli that none of them was trained on",
            (true, true) => {
                "itself not among them, through maps fitted on all its own training trials (mused adapt)"
            }
            (true, false) => "itself not among them, read as it is in the space that all share",
        };
        format!(
            "In each draw every subject is scored once by a network trained on so many subjects with all their training \
             trials, {how}."
        )
    }

    fn ridge_beside(&self) -> String {
        let ridge = &self.ridge;
        match self.pooled {
            true => format!("{ridge} learns from the same subjects."),
            false => format!(
                "{ridge} is fitted to each subject alone, on all its training trials, and does not depend on the others."
            ),
        }
    }

    /// What each step from fewer to more brings, over the subjects that have both scores.
    fn steps(&self, means: &[Mean]) -> Option<String> {
        let scores = |mean: &Mean| self.by_subject(mean.asked, &self.model, 0);
        let step = |pair: &[Mean]| {
            let [few, many] = pair else { return None };
            let (before, after) = (scores(few), scores(many));
            let gains = after
                .iter()
                .filter_map(|(subject, score)| Some(score - before.get(subject)?));
            let gain = Estimate::of(&gains.collect::<Vec<f64>>())?;
            let ends = gain.interval.map_or(String::new(), |[low, high]| {
                format!(" (95 % interval {low:+.3} to {high:+.3})")
            });
            Some(format!(
                "from {:.0} to {:.0} {:+.3}{ends}",
                few.count, many.count, gain.mean
            ))
        };
        let steps: Vec<String> = means.windows(2).filter_map(step).collect();
        (!steps.is_empty()).then(|| {
            format!(
                "What more subjects bring {}, in macro AP: {}.",
                self.model,
                steps.join(", ")
            )
        })
    }

    fn against_ridge(&self, means: &[Mean]) -> String {
        let (model, ridge) = (&self.model, &self.ridge);
        let compared: Vec<Compared> = means.iter().filter_map(Compared::of).collect();
        if compared.is_empty() {
            return format!(
                "Whether {model} is ahead of {ridge} for other subjects cannot be told: that takes two subjects with scores \
                 that differ."
            );
        }
        let beside = match self.over {
            Over::Trials => "on the same trials ",
            Over::Subjects => "",
        };
        let standings = [
            (Standing::Ahead, "is ahead of"),
            (Standing::NotDistinguishable, "cannot be told apart from"),
            (Standing::Below, "is below"),
        ];
        let clause = |(standing, words): &(Standing, &str)| {
            let at: Vec<usize> = (0..compared.len())
                .filter(|&place| compared[place].standing == *standing)
                .collect();
            let differences = at.iter().map(|&place| compared[place].difference);
            let low = differences.clone().fold(f64::INFINITY, f64::min);
            let high = differences.fold(f64::NEG_INFINITY, f64::max);
            let size = match at.len() {
                0 => return None,
                1 => format!("{low:+.3}"),
                _ => format!("{low:+.3} to {high:+.3}"),
            };
            let places = places(&at, &compared, self.over);
            Some(format!(
                "{words} {ridge} {beside}{places} ({size} macro AP)"
            ))
        };
        let clauses: Vec<String> = standings.iter().filter_map(clause).collect();
        format!("{model} {}.", clauses.join("; it "))
    }

    fn twice_as_many(&self, means: &[Mean]) -> String {
        let (model, unit) = (&self.model, self.over.unit());
        let most = means.last().map_or(0.0, |mean| mean.count);
        match self.doubling(means) {
            Ok(Doubling { law, gain }) => format!(
                "The means of {model} follow {:.3} - {:.3}·n^-{:.3}: twice as many {unit} ({:.0} in place of {most:.0}) \
                 would be expected to bring {:+.3} macro AP (95 % interval {:+.3} to {:+.3}), if the curve goes on as it \
                 did.",
                law.limit,
                law.span,
                law.rate,
                2.0 * most,
                gain.estimate,
                gain.low,
                gain.high
            ),
            Err(why) => {
                format!("What twice as many {unit} would bring {model} is not said: {why}.")
            }
        }
    }

    /// The power law of the means over the subjects that have every score.
    fn doubling(&self, means: &[Mean]) -> Result<Doubling, NoLaw> {
        let counts: Vec<f64> = means.iter().map(|mean| mean.count).collect();
        let scores = means
            .iter()
            .map(|mean| self.by_subject(mean.asked, &self.model, 0));
        let scores: Vec<_> = scores.collect();
        let names: BTreeSet<&str> = scores
            .iter()
            .flat_map(|scores| scores.keys().copied())
            .collect();
        let own = |name: &str| {
            scores
                .iter()
                .map(|scores| scores.get(name).copied())
                .collect()
        };
        let subjects: Vec<Vec<f64>> = names.into_iter().filter_map(own).collect();
        doubling(&counts, &subjects)
    }
}

/// How the model stands to ridge regression from so many.
struct Compared {
    size: Size,
    difference: f64,
    standing: Standing,
}

impl Compared {
    fn of(mean: &Mean) -> Option<Self> {
        let ahead = mean.ahead[0]?;
        let [low, high] = ahead.interval?;
        Some(Self {
            size: mean.asked,
            difference: ahead.mean,
            standing: match (low > 0.0, high < 0.0) {
                (true, _) => Standing::Ahead,
                (_, true) => Standing::Below,
                _ => Standing::NotDistinguishable,
            },
        })
    }
}

/// Numbers in words; `at` are places among `compared`, rising.
fn places(at: &[usize], compared: &[Compared], over: Over) -> String {
    let number = |place: usize| over.words(compared[place].size);
    match at {
        [only] => format!("with {}", number(*only)),
        _ if at.len() == compared.len() => format!("at every number of {}", over.unit()),
        [first, .., last] if last - first + 1 == at.len() && *first == 0 => {
            format!("up to {}", number(*last))
        }
        [first, .., last] if last - first + 1 == at.len() && last + 1 == compared.len() => {
            format!("from {} on", number(*first))
        }
        _ => {
            let numbers = at.iter().map(|&place| number(place));
            format!("with {}", numbers.collect::<Vec<_>>().join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Row;
    use super::*;

    /// Means of a model whose differences from ridge regression have these ends, and a curve that they could be of.
    fn said(ends: &[[f64; 2]]) -> String {
        let sizes = [Size::Most(10), Size::Most(20), Size::Most(40), Size::All];
        let mean = |(&asked, &[low, high]): (&Size, &[f64; 2])| {
            let ahead = Some(Estimate {
                mean: f64::midpoint(low, high),
                interval: Some([low, high]),
            });
            Mean {
                asked,
                count: 10.0,
                model: "default".to_owned(),
                draws: 5,
                subjects: 4,
                scores: [None; 2],
                ahead: [ahead; 2],
            }
        };
        let means: Vec<Mean> = sizes.iter().zip(ends).map(mean).collect();
        curves(Vec::new()).against_ridge(&means)
    }

    fn curves(rows: Vec<Row>) -> Curves {
        Curves {
            dataset: "simulated".to_owned(),
            simulated: true,
            over: Over::Trials,
            new_subjects: true,
            mapped: true,
            model: "default".to_owned(),
            ridge: "ridge-stacked".to_owned(),
            pooled: false,
            skipped: vec![Size::Most(500)],
            there: 90,
            validation: 0.1,
            rows,
        }
    }

    #[test]
    fn from_where_a_model_is_ahead() {
        let (ahead, apart, below) = ([0.01, 0.05], [-0.02, 0.04], [-0.05, -0.01]);
        let ridge = "ridge-stacked on the same trials";
        let cases = [
            (
                vec![ahead; 4],
                format!(
                    "default is ahead of {ridge} at every number of trials (+0.030 to +0.030 macro AP)."
                ),
            ),
            (
                vec![below, apart, ahead, ahead],
                format!(
                    "default is ahead of {ridge} from 40 trials on (+0.030 to +0.030 macro AP); it cannot be told apart from \
                     {ridge} with 20 trials (+0.010 macro AP); it is below {ridge} with 10 trials (-0.030 macro AP)."
                ),
            ),
            (
                vec![ahead, ahead, ahead, apart],
                format!(
                    "default is ahead of {ridge} up to 40 trials (+0.030 to +0.030 macro AP); it cannot be told apart from \
                     {ridge} with all trials (+0.010 macro AP)."
                ),
            ),
            (
                vec![ahead, apart, ahead, apart],
                format!(
                    "default is ahead of {ridge} with 10 trials, 40 trials (+0.030 to +0.030 macro AP); it cannot be told \
                     apart from {ridge} with 20 trials, all trials (+0.010 to +0.010 macro AP)."
                ),
            ),
        ];
        for (ends, expected) in cases {
            assert_eq!(said(&ends), expected);
        }
        assert!(said(&[]).contains("that takes two subjects"));
    }

    #[test]
    fn what_twice_as_many_trials_would_bring() {
        let row = |asked: usize, subject: &str, score: f64| Row {
            asked: Size::Most(asked),
            count: asked as f64,
            model: "default".to_owned(),
            draw: 0,
            subject: subject.to_owned(),
            average_precision: Some(score),
            roc_auc: None,
        };
        let score = |count: usize, span: f64| 0.8 - span / (count as f64).sqrt();
        let rows = [10, 20, 40, 90].into_iter().flat_map(|count| {
            [("sub-01", 0.9), ("sub-02", 1.1)]
                .map(|(subject, span)| row(count, subject, score(count, span)))
        });
        let rows: Vec<Row> = rows.collect();
        let words = curves(rows.clone()).sentences();
        assert_eq!(
            words[0],
            "500 trials are left out: some subject has 90 in training (`all` is what there is)."
        );
        // 1 / sqrt(90) - 1 / sqrt(180), and of spans that differ by 0.1 either way the t interval.
        assert_eq!(
            words[2],
            "The means of default follow 0.800 - 1.000·n^-0.500: twice as many trials (180 in place of 90) would be expected \
             to bring +0.031 macro AP (95 % interval -0.008 to +0.070), if the curve goes on as it did."
        );
        let few: Vec<Row> = rows.into_iter().filter(|row| row.count > 10.0).collect();
        assert_eq!(
            curves(few).sentences()[2],
            "What twice as many trials would bring default is not said: a power law needs 4 different numbers of them, \
             found 3."
        );
    }
}
