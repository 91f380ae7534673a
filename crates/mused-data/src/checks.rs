use std::fmt;

use crate::{Dataset, Result};

/// How serious a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Training is refused until it is mended.
    Error,
    /// Worth knowing.
    Warning,
}

/// Something about a dataset that its user should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Whether it stops training.
    pub severity: Severity,
    /// What is wrong, where, and what to do.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(formatter, "{severity}: {}", self.message)
    }
}

/// Fewer stimuli than this with a label cannot be in every fold of a cross-validation.
const FEW_POSITIVES: usize = 5;

impl Dataset {
    /// What is wrong with labels and trials, without reading responses.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let positives = self.labels.positives();
        let named = |wanted: &dyn Fn(usize) -> bool| -> Vec<&str> {
            let labels = self.labels.names.iter().zip(&positives);
            labels
                .filter(|(_, count)| wanted(**count))
                .map(|(name, _)| name.as_str())
                .collect()
        };
        let never = named(&|count| count == 0);
        if !never.is_empty() {
            problems.push(Problem {
                severity: Severity::Error,
                message: format!(
                    "no stimulus has the label {}: remove it from labels.tsv and labels.npy",
                    never.join(", ")
                ),
            });
        }
        let rare = named(&|count| (1..FEW_POSITIVES).contains(&count));
        if !rare.is_empty() {
            problems.push(Problem {
                severity: Severity::Warning,
                message: format!(
                    "fewer than {FEW_POSITIVES} stimuli have the label {}: a fold may have none",
                    rare.join(", ")
                ),
            });
        }
        let mut shown = vec![false; self.stimuli.len()];
        for trial in self.subjects.iter().flat_map(|s| s.trials.iter()) {
            shown[trial.stimulus] = true;
        }
        let unseen = shown.iter().filter(|shown| !**shown).count();
        if unseen > 0 {
            problems.push(Problem {
                severity: Severity::Warning,
                message: format!("{unseen} of {} stimuli were shown to nobody", shown.len()),
            });
        }
        problems
    }

    /// Reads every response: constant voxels are a warning, NaN and infinite values an error.
    ///
    /// # Errors
    /// At the first response that is not finite or cannot be read.
    pub fn check_responses(&self) -> Result<Vec<Problem>> {
        let mut problems = Vec::new();
        for subject in &self.subjects {
            let mut first = vec![0.0; subject.voxels.len()];
            let mut row = first.clone();
            subject.read_response(0, &mut first)?;
            let mut constant = vec![true; first.len()];
            for trial in 1..subject.trials.len() {
                subject.read_response(trial, &mut row)?;
                for ((constant, value), first) in constant.iter_mut().zip(&row).zip(&first) {
                    *constant &= value == first;
                }
            }
            let count = constant.iter().filter(|constant| **constant).count();
            if count > 0 {
                problems.push(Problem {
                    severity: Severity::Warning,
                    message: format!(
                        "subject {}: {count} of {} voxels never vary; they are ignored",
                        subject.id,
                        constant.len()
                    ),
                });
            }
        }
        Ok(problems)
    }
}
