use serde::{Deserialize, Serialize};

/// One model of a run: that of a fold, or of a fold and a subject that it is of or that it is without.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Position among the run's tasks; random numbers depend on it.
    pub index: usize,
    /// Its fold, from 0.
    pub fold: usize,
    /// The one subject it is of, where every subject has a model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The subject that is tested and not trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holdout: Option<String>,
}

impl Task {
    /// Name of its folders.
    pub fn name(&self) -> String {
        let fold = self.fold;
        match (&self.subject, &self.holdout) {
            (Some(subject), _) => format!("fold-{fold}-{subject}"),
            (None, Some(holdout)) => format!("fold-{fold}-without-{holdout}"),
            (None, None) => format!("fold-{fold}"),
        }
    }
}
