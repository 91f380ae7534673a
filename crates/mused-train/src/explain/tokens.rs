use std::collections::BTreeMap;

use mused_run::Task;
use mused_stats::evenly;
use ndarray::{Array2, Axis, concatenate};

use super::rows::TestRows;
use crate::{Error, Result};

/// Most rows of `tokens.tsv`: a scatter plot of more is a blot.
const MOST_ROWS: usize = 2000;

/// Subject tokens of one fold's test samples.
#[derive(Default)]
pub(super) struct FoldTokens {
    /// Networks that made them; tokens of two have no space in common.
    tasks: Vec<usize>,
    rows: Vec<usize>,
    levels: BTreeMap<&'static str, Vec<Array2<f32>>>,
}

/// Tokens of one level, a sample a row.
pub(super) struct LevelTokens {
    pub(super) level: &'static str,
    tokens: Array2<f32>,
    place: BTreeMap<usize, usize>,
}

impl FoldTokens {
    pub(super) fn add(
        &mut self,
        task: &Task,
        rows: &[usize],
        tokens: &[(&'static str, Array2<f32>)],
    ) {
        if tokens.is_empty() {
            return;
        }
        if !self.tasks.contains(&task.index) {
            self.tasks.push(task.index);
        }
        self.rows.extend(rows);
        for (level, values) in tokens {
            self.levels.entry(level).or_default().push(values.clone());
        }
    }

    /// Whether all tokens are of one network.
    pub(super) fn one_network(&self) -> bool {
        self.tasks.len() == 1
    }

    /// The high level first.
    pub(super) fn levels(&self) -> Result<Vec<LevelTokens>> {
        let level = |(&level, parts): (&&'static str, &Vec<Array2<f32>>)| {
            let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
            let tokens = concatenate(Axis(0), &views)
                .map_err(|error| Error::Request(format!("tokens of several lengths: {error}")))?;
            let place = self.rows.iter().copied().zip(0..).collect();
            Ok(LevelTokens {
                level,
                tokens,
                place,
            })
        };
        // "high" comes before "low" in the alphabet.
        self.levels.iter().map(level).collect()
    }

    /// Rows to show: all, or those of evenly spaced stimuli.
    pub(super) fn shown(&self, rows: &TestRows) -> Vec<usize> {
        let mut by_stimulus: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for &row in &self.rows {
            by_stimulus
                .entry(rows.samples[row].stimulus)
                .or_default()
                .push(row);
        }
        let all: Vec<Vec<usize>> = by_stimulus.into_values().collect();
        let mut count = (all.len() * MOST_ROWS / self.rows.len().max(1)).min(all.len());
        loop {
            let mut chosen: Vec<usize> = evenly(all.len(), count)
                .flat_map(|place| all[place].iter().copied())
                .collect();
            if chosen.len() <= MOST_ROWS || count <= 1 {
                chosen.sort_unstable();
                chosen.truncate(MOST_ROWS);
                return chosen;
            }
            count -= 1;
        }
    }
}

impl LevelTokens {
    /// Tokens of rows of the run, rows × dim; `None` where one has none.
    pub(super) fn select(&self, rows: &[usize]) -> Option<Array2<f32>> {
        let places = rows.iter().map(|row| self.place.get(row).copied());
        let places: Vec<usize> = places.collect::<Option<_>>()?;
        Some(self.tokens.select(Axis(0), &places))
    }
}
