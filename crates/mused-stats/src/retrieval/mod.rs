//! Retrieval: where the true item comes among the items of a gallery, nearest first.
//!
//! Of a response, c items of the gallery compete with the true one; b of them are nearer to what was decoded and e exactly
//! as near. Ties are broken at random, in expectation: the rank is 1 + b + e/2, the response is among the first k with
//! probability min(1, max(0, (k - b)/(e + 1))), and it is told from another item (two-alternative identification) in a share
//! of 1 - (b + e/2)/c. Each subject's score is the mean over its responses (of ranks the median), and the score the mean over
//! subjects.

mod places;

use ndarray::Array2;
use rayon::prelude::*;

use crate::interval::{Interval, Values, crossed, over_subjects};
use crate::permutation::{Exchange, Tested, reaches};
use crate::relabelling::Blocks;
use crate::{Answer, Error, Result, Unavailable, summary};

pub use places::{Place, Places, above, highest, place, unit};

/// Stimuli that take part under one gallery, such as the test stimuli of a fold: under the null hypothesis they change
/// places with each other.
#[derive(Clone, Debug)]
pub struct Pool {
    /// Group of each, in the order they were shown; numbers are those of all pools together.
    pub groups: Vec<usize>,
}

/// A response to a stimulus of a pool.
#[derive(Clone, Debug)]
pub struct Response {
    /// Whose.
    pub subject: usize,
    /// Number of its pool.
    pub pool: usize,
    /// Which of its pool the stimulus is.
    pub stimulus: usize,
    /// Where it comes in the gallery.
    pub place: Place,
    /// Where each stimulus of the pool comes, which it may change places with; empty where nothing is exchanged.
    pub places: Vec<Place>,
}

/// What is measured of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Among the first so many.
    Top(u32),
    /// Told from another item.
    Pairwise,
    /// Rank of the true item, the median a subject.
    MedianRank,
}

impl Measure {
    fn of(self, place: Place) -> f64 {
        match self {
            Self::Top(k) => place.within(k),
            Self::Pairwise => place.pairwise(),
            Self::MedianRank => place.rank(),
        }
    }

    /// What a random order gives.
    fn chance(self, place: Place) -> f64 {
        let items = f64::from(place.others) + 1.0;
        match self {
            Self::Top(k) => (f64::from(k) / items).min(1.0),
            Self::Pairwise => 0.5,
            Self::MedianRank => (items + 1.0) / 2.0,
        }
    }

    fn summarised(self, values: &mut [f64]) -> Option<f64> {
        match self {
            Self::MedianRank => median(values),
            _ => summary::mean(values),
        }
    }
}

/// A measure over all responses.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// Of each subject, in ascending order of their numbers.
    pub per_subject: Vec<f64>,
    /// Mean over subjects.
    pub mean: f64,
    /// What a random order of the gallery gives.
    pub chance: f64,
    /// 95 % interval of the mean: for other subjects and other stimuli (crossed, see [`crate::interval`]); of median ranks,
    /// whose jackknife means nothing, for other subjects.
    pub interval: Answer<Interval>,
    /// How often other stimuli of the pool in the place of the true ones score as well, the same ones for all subjects.
    pub permutation: Answer<Tested>,
}

/// Scores responses by each of some measures, under the same permutations.
///
/// # Errors
/// No response; a response of a pool or a stimulus that is not there.
pub fn scores(
    responses: &[Response],
    pools: &[Pool],
    measures: &[Measure],
    permutations: usize,
    seed: u64,
) -> Result<Vec<Score>> {
    let sheet = Sheet::new(responses, pools)?;
    let mut found = Vec::with_capacity(measures.len());
    for &measure in measures {
        let values = sheet.values(measure);
        let per_subject: Vec<f64> = values.observed.iter().flatten().copied().collect();
        let chances: Vec<f64> = (responses.iter())
            .map(|response| measure.chance(response.place))
            .collect();
        found.push(Score {
            interval: match measure {
                Measure::MedianRank => over_subjects(&per_subject),
                _ => crossed(&values, sheet.groups).map(within_unit),
            },
            permutation: Err(Unavailable::NothingToExchange),
            chance: summary::mean(&chances).unwrap_or(f64::NAN),
            mean: summary::mean(&per_subject).unwrap_or(f64::NAN),
            per_subject,
        });
    }
    if let Some(null) = sheet.null(measures, permutations, seed) {
        for (place, (score, measure)) in found.iter_mut().zip(measures).enumerate() {
            let null: Vec<f64> = null.iter().map(|means| means[place]).collect();
            score.permutation = Ok(tested(*measure, score.mean, &null));
        }
    }
    Ok(found)
}

