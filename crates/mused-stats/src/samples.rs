//! Which subject saw which stimulus.

use std::collections::BTreeMap;

use ndarray::ArrayView2;

use crate::permutation::Exchange;
use crate::{Error, Result};

/// Rows of predictions: the subject, the stimulus and the group of each.
///
/// A group (clip, scene, run) holds stimuli that belong together. What that means stands where groups are used: labels
/// may be exchanged within them or between them, resampling takes them whole. Where every stimulus stands alone, its
/// group is itself. Indices are any whole numbers; results come in their ascending order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Samples {
    /// (row, stimulus) of the samples of each subject, stimuli renumbered from 0.
    pub(crate) subjects: Vec<Vec<(usize, usize)>>,
    /// Group of each stimulus, renumbered from 0.
    pub(crate) groups: Vec<usize>,
    rows: usize,
}

impl Samples {
    /// `subject`, `stimulus` and `group` have one entry a row of the predictions.
    ///
    /// # Errors
    /// Lengths that differ or are 0; two samples of one subject and stimulus (repeats are to be averaged before
    /// decoding: as samples of their own they would count one stimulus twice); a stimulus in two groups.
    pub fn new(subject: &[usize], stimulus: &[usize], group: &[usize]) -> Result<Self> {
        let rows = subject.len();
        for (what, found) in [("stimuli", stimulus.len()), ("groups", group.len())] {
            if found != rows {
                return Err(Error::Shape {
                    what,
                    expected: vec![rows],
                    found: vec![found],
                });
            }
        }
        if rows == 0 {
            return Err(Error::Empty {
                what: "samples",
                found: vec![0],
            });
        }
        let mut group_of: BTreeMap<usize, usize> = BTreeMap::new();
        for (&stimulus, &group) in stimulus.iter().zip(group) {
            let first = *group_of.entry(stimulus).or_insert(group);
            if first != group {
                return Err(Error::TwoGroups {
                    stimulus,
                    groups: [first, group],
                });
            }
        }
        let number = renumbered(group_of.keys());
        let group_number = renumbered(group_of.values());
        let mut seen: BTreeMap<usize, BTreeMap<usize, usize>> = BTreeMap::new();
        for (row, (&subject, &stimulus)) in subject.iter().zip(stimulus).enumerate() {
            let earlier = seen.entry(subject).or_default().insert(stimulus, row);
            if earlier.is_some() {
                return Err(Error::Repeated { subject, stimulus });
            }
        }
        let of_subject = |stimuli: &BTreeMap<usize, usize>| {
            let rows = stimuli.iter();
            rows.map(|(stimulus, &row)| (row, number[stimulus]))
                .collect()
        };
        Ok(Self {
            subjects: seen.values().map(of_subject).collect(),
            groups: group_of.values().map(|group| group_number[group]).collect(),
            rows,
        })
    }

    /// Number of subjects.
    pub fn subjects(&self) -> usize {
        self.subjects.len()
    }

    /// Number of different stimuli.
    pub fn stimuli(&self) -> usize {
        self.groups.len()
    }

    /// Number of groups of stimuli.
    pub fn groups(&self) -> usize {
        self.groups.iter().max().map_or(0, |last| last + 1)
    }

    /// What of these stimuli may change places, see [`Exchange::of`].
    ///
    /// # Errors
    /// As [`Self::positives`].
    pub fn exchange(&self, targets: ArrayView2<u8>) -> Result<Exchange> {
        let labels = self.label_sets(&self.positives(targets)?);
        Ok(Exchange::of(&self.groups, &labels))
    }

    /// The labels of each stimulus, of the stimuli that have each.
    pub(crate) fn label_sets(&self, positives: &[Vec<u32>]) -> Vec<Vec<u32>> {
        let mut labels: Vec<Vec<u32>> = vec![Vec::new(); self.stimuli()];
        for (label, stimuli) in (0..).zip(positives) {
            for &stimulus in stimuli {
                labels[stimulus as usize].push(label);
            }
        }
        labels
    }

    /// For each stimulus the number of those it may change places with: its group, and where blocks do within groups, of
    /// those the stimuli that the same subjects saw.
    pub(crate) fn pools(&self, exchange: Exchange) -> Vec<usize> {
        if exchange != Exchange::Blocks {
            return self.groups.clone();
        }
        let mut viewers: Vec<Vec<usize>> = vec![Vec::new(); self.stimuli()];
        for (subject, samples) in self.subjects.iter().enumerate() {
            for &(_, stimulus) in samples {
                viewers[stimulus].push(subject);
            }
        }
        let pools = self.groups.iter().zip(viewers);
        let mut number = BTreeMap::new();
        pools
            .map(|pool| {
                let next = number.len();
                *number.entry(pool).or_insert(next)
            })
            .collect()
    }

    /// These samples, followed by the same again as samples of stimuli of their own.
    pub(crate) fn twice(&self) -> Self {
        let (rows, stimuli) = (self.rows, self.stimuli());
        let again = |samples: &Vec<(usize, usize)>| {
            let copies = samples
                .iter()
                .map(|&(row, stimulus)| (row + rows, stimulus + stimuli));
            samples.iter().copied().chain(copies).collect()
        };
        Self {
            subjects: self.subjects.iter().map(again).collect(),
            groups: [self.groups.as_slice(), &self.groups].concat(),
            rows: 2 * rows,
        }
    }

    /// The stimuli that have each label, ascending.
    ///
    /// # Errors
    /// A number of rows that is not this one's; a stimulus with two targets.
    pub(crate) fn positives(&self, targets: ArrayView2<u8>) -> Result<Vec<Vec<u32>>> {
        self.check_rows("targets", targets.nrows())?;
        let mut row_of: Vec<Option<usize>> = vec![None; self.stimuli()];
        for &(row, stimulus) in self.subjects.iter().flatten() {
            let first = *row_of[stimulus].get_or_insert(row);
            let pairs = targets.row(first).into_iter().zip(targets.row(row));
            if let Some(label) = pairs.into_iter().position(|(a, b)| a != b) {
                return Err(Error::TargetsDiffer { stimulus, label });
            }
        }
        let has = |row: &Option<usize>, label| row.is_some_and(|row| targets[[row, label]] == 1);
        let stimuli = || row_of.iter().enumerate();
        Ok((0..targets.ncols())
            .map(|label| {
                let positive = stimuli().filter(|(_, row)| has(row, label));
                positive.map(|(stimulus, _)| stimulus as u32).collect()
            })
            .collect())
    }

    /// # Errors
    /// A number of rows that is not this one's.
    pub(crate) fn check_rows(&self, what: &'static str, found: usize) -> Result<()> {
        match found == self.rows {
            true => Ok(()),
            false => Err(Error::Shape {
                what,
                expected: vec![self.rows],
                found: vec![found],
            }),
        }
    }
}

fn renumbered<'a>(indices: impl Iterator<Item = &'a usize>) -> BTreeMap<usize, usize> {
    let mut numbers: BTreeMap<usize, usize> = indices.map(|&index| (index, 0)).collect();
    for (number, entry) in numbers.values_mut().enumerate() {
        *entry = number;
    }
    numbers
}

/// At most `most` of the numbers below `count`, evenly spaced from 0, in ascending order.
///
/// ```
/// assert_eq!(mused_stats::evenly(10, 4).collect::<Vec<_>>(), [0, 2, 5, 7]);
/// ```
pub fn evenly(count: usize, most: usize) -> impl Iterator<Item = usize> {
    let chosen = count.min(most);
    (0..chosen).map(move |place| place * count / chosen)
}
