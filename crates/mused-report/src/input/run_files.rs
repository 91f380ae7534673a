use std::path::Path;

use mused_data::Dataset;
use mused_formats::sha256;
use mused_run::{Division, Predictions, Run};

use super::{Explain, Part, ScoredRun, part};
use crate::Result;

/// A run directory, as far as it is there.
#[derive(Debug)]
pub struct RunFiles {
    pub(crate) scored: ScoredRun,
    pub(crate) predictions: Part<Predictions>,
    pub(crate) division: Part<Division>,
    pub(crate) split_sha256: Option<String>,
    pub(crate) dataset: Part<Dataset>,
    pub(crate) explain: Part<Explain>,
}

impl RunFiles {
    /// Reads a run directory as [`ScoredRun::read`] does, and all that lies in it.
    ///
    /// # Errors
    /// As [`ScoredRun::read`]. What else is missing or broken is told where it would be shown.
    pub fn read(path: &Path) -> Result<Self> {
        let run = Run::open(path)?;
        let predictions = part(run.predictions());
        let division = part(run.division());
        let dataset = part(run.dataset(None));
        let explain = Explain::read(&run);
        let split = sha256::of_file(run.division_path()).ok();
        let scored = ScoredRun::of(run, &predictions)?;
        // Predictions that cannot be scored are not shown either: names of labels and subjects are those of the scores.
        let predictions = match &scored.results {
            Ok(_) => predictions,
            Err(why) => Err(why.clone()),
        };
        Ok(Self {
            division,
            split_sha256: split.map(|digest| sha256::hexadecimal(&digest)),
            dataset,
            explain,
            scored,
            predictions,
        })
    }

    /// The run's dataset, if it is still there and the same.
    pub fn dataset(&self) -> Option<&Dataset> {
        self.dataset.as_ref().ok()
    }

    pub(crate) fn run(&self) -> &Run {
        &self.scored.run
    }

    /// Subjects that were tested, in alphabetical order.
    pub(crate) fn subjects(&self) -> Vec<String> {
        match &self.scored.results {
            Ok(results) => results.subjects.keys().cloned().collect(),
            Err(_) => self.run().record().subjects.clone(),
        }
    }

    pub(crate) fn labels(&self) -> Vec<String> {
        let results = self.scored.results.iter();
        let labels = results.flat_map(|results| &results.labels);
        labels.map(|label| label.name.clone()).collect()
    }
}
