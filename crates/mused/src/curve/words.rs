//! What a curve says, in words.

use std::collections::BTreeSet;

use mused_run::Trials;
use mused_stats::power_law::{Doubling, NoLaw, doubling};

use super::{Curves, Estimate, Mean};

impl Curves {
    /// From how many trials the model is ahead of ridge regression, what twice as many would be expected to bring, and what
    /// is not known.
    pub fn sentences(&self) -> Vec<String> {
        let means: Vec<Mean> = (self.means().into_iter())
            .filter(|mean| mean.model == self.model)
            .collect();
        let skipped = self.skipped.iter().map(|trials| {
            format!(
                "{trials} trials are left out: some subject has {} in training (`all` is what there is).",
                self.there
            )
        });
        let mut sentences: Vec<String> = skipped.collect();
        sentences.push(self.against_ridge(&means));
        sentences.push(self.twice_as_many(&means));
        if !self.new_subjects && self.validation > 0.0 {
            sentences.push(format!(
                "The trials counted are not all: validation parts of the training side choose the weights \
                 (split.validation_fraction = {}).",
                self.validation
            ));
        }
        sentences.push(
            "Intervals are over subjects, with these stimuli, each number of trials by itself. How many people a network \
             is trained on was not varied."
                .to_owned(),
        );
        sentences
    }

    fn against_ridge(&self, means: &[Mean]) -> String {
        let (model, ridge) = (&self.model, &self.ridge);
        let compared: Vec<(Trials, Estimate, [f64; 2])> = (means.iter())
            .filter_map(|mean| {
                let ahead = mean.ahead[0]?;
                Some((mean.asked, ahead, ahead.interval?))
            })
            .collect();
        let (Some(first), Some(last)) = (compared.first(), compared.last()) else {
            return format!(
                "Whether {model} is ahead of {ridge} for other subjects cannot be told: that takes two subjects with scores \
                 that differ."
            );
        };
        let said = |(trials, ahead, [low, high]): &(Trials, Estimate, [f64; 2])| {
            format!(
                "{:+.3} macro AP from {} (95 % interval {low:+.3} to {high:+.3})",
                ahead.mean,
                number(*trials)
            )
        };
        let range = match compared.len() {
            1 => said(first),
            _ => format!("{}, {}", said(first), said(last)),
        };
        // Ahead there and from there on.
        let shown = (compared.iter().rev()).take_while(|(_, _, [low, _])| *low > 0.0);
        let below: Vec<String> = (compared.iter())
            .filter(|(_, _, [_, high])| *high < 0.0)
            .map(|(trials, ..)| trials.to_string())
            .collect();
        let mut sentence = match shown.last() {
            Some(from) if from.0 == first.0 => {
                format!(
                    "{model} is ahead of {ridge} on the same trials at every number of trials: {range}."
                )
            }
            Some((from, ..)) => {
                format!(
                    "{model} is ahead of {ridge} on the same trials from {} on: {range}.",
                    number(*from)
                )
            }
            None => format!(
                "There is no number of trials from which on {model} is ahead of {ridge} on the same trials: {range}."
            ),
        };
        if !below.is_empty() {
            sentence.push_str(&format!(" It is below at {}.", below.join(", ")));
        }
        sentence
    }

    fn twice_as_many(&self, means: &[Mean]) -> String {
        let model = &self.model;
        let most = means.last().map_or(0.0, |mean| mean.trials);
        match self.doubling(means) {
            Ok(Doubling { law, gain }) => format!(
                "The means of {model} follow {:.3} - {:.3}·n^-{:.3}: twice as many trials ({:.0} in place of {most:.0}) \
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
                format!("What twice as many trials would bring {model} is not said: {why}.")
            }
        }
    }

    /// The power law of the means over the subjects that have every score.
    fn doubling(&self, means: &[Mean]) -> Result<Doubling, NoLaw> {
        let counts: Vec<f64> = means.iter().map(|mean| mean.trials).collect();
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

fn number(trials: Trials) -> String {
    match trials {
        Trials::All => "all trials".to_owned(),
        trials => format!("{trials} trials"),
    }
}
