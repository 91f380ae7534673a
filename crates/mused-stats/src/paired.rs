//! Two sets of predictions of the same samples: is one better?
//!
//! Three questions, three null hypotheses; none stands for another.
//! - **Over subjects**, with these stimuli: a subject's difference in score is as likely to favour either run. Signs of
//!   the subjects' differences are flipped (Fisher's randomisation test).
//! - **Over stimuli**, for these subjects: what the two runs say of a group of stimuli could as well have come from the
//!   other. Ranks within subject and label take the place of the scores, so that a run is not told apart by its scale,
//!   and are exchanged between the runs for a group and all subjects at once (Bandos, Rockette & Gur 2005).
//! - **Over both**: the difference expected for other subjects and other stimuli is 0. A t test with the standard error
//!   and the degrees of freedom of the crossed interval (see [`crate::interval`]). Exchanging predictions by subject
//!   and stimulus would not do: it takes what all subjects share in a stimulus, and all stimuli in a subject, for noise
//!   of single samples, and finds differences where there are none.

use ndarray::{Array2, ArrayView2, s};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::interval::{
    Interval, Jackknifed, LANES, Lanes, Population, Scores, Weighable, crossed, leave_out,
};
use crate::metrics::{ByMetric, check};
use crate::permutation::reaches;
use crate::rdm::average_ranks;
use crate::{Answer, Error, Result, Samples, Unavailable, summary};

/// Sign patterns of as many subjects are all tried.
const ALL_SIGNS_OF: usize = 16;

/// A two-sided permutation test of a difference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairedTest {
    /// The share of exchanges with a difference at least as large in size, the true one counted (Phipson & Smyth 2010).
    pub p: f64,
    /// No p can be smaller with so few subjects or groups and so many exchanges.
    pub smallest_p: f64,
    /// Base-2 logarithm of the number of exchanges.
    pub attainable_log2: f64,
    /// Whether all of them were tried or some were drawn at random.
    pub exhaustive: bool,
}

/// How run A differs from run B in one metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// A - B of each subject's macro score; `None` where one of them is undefined.
    pub per_subject: Vec<Option<f64>>,
    /// Mean of those, with its 95 % interval.
    pub interval: Answer<Interval>,
    /// Sign flips of subjects.
    pub over_subjects: Answer<PairedTest>,
    /// Exchanges by group of stimuli.
    pub over_stimuli: Answer<PairedTest>,
    /// Two-sided p of the crossed t test; any value above 0 is attainable.
    pub p_over_both: Answer<f64>,
}

/// Compares scores `a` and `b` of the same samples, each with a matrix a seed, all \[rows, labels\] as `targets`.
///
/// Metrics are means over seeds. What is exchanged over stimuli is exchanged for all seeds at once, the first of `a`
/// with the first of `b` and so on.
///
/// Each permutation test draws `permutations` exchanges from `seed`, or tries all where no more exist (of signs: up to
/// 65,536).
///
/// # Errors
/// Numbers of seeds that differ or are 0, shapes that differ or are empty, scores that are not finite, targets that are
/// neither 0 nor 1 or that differ between subjects.
pub fn compare(
    a: &[ArrayView2<f64>],
    b: &[ArrayView2<f64>],
    targets: ArrayView2<u8>,
    samples: &Samples,
    permutations: usize,
    seed: u64,
) -> Result<ByMetric<Difference>> {
    let [of_a, of_b] = over_seeds(a, b, targets, samples)?;
    let [precision_over_stimuli, auc_over_stimuli] =
        exchange_groups(a, b, targets, samples, permutations, seed)?;
    let difference = |metric: usize, over_stimuli: Answer<PairedTest>| {
        let values = of_a.minus(&of_b, metric);
        let interval = crossed(&values, samples.groups());
        Difference {
            over_subjects: flip_signs(&values.observed, permutations, seed),
            per_subject: values.observed,
            interval,
            over_stimuli,
            p_over_both: interval.and_then(p_over_both),
        }
    };
    Ok(ByMetric {
        average_precision: difference(0, precision_over_stimuli),
        roc_auc: difference(1, auc_over_stimuli),
    })
}

/// How run A differs from run B in one metric of one label.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LabelDifference {
    /// Mean difference over subjects, with its 95 % interval.
    pub interval: Interval,
    /// Two-sided p of the crossed t test.
    pub p_over_both: Answer<f64>,
}

