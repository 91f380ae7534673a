use std::path::Path;

use crate::escape::escaped;
use crate::figure::{Block, Figure, Section};
use crate::page::{Page, foot};
use crate::sections::subtitle;
use crate::table::Table;

/// What the page of a learning curve says.
#[derive(Debug)]
pub struct CurvePage<'a> {
    /// Name of the dataset.
    pub dataset: &'a str,
    /// Whether it was computed, not measured.
    pub simulated: bool,
    /// Scores of whom over what, in a sentence.
    pub lead: &'a str,
    /// What follows from the scores.
    pub findings: &'a [String],
    /// How the scores came about, and what they leave open.
    pub protocol: &'a [String],
    /// Scores over sizes.
    pub figures: Vec<Figure>,
    /// Means over subjects, a row a size and model.
    pub means: Table,
    /// Scores of each subject and draw.
    pub subjects: Table,
    /// The folder of the curve.
    pub folder: &'a Path,
}

impl CurvePage<'_> {
    pub(crate) fn page(&self) -> Page {
        let name = self.folder.file_name().unwrap_or_default();
        let mut short = Section::new("headline", "In short");
        for finding in self.findings {
            short.push(Block::Html(format!(
                r#"<p class="verdict">{}</p>"#,
                escaped(finding)
            )));
        }
        short.figures(self.figures.iter().cloned());
        let mut scores = Section::new("scores", "Scores");
        let tables = [
            ("Means over subjects", &self.means),
            ("Each subject and draw", &self.subjects),
        ];
        for (caption, table) in tables {
            scores.push(Block::Table(caption.to_owned(), table.clone()));
        }
        let mut methods = Section::new("methods", "Methods");
        methods.paragraph(escaped(&self.protocol.join(" ")));
        Page {
            name: format!("{}: {}", self.dataset, name.to_string_lossy()),
            title: "Scores over sizes".to_owned(),
            subtitle: subtitle(self.simulated, &escaped(self.lead)),
            sections: vec![short, scores, methods],
            labels: Vec::new(),
            subjects: Vec::new(),
            foot: foot(self.folder),
        }
    }
}
