use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::Dataset;

impl Dataset {
    /// Deals each subject's responses anew to the stimuli of the same run: a control in which labels, prevalences,
    /// voxels and their statistics stay, and nothing can be decoded. In memory; the files stay as they are.
    ///
    /// Subjects are dealt apart, so that what they share is lost as well.
    pub fn shuffle_responses(&mut self, seed: u64) {
        for (index, subject) in self.subjects.iter_mut().enumerate() {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(index as u64);
            let mut runs: BTreeMap<(u32, u32), Vec<usize>> = BTreeMap::new();
            for (row, trial) in subject.trials.iter().enumerate() {
                runs.entry((trial.session, trial.run))
                    .or_default()
                    .push(row);
            }
            for rows in runs.values() {
                let mut stimuli: Vec<usize> = rows
                    .iter()
                    .map(|&row| subject.trials[row].stimulus)
                    .collect();
                stimuli.shuffle(&mut random);
                for (&row, stimulus) in rows.iter().zip(stimuli) {
                    subject.trials[row].stimulus = stimulus;
                }
            }
        }
    }
}