/// Compares scores as [`compare`] does, a label at a time, without permutations: those would have to be corrected for
/// the number of labels, which leaves them no power.
///
/// # Errors
/// As [`compare`].
pub fn compare_labels(
    a: &[ArrayView2<f64>],
    b: &[ArrayView2<f64>],
    targets: ArrayView2<u8>,
    samples: &Samples,
) -> Result<ByMetric<Vec<Answer<LabelDifference>>>> {
    for scores in a.iter().chain(b) {
        check(scores, &targets)?;
    }
    let (mut average_precision, mut roc_auc) = (Vec::new(), Vec::new());
    for label in 0..targets.ncols() {
        let column = s![.., label..label + 1];
        let [a, b] = [a, b].map(|seeds| {
            seeds
                .iter()
                .map(|scores| scores.slice(column))
                .collect::<Vec<_>>()
        });
        let [of_a, of_b] = over_seeds(&a, &b, targets.slice(column), samples)?;
        let difference = |metric: usize| {
            let interval = crossed(&of_a.minus(&of_b, metric), samples.groups())?;
            Ok(LabelDifference {
                interval,
                p_over_both: p_over_both(interval),
            })
        };
        average_precision.push(difference(0));
        roc_auc.push(difference(1));
    }
    Ok(ByMetric {
        average_precision,
        roc_auc,
    })
}

fn p_over_both(interval: Interval) -> Answer<f64> {
    match interval.generalises_to {
        Population::Both => Ok(interval.p_of_zero()),
        Population::Subjects => Err(Unavailable::OneGroup),
        Population::Stimuli => Err(Unavailable::OneSubject),
    }
}

/// Mean scores over the seeds of either side.
fn over_seeds(
    a: &[ArrayView2<f64>],
    b: &[ArrayView2<f64>],
    targets: ArrayView2<u8>,
    samples: &Samples,
) -> Result<[Jackknifed; 2]> {
    if a.is_empty() || a.len() != b.len() {
        return Err(Error::Shape {
            what: "seeds of the second run",
            expected: vec![a.len().max(1)],
            found: vec![b.len()],
        });
    }
    let mean = |seeds: &[ArrayView2<f64>]| -> Result<Jackknifed> {
        let each = seeds
            .iter()
            .map(|scores| leave_out(*scores, targets, samples));
        Ok(Jackknifed::mean(&each.collect::<Result<Vec<_>>>()?))
    };
    Ok([mean(a)?, mean(b)?])
}

/// Flips signs of the subjects' differences.
fn flip_signs(differences: &[Option<f64>], permutations: usize, seed: u64) -> Answer<PairedTest> {
    let differences: Vec<f64> = differences.iter().flatten().copied().collect();
    if differences.len() < 2 {
        return Err(match differences.len() {
            0 => Unavailable::NotScorable,
            _ => Unavailable::OneSubject,
        });
    }
    let signs = Signs::new(differences.len(), 1 << ALL_SIGNS_OF, permutations, seed);
    let observed = differences.iter().sum::<f64>().abs();
    let as_large = (0..signs.tried as u64).into_par_iter().filter(|&index| {
        let pairs = differences.iter().zip(signs.nth(index));
        let sum: f64 = pairs
            .map(|(value, flip)| if flip { -value } else { *value })
            .sum();
        reaches(sum.abs(), observed)
    });
    Ok(signs.test(as_large.count()))
}

/// Exchanges the ranks of both runs for whole groups of stimuli. By metric.
fn exchange_groups(
    a: &[ArrayView2<f64>],
    b: &[ArrayView2<f64>],
    targets: ArrayView2<u8>,
    samples: &Samples,
    permutations: usize,
    seed: u64,
) -> Result<[Answer<PairedTest>; 2]> {
    let groups = samples.groups();
    if groups < 2 {
        return Ok([Err(Unavailable::OneGroup); 2]);
    }
    let stimuli = samples.stimuli() as u32;
    let positives: Vec<Vec<u32>> = samples
        .positives(targets)?
        .into_iter()
        .map(|own| {
            own.iter()
                .copied()
                .chain(own.iter().map(|stimulus| stimulus + stimuli))
                .collect()
        })
        .collect();
    let twice = samples.twice();
    let pairs: Vec<Weighable> = (a.iter().zip(b))
        .map(|(a, b)| Weighable::new(both_ranked(*a, *b, samples).view(), &positives, &twice))
        .collect();
    let differences = |flips: &[Vec<bool>]| -> Vec<[Option<f64>; 2]> {
        let weights = [true, false].map(|first| weights_of(first, flips, samples));
        let seeds: Vec<[Vec<Scores>; 2]> = (pairs.iter())
            .map(|pair| [pair.scores(&weights[0]), pair.scores(&weights[1])])
            .collect();
        let mean = |lane: usize, metric: usize| {
            let seeds = seeds.iter().map(|[first, second]| {
                let subjects = first[lane].iter().zip(&second[lane]);
                let found = subjects.filter_map(|(a, b)| Some(a[metric]? - b[metric]?));
                summary::mean(&found.collect::<Vec<_>>())
            });
            summary::mean(&seeds.collect::<Option<Vec<_>>>()?)
        };
        (0..flips.len())
            .map(|lane| [mean(lane, 0), mean(lane, 1)])
            .collect()
    };
    let signs = Signs::new(groups, 0, permutations, seed);
    let observed = differences(&[vec![false; groups]]);
    let null: Vec<[Option<f64>; 2]> = (0..signs.tried.div_ceil(LANES))
        .into_par_iter()
        .flat_map_iter(|block| {
            let indices = block * LANES..((block + 1) * LANES).min(signs.tried);
            let flips: Vec<Vec<bool>> = indices
                .map(|index| signs.nth(index as u64).collect())
                .collect();
            differences(&flips)
        })
        .collect();
    Ok(std::array::from_fn(|metric| {
        let observed = observed[0][metric].ok_or(Unavailable::NotScorable)?.abs();
        let as_large = null
            .iter()
            .filter(|found| found[metric].is_none_or(|found| reaches(found.abs(), observed)));
        Ok(signs.test(as_large.count()))
    }))
}

