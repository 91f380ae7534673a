//! The report of a curve.

use std::path::Path;

use mused_report::{CurvePage, Report};

use super::{Curves, Over};

impl Curves {
    /// A page of the curve that lies in `folder`.
    pub fn report(&self, folder: &Path) -> Report {
        let figures = [0, 1].into_iter().filter_map(|metric| self.figure(metric));
        Report::of_curve(&CurvePage {
            dataset: &self.dataset,
            simulated: self.simulated,
            lead: self.lead(),
            findings: &self.findings(),
            protocol: &self.protocol(),
            figures: figures.collect(),
            means: self.table_of_means(),
            subjects: self.table(),
            folder,
        })
    }

    fn lead(&self) -> &'static str {
        match (self.over, self.new_subjects) {
            (Over::Trials, false) => {
                "Scores over the number of training trials that each subject has."
            }
            (Over::Trials, true) => {
                "Scores of people that the network was not trained on, over the number of their own trials."
            }
            (Over::Subjects, false) => {
                "Scores over the number of subjects that the network is trained on, the one scored among them."
            }
            (Over::Subjects, true) => {
                "Scores of people that the network was not trained on, over the number of others that it was trained on."
            }
        }
    }
}
