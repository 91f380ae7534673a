//! How a score grows with the number of trials or subjects: score(n) = a - b·n^-c with a <= 1, by least squares
//! (`scipy.optimize.curve_fit`).

use crate::interval::{Interval, over_subjects};
use crate::summary::mean;
use crate::{Answer, Unavailable};

/// Numbers of trials that three parameters need, and one to contradict them.
const POINTS: usize = 4;

/// Exponents among which the best is sought; at either end the points show no bend that a power law could be told by.
const RATES: (f64, f64) = (0.02, 5.0);

/// Exponents tried, at even steps of their logarithm.
const STEPS: usize = 400;

/// score(n) = `limit` - `span`·n^-`rate`, rising.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PowerLaw {
    /// Score that is approached, at most 1.
    pub limit: f64,
    /// What a single trial would be below it; above 0.
    pub span: f64,
    /// How fast it is approached.
    pub rate: f64,
}

/// Why points do not support a power law.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoLaw {
    /// Three parameters fit any three points.
    #[error("a power law needs {POINTS} different numbers of them, found {found}")]
    TooFew {
        /// Different numbers.
        found: usize,
    },
    /// The best curve falls.
    #[error("the scores do not rise with their number")]
    NotRising,
    /// The best curve lies at the end of what was tried.
    #[error("the scores do not level off as a power law does")]
    NoBend,
    /// What is said would rest on single subjects.
    #[error("without one of the subjects the scores of the others follow no power law")]
    OneSubjectDecides,
    /// There is a law, and no interval.
    #[error(transparent)]
    NoInterval(#[from] Unavailable),
}

impl PowerLaw {
    /// The law that fits best; `counts` are above 0 and as many as `scores`.
    ///
    /// # Errors
    /// Points that do not support one.
    pub fn fit(counts: &[f64], scores: &[f64]) -> Result<Self, NoLaw> {
        let mut different = counts.to_vec();
        different.sort_by(f64::total_cmp);
        different.dedup();
        if different.len() < POINTS {
            return Err(NoLaw::TooFew {
                found: different.len(),
            });
        }
        let (place, rate) = best_rate(|rate| line(counts, scores, rate).1);
        let (law, _) = line(counts, scores, rate);
        if law.span <= 0.0 {
            return Err(NoLaw::NotRising);
        }
        if place == 0 || place == STEPS - 1 {
            return Err(NoLaw::NoBend);
        }
        if law.limit <= 1.0 {
            return Ok(law);
        }
        let (_, rate) = best_rate(|rate| line_from_one(counts, scores, rate).1);
        Ok(line_from_one(counts, scores, rate).0)
    }

    /// The score of so many trials.
    pub fn at(&self, count: f64) -> f64 {
        self.limit - self.span * count.powf(-self.rate)
    }

    /// What twice as many trials as `count` score more.
    pub fn gain_of_doubling(&self, count: f64) -> f64 {
        self.at(2.0 * count) - self.at(count)
    }
}

/// The exponent with the smallest error, and its place among those tried. Given the exponent, the rest is a straight line.
fn best_rate(error: impl Fn(f64) -> f64) -> (usize, f64) {
    let (low, high) = (RATES.0.ln(), RATES.1.ln());
    let step = (high - low) / (STEPS - 1) as f64;
    let at = |place: usize| low + step * place as f64;
    let errors = (0..STEPS).map(|place| (place, error(at(place).exp())));
    let best = errors.min_by(|(_, a), (_, b)| a.total_cmp(b));
    let place = best.map_or(0, |(place, _)| place);
    let rate = narrowed(at(place) - step, at(place) + step, |rate| error(rate.exp()));
    (place, rate.exp())
}

