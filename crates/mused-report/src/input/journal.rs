use std::path::Path;

use serde::Deserialize;

/// One line of `metrics.jsonl`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Epoch {
    pub(crate) fold: usize,
    /// The one subject the model is of, where every subject has one.
    #[serde(default)]
    pub(crate) subject: Option<String>,
    /// The subject the model is tested on and not trained on.
    #[serde(default)]
    pub(crate) holdout: Option<String>,
    /// From 1.
    pub(crate) epoch: usize,
    pub(crate) learning_rate: f64,
    pub(crate) train: Losses,
    #[serde(default)]
    pub(crate) validation: Option<Validation>,
    /// Unix time of its end.
    pub(crate) time: f64,
}

/// Mean losses over an epoch.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Losses {
    pub(crate) total: f64,
    pub(crate) classification: f64,
    pub(crate) orthogonality: Option<f64>,
    pub(crate) high: Option<f64>,
    pub(crate) low: Option<f64>,
}

/// Scores on the validation part.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Validation {
    pub(crate) average_precision: f64,
    pub(crate) roc_auc: f64,
}

impl Epoch {
    /// Which of a run's models it belongs to: of a fold, of one subject, without a subject.
    pub(crate) fn model(&self) -> (usize, Option<&str>, Option<&str>) {
        (self.fold, self.subject.as_deref(), self.holdout.as_deref())
    }
}

/// The lines that can be read; the last one of a killed process may be a part of one.
pub(crate) fn read(path: &Path) -> Vec<Epoch> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines();
    lines
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}
