use std::path::Path;

use mused_results::evaluate;
use mused_run::{Config, EpochRecord, Predictions, Results, Run, Stated};
use mused_stats::metrics::Undefined;

use super::{Part, part};
use crate::Result;

/// A run with its scores, without its predictions.
#[derive(Debug)]
pub struct ScoredRun {
    pub(crate) run: Run,
    pub(crate) name: String,
    pub(crate) results: Part<Results>,
    /// What happened to a `results.json` that is not of this version or these predictions.
    pub(crate) note: Option<String>,
    pub(crate) config: Part<Config>,
    pub(crate) epochs: Vec<EpochRecord>,
}

impl ScoredRun {
    /// Reads a run directory. Scores that are missing, of another version or of other predictions are computed and
    /// written, as `mused evaluate` does.
    ///
    /// # Errors
    /// When it is no run directory, or `results.json` cannot be read or written.
    pub fn read(path: &Path) -> Result<Self> {
        let run = Run::open(path)?;
        let predictions = part(run.predictions());
        Self::of(run, &predictions)
    }

    pub(super) fn of(run: Run, predictions: &Part<Predictions>) -> Result<Self> {
        let (results, note) = match predictions {
            Ok(predictions) => scored(&run, predictions)?,
            Err(why) => (Err(why.clone()), None),
        };
        Ok(Self {
            name: run.name(),
            results,
            note,
            config: part(run.config()),
            epochs: run.epochs().unwrap_or_default(),
            run,
        })
    }

    /// Seed of weights and batches; `None` where no configuration tells it.
    pub(crate) fn seed(&self) -> Option<u64> {
        self.config.as_ref().ok().map(|config| config.train.seed)
    }

    /// Whether both have a configuration, the same but for the seed, and for what is trained beside.
    pub(crate) fn same_but_for_seed(&self, other: &Self) -> bool {
        let without_seed = |run: &Self| {
            let mut config = run.config.clone().ok()?.seed(0);
            config.train.ridge = false;
            Some(config)
        };
        self.config.is_ok() && without_seed(self) == without_seed(other)
    }
}

/// The scores of a complete run, and what happened to those that were there.
fn scored(run: &Run, predictions: &Predictions) -> Result<(Part<Results>, Option<String>)> {
    let why = match run.results()? {
        Ok(results) if !are_of(&results, predictions) => {
            "results.json was not of these predictions (other labels or subjects)".to_owned()
        }
        Ok(results) if knows_ridge(&results, run) => return Ok((Ok(results), None)),
        Ok(_) => "results.json was from before the ridge regression beside the run".to_owned(),
        Err(why) => why,
    };
    let replaced = run.results_path().is_file();
    let results = match evaluate(run, Undefined::Exclude) {
        Ok(results) => results,
        Err(error) => return Ok((Err(error.to_string()), None)),
    };
    run.write_results(&results)?;
    let note = replaced
        .then(|| format!("{why}: the predictions were scored anew and results.json was replaced."));
    Ok((Ok(results), note))
}

/// Whether scores tell of a ridge regression that lies beside the run.
fn knows_ridge(results: &Results, run: &Run) -> bool {
    let lies_there = matches!(run.ridge(), Some(Ok(_)));
    !lies_there || matches!(results.ridge, Some(Stated::Value(_)))
}

/// Whether scores are of the labels and of as many samples of the subjects as the predictions.
fn are_of(results: &Results, predictions: &Predictions) -> bool {
    let labels = results.labels.iter().map(|label| &label.name);
    let rows = predictions.rows_by_subject();
    let predicted = rows.iter().map(|(subject, rows)| (subject, rows.len()));
    let subjects = results.subjects.iter();
    labels.eq(&predictions.labels)
        && subjects
            .map(|(subject, scores)| (subject, scores.samples))
            .eq(predicted)
}
