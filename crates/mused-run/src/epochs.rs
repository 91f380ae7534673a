use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Error, Result, Task};

/// Mean losses of an epoch, unweighted; `None` where a term is not in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EpochLosses {
    /// What is minimised.
    pub total: f64,
    /// Binary cross-entropy.
    pub classification: f64,
    /// Orthogonality of the two tokens.
    pub orthogonality: Option<f64>,
    /// High-level RSA.
    pub high: Option<f64>,
    /// Low-level RSA.
    pub low: Option<f64>,
}

/// Scores of the validation part, means over subjects.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValidationScores {
    /// Macro average precision.
    pub average_precision: f64,
    /// Macro area under the ROC curve.
    pub roc_auc: f64,
}

/// One line of `metrics.jsonl`: an epoch of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Fold of the model.
    pub fold: usize,
    /// The one subject the model is of, where every subject has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The subject the model is tested on and not trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holdout: Option<String>,
    /// From 1.
    pub epoch: usize,
    /// Steps of the model so far.
    pub step: usize,
    /// Of the last step.
    pub learning_rate: f64,
    /// Means over the epoch's steps.
    pub train: EpochLosses,
    /// Where there is a validation part that can be scored.
    #[serde(default)]
    pub validation: Option<ValidationScores>,
    /// Unix time of its end.
    pub time: f64,
}

impl EpochRecord {
    /// Whether it is of the model of a task.
    pub fn is_of(&self, task: &Task) -> bool {
        self.model() == (task.fold, task.subject.as_deref(), task.holdout.as_deref())
    }

    /// What tells its model from the run's others: fold, own subject, held-out subject.
    pub fn model(&self) -> (usize, Option<&str>, Option<&str>) {
        (self.fold, self.subject.as_deref(), self.holdout.as_deref())
    }

    /// The record as it stands in `metrics.jsonl`, with the end of its line.
    ///
    /// # Errors
    /// A number that JSON does not have.
    pub fn line(&self) -> Result<String> {
        let line = serde_json::to_string(self);
        line.map(|line| line + "\n")
            .map_err(|error| Error::Request(format!("an epoch cannot be recorded: {error}")))
    }
}

/// The records of a run, none where there is no file. The last line of a killed process may be a part of one.
pub(crate) fn read(path: &Path) -> Result<Vec<EpochRecord>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(path).map_err(Error::io("cannot read", path))?;
    let lines = text.lines();
    Ok(lines
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect())
}
