use serde::{Deserialize, Serialize};

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

/// Told what happens during training. Models report from threads of their own.
pub trait Progress: Sync {
    /// Training starts: `done` of `total` steps over all models were done before, each of which
    /// needs about `step_bytes` of memory.
    fn start(&self, done: usize, total: usize, step_bytes: u64);
    /// A step of a model (`fold-0`, or `fold-0-SUBJECT`) ended.
    fn step(&self, model: &str, losses: &EpochLosses);
    /// An epoch (from 1) ended.
    fn epoch(&self, epoch: usize, validation: Option<&ValidationScores>);
    /// Whether to stop after this step.
    fn interrupted(&self) -> bool;
}
