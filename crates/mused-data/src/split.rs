use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::{Dataset, Error, Part, Result};

/// How stimuli are divided into training, validation and test parts.
///
/// Whole groups (a film clip, a run, a scene) move together, so that no group straddles a split.
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

/// Deals whole groups, largest first among shuffled equals, to the smallest part so far.
fn partition(
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
    let mut groups: Vec<Vec<usize>> = groups.into_values().collect();
    groups.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    let mut dealt = vec![Vec::new(); parts];
    for group in groups {
        if let Some(smallest) = dealt
            .iter_mut()
            .min_by_key(|part: &&mut Vec<usize>| part.len())
        {
            smallest.extend(group);
        }
    }
    for part in &mut dealt {
        part.sort_unstable();
    }
    Ok(dealt)
}
