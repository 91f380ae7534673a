use std::collections::BTreeMap;
use std::sync::Arc;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::{Dataset, Labels, Result};

impl Dataset {
    /// The same data with other labels.
    ///
    /// # Errors
    /// When they do not have a row a stimulus, a name a column, or values of 0 and 1.
    pub fn with_labels(&self, labels: Labels) -> Result<Self> {
        labels.check(self.stimuli.len())?;
        Ok(Self {
            labels: labels.into(),
            ..self.clone()
        })
    }

    /// The same data with each subject's responses dealt anew to the stimuli of the same run: a control in which
    /// labels, prevalences, voxels and their statistics stay, and nothing can be decoded.
    ///
    /// Subjects are dealt apart, so that what they share is lost as well.
    pub fn shuffled(&self, seed: u64) -> Self {
        let mut shuffled = self.clone();
        for (index, subject) in shuffled.subjects.iter_mut().enumerate() {
            let trials = Arc::make_mut(&mut subject.trials);
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(index as u64);
            let mut runs: BTreeMap<(u32, u32), Vec<usize>> = BTreeMap::new();
            for (row, trial) in trials.iter().enumerate() {
                runs.entry((trial.session, trial.run))
                    .or_default()
                    .push(row);
            }
            for rows in runs.values() {
                let mut stimuli: Vec<usize> =
                    rows.iter().map(|&row| trials[row].stimulus).collect();
                stimuli.shuffle(&mut random);
                for (&row, stimulus) in rows.iter().zip(stimuli) {
                    trials[row].stimulus = stimulus;
                }
            }
        }
        shuffled
    }
}
