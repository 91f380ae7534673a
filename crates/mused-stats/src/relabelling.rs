//! Relabellings: which stimulus takes the labels of which.

use std::collections::BTreeMap;

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::permutation::Exchange;

/// Things that may change places: stimuli, or groups or blocks of equally many stimuli.
pub(crate) struct Blocks {
    /// Units change places within a block; a unit is its stimuli in order.
    blocks: Vec<Vec<Vec<u32>>>,
    stimuli: usize,
    /// Whether all move along a circle instead.
    shift: bool,
}

impl Blocks {
    /// `groups` and `labels` have one entry a stimulus; labels decide where blocks end, and nothing else.
    pub(crate) fn new<L: PartialEq>(groups: &[usize], labels: &[L], exchange: Exchange) -> Self {
        let mut members: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        for (stimulus, &group) in groups.iter().enumerate() {
            members.entry(group).or_default().push(stimulus as u32);
        }
        let blocks = match exchange {
            Exchange::Stimuli => vec![(0..groups.len() as u32).map(|alone| vec![alone]).collect()],
            Exchange::Groups => by_size(members.into_values()),
            Exchange::Blocks => {
                let alike = |a: &u32, b: &u32| labels[*a as usize] == labels[*b as usize];
                let blocks =
                    |stimuli: Vec<u32>| by_size(stimuli.chunk_by(alike).map(<[u32]>::to_vec));
                members.into_values().flat_map(blocks).collect()
            }
            Exchange::Shift => Vec::new(),
        };
        Self {
            blocks,
            stimuli: groups.len(),
            shift: exchange == Exchange::Shift,
        }
    }

    /// A random relabelling: entry t is the stimulus that takes the labels of stimulus t. The same for the same `seed`
    /// and `index`, whatever else is drawn.
    pub(crate) fn draw(&self, seed: u64, index: u64) -> Vec<u32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(index);
        if self.shift {
            return self.shifted(rng.random_range(0..self.stimuli.max(1)));
        }
        let mut moved = vec![0; self.stimuli];
        let mut order: Vec<usize> = Vec::new();
        for units in &self.blocks {
            order.clear();
            order.extend(0..units.len());
            order.shuffle(&mut rng);
            for (from, &to) in order.iter().enumerate() {
                self.place(&mut moved, &units[from], &units[to]);
            }
        }
        moved
    }

    /// Every stimulus takes the labels of the one `by` places after it, the last ones those of the first.
    fn shifted(&self, by: usize) -> Vec<u32> {
        let places = 0..self.stimuli;
        places
            .map(|place| ((place + by) % self.stimuli) as u32)
            .collect()
    }

    fn place(&self, moved: &mut [u32], from: &[u32], to: &[u32]) {
        for (&from, &to) in from.iter().zip(to) {
            moved[from as usize] = to;
        }
    }

    /// The relabellings that differ, given what each stimulus is labelled: equal `labels` are the same label (or set
    /// of labels), and units whose stimuli are labelled alike can change places without effect.
    pub(crate) fn distinct<L: Ord>(&self, labels: &[L]) -> Distinct<'_> {
        let alike = self.blocks.iter().map(|units| {
            let mut alike: BTreeMap<Vec<&L>, Vec<usize>> = BTreeMap::new();
            for (unit, stimuli) in units.iter().enumerate() {
                let labelled = stimuli.iter().map(|&stimulus| &labels[stimulus as usize]);
                alike.entry(labelled.collect()).or_default().push(unit);
            }
            alike.into_values().collect()
        });
        Distinct {
            blocks: self,
            alike: alike.collect(),
            shifts: self.shift.then(|| period(labels)),
        }
    }
}

/// Units of equally many stimuli together.
fn by_size(units: impl Iterator<Item = Vec<u32>>) -> Vec<Vec<Vec<u32>>> {
    let mut of_size: BTreeMap<usize, Vec<Vec<u32>>> = BTreeMap::new();
    for stimuli in units {
        of_size.entry(stimuli.len()).or_default().push(stimuli);
    }
    of_size.into_values().collect()
}