/// The ranks of both runs as one set of samples, those of `b` after those of `a`: a weight of 1 or 0 then says whose a
/// sample is.
fn both_ranked(a: ArrayView2<f64>, b: ArrayView2<f64>, samples: &Samples) -> Array2<f64> {
    let rows = a.nrows();
    let mut ranks = Array2::zeros((2 * rows, a.ncols()));
    ranks
        .slice_mut(s![..rows, ..])
        .assign(&ranks_by_subject(a, samples));
    ranks
        .slice_mut(s![rows.., ..])
        .assign(&ranks_by_subject(b, samples));
    ranks
}

/// For each exchange, which of the stimuli, of the first run and then of the second, stand for the first or the second.
fn weights_of(first: bool, flips: &[Vec<bool>], samples: &Samples) -> Vec<Lanes> {
    let half = |second_half: bool| {
        samples.groups.iter().map(move |&group| {
            let stands_for_second =
                |lane: usize| flips.get(lane).is_some_and(|flips| flips[group]) ^ second_half;
            std::array::from_fn(|lane| u32::from(stands_for_second(lane) != first))
        })
    };
    half(false).chain(half(true)).collect()
}

/// Mean ranks within subject and label.
fn ranks_by_subject(scores: ArrayView2<f64>, samples: &Samples) -> Array2<f64> {
    let mut ranks = Array2::zeros(scores.dim());
    for label in 0..scores.ncols() {
        for rows in &samples.subjects {
            let values: Vec<f64> = rows.iter().map(|&(row, _)| scores[[row, label]]).collect();
            for (&(row, _), rank) in rows.iter().zip(average_ranks(&values)) {
                ranks[[row, label]] = rank;
            }
        }
    }
    ranks
}

/// Patterns of yes and no for subjects or groups.
struct Signs {
    length: usize,
    tried: usize,
    exhaustive: bool,
    seed: u64,
}

impl Signs {
    /// All patterns where they are no more than `permutations` or `at_least`.
    fn new(length: usize, at_least: usize, permutations: usize, seed: u64) -> Self {
        let all = u32::try_from(length)
            .ok()
            .and_then(|length| 1_usize.checked_shl(length));
        let all = all.filter(|&all| all <= permutations.max(at_least));
        Self {
            length,
            tried: all.unwrap_or(permutations),
            exhaustive: all.is_some(),
            seed,
        }
    }

    fn nth(&self, index: u64) -> impl Iterator<Item = bool> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(index);
        let exhaustive = self.exhaustive;
        (0..self.length).map(move |bit| match exhaustive {
            true => index >> bit & 1 == 1,
            false => rng.random(),
        })
    }

    fn test(&self, as_large: usize) -> PairedTest {
        // The opposite of a pattern gives a difference of the same size.
        let of_all = (1.0 - self.length as f64).exp2();
        let (p, smallest_p) = match self.exhaustive {
            true => (as_large as f64 / self.tried as f64, of_all),
            false => {
                let least = 1.0 / (1 + self.tried) as f64;
                ((1 + as_large) as f64 * least, of_all.max(least))
            }
        };
        PairedTest {
            p,
            smallest_p,
            attainable_log2: self.length as f64,
            exhaustive: self.exhaustive,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `scipy.stats.permutation_test((d,), numpy.mean, permutation_type="samples", n_resamples=numpy.inf)`.
    #[test]
    fn sign_flips_are_scipys() {
        let differences = [0.05, 0.11, -0.02, 0.04, 0.09, 0.01, -0.03].map(Some);
        let found = flip_signs(&differences, 10, 0).unwrap();
        assert_eq!(
            (found.p, found.smallest_p, found.exhaustive),
            (0.15625, 2.0 / 128.0, true)
        );
    }
}