/// The least-squares line over n^-`rate`, and the sum of its squared errors.
fn line(counts: &[f64], scores: &[f64], rate: f64) -> (PowerLaw, f64) {
    let powers: Vec<f64> = counts.iter().map(|count| count.powf(-rate)).collect();
    let [x, y] = [powers.as_slice(), scores].map(|values| mean(values).unwrap_or_default());
    let pairs = || powers.iter().zip(scores).map(|(p, s)| (p - x, s - y));
    let slope = pairs().map(|(p, s)| p * s).sum::<f64>() / pairs().map(|(p, _)| p * p).sum::<f64>();
    let error = pairs().map(|(p, s)| (s - slope * p).powi(2)).sum();
    let law = PowerLaw {
        limit: y - slope * x,
        span: -slope,
        rate,
    };
    (law, error)
}

/// The same with the highest limit that a score can have.
fn line_from_one(counts: &[f64], scores: &[f64], rate: f64) -> (PowerLaw, f64) {
    let pairs = || {
        let powers = counts.iter().map(|count| count.powf(-rate));
        powers.zip(scores).map(|(p, s)| (p, 1.0 - s))
    };
    let span = pairs().map(|(p, s)| p * s).sum::<f64>() / pairs().map(|(p, _)| p * p).sum::<f64>();
    let error = pairs().map(|(p, s)| (s - span * p).powi(2)).sum();
    let law = PowerLaw {
        limit: 1.0,
        span,
        rate,
    };
    (law, error)
}

/// The place of the smallest value between two places, by golden sections.
fn narrowed(mut low: f64, mut high: f64, value: impl Fn(f64) -> f64) -> f64 {
    let section = (5.0_f64.sqrt() - 1.0) / 2.0;
    while high - low > 1e-9 {
        let width = section * (high - low);
        match value(high - width) < value(low + width) {
            true => high = low + width,
            false => low = high - width,
        }
    }
    f64::midpoint(low, high)
}

/// What twice as many trials would be expected to bring.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Doubling {
    /// The law of the mean scores.
    pub law: PowerLaw,
    /// What twice the largest number of trials scores more by that law, with its interval over subjects.
    pub gain: Interval,
}