/// The different relabellings of labelled stimuli, all equally likely.
pub(crate) struct Distinct<'a> {
    blocks: &'a Blocks,
    /// For each block, units labelled alike.
    alike: Vec<Vec<Vec<usize>>>,
    /// Along a circle: how many shifts differ.
    shifts: Option<usize>,
}

impl Distinct<'_> {
    /// Base-2 logarithm of their number.
    pub(crate) fn log2(&self) -> f64 {
        let of_block = |alike: &Vec<Vec<usize>>| {
            let units: usize = alike.iter().map(Vec::len).sum();
            log2_factorial(units)
                - alike
                    .iter()
                    .map(|units| log2_factorial(units.len()))
                    .sum::<f64>()
        };
        match self.count() {
            Some(count) => (count as f64).log2(),
            None => self.alike.iter().map(of_block).sum(),
        }
    }

    /// The probability of each.
    pub(crate) fn probability(&self) -> f64 {
        match self.count() {
            Some(count) => 1.0 / count as f64,
            None => (-self.log2()).exp2(),
        }
    }

    /// Their number; `None` where it exceeds 128 bits.
    pub(crate) fn count(&self) -> Option<u128> {
        if let Some(shifts) = self.shifts {
            return Some(shifts as u128);
        }
        let mut counts = self.alike.iter().map(|alike| multinomial(&sizes(alike)));
        counts.try_fold(1_u128, |product, count| product.checked_mul(count?))
    }

    /// See [`Blocks::draw`].
    pub(crate) fn draw(&self, seed: u64, index: u64) -> Vec<u32> {
        self.blocks.draw(seed, index)
    }

    /// The relabelling of a number below [`Self::count`], in the form of [`Blocks::draw`].
    pub(crate) fn nth(&self, mut index: u128) -> Vec<u32> {
        if self.shifts.is_some() {
            return self.blocks.shifted(index as usize);
        }
        let mut moved = vec![0; self.blocks.stimuli];
        for (units, alike) in self.blocks.blocks.iter().zip(&self.alike) {
            let mut left = sizes(alike);
            let mut count = multinomial(&left).unwrap_or(1);
            let mut rank = index % count;
            index /= count;
            for to in 0..units.len() {
                // As many arrangements begin with a kind as the kind's share of what is left to place.
                for kind in 0..left.len() {
                    let begin_so = count * left[kind] as u128 / (units.len() - to) as u128;
                    if rank < begin_so {
                        left[kind] -= 1;
                        count = begin_so;
                        self.blocks
                            .place(&mut moved, &units[alike[kind][left[kind]]], &units[to]);
                        break;
                    }
                    rank -= begin_so;
                }
            }
        }
        moved
    }
}

/// The least number of places after which labels along a circle come back.
fn period<L: Ord>(labels: &[L]) -> usize {
    let count = labels.len();
    let comes_back = |by: &usize| {
        count.is_multiple_of(*by)
            && (0..count).all(|place| labels[place] == labels[(place + by) % count])
    };
    (1..=count).find(comes_back).unwrap_or(1)
}

fn sizes(alike: &[Vec<usize>]) -> Vec<usize> {
    alike.iter().map(Vec::len).collect()
}

/// (Σ sizes)! / Π size!; `None` where it exceeds 128 bits.
fn multinomial(sizes: &[usize]) -> Option<u128> {
    let (mut product, mut placed) = (1_u128, 0_u128);
    for &size in sizes {
        for unit in 1..=size as u128 {
            placed += 1;
            // Whole after every step: it is a binomial coefficient times what stood before this size.
            product = product.checked_mul(placed)? / unit;
        }
    }
    Some(product)
}

