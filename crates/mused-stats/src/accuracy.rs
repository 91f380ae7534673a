//! Designs with one label a stimulus: how often the likeliest label is the right one.

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use crate::interval::{Interval, Values, crossed};
use crate::metrics::check;
use crate::permutation::{Exchange, Null, Relabellings, Tested};
use crate::relabelling::Blocks;
use crate::{Answer, Result, Samples, summary};

/// How often the likeliest label is the right one; of two that are as likely, the first.
#[derive(Clone, Debug, PartialEq)]
pub struct Accuracy {
    /// The share of right ones of each subject.
    pub per_subject: Vec<f64>,
    /// 95 % interval of the mean over subjects, see [`crate::interval`].
    pub interval: Answer<Interval>,
    /// Stimuli carry the labels of others, predictions stay, see [`crate::permutation`].
    pub permutation: Answer<Tested>,
    /// Share of the most frequent label, mean over subjects: what naming it always would reach.
    pub most_frequent: f64,
    /// \[label, label named instead\]: samples of all subjects.
    pub confusion: Array2<usize>,
}

/// The accuracy of `scores` \[rows, labels\]; `None` where a stimulus has no label or several, or there is but one label.
/// Labels that every row has say nothing of a stimulus and do not count.
///
/// # Errors
/// As [`crate::permutation::fixed_predictions`].
pub fn accuracy(
    scores: ArrayView2<f64>,
    targets: ArrayView2<u8>,
    samples: &Samples,
    exchange: Exchange,
    permutations: usize,
    seed: u64,
) -> Result<Option<Accuracy>> {
    check(&scores, &targets)?;
    let label_sets = samples.label_sets(&samples.positives(targets)?);
    let columns = targets.columns().into_iter();
    let everywhere: Vec<bool> = columns
        .map(|column| column.iter().all(|there| *there == 1))
        .collect();
    let counts = |label: &usize| !everywhere.get(*label).copied().unwrap_or(false);
    let single = |labels: &Vec<u32>| {
        let mut counted = labels.iter().map(|label| *label as usize).filter(counts);
        counted.next().filter(|_| counted.next().is_none())
    };
    let labels: Option<Vec<usize>> = label_sets.iter().map(single).collect();
    let Some(labels) = labels.filter(|_| everywhere.iter().filter(|all| !**all).count() > 1) else {
        return Ok(None);
    };
    let named: Vec<usize> = scores
        .rows()
        .into_iter()
        .map(|row| {
            let better = |best, (label, &score)| match best {
                Some((_, highest)) if score <= highest => best,
                _ => Some((label, score)),
            };
            let best: Option<(usize, f64)> = row
                .iter()
                .enumerate()
                .filter(|(label, _)| counts(label))
                .fold(None, better);
            best.map_or(0, |(label, _)| label)
        })
        .collect();

    // The share of each subject's right ones among the stimuli that stay, where stimulus s is labelled as `of(s)`.
    let shares = |of: &dyn Fn(usize) -> usize, stays: &dyn Fn(usize) -> bool| {
        let share = |rows: &Vec<(usize, usize)>| {
            let there = rows.iter().filter(|(_, stimulus)| stays(*stimulus));
            let right = there.map(|&(row, stimulus)| f64::from(named[row] == of(stimulus)));
            summary::mean(&right.collect::<Vec<_>>())
        };
        samples.subjects.iter().map(share).collect::<Vec<_>>()
    };
    let own = |stimulus: usize| labels[stimulus];
    let observed = shares(&own, &|_| true);
    let per_subject: Vec<f64> = observed.iter().flatten().copied().collect();
    let without = (0..samples.groups())
        .map(|group| shares(&own, &|stimulus| samples.groups[stimulus] != group));
    let values = Values {
        without: without.collect(),
        observed,
    };
    let interval = crossed(&values, samples.groups()).map(|mut interval| {
        (interval.low, interval.high) = (interval.low.max(0.0), interval.high.min(1.0));
        interval
    });

    let blocks = Blocks::new(&samples.pools(exchange), &labels, exchange);
    let distinct = blocks.distinct(&labels);
    let relabellings = Relabellings::of(&distinct, permutations);
    let null = (0..relabellings.tried).into_par_iter().map(|number| {
        let moved = relabellings.number(&distinct, seed, number);
        let mut taken = vec![0; labels.len()];
        for (from, to) in moved.into_iter().enumerate() {
            taken[to as usize] = labels[from];
        }
        let shares = shares(&|stimulus| taken[stimulus], &|_| true);
        summary::mean(&shares.into_iter().flatten().collect::<Vec<_>>())
    });
    let null: Vec<Option<f64>> = null.collect();
    let smallest = relabellings.smallest_p(distinct.probability());
    let mean = summary::mean(&per_subject);

    let mut confusion = Array2::zeros([scores.ncols(); 2]);
    let mut frequent = Vec::new();
    for rows in &samples.subjects {
        let mut counts = vec![0_usize; scores.ncols()];
        for &(row, stimulus) in rows {
            confusion[[labels[stimulus], named[row]]] += 1;
            counts[labels[stimulus]] += 1;
        }
        let most = counts.into_iter().max().unwrap_or(0);
        frequent.push(most as f64 / rows.len().max(1) as f64);
    }
    Ok(Some(Accuracy {
        per_subject,
        interval,
        permutation: relabellings.test(&Null::over(mean, &null), smallest),
        most_frequent: summary::mean(&frequent).unwrap_or(1.0),
        confusion,
    }))
}
