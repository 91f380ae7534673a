//! What was found of subjects and runs, in sentences.

use std::fmt;

use super::{Measure, Outlier, Quality, SubjectQuality};

/// Subjects and runs that are named in sentences.
const NAMED: usize = 5;

impl fmt::Display for Outlier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "subject {}", self.subject)?;
        if let Some((session, run)) = self.run {
            write!(f, ", session {session}, run {run}")?;
        }
        let (value, others) = (self.value, self.others);
        match self.measure {
            Measure::Voxels => write!(
                f,
                ": {:.0} % of its voxels do not vary, or far more or less than the rest ({:.0} % in the others)",
                100.0 * value,
                100.0 * others
            ),
            Measure::Scale if value > others => write!(
                f,
                ": responses vary {:.1} times as much as in the others",
                value / others
            ),
            Measure::Scale if value == 0.0 => f.write_str(": responses do not vary"),
            Measure::Scale => write!(
                f,
                ": responses vary 1/{:.1} of what they do in the others",
                others / value
            ),
            Measure::Shift => write!(
                f,
                ": responses lie {value:.1} standard deviations from the subject's mean (in the other runs {others:.1})"
            ),
            Measure::Consistency => write!(
                f,
                ": trials resemble those of the same labels in other runs by r = {value:.2} (in the other runs {others:.2}); \
                 are its onsets and labels right?"
            ),
            Measure::Repeatability => write!(
                f,
                ": responses to the same stimulus resemble each other by r = {value:.2} (in the others {others:.2})"
            ),
            Measure::Motion => write!(
                f,
                ": the head moved {value:.2} mm a volume on average (in the others {others:.2})"
            ),
            Measure::Agreement => write!(
                f,
                ": the similarities of stimuli match the other subjects' by a rank correlation of {value:.2} (the others' \
                 {others:.2}); are the data weak, or the stimuli another's?"
            ),
        }
    }
}

impl Quality {
    /// Who looks unlike the others, a sentence each for the first few, or that nobody does; how repeatable responses are and
    /// how heads moved, where that is known.
    pub fn in_words(&self) -> Vec<String> {
        let mut words = self.unlike_in_words();
        words.extend(self.range(
            "Repeatability (r of split halves over stimuli shown again, median voxel)",
            "",
            |subject| subject.repeatability,
        ));
        words.extend(self.range(
            "Head motion (framewise displacement, mean over volumes)",
            " mm",
            SubjectQuality::motion,
        ));
        words
    }

    /// From whom to whom a measure goes.
    fn range(
        &self,
        what: &str,
        unit: &str,
        of: impl Fn(&SubjectQuality) -> Option<f64>,
    ) -> Option<String> {
        let known = self
            .subjects
            .iter()
            .filter_map(|own| Some((own.id.as_str(), of(own)?)));
        let mut known: Vec<(&str, f64)> = known.collect();
        known.sort_by(|a, b| a.1.total_cmp(&b.1));
        let ((lowest, low), (highest, high)) = (known.first()?, known.last()?);
        Some(match known.len() {
            1 => format!("{what}: {low:.2}{unit}."),
            _ => format!("{what}: from {low:.2}{unit} ({lowest}) to {high:.2}{unit} ({highest})."),
        })
    }

    fn unlike_in_words(&self) -> Vec<String> {
        if self.outliers.is_empty() {
            return vec!["No subject and no run looks unlike the others.".to_owned()];
        }
        let sentence = |outlier: &Outlier| {
            let end = match outlier.measure {
                // They end with a question.
                Measure::Consistency | Measure::Agreement => "",
                Measure::Scale
                | Measure::Shift
                | Measure::Voxels
                | Measure::Repeatability
                | Measure::Motion => ".",
            };
            format!("Look at {outlier}{end}")
        };
        let mut words: Vec<String> = self.outliers.iter().take(NAMED).map(sentence).collect();
        if self.outliers.len() > NAMED {
            words.push(format!(
                "{} more look unlike the others: `mused info --json` lists all.",
                self.outliers.len() - NAMED
            ));
        }
        words
    }
}