fn tested(measure: Measure, observed: f64, null: &[f64]) -> Tested {
    let as_good = |null: &&f64| match measure {
        Measure::MedianRank => reaches(observed, **null),
        _ => reaches(**null, observed),
    };
    let smallest_p = 1.0 / (1 + null.len()) as f64;
    Tested {
        observed,
        p: (1 + null.iter().filter(as_good).count()) as f64 * smallest_p,
        smallest_p,
        null_mean: summary::mean(null).unwrap_or(observed),
    }
}

/// How much better (of ranks: how much lower) responses score than others to the same stimuli.
#[derive(Clone, Debug, PartialEq)]
pub struct Gain {
    /// Of each subject.
    pub per_subject: Vec<f64>,
    /// Their mean with its 95 % interval, as that of [`Score`].
    pub interval: Answer<Interval>,
    /// Two-sided p of the crossed t test of a mean of 0.
    pub p: Answer<f64>,
}

/// Compares two decoders of the same responses.
///
/// # Errors
/// As [`scores`]; responses that are not the same.
pub fn gain(
    responses: &[Response],
    others: &[Response],
    pools: &[Pool],
    measure: Measure,
) -> Result<Gain> {
    let same = |(a, b): (&Response, &Response)| {
        (a.subject, a.pool, a.stimulus) == (b.subject, b.pool, b.stimulus)
    };
    if responses.len() != others.len() || !responses.iter().zip(others).all(same) {
        return Err(Error::Shape {
            what: "responses that are compared",
            expected: vec![responses.len()],
            found: vec![others.len()],
        });
    }
    let (sheet, other) = (Sheet::new(responses, pools)?, Sheet::new(others, pools)?);
    let (a, b) = (sheet.values(measure), other.values(measure));
    let sign = if measure == Measure::MedianRank {
        -1.0
    } else {
        1.0
    };
    let minus = |a: &[Option<f64>], b: &[Option<f64>]| -> Vec<Option<f64>> {
        let pairs = a.iter().zip(b);
        pairs.map(|(a, b)| Some(sign * ((*a)? - (*b)?))).collect()
    };
    let values = Values {
        observed: minus(&a.observed, &b.observed),
        without: (a.without.iter().zip(&b.without))
            .map(|(a, b)| minus(a, b))
            .collect(),
    };
    let per_subject: Vec<f64> = values.observed.iter().flatten().copied().collect();
    let interval = match measure {
        Measure::MedianRank => over_subjects(&per_subject),
        _ => crossed(&values, sheet.groups),
    };
    Ok(Gain {
        p: interval.map(|interval| interval.p_of_zero()),
        per_subject,
        interval,
    })
}

/// Responses by subject.
struct Sheet<'r> {
    responses: &'r [Response],
    pools: &'r [Pool],
    /// Place of each response's subject among all.
    subjects: Vec<usize>,
    count: usize,
    groups: usize,
}

impl<'r> Sheet<'r> {
    fn new(responses: &'r [Response], pools: &'r [Pool]) -> Result<Self> {
        if responses.is_empty() {
            return Err(Error::Empty {
                what: "responses",
                found: vec![0],
            });
        }
        for response in responses {
            let stimuli = pools.get(response.pool).map_or(0, |pool| pool.groups.len());
            let places = response.places.len();
            if response.stimulus >= stimuli || (places != stimuli && places > 0) {
                return Err(Error::Shape {
                    what: "places of a response in its pool",
                    expected: vec![stimuli],
                    found: vec![places],
                });
            }
        }
        let of: Vec<usize> = responses.iter().map(|response| response.subject).collect();
        let group = |response: &Response| pools[response.pool].groups[response.stimulus];
        let groups: Vec<usize> = responses.iter().map(group).collect();
        let (subjects, count) = renumbered(&of);
        Ok(Self {
            subjects,
            count,
            groups: renumbered(&groups).1,
            responses,
            pools,
        })
    }

    /// Each subject's score, and without each group of stimuli.
    fn values(&self, measure: Measure) -> Values {
        let single: Vec<f64> = (self.responses.iter())
            .map(|response| measure.of(response.place))
            .collect();
        let observed = self.by_subject(measure, &single);
        if measure == Measure::MedianRank {
            return Values {
                observed,
                without: Vec::new(),
            };
        }
        let group = |response: &Response| self.pools[response.pool].groups[response.stimulus];
        let groups: Vec<usize> = self.responses.iter().map(group).collect();
        Values {
            observed,
            without: without_groups(&single, &self.subjects, self.count, &groups),
        }
    }

    fn by_subject(&self, measure: Measure, single: &[f64]) -> Vec<Option<f64>> {
        let mut of: Vec<Vec<f64>> = vec![Vec::new(); self.count];
        for (value, &subject) in single.iter().zip(&self.subjects) {
            of[subject].push(*value);
        }
        of.iter_mut()
            .map(|values| measure.summarised(values))
            .collect()
    }

