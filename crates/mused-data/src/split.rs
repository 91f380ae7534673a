use std::collections::BTreeMap;

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{Dataset, Error, Part, Result};

/// How stimuli are divided into training, validation and test parts.
///
/// Whole groups (a film clip, a run, a scene) move together, so that no group straddles a split, and labels are
/// spread as evenly as groups allow.
#[derive(Clone, Debug, PartialEq)]
pub struct SplitPlan {
    /// Number of cross-validation folds; `None` = one fold, whose test part is the dataset's own
    /// `split` column or else `test_fraction` of the stimuli.
    pub folds: Option<usize>,
    /// Share of the stimuli tested when there are neither folds nor a `split` column.
    pub test_fraction: f64,
    /// Share of each fold's training side set apart for model selection; 0 = none.
    pub validation_fraction: f64,
    /// Seed of the assignment.
    pub seed: u64,
}

/// One division of the stimuli. The three lists are disjoint and in dataset order.
#[derive(Clone, Debug, PartialEq)]
pub struct Fold {
    /// Stimuli the weights are fitted on.
    pub train: Vec<usize>,
    /// Stimuli, taken from the training side, that choose among checkpoints.
    pub validation: Vec<usize>,
    /// Stimuli nothing is ever fitted or chosen on.
    pub test: Vec<usize>,
}

impl SplitPlan {
    /// Divides the stimuli of `dataset`.
    ///
    /// # Errors
    /// When there are fewer groups than parts, or a part would be empty.
    pub fn folds(&self, dataset: &Dataset) -> Result<Vec<Fold>> {
        let everything: Vec<usize> = (0..dataset.stimuli.len()).collect();
        let published = dataset
            .stimuli
            .iter()
            .any(|stimulus| stimulus.part == Some(Part::Test));
        let tests = match self.folds {
            Some(folds) => partition(dataset, &everything, folds, self.seed)?,
            None if published => vec![
                everything
                    .iter()
                    .copied()
                    .filter(|&stimulus| dataset.stimuli[stimulus].part == Some(Part::Test))
                    .collect(),
            ],
            None => {
                let parts = parts_for_fraction(self.test_fraction, "split.test_fraction")?;
                partition(dataset, &everything, parts, self.seed)?
                    .into_iter()
                    .take(1)
                    .collect()
            }
        };
        tests
            .into_iter()
            .enumerate()
            .map(|(index, test)| self.fold(dataset, &everything, test, index as u64))
            .collect()
    }

    fn fold(
        &self,
        dataset: &Dataset,
        everything: &[usize],
        test: Vec<usize>,
        index: u64,
    ) -> Result<Fold> {
        let training_side = without(everything, &test);
        if training_side.is_empty() {
            return Err(Error::Request(
                "every stimulus is in the test part; none is left to train on".to_owned(),
            ));
        }
        let validation = if self.validation_fraction > 0.0 {
            let parts = parts_for_fraction(self.validation_fraction, "split.validation_fraction")?;
            // A stream of its own: the outer assignment must not move with this fraction.
            let seed = self.seed ^ (index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            partition(dataset, &training_side, parts, seed)?.swap_remove(0)
        } else {
            Vec::new()
        };
        let train = without(&training_side, &validation);
        Ok(Fold {
            train,
            validation,
            test,
        })
    }
}

fn parts_for_fraction(fraction: f64, key: &str) -> Result<usize> {
    if !(fraction > 0.0 && fraction <= 0.5) {
        return Err(Error::Request(format!(
            "{key} is {fraction}, expected a share above 0 and at most 0.5"
        )));
    }
    Ok((1.0 / fraction).round() as usize)
}

fn without(stimuli: &[usize], removed: &[usize]) -> Vec<usize> {
    stimuli
        .iter()
        .copied()
        .filter(|stimulus| removed.binary_search(stimulus).is_err())
        .collect()
}

/// Deals whole groups to parts of about equal size and equal label counts: iterative
/// stratification (Sechidis, Tsoumakas & Vlahavas, ECML 2011) with groups in the place of single
/// samples. Unequal counts bias scores pooled over folds: a label frequent in a test part is rare
/// in its training part.
///
/// # Errors
/// Fewer than 2 parts, or fewer groups than parts.
pub fn partition(
    dataset: &Dataset,
    stimuli: &[usize],
    parts: usize,
    seed: u64,
) -> Result<Vec<Vec<usize>>> {
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for &stimulus in stimuli {
        groups
            .entry(&dataset.stimuli[stimulus].group)
            .or_default()
            .push(stimulus);
    }
    if parts < 2 || groups.len() < parts {
        return Err(Error::Request(format!(
            "cannot divide {} stimuli in {} groups into {parts} parts: at least 2 parts and as \
             many groups as parts are needed",
            stimuli.len(),
            groups.len(),
        )));
    }
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let mut groups: Vec<Vec<usize>> = groups.into_values().collect();
    groups.shuffle(rng);
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));

    // A column a label, and last one that every stimulus has, which balances the sizes.
    let counts: Vec<Vec<i64>> = groups
        .iter()
        .map(|group| label_counts(dataset, group))
        .collect();
    let size = dataset.labels.names.len();
    let mut undealt: Vec<usize> = (0..groups.len()).collect();
    let mut left = label_counts(dataset, stimuli);
    // What each part still lacks of an equal share, times the number of parts.
    let mut lacking = vec![left.clone(); parts];
    let mut dealt = vec![Vec::new(); parts];
    while let Some(rarest) = (0..=size)
        .filter(|&column| left[column] > 0)
        .min_by_key(|&column| left[column])
    {
        let (with, without): (Vec<usize>, Vec<usize>) = undealt
            .into_iter()
            .partition(|&group| counts[group][rarest] > 0);
        for (position, &group) in with.iter().enumerate() {
            let remaining = with.len() - position + without.len();
            let empty = dealt.iter().filter(|part| part.is_empty()).count();
            let chosen = (0..parts)
                .filter(|&part| remaining > empty || dealt[part].is_empty())
                .max_by_key(|&part| (lacking[part][rarest], lacking[part][size], rng.next_u32()))
                .unwrap_or(0);
            dealt[chosen].extend(&groups[group]);
            for (column, &count) in counts[group].iter().enumerate() {
                left[column] -= count;
                lacking[chosen][column] -= count * parts as i64;
            }
        }
        undealt = without;
    }
    for part in &mut dealt {
        part.sort_unstable();
    }
    Ok(dealt)
}

/// Number of `stimuli` with each label, then their number.
fn label_counts(dataset: &Dataset, stimuli: &[usize]) -> Vec<i64> {
    let mut counts = vec![0; dataset.labels.names.len()];
    for &stimulus in stimuli {
        for (count, &label) in counts.iter_mut().zip(dataset.labels.matrix.row(stimulus)) {
            *count += i64::from(label != 0);
        }
    }
    counts.push(stimuli.len() as i64);
    counts
}