fn log2_factorial(n: usize) -> f64 {
    (2..=n).map(|factor| (factor as f64).log2()).sum()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_different_relabelling_is_met_once() {
        // Four groups of 1 and three of 2 stimuli: 4!/(2! 2!) · 3!/(2! 1!) = 18 arrangements of these labels.
        let groups = [0, 1, 2, 3, 4, 4, 5, 5, 6, 6];
        let labels = ["a", "b", "b", "a", "c", "d", "c", "d", "a", "d"];
        let blocks = Blocks::new(&groups, &labels, Exchange::Groups);
        let distinct = blocks.distinct(&labels);
        assert_eq!(distinct.count(), Some(18));
        assert!((distinct.log2() - 18_f64.log2()).abs() < 1e-12);
        let arrangements: BTreeSet<Vec<&str>> = (0..18)
            .map(|index| {
                let mut arranged = vec![""; labels.len()];
                for (from, to) in distinct.nth(index).into_iter().enumerate() {
                    assert_eq!(from < 4, to < 4);
                    arranged[to as usize] = labels[from];
                }
                arranged
            })
            .collect();
        assert_eq!(arrangements.len(), 18);
        assert!(arrangements.iter().flatten().all(|label| !label.is_empty()));
    }

    #[test]
    fn groups_move_whole_among_groups_of_their_size() {
        let groups = [0, 0, 1, 1, 2, 2, 2, 3, 3];
        let labels: Vec<usize> = (0..9).collect();
        let blocks = Blocks::new(&groups, &labels, Exchange::Groups);
        assert_eq!(blocks.distinct(&labels).count(), Some(6));
        for index in 0..6 {
            let moved = blocks.distinct(&labels).nth(index);
            assert_eq!(moved[4..7], [4, 5, 6]);
            for start in [0, 2, 7] {
                assert!([0, 2, 7].contains(&moved[start]));
                assert_eq!(moved[start + 1], moved[start] + 1);
            }
        }
    }

    /// A run of blocks a a b b c d d, another of a b c: pairs change places with pairs, single ones with single ones.
    #[test]
    fn blocks_move_within_their_group() {
        let groups = [0, 0, 0, 0, 0, 0, 0, 1, 1, 1];
        let labels = ["a", "a", "b", "b", "c", "d", "d", "a", "b", "c"];
        let blocks = Blocks::new(&groups, &labels, Exchange::Blocks);
        let distinct = blocks.distinct(&labels);
        assert_eq!(distinct.count(), Some(36));
        let arrangements: BTreeSet<Vec<&str>> = (0..36)
            .map(|index| {
                let mut arranged = vec![""; labels.len()];
                for (from, to) in distinct.nth(index).into_iter().enumerate() {
                    arranged[to as usize] = labels[from];
                }
                assert_eq!(arranged[4], "c");
                assert!([0, 2, 5].iter().all(|&at| arranged[at] == arranged[at + 1]));
                assert!(!arranged[7..].contains(&"d"));
                arranged
            })
            .collect();
        assert_eq!(arrangements.len(), 36);
    }

    #[test]
    fn a_circle_has_as_many_shifts_as_its_labels_tell_apart() {
        let blocks = Blocks::new(&[0, 0, 0, 1, 1, 2], &[(); 6], Exchange::Shift);
        assert_eq!(blocks.distinct(&[1, 2, 3, 1, 2, 3]).count(), Some(3));
        let distinct = blocks.distinct(&[0, 1, 1, 0, 0, 0]);
        assert_eq!(distinct.count(), Some(6));
        assert_eq!(distinct.nth(2), [2, 3, 4, 5, 0, 1]);
        let drawn: BTreeSet<Vec<u32>> = (0..100).map(|index| blocks.draw(0, index)).collect();
        assert_eq!(drawn, (0..6).map(|by| distinct.nth(by)).collect());
    }

    #[test]
    fn large_numbers_have_a_logarithm() {
        let labels: Vec<usize> = (0..1000).collect();
        let blocks = Blocks::new(&labels, &labels, Exchange::Stimuli);
        let distinct = blocks.distinct(&labels);
        assert_eq!(distinct.count(), None);
        // scipy.special.gammaln(1001) / numpy.log(2)
        assert!((distinct.log2() - 8_529.398_004_204_775).abs() < 1e-8);
    }
}