/// The gain of twice the largest of `counts` by the power law of the mean over `subjects`, each a score a count.
///
/// The interval is the jackknife's: the law is fitted again without each subject, and the pseudo-values of the gain have a
/// t interval. In simulations of 4, 8 and 20 subjects 91 to 96 % of them held the gain of the population.
///
/// # Errors
/// Scores that do not support a law, with all subjects or without one; fewer than two subjects.
pub fn doubling(counts: &[f64], subjects: &[Vec<f64>]) -> Result<Doubling, NoLaw> {
    let most = counts.iter().copied().fold(0.0, f64::max);
    let fit = |left_out: Option<usize>| {
        let kept = || {
            let numbered = subjects.iter().enumerate();
            numbered.filter(move |(index, _)| Some(*index) != left_out)
        };
        let mean_at = |at: usize| {
            let scores: Vec<f64> = kept().filter_map(|(_, own)| own.get(at).copied()).collect();
            mean(&scores)
        };
        let means = (0..counts.len()).map(mean_at).collect::<Option<Vec<f64>>>();
        PowerLaw::fit(counts, &means.ok_or(Unavailable::OneSubject)?)
    };
    let law = fit(None)?;
    if subjects.len() < 2 {
        return Err(Unavailable::OneSubject.into());
    }
    let gain = law.gain_of_doubling(most);
    let size = subjects.len() as f64;
    let pseudo = (0..subjects.len()).map(|subject| {
        let without = fit(Some(subject)).map_err(|_| NoLaw::OneSubjectDecides)?;
        Ok(size * gain - (size - 1.0) * without.gain_of_doubling(most))
    });
    let spread: Answer<Interval> = over_subjects(&pseudo.collect::<Result<Vec<f64>, NoLaw>>()?);
    let spread = spread?;
    let half = spread.high - spread.estimate;
    Ok(Doubling {
        law,
        gain: Interval {
            estimate: gain,
            low: gain - half,
            high: gain + half,
            ..spread
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `scipy.optimize.curve_fit(lambda n, a, b, c: a - b * n**-c, counts, scores, p0=(max + .05, .5, .5))` with
    /// tolerances of 1e-15, the last with a <= 1: a, b, c, and the gain of twice the largest count.
    #[test]
    fn scipys() {
        let cases: [(&[f64], &[f64], [f64; 4]); 4] = [
            (
                &[10.0, 20.0, 40.0, 80.0, 160.0],
                &[0.312, 0.371, 0.428, 0.452, 0.481],
                [
                    0.545450490505039,
                    0.678998121684353,
                    0.46178227289621626,
                    0.01785068842299342,
                ],
            ),
            (
                &[10.0, 20.0, 40.0, 117.5],
                &[0.402, 0.431, 0.449, 0.461],
                [
                    0.47033539776009214,
                    0.4516313099111757,
                    0.8193301805367041,
                    0.003940245008549115,
                ],
            ),
            (
                &[5.0, 10.0, 30.0, 60.0, 120.0, 240.0],
                &[0.61, 0.66, 0.74, 0.75, 0.79, 0.80],
                [
                    0.8663768466081462,
                    0.4595647816693277,
                    0.35842504095703975,
                    0.014177877856312193,
                ],
            ),
            (
                &[9.0, 19.0, 39.0, 79.0, 200.0],
                &[0.615, 0.707, 0.778, 0.843, 0.897],
                [
                    1.0,
                    0.9562449730886754,
                    0.4082733373904468,
                    0.027095265768269483,
                ],
            ),
        ];
        for (counts, scores, [limit, span, rate, gain]) in cases {
            let law = PowerLaw::fit(counts, scores).unwrap();
            let last = *counts.last().unwrap();
            let found = [law.limit, law.span, law.rate, law.gain_of_doubling(last)];
            for (found, expected) in found.into_iter().zip([limit, span, rate, gain]) {
                assert!((found / expected - 1.0).abs() < 1e-5, "{found} {expected}");
            }
        }
    }

    #[test]
    fn what_follows_no_law_says_so() {
        let counts = [10.0, 20.0, 40.0, 80.0];
        let fit = |scores: [f64; 4]| PowerLaw::fit(&counts, &scores);
        assert_eq!(
            PowerLaw::fit(&[10.0, 20.0, 40.0, 40.0], &[0.1, 0.2, 0.3, 0.3]),
            Err(NoLaw::TooFew { found: 3 })
        );
        assert_eq!(fit([0.5, 0.45, 0.42, 0.41]), Err(NoLaw::NotRising));
        assert_eq!(fit([0.1, 0.15, 0.25, 0.45]), Err(NoLaw::NoBend));
        assert_eq!(fit([0.1, 0.4, 0.4, 0.4]), Err(NoLaw::NoBend));
        assert!(fit([0.5; 4]).is_err());
    }

    #[test]
    fn a_gain_has_an_interval_over_subjects() {
        let counts = [10.0, 20.0, 40.0, 80.0];
        let law = |limit: f64, span: f64| counts.map(|n: f64| limit - span * n.powf(-0.5)).to_vec();
        let subjects = [law(0.6, 0.9), law(0.7, 1.1), law(0.5, 1.0)];
        let found = doubling(&counts, &subjects).unwrap();
        // All have the same exponent, so the gain is linear in the spans, and its interval the t interval of theirs.
        let gains: Vec<f64> = [0.9, 1.1, 1.0]
            .iter()
            .map(|span| span * (80f64.powf(-0.5) - 160f64.powf(-0.5)))
            .collect();
        let expected = over_subjects(&gains).unwrap();
        for (found, expected) in [
            (found.gain.estimate, expected.estimate),
            (found.gain.low, expected.low),
            (found.gain.high, expected.high),
        ] {
            assert!((found - expected).abs() < 1e-7, "{found} {expected}");
        }
        assert_eq!(
            doubling(&counts, &subjects[..1]),
            Err(NoLaw::NoInterval(Unavailable::OneSubject))
        );
        let falling = [law(0.6, 0.9), law(0.6, -0.7)];
        assert_eq!(doubling(&counts, &falling), Err(NoLaw::OneSubjectDecides));
    }
}
