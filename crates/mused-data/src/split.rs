use std::collections::BTreeMap;

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::{Dataset, Error, Part, Result};

/// What becomes of the test part that the authors of the data published, the `split` column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Published {
    /// It is tested, and nothing else is.
    #[default]
    Use,
    /// All stimuli are divided anew: scores are no longer comparable with those on the published part.
    Ignore,
}

/// How stimuli are divided into training, validation and test parts.
///
/// Whole groups (a film clip, a run, a scene) move together, so that no group straddles a split, and labels are
/// spread as evenly as groups allow.
#[derive(Clone, Debug, PartialEq)]
pub struct SplitPlan {
    /// Number of cross-validation folds; `None` = one fold, whose test part is the published one
    /// or else `test_fraction` of the stimuli.
    pub folds: Option<usize>,
    /// What becomes of a published test part.
    pub published: Published,
    /// Share of the stimuli tested when there are neither folds nor a published test part.
    pub test_fraction: f64,
    /// Share of each fold's training side set apart for model selection; 0 = none. Of a training side of one group there
    /// is none, nor where whole groups would make half of it or more of less than a half.
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
    /// When there are fewer groups than parts, a part would be empty, or folds would mix a published test part into
    /// training.
    pub fn folds(&self, dataset: &Dataset) -> Result<Vec<Fold>> {
        let everything: Vec<usize> = (0..dataset.stimuli.len()).collect();
        let mut published = everything.clone();
        published.retain(|&stimulus| {
            self.published == Published::Use && dataset.stimuli[stimulus].part == Some(Part::Test)
        });
        let tests = match self.folds {
            Some(_) if !published.is_empty() => {
                return Err(Error::Request(format!(
                    "{} stimuli are a published test part (`split` in stimuli.tsv), which folds would mix into \
                     training: leave out the folds to test on that part, or write split.published = \"ignore\" to \
                     cross-validate over all stimuli",
                    published.len()
                )));
            }
            Some(folds) => partition(dataset, &everything, folds, self.seed)?,
            None if !published.is_empty() => vec![published],
            None => {
                let (share, key) = (self.test_fraction, "split.test_fraction");
                vec![set_apart(dataset, &everything, share, key, self.seed)?]
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
        // One group stays whole: of two runs, one tested, none can be set apart.
        let divides = groups(dataset, &training_side).len() > 1;
        let mut validation = Vec::new();
        if self.validation_fraction != 0.0 && divides {
            let (share, key) = (self.validation_fraction, "split.validation_fraction");
            // A stream of its own: the outer assignment must not move with this fraction.
            let seed = self.seed ^ (index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            validation = set_apart(dataset, &training_side, share, key, seed)?;
            // Of three runs, one tested, a tenth would be one of two: half the training data weigh more than a choice.
            if share < 0.5 && 2 * validation.len() >= training_side.len() {
                validation.clear();
            }
        }
        let train = without(&training_side, &validation);
        Ok(Fold {
            train,
            validation,
            test,
        })
    }
}

fn without(stimuli: &[usize], removed: &[usize]) -> Vec<usize> {
    stimuli
        .iter()
        .copied()
        .filter(|stimulus| removed.binary_search(stimulus).is_err())
        .collect()
}

/// As nearly a share of the stimuli as whole groups can hold, with as nearly that share of each label.
fn set_apart(
    dataset: &Dataset,
    stimuli: &[usize],
    share: f64,
    key: &str,
    seed: u64,
) -> Result<Vec<usize>> {
    let groups = groups(dataset, stimuli);
    if !(share > 0.0 && share < 1.0) {
        return Err(Error::Request(format!(
            "{key} is {share}, expected a share above 0 and below 1"
        )));
    }
    if groups.len() < 2 {
        return Err(Error::Request(format!(
            "{key} is {share}, but the {} stimuli to divide are all of one group, which stays whole: none would be \
             left to train on. Where all was one run, name parts of it that tell nothing of each other (blocks, or trials \
             far apart) as groups in stimuli.tsv",
            stimuli.len()
        )));
    }
    // An nth is the first of n equal parts, as it has been since before other shares could be had.
    let parts = share.recip().round();
    if (share * parts - 1.0).abs() < 1e-9 && parts <= groups.len() as f64 {
        return Ok(partition(dataset, stimuli, parts as usize, seed)?.swap_remove(0));
    }
    let mut sizes: BTreeMap<usize, usize> = BTreeMap::new();
    for group in &groups {
        *sizes.entry(group.len()).or_default() += 1;
    }
    let taken = nearest(&sizes, share);
    let size = taken.iter().map(|(size, number)| size * number).sum();
    let left = sizes
        .iter()
        .map(|(size, number)| (*size, number - taken[size]));
    let room = vec![taken.clone(), left.collect()];
    let wanted = [size, stimuli.len() - size];
    Ok(deal(dataset, groups, &wanted, Some(room), seed).swap_remove(0))
}

/// How many groups of each size make up as nearly a share of all stimuli as can be, in sizes as mixed as all groups
/// are; neither none nor all. `sizes` has the number of groups of each size.
fn nearest(sizes: &BTreeMap<usize, usize>, share: f64) -> BTreeMap<usize, usize> {
    let mut total: usize = sizes.iter().map(|(size, number)| size * number).sum();
    // The numbers of stimuli that some groups have together: of no size, of the smallest, of the two smallest, …
    let mut sums: Vec<Vec<bool>> = vec![(0..=total).map(|sum| sum == 0).collect()];
    for ((&size, &number), smaller) in sizes.iter().zip(0..) {
        // The fewest groups of this size among them.
        let mut fewest: Vec<Option<usize>> = Vec::with_capacity(total + 1);
        for sum in 0..=total {
            let one_less = || fewest[sum.checked_sub(size)?].filter(|fewest| *fewest < number);
            fewest.push(match sums[smaller][sum] {
                true => Some(0),
                false => one_less().map(|fewest| fewest + 1),
            });
        }
        sums.push(fewest.iter().map(Option::is_some).collect());
    }
    let closest = |numbers: &mut dyn Iterator<Item = usize>, wanted: f64| {
        let distance = |number: &usize| (*number as f64 - wanted).abs();
        let found = numbers.min_by(|a, b| distance(a).total_cmp(&distance(b)));
        found.unwrap_or_default()
    };
    let mut possible = (1..total).filter(|sum| sums[sizes.len()][*sum]);
    let mut left = closest(&mut possible, share * total as f64);
    let mut taken = BTreeMap::new();
    for (smaller, (&size, &number)) in sizes.iter().enumerate().rev() {
        let fair = (left * number) as f64 / total as f64;
        let most = number.min(left / size);
        let mut possible = (0..=most).filter(|taken| sums[smaller][left - taken * size]);
        let chosen = closest(&mut possible, fair);
        taken.insert(size, chosen);
        left -= chosen * size;
        total -= number * size;
    }
    taken
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
    let groups = groups(dataset, stimuli);
    if parts < 2 || groups.len() < parts {
        return Err(Error::Request(format!(
            "cannot divide {} stimuli in {} groups into {parts} parts: expected from 2 parts to one a group, for a group \
             (a run, a film) stays whole",
            stimuli.len(),
            groups.len(),
        )));
    }
    Ok(deal(dataset, groups, &vec![1; parts], None, seed))
}

/// The stimuli of each group, by its name.
fn groups(dataset: &Dataset, stimuli: &[usize]) -> Vec<Vec<usize>> {
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for &stimulus in stimuli {
        let group = &dataset.stimuli[stimulus].group;
        groups.entry(group).or_default().push(stimulus);
    }
    groups.into_values().collect()
}

/// Parts of sizes and label counts in proportion to `wanted`; `room` bounds how many groups of each size a part takes.
fn deal(
    dataset: &Dataset,
    mut groups: Vec<Vec<usize>>,
    wanted: &[usize],
    mut room: Option<Vec<BTreeMap<usize, usize>>>,
    seed: u64,
) -> Vec<Vec<usize>> {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    groups.shuffle(rng);
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));

    // A column a label, and last one that every stimulus has, which balances the sizes.
    let counts: Vec<Vec<i64>> = groups
        .iter()
        .map(|group| label_counts(dataset, group))
        .collect();
    let size = dataset.labels.names.len();
    let mut undealt: Vec<usize> = (0..groups.len()).collect();
    let mut left = label_counts(dataset, &groups.concat());
    // What each part still lacks of its share, times the sum of what is wanted.
    let whole = wanted.iter().sum::<usize>() as i64;
    let share = |&wanted: &usize| left.iter().map(|count| count * wanted as i64).collect();
    let mut lacking: Vec<Vec<i64>> = wanted.iter().map(share).collect();
    let mut dealt = vec![Vec::new(); wanted.len()];
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
            let stimuli = &groups[group];
            let open = |part: usize| match &room {
                Some(room) => room[part][&stimuli.len()] > 0,
                None => remaining > empty || dealt[part].is_empty(),
            };
            let chosen = (0..wanted.len())
                .filter(|&part| open(part))
                .max_by_key(|&part| (lacking[part][rarest], lacking[part][size], rng.next_u32()))
                .unwrap_or(0);
            dealt[chosen].extend(stimuli);
            if let Some(room) = room
                .as_mut()
                .and_then(|room| room[chosen].get_mut(&stimuli.len()))
            {
                *room -= 1;
            }
            for (column, &count) in counts[group].iter().enumerate() {
                left[column] -= count;
                lacking[chosen][column] -= count * whole;
            }
        }
        undealt = without;
    }
    for part in &mut dealt {
        part.sort_unstable();
    }
    dealt
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
