//! Which trials of a subject are used where not all are.

use std::collections::BTreeMap;

use mused_data::{Dataset, Fold, Sample, samples};
use mused_run::{Config, Trials};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::random::{Purpose, stream};
use crate::{Error, Result};

/// How many training stimuli of each subject `split.trials` comes to, a fold.
///
/// # Errors
/// A division that the dataset cannot have; fewer than any group of a subject has.
pub fn training_trials(dataset: &Dataset, config: &Config) -> Result<Vec<Vec<usize>>> {
    let folds = config.split_plan().folds(dataset)?;
    let of = |subject: usize| {
        let count = |(index, fold): (usize, &Fold)| {
            let own = samples(dataset, &[subject], &fold.train);
            Ok(drawn(dataset, own, config.split.trials, config, index)?.len())
        };
        folds.iter().enumerate().map(count).collect()
    };
    (0..dataset.subjects.len()).map(of).collect()
}

/// Of each subject's samples those that `trials` says: the first whole groups, as many as fit, in an order that
/// `split.draw` and the fold give, so that few are among many.
///
/// # Errors
/// Fewer than any group of a subject has.
pub(crate) fn drawn(
    dataset: &Dataset,
    samples: Vec<Sample>,
    trials: Trials,
    config: &Config,
    fold: usize,
) -> Result<Vec<Sample>> {
    let most = match trials {
        Trials::All => return Ok(samples),
        Trials::None => return Ok(Vec::new()),
        Trials::Most(most) => most,
    };
    let mut subjects: BTreeMap<usize, Vec<Sample>> = BTreeMap::new();
    for sample in samples {
        subjects.entry(sample.subject).or_default().push(sample);
    }
    let mut kept = Vec::new();
    for (subject, own) in subjects {
        let mut groups: BTreeMap<&str, Vec<Sample>> = BTreeMap::new();
        for sample in own {
            let group = dataset.stimuli[sample.stimulus].group.as_str();
            groups.entry(group).or_default().push(sample);
        }
        let mut groups: Vec<Vec<Sample>> = groups.into_values().collect();
        let seed = config.split.seed.wrapping_add(config.split.draw << 32);
        let seed = stream(seed, fold, Purpose::Draw, subject);
        groups.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        let mut count = 0;
        let fits = groups.into_iter().map_while(|group| {
            count += group.len();
            (count <= most).then_some(group)
        });
        let mut own: Vec<Sample> = fits.flatten().collect();
        if own.is_empty() {
            return Err(Error::Request(format!(
                "subject {}: no whole group of its stimuli has as few as {most}: allow more (split.calibration, split.trials)",
                dataset.subjects[subject].id
            )));
        }
        own.sort_by_key(|sample| sample.stimulus);
        kept.extend(own);
    }
    Ok(kept)
}
