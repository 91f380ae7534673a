use std::collections::BTreeMap;

use mused_stats::moments::Moments;
use ndarray::{Array3, Axis};

/// Attention of subject tokens to parts, over test samples.
pub(super) struct Attention {
    parts: usize,
    /// By subject and place of the level in the network.
    moments: BTreeMap<(usize, usize), Moments>,
    levels: Vec<&'static str>,
}

/// A row of `attention.tsv`.
pub(super) struct AttentionRow {
    pub(super) subject: usize,
    pub(super) level: &'static str,
    pub(super) part: usize,
    pub(super) weight: f64,
    pub(super) sd: Option<f64>,
}

impl Attention {
    pub(super) fn new(parts: usize) -> Self {
        Self {
            parts,
            moments: BTreeMap::new(),
            levels: Vec::new(),
        }
    }

    /// Adds samples of `subjects`; `weights` are samples × levels × slots, and `slots` says whose part each slot is.
    pub(super) fn add(
        &mut self,
        subjects: &[usize],
        levels: &[&'static str],
        slots: &[Option<usize>],
        weights: &Array3<f32>,
    ) {
        self.levels = levels.to_vec();
        let mut of_parts = vec![0.0; self.parts];
        for (&subject, sample) in subjects.iter().zip(weights.axis_iter(Axis(0))) {
            for (level, weights) in sample.rows().into_iter().enumerate() {
                of_parts.fill(0.0);
                for (weight, part) in weights.iter().zip(slots) {
                    if let Some(sum) = part.and_then(|part| of_parts.get_mut(part)) {
                        *sum += f64::from(*weight);
                    }
                }
                let moments = self
                    .moments
                    .entry((subject, level))
                    .or_insert_with(|| Moments::new(of_parts.len()));
                moments.add(&of_parts);
            }
        }
    }

    /// Subject by subject, level by level, part by part; none where no network attends to parts.
    pub(super) fn rows(&self) -> Vec<AttentionRow> {
        let of = |(&(subject, level), moments): (&(usize, usize), &Moments)| {
            let level = self.levels.get(level).copied().unwrap_or_default();
            let freedom = moments.count() - 1.0;
            let values = moments.means().iter().zip(moments.squares()).enumerate();
            let row = |(part, (&weight, squares)): (usize, (&f64, &f64))| AttentionRow {
                subject,
                level,
                part,
                weight,
                sd: (freedom > 0.0).then(|| (squares / freedom).sqrt()),
            };
            values.map(row).collect::<Vec<_>>()
        };
        self.moments.iter().flat_map(of).collect()
    }
}