    /// The mean by each measure under each permutation; `None` where nothing changes places.
    fn null(&self, measures: &[Measure], permutations: usize, seed: u64) -> Option<Vec<Vec<f64>>> {
        let exchanges: Vec<(Exchange, Blocks)> = (self.pools.iter())
            .map(|pool| {
                let exchange = Exchange::of(&pool.groups, &[]);
                (exchange, Blocks::new::<()>(&pool.groups, &[], exchange))
            })
            .collect();
        let moves = |(pool, (_, blocks)): (&Pool, &(Exchange, Blocks))| {
            (0..pool.groups.len() as u64).any(|index| {
                let moved = blocks.draw(seed, index);
                moved.iter().zip(0..).any(|(to, from)| *to != from)
            })
        };
        let placed = self
            .responses
            .iter()
            .all(|response| !response.places.is_empty());
        if !placed || !self.pools.iter().zip(&exchanges).any(moves) || permutations == 0 {
            return None;
        }
        let means = |index: u64| -> Vec<f64> {
            let pools = exchanges.len() as u64;
            let moved: Vec<Vec<u32>> = (exchanges.iter().zip(0..))
                .map(|((_, blocks), pool)| blocks.draw(seed, index * pools + pool))
                .collect();
            // Places lie far apart in memory: each is looked at once for all measures.
            let places: Vec<Place> = (self.responses.iter())
                .map(|response| {
                    let other = moved[response.pool][response.stimulus] as usize;
                    response.places[other]
                })
                .collect();
            let mean = |measure: &Measure| {
                let single: Vec<f64> = places.iter().map(|place| measure.of(*place)).collect();
                let subjects = self.by_subject(*measure, &single);
                let subjects: Vec<f64> = subjects.into_iter().flatten().collect();
                summary::mean(&subjects).unwrap_or(f64::NAN)
            };
            measures.iter().map(mean).collect()
        };
        Some(
            (0..permutations as u64)
                .into_par_iter()
                .map(means)
                .collect(),
        )
    }
}

/// Mean over subjects of their mean values, which lie between 0 and 1, with its crossed interval: a subject and a group of
/// stimuli for each value.
pub fn mean_over_subjects(
    values: &[f64],
    subjects: &[usize],
    groups: &[usize],
) -> (f64, Answer<Interval>) {
    let (subjects, count) = renumbered(subjects);
    let (groups, of_groups) = renumbered(groups);
    let mut of: Vec<Vec<f64>> = vec![Vec::new(); count];
    for (value, &subject) in values.iter().zip(&subjects) {
        of[subject].push(*value);
    }
    let observed: Vec<Option<f64>> = of.iter().map(|own| summary::mean(own)).collect();
    let scored: Vec<f64> = observed.iter().flatten().copied().collect();
    let without = without_groups(values, &subjects, count, &groups);
    let interval = crossed(&Values { observed, without }, of_groups).map(within_unit);
    (summary::mean(&scored).unwrap_or(f64::NAN), interval)
}

/// Places among the different numbers, and how many those are.
fn renumbered(numbers: &[usize]) -> (Vec<usize>, usize) {
    let mut known = numbers.to_vec();
    known.sort_unstable();
    known.dedup();
    let place = |number: &usize| known.partition_point(|other| other < number);
    (numbers.iter().map(place).collect(), known.len())
}

/// Means of each subject's values without each group of stimuli.
fn without_groups(
    values: &[f64],
    subjects: &[usize],
    count: usize,
    groups: &[usize],
) -> Vec<Vec<Option<f64>>> {
    let (groups, of_groups) = renumbered(groups);
    let mut sums = vec![(0.0, 0.0); count];
    let mut of_group = Array2::from_elem((of_groups, count), (0.0, 0.0));
    for ((value, &subject), &group) in values.iter().zip(subjects).zip(&groups) {
        for sum in [&mut sums[subject], &mut of_group[[group, subject]]] {
            sum.0 += value;
            sum.1 += 1.0;
        }
    }
    let without = |own: ndarray::ArrayView1<'_, (f64, f64)>| {
        let pairs = sums.iter().zip(own);
        let mean = |(all, own): (&(f64, f64), &(f64, f64))| {
            (all.1 > own.1).then(|| (all.0 - own.0) / (all.1 - own.1))
        };
        pairs.map(mean).collect()
    };
    of_group.rows().into_iter().map(without).collect()
}

fn within_unit(mut interval: Interval) -> Interval {
    (interval.low, interval.high) = (interval.low.max(0.0), interval.high.min(1.0));
    interval
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    Some(match values.len() % 2 {
        0 => (values[values.len() / 2 - 1] + upper) / 2.0,
        _ => upper,
    })
}
